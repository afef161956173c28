"""Pictures side by side: contact sheets, sample grids, and the figures of reports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

_TEXT_SIZE = 13
_CAPTION_SIZE, _LINE = 10, 12  # pixels
_MARGIN = 6


def picture_grid(
    images: NDArray[Any],
    *,
    columns: int,
    scale: int = 1,
    row_titles: Sequence[str] | None = None,
    captions: Sequence[str] | None = None,
    pad: int = 2,
    background: int = 255,
) -> Image.Image:
    """One picture of many, row by row.

    Args:
        images: uint8 (N, C, H, W), C = 1 or 3.
        columns: pictures in a row; the last row may be shorter.
        scale: each pixel becomes a square of scale x scale pixels.
        row_titles: a title for each row, written to its left.
        captions: a text for each picture, written under it, in up to three lines of its width.
        pad: pixels between pictures and around them.
        background: the grey level, 0 .. 255, between them.

    Returns:
        A picture of mode "L" (C = 1) or "RGB".

    Raises:
        ValueError: arguments of the wrong shape, type or number.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1] not in (1, 3) or not len(images):
        raise ValueError(f"images must be uint8 (N, 1 or 3, H, W) with N >= 1, got {images.dtype} {images.shape}")
    if columns < 1 or scale < 1 or pad < 0:
        raise ValueError(f"columns and scale must be >= 1 and pad >= 0, got {columns}, {scale}, {pad}")
    count, channels, height, width = images.shape
    height, width = height * scale, width * scale
    rows = -(-count // columns)
    if row_titles is not None and len(row_titles) != rows:
        raise ValueError(f"{rows} rows need as many titles, got {len(row_titles)}")
    if captions is not None and len(captions) != count:
        raise ValueError(f"{count} pictures need as many captions, got {len(captions)}")
    font = ImageFont.load_default(_TEXT_SIZE)
    left = 0
    if row_titles:
        left = _MARGIN + int(max(font.getlength(title) for title in row_titles)) + 1
    small = ImageFont.load_default(_CAPTION_SIZE)
    told = [wrapped(caption, width, small) for caption in captions or ()]
    below = max(map(len, told), default=0) * _LINE  # pixels for the captions of a row
    size = (left + columns * (width + pad) + pad, rows * (height + pad + below) + pad)
    sheet = np.full((size[1], size[0], channels), background, np.uint8)
    for i in range(count):
        row, column = divmod(i, columns)
        y, x = pad + row * (height + pad + below), left + pad + column * (width + pad)
        picture = np.moveaxis(np.asarray(images[i]), 0, -1)
        sheet[y : y + height, x : x + width] = picture.repeat(scale, axis=0).repeat(scale, axis=1)
    result = Image.fromarray(sheet if channels == 3 else sheet[..., 0])
    draw = ImageDraw.Draw(result)
    grey = 0 if background > 127 else 255
    ink = grey if channels == 1 else (grey,) * 3
    for row, title in enumerate(row_titles or ()):
        middle = pad + row * (height + pad + below) + height / 2
        draw.text((left - 1, middle), title, fill=ink, font=font, anchor="rm")
    for i, lines in enumerate(told):
        row, column = divmod(i, columns)
        x, y = left + pad + column * (width + pad) + width / 2, pad + row * (height + pad + below) + height
        for number, line in enumerate(lines):
            draw.text((x, y + number * _LINE), line, fill=ink, font=small, anchor="mt")
    return result


def wrapped(text: str, width: float, font: Any, lines: int = 3) -> list[str]:
    """A text in lines of a width in pixels, broken between words; what does not fit ends in an ellipsis."""
    made: list[str] = []
    for word in text.split():
        longer = f"{made[-1]} {word}" if made else word
        if made and font.getlength(longer) <= width:
            made[-1] = longer
        else:
            made.append(word)
    if len(made) > lines:
        made = [*made[: lines - 1], f"{made[lines - 1]} …"]
    return [_cut(line, width, font) for line in made]


def _cut(line: str, width: float, font: Any) -> str:
    if font.getlength(line) <= width:
        return line
    line = line.removesuffix(" …")
    while line and font.getlength(f"{line}…") > width:
        line = line[:-1]
    return f"{line}…"
