import numpy as np
import pytest
from PIL import ImageFont

from pellucid.data.grid import picture_grid, wrapped


@pytest.mark.parametrize("channels", [1, 3])
def test_every_picture_is_in_its_place(channels: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, channels, 3, 4)).astype(np.uint8)
    sheet = np.asarray(picture_grid(images, columns=2, scale=2, pad=1, background=77))
    sheet = sheet.reshape(*sheet.shape[:2], channels)
    assert sheet.shape == (3 * 7 + 1, 2 * 9 + 1, channels)
    covered = np.zeros(sheet.shape[:2], bool)
    for i in range(5):
        y, x = 1 + i // 2 * 7, 1 + i % 2 * 9
        for dy in range(2):
            for dx in range(2):
                np.testing.assert_array_equal(
                    sheet[y + dy : y + 6 : 2, x + dx : x + 8 : 2], np.moveaxis(images[i], 0, -1)
                )
        covered[y : y + 6, x : x + 8] = True
    assert (sheet[~covered] == 77).all()


def test_titles_stand_to_the_left_of_unchanged_pictures() -> None:
    images = np.full((4, 1, 20, 20), 128, np.uint8)
    plain = np.asarray(picture_grid(images, columns=2))
    titled = np.asarray(picture_grid(images, columns=2, row_titles=["cats", "a longer title"]))
    np.testing.assert_array_equal(titled[:, -plain.shape[1] :], plain)
    left = titled[:, : -plain.shape[1]]
    assert (left[:22] < 100).any()
    assert (left[22:] < 100).any()
    assert (left[:, 0] == 255).all()  # nothing is cut off


@pytest.mark.parametrize(
    ("images", "options"),
    [
        (np.zeros((2, 1, 3, 3)), {"columns": 1}),
        (np.zeros((2, 2, 3, 3), np.uint8), {"columns": 1}),
        (np.zeros((0, 1, 3, 3), np.uint8), {"columns": 1}),
        (np.zeros((2, 1, 3, 3), np.uint8), {"columns": 0}),
        (np.zeros((2, 1, 3, 3), np.uint8), {"columns": 1, "row_titles": ["one"]}),
    ],
)
def test_bad_arguments(images: np.ndarray, options: dict) -> None:
    with pytest.raises(ValueError, match=r"images must be|columns and|titles"):
        picture_grid(images, **options)


def test_captions_stand_under_their_pictures() -> None:
    """The pictures are where they are without captions, but for the rows' distance, and only white is written on."""
    images = np.full((3, 1, 4, 4), 90, np.uint8)
    plain = np.asarray(picture_grid(images, columns=2, scale=10))
    told = np.asarray(picture_grid(images, columns=2, scale=10, captions=["one", "", "a long caption of many words"]))
    lines = (told.shape[0] - plain.shape[0]) // 2  # below each of the two rows
    assert np.array_equal(told[:42], plain[:42])
    below = told[42 : 42 + lines]
    assert (below[:, :42] < 255).any()  # "one"
    assert (below[:, 44:] == 255).all()  # no caption
    assert np.array_equal(told[42 + lines + 2 : 42 + lines + 42], plain[44:84])
    with pytest.raises(ValueError, match="3 pictures need as many captions"):
        picture_grid(images, columns=2, captions=["one"])


def test_lines_break_between_words_and_end_in_an_ellipsis() -> None:
    font = ImageFont.load_default(10)
    text = "a red heart beside two small green cats on a wall"
    lines = wrapped(text, 60, font, lines=20)
    assert " ".join(lines) == text
    assert all(font.getlength(line) <= 60 for line in lines)
    short = wrapped(text, 60, font)
    assert len(short) == 3
    assert short[2].endswith("…")
    assert all(font.getlength(line) <= 60 for line in [*short, *wrapped("incomprehensibilities", 60, font)])
