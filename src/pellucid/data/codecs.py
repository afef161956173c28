r"""Codecs: how items of a data set become the float32 tensors that a network sees, and back.

    images   x = u / 127.5 - 1,  u in 0 .. 255           so x is in [-1, 1]
    points   x = (p - mean) / std, column by column
    signals  x = (v - mean) / std, channel by channel
    series   the same, of what is there
    tokens   x = the symbols' numbers, int64 (`tokens`)
    tables   x = normal scores and ids, packed (`table_codec`)

A codec travels in the checkpoint as JSON, so that samples come out in the user's own units.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..foundations.errors import UserError
from ..foundations.registry import Registry
from .plain import Plain
from .table_codec import TableCodec
from .tokens import TokenCodec


class Codec(Protocol):
    """What every codec offers; frozen dataclasses whose fields are JSON values."""

    kind: ClassVar[str]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one encoded item."""
        ...

    def encode(self, items: NDArray[Any]) -> Tensor:
        """Items (B, *shape) to a float32 tensor of the same shape."""
        ...

    def decode(self, x: Tensor) -> NDArray[Any]:
        """A tensor (B, *shape), on any device, to items."""
        ...

    @property
    def items(self) -> Codec:
        """The codec of the items themselves: this one, or, of latents and codes, that of what they stand for."""
        ...

    def outward(self, x: Tensor) -> Tensor:
        """A tensor (B, *shape) in the scale of `items`: as it is, or decoded from latents, differentiably."""
        ...

    def tensors(self) -> dict[str, Tensor]:
        """The weights that the codec works with, which a checkpoint holds beside its JSON values; {} for none."""
        ...

    def to_json(self) -> dict[str, Any]:
        """The codec as JSON values; `codec_from_json` reads it back."""
        ...


@dataclass(frozen=True)
class ImageCodec(Plain):
    """uint8 pictures (B, C, H, W), 0 .. 255, to x = u / 127.5 - 1 and back by rounding to the nearest level."""

    channels: int
    height: int
    width: int
    kind: ClassVar[str] = "image"

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.channels, self.height, self.width)

    def encode(self, items: NDArray[Any]) -> Tensor:
        return torch.from_numpy(items.astype(np.float32, order="C")).div_(127.5).sub_(1.0)

    def decode(self, x: Tensor) -> NDArray[np.uint8]:
        levels = x.detach().float().add(1.0).mul(127.5).round().clamp(0.0, 255.0)
        return levels.to(torch.uint8).cpu().numpy()


@dataclass(frozen=True)
class PointsCodec(Plain):
    """float32 points (B, D), standardised column by column: x = (p - mean) / std."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    kind: ClassVar[str] = "points"

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.mean),)

    def encode(self, items: NDArray[Any]) -> Tensor:
        return _standardised(items, np.array(self.mean), np.array(self.std))

    def decode(self, x: Tensor) -> NDArray[np.float32]:
        return _restored(x, np.array(self.mean), np.array(self.std))


@dataclass(frozen=True)
class SignalCodec(Plain):
    """float32 signals (B, C, L), standardised channel by channel: x = (v - mean) / std."""

    length: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    kind: ClassVar[str] = "signal"

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.mean), self.length)

    def encode(self, items: NDArray[Any]) -> Tensor:
        return _standardised(items, np.array(self.mean)[:, None], np.array(self.std)[:, None])

    def decode(self, x: Tensor) -> NDArray[np.float32]:
        return _restored(x, np.array(self.mean)[:, None], np.array(self.std)[:, None])


@dataclass(frozen=True)
class SeriesCodec(SignalCodec):
    """Signals of which each has a length of its own, or values that are missing: NaN (B, C, L) where nothing is there.

    Attributes:
        lengths: that occur among the training series, of each class; for sampling.
        classes: whose, -1 where there are none.
        counts: how often.
        holes: whether values within a series may be missing.
    """

    lengths: tuple[int, ...]
    classes: tuple[int, ...]
    counts: tuple[int, ...]
    holes: bool
    kind: ClassVar[str] = "series"


# float64 inside: a column such as a year, 1900 .. 2000, keeps its digits when the mean is taken off
def _standardised(items: NDArray[Any], mean: NDArray[np.float64], std: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(((items.astype(np.float64) - mean) / std).astype(np.float32))


def _restored(x: Tensor, mean: NDArray[np.float64], std: NDArray[np.float64]) -> NDArray[np.float32]:
    values: NDArray[np.float64] = x.detach().double().cpu().numpy() * std + mean
    return values.astype(np.float32)


CODECS: Registry[type[Any]] = Registry(
    "codec",
    {codec.kind: codec for codec in (ImageCodec, PointsCodec, SignalCodec, SeriesCodec, TokenCodec, TableCodec)},
)


def codec_from_json(fields: dict[str, Any]) -> Codec:
    """The codec that `to_json` wrote; a `UserError` names what does not fit.

    >>> codec_from_json(ImageCodec(1, 28, 28).to_json())
    ImageCodec(channels=1, height=28, width=28)
    """
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
    kind = str(values.pop("kind", "none"))
    codec = CODECS[kind]
    names = [field.name for field in dataclasses.fields(codec)]
    if set(values) != set(names):
        raise UserError(
            f"a codec of kind {kind!r} has the fields {', '.join(names)}; "
            f"found {', '.join(sorted(values)) or 'none'}: the file is damaged or from another version"
        )
    made: Codec = codec(**values)
    return made


def points_codec(items: NDArray[Any]) -> PointsCodec:
    """The codec of points (N, D), with each column's mean and standard deviation; a constant column gets std 1."""
    mean, std = _moments(items, axes=(0,))
    return PointsCodec(tuple(mean.tolist()), tuple(std.tolist()))


def signal_codec(items: NDArray[Any]) -> SignalCodec:
    """The codec of signals (N, C, L), with each channel's mean and standard deviation; a constant one gets std 1."""
    mean, std = _moments(items, axes=(0, 2))
    return SignalCodec(int(items.shape[2]), tuple(mean.tolist()), tuple(std.tolist()))


def _moments(items: NDArray[Any], axes: tuple[int, ...]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation in float64, in two passes over slices, so that memory-mapped arrays stay on disk."""
    step = max(1, (1 << 22) // max(1, items[0].size))
    starts = range(0, len(items), step)
    count = items.size // items.shape[1]
    inner = tuple(axis - 1 for axis in axes if axis)  # the same axes, of one item
    low, high = items[0].min(axis=inner), items[0].max(axis=inner)
    total = np.zeros(items.shape[1])
    for i in starts:
        part = items[i : i + step]
        total += part.sum(axis=axes, dtype=np.float64)
        low, high = np.minimum(low, part.min(axis=axes)), np.maximum(high, part.max(axis=axes))
    mean = total / count
    centre = mean.reshape((-1,) + (1,) * (len(axes) - 1))
    squares = np.zeros(items.shape[1])
    for i in starts:
        squares += np.square(items[i : i + step] - centre).sum(axis=axes)
    constant = low == high
    return np.where(constant, low, mean), np.where(constant, 1.0, np.sqrt(squares / count))
