import numpy as np
import pytest

from pellucid.data.recognise import dataset_of_array
from pellucid.foundations.errors import UserError

RANDOM = np.random.default_rng(0)
COLOUR = RANDOM.integers(0, 256, (6, 3, 8, 9)).astype(np.uint8)
GREY = RANDOM.integers(0, 256, (6, 1, 8, 9)).astype(np.uint8)


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (COLOUR, COLOUR),
        (np.moveaxis(COLOUR, 1, 3), COLOUR),
        (GREY, GREY),
        (GREY[:, 0], GREY),
        (np.moveaxis(GREY, 1, 3), GREY),
        (GREY[:, 0].astype(np.int64), GREY),
        (COLOUR.astype(np.uint16) * 257, COLOUR),
        (COLOUR / 255, COLOUR),
        ((COLOUR / 255).astype(np.float32), COLOUR),
        (GREY > 127, ((GREY > 127) * 255).astype(np.uint8)),
    ],
)
def test_pictures_of_every_layout_and_type(array: np.ndarray, expected: np.ndarray) -> None:
    ds = dataset_of_array(array)
    assert ds.codec.kind == "image"
    assert ds.items.dtype == np.uint8
    np.testing.assert_array_equal(ds.items, expected)


def test_the_layout_does_not_change_the_fingerprint() -> None:
    assert dataset_of_array(COLOUR).fingerprint() == dataset_of_array(np.moveaxis(COLOUR, 1, 3)).fingerprint()


def test_points_and_signals() -> None:
    assert dataset_of_array(RANDOM.normal(size=(9, 4))).codec.kind == "points"
    assert dataset_of_array(RANDOM.normal(size=9)).shape == (1,)
    assert dataset_of_array(np.arange(12).reshape(6, 2)).codec.kind == "points"
    assert dataset_of_array(RANDOM.normal(size=(9, 2, 30))).shape == (2, 30)
    assert dataset_of_array(RANDOM.normal(size=(9, 30)), kind="signal").shape == (1, 30)
    assert dataset_of_array(RANDOM.random((9, 4, 5)), kind="image").shape == (1, 4, 5)
    assert dataset_of_array(GREY.reshape(6, -1), kind="points").shape == (72,)


def test_negative_zero_is_zero() -> None:
    plus, minus = dataset_of_array(np.zeros((2, 2))), dataset_of_array(-np.zeros((2, 2)))
    assert plus.fingerprint() == minus.fingerprint()


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((4, 784), np.uint8), r"reshape it to \(N, 28, 28\)"),
        (np.zeros((4, 5, 8, 9), np.uint8), "1 channel .* or 3"),
        (np.zeros((4, 3, 8, 1), np.uint8), "axis 1 or axis 3"),
        (np.full((4, 3, 8, 9), -1.0), "from -1 to -1"),
        (np.full((4, 3, 8, 9), 300), "from 300 to 300"),
        (np.zeros((0, 3)), "nothing in it"),
        (np.array(["a", "b"]), "must be numbers"),
        (np.zeros((2, 2), complex), "must be numbers"),
        (np.zeros((2, 2, 2, 2, 2)), "not understood"),
        (np.array([[1.0, 2.0], [3.0, np.nan]]), r"nan in row 1, column 1"),
        (np.array([1.0, -np.inf]), r"-inf in row 1, the only column"),
        (np.where(np.arange(24).reshape(2, 3, 4) == 17, np.inf, 0.0), r"inf in row 1, place \(1, 1\)"),
        (np.array([[1e300]]), "do not fit float32"),
    ],
)
def test_what_is_refused_and_why(array: np.ndarray, message: str) -> None:
    with pytest.raises(UserError, match=message):
        dataset_of_array(array)


def test_a_kind_is_checked() -> None:
    with pytest.raises(UserError, match="did you mean 'signal'"):
        dataset_of_array(np.zeros((3, 3)), kind="signals")
    with pytest.raises(UserError, match="flatten"):
        dataset_of_array(np.zeros((3, 3, 3)), kind="points")
    with pytest.raises(UserError, match=r"\(N, L\)"):
        dataset_of_array(np.zeros((3, 3, 3, 3)), kind="signal")


def test_labels_of_every_type() -> None:
    points = np.zeros((3, 2))
    for labels in (
        np.array([5, 7, 5]),
        np.array([5.0, 7.0, 5.0]),
        np.array(["5", "7", "5"]),
        np.array([b"5", b"7", b"5"]),
    ):
        ds = dataset_of_array(points, labels)
        assert ds.labels.tolist() == [0, 1, 0]
        assert ds.label_names == ("5", "7")
    assert dataset_of_array(points, np.array([[1], [0], [1]])).labels.tolist() == [1, 0, 1]
    with pytest.raises(UserError, match=r"labels of shape \(3,\), got \(3, 10\)"):
        dataset_of_array(points, np.eye(10)[:3])
    with pytest.raises(UserError, match="integers or words"):
        dataset_of_array(points, np.array([0.5, 1.0, 2.0]))


def test_columns_that_tell_nothing_are_noted() -> None:
    points = np.array([[1.0, 4.0, 1.7e9], [2.0, 4.0, 1.7e9 + 600]])
    notes = dataset_of_array(points, columns=("a", "b", "c")).notes
    assert len(notes) == 2
    assert "b is constant (4)" in notes[0]
    assert "c varies by" in notes[1]
