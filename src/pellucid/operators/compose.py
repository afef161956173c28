r"""Operators made of operators: one after another, side by side, and a multiple.

The singular system of a multiple follows from that of its operator. Of products and stacks it does not in general, so
these solve by conjugate gradients.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ..foundations.errors import UserError
from .base import Operator, SingularSystem


@dataclass(frozen=True, eq=False)
class Compose(Operator):
    """A = A_1 A_2 ... A_k, written as products are: the last of the operators acts first.

    `Compose((Downsample(4), blur))` blurs, then down-samples.

    Attributes:
        operators: A_1 to A_k.

    Raises:
        UserError: no operators; at `on`, one that does not fit what the one after it gives.
    """

    operators: Sequence[Operator]

    def __post_init__(self) -> None:
        _operators(self.operators)

    def fit(self) -> None:
        self.chain  # noqa: B018 - binding raises where the operators do not fit

    @cached_property
    def chain(self) -> tuple[Operator, ...]:
        """The operators bound to the shapes that they meet, the first to act first."""
        bound, shape = [], self.bound_shape
        for operator in reversed(self.operators):
            bound.append(operator.on(shape))
            shape = bound[-1].out_shape
        return tuple(bound)

    @cached_property
    def out_shape(self) -> tuple[int, ...]:
        return self.chain[-1].out_shape

    def forward(self, x: Tensor) -> Tensor:
        for operator in self.chain:
            x = operator.forward(x)
        return x

    def adjoint(self, y: Tensor) -> Tensor:
        for operator in reversed(self.chain):
            y = operator.adjoint(y)
        return y


@dataclass(frozen=True, eq=False)
class Stack(Operator):
    """Several views of one item, each flattened and put end to end: (B, *shape) to (B, m_1 + ... + m_k).

    Attributes:
        operators: A_1 to A_k, all for items of one shape.

    Raises:
        UserError: no operators; at `on`, one that does not fit.

    >>> from .simple import Crop
    >>> Stack((Crop((0,), (1,)), Crop((2,), (1,))))(torch.tensor([[5.0, 6.0, 7.0]]))
    tensor([[5., 7.]])
    """

    operators: Sequence[Operator]

    def __post_init__(self) -> None:
        _operators(self.operators)

    def fit(self) -> None:
        self.views  # noqa: B018 - binding raises where an operator does not fit

    @cached_property
    def views(self) -> tuple[Operator, ...]:
        """The operators bound to the item's shape."""
        return tuple(operator.on(self.bound_shape) for operator in self.operators)

    @cached_property
    def lengths(self) -> list[int]:
        """m_1 to m_k."""
        return [math.prod(view.out_shape) for view in self.views]

    @cached_property
    def out_shape(self) -> tuple[int, ...]:
        return (sum(self.lengths),)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([view.forward(x).flatten(1) for view in self.views], dim=1)

    def split(self, y: Tensor) -> list[Tensor]:
        """What each view sees: (B, m_1 + ... + m_k) to k tensors (B, *out_shape of the view)."""
        parts = y.split(self.lengths, dim=1)
        return [part.reshape(-1, *view.out_shape) for part, view in zip(parts, self.views, strict=True)]

    def adjoint(self, y: Tensor) -> Tensor:
        first, *others = (view.adjoint(part) for view, part in zip(self.views, self.split(y), strict=True))
        return sum(others, start=first)


@dataclass(frozen=True, eq=False)
class Scale(Operator):
    """A = factor A_1; its singular system is that of A_1 with values |factor| s, the sign in U.

    Attributes:
        factor: finite, not zero.
        operator: A_1.

    Raises:
        UserError: a factor that is zero or not finite; at `on`, an operator that does not fit.
    """

    factor: float
    operator: Operator

    def __post_init__(self) -> None:
        _operators([self.operator])
        if not math.isfinite(self.factor) or self.factor == 0:
            raise UserError(f"an operator is scaled by a finite number other than zero, got {self.factor}")

    def fit(self) -> None:
        self.inner  # noqa: B018 - binding raises where the operator does not fit

    @cached_property
    def inner(self) -> Operator:
        """The operator bound to the item's shape."""
        return self.operator.on(self.bound_shape)

    @cached_property
    def out_shape(self) -> tuple[int, ...]:
        return self.inner.out_shape

    @property
    def iterative(self) -> bool:
        return self.inner.iterative

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * self.inner.forward(x)

    def adjoint(self, y: Tensor) -> Tensor:
        return self.factor * self.inner.adjoint(y)

    def pinv(self, y: Tensor) -> Tensor:
        return self.inner.pinv(y) / self.factor

    def singular(self) -> SingularSystem | None:
        inner = self.inner.system
        if inner is None:
            return None
        sign = math.copysign(1.0, self.factor)
        return SingularSystem(
            values=abs(self.factor) * inner.values,
            v=inner.v,
            v_inverse=inner.v_inverse,
            u=lambda y: sign * inner.u(y),
            u_inverse=lambda c: sign * inner.u_inverse(c),
        )


def _operators(given: Sequence[Operator]) -> None:
    if not isinstance(given, Sequence) or not given:
        raise UserError("an operator made of others needs at least one, as a tuple: Compose((outer, inner))")
    for operator in given:
        if not isinstance(operator, Operator):
            raise UserError(
                f"an operator is made of operators, got {type(operator).__name__}; Custom(function) makes one of a "
                f"function, and Matrix(tensor) one of a matrix"
            )
