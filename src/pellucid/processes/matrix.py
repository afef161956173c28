r"""The Gaussian process of an affine SDE whose kernel is a matrix, where the data may be only a part of the state.

With Phi, m and Sigma of `kernels`, H_0 the covariance of the state's hidden part at t = 0 (zero where data are) and
S_t = Sigma_t + Phi_t H_0 Phi_t^T,

    q(x_t | x_0) = N(Phi_t x_0 + m_t, S_t),  L_t L_t^T = S_t                                                       (1)
    y = W_t x_0 + z,  y = L_t^-1 (x_t - m_t),  W_t = L_t^-1 Phi_t,  z ~ N(0, I)                                    (2)

where x_0 is zero in its hidden part, whose randomness belongs to the kernel: for critically damped Langevin dynamics,
data are positions and velocities are drawn (Dockhorn et al., "Score-Based Generative Modeling with Critically-Damped
Langevin Diffusion", 2022, section 3.2: hybrid score matching). All that a network or a sampler needs is read off (2):
the score is -L_t^-T E[z], and for data of covariance C the best affine denoiser is R_t W_t^T y with
R_t = (C^-1 + W_t^T W_t)^-1. With Phi_{t|s} = Phi_t Phi_s^-1 and M = L_t^-1 Phi_{t|s} L_s, s < t,

    q(x_t | x_s) = N(Phi_{t|s} (x_s - m_s) + m_t, Sigma_t - Phi_{t|s} Sigma_s Phi_{t|s}^T)                         (3)
    q(x_s | x_t, x_0) = N(Phi_s x_0 + m_s + L_s M^T z_t, L_s (I - M^T M) L_s^T),  z_t = y - W_t x_0                (4)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..foundations.errors import UserError
from ..foundations.rng import Stream
from .base import Process
from .sde import SDE


@dataclass(frozen=True)
class MatrixGaussian(Process):
    """The process of an affine SDE; states are (B, *sde.shape), and so is x_0, zero in its hidden part.

    Attributes:
        sde: any SDE whose drift is affine.
        hidden: variances of the hidden part at t = 0, of the state's shape, zero where the data are; None: the data are
            the whole state.
        mean: the data's mean, of the state's shape; None: zero. With `covariance` it fixes the prior and the scales of
            networks and losses, not the process.
        covariance: the data's covariance, (D, D) for D state values (rows and columns of the hidden part are ignored);
            None: the identity.

    Raises:
        UserError: a drift that is not affine; wrong shapes; a kernel that leaves a direction without noise.
    """

    sde: SDE
    hidden: Tensor | None = None
    mean: Tensor | None = None
    covariance: Tensor | None = None

    def __post_init__(self) -> None:
        size, shape = self.sde.size, self.sde.shape
        for name in ("hidden", "mean"):
            value = getattr(self, name)
            if value is not None and value.shape != shape:
                raise UserError(f"{name} must have the state's shape {shape}, got {tuple(value.shape)}")
        if self.hidden is not None and (bool((self.hidden < 0).any()) or bool((self.hidden > 0).all())):
            raise UserError("hidden holds variances: zero where the data are (somewhere), positive elsewhere")
        if self.hidden is not None and self.sde.structure != "matrix":
            raise UserError(f"a hidden part must be coupled to the data, but this SDE is {self.sde.structure}")
        if self.covariance is not None and self.covariance.shape != (size, size):
            raise UserError(f"covariance must have the shape {(size, size)}, got {tuple(self.covariance.shape)}")
        one = torch.ones((), dtype=torch.float64)
        _, failed = torch.linalg.cholesky_ex(self.sde.kernel.moments(one).covariance + self._blocks(self._hidden()))
        if bool(failed.any()):
            raise UserError(
                "the SDE leaves a direction without noise at t = 1, so its kernel has no density: "
                "give every value noise through g(t), or couple it by f to one that has"
            )

    # --- the data's place in the state

    def augment(self, data: Tensor) -> Tensor:
        """Data (B, n) or (B, *) with as many values as are not hidden, as x_0 of the state's shape (B, *sde.shape)."""
        flat = data.flatten(1)
        seen = self._observed()
        if flat.shape[1] != int(seen.sum()):
            raise UserError(f"the state has {int(seen.sum())} observed values, the data {flat.shape[1]}")
        state = flat.new_zeros(len(flat), self.sde.size)
        state[:, seen.to(flat.device)] = flat
        return state.reshape(-1, *self.sde.shape)

    def project(self, x: Tensor) -> Tensor:
        """The observed values of states (B, *), as (B, n)."""
        return x.flatten(1)[:, self._observed().to(x.device)]

    # --- the process

    def draw(
        self, stream: Stream, shape: Sequence[int], *, step: int, num_steps: int = 1, num_draws: int = 1
    ) -> Tensor:
        return stream.normal(shape, step=step, num_steps=num_steps, num_draws=num_draws)

    def prior(self, noise: Tensor) -> Tensor:
        """The Gaussian of the exact mean and covariance of x_1 for data of `mean` and `covariance`."""
        mean, covariance = self.end()
        return self.state(mean + _apply(torch.linalg.cholesky(covariance), self._items(noise)), noise)

    def corrupt(self, x0: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """Equation (1)."""
        phi, mean, root = self.roots(t)
        return self.state(_apply(phi, self._seen(x0)) + mean + _apply(root, self._items(noise)), x0)

    def bridge(self, x: Tensor, x0: Tensor, t: Tensor, s: Tensor, noise: Tensor) -> Tensor:
        """Equation (4)."""
        phi_t, mean_t, root_t = self.roots(t)
        phi_s, mean_s, root_s = self.roots(s)
        start = self._seen(x0)
        step = phi_t @ torch.linalg.inv(phi_s)
        m = torch.linalg.solve_triangular(root_t, step @ root_s, upper=False)
        z = _solve(root_t, self._items(x) - mean_t - _apply(phi_t, start))
        identity = torch.eye(m.shape[-1], dtype=m.dtype)
        fresh = _apply(symmetric_root(identity - m.mT @ m), self._items(noise))
        return self.state(_apply(phi_s, start) + mean_s + _apply(root_s, _apply(m.mT, z) + fresh), x)

    def renoise(self, x: Tensor, s: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """Equation (3)."""
        before, after = (self.sde.kernel.moments(u) for u in (s, t))
        step = after.phi @ torch.linalg.inv(before.phi)
        root = symmetric_root(after.covariance - step @ before.covariance @ step.mT)
        moved = _apply(step, self._items(x) - before.mean) + after.mean
        return self.state(moved + _apply(root, self._items(noise)), x)

    def loss(self, prediction: Tensor, x0: Tensor, t: Tensor) -> Tensor:
        """e^T R_t^-1 e over the observed values, averaged, shape (B,): unit weight on the output of a network under
        the best affine denoiser, which for a scalar SDE is the "edm" weighting (Karras et al. 2022, table 1)."""
        error = self._seen(prediction) - self._seen(x0)
        weighted = _apply(self.gains(t), error).square() + error * _apply(self._precision(), error)
        return (weighted.flatten(1).sum(1) / int(self._observed().sum())).to(prediction)

    def prior_kl(self, x0: Tensor) -> Tensor:
        one = torch.ones((), dtype=torch.float64)
        phi, shift, root = self.roots(one)
        mean, covariance = self.end()
        prior_root = torch.linalg.cholesky(covariance)
        # Over a block that stands for all values alike, sums run over the state's values.
        ratio = torch.linalg.solve_triangular(prior_root, root, upper=False)
        per_block = ratio.square().sum((-2, -1)) - ratio.shape[-1] - 2 * _log_diagonal(ratio)
        away = _solve(prior_root, _apply(phi, self._seen(x0)) + shift - mean)
        copies = self.sde.size // (ratio.shape[0] * ratio.shape[-1])
        return 0.5 * (away.flatten(1).square().sum(1) + copies * per_block.sum())

    def prior_bits_per_dim(self, second_moment: float = 1.0) -> float:
        """The mean of `prior_kl` in bits per observed value, for white data of zero mean and this second moment."""
        nothing = self.prior_kl(torch.zeros(1, *self.sde.shape, dtype=torch.float64)).item()
        # The divergence is quadratic in x_0: its mean is its value at zero plus half the trace of its curvature.
        phi, _, _ = self.roots(torch.ones((), dtype=torch.float64))
        root = torch.linalg.cholesky(self.end()[1])
        pull = (torch.linalg.solve_triangular(root, phi, upper=False) * self._columns()).square().sum().item()
        per_block, count = phi.shape[0] * phi.shape[-1], int(self._observed().sum())
        return (nothing + 0.5 * second_moment * pull * self.sde.size / per_block) / (count * math.log(2))

    # --- equation (2): everything in the frame where the noise is white

    def roots(self, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Phi_t (*T, K, d, d), m_t (*T, K, d) and L_t (*T, K, d, d), lower triangular, in float64."""
        phi, mean, covariance = self.sde.kernel.moments(t)
        hidden = self._blocks(self._hidden())
        start = (t.double().cpu() <= 0)[..., None, None, None]
        # At t = 0 only hidden values are random, and a Cholesky factor of a singular matrix is not to be had.
        safe = torch.where(start, torch.eye(phi.shape[-1], dtype=torch.float64), covariance + phi @ hidden @ phi.mT)
        return phi, mean, torch.where(start, hidden.sqrt(), torch.linalg.cholesky(safe))

    def whiten(self, x: Tensor, t: Tensor) -> Tensor:
        """y of equation (2), float64, (B, K', d) with K' d = D; t > 0."""
        _, mean, root = self.roots(t)
        return _solve(root, self._items(x) - mean)

    def gains(self, t: Tensor) -> Tensor:
        """W_t of equation (2) with the hidden columns zero, (*T, K, d, d); t > 0."""
        phi, _, root = self.roots(t)
        return torch.linalg.solve_triangular(root, phi, upper=False) * self._columns()

    def residual(self, t: Tensor) -> Tensor:
        """R_t, the covariance of x_0 given x_t for Gaussian data, (*T, K, d, d); hidden rows and columns are zero."""
        gains = self.gains(t)
        inner = torch.linalg.inv(self._precision() + gains.mT @ gains + self.hidden_blocks())
        return inner * self._columns() * self._columns().mT

    def hidden_blocks(self) -> Tensor:
        """1 on the diagonal at hidden values, else 0, (K, d, d): added, it makes matrices over x_0 invertible."""
        return torch.diag_embed(1 - self._columns()[..., 0, :])

    def noise_level(self, t: Tensor) -> Tensor:
        """What a network is told of the time, of t's shape: -log det(W^T W)/8 per observed value, which for a scalar
        SDE is log(sigma/alpha)/4; t > 0."""
        gains = self.gains(t)
        return -(gains.mT @ gains + self.hidden_blocks()).logdet().sum(-1) / (8 * self._columns().sum())

    def standardise(self, x: Tensor, t: Tensor) -> Tensor:
        """x_t brought to zero mean and unit covariance, for data of `mean` and `covariance`, (B, *)."""
        phi, shift, root = self.roots(t)
        total = torch.linalg.cholesky(root @ root.mT + phi @ self._data() @ phi.mT)
        return self.state(_solve(total, self._items(x) - shift - _apply(phi, self.center())), x)

    def score(self, x: Tensor, x0: Tensor, t: Tensor) -> Tensor:
        """The score -L_t^-T (y - W_t x_0) of a denoised estimate x0 = E[x_0 given x_t], (B, *); t > 0."""
        phi, mean, root = self.roots(t)
        z = _solve(root, self._items(x) - mean - _apply(phi, self._seen(x0)))
        return self.state(-torch.linalg.solve_triangular(root.mT, z[..., None], upper=True)[..., 0], x)

    def end(self) -> tuple[Tensor, Tensor]:
        """Mean (K', d) and covariance (K, d, d) of x_1 for data of `mean` and `covariance`."""
        one = torch.ones((), dtype=torch.float64)
        phi, shift, root = self.roots(one)
        return _apply(phi, self.center()) + shift, root @ root.mT + phi @ self._data() @ phi.mT

    # --- shapes

    def _items(self, x: Tensor) -> Tensor:
        """States (B, *) as blocks (B, K', d), float64 on the CPU, where the kernel is."""
        return x.double().cpu().reshape(len(x), -1, self.sde.blocks[1])

    def state(self, items: Tensor, like: Tensor) -> Tensor:
        """Blocks (B, K', d) as states (B, *sde.shape), in the place and precision of `like`."""
        return items.to(like).reshape(-1, *self.sde.shape)

    def _seen(self, x0: Tensor) -> Tensor:
        return self._items(x0) * self._observed().reshape(-1, self.sde.blocks[1])

    def _hidden(self) -> Tensor:
        if self.hidden is None:
            return torch.zeros(self.sde.size, dtype=torch.float64)
        return self.hidden.double().cpu().flatten()

    def _observed(self) -> Tensor:
        return self._hidden() == 0

    def _columns(self) -> Tensor:
        """1 for observed and 0 for hidden columns, (K, 1, d)."""
        return self._per_block(self._observed().double())[:, None, :]

    def center(self) -> Tensor:
        """The data's mean, (K', d)."""
        mean = torch.zeros(self.sde.size, dtype=torch.float64) if self.mean is None else self.mean.double().cpu()
        return mean.reshape(-1, self.sde.blocks[1])

    def _per_block(self, values: Tensor) -> Tensor:
        """(D,) as (K, d); where one block stands for all values, their mean."""
        count, size = self.sde.blocks
        return values.reshape(-1, size) if count * size == self.sde.size else values.mean()[None, None]

    def _blocks(self, diagonal: Tensor) -> Tensor:
        return torch.diag_embed(self._per_block(diagonal))

    def _covariance(self) -> Tensor:
        """The data's covariance within the blocks, (K, d, d)."""
        if self.covariance is None:
            return self._blocks(torch.ones(self.sde.size, dtype=torch.float64))
        whole = self.covariance.double().cpu()
        return whole[None] if self.sde.blocks == (1, self.sde.size) else self._blocks(whole.diagonal())

    def _data(self) -> Tensor:
        return self._covariance() * self._columns() * self._columns().mT

    def _precision(self) -> Tensor:
        """C^-1 of the observed values, zero elsewhere, (K, d, d)."""
        columns = self._columns()
        seen = columns * columns.mT
        return torch.linalg.inv(self._covariance() * seen + torch.diag_embed(1 - columns[:, 0])) * seen


def symmetric_root(matrix: Tensor) -> Tensor:
    """The symmetric root of positive semi-definite matrices, round-off below zero taken as zero."""
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * values.clamp_min(0).sqrt()[..., None, :]) @ vectors.mT


def _apply(matrix: Tensor, items: Tensor) -> Tensor:
    """Matrices (*T, K, d, d) on items (B, K', d), T being () or (B,); K = 1 serves all blocks."""
    return (matrix @ items[..., None])[..., 0]


def _solve(root: Tensor, items: Tensor) -> Tensor:
    """Lower triangular systems, shapes as in `_apply`."""
    return torch.linalg.solve_triangular(root, items[..., None], upper=False)[..., 0]


def _log_diagonal(triangular: Tensor) -> Tensor:
    return triangular.diagonal(dim1=-2, dim2=-1).abs().log().sum(-1)
