"""Hostile pictures: each one's outcome is stated here before it is read."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from pellucid.data.images import Unreadable, read_picture

from ..data.pictures import chunk, huge_png, png
from .forked import Report, run
from .table import Effort, Row, Tally
from .tiny import Whole

_MEGABYTES = 200


def _saved(image: Image.Image, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def hostile() -> Iterator[tuple[str, bytes, tuple[str, tuple[int, int]] | None]]:
    """Name, content, and mode and (width, height) of what comes out; None where it must be refused."""
    noise = np.random.default_rng(0).integers(0, 256, (24, 40, 4)).astype(np.uint8)
    colour, grey = Image.fromarray(noise[..., :3]), Image.fromarray(noise[..., 0])
    size = (40, 24)
    for form in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"):
        content = _saved(colour, form)
        yield f"{form} under the name of another", content, ("RGB", size)
        yield f"{form} cut in half", content[: len(content) // 2], None
        yield f"{form} of its first 12 bytes", content[:12], None
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        turned = size if orientation < 5 else size[::-1]
        yield f"EXIF orientation {orientation}", _saved(colour, "JPEG", exif=exif), ("RGB", turned)
    yield "zero bytes", b"", None
    yield "text", b"this is no picture, whatever its name\n", None
    yield "PostScript", b"%!PS-Adobe-3.0 EPSF-3.0\n", None
    yield "SVG", b"<svg xmlns='http://www.w3.org/2000/svg'/>", None
    yield "HEIC", b"\0\0\0\x18ftypheic" + bytes(50), None
    yield "PNG of noise", b"\x89PNG\r\n\x1a\n" + bytes(range(256)), None
    yield "PNG of size 0", png(0, 0, 8, 0, b""), None
    yield "16-bit grey", _saved(Image.fromarray(noise[..., 0].astype(np.uint16) * 257), "PNG"), ("L", size)
    yield "float grey", _saved(Image.fromarray(noise[..., 0].astype(np.float32) / 255), "TIFF"), ("L", size)
    for value in (np.nan, np.inf, -5.0, 1e9):
        yield f"float with {value}", _saved(Image.fromarray(np.full((4, 4), value, np.float32)), "TIFF"), None
    yield "CMYK", _saved(colour.convert("CMYK"), "JPEG"), ("RGB", size)
    yield "palette", _saved(colour.convert("P"), "PNG"), ("RGB", size)
    yield "alpha", _saved(Image.fromarray(noise), "PNG"), ("RGB", size)
    yield "one bit", _saved(grey.convert("1"), "PNG"), ("L", size)
    yield "animation", _saved(colour, "GIF", save_all=True, append_images=[grey.convert("RGB")]), ("RGB", size)
    yield "a colour profile of noise", _saved(colour, "PNG", icc_profile=noise.tobytes()), ("RGB", size)
    yield "1 x 1", _saved(grey.resize((1, 1)), "PNG"), ("L", (1, 1))
    yield "1 x 10,000", _saved(grey.resize((1, 10_000)), "PNG"), ("L", (1, 10_000))
    yield "10,000 x 1", _saved(grey.resize((10_000, 1)), "PNG"), ("L", (10_000, 1))
    yield "bomb of 88 megapixels", huge_png(9_400, 9_400), None
    yield "62 megapixels, just allowed", huge_png(7_900, 7_900), ("L", (7_900, 7_900))
    yield "bomb of 400 megapixels", huge_png(20_000, 20_000), None
    yield "a header of 2^31 x 2^31 pixels", png(2**31 - 1, 2**31 - 1, 8, 0, b""), None
    yield (
        "BMP of 10^9 pixels",
        b"BM" + struct.pack("<IIIIiiHHIIiiII", 54, 0, 54, 40, 31_623, 31_623, 1, 24, *[0] * 6),
        None,
    )
    yield (
        "a chunk that lies of its length",
        png(8, 8, 8, 0, bytes(72), extra=struct.pack(">I", 2**31 - 1) + b"tEXt"),
        None,
    )
    yield "a transparency chunk too long", png(8, 8, 8, 0, bytes(72), extra=chunk(b"prVt", bytes(999))), ("L", (8, 8))


def rows(effort: Effort, whole: Whole) -> Iterator[Row]:
    """The promises about pictures."""
    path, lines = effort.folder("pictures") / "a.jpg", Tally()
    done = run(lambda report: _read_all(path, report))
    for line in done.lines:
        if line.startswith("picture "):
            lines.add(line.startswith("picture good"), line)
    lines.add(done.code == 0, f"{done.code} {done.lines[-1:]}")
    how = f"{lines.tries - 1} pictures: other names, cut, empty, turned, every depth and mode, animated, profiles, "
    yield lines.row("Each hostile picture has the outcome stated before it was read", how + "extreme sides, bombs")
    grown = done.numbers("grew")
    yield Row(
        f"Reading them takes at most {_MEGABYTES} MB more than the start",
        lines.tries - 1,
        int(not grown or grown[0] > _MEGABYTES),
        f"the peak of a process that reads them all: {grown[0] if grown else 'unknown'} MB more",
    )


def _read_all(path: Path, report: Report) -> None:
    cases = list(hostile())
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew: a fork has that of its parent
    before = _kilobytes("VmRSS")
    for name, content, expected in cases:
        path.write_bytes(content)
        try:
            picture = read_picture(path)
            found: object = (picture.mode, picture.size)
        except Unreadable:
            found = None
        report(f"picture {'good' if found == expected else 'bad'} {name}: {found}, expected {expected}")
    report(f"grew {(_kilobytes('VmHWM') - before) // 1024}")


def _kilobytes(name: str) -> int:
    """A figure of this process's memory, from Linux."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))
