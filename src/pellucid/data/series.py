r"""Time series in the .ts format of the UCR and UEA archives, and three sets of it.

After lines that begin with @, each line of a .ts file is one series: its channels parted by colons, a channel's values
by commas, and behind the last colon its class, where there are classes. Series may have different lengths, and values
may be missing (?), where the file says so: @missing true. See `ragged` for what becomes of them.

Source of the format: A. Bagnall et al., "The UEA multivariate time series classification archive, 2018".
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..foundations.errors import UserError
from .arrays import Dataset
from .ragged import series_dataset
from .shipped import shipped

SERIES_SUFFIX = ".ts"


def load_series(path: str | Path, *, missing: bool = False) -> Dataset:
    """The series of one .ts file, float32 (N, C, L), with their classes.

    Args:
        path: the file.
        missing: whether values may be missing (?, NaN) though the file does not say so by "@missing true".

    Raises:
        UserError: no such file, no series in it, or a line that cannot be read, by its number.
    """
    return series_of([Path(path)], Path(path).stem, missing=missing)


def series_of(paths: list[Path], name: str, *, missing: bool = False) -> Dataset:
    """The series of several .ts files of one kind, one after another.

    Args:
        paths: the files, such as the two parts of a set.
        name: a word for reports.
        missing: as of `load_series`.
    """
    series: list[NDArray[np.float32]] = []
    classes: list[str] = []
    for path in paths:
        for one, label in zip(*read_ts(path, missing=missing), strict=True):
            if series and len(one) != len(series[0]):
                raise UserError(f"{path}: a series of {len(one)} channels among others of {len(series[0])}")
            series.append(one)
            if label is not None:
                classes.append(label)
    return series_dataset(series, classes if len(classes) == len(series) else None, name)


def read_ts(path: Path, *, missing: bool = False) -> tuple[list[NDArray[np.float32]], list[str | None]]:
    """The series of a .ts file, (C, L) each, NaN where a value is missing, and their classes.

    Raises:
        UserError: as `load_series`.
    """
    found = _read(path, missing)
    if not found:
        raise UserError(f"{path} holds no series: after the line @data there is none")
    return [np.stack(channels) for channels, _ in found], [label for _, label in found]


def _read(path: Path, missing: bool) -> list[tuple[list[NDArray[np.float32]], str | None]]:
    """Each series' channels and its class, of one file."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as a .ts file: {error}") from None
    found, inside, labelled = [], False, False
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        if not inside:
            word = text.lower()
            if word.startswith("@timestamps") and "true" in word:
                raise UserError(f"{path}: series with time stamps are not read: give values at equal steps")
            labelled = labelled or bool(re.match(r"@classlabel\s+true", word))
            missing = missing or bool(re.match(r"@missing\s+true", word))
            inside = word.startswith("@data")
            if not inside and not text.startswith("@"):
                raise UserError(f"{path}, line {number}: expected @data before the first series; it is no .ts file")
            continue
        parts = text.split(":")
        label = parts.pop().strip() if labelled else None
        try:
            channels = [_channel(part) for part in parts]
        except ValueError:
            raise UserError(f"{path}, line {number}: a value that is no number") from None
        if not channels or len({len(channel) for channel in channels}) != 1:
            raise UserError(f"{path}, line {number}: the channels of one series have one length")
        if any(np.isinf(channel).any() for channel in channels):
            raise UserError(f"{path}, line {number}: a value that is not finite; fill it in or leave the series out")
        if not missing and any(np.isnan(channel).any() for channel in channels):
            raise UserError(
                f"{path}, line {number}: a missing value, and nothing says that values may be missing: write @missing "
                "true at the top of the file, or set data.missing=true"
            )
        found.append((channels, label))
    return found


def _channel(text: str) -> NDArray[np.float32]:
    """The values of one channel; ? and NaN are missing."""
    return np.array([math.nan if cell.strip() == "?" else float(cell) for cell in text.split(",")], np.float32)


def archived(name: str, archive: str) -> Dataset:
    """Both parts of a set that sktime ships.

    Args:
        name: a word for reports.
        archive: its name in the archive.
    """
    purpose = f"the data set {name!r}"
    parts = [
        shipped("sktime", "sktime", purpose, f"datasets/data/{archive}/{archive}_{part}.ts")
        for part in ("TRAIN", "TEST")
    ]
    return series_of(parts, name)


def power() -> Dataset:
    """1,096 days of Italy's electrical power demand, 24 hours each; class 1 is October to March, 2 April to September.

    Source: E. Keogh et al., "Intelligent Icons", 2006; the UCR archive's ItalyPowerDemand.
    """
    return archived("power", "ItalyPowerDemand")


def gunpoint() -> Dataset:
    """200 motions of a hand, 150 steps each: drawing a gun (1) or pointing (2).

    Source: C. A. Ratanamahatana and E. Keogh, "Everything You Know about Dynamic Time Warping is Wrong", 2004; the UCR
    archive's GunPoint.
    """
    return archived("gunpoint", "GunPoint")


def motions() -> Dataset:
    """80 stretches of 10 seconds on a wrist, 6 channels of 100 steps: standing, walking, running, badminton.

    Source: the UEA archive's BasicMotions.
    """
    return archived("motions", "BasicMotions")


def vowels() -> Dataset:
    """640 utterances of a vowel by nine speakers, 12 cepstral coefficients over 7 to 29 steps.

    Source: M. Kudo, J. Toyama and M. Shimbo, "Multidimensional Curve Classification Using Passing-Through Regions",
    1999; the UEA archive's JapaneseVowels.
    """
    return archived("vowels", "JapaneseVowels")


SERIES: dict[str, Callable[[], Dataset]] = {
    "power": power,
    "gunpoint": gunpoint,
    "motions": motions,
    "vowels": vowels,
}
