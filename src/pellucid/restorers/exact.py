r"""The exact posterior of a mixture of Gaussians under a linear observation.

For x_0 ~ sum_k w_k N(m_k, V_k) and y = A x_0 + n, n ~ N(0, sigma^2 I), with S_k = A V_k A' + sigma^2 I,

    p(x_0 | y) = sum_k w_k' N(m_k + V_k A' S_k^-1 (y - A m_k), V_k - V_k A' S_k^-1 A V_k)                          (1)
    w_k' proportional to w_k N(y; A m_k, S_k)                                                                      (2)

Draws need no covariance: with x from component k of the prior and n from the noise,

    x + V_k A' S_k^-1 (y - A x - n)                                                                                (3)

has the law of component k of (1) (Hoffman and Ribak, "Constrained Realizations of Gaussian Fields: A Simple
Algorithm", 1991). Isotropic components, V_k = v_k I, share the singular system of A; then all costs are those of A.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ..foundations.errors import UserError
from ..operators.base import Operator, SingularSystem
from ..oracles import MixtureOracle
from .base import Observation

_DENSE = 2048  # values of an item up to which a matrix is decomposed where an operator gives no singular system


def matrix_of(operator: Operator, like: Tensor) -> Tensor:
    """A as a matrix, (M, D), of the type and on the device of `like`."""
    unit = torch.eye(operator.size, dtype=like.dtype, device=like.device)
    return operator.forward(unit.reshape(-1, *operator.bound_shape)).flatten(1).T


def has_spectrum(operator: Operator) -> bool:
    """Whether `spectrum` gives the operator's singular system."""
    return operator.system is not None or operator.size <= _DENSE


def spectrum(operator: Operator, like: Tensor) -> SingularSystem:
    """The singular system of a bound operator: its own, or that of its matrix in float64.

    Raises:
        UserError: an operator without a system of its own on items of more than 2,048 values.
    """
    if operator.system is not None:
        return operator.system
    if not has_spectrum(operator):
        raise UserError(
            f"{type(operator).__name__} has no singular system in closed form, and items of {operator.size:,} values "
            f"are too large for its matrix (at most {_DENSE:,})"
        )
    matrix = matrix_of(operator, like.double())
    # All of V is needed, of U only what A reaches.
    left, values, right = torch.linalg.svd(matrix, full_matrices=len(matrix) < operator.size)
    rank, size, shape, out = len(values), operator.size, operator.bound_shape, operator.out_shape
    padded = torch.cat([values, values.new_zeros(size - rank)])

    def padding(y: Tensor) -> Tensor:
        coefficients = y.flatten(1) @ left[:, :rank].to(y)
        return torch.cat([coefficients, coefficients.new_zeros(len(y), size - rank)], 1)

    return SingularSystem(
        padded,
        v=lambda x: x.flatten(1) @ right.T.to(x),
        v_inverse=lambda c: (c @ right.to(c)).reshape(-1, *shape),
        u=padding,
        u_inverse=lambda c: (c[:, :rank] @ left[:, :rank].T.to(c)).reshape(-1, *out),
    )


@dataclass(frozen=True, eq=False)
class MixturePosterior:
    """Equation (1), for each item of an observation.

    Attributes:
        law: the prior. Its process plays no part.
        observation: y for B items, with the noise's standard deviation.

    Raises:
        UserError: items of another shape than the law's; a law of points seen without noise.
    """

    law: MixtureOracle
    observation: Observation

    def __post_init__(self) -> None:
        shape, expected = self.observation.operator.bound_shape, tuple(self.law.means.shape[1:])
        if shape != expected:
            raise UserError(f"the law's items have the shape {expected}, the operator's {shape}")
        if self.observation.noise == 0 and not bool((self.law.variances > 0).all()):
            raise UserError("seen without noise, a law of points has no posterior density: give noise > 0")

    @cached_property
    def log_weights(self) -> Tensor:
        """log w_k' of (2), normalised, (B, K), float64."""
        return (self.law._log_weights() + self._log_normal).log_softmax(1)

    @cached_property
    def log_evidence(self) -> Tensor:
        """log p(y), (B,), in nats; where there is no noise, of the part of y within the range of A."""
        return (self.law._log_weights() + self._log_normal).logsumexp(1)

    def mean(self) -> Tensor:
        """E[x_0 given y], (B, *)."""
        share = self.log_weights.exp()
        means = self.law.means.double()
        if not self._isotropic:
            gap = self._y.flatten(1)[:, None] - self._seen_means.flatten(1)
            moved = means.flatten(1) + torch.einsum("kdm,bkm->bkd", self._gains, gap)
            return (share[..., None] * moved).sum(1).reshape(-1, *means.shape[1:])
        variances = self.law.variances.double()
        total = torch.zeros(len(self._y), *means.shape[1:], dtype=torch.float64, device=means.device)
        for variance in variances.unique():
            # Equal gains: the sum over components passes through the affine map.
            some = share * (variances == variance)
            mass, middle = some.sum(1), torch.einsum("bk,k...->b...", some, means)
            seen = self._operator.forward(middle)
            total += middle + self._isotropic_gain(mass.reshape(-1, *[1] * (seen.ndim - 1)) * self._y - seen, variance)
        return total

    def sample(self, noise: Tensor, pick: Tensor, error: Tensor) -> Tensor:
        """One exact draw for each item of the observation, (B, *), by equation (3).

        Args:
            noise: standard normal, (B, *).
            pick: uniform in [0, 1), (B,): which component.
            error: standard normal, (B, *out_shape).
        """
        cumulative = self.log_weights.exp().cumsum(1)
        k = torch.searchsorted(cumulative, (pick.double() * cumulative[:, -1])[:, None], right=True)[:, 0]
        k = k.clamp_max(len(self.law.means) - 1)
        spread = self.law._axes_variances()[k].sqrt() * noise.flatten(1).double()
        if self.law.bases is not None:
            spread = torch.einsum("bdi,bi->bd", self.law.bases[k].double(), spread)
        x = self.law.means[k].double() + spread.reshape(noise.shape)
        gap = self._y - self._operator.forward(x) - self.observation.noise * error.double()
        if self._isotropic:
            moved = x + self._isotropic_gain(gap, self.law.variances.double()[k])
        else:
            moved = x + torch.einsum("bdm,bm->bd", self._gains[k], gap.flatten(1)).reshape(x.shape)
        return moved.to(noise.dtype)

    @property
    def _isotropic(self) -> bool:
        return self.law.bases is None and self.law.variances.ndim == 1

    @property
    def _operator(self) -> Operator:
        return self.observation.operator

    @cached_property
    def _y(self) -> Tensor:
        return self.observation.y.double()

    @cached_property
    def _seen_means(self) -> Tensor:
        return self._operator.forward(self.law.means.double())

    @cached_property
    def _system(self) -> SingularSystem:
        return spectrum(self._operator, self._y[:0])

    def _isotropic_gain(self, gap: Tensor, variance: Tensor) -> Tensor:
        """v A' (v A A' + sigma^2 I)^-1 gap; `variance` a number or (B,)."""
        values = self._system.values.double()
        variance = variance.reshape(-1, 1)
        total = variance * values.square() + self.observation.noise**2
        share = torch.where(self._system.kept, variance * values / total.clamp_min(1e-300), 0)
        return self._system.v_inverse(self._system.u(gap) * share)

    @cached_property
    def _log_normal(self) -> Tensor:
        """log N(y; A m_k, S_k), (B, K)."""
        return self._log_normal_isotropic() if self._isotropic else self._log_normal_dense()

    def _log_normal_isotropic(self) -> Tensor:
        system, noise = self._system, self.observation.noise
        seen, means = system.u(self._y), system.u(self._seen_means)
        kept, squares = system.kept, system.values.double().square()
        variances = self.law.variances.double()
        found = seen.new_zeros(len(seen), len(means))
        for variance in variances.unique():
            some = variances == variance
            total = (variance * squares + noise**2)[kept]
            # In float64 the expanded square keeps its digits.
            a, b = seen[:, kept] / total.sqrt(), means[some][:, kept] / total.sqrt()
            square = (a.square().sum(1, keepdim=True) - 2 * a @ b.T + b.square().sum(1)).clamp_min(0)
            found[:, some] = -0.5 * (square + total.log().sum() + len(total) * math.log(2 * math.pi))
        if noise == 0:
            return found
        # Outside the range of A there is noise alone, the same for all components.
        outside = (self._y - system.u_inverse(seen * kept)).flatten(1).square().sum(1)
        count = self._y[0].numel() - int(kept.sum())
        rest = -0.5 * (outside / noise**2 + count * math.log(2 * math.pi * noise**2))
        return found + rest[:, None]

    @cached_property
    def _dense(self) -> tuple[Tensor, Tensor]:
        """V_k A', (K, D, M), and the Cholesky factors of S_k, (K, M, M)."""
        matrix = matrix_of(self._operator, self._y)
        scaled = self.law._axes_variances().sqrt()
        basis = None if self.law.bases is None else self.law.bases.double()
        root = torch.diag_embed(scaled) if basis is None else basis * scaled[:, None, :]
        seen = matrix @ root
        covariance = seen @ seen.mT
        covariance.diagonal(dim1=-2, dim2=-1).add_(self.observation.noise**2)
        factor, failed = torch.linalg.cholesky_ex(covariance)
        if bool(failed.any()):
            raise UserError("some component's observation has no density: the operator repeats itself; give noise > 0")
        return root @ seen.mT, factor

    @cached_property
    def _gains(self) -> Tensor:
        cross, factor = self._dense
        return torch.cholesky_solve(cross.mT, factor).mT

    def _log_normal_dense(self) -> Tensor:
        _, factor = self._dense
        gap = self._y.flatten(1)[:, None] - self._seen_means.flatten(1)
        white = torch.linalg.solve_triangular(factor, gap.permute(1, 2, 0), upper=False)
        half = factor.diagonal(dim1=-2, dim2=-1).log().sum(1)
        return -(0.5 * white.square().sum(1).T + half + 0.5 * gap.shape[2] * math.log(2 * math.pi))


def posterior(law: MixtureOracle, observation: Observation) -> MixturePosterior:
    """p(x_0 given y) in closed form, where the prior is a mixture of Gaussians."""
    return MixturePosterior(law, observation)
