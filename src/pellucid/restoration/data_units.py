r"""Observations in the units of a person's data, brought to the model's scale.

A model of points or signals sees x = (v - mean)/std. What a person has is y = A v + n in the units of v, so

    y - A mean = A diag(std) x + n                                                                                 (1)

is an observation of x by the operator A diag(std). Pictures are in the model's scale already, [-1, 1].
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ..data.codecs import Codec, PointsCodec, SignalCodec
from ..operators import Masked, Operator
from ..restorers import Observation


@dataclass(frozen=True, eq=False)
class Rescaled(Operator):
    """A diag(std), equation (1).

    Attributes:
        operator: A.
        std: of a shape that broadcasts to an item's.
    """

    operator: Operator
    std: Tensor

    def fit(self) -> None:
        self.inner  # noqa: B018 - binding raises where it does not fit

    @cached_property
    def inner(self) -> Operator:
        """A, bound."""
        return self.operator.on(self.bound_shape)

    @cached_property
    def out_shape(self) -> tuple[int, ...]:
        return self.inner.out_shape

    def forward(self, x: Tensor) -> Tensor:
        return self.inner.forward(x * self.std.to(x))

    def adjoint(self, y: Tensor) -> Tensor:
        return self.inner.adjoint(y) * self.std.to(y)


def moments(codec: Codec) -> tuple[Tensor, Tensor] | None:
    """Mean and standard deviation that the codec takes off, float64, shaped to meet an item; None for pictures."""
    codec = codec.items
    if not isinstance(codec, PointsCodec | SignalCodec):
        return None
    mean, std = (torch.tensor(values, dtype=torch.float64) for values in (codec.mean, codec.std))
    return (mean[:, None], std[:, None]) if isinstance(codec, SignalCodec) else (mean, std)


def in_model_scale(codec: Codec, seen: Observation) -> Observation:
    """An observation in the data's units as one in the model's scale, equation (1).

    Where all values of an item have one unit the operator stays as it is, and its structure is kept; likewise a mask
    without noise, which does not mix values.
    """
    found = moments(codec)
    if found is None:
        return seen
    mean, std = found
    operator, y = seen.operator, seen.y.double()
    offset = operator.forward(mean.expand(1, *operator.bound_shape))
    unit = float(std.flatten()[0])
    if bool((std == unit).all()):
        return Observation(operator, ((y - offset) / unit).float(), seen.noise / unit)
    if isinstance(operator, Masked) and seen.noise == 0:
        return Observation(operator, ((y - offset) / std).float(), 0.0)
    return Observation(Rescaled(operator, std).on(operator.bound_shape), (y - offset).float(), seen.noise)


def to_model(codec: Codec, values: Tensor) -> Tensor:
    """Items in the data's units, (B, *), in the model's scale."""
    found = moments(codec)
    return values if found is None else ((values.double() - found[0]) / found[1]).float()


def from_model(codec: Codec, x: Tensor) -> Any:
    """Items in the model's scale, (B, *), in the data's units, as numpy float32; pictures stay in [-1, 1]."""
    found = moments(codec)
    values = x.detach().cpu().double()
    return (values if found is None else values * found[1] + found[0]).float().numpy()
