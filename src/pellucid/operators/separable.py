r"""Operators that act on each axis with a matrix of its own: A = A_1 (x) ... (x) A_k, a Kronecker product.

With A_i = U_i S_i V_i' the singular system of the whole is made of those of the axes,

    A = (U_1 (x) ... (x) U_k) (S_1 (x) ... (x) S_k) (V_1 (x) ... (x) V_k)',                                        (1)

so a picture of H x W needs two small decompositions, O(H^3 + W^3), and products of O(H W (H + W)), never a matrix of
HW x HW (Van Loan, "The Ubiquitous Kronecker Product", 2000, section 2).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ..foundations.errors import UserError
from .base import Operator, SingularSystem

Axes = tuple[Tensor | None, ...]  # one matrix for each of the last axes; None leaves an axis as it is


def apply_axes(matrices: Axes, x: Tensor) -> Tensor:
    """Multiplies the last axes of x, (*, n_1, ..., n_k), by their matrices (m_i, n_i): (*, m_1, ..., m_k)."""
    for axis, matrix in zip(range(-len(matrices), 0), matrices, strict=True):
        if matrix is None:
            continue
        matrix = matrix.to(x)
        if axis == -1:
            x = x @ matrix.T
        elif axis == -2:
            x = matrix @ x
        else:
            x = (x.movedim(axis, -1) @ matrix.T).movedim(-1, axis)
    return x


def axis_svd(matrix: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """A = U S V' of one (m, n) matrix in float64, with n singular values however small m is.

    Returns:
        U (m, n), whose columns are zero where the singular value is; the values (n,), exactly zero where they are below
        round-off; V (n, n), orthonormal.
    """
    rows, columns = matrix.shape
    left, found, right = torch.linalg.svd(matrix.double(), full_matrices=True)
    values = found.new_zeros(columns)
    values[: len(found)] = torch.where(found > found.amax() * max(rows, columns) * 2.0**-52, found, 0)
    u = left.new_zeros(rows, columns)
    u[:, : len(found)] = left[:, : len(found)]
    return u * (values > 0), values, right.mT.contiguous()


@dataclass(frozen=True, eq=False)
class AxisWise(Operator):
    """An operator that has a matrix for each of the last axes of an item; a subclass says which."""

    @abstractmethod
    def matrices(self) -> Axes:
        """For the bound shape: a matrix (m_i, n_i), or None, for each of the last axes. Made once, best in float64."""

    @cached_property
    def axes(self) -> Axes:
        """`matrices()`, made once."""
        return self.matrices()

    @cached_property
    def out_shape(self) -> tuple[int, ...]:
        sizes = [None if matrix is None else len(matrix) for matrix in self.axes]
        lead = self.bound_shape[: len(self.bound_shape) - len(sizes)]
        tail = self.bound_shape[len(lead) :]
        return (*lead, *(n if m is None else m for m, n in zip(sizes, tail, strict=True)))

    def forward(self, x: Tensor) -> Tensor:
        return apply_axes(self.axes, x)

    def adjoint(self, y: Tensor) -> Tensor:
        return apply_axes(tuple(None if matrix is None else matrix.mT for matrix in self.axes), y)

    def singular(self) -> SingularSystem:
        """By equation (1), in float64; equal matrices are decomposed once."""
        known: dict[int, tuple[Tensor, Tensor, Tensor]] = {}
        for matrix in self.axes:
            if matrix is not None and id(matrix) not in known:
                known[id(matrix)] = axis_svd(matrix)
        parts = [None if matrix is None else known[id(matrix)] for matrix in self.axes]
        u: Axes = tuple(None if part is None else part[0] for part in parts)
        v: Axes = tuple(None if part is None else part[2] for part in parts)
        u_back: Axes = tuple(None if matrix is None else matrix.mT for matrix in u)
        v_back: Axes = tuple(None if matrix is None else matrix.mT for matrix in v)

        shape = self.bound_shape
        values = torch.ones(shape, dtype=torch.float64)
        for axis, part in zip(range(-len(parts), 0), parts, strict=True):
            if part is not None:
                values = values * part[1].reshape(-1, *(1,) * (-axis - 1)).cpu()

        return SingularSystem(
            values=values.flatten(),
            v=lambda x: apply_axes(v_back, x).flatten(1),
            v_inverse=lambda c: apply_axes(v, c.reshape(-1, *shape)),
            u=lambda y: apply_axes(u_back, y).flatten(1),
            u_inverse=lambda c: apply_axes(u, c.reshape(-1, *shape)),
        )


@dataclass(frozen=True, eq=False)
class Separable(AxisWise):
    """A matrix for each of the last axes: (..., n_1, n_2) to (..., m_1, m_2), Y = A_1 X A_2' for a picture's channel.

    Attributes:
        given: the matrices, (m_i, n_i); None leaves an axis as it is.

    Raises:
        UserError: something that is no matrix of finite numbers; at `on`, more matrices than axes, or columns that do
            not match an axis.

    >>> mean = torch.full((1, 4), 0.25)
    >>> Separable((mean, None))(torch.ones(1, 3, 4, 5)).shape
    torch.Size([1, 3, 1, 5])
    """

    given: Sequence[Tensor | None]

    def __post_init__(self) -> None:
        for matrix in self.given:
            if matrix is None:
                continue
            if matrix.ndim != 2 or not matrix.is_floating_point():
                raise UserError(
                    f"a separable operator takes one floating-point matrix (m, n) for each axis, or None; got "
                    f"{matrix.dtype} of shape {tuple(matrix.shape)}"
                )
            if not bool(matrix.isfinite().all()):
                raise UserError("a matrix of the separable operator holds values that are not finite (NaN or infinity)")

    def fit(self) -> None:
        shape = self.bound_shape
        if len(self.given) > len(shape):
            raise UserError(f"{len(self.given)} matrices do not fit items of shape {shape}: at most one for each axis")
        for matrix, length in zip(self.given, shape[len(shape) - len(self.given) :], strict=True):
            if matrix is not None and matrix.shape[1] != length:
                raise UserError(
                    f"a matrix of {matrix.shape[1]} columns meets an axis of {length} values; the items have the shape "
                    f"{shape}, and the matrices act on its last {len(self.given)} axes in order"
                )

    def matrices(self) -> Axes:
        return tuple(self.given)
