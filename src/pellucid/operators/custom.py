r"""Operators of the user's own: any matrix, and any function that is linear.

A dense (m, D) matrix with m < D is decomposed without a D x D matrix. With A' = Q [R; 0], Q a product of m reflections
that is applied but never formed, and the small decomposition R' = W S Z',

    A = W [S 0] (Q diag(Z, I))'.                                                                                   (1)

(Golub and Van Loan, "Matrix Computations", section 5.2.) It costs O(D m^2) once and O(D m) a product.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property

import torch
from torch import Tensor

from ..foundations.errors import UserError
from .base import Operator, SingularSystem
from .separable import axis_svd


@dataclass(frozen=True, eq=False)
class Matrix(Operator):
    """y = M x for flattened items: (B, *shape) to (B, m).

    Attributes:
        matrix: (m, D), with D the number of values in an item; float32 or float64.

    Raises:
        UserError: something that is no matrix of finite numbers; at `on`, other than D columns.

    >>> Matrix(torch.tensor([[1.0, 1.0, 0.0, 0.0]]))(torch.arange(4.0).reshape(1, 2, 2))
    tensor([[1.]])
    """

    matrix: Tensor

    def __post_init__(self) -> None:
        if self.matrix.ndim != 2 or not self.matrix.is_floating_point() or not len(self.matrix):
            raise UserError(
                f"an operator is made of a floating-point matrix (m, D); got {self.matrix.dtype} of shape "
                f"{tuple(self.matrix.shape)}"
            )
        if not bool(self.matrix.isfinite().all()):
            raise UserError("the operator's matrix holds values that are not finite (NaN or infinity)")

    def fit(self) -> None:
        columns = self.matrix.shape[1]
        if columns != self.size:
            turned = "; its transpose would fit" if len(self.matrix) == self.size else ""
            raise UserError(
                f"the operator's matrix has {columns} columns, but an item of shape {self.bound_shape} has {self.size} "
                f"values: a matrix (m, {self.size}) is needed{turned}"
            )

    @cached_property
    def out_shape(self) -> tuple[int, ...]:
        return (len(self.matrix),)

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) @ self.matrix.to(x).T

    def adjoint(self, y: Tensor) -> Tensor:
        return (y @ self.matrix.to(y)).reshape(-1, *self.bound_shape)

    def singular(self) -> SingularSystem:
        return (_wide if len(self.matrix) < self.size else _tall)(self.matrix, self.bound_shape)


def _tall(matrix: Tensor, shape: tuple[int, ...]) -> SingularSystem:
    """Of m >= D rows: the decomposition as it is, in float64."""
    found_u, values, found_v = axis_svd(matrix)

    @cache
    def parts(dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
        return found_u.to(device, dtype), found_v.to(device, dtype)

    return SingularSystem(
        values=values,
        v=lambda x: x.flatten(1) @ parts(x.dtype, x.device)[1],
        v_inverse=lambda c: (c @ parts(c.dtype, c.device)[1].T).reshape(-1, *shape),
        u=lambda y: y @ parts(y.dtype, y.device)[0],
        u_inverse=lambda c: c @ parts(c.dtype, c.device)[0].T,
    )


def _wide(matrix: Tensor, shape: tuple[int, ...]) -> SingularSystem:
    """Of m < D rows: equation (1), in float64."""
    rows, columns = matrix.shape
    reflections, scales = torch.geqrf(matrix.double().T)
    w, found, z = axis_svd(reflections[:rows].triu().T)
    values = torch.cat([found, found.new_zeros(columns - rows)])

    @cache
    def parts(dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        a, b, c, d = (part.to(device, dtype) for part in (reflections, scales, w, z))
        return a, b, c, d

    def v(x: Tensor) -> Tensor:
        householder, tau, _, right = parts(x.dtype, x.device)
        turned = torch.ormqr(householder, tau, x.flatten(1), left=False)
        return torch.cat([turned[:, :rows] @ right, turned[:, rows:]], dim=1)

    def v_inverse(c: Tensor) -> Tensor:
        householder, tau, _, right = parts(c.dtype, c.device)
        turned = torch.cat([c[:, :rows] @ right.T, c[:, rows:]], dim=1)
        return torch.ormqr(householder, tau, turned, left=False, transpose=True).reshape(-1, *shape)

    def u(y: Tensor) -> Tensor:
        inside = y @ parts(y.dtype, y.device)[2]
        return torch.nn.functional.pad(inside, (0, columns - rows))

    return SingularSystem(
        values=values,
        v=v,
        v_inverse=v_inverse,
        u=u,
        u_inverse=lambda c: c[:, :rows] @ parts(c.dtype, c.device)[2].T,
    )


@dataclass(frozen=True, eq=False)
class Custom(Operator):
    """Any linear function of the user's.

    The adjoint is found by automatic differentiation unless it is given, and the pseudo-inverse by conjugate gradients.
    `pellucid.operators.check` tells whether the function is linear indeed.

    Attributes:
        function: takes a batch (B, *shape) and returns a batch (B, *out_shape) of the same type, each item by itself.
        transpose: the adjoint, (B, *out_shape) to (B, *shape); needed where the function leaves torch.

    Raises:
        UserError: at `on`, a function that fails, or does not return such a batch, or returns NaN; at `adjoint`, a
            function that torch cannot differentiate.

    >>> difference = Custom(lambda x: x[:, 1:] - x[:, :-1]).on((3,))
    >>> difference.adjoint(torch.tensor([[1.0, 10.0]]))
    tensor([[-1., -9., 10.]])
    """

    function: Callable[[Tensor], Tensor]
    transpose: Callable[[Tensor], Tensor] | None = None

    def __post_init__(self) -> None:
        if not callable(self.function) or not (self.transpose is None or callable(self.transpose)):
            raise UserError(
                f"a custom operator is made of a function of a batch of items, and maybe its adjoint; got "
                f"{type(self.function).__name__} and {type(self.transpose).__name__}"
            )

    def fit(self) -> None:
        shape = self.bound_shape
        try:
            image = self.function(torch.zeros(2, *shape))
        except Exception as error:
            raise UserError(
                f"the operator's function fails on a batch of two items, a tensor of shape {(2, *shape)}: "
                f"{type(error).__name__}: {error}"
            ) from error
        if not isinstance(image, Tensor) or not image.ndim or len(image) != 2 or not image.is_floating_point():
            given = (
                f"{image.dtype} of shape {tuple(image.shape)}" if isinstance(image, Tensor) else type(image).__name__
            )
            raise UserError(
                f"the operator's function takes a batch (B, *shape) and returns a floating-point batch "
                f"(B, *out_shape); for a tensor of shape {(2, *shape)} it returned {given}"
            )
        if not bool(image.isfinite().all()):
            raise UserError("the operator's function returns values that are not finite (NaN or infinity) for x = 0")

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)

    def adjoint(self, y: Tensor) -> Tensor:
        if self.transpose is not None:
            return self.transpose(y)
        try:
            return super().adjoint(y)
        except RuntimeError as error:
            raise UserError(
                f"torch cannot differentiate the operator's function ({error}); write it with torch's operations "
                f"alone, or give its adjoint: Custom(function, transpose)"
            ) from error
