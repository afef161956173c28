"""One-dimensional laws whose probability-flow map is known exactly, written without the library's oracles."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.processes.gaussian import Gaussian


@dataclass(frozen=True)
class Mixture:
    """sum_k w_k N(m_k, v_k) on the line, under x_t = alpha x_0 + sigma z; also its own exact denoiser."""

    process: Gaussian
    weights: tuple[float, ...] = (0.35, 0.65)
    means: tuple[float, ...] = (-1.0, 0.8)
    variances: tuple[float, ...] = (0.3, 0.15)

    def parts(self, t: Tensor, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """alpha, sigma, the weights, means and variances as tensors whose last axis runs over components."""
        t = t[:, None] if t.ndim == 1 else t
        alpha, sigma = self.process.schedule.alpha(t), self.process.schedule.sigma(t)
        w, m, v = (torch.tensor(values, dtype=x.dtype) for values in (self.weights, self.means, self.variances))
        return alpha, sigma, w, m, v

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        """E[x_0 given x_t] by Bayes' rule, x of shape (B, 1)."""
        alpha, sigma, w, m, v = self.parts(t, x)
        total = alpha**2 * v + sigma**2
        density = w * torch.exp(-0.5 * (x - alpha * m) ** 2 / total) / total.sqrt()
        inner = m + alpha * v / total * (x - alpha * m)
        return (density * inner).sum(-1, keepdim=True) / density.sum(-1, keepdim=True)

    def cdf(self, x: Tensor, t: Tensor) -> Tensor:
        """P(x_t <= x), x of shape (B, 1)."""
        alpha, sigma, w, m, v = self.parts(t, x)
        return (w * torch.special.ndtr((x - alpha * m) / (alpha**2 * v + sigma**2).sqrt())).sum(-1, keepdim=True)

    def quantile(self, u: Tensor, t: Tensor) -> Tensor:
        """The inverse of `cdf` by bisection. In one dimension the flow keeps the order of points, so the exact flow
        takes the quantile at one time to the same quantile at another."""
        bound = 20 * float(self.process.schedule.alpha(t) + self.process.schedule.sigma(t))
        low, high = torch.full_like(u, -bound), torch.full_like(u, bound)
        for _ in range(100):
            middle = (low + high) / 2
            below = self.cdf(middle, t) < u
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        return (low + high) / 2

    def moments(self) -> tuple[float, float]:
        """The mean and variance of x_0."""
        triples = list(zip(self.weights, self.means, self.variances, strict=True))
        mean = sum(w * m for w, m, _ in triples)
        return mean, sum(w * (v + (m - mean) ** 2) for w, m, v in triples)


def normal(process: Gaussian, mean: float = 1.3, variance: float = 0.25) -> Mixture:
    """One component: a normal law, whose flow and denoiser are affine."""
    return Mixture(process, (1.0,), (mean,), (variance,))
