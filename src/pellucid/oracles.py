r"""Exact denoisers: laws whose every marginal, score, posterior and density is known in closed form.

For a mixture of Gaussians x_0 ~ sum_k w_k N(m_k, V_k) under x_t = alpha x_0 + sigma z, with
S_k = alpha^2 V_k + sigma^2 I,

    p_t(x) = sum_k w_k N(x; alpha m_k, S_k)                                                                        (1)
    E[x_0 | x, k] = m_k + alpha V_k S_k^-1 (x - alpha m_k)                                                         (2)
    E[x_0 | x] = sum_k r_k(x) E[x_0 | x, k],  r_k(x) = w_k N(x; alpha m_k, S_k) / p_t(x)                           (3)

A Gaussian law is one component; a finite data set is a mixture of points, whose exact denoiser is the perfect
memoriser.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .foundations.errors import UserError
from .processes.gaussian import Gaussian


@dataclass(frozen=True)
class MixtureOracle:
    """The exact denoiser of a mixture of Gaussians.

    Attributes:
        process: the forward process.
        means: (K, *), the items' own shape behind the components.
        variances: (K,) for isotropic components, or (K, D) along the axes of `bases` (D the number of values in an
            item); zeros are allowed: points.
        weights: (K,), positive; normalised here. Uniform if None.
        bases: (K, D, D), orthogonal, columns are the components' principal axes; the coordinate axes if None.
        labels: (K,) int64, the class of each component, for conditioning by `label`; a label of -1 asks for the
            unconditional law. None: no conditioning.
    """

    process: Gaussian
    means: Tensor
    variances: Tensor
    weights: Tensor | None = None
    bases: Tensor | None = None
    labels: Tensor | None = None

    def __post_init__(self) -> None:
        count = len(self.means)
        if self.variances.shape not in ((count,), (count, self.means[0].numel())):
            raise UserError(
                f"variances must have shape ({count},) or ({count}, {self.means[0].numel()}), "
                f"got {tuple(self.variances.shape)}"
            )
        if self.weights is not None and (self.weights.shape != (count,) or not bool((self.weights > 0).all())):
            raise UserError(f"weights must be {count} positive numbers")

    def __call__(self, x: Tensor, t: Tensor, *, label: Tensor | None = None) -> Tensor:
        """Equation (3), computed in float64; `label` of shape (B,) conditions on the component's class."""
        flat, alpha, sigma = self._inputs(x, t)
        share = self._logits(flat, alpha, sigma, label).softmax(1)
        means, variances = self._flat_means(), self.variances.double()
        if self.bases is None and variances.ndim == 1:
            # Isotropic components: (2) is affine in x with scalar gains, so no (B, K, D) tensor is needed.
            gain = alpha * variances / (alpha.square() * variances + sigma.square())
            x0 = (share * (1 - alpha * gain)) @ means + (share * gain).sum(1, keepdim=True) * flat
        else:
            variances = self._axes_variances()
            inner = self._on_axes(flat, alpha)
            total = alpha[..., None].square() * variances + sigma[..., None].square()
            parts = means + self._off_axes(alpha[..., None] * variances / total * inner)
            x0 = (share[..., None] * parts).sum(1)
        return x0.to(x.dtype).reshape(x.shape)

    def score(self, x: Tensor, t: Tensor, **cond: Any) -> Tensor:
        """grad log p_t(x), shape (B, *)."""
        alpha, sigma = self.process.scales(t, x)
        return (alpha * self(x, t, **cond) - x) / sigma.square()

    def log_prob(self, x: Tensor, t: Tensor | float = 0.0, *, label: Tensor | None = None) -> Tensor:
        """log p_t(x) of equation (1) in nats, shape (B,)."""
        t = torch.as_tensor(t, dtype=x.dtype, device=x.device)
        return self._logits(*self._inputs(x, t), label).logsumexp(1).to(x.dtype)

    def energy(self, x: Tensor, t: Tensor, **cond: Any) -> Tensor:
        """-log p_t(x), normalised, shape (B,)."""
        return -self.log_prob(x, t, **cond)

    def sample(self, noise: Tensor, pick: Tensor) -> Tensor:
        """Exact draws from the law itself, shape (B, *).

        Args:
            noise: standard normal, shape (B, *).
            pick: uniform in [0, 1), shape (B,): which component.
        """
        cumulative = self._log_weights().exp().cumsum(0).to(pick.dtype)
        k = torch.searchsorted(cumulative, pick * cumulative[-1], right=True).clamp_max(len(self.means) - 1)
        spread = self._axes_variances()[k].sqrt() * noise.flatten(1).double()
        if self.bases is not None:
            spread = torch.einsum("bdi,bi->bd", self.bases[k].double(), spread)
        return self.means[k] + spread.to(noise.dtype).reshape(noise.shape)

    def _inputs(self, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        flat = x.flatten(1).double()
        alpha, sigma = self.process.scales(t.double(), flat)
        return flat, alpha, sigma

    def _logits(self, flat: Tensor, alpha: Tensor, sigma: Tensor, label: Tensor | None) -> Tensor:
        """log w_k + log N(x; alpha m_k, S_k), shape (B, K)."""
        variances = self.variances.double()
        size = flat.shape[1]
        if self.bases is None and variances.ndim == 1:
            means = self._flat_means()
            # In float64 the expanded square keeps its digits, and it differentiates any number of times.
            distance = flat.square().sum(1, keepdim=True) - 2 * alpha * (flat @ means.T)
            distance = (distance + alpha.square() * means.square().sum(1)).clamp_min(0)
            total = alpha.square() * variances + sigma.square()
            log_normal = -0.5 * (distance / total + size * total.log())
        else:
            total = alpha[..., None].square() * self._axes_variances() + sigma[..., None].square()
            log_normal = -0.5 * (self._on_axes(flat, alpha).square() / total + total.log()).sum(-1)
        log_weights = self._log_weights().expand(len(flat), -1)
        if label is not None:
            if self.labels is None:
                raise UserError("this oracle has no labels: make it with labels=, or sample without a label")
            absent = (label[:, None] >= 0) & (self.labels != label[:, None])
            if bool(absent.all(1).any()):
                known = sorted(set(self.labels.tolist()))
                raise UserError(f"no component has that label: this oracle's labels are {known}, and -1 for all")
            # p(x | y): the weights of the class's own components, normalised.
            log_weights = log_weights.masked_fill(absent, -math.inf).log_softmax(1)
        return log_weights + log_normal - 0.5 * size * math.log(2 * math.pi)

    def _on_axes(self, flat: Tensor, alpha: Tensor) -> Tensor:
        offset = flat[:, None, :] - alpha[..., None] * self._flat_means()
        return offset if self.bases is None else torch.einsum("bkd,kdi->bki", offset, self.bases.double())

    def _off_axes(self, inner: Tensor) -> Tensor:
        return inner if self.bases is None else torch.einsum("bki,kdi->bkd", inner, self.bases.double())

    def _flat_means(self) -> Tensor:
        return self.means.flatten(1).double()

    def _log_weights(self) -> Tensor:
        weights = torch.ones(len(self.means)).to(self.means) if self.weights is None else self.weights
        return (weights.double() / weights.double().sum()).log()

    def _axes_variances(self) -> Tensor:
        size = self.means[0].numel()
        variances = self.variances.double()
        return variances[:, None].expand(-1, size) if variances.ndim == 1 else variances


def gaussian_oracle(process: Gaussian, mean: Tensor, covariance: Tensor) -> MixtureOracle:
    """The exact denoiser of N(mean, covariance).

    Args:
        mean: one item, shape (*).
        covariance: a number (isotropic), (D,) (diagonal) or (D, D) (symmetric, positive semi-definite).
    """
    if covariance.ndim == 2:
        values, vectors = torch.linalg.eigh(covariance)
        return MixtureOracle(process, mean[None], values.clamp_min(0)[None], bases=vectors[None])
    return MixtureOracle(process, mean[None], covariance[None])


def finite_oracle(
    process: Gaussian, items: Tensor, *, smoothing: float = 0.0, labels: Tensor | None = None
) -> MixtureOracle:
    """The exact denoiser of a finite set of items, (K, *): the posterior mean over the set, the perfect memoriser.

    Args:
        smoothing: the standard deviation of Gaussian noise around each item; 0 for the set itself.
        labels: (K,), the items' classes, for conditioning.
    """
    return MixtureOracle(process, items, items.new_full((len(items),), smoothing**2), labels=labels)


def quantile(law: MixtureOracle, u: Tensor, t: Tensor) -> Tensor:
    """The u-quantile of p_t of a mixture on the line, by bisection in float64; u in (0, 1), shape (B, 1).

    In one dimension the probability-flow ODE keeps the order of points, so its exact solution takes the u-quantile at
    one time to the u-quantile at any other: every path is known without solving anything.

    Raises:
        UserError: a law of more than one dimension.
    """
    if law.means[0].numel() != 1:
        raise UserError(f"quantiles are those of a law on the line; its items have {law.means[0].numel()} values")
    alpha, sigma = law.process.schedule.alpha(t.double()), law.process.schedule.sigma(t.double())
    weights = law._log_weights().exp()
    means = alpha * law.means.flatten().double()
    spread = (alpha.square() * law.variances.flatten().double() + sigma.square()).sqrt()
    low = (means - 40 * spread).min().expand(u.shape)
    high = (means + 40 * spread).max().expand(u.shape)
    for _ in range(100):
        middle = (low + high) / 2
        below = (weights * torch.special.ndtr((middle - means) / spread)).sum(-1, keepdim=True) < u
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return (low + high) / 2
