r"""Any forward SDE dx = f(x, t) dt + G(t) dw on t in [0, 1], from the functions f and G that a user writes.

Everything else comes from these two. Where f is affine in x, f = A_t x + b_t, which is found out numerically, the
kernel q(x_t given x_0) is Gaussian and derived (`kernels`). With the score of p_t the same object gives the reverse SDE
and the probability-flow ODE, which have the marginals of the forward one:

    dx = (f - G G^T grad log p_t) dt + G dw~                                                                       (1)
    dx/dt = f - 1/2 G G^T grad log p_t                                                                             (2)

(Anderson, "Reverse-Time Diffusion Equation Models", 1982; Song et al., "Score-Based Generative Modeling through
Stochastic Differential Equations", 2021, equations 6 and 13, and 15 to 17 of its appendix A.)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Protocol

import torch
from torch import Tensor

from ..foundations.errors import UserError
from ..foundations.rng import Stream
from ..foundations.tensors import pad
from .kernels import ConstantKernel, Kernel, Rates, TabulatedKernel
from .schedules import Schedule

Function = Callable[[Tensor, Tensor], Tensor]  # of x, (B, *), and t, ()


class Dynamics(Protocol):
    """A forward SDE as a sampler needs it: x of shape (B, *), t of shape ()."""

    def rate(self, x: Tensor, t: Tensor) -> Tensor:
        """f(x, t), (B, *)."""
        ...

    def spread(self, noise: Tensor, t: Tensor) -> Tensor:
        """G(t) noise, (B, *)."""
        ...


@dataclass(frozen=True)
class Reverse:
    """The reverse-time SDE (1) and the probability-flow ODE (2) of a forward SDE.

    Attributes:
        dynamics: the forward SDE.
        score: grad log p_t(x), called as score(x, t).
    """

    dynamics: Dynamics
    score: Function

    def rate(self, x: Tensor, t: Tensor) -> Tensor:
        """The drift of (1), to be integrated from t to a smaller time, (B, *)."""
        return self.dynamics.rate(x, t) - self._pull(x, t)

    def flow(self, x: Tensor, t: Tensor) -> Tensor:
        """The velocity of (2), (B, *)."""
        return self.dynamics.rate(x, t) - 0.5 * self._pull(x, t)

    def spread(self, noise: Tensor, t: Tensor) -> Tensor:
        """G(t) noise, (B, *)."""
        return self.dynamics.spread(noise, t)

    def _pull(self, x: Tensor, t: Tensor) -> Tensor:
        # G is symmetric, so G G^T s is G applied twice.
        return self.dynamics.spread(self.dynamics.spread(self.score(x, t), t), t)


@dataclass(frozen=True)
class ScheduleSDE:
    """The SDE of a schedule: f = f_t x and G = g_t of its equations (2) and (3)."""

    schedule: Schedule

    def rate(self, x: Tensor, t: Tensor) -> Tensor:
        return pad(self.schedule.drift(t), x) * x

    def spread(self, noise: Tensor, t: Tensor) -> Tensor:
        return pad(self.schedule.diffusion(t), noise) * noise


@dataclass(frozen=True)
class SDE:
    """dx = f(x, t) dt + G(t) dw.

    Both functions are called with float64 tensors and t of shape (); constants inside should be float64 too.

    Attributes:
        drift: f(x, t) for x of shape (B, *shape), of the same shape; each item by itself.
        diffusion: G(t): a number for all values; (D,) one for each of the D values of an item; or (D, D), symmetric and
            positive semi-definite. Never negative.
        shape: one item's.

    Raises:
        UserError: a function that fails, returns another shape, a number that is not finite, or a matrix of no use.

    >>> decay = SDE(lambda x, t: -x, lambda t: 2.0**0.5 + 0 * t, shape=(3,))
    >>> decay.structure
    'scalar'
    >>> decay.schedule.alpha(torch.tensor(1.0))
    tensor(0.3679)
    """

    drift: Function
    diffusion: Callable[[Tensor], Tensor]
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.shape or min(self.shape) < 1:
            raise UserError(f"shape {self.shape}: give the positive sizes of one item, such as (2,)")
        for t in _TIMES:
            self.root(t)
            self.rate(_probes(self.size), t)

    @property
    def size(self) -> int:
        """D, the number of values of an item."""
        return math.prod(self.shape)

    def rate(self, x: Tensor, t: Tensor) -> Tensor:
        """f(x, t), checked, in x's precision: (B, *shape) or (B, D)."""
        items = x.double().reshape(-1, *self.shape)
        try:
            found = self.drift(items, t.double().to(x.device))
        except (RuntimeError, TypeError, ValueError, IndexError) as error:
            raise UserError(
                f"the drift f(x, t) failed for x of shape {tuple(items.shape)} and float64, t of shape (): {error}"
            ) from error
        if not isinstance(found, Tensor) or found.shape != items.shape:
            got = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise UserError(f"the drift f(x, t) must return x's shape {tuple(items.shape)}, got {got}")
        if not bool(found.isfinite().all()):
            raise UserError(
                f"the drift f(x, t) is not finite at t = {t.item():.6g} (|x| up to {items.abs().max():.3g}): "
                "restrain its growth, or take shorter steps"
            )
        return found.to(x.dtype).reshape(x.shape)

    def root(self, t: Tensor) -> Tensor:
        """G(t), checked, float64: shape (), (D,) or (D, D); t of shape ()."""
        try:
            found = torch.as_tensor(self.diffusion(t.double()), dtype=torch.float64)
        except (RuntimeError, TypeError, ValueError, IndexError) as error:
            raise UserError(f"the diffusion g(t) failed for t of shape () and float64: {error}") from error
        size, now = self.size, f"at t = {t.item():.6g}"
        if found.shape not in ((), (size,), (size, size)):
            raise UserError(
                f"the diffusion g(t) must be a number, ({size},) or ({size}, {size}) for items of shape {self.shape}, "
                f"got {tuple(found.shape)}"
            )
        if not bool(found.isfinite().all()):
            raise UserError(f"the diffusion g(t) is not finite {now}")
        if found.ndim < 2:
            if bool((found < 0).any()):
                raise UserError(f"the diffusion g(t) is negative {now} ({found.min():.6g}): give its absolute value")
            return found
        scale = found.abs().max()
        if not torch.allclose(found, found.T, rtol=0, atol=1e-10 * float(scale)):
            raise UserError(f"the diffusion g(t) is not symmetric {now}: give the symmetric root of G G^T")
        lowest = torch.linalg.eigvalsh(found)[0]
        if lowest < -1e-10 * scale:
            raise UserError(
                f"the diffusion g(t) is not positive semi-definite {now}: its smallest eigenvalue is {lowest:.6g}"
            )
        return found

    def spread(self, noise: Tensor, t: Tensor) -> Tensor:
        """G(t) noise, in noise's shape (B, *shape) or (B, D) and precision."""
        root = self.root(t).to(noise)
        flat = noise.reshape(len(noise), -1)
        return (flat @ root if root.ndim == 2 else root * flat).reshape(noise.shape)

    def reverse(self, score: Function) -> Reverse:
        """The reverse SDE and the probability-flow ODE under a score, called as score(x, t)."""
        return Reverse(self, score)

    @cached_property
    def structure(self) -> str:
        """How f and G act: "scalar" (one number for all values), "diagonal" (one for each), "matrix", or "nonlinear"
        where f is not affine in x. An offset b(t) does not count; see `has_offset`."""
        found = [self._structure_at(t) for t in _TIMES]
        return max(found, key=_STRUCTURES.index)

    @cached_property
    def has_offset(self) -> bool:
        """Whether f(0, t) is not zero."""
        zero = torch.zeros(1, *self.shape, dtype=torch.float64)
        return any(bool(self.rate(zero, t).any()) for t in _TIMES)

    @cached_property
    def kernel(self) -> Kernel:
        """The Gaussian law of x_t given x_0.

        Raises:
            UserError: a drift that is not affine in x.
        """
        if self.structure == "nonlinear":
            raise UserError(
                "the drift f(x, t) is not affine in x, so q(x_t given x_0) has no closed form: simulate paths and "
                "learn the score from them (sliced score matching)"
            )
        found = [self._rates(t) for t in _FINE_TIMES]
        first = found[0]
        if all(torch.allclose(a, b, rtol=1e-14, atol=0) for r in found for a, b in zip(r, first, strict=True)):
            return ConstantKernel(first)
        return TabulatedKernel(self._rates)

    @cached_property
    def schedule(self) -> SDESchedule:
        """alpha(t) and sigma(t) of a scalar SDE: with it every part of the library works on this SDE.

        Raises:
            UserError: an SDE that is not scalar, or has an offset.
        """
        if self.structure != "scalar" or self.has_offset:
            offset = " with an offset" if self.has_offset else ""
            raise UserError(
                f"a schedule needs f = f(t) x and one number g(t); this SDE is {self.structure}{offset}: "
                + ("use MatrixGaussian(sde)" if self.structure != "nonlinear" else "use SimulatedSDE(sde, ...)")
            )
        return SDESchedule(self)

    @property
    def blocks(self) -> tuple[int, int]:
        """(K, d) of `kernels`: how many blocks of which size do not interact."""
        if self.structure == "matrix":
            return 1, self.size
        return (1, 1) if self.structure == "scalar" and not self.has_offset else (self.size, 1)

    def _structure_at(self, t: Tensor) -> str:
        x = _probes(self.size)
        origin = self.rate(torch.zeros_like(x[:1]), t)
        moved = self.rate(x, t) - origin
        # Affine: f(x + y) - f(0) is the sum of the parts', for pairs of all sizes. Round-off stays below 1e-9.
        scale = moved.abs().amax(1, keepdim=True) + origin.abs().max()
        pairs = self.rate(x + x.roll(1, 0), t) - origin - moved - moved.roll(1, 0)
        if bool((pairs.abs() > 1e-9 * (scale + scale.roll(1, 0))).any()):
            return "nonlinear"
        root = self.root(t)
        if root.ndim == 2 and bool((root - root.diagonal().diag()).any()):
            return "matrix"
        gains = moved / x
        # A gain is known to 1e-16 of the largest value in its item, divided by its own.
        unsure = 1e-9 * scale / x.abs()
        if bool(((gains - gains[:1]).abs() > unsure + unsure[:1]).any()):
            return "matrix"
        noise = root.diagonal() if root.ndim == 2 else root.expand(self.size)
        same = bool(((gains - gains[:, :1]).abs() <= unsure + unsure[:, :1]).all()) and bool((noise == noise[0]).all())
        return "scalar" if same else "diagonal"

    def _rates(self, t: Tensor) -> Rates:
        """A, b and G G^T at t in the shapes of `kernels`, with a proof by probes that they are all there is."""
        count, size = self.blocks
        zero, probes = torch.zeros(1, self.size, dtype=torch.float64), _probes(self.size)[:2]
        basis = torch.eye(self.size, dtype=torch.float64) if size > 1 else torch.ones_like(zero)
        found = self.rate(torch.cat([zero, probes, basis]), t)
        origin, seen, columns = found[:1], found[1:3], found[3:] - found[:1]
        root = self.root(t)
        if size > 1:
            linear = columns.T[None]
            square = (root @ root if root.ndim == 2 else root.expand(self.size).square().diag())[None]
        else:
            root = root.diagonal() if root.ndim == 2 else root.expand(self.size)
            linear, square = columns[0][:count, None, None], root.square()[:count, None, None]
        offset = origin.reshape(count, size) if count * size == self.size else zero[:, :1]
        expected = origin + (linear @ probes.reshape(2, -1, size, 1)).reshape(2, -1)
        if not torch.allclose(seen, expected, rtol=1e-8, atol=1e-8 * float(seen.abs().max())):
            raise UserError(f"the drift f(x, t) looked {self.structure} at some times, but not at t = {t.item():.6g}")
        return Rates(linear, offset, square)


@dataclass(frozen=True)
class SDESchedule(Schedule):
    """The schedule of a scalar SDE: alpha = Phi and sigma^2 = Sigma of its kernel."""

    sde: SDE

    def alpha(self, t: Tensor) -> Tensor:
        found = self.sde.kernel.moments(t).phi[..., 0, 0, 0]
        return torch.where(t.cpu() > 0, found, 1.0).to(t)  # 1 to the last digit: a table has round-off

    def sigma(self, t: Tensor) -> Tensor:
        variance = self.sde.kernel.moments(t).covariance[..., 0, 0, 0]
        # The root's slope at 0 is infinite; a clamp keeps the number exact and the gradient finite.
        return torch.where(t.cpu() > 0, variance.clamp_min(torch.finfo(torch.float64).tiny).sqrt(), 0.0).to(t)

    def drift(self, t: Tensor) -> Tensor:
        """The user's own f."""
        return self.sde.kernel.rates(t).linear[..., 0, 0, 0].to(t)

    def diffusion(self, t: Tensor) -> Tensor:
        """The user's own g."""
        return self.sde.kernel.rates(t).noise[..., 0, 0, 0].clamp_min(0).sqrt().to(t)


_STRUCTURES = ["scalar", "diagonal", "matrix", "nonlinear"]
# Incommensurable places, so that nothing periodic hides between them.
_TIMES = [torch.tensor(t, dtype=torch.float64) for t in (0.0, 0.0871, 0.2393, 0.4142, 0.6180, 0.8611, 1.0)]
_FINE_TIMES = [torch.tensor(((i * 0.6180339887) % 1), dtype=torch.float64) for i in range(33)]


@cache
def _probes(size: int) -> Tensor:
    """States of sizes 0.1 to 30, where a drift is looked at, (8, D)."""
    noise = Stream.of(0, range(8)).normal((size,), step=0)[0, 0].double()
    return noise * torch.tensor([1.0, 0.1, 1.0, 3.0, 10.0, 30.0, 3.0, 1.0], dtype=torch.float64)[:, None]
