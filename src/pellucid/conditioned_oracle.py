r"""Exact conditional denoisers: laws of (x, y) of which every conditional p(x given y) is known.

In each component k, x_0 and a vector v are jointly normal, with means m_k, n_k and covariances V_k, W_k, and C_k of x
with v; a component may have a class y. What is known of an item, its class, any of the parts of v, both or nothing,
leaves a mixture of normal laws again:

    w_k(y, v)   is in proportion to w_k 1[class of k is y] N(v; n_k, W_k)                                          (1)
    x_0 | k, v  ~ N(m_k + C_k W_k^-1 (v - n_k), V_k - C_k W_k^-1 C_k^T)                                            (2)

and a part that is missing is integrated out by leaving its rows and columns away. The denoiser is then that of a
mixture, equations (2) and (3) of `oracles`, with means and weights of the item's own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from .foundations.errors import UserError, unknown
from .processes.gaussian import Gaussian


class _Mixture(NamedTuple):
    """One mixture for each item, of components with axes of their own."""

    log_weights: Tensor  # (B, K)
    means: Tensor  # (B, K, D)
    variances: Tensor  # (B, K, D), along the axes
    axes: Tensor  # (B, K, D, D), in columns


@dataclass(frozen=True)
class ConditionedOracle:
    """The exact denoiser of p(x given y), with y a class, named vectors, both, or nothing, item by item.

    Attributes:
        process: the forward process.
        means: (K, D + E): of each component, x's D values and then those of the vectors in their order.
        covariances: (K, D + E, D + E), positive definite.
        vectors: names and sizes of the vectors, which add up to E.
        weights: (K,), positive; normalised here. Uniform if None.
        labels: (K,) int64, the class of each component; -1 asks for none. None: no classes.

    Raises:
        UserError: shapes that do not fit one another, or a covariance that is none; at a call, a condition or class
            that the law does not know.

    >>> from pellucid import SCHEDULES, Gaussian
    >>> joint = torch.tensor([[[1.0, 0.6], [0.6, 1.0]]])
    >>> law = ConditionedOracle(Gaussian(SCHEDULES["vp"]()), torch.zeros(1, 2), joint, {"height": 1})
    >>> x, t = torch.zeros(2, 1), torch.tensor(1.0)
    >>> law(x, t, height=torch.tensor([[2.0], [math.nan]])).round(decimals=2)  # E[x | v = 2] = 1.2, and no condition
    tensor([[1.2000],
            [0.0000]])
    """

    process: Gaussian
    means: Tensor
    covariances: Tensor
    vectors: dict[str, int]
    weights: Tensor | None = None
    labels: Tensor | None = None

    def __post_init__(self) -> None:
        count, size = self.means.shape
        if self.covariances.shape != (count, size, size) or self.size < 1 or "label" in self.vectors:
            raise UserError(
                f"means of shape {tuple(self.means.shape)}, covariances of shape {tuple(self.covariances.shape)} and "
                f"vectors {self.vectors}: give (K, D + E), (K, D + E, D + E) and vectors of E values in all, none "
                "called label"
            )
        if bool((torch.linalg.eigvalsh(self.covariances.double()) <= 0).any()):
            raise UserError("a covariance of a component is not positive definite")
        if self.weights is not None and (self.weights.shape != (count,) or not bool((self.weights > 0).all())):
            raise UserError(f"weights must be {count} positive numbers")

    @property
    def size(self) -> int:
        """D, the number of x's values."""
        return self.means.shape[1] - sum(self.vectors.values())

    def __call__(self, x: Tensor, t: Tensor, *, label: Tensor | None = None, **vectors: Tensor | None) -> Tensor:
        """E[x_0 given x_t, y], (B, D), computed in float64.

        Args:
            x: (B, D).
            t: () or (B,).
            label: (B,); -1, or None for all, is none.
            vectors: (B, size) by name; a row with NaN, None, or one left out, is none.
        """
        mixture, noisy = self._at(x, t, label, vectors)
        alpha, sigma = self.process.scales(t.double(), x.double())
        inner = self._inner(mixture, noisy, alpha)
        total = alpha[..., None].square() * mixture.variances + sigma[..., None].square()
        share = self._log_terms(mixture, inner, total).softmax(1)
        parts = mixture.means + _turned(mixture.axes, alpha[..., None] * mixture.variances / total * inner)
        return (share[..., None] * parts).sum(1).to(x.dtype)

    def log_prob(
        self, x: Tensor, t: Tensor | float = 0.0, *, label: Tensor | None = None, **vectors: Tensor | None
    ) -> Tensor:
        """log p_t(x given y) in nats, (B,); arguments as of the call."""
        t = torch.as_tensor(t, dtype=torch.float64, device=x.device)
        mixture, noisy = self._at(x, t, label, vectors)
        alpha, sigma = self.process.scales(t, noisy)
        total = alpha[..., None].square() * mixture.variances + sigma[..., None].square()
        return self._log_terms(mixture, self._inner(mixture, noisy, alpha), total).logsumexp(1).to(x.dtype)

    def sample(self, noise: Tensor, pick: Tensor, *, label: Tensor | None = None, **vectors: Tensor | None) -> Tensor:
        """Exact draws of x_0 given y, (B, D).

        Args:
            noise: standard normal, (B, D).
            pick: uniform in [0, 1), (B,): which component.
            label, vectors: as of the call.
        """
        mixture, _ = self._at(noise, torch.zeros(()), label, vectors)
        cumulative = mixture.log_weights.exp().cumsum(1)
        k = torch.searchsorted(cumulative, (pick.double() * cumulative[:, -1])[:, None], right=True)
        k = k[:, 0].clamp_max(len(self.means) - 1)
        row = torch.arange(len(noise), device=noise.device)
        spread = mixture.variances[row, k].sqrt() * noise.double()
        return (mixture.means[row, k] + torch.einsum("bij,bj->bi", mixture.axes[row, k], spread)).to(noise.dtype)

    @cached_property
    def _places(self) -> dict[str, slice]:
        """Where each vector stands behind x."""
        ends = torch.tensor([self.size, *self.vectors.values()]).cumsum(0).tolist()
        return {name: slice(a, b) for name, a, b in zip(self.vectors, ends, ends[1:], strict=False)}

    def _at(
        self, x: Tensor, t: Tensor, label: Tensor | None, vectors: dict[str, Tensor | None]
    ) -> tuple[_Mixture, Tensor]:
        """The mixture of each item by (1) and (2), and x in float64."""
        values = self.means.new_full((len(x), self.means.shape[1]), math.nan, dtype=torch.float64)
        for name, value in vectors.items():
            if name not in self.vectors:
                raise unknown("condition", name, ["label", *self.vectors])
            if value is not None:
                whole = value.double().masked_fill(value.isnan().any(1, keepdim=True), math.nan)
                values[:, self._places[name]] = whole
        log_weights = self._log_prior(label, len(x))
        count, size = len(self.means), self.size
        found = _Mixture(
            log_weights.clone(),
            values.new_zeros(len(x), count, size),
            values.new_zeros(len(x), count, size),
            values.new_zeros(len(x), count, size, size),
        )
        patterns, which = (~values.isnan()).unique(dim=0, return_inverse=True)
        for i, known in enumerate(patterns):
            rows = which == i
            for into, part in zip(found, self._given(known, values[rows], log_weights[rows]), strict=True):
                into[rows] = part
        return found._replace(log_weights=found.log_weights.log_softmax(1)), x.double()

    def _given(self, known: Tensor, values: Tensor, log_weights: Tensor) -> _Mixture:
        """The mixtures of items of which the same entries of the vectors are known."""
        means, covariances = self.means.double(), self.covariances.double()
        x = torch.arange(len(known), device=known.device) < self.size
        prior = covariances[:, x][:, :, x]
        if bool(known.any()):
            cross, own = covariances[:, x][:, :, known], covariances[:, known][:, :, known]
            gain = torch.linalg.solve(own, cross.mT).mT
            gap = values[:, None, known] - means[:, known]
            seen = torch.distributions.MultivariateNormal(means[:, known], own).log_prob(values[:, None, known])
            log_weights = log_weights + seen
            centre = means[:, x] + torch.einsum("kij,bkj->bki", gain, gap)
            prior = prior - gain @ cross.mT
        else:
            centre = means[:, x].expand(len(values), -1, -1)
        variances, axes = torch.linalg.eigh(prior)
        return _Mixture(log_weights, centre, variances.clamp_min(0).expand_as(centre), axes.expand(*centre.shape, -1))

    def _log_prior(self, label: Tensor | None, num: int) -> Tensor:
        """log of the weights that a class leaves, (B, K), not normalised."""
        weights = torch.ones(len(self.means)).to(self.means) if self.weights is None else self.weights
        found = weights.double().log().expand(num, -1)
        if label is None:
            return found
        if self.labels is None:
            raise UserError("this oracle has no classes: make it with labels=, or leave the label out")
        absent = (label[:, None] >= 0) & (self.labels != label[:, None])
        if bool(absent.all(1).any()):
            known = sorted(set(self.labels.tolist()))
            raise UserError(f"no component has that class: this oracle's classes are {known}, and -1 for none")
        return found.masked_fill(absent, -math.inf)

    def _inner(self, mixture: _Mixture, x: Tensor, alpha: Tensor) -> Tensor:
        """x less each component's mean, along its axes, (B, K, D)."""
        return _turned(mixture.axes.mT, x[:, None] - alpha[..., None] * mixture.means)

    def _log_terms(self, mixture: _Mixture, inner: Tensor, total: Tensor) -> Tensor:
        """log of w_k N(x; alpha m_k, S_k), (B, K)."""
        squares = inner.square() / total + total.log()
        return mixture.log_weights - 0.5 * (squares.sum(-1) + self.size * math.log(2 * math.pi))


def _turned(axes: Tensor, inner: Tensor) -> Tensor:
    """A matrix for each item and component times a vector, (B, K, D)."""
    return torch.einsum("bkij,bkj->bki", axes, inner)
