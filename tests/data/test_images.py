import io
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pellucid.data.images import Unreadable, read_header, read_picture

from .pictures import chunk, huge_png, png


def pixels(path: Path, content: bytes) -> np.ndarray:
    path.write_bytes(content)
    return np.asarray(read_picture(path))


def saved(array: np.ndarray, format: str, mode: str | None = None, **options: object) -> bytes:
    buffer = io.BytesIO()
    image = Image.fromarray(array)
    (image if mode is None else image.convert(mode)).save(buffer, format, **options)
    return buffer.getvalue()


@pytest.fixture
def colour() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF", "WEBP"])
def test_colour_comes_through_unchanged(tmp_path: Path, colour: np.ndarray, format: str) -> None:
    options = {"lossless": True} if format == "WEBP" else {}
    np.testing.assert_array_equal(pixels(tmp_path / "a", saved(colour, format, **options)), colour)


def test_a_name_does_not_matter(tmp_path: Path, colour: np.ndarray) -> None:
    np.testing.assert_array_equal(pixels(tmp_path / "a.jpg", saved(colour, "PNG")), colour)


def test_colour_with_equal_channels_is_grey(tmp_path: Path) -> None:
    grey = np.arange(20, dtype=np.uint8).reshape(4, 5)
    np.testing.assert_array_equal(pixels(tmp_path / "a", saved(np.stack([grey] * 3, -1), "PNG")), grey)


# The eight orientations of the EXIF standard, as index arithmetic: where "row 0, column 0" of the stored array belongs.
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a[::-1].swapaxes(0, 1),  # a quarter turn clockwise
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: a[:, ::-1].swapaxes(0, 1),
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP"])
def test_exif_orientation(tmp_path: Path, colour: np.ndarray, orientation: int, format: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if format == "WEBP" else {}
    result = pixels(tmp_path / "a", saved(colour, format, exif=exif, **options))
    np.testing.assert_array_equal(result, UPRIGHT[orientation](colour))
    header = read_header(tmp_path / "a")
    assert (header.height, header.width) == result.shape[:2]


def test_exif_orientation_of_a_jpeg(tmp_path: Path) -> None:
    halves = np.zeros((32, 64, 3), np.uint8)
    halves[:, :32] = (200, 30, 30)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise: the left half goes up
    result = pixels(tmp_path / "a", saved(halves, "JPEG", exif=exif, quality=95)).astype(int)
    assert result.shape == (64, 32, 3)
    assert np.abs(result[4:28] - (200, 30, 30)).max() < 8  # a JPEG of quality 95 is within a few levels
    assert result[36:].max() < 8


def big_endian(values: np.ndarray) -> bytes:
    """PNG scan lines of 16-bit samples."""
    return b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)


def test_16_bit_grey_is_scaled_not_clipped(tmp_path: Path) -> None:
    values = np.random.default_rng(1).integers(0, 65536, (6, 11))
    values[0, :4] = 0, 128, 129, 65535
    expected = np.array([[round(int(v) * 255 / 65535) for v in row] for row in values], np.uint8)
    np.testing.assert_array_equal(pixels(tmp_path / "a", png(11, 6, 16, 0, big_endian(values))), expected)
    np.testing.assert_array_equal(pixels(tmp_path / "b", saved(values.astype(np.uint16), "TIFF")), expected)


def test_16_bit_colour_is_scaled_within_one_level(tmp_path: Path) -> None:
    values = np.random.default_rng(2).integers(0, 65536, (6, 11, 3))
    result = pixels(tmp_path / "a", png(11, 6, 16, 2, big_endian(values.reshape(6, -1))))
    assert np.abs(result - values * 255 / 65535).max() < 1.0


def test_16_bit_tiff_whose_white_is_zero(tmp_path: Path) -> None:
    values = np.arange(0, 65536, 4096, dtype=np.uint16).reshape(4, 4)
    content = bytearray(saved(values, "TIFF"))
    entry = content.find(bytes([0x06, 0x01, 0x03, 0x00, 0x01, 0, 0, 0, 0x01, 0]))  # PhotometricInterpretation = 1
    assert entry > 0
    content[entry + 8] = 0
    expected = np.floor((65535.0 - values) / 257 + 0.5)
    np.testing.assert_array_equal(pixels(tmp_path / "a", bytes(content)), expected)


@pytest.mark.parametrize(("top", "scale"), [(1.0, 255.0), (255.0, 1.0), (65535.0, 1 / 257)])
def test_float_tiff_is_read_on_the_first_range_that_holds_it(tmp_path: Path, top: float, scale: float) -> None:
    values = (np.linspace(0, 1, 30) * top).astype(np.float32).reshape(5, 6)
    result = pixels(tmp_path / "a", saved(values, "TIFF"))
    assert np.abs(result - values.astype(np.float64) * scale).max() <= 0.5 + 1e-4  # rounding, and float32


@pytest.mark.parametrize("value", [np.nan, np.inf, -3.0, 1e9])
def test_float_tiff_out_of_every_range_is_refused(tmp_path: Path, value: float) -> None:
    values = np.full((3, 3), 0.5, np.float32)
    values[1, 1] = value
    with pytest.raises(Unreadable, match=r"finite|rescale"):
        pixels(tmp_path / "a", saved(values, "TIFF"))


def on_white(c: int, a: int) -> int:
    return round(c * a / 255 + 255 * (255 - a) / 255)


def test_alpha_is_laid_on_white(tmp_path: Path) -> None:
    rgba = np.random.default_rng(3).integers(0, 256, (8, 9, 4)).astype(np.uint8)
    rgba[0, 0, 3], rgba[0, 1, 3] = 0, 255
    expected = [[[on_white(int(c), int(p[3])) for c in p[:3]] for p in row] for row in rgba]
    np.testing.assert_array_equal(pixels(tmp_path / "a", saved(rgba, "PNG")), expected)


def test_grey_with_alpha(tmp_path: Path) -> None:
    la = np.random.default_rng(4).integers(0, 256, (3, 5, 2)).astype(np.uint8)
    raw = b"".join(b"\0" + row.tobytes() for row in la)
    expected = [[on_white(int(p[0]), int(p[1])) for p in row] for row in la]
    np.testing.assert_array_equal(pixels(tmp_path / "a", png(5, 3, 8, 4, raw)), expected)


def test_palette_with_and_without_transparency(tmp_path: Path) -> None:
    palette = np.array([[250, 0, 0], [0, 120, 255], [9, 9, 9]], np.uint8)
    index = np.array([[0, 1, 2], [2, 1, 0]], np.uint8)
    raw = b"".join(b"\0" + row.tobytes() for row in index)
    plte, alpha = chunk(b"PLTE", palette.tobytes()), [255, 100, 0]
    np.testing.assert_array_equal(pixels(tmp_path / "a", png(3, 2, 8, 3, raw, extra=plte)), palette[index])
    content = png(3, 2, 8, 3, raw, extra=plte + chunk(b"tRNS", bytes(alpha)))
    shown = np.array([[on_white(int(c), a) for c in p] for p, a in zip(palette, alpha, strict=True)])
    np.testing.assert_array_equal(pixels(tmp_path / "b", content), shown[index])


def test_one_transparent_colour(tmp_path: Path) -> None:
    grey = np.array([[0, 50, 100]], np.uint8)
    content = png(3, 1, 8, 0, b"\0" + grey.tobytes(), extra=chunk(b"tRNS", b"\0\x32"))
    np.testing.assert_array_equal(pixels(tmp_path / "a", content), [[0, 255, 100]])


def test_one_bit(tmp_path: Path) -> None:
    np.testing.assert_array_equal(
        pixels(tmp_path / "a", png(4, 1, 1, 0, b"\0\xa0")), [[255, 0, 255, 0]]
    )  # 0xa0 = 1010 0000


def test_cmyk(tmp_path: Path) -> None:
    cmyk = np.random.default_rng(5).integers(0, 256, (4, 6, 4)).astype(np.uint8)
    image = Image.frombytes("CMYK", (6, 4), cmyk.tobytes())
    image.save(tmp_path / "a.tiff")
    c, k = cmyk[..., :3].astype(float) / 255, cmyk[..., 3:].astype(float) / 255
    result = np.asarray(read_picture(tmp_path / "a.tiff")).astype(float)
    assert np.abs(result - 255 * (1 - c) * (1 - k)).max() <= 1.0  # the plain formula, to Pillow's integer rounding


def test_cmyk_jpeg_is_not_inverted(tmp_path: Path) -> None:
    Image.new("CMYK", (16, 16), (0, 0, 0, 0)).save(tmp_path / "white.jpg")
    assert np.asarray(read_picture(tmp_path / "white.jpg")).min() > 250


def test_an_animation_gives_its_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (6, 4), c) for c in ((255, 0, 0), (0, 255, 0), (0, 0, 255))]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert read_header(tmp_path / "a.gif").frames == 3
    np.testing.assert_array_equal(np.asarray(read_picture(tmp_path / "a.gif")), np.full((4, 6, 3), (255, 0, 0)))


def test_a_size_is_checked_before_decoding(tmp_path: Path) -> None:
    (tmp_path / "bomb.png").write_bytes(huge_png(9_400, 9_400))
    assert (tmp_path / "bomb.png").stat().st_size < 100_000
    for read in (read_header, read_picture):
        with pytest.raises(Unreadable, match="9400 x 9400 pixels, more than the 64 megapixels"):
            read(tmp_path / "bomb.png")
    (tmp_path / "bomb.png").write_bytes(huge_png(20_000, 20_000))
    with pytest.raises(Unreadable, match="more pixels than the 64 megapixels allowed"):
        read_picture(tmp_path / "bomb.png")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty file"),
        (b"hello, I am text", "not a PNG, JPEG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "not a PNG, JPEG"),  # Pillow alone would start Ghostscript on this
        (b"\0\0\0\x18ftypheic" + bytes(50), "HEIC"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "damaged"),
        (b"BM" + bytes(60), "damaged"),
    ],
)
def test_what_is_no_picture_is_refused_with_a_reason(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(Unreadable, match=reason):
        read_picture(tmp_path / "a.png")


@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"])
def test_a_file_cut_short_is_refused(tmp_path: Path, format: str) -> None:
    noise = np.random.default_rng(6).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    content = saved(noise, format)
    (tmp_path / "a").write_bytes(content[: len(content) // 2])
    with pytest.raises(Unreadable):
        read_picture(tmp_path / "a")


def test_flipped_bits_raise_nothing_but_unreadable(tmp_path: Path) -> None:
    random = np.random.default_rng(7)
    noise = random.integers(0, 256, (24, 24, 3)).astype(np.uint8)
    for format in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"):
        whole = saved(noise, format)
        for _ in range(60):
            content = bytearray(whole)
            for place in random.integers(0, min(len(whole), 300), 3):
                content[place] ^= 1 << int(random.integers(0, 8))
            (tmp_path / "a").write_bytes(content)
            with suppress(Unreadable):
                assert read_picture(tmp_path / "a", max_pixels=10**6).mode in ("L", "RGB")


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="no such file"):
        read_picture(tmp_path / "none.png")
    with pytest.raises(Unreadable, match="not a file"):
        read_picture(tmp_path)
