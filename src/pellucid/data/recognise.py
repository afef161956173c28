"""What an array is: pictures, points or signals.

It follows from its shape and type, by one table:

    uint8 (N, H, W), (N, H, W, C), (N, C, H, W)      pictures, C = 1 or 3
    bool, integers in 0 .. 255, uint16, floats in
        [0, 1], of four axes; integers of three      pictures, brought to uint8
    numbers (N,) or (N, D)                           points
    floats (N, C, L)                                 signals

and `kind` overrides it where it can be read in two ways.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..foundations.errors import UserError, unknown
from .arrays import Dataset, encode_labels, slices
from .codecs import ImageCodec, points_codec, signal_codec
from .ragged import series_dataset, until_end

KINDS = ("image", "points", "signal")


def dataset_of_array(
    array: NDArray[Any],
    labels: NDArray[Any] | None = None,
    *,
    kind: str | None = None,
    name: str = "array",
    columns: tuple[str, ...] = (),
    missing: bool = False,
) -> Dataset:
    """A data set of an array, by the table at the top of this module.

    Args:
        array: (N, ...) numbers.
        labels: (N,) integers or strings, or None.
        kind: "image", "points" or "signal", where the table should not decide.
        name: a word for reports and messages.
        columns: names of the columns of points, for messages.
        missing: of signals: NaN is a value that is missing, and behind the last value a series has its end.

    Raises:
        UserError: no items, NaN or infinite values (with the place of the first), or a shape that is not understood.
    """
    if kind is not None and kind not in KINDS:
        raise unknown("kind of data", kind, KINDS)
    if array.dtype.kind not in "biuf" or array.ndim == 0:
        raise UserError(f"{name}: items must be numbers (N, ...), got {array.dtype} of shape {array.shape}")
    if not array.size:
        raise UserError(f"{name}: there is nothing in it (shape {array.shape})")
    kind = kind or _kind(array, name)
    missing = missing and kind == "signal"
    _refuse_non_finite(array, name, columns, missing)
    ids, names = (None, ()) if labels is None else _checked_labels(labels, len(array), name)
    if kind == "image":
        pictures = _pictures(array, name)
        return Dataset(pictures, ids, names, ImageCodec(*pictures.shape[1:]), name)
    if kind == "points":
        if array.ndim > 2:
            raise UserError(f"{name}: points have the shape (N, D), got {array.shape}; flatten them first")
        points = _float32(array.reshape(len(array), -1))
        codec = points_codec(points)
        return Dataset(points, ids, names, codec, name, notes=_column_notes(points, codec.mean, codec.std, columns))
    if array.ndim not in (2, 3):
        raise UserError(f"{name}: signals have the shape (N, L) or (N, C, L), got {array.shape}")
    signals = array.reshape(len(array), -1, array.shape[-1])
    if missing and np.isnan(signals).any():
        words = None if ids is None else [names[i] for i in ids]
        return series_dataset([until_end(one) for one in signals], words, name)
    signals = _float32(signals)
    return Dataset(signals, ids, names, signal_codec(signals), name)


def _kind(array: NDArray[Any], name: str) -> str:
    integer = array.dtype.kind in "bui"
    if (
        array.ndim == 2
        and array.dtype == np.uint8
        and array.shape[1] >= 64
        and math.isqrt(array.shape[1]) ** 2 == array.shape[1]
    ):
        side = math.isqrt(array.shape[1])
        raise UserError(
            f"{name}: uint8 of shape {array.shape} may be flattened {side} x {side} pictures or points; reshape it to "
            f"(N, {side}, {side}), or say kind='points'"
        )
    if array.ndim <= 2:
        return "points"
    if array.ndim == 4 or (array.ndim == 3 and integer):
        return "image"
    if array.ndim == 3:
        return "signal"
    raise UserError(f"{name}: the shape {array.shape} is not understood; see the table: pictures, points or signals")


def _pictures(array: NDArray[Any], name: str) -> NDArray[np.uint8]:
    """(N, H, W), (N, H, W, C) or (N, C, H, W) of any allowed type to uint8 (N, C, H, W); uint8 is not copied."""
    if array.ndim == 3:
        array = array[:, None]
    elif array.ndim == 4:
        first, last = array.shape[1] in (1, 3), array.shape[3] in (1, 3)
        if not first and not last:
            raise UserError(
                f"{name}: pictures have 1 channel (grey) or 3 (colour), got the shape {array.shape}; drop other "
                "channels, and lay transparent pictures on a background"
            )
        if first and last and array.shape[1] != array.shape[3]:
            raise UserError(
                f"{name}: in the shape {array.shape} the channels may be axis 1 or axis 3; transpose it to "
                "(N, C, H, W) with no other axis of length 1 or 3"
            )
        if not first:
            array = np.moveaxis(array, 3, 1)
    else:
        raise UserError(f"{name}: pictures have three or four axes, got the shape {array.shape}")
    if array.dtype == np.uint8:
        return array
    low, high = float(array.min()), float(array.max())
    if array.dtype == np.bool_:
        scale = 255.0
    elif array.dtype == np.uint16 and high > 255:
        scale = 255 / 65535
    elif array.dtype.kind in "iu" and low >= 0 and high <= 255:
        scale = 1.0
    elif array.dtype.kind == "f" and low >= 0 and high <= 1:
        scale = 255.0
    else:
        raise UserError(
            f"{name}: pictures are uint8 in 0 .. 255 or floats in [0, 1]; got {array.dtype} from {low:g} to {high:g}; "
            "rescale them, so that black and white are what you mean"
        )
    return np.concatenate([np.floor(part * scale + 0.5).astype(np.uint8) for part in slices(array)])


def _float32(array: NDArray[Any]) -> NDArray[np.float32]:
    """float32, with -0 made +0 so that equal items have equal bytes; float32 on disk stays there."""
    if isinstance(array, np.memmap) and array.dtype == np.float32:
        return array
    with np.errstate(over="ignore"):  # told below
        result = np.asarray(array, np.float32) + np.float32(0)
    if not np.isfinite(result).all():
        raise UserError(f"values beyond 3.4e38, such as {np.abs(array).max():g}, do not fit float32; rescale them")
    return result


def _refuse_non_finite(array: NDArray[Any], name: str, columns: tuple[str, ...], missing: bool) -> None:
    if array.dtype.kind != "f":
        return
    start = 0
    for part in slices(array):
        bad = np.isinf(part) if missing else ~np.isfinite(part)
        if bad.any():
            place = np.argwhere(bad)[0]
            row, inner = start + int(place[0]), [int(i) for i in place[1:]]
            if len(inner) == 1:
                where = f"column {columns[inner[0]]!r}" if columns else f"column {inner[0]}"
            else:
                where = f"place {tuple(inner)}" if inner else "the only column"
            raise UserError(
                f"{name}: {part[tuple(place)]} in row {row}, {where} (counted from 0); remove such rows or fill them in"
                + ("; of series, data.missing=true says that values may be missing" if len(inner) == 2 else "")
            )
        start += len(part)


def _column_notes(
    points: NDArray[np.float32], mean: tuple[float, ...], std: tuple[float, ...], columns: tuple[str, ...]
) -> tuple[str, ...]:
    notes = []
    for j in range(points.shape[1]):
        title = columns[j] if columns else f"column {j}"
        if len(points) > 1 and points[:, j].min() == points[:, j].max():
            notes.append(f"{title} is constant ({mean[j]:g}) and tells a model nothing")
        elif abs(mean[j]) * 2.0**-24 > 1e-3 * std[j]:
            notes.append(f"{title} varies by {std[j]:g} about {mean[j]:g}, beyond float32; subtract an offset first")
    return tuple(notes)


def _checked_labels(labels: NDArray[Any], count: int, name: str) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    labels = np.asarray(labels)
    if labels.shape == (count, 1):
        labels = labels[:, 0]
    if labels.shape != (count,):
        raise UserError(f"{name}: {count} items need labels of shape ({count},), got {labels.shape}")
    if labels.dtype.kind == "f" and np.isfinite(labels).all() and (labels == np.floor(labels)).all():
        labels = labels.astype(np.int64)
    if labels.dtype.kind not in "biuUS":
        raise UserError(f"{name}: labels are integers or words, got {labels.dtype}")
    if labels.dtype.kind == "S":
        labels = np.char.decode(labels, "utf-8")
    return encode_labels(labels)
