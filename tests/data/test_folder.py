import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pellucid.data.cache import cached
from pellucid.data.folder import load_folder, square
from pellucid.data.images import read_picture
from pellucid.data.survey import choose_size, find_files, survey_folder
from pellucid.foundations.errors import UserError

from .pictures import BROKEN, make_pictures


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pictures(tmp_path_factory.mktemp("mixed"), 60)


def block(path: Path, *colour: int, size: tuple[int, int] = (20, 20)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB" if len(colour) == 3 else "L", size, colour if len(colour) == 3 else colour[0]).save(path)


def test_a_folder_as_people_have_it(mixed: Path) -> None:
    seen: list[tuple[int, int]] = []
    ds = load_folder(mixed, progress=lambda done, total: seen.append((done, total)))
    assert len(ds) == 60 - BROKEN
    assert ds.items.dtype == np.uint8
    assert ds.shape == (3, 64, 64)
    assert ds.label_names == ("drawings", "photographs")
    assert np.bincount(ds.labels).tolist() == [27, 28]
    reasons = {Path(entry.path).name: entry.reason for entry in ds.rejected}
    assert set(reasons) == {f"broken-{way}" for way in ("cut.jpg", "empty.png", "text.jpg", "noise.png", "huge.png")}
    assert "cut short" in reasons["broken-cut.jpg"]
    assert "empty" in reasons["broken-empty.png"]
    assert "megapixels" in reasons["broken-huge.png"]
    assert seen[-1] == (56, 56)  # the cut file shows itself only when it is decoded


def test_items_are_the_pictures_cut_and_resized(mixed: Path) -> None:
    ds = load_folder(mixed, 48)
    files = [f for f in sorted(mixed.rglob("*"), key=lambda f: f.relative_to(mixed).as_posix()) if f.is_file()]
    files = [f for f in files if "broken" not in f.name]
    assert len(files) == len(ds)
    for i in range(0, len(files), 6):
        if files[i].suffix.lower() in (".jpg", ".jpeg"):
            continue  # may be decoded at half the size; compared below
        picture = read_picture(files[i]).convert("RGB")
        short = min(picture.size)
        left, top = (picture.width - short) / 2, (picture.height - short) / 2
        box = (left, top, left + short, top + short)
        expected = picture.resize((48, 48), Image.Resampling.LANCZOS, box=box)
        difference = np.abs(np.moveaxis(ds.items[i], 0, -1).astype(int) - np.asarray(expected))
        # averaging over blocks first (from 3 times the size) moves a pixel by a few levels
        assert difference.mean() < 1.5
        assert picture.width >= 144 or difference.max() <= 1


def test_a_square_is_cut_from_the_middle() -> None:
    picture = np.zeros((4, 12), np.uint8)
    picture[:, 4:8] = 200
    np.testing.assert_array_equal(np.asarray(square(Image.fromarray(picture), 4)), np.full((4, 4), 200))
    tall = square(Image.fromarray(picture.T.copy()), 4)
    np.testing.assert_array_equal(np.asarray(tall), np.full((4, 4), 200))


def test_shrinking_averages() -> None:
    checks = np.indices((512, 512)).sum(0) % 2 * 255
    small = np.asarray(square(Image.fromarray(checks.astype(np.uint8)), 16))
    # without antialiasing it would be 0 or 255; each pixel is the mean of 1024, half black and half white
    assert np.abs(small[2:-2, 2:-2].astype(int) - 127.5).max() <= 1.5


@pytest.mark.parametrize("coarse", [1, 8])
def test_a_jpeg_decoded_at_less_than_its_size_looks_the_same(tmp_path: Path, coarse: int) -> None:
    # 800 x 1000 pixels, which may be decoded at an eighth for 32 pixels; and 100 x 125, which may not
    y, x = np.mgrid[0:800:coarse, 0:1000:coarse]
    smooth = np.stack([x / 4, y / 4, 128 + 100 * np.sin(x / 90) * np.cos(y / 70)], -1).astype(np.uint8)
    Image.fromarray(smooth).save(tmp_path / "a.jpg", quality=98, subsampling=0)
    Image.fromarray(smooth).save(tmp_path / "b.png")
    items = load_folder(tmp_path, 32).items.astype(int)
    assert np.abs(items[0] - items[1]).mean() < 1.0  # the loss of JPEG itself, in levels


@pytest.mark.parametrize(
    ("sides", "expected"), [([5], 16), ([31, 31, 500], 16), ([32, 33], 32), ([64], 64), ([4000], 64)]
)
def test_the_size_follows_the_median_shorter_side(tmp_path: Path, sides: list[int], expected: int) -> None:
    for i, side in enumerate(sides):
        block(tmp_path / f"{i}.png", 9, size=(side, side + 7))
    assert choose_size(survey_folder(tmp_path).headers) == expected


def test_channels(tmp_path: Path) -> None:
    block(tmp_path / "a.png", 10)
    block(tmp_path / "b.png", 20, 20, 20)  # grey, though stored as colour
    assert load_folder(tmp_path).shape == (1, 16, 16)
    assert load_folder(tmp_path).items[:, 0, 0, 0].tolist() == [10, 20]
    assert load_folder(tmp_path, channels=3).items[1, :, 0, 0].tolist() == [20, 20, 20]
    block(tmp_path / "c.png", 255, 0, 0)
    assert load_folder(tmp_path).shape == (3, 16, 16)
    # ITU-R 601: 0.299 red
    assert load_folder(tmp_path, channels=1).items[2, 0, 0, 0] == round(0.299 * 255)


def test_labels_from_sub_folders(tmp_path: Path) -> None:
    for name in ("10/a", "9/deep/b", "cat/c"):
        block(tmp_path / f"{name}.png", 1)
    ds = load_folder(tmp_path)
    assert ds.label_names == ("9", "10", "cat")
    assert ds.labels.tolist() == [1, 0, 2]
    assert load_folder(tmp_path, labels_csv="none").labels is None
    block(tmp_path / "loose.png", 1)
    ds = load_folder(tmp_path)
    assert ds.labels is None
    assert "1 pictures lie outside" in ds.notes[0]


def test_one_sub_folder_is_no_label(tmp_path: Path) -> None:
    block(tmp_path / "all" / "a.png", 1)
    assert load_folder(tmp_path).labels is None


@pytest.mark.parametrize("inside", [True, False])
def test_labels_from_a_csv(tmp_path: Path, inside: bool) -> None:
    folder = tmp_path / "pictures"
    block(folder / "a.png", 1)
    block(folder / "b" / "c.png", 1)
    table = folder / "labels.csv" if inside else tmp_path / "table.csv"
    table.write_text("label,file\nx,a.png\ny,./b/c.png\ny,gone.png\n")
    ds = load_folder(folder, labels_csv=None if inside else table)
    assert (ds.label_names, ds.labels.tolist()) == (("x", "y"), [0, 1])
    assert not ds.rejected
    assert "gone.png" in ds.notes[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,label\nb.png,x\n", r"1 of 1 pictures have no label .*'a.png'"),
        ("name,label\na.png,x\n", "columns file and label .*found: name, label"),
        ("file,label\na.png,\n", "line 2: a file or a label is missing"),
        ("file,label\na.png,x\na.png,y\n", "line 3: 'a.png' has the label 'y' here and 'x' above"),
        ("", "found: none"),
    ],
)
def test_a_csv_that_does_not_fit_is_told(tmp_path: Path, text: str, message: str) -> None:
    block(tmp_path / "a.png", 1)
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        load_folder(tmp_path)


def test_a_missing_csv_is_told(tmp_path: Path) -> None:
    block(tmp_path / "a.png", 1)
    with pytest.raises(UserError, match="no file"):
        load_folder(tmp_path, labels_csv=tmp_path / "no.csv")


def test_hidden_files_and_circles_of_links(tmp_path: Path) -> None:
    for name in ("b/a.png", "a.png", ".hidden.png", ".git/c.png"):
        block(tmp_path / name, 1)
    (tmp_path / "b" / "up").symlink_to(tmp_path, target_is_directory=True)
    other = tmp_path.parent / f"{tmp_path.name}-linked"
    block(other / "d.png", 1)
    (tmp_path / "link").symlink_to(other, target_is_directory=True)
    names = [file.relative_to(tmp_path).as_posix() for file in find_files(tmp_path)]
    assert names == ["a.png", "b/a.png", "link/d.png"]


def test_a_pipe_does_not_hang(tmp_path: Path) -> None:
    block(tmp_path / "a.png", 1)
    os.mkfifo(tmp_path / "pipe.png")
    assert load_folder(tmp_path).rejected[0].reason == "not a file"


def test_folders_without_pictures_are_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no folder"):
        load_folder(tmp_path / "none")
    with pytest.raises(UserError, match="holds no files"):
        load_folder(tmp_path)
    (tmp_path / "a.txt").write_text("no picture at all")
    with pytest.raises(UserError, match=r"no readable picture among the 1 files .*a\.txt: not a PNG"):
        load_folder(tmp_path)
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (50, 50)).astype(np.uint8)).save(buffer, "JPEG")
    (tmp_path / "a.txt").write_bytes(buffer.getvalue()[:900])  # the header is good, the rest is missing
    with pytest.raises(UserError, match="cut short"):
        load_folder(tmp_path)


@pytest.mark.parametrize(
    ("size", "channels", "message"), [(0, None, "at least 1"), (16, 2, "1 channel"), (16, 4, "got 4")]
)
def test_options_are_checked(mixed: Path, size: int, channels: int | None, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_folder(mixed, size, channels)


def test_what_does_not_fit_memory_is_mapped_and_equal(mixed: Path, cache: Path) -> None:
    memory, mapped = load_folder(mixed), load_folder(mixed, memory_limit=1000)
    assert isinstance(mapped.items, np.memmap)
    assert mapped.fingerprint() == memory.fingerprint()
    assert mapped.rejected == memory.rejected
    calls: list[int] = []
    again = load_folder(mixed, memory_limit=1000, progress=lambda done, total: calls.append(done))
    assert not calls  # nothing is decoded a second time
    assert again.fingerprint() == memory.fingerprint()
    (folder,) = cache.iterdir()  # and no temporary folder is left
    (folder / "items.npy").write_bytes(b"damaged")
    assert load_folder(mixed, memory_limit=1000).fingerprint() == memory.fingerprint()


def test_all_grey_is_mapped_as_one_channel(tmp_path: Path) -> None:
    for i in range(5):
        block(tmp_path / "p" / f"{i}.png", i)
    ds = load_folder(tmp_path / "p", memory_limit=10)
    assert ds.shape == (1, 16, 16)
    assert ds.items[:, 0, 3, 3].tolist() == [0, 1, 2, 3, 4]


def test_a_changed_file_is_decoded_anew(tmp_path: Path) -> None:
    for i in range(5):
        block(tmp_path / "p" / f"{i}.png", i)
    load_folder(tmp_path / "p", memory_limit=10)
    block(tmp_path / "p" / "3.png", 77)
    os.utime(tmp_path / "p" / "3.png", ns=(1, 1))
    assert load_folder(tmp_path / "p", memory_limit=10).items[3, 0, 0, 0] == 77


def test_a_cache_that_fails_to_be_written_leaves_nothing(cache: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached("name", fail)
    assert not list(cache.iterdir())
