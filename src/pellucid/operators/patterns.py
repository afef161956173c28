"""What a mask keeps: patterns of ones (kept) and zeros (lost) for items of any shape.

A vector (D,) and a signal (C, L) have one axis of places, a picture (C, H, W) has two. All channels share a pattern
unless it says otherwise, so a pattern has the shape (D,), (1, L) or (1, H, W), of float32. Everything random is a pure
function of the seed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ..foundations.errors import UserError
from ..foundations.rng import Stream

Share = float | Sequence[float]  # of the length of an axis; one for all axes, or one for each

WORDS = "pellucid: clear as glass. "
_STEPS = 48  # straight pieces of one brush stroke


def places(shape: Sequence[int]) -> tuple[int, ...]:
    """The axes of places: (D,) of a vector, (L,) of a signal, (H, W) of a picture."""
    return tuple(shape) if len(shape) == 1 else tuple(shape[1:])


def box_mask(shape: Sequence[int], *, side: Share = 0.5, centre: Share = 0.5) -> Tensor:
    """Loses a box: an interval of a vector or signal, a rectangle of a picture.

    Args:
        side: of the box, as shares of the axes.
        centre: of the box, as shares of the axes.

    Raises:
        UserError: a share outside [0, 1], or shares for another number of axes.

    >>> box_mask((1, 4, 6))[0].int().tolist()
    [[1, 1, 1, 1, 1, 1], [1, 1, 0, 0, 0, 1], [1, 1, 0, 0, 0, 1], [1, 1, 1, 1, 1, 1]]
    """
    sizes = places(shape)
    mask = torch.ones(sizes)
    box = []
    for length, part, middle in zip(sizes, _shares("side", side, sizes), _shares("centre", centre, sizes), strict=True):
        extent = round(part * length)
        start = math.floor(middle * length - extent / 2 + 0.5)
        start = min(max(start, 0), length - extent)
        box.append(slice(start, start + extent))
    mask[tuple(box)] = 0
    return _for_items(mask, shape)


def random_mask(shape: Sequence[int], *, keep: float = 0.5, seed: int = 0, per_channel: bool = False) -> Tensor:
    """Keeps places at random: exactly round(keep n) of n.

    Args:
        keep: the share that is kept.
        seed: decides which.
        per_channel: each channel loses places of its own; the pattern has then the item's full shape.

    Raises:
        UserError: a share outside [0, 1].
    """
    (keep,) = _shares("keep", keep, (1,))
    rows = shape[0] if per_channel and len(shape) > 1 else 1
    sizes = places(shape)
    count = math.prod(sizes)
    order = Stream.of(seed, range(rows)).words(count, step=0)[0, 0].argsort(stable=True)
    mask = torch.zeros(rows, count).scatter_(1, order[:, : round(keep * count)], 1.0)
    return _for_items(mask.reshape(rows, *sizes), shape)


def brush_mask(shape: Sequence[int], *, strokes: int = 4, width: float = 0.06, seed: int = 0) -> Tensor:
    """Loses what smooth random strokes of a brush cover; in vectors and signals, intervals.

    A stroke is a cubic Bezier curve between random points of the picture.

    Args:
        strokes: how many.
        width: of the brush, as a share of the shortest axis.
        seed: decides where they run.

    Raises:
        UserError: fewer than no strokes, or a width outside [0, 1].
    """
    if strokes < 0:
        raise UserError(f"the number of strokes is at least 0, got {strokes}")
    (width,) = _shares("width", width, (1,))
    sizes = places(shape)
    points = Stream.of(seed, range(strokes)).uniform((4, len(sizes)), step=0)[0, 0] if strokes else torch.zeros(0, 4, 1)
    thick = max(1.0, width * min(sizes))
    if len(sizes) == 1:
        mask, position = torch.ones(sizes), torch.arange(sizes[0]) + 0.5
        for middle in points[:, 0, 0] * sizes[0]:
            mask[(position - middle).abs() <= thick / 2] = 0
        return _for_items(mask, shape)

    from PIL import Image, ImageDraw

    height, width_in_pixels = sizes[-2:]
    picture = Image.new("1", (width_in_pixels, height), 1)
    pen = ImageDraw.Draw(picture)
    t = torch.linspace(0, 1, _STEPS + 1)
    bernstein = torch.stack([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3], dim=1)
    for stroke in points:
        path = (bernstein @ stroke * torch.tensor([height, width_in_pixels])).tolist()
        pen.line([(x, y) for y, x in path], fill=0, width=math.ceil(thick))
        for y, x in path:  # a disc closes each bend and rounds the ends
            pen.ellipse((x - thick / 2, y - thick / 2, x + thick / 2, y + thick / 2), fill=0)
    return _for_items(_tensor(picture), shape)


def text_mask(shape: Sequence[int], *, text: str = WORDS, height: float = 0.16) -> Tensor:
    """Loses what is covered by lines of writing in Pillow's own font; in vectors and signals, what one scan line of the
    writing crosses.

    Args:
        text: repeated until the picture is full.
        height: of the letters, as a share of the picture's height; at least eight pixels.

    Raises:
        UserError: no text, or a height outside [0, 1].
    """
    if not text.strip():
        raise UserError("the text of a text mask is empty; give some letters")
    (height,) = _shares("height", height, (1,))
    from PIL import Image, ImageDraw, ImageFont

    sizes = places(shape)
    rows, columns = sizes[-2:] if len(sizes) > 1 else (16, sizes[-1])
    size = max(8, round(height * rows))
    font = ImageFont.load_default(size)
    picture = Image.new("1", (columns, rows), 1)
    pen = ImageDraw.Draw(picture)
    repeats = math.ceil(2 * columns / max(1.0, font.getlength(text))) + 1
    for line, top in enumerate(range(0, rows, math.ceil(1.4 * size))):
        # Each line starts elsewhere in the text, so that letters do not stand in columns.
        start = 5 * line % len(text)
        pen.text((0, top), (text[start:] + text[:start]) * repeats, fill=0, font=font)
    drawn = _tensor(picture)
    return _for_items(drawn if len(sizes) > 1 else drawn[size // 2], shape)


def half_plane_mask(shape: Sequence[int], *, keep: float = 0.5, angle: float = 0.0) -> Tensor:
    """Keeps one side of a straight line; of a vector or a signal, the beginning.

    Args:
        keep: the share kept of the way across.
        angle: in degrees, of the way across against the horizontal: 0 keeps the left, 90 the top, 180 the right.

    Raises:
        UserError: a share outside [0, 1].
    """
    (keep,) = _shares("keep", keep, (1,))
    sizes = places(shape)
    if len(sizes) == 1:
        return _for_items(((torch.arange(sizes[0]) + 0.5) / sizes[0] < keep).float(), shape)
    turn = math.radians(angle)
    across, down = round(math.cos(turn), 12), round(math.sin(turn), 12)
    y, x = ((torch.arange(length, dtype=torch.float64) + 0.5) / length - 0.5 for length in sizes[-2:])
    reach = (abs(across) + abs(down)) / 2  # of the square's corners
    way = (across * x + down * y[:, None] + reach) / (2 * reach)
    return _for_items((way < keep).float(), shape)


def _shares(name: str, given: Share, sizes: Sequence[int]) -> tuple[float, ...]:
    """One share in [0, 1] for each axis."""
    shares = tuple(given) if isinstance(given, Sequence) else (given,) * len(sizes)
    if len(shares) != len(sizes):
        raise UserError(f"{name} holds {len(shares)} shares, but the items have {len(sizes)} axes of places")
    if not all(0 <= share <= 1 for share in shares):
        raise UserError(f"{name} is a share from 0 to 1, got {given}")
    return shares


def _tensor(picture: object) -> Tensor:
    """A Pillow picture of mode "1" as ones and zeros, (H, W)."""
    import numpy as np

    return torch.from_numpy(np.asarray(picture, dtype=np.float32).copy())


def _for_items(mask: Tensor, shape: Sequence[int]) -> Tensor:
    """With an axis for the channels where the items have one."""
    return mask.reshape(-1, *places(shape)) if len(shape) > 1 else mask.reshape(*shape)
