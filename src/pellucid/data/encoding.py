"""From what a user typed to a condition's tensor: one function for each kind of condition.

Each takes the part and one value that is not None, and gives a tensor of the part's shape, or None for "none".
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..foundations.errors import UserError, unknown
from ..foundations.registry import Registry
from . import text_model, vocabulary
from .codecs import ImageCodec, codec_from_json
from .conditions import Part
from .images import Unreadable, read_picture

NONE = "none"


def is_one(part: Part, value: Any) -> bool:
    """Whether this is one value of the part, not a sequence of them."""
    if isinstance(value, str | Path) or value is None or not hasattr(value, "__len__"):
        return True
    if any(isinstance(each, str | Path) for each in value):
        return False
    depth = np.ndim(value) if part.kind in ("vector", "items") else 1
    return depth == len(part.shape) and (part.kind == "items" or (part.kind == "vector" and part.shape != (1,)))


def _class(part: Part, value: Any) -> Tensor | None:
    names, value = list(part.names), int(value) if isinstance(value, Tensor) else value
    if str(value) in names:
        return torch.tensor(names.index(str(value)))
    if _says_none(value):
        return None
    raise unknown(part.name, str(value), [*names, NONE])


def _tags(part: Part, value: Any) -> Tensor | None:
    if isinstance(value, str):
        if value.strip() in part.names:
            value = [value.strip()]
        elif _says_none(value):
            return None
        else:
            value = tags_of(value)
    found = torch.zeros(part.shape)
    for tag in value:
        if str(tag) not in part.names:
            raise unknown(part.name, str(tag), [*part.names, NONE])
        found[part.names.index(str(tag))] = 1.0
    return found


def _vector(part: Part, value: Any) -> Tensor | None:
    if _says_none(value):
        return None
    count = part.shape[0]
    try:
        given = value.split(",") if isinstance(value, str) else value
        numbers = np.asarray(given, np.float64).reshape(-1)
    except (TypeError, ValueError):
        numbers = np.array([math.nan])
    if len(numbers) != count or not np.isfinite(numbers).all():
        what = "a finite number" if count == 1 else f"{count} finite numbers ({', '.join(part.names)})"
        raise UserError(f"{part.name} is {what}, got {value!r}")
    mean, std = (np.asarray(part.details[key]) for key in ("mean", "std"))
    return torch.from_numpy(((numbers - mean) / std).astype(np.float32))


def _text(part: Part, value: Any) -> Tensor | None:
    text = checked_text(part, value)
    if not text:
        return None
    found = vocabulary.pieces(part.details["vocabulary"], [text])[0]
    _refuse_long(part, text, len(found))
    return torch.tensor(found + [0] * (part.shape[0] - len(found)))


def _states(part: Part, value: Any) -> Tensor | None:
    text = checked_text(part, value)
    if not text:
        return None
    _refuse_long(part, text, text_model.lengths(part.details, [text])[0])
    return torch.from_numpy(text_model.states(part.details, [text], part.shape[0])[0])


def _items(part: Part, value: Any) -> Tensor | None:
    if _says_none(value):
        return None
    codec = codec_from_json(part.details["codec"])
    if isinstance(value, str | Path):
        if not isinstance(codec, ImageCodec):
            raise UserError(f"{part.name} is an array of the shape {part.shape}, got {value!r}")
        return codec.encode(read_square(Path(value), codec)[None])[0]
    if isinstance(value, Tensor):  # already in the model's scale, as its samples are
        found = value.float()
    else:
        array = np.asarray(value)
        if array.dtype.kind not in "biuf" or array.shape != part.shape:
            raise _wrong_shape(part, getattr(value, "shape", array.shape))
        if isinstance(codec, ImageCodec) and array.dtype != np.uint8:
            raise UserError(f"{part.name} is a picture of whole numbers 0 .. 255 (uint8), got {array.dtype}")
        found = codec.encode(array[None])[0]
    if tuple(found.shape) != part.shape:
        raise _wrong_shape(part, tuple(found.shape))
    return found


ENCODERS: Registry[Callable[[Part, Any], Tensor | None]] = Registry(
    "kind of condition",
    {"class": _class, "tags": _tags, "vector": _vector, "text": _text, "states": _states, "items": _items},
)


def tags_of(text: str) -> list[str]:
    """The tags of a cell, "a; b": each without blanks around it, each once, in their order."""
    return list(dict.fromkeys(tag.strip() for tag in text.split(";") if tag.strip()))


def read_square(file: Path, codec: ImageCodec) -> np.ndarray:
    """A picture's largest centred square at a codec's size and channels, uint8 (C, H, W)."""
    from .folder import square  # here, as folders have columns, whose values these are

    try:
        picture = read_picture(file)
    except (Unreadable, OSError) as error:
        raise UserError(f"{str(file)!r} cannot be read as a picture: {error}") from None
    grey = codec.channels == 1
    picture = picture if picture.mode == ("L" if grey else "RGB") else picture.convert("L" if grey else "RGB")
    return np.moveaxis(np.atleast_3d(np.asarray(square(picture, codec.height))), -1, 0)


def checked_text(part: Part, value: Any) -> str:
    """The text, without blanks around it; a UserError for what is none."""
    if not isinstance(value, str):
        raise UserError(f"{part.name} is a text, got {value!r}")
    return value.strip()


def _refuse_long(part: Part, text: str, count: int) -> None:
    if count > part.shape[0]:
        raise UserError(
            f"{part.name} has {count} pieces, and this model reads at most {part.shape[0]}: shorten {text[:60]!r}"
        )


def _wrong_shape(part: Part, shape: tuple[int, ...]) -> UserError:
    return UserError(f"{part.name} has the shape {part.shape}, got {shape}")


def _says_none(value: Any) -> bool:
    return isinstance(value, str) and value.strip().lower() in ("", NONE)
