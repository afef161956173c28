"""The one door through which a picture file comes in.

Whatever the file holds, out comes an upright 8-bit picture, grey ("L") or colour ("RGB"). The rules:

- only PNG, JPEG, GIF, BMP, TIFF and WEBP, told by their first bytes and never by their name;
- the size in the header is checked before a pixel is decoded;
- the EXIF orientation is applied;
- 16-bit grey is scaled by its full range, round(255 v / (2^bits - 1)), not clipped. (Pillow itself reads 16-bit
  colour by its high byte, v // 256, which differs by at most one level);
- 32-bit and floating-point grey is read on the first of the ranges 0..1 (floats only), 0..255 and 0..65535 that holds
  all of its values;
- transparent pixels are laid on white: round((c a + 255 (255 - a)) / 255);
- CMYK, YCbCr, LAB and HSV become RGB by Pillow's plain formulas; an embedded colour profile is not applied;
- of an animation, the first frame is taken;
- a colour picture whose three channels are equal everywhere is grey.

A file that cannot be read raises `Unreadable`, whose reason goes into the list of what was rejected.
"""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..foundations.errors import UserError

MAX_PIXELS = 64_000_000

# What Pillow's decoders raise on damaged files, found by flipping bits; anything else is a bug to be seen.
_DECODER_ERRORS = (
    OSError,
    ValueError,
    SyntaxError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    EOFError,
    RuntimeError,
    MemoryError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ORIENTATION = 0x0112
_TIFF_WIDTH, _TIFF_HEIGHT = 256, 257
_BITS_PER_SAMPLE = 258
_PHOTOMETRIC = 262


class Unreadable(UserError):
    """A picture file that cannot be read; the message is the reason alone."""


@dataclass(frozen=True)
class Rejected:
    """A file, or a row of a table, that was left out, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class Header:
    """What a picture file says of itself: upright width and height in pixels, Pillow's mode, the number of frames."""

    format: str
    mode: str
    width: int
    height: int
    frames: int


def picture_format(start: bytes) -> str | None:
    """Pillow's name of the format that a file with these first 16 bytes has, or None where it is not allowed."""
    if start.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if start.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if start.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    if start.startswith(b"BM"):
        return "BMP"
    if start.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return "TIFF"
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "WEBP"
    return None


def read_header(path: str | Path, *, max_pixels: int = MAX_PIXELS) -> Header:
    """Reads the header of a picture without decoding it; raises `Unreadable`."""
    with quiet():
        return header_of(path, max_pixels=max_pixels)


def read_picture(path: str | Path, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Reads a picture by the rules at the top of this module.

    Args:
        path: the file.
        max_pixels: a picture of more pixels (width x height) is refused before it is decoded.

    Returns:
        An upright picture of mode "L" or "RGB".

    Raises:
        Unreadable: with the reason, for a file that is empty, damaged, too large or not a picture.
    """
    with quiet():
        return decode(path, max_pixels=max_pixels)


@contextmanager
def quiet() -> Iterator[None]:
    """Silences Pillow's remarks on odd metadata. Python's filters are global: enter once, outside any threads."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


def header_of(path: str | Path, *, max_pixels: int = MAX_PIXELS) -> Header:
    """`read_header` for use within `quiet`."""
    with _opened(path, max_pixels) as image:
        width, height = image.size
        if image.format == "TIFF":  # whose size some versions of Pillow give upright, others as stored
            width, height = (int(image.getexif().get(tag, 0)) for tag in (_TIFF_WIDTH, _TIFF_HEIGHT))
        if _orientation(image) >= 5:
            width, height = height, width
        return Header(image.format or "", image.mode, width, height, int(getattr(image, "n_frames", 1)))


def decode(path: str | Path, *, at_least: int | None = None, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """`read_picture` for use within `quiet`.

    With `at_least`, a JPEG may come at 1/2, 1/4 or 1/8 of its size, averaged by its decoder at a fraction of the cost,
    so long as both sides keep that many pixels.
    """
    with _opened(path, max_pixels) as image:
        if at_least is not None and image.format == "JPEG":
            image.draft(None, (at_least, at_least))
        image.load()
        # a TIFF is turned by Pillow itself as it is loaded, and its orientation is then 1
        turn = _UPRIGHT.get(_orientation(image))
        picture = _eight_bits(image)
        return _grey_if_grey(picture if turn is None else picture.transpose(turn))


@contextmanager
def _opened(path: str | Path, max_pixels: int) -> Iterator[Image.Image]:
    """Opens a file by the allow-list; what goes wrong inside becomes `Unreadable`."""
    path = Path(path)
    try:
        if not path.is_file():  # also keeps us from waiting on a named pipe
            raise Unreadable("not a file" if path.exists() else "no such file")
        with path.open("rb") as file:
            start = file.read(16)
            file.seek(0)
            with Image.open(file, formats=[_allowed(start)]) as image:
                if image.width * image.height > max_pixels:
                    raise Unreadable(
                        f"{image.width} x {image.height} pixels, more than the {max_pixels / 1e6:g} megapixels allowed"
                    )
                yield image
    except Unreadable:
        raise
    except Image.DecompressionBombError as error:
        raise Unreadable(f"more pixels than the {max_pixels / 1e6:g} megapixels allowed") from error
    except PermissionError as error:
        raise Unreadable("no permission to read it") from error
    except _DECODER_ERRORS as error:
        detail = str(error).splitlines()[0] if str(error) else type(error).__name__
        if isinstance(error, Image.UnidentifiedImageError):
            detail = "its header makes no sense, or its kind of pixel is not known"
        if "truncated" in detail.lower():
            raise Unreadable(f"cut short: {detail}") from error
        raise Unreadable(f"damaged or not supported: {detail}") from error


def _allowed(start: bytes) -> str:
    found = picture_format(start)
    if found is not None:
        return found
    if not start:
        raise Unreadable("empty file (0 bytes)")
    hint = " (a HEIC or AVIF picture: save it as PNG or JPEG)" if start[4:8] == b"ftyp" else ""
    raise Unreadable(f"not a PNG, JPEG, GIF, BMP, TIFF or WEBP picture{hint}")


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except _DECODER_ERRORS:  # the pixels may be good where the metadata is not
        return 1


def _eight_bits(image: Image.Image) -> Image.Image:
    """Any decoded picture as "L" or "RGB", not yet turned upright."""
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(_scaled(image))
    if "transparency" in image.info or image.mode in ("RGBA", "RGBa", "LA", "La", "PA"):
        return Image.fromarray(_on_white(np.asarray(image.convert("RGBA"))))
    return image.convert("L" if image.mode in ("1", "L") else "RGB")


def _on_white(rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """round((c a + 255 (255 - a)) / 255), exactly: a half never occurs as 255 is odd. (H, W, 4) -> (H, W, 3)."""
    alpha = rgba[..., 3:].astype(np.uint32)
    return ((rgba[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)


def _scaled(image: Image.Image) -> NDArray[np.uint8]:
    """Grey of more than 8 bits, (H, W), scaled to 0 .. 255."""
    values = np.asarray(image, dtype=np.float64)
    if not np.isfinite(values).all():
        raise Unreadable("holds values that are not finite (NaN or infinity)")
    low, high = float(values.min()), float(values.max())
    tags = getattr(image, "tag_v2", {})
    if image.mode.startswith("I;"):
        top = 2.0 ** min(int(tags.get(_BITS_PER_SAMPLE, (16,))[0]), 16) - 1
        if tags.get(_PHOTOMETRIC) == 0:  # "white is zero", which Pillow undoes for 8 bits only
            values = top - values
    elif image.mode == "I" and image.format == "PNG":  # how older versions of Pillow name 16 bits
        top = 65535.0
    else:
        tops = (1.0, 255.0, 65535.0) if image.mode == "F" else (255.0, 65535.0)
        top = next((top for top in tops if high <= top), 0.0)
        if low < 0 or not top:
            raise Unreadable(f"its values run from {low:g} to {high:g}; rescale them to 0 .. 255 or 0 .. 65535")
    return np.floor(values * (255 / top) + 0.5).clip(0, 255).astype(np.uint8)


def _grey_if_grey(picture: Image.Image) -> Image.Image:
    if picture.mode != "RGB":
        return picture
    red, green, blue = (np.asarray(channel) for channel in picture.split())
    return picture.getchannel(0) if np.array_equal(red, green) and np.array_equal(red, blue) else picture
