r"""A linear operator behind a differentiable map: f(z) = A D(z), such as what is seen of a decoded latent.

There is no adjoint and no pseudo-inverse of such a thing. What it has is the proximal step

    argmin_z |y - f(z)|^2/noise^2 + |z - z_0|^2/r^2                                                                (1)

by Gauss and Newton's method: with J the Jacobian at z, and k = noise^2/r^2,

    (J'J + k I) d = J'(y - f(z)) + k (z_0 - z)                                                                     (2)

by conjugate gradients; z moves by d, or by a half, a quarter or an eighth of it, whichever is the first to lower (1).
With a linear D the first step is the exact one of `Operator.proximal`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from ..foundations.errors import UserError
from ..foundations.tensors import pad
from .base import Operator
from .solve import conjugate_gradients

_SHARES = (1.0, 0.5, 0.25, 0.125)


@dataclass(frozen=True, eq=False)
class Behind(Operator):
    """A D(z), bound to the shape of z.

    Attributes:
        operator: A, bound to the shape of D(z).
        decode: D, (B, *shape) to (B, *operator.shape), differentiable, item by item.
        steps: of Gauss and Newton's method in (1).
        iterations: of conjugate gradients in (2), at most; each is three passes back through D.
        tolerance: of (2), relative.
    """

    operator: Operator
    decode: Callable[[Tensor], Tensor]
    steps: int = 1
    iterations: int = 8
    tolerance: float = 1e-2
    linear: ClassVar[bool] = False

    @cached_property
    def out_shape(self) -> tuple[int, ...]:
        return self.operator.out_shape

    def forward(self, x: Tensor) -> Tensor:
        return self.operator.forward(self.decode(x))

    def adjoint(self, y: Tensor) -> Tensor:
        raise UserError("what is seen through a decoder is no linear function of the latent, and has no adjoint")

    def pinv(self, y: Tensor) -> Tensor:
        raise UserError("what is seen through a decoder is no linear function of the latent, and has no pseudo-inverse")

    def proximal(
        self, x: Tensor, y: Tensor, *, noise_variance: float | Tensor, prior_variance: float | Tensor
    ) -> Tensor:
        """Equation (1) from z_0 = x, (B, *shape)."""
        ratio = torch.as_tensor(noise_variance, dtype=x.dtype, device=x.device) / torch.as_tensor(
            prior_variance, dtype=x.dtype, device=x.device
        )
        k = pad(ratio, x)

        def objective(z: Tensor) -> Tensor:
            return (y - self.forward(z)).flatten(1).square().sum(1) + ratio * (z - x).flatten(1).square().sum(1)

        z = x.detach()
        with torch.no_grad():
            lowest = objective(z)
        for _ in range(self.steps):
            z, lowest = self._towards(z, self._step(x, y, z, k), objective, lowest)
        return z

    def _step(self, x: Tensor, y: Tensor, z: Tensor, k: Tensor) -> Tensor:
        """d of equation (2)."""
        with torch.enable_grad():
            leaf = z.detach().requires_grad_()
            image = self.forward(leaf)
            # J d by the derivative of J'w, which is linear in w: two backward passes in place of a forward one.
            w = torch.zeros_like(image, requires_grad=True)
            (back,) = torch.autograd.grad(image, leaf, w, create_graph=True)

        def pulled(v: Tensor) -> Tensor:
            return torch.autograd.grad(image, leaf, v, retain_graph=True)[0]

        def normal(d: Tensor) -> Tensor:
            (pushed,) = torch.autograd.grad(back, w, d, retain_graph=True)
            return pulled(pushed) + k * d

        right = pulled(y - image.detach()) + k * (x - leaf.detach())
        return conjugate_gradients(normal, right, tolerance=self.tolerance, max_iterations=self.iterations)

    @torch.no_grad()
    def _towards(
        self, z: Tensor, d: Tensor, objective: Callable[[Tensor], Tensor], lowest: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Each item moved by the largest share of d that lowers its objective, if any does."""
        moved, done = z, torch.zeros_like(lowest, dtype=torch.bool)
        for share in _SHARES:
            trial = z + share * d
            value = objective(trial)
            better = ~done & (value < lowest)
            moved = torch.where(pad(better, z), trial, moved)
            lowest = torch.where(better, value, lowest)
            done = done | better
            if bool(done.all()):
                break
        return moved, lowest
