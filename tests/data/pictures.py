"""Makes a folder of photographs and drawings such as people have: mixed sizes, formats, modes and orientations,
a few of them broken. Used by tests, and by hand: python tests/data/pictures.py FOLDER [COUNT]
"""

from __future__ import annotations

import importlib.util
import io
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

PHOTOS = (
    ("skimage", "data/astronaut.png"),
    ("skimage", "data/chelsea.png"),
    ("skimage", "data/coffee.png"),
    ("skimage", "data/rocket.jpg"),
    ("skimage", "data/camera.png"),
    ("skimage", "data/motorcycle_left.png"),
    ("sklearn", "datasets/images/china.jpg"),
    ("sklearn", "datasets/images/flower.jpg"),
)
BROKEN = 5


def make_pictures(folder: Path, count: int = 300, *, seed: int = 0, sub_folders: bool = True) -> Path:
    """Writes `count` files into the folder, the last five of them broken; returns the folder.

    Half are photographs, half drawings, in sub-folders of these names unless `sub_folders` is False.
    """
    random = np.random.default_rng(seed)
    photos = []
    for module, inside in PHOTOS:
        spec = importlib.util.find_spec(module)
        assert spec is not None, f"{module} is needed for the test pictures: pip install 'pellucid[dev]'"
        assert spec.origin is not None
        with Image.open(Path(spec.origin).parent / inside) as photo:
            photos.append(photo.convert("RGB"))
    for kind in ("photographs", "drawings"):
        (folder / kind if sub_folders else folder).mkdir(parents=True, exist_ok=True)
    for i in range(count - BROKEN):
        kind = ("photographs", "drawings")[i % 2]
        picture = _crop(photos[i // 2 % len(photos)], random) if i % 2 == 0 else _drawing(random)
        _save(picture, (folder / kind if sub_folders else folder) / f"{i:04d}", WAYS[i // 2 % len(WAYS)])
    _break(folder / "photographs" if sub_folders else folder, photos[0])
    return folder


def _crop(photo: Image.Image, random: np.random.Generator) -> Image.Image:
    width, height = (int(side) for side in random.integers(90, 300, 2))
    left, top = random.integers(0, photo.width - width + 1), random.integers(0, photo.height - height + 1)
    return photo.crop((int(left), int(top), int(left) + width, int(top) + height))


def _drawing(random: np.random.Generator) -> Image.Image:
    width, height = (int(side) for side in random.integers(40, 200, 2))
    image = Image.new("RGB", (width, height), tuple(int(v) for v in random.integers(150, 256, 3)))
    draw = ImageDraw.Draw(image)
    for _ in range(int(random.integers(3, 8))):
        x, y = int(random.integers(0, width)), int(random.integers(0, height))
        r = int(random.integers(4, 40))
        ink = tuple(int(v) for v in random.integers(0, 200, 3))
        shape = random.integers(0, 3)
        if shape == 0:
            draw.ellipse((x - r, y - r, x + r, y + r), fill=ink)
        elif shape == 1:
            draw.rectangle((x - r, y - r, x + r, y + r // 2), outline=ink, width=3)
        else:
            draw.line((x, y, width - x, height - y), fill=ink, width=4)
    return image


WAYS = (
    *("jpeg", "png", "jpeg-turned", "grey", "alpha", "palette", "cmyk"),
    *("16-bit", "webp", "gif-animated", "bmp", "tiff", "black-white", "grey-alpha"),
)


def _save(picture: Image.Image, stem: Path, way: str) -> None:
    exif = Image.Exif()
    if way == "jpeg":
        picture.save(stem.with_suffix(".jpg"), quality=92)
    elif way == "jpeg-turned":
        exif[0x0112] = 6  # stored turned by a quarter to the left, to be shown upright
        picture.transpose(Image.Transpose.ROTATE_90).save(stem.with_suffix(".JPG"), quality=92, exif=exif)
    elif way == "cmyk":
        picture.convert("CMYK").save(stem.with_suffix(".jpeg"), quality=92)
    elif way == "16-bit":
        grey = np.asarray(picture.convert("L")).astype(np.uint16) * 257
        Image.fromarray(grey).save(stem.with_suffix(".png"))
    elif way == "alpha":
        mask = Image.new("L", picture.size, 0)
        ImageDraw.Draw(mask).ellipse((0, 0, *picture.size), fill=255)
        picture.putalpha(mask)
        picture.save(stem.with_suffix(".png"))
    elif way == "gif-animated":
        frames = [picture.rotate(90 * k) for k in range(3)]
        frames[0].save(stem.with_suffix(".gif"), save_all=True, append_images=frames[1:])
    elif way in ("webp", "bmp", "tiff"):
        picture.save(stem.with_suffix(f".{way}"))
    else:
        mode = {"grey": "L", "palette": "P", "black-white": "1", "grey-alpha": "LA", "png": "RGB"}[way]
        picture.convert(mode).save(stem.with_suffix(".png"))


def _break(folder: Path, photo: Image.Image) -> None:
    whole = io.BytesIO()
    photo.save(whole, "JPEG")
    (folder / "broken-cut.jpg").write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])
    (folder / "broken-empty.png").write_bytes(b"")
    (folder / "broken-text.jpg").write_text("This is no picture.\n")
    (folder / "broken-noise.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4)
    (folder / "broken-huge.png").write_bytes(huge_png(20_000, 20_000))


def png(width: int, height: int, bits: int, colour: int, raw: bytes, *, extra: bytes = b"") -> bytes:
    """A PNG file from its raw scan lines (each with its filter byte), written by the specification alone."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def huge_png(width: int, height: int) -> bytes:
    """A small file that would decode to width x height white pixels of one bit."""
    return png(width, height, 1, 0, (b"\0" + b"\xff" * (-(-width // 8))) * height)


if __name__ == "__main__":
    made = make_pictures(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 300)
    print(f"wrote {sum(1 for f in made.rglob('*') if f.is_file())} files to {made}")
