"""Files as observations, and restorations as files again.

Where channels differ, a colour picture goes through a grey model channel by channel, and a grey picture through a
colour model as one whose channels are equal; the result is then averaged to grey. What comes in grey goes out grey, but
for colourising and demosaicing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..data.codecs import Codec
from ..data.files import read_array
from ..data.images import picture_format, read_picture
from ..foundations.errors import UserError
from ..operators import Demosaic, Operator
from .restore import Damage, as_operator

_NUMBERS = "biuf"


@dataclass(frozen=True, eq=False)
class Given:
    """What a file holds.

    Attributes:
        values: a batch of items or observations: pictures in [-1, 1], what else in the data's own units.
        picture: whether the file is a picture; else an array.
        split: whether the batch is the channels of one colour picture.
        merged: whether the channels of the one item are those of a grey picture, repeated.
        single: of an array, whether it holds one item.
    """

    values: Tensor
    picture: bool
    split: bool = False
    merged: bool = False
    single: bool = False

    def joined(self, x: Tensor) -> Tensor:
        """Restorations (B, k, *shape) as they belong to the file: (k, C, H, W) of a picture."""
        if self.split:
            return x.squeeze(2).movedim(0, 1)
        if self.picture:
            return x[0].mean(1, keepdim=True) if self.merged else x[0]
        return x


def read_given(path: Path, codec: Codec, *, grey: Operator | None = None) -> Given:
    """Reads a picture, or a .npy, for a model of the codec's items.

    Args:
        grey: `Decolorise` or `Demosaic`, where the file shows one value for each pixel of a colour picture.

    Raises:
        UserError: a file that cannot be read, or that holds another kind of data than the model's.
    """
    if path.suffix.lower() == ".npy":
        return _array(read_array(path), codec)
    if codec.kind != "image":
        held = "a picture" if path.is_file() and _is_picture(path) else "no .npy file"
        raise UserError(f"{held}, and this model restores items of shape {codec.shape}: give them as .npy")
    picture = read_picture(path)
    pixels = np.array(picture, dtype=np.float32)
    x = torch.from_numpy(pixels).reshape(*pixels.shape[:2], -1).movedim(-1, 0)[None] / 127.5 - 1
    model, own = codec.shape[0], x.shape[1]
    if grey is not None:
        if own == 3 and isinstance(grey, Demosaic):
            raise UserError("a colour picture, and what a sensor saw is grey, one value for each pixel")
        return Given(grey.on(tuple(x.shape[1:])).forward(x) if own == 3 else x, True)
    if own == model:
        return Given(x, True)
    if own == 3:
        return Given(x.movedim(1, 0), True, split=True)
    return Given(x.expand(-1, model, -1, -1), True, merged=True)


def _is_picture(path: Path) -> bool:
    with path.open("rb") as file:
        return picture_format(file.read(16)) is not None


def _array(array: Any, codec: Codec) -> Given:
    if array.dtype.kind not in _NUMBERS or not array.size:
        raise UserError(f"an array of {array.dtype}, shape {array.shape}: numbers are needed")
    values = torch.from_numpy(array.astype(np.float32 if codec.kind == "image" else np.float64))
    if array.dtype == np.uint8 and codec.kind == "image":
        values = values / 127.5 - 1
    return Given(values, False)


def as_items(given: Given, axes: int) -> Given:
    """An array as a batch: it holds one item of `axes` axes, or several, or one picture (H, W) without its channel.

    Raises:
        UserError: another number of axes.
    """
    values = given.values
    if given.picture or values.ndim == axes + 1:
        return given
    if values.ndim == axes - 1 and axes == 3:
        values = values[None]
    if values.ndim != axes:
        raise UserError(
            f"an array of shape {tuple(values.shape)}, where {axes} axes are needed, or {axes + 1} for several items"
        )
    return Given(values[None], False, single=True)


def bind(damage: Damage, given: Given, model_shape: Sequence[int]) -> tuple[Operator, Given]:
    """A user's operator on the shape where it gives what the file holds: its own, the model's, or the file's.

    Raises:
        UserError: it gives something else, is not linear, or fails.
    """
    model_shape = tuple(model_shape)
    held = tuple(given.values.shape)
    seen = [held[1:]] if given.picture else [held, held[1:]]
    shapes = [model_shape, *(shape for shape in seen if len(shape) == len(model_shape) and shape != model_shape)]
    if isinstance(damage, Operator) and damage.shape is not None:
        shapes = [damage.shape]
    found: list[str] = []
    for shape in shapes:
        try:
            operator = as_operator(damage, shape)
        except UserError as error:
            found.append(str(error))
            continue
        if operator.out_shape in seen:
            single = not given.picture and operator.out_shape == held
            return operator, Given(given.values[None], False, single=True) if single else given
        found.append(f"on items of shape {shape} it gives {operator.out_shape}")
    raise UserError(f"the operator does not fit what the file holds, {seen[0]}: {'; '.join(found)}")


def write_picture(path: Path, x: Tensor) -> None:
    """A picture (C, H, W) in [-1, 1] as PNG."""
    levels = x.detach().float().cpu().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8).numpy()
    pixels = levels[0] if len(levels) == 1 else np.moveaxis(levels, 0, -1)
    Image.fromarray(np.ascontiguousarray(pixels)).save(path)


def write_array(path: Path, values: Any) -> None:
    """An array as .npy."""
    np.save(path, values, allow_pickle=False)
