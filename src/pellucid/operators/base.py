r"""What a linear operator is: y = A x for items x of any shape, with all that restoration asks of A.

A subclass gives `forward`. The rest follows: the adjoint by automatic differentiation, the pseudo-inverse by conjugate
gradients. Where the singular system A = U S V' is known, a subclass gives it, and everything below is exact and fast.

Operators know no shape until they meet one: `Downsample(4)` serves every picture, and `Downsample(4).on((3, 64, 64))`
is bound to one. Called on a batch, an operator binds itself.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import ClassVar, Self

import torch
from torch import Tensor

from ..foundations.errors import UserError
from ..foundations.rng import Stream
from ..foundations.tensors import pad
from .solve import conjugate_gradients, least_squares

_CUTOFF = 1e-6  # singular values below this share of the largest count as zero


@dataclass(frozen=True)
class SingularSystem:
    """A = U S V' with orthonormal V (D x D) and U; D is the number of values in an item.

    Attributes:
        values: (D,) singular values in the order of the coefficients, not sorted, >= 0; zero where A loses a direction.
        v: V' x, (B, *shape) to (B, D).
        v_inverse: V c, (B, D) to (B, *shape).
        u: U' y, (B, *out_shape) to (B, D); zero where the singular value is.
        u_inverse: U c, (B, D) to (B, *out_shape); coefficients where the singular value is zero are ignored.
    """

    values: Tensor
    v: Callable[[Tensor], Tensor]
    v_inverse: Callable[[Tensor], Tensor]
    u: Callable[[Tensor], Tensor]
    u_inverse: Callable[[Tensor], Tensor]

    @cached_property
    def kept(self) -> Tensor:
        """(D,) bool: the directions that A keeps."""
        return self.values > _CUTOFF * self.values.max()

    @cached_property
    def inverses(self) -> Tensor:
        """(D,) 1/s, and zero where A loses the direction."""
        return torch.where(self.kept, 1 / self.values.where(self.kept, torch.ones_like(self.values)), 0)


@dataclass(frozen=True, eq=False)
class Operator(ABC):
    """A linear operator on items.

    Attributes:
        shape: the shape of an item x; None until it is bound by `on`.
    """

    shape: tuple[int, ...] | None = field(default=None, kw_only=True)
    linear: ClassVar[bool] = True  # but for `nonlinear.Behind`

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """A x: (B, *shape) to (B, *out_shape). The operator is bound when this is called."""

    def fit(self) -> None:  # noqa: B027 - most operators fit every shape
        """Raises a UserError where this operator does not fit `self.shape`; called by `on`. Fits all by default."""

    def singular(self) -> SingularSystem | None:
        """The singular system of the bound operator, where it has one in closed form."""
        return None

    def on(self, shape: tuple[int, ...]) -> Self:
        """This operator for items of a shape.

        Raises:
            UserError: it does not fit the shape.
        """
        shape = tuple(shape)
        if self.shape == shape:
            return self
        bound = replace(self, shape=shape)
        bound.fit()
        return bound

    def __call__(self, x: Tensor) -> Tensor:
        """A x, (B, *shape) to (B, *out_shape)."""
        if self.shape is not None and tuple(x.shape[1:]) != self.shape:
            raise UserError(f"{type(self).__name__} was made for items of shape {self.shape}, got {tuple(x.shape[1:])}")
        return self.on(tuple(x.shape[1:])).forward(x)

    @property
    def bound_shape(self) -> tuple[int, ...]:
        """The shape of an item; an error where the operator is not bound yet."""
        if self.shape is None:
            raise UserError(f"{type(self).__name__} knows no item shape yet: use .on(shape), such as .on((3, 64, 64))")
        return self.shape

    @cached_property
    def out_shape(self) -> tuple[int, ...]:
        """The shape of A x for one item."""
        return tuple(self.forward(torch.zeros(1, *self.bound_shape)).shape[1:])

    @property
    def size(self) -> int:
        """The number of values in an item."""
        return math.prod(self.bound_shape)

    @cached_property
    def system(self) -> SingularSystem | None:
        """`singular()`, made once."""
        return self.singular()

    @property
    def iterative(self) -> bool:
        """Whether A+ is found by conjugate gradients, and so to a tolerance; else it is exact."""
        return self.system is None and type(self).pinv is Operator.pinv

    def adjoint(self, y: Tensor) -> Tensor:
        """A' y, (B, *out_shape) to (B, *shape); by automatic differentiation unless a subclass knows better."""
        with torch.enable_grad():
            x = y.new_zeros(len(y), *self.bound_shape).requires_grad_()
            image = self.forward(x)
            (back,) = torch.autograd.grad(image, x, y.to(image.dtype), create_graph=y.requires_grad)
        return back

    def pinv(self, y: Tensor) -> Tensor:
        """A+ y, the Moore-Penrose inverse: (B, *out_shape) to (B, *shape).

        Exact where the singular system is known; else by conjugate gradients to the relative tolerance of `solve`.
        """
        if self.system is None:
            return least_squares(self.forward, self.adjoint, y)
        return self.system.v_inverse(self.system.u(y) * self.system.inverses.to(y))

    def gram_diagonal(self) -> Tensor | None:
        """A A' of the bound operator where it is diagonal, broadcastable to `out_shape`; then grams are divisions."""
        return None

    def gram_solve(
        self,
        y: Tensor,
        *,
        noise_variance: float | Tensor,
        scale: float | Tensor = 1.0,
        tolerance: float | None = None,
    ) -> Tensor:
        """(scale A A' + noise_variance I)^-1 y; the pseudo-inverse of scale A A' where noise_variance is zero.

        Args:
            y: (B, *out_shape).
            noise_variance, scale: numbers, or a number for each item, (B,).
            tolerance: of conjugate gradients, where there is no singular system; see `solve`.
        """
        variance = pad(torch.as_tensor(noise_variance, dtype=y.dtype, device=y.device), y)
        gain = pad(torch.as_tensor(scale, dtype=y.dtype, device=y.device), y)
        diagonal = self.gram_diagonal()
        if diagonal is not None:
            return y * _inverse(gain * diagonal.to(y) + variance)
        if self.system is None:

            def gram(w: Tensor) -> Tensor:
                return gain * self.forward(self.adjoint(w)) + variance * w

            noisy = variance > 0
            if bool(noisy.all()):
                return conjugate_gradients(gram, y, tolerance=tolerance)
            # Without noise the gram may be singular and y outside its range: (A A')+ = (A')+ A+ is found in two steps.
            nearest = least_squares(self.forward, self.adjoint, y, tolerance=tolerance)
            exact = least_squares(self.adjoint, self.forward, nearest, tolerance=tolerance) * _inverse(gain)
            if not bool(noisy.any()):
                return exact
            return torch.where(noisy, conjugate_gradients(gram, y, tolerance=tolerance), exact)
        coefficients = self.system.u(y)
        inside = coefficients * self.system.kept.to(y.device)
        total = _rows(gain, inside) * self.system.values.to(y).square() + _rows(variance, inside)
        solved = self.system.u_inverse(inside * _inverse(total))
        if not bool((variance > 0).any()):
            return solved
        # Outside the range of A only the noise is seen.
        return solved + (y - self.system.u_inverse(inside)) * _inverse(variance)

    def proximal(
        self, x: Tensor, y: Tensor, *, noise_variance: float | Tensor, prior_variance: float | Tensor
    ) -> Tensor:
        """The mean of N(x, r^2 I) given y = A x_0 + n, n ~ N(0, noise_variance I), r^2 = prior_variance:

            x + r^2 A' (r^2 A A' + noise_variance I)^-1 (y - A x),

        which minimises |y - A z|^2 / noise_variance + |z - x|^2 / r^2 over z.
        """
        solved = self.gram_solve(y - self.forward(x), noise_variance=noise_variance, scale=prior_variance)
        return x + pad(torch.as_tensor(prior_variance, dtype=x.dtype, device=x.device), x) * self.adjoint(solved)

    def norm(self, *, iterations: int = 50) -> float:
        """The largest singular value: exact where the system is known, else by power iteration (a lower bound)."""
        if self.system is not None:
            return float(self.system.values.max())
        # A random start has a share of every direction; a smooth one has none of, say, the odd ones.
        x = Stream.of(0, [0]).normal(self.bound_shape, step=0)[0, 0]
        x = x / x.norm()
        value = x.new_zeros(())
        for _ in range(iterations):
            x = self.adjoint(self.forward(x))
            value = x.norm()
            if value == 0:
                return 0.0
            x = x / value
        return float(value.sqrt())


def _inverse(value: Tensor) -> Tensor:
    """1/value, and zero where it is zero."""
    return torch.where(value > 0, 1 / value.where(value > 0, torch.ones_like(value)), 0)


def _rows(value: Tensor, like: Tensor) -> Tensor:
    """A number or one number for each item, against coefficients (B, D)."""
    return value if value.ndim == 0 else value.reshape(-1, 1).to(like)
