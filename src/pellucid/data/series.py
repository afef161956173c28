r"""Time series in the .ts format of the UCR and UEA archives, and three sets of it.

After lines that begin with @, each line of a .ts file is one series: its channels parted by colons, a channel's values
by commas, and behind the last colon its class, where there are classes. Series of different lengths become signals of
the longest: a shorter one is held at its last value, and one more channel, the last, is 1 where there was a series and
0 behind its end. A model learns that channel with the rest, so that what it makes has its own end.

Source of the format: A. Bagnall et al., "The UEA multivariate time series classification archive, 2018".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..foundations.errors import UserError
from .arrays import Dataset, encode_labels
from .codecs import signal_codec
from .shipped import shipped

SERIES_SUFFIX = ".ts"
PRESENCE = "the last channel is 1 where there is a series and 0 behind its end"


def load_series(path: str | Path) -> Dataset:
    """The series of one .ts file, float32 (N, C, L), with their classes.

    Raises:
        UserError: no such file, no series in it, or a line that cannot be read, by its number.
    """
    return series_of([Path(path)], Path(path).stem)


def series_of(paths: list[Path], name: str) -> Dataset:
    """The series of several .ts files of one kind, one after another.

    Args:
        paths: the files, such as the two parts of a set.
        name: a word for reports.
    """
    series: list[list[NDArray[np.float32]]] = []
    classes: list[str] = []
    for path in paths:
        for channels, label in _read(path):
            if series and len(channels) != len(series[0]):
                raise UserError(f"{path}: a series of {len(channels)} channels among others of {len(series[0])}")
            series.append(channels)
            if label is not None:
                classes.append(label)
    if not series:
        raise UserError(f"{' and '.join(map(str, paths))} hold no series: after the line @data there is none")
    lengths = np.array([len(channels[0]) for channels in series])
    longest = int(lengths.max())
    notes: tuple[str, ...] = ()
    items = np.stack([[_held(channel, longest) for channel in channels] for channels in series])
    if lengths.min() < longest:
        there = (np.arange(longest) < lengths[:, None]).astype(np.float32)
        items = np.concatenate([items, there[:, None]], axis=1)
        notes = (f"series of {lengths.min()} to {longest} steps: {PRESENCE}",)
    items = np.ascontiguousarray(items, dtype=np.float32)
    labels, names = encode_labels(np.array(classes)) if len(classes) == len(series) else (None, ())
    return Dataset(items, labels, names, signal_codec(items), name, notes=notes)


def _read(path: Path) -> list[tuple[list[NDArray[np.float32]], str | None]]:
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
            inside = word.startswith("@data")
            if not inside and not text.startswith("@"):
                raise UserError(f"{path}, line {number}: expected @data before the first series; it is no .ts file")
            continue
        parts = text.split(":")
        label = parts.pop().strip() if labelled else None
        try:
            channels = [np.array(part.split(","), dtype=np.float32) for part in parts]
        except ValueError:
            what = "a missing value (?)" if "?" in text else "a value that is no number"
            raise UserError(f"{path}, line {number}: {what}; fill it in or leave the series out") from None
        if not channels or len({len(channel) for channel in channels}) != 1:
            raise UserError(f"{path}, line {number}: the channels of one series have one length")
        if not all(np.isfinite(channel).all() for channel in channels):
            raise UserError(f"{path}, line {number}: a value that is not finite; fill it in or leave the series out")
        found.append((channels, label))
    return found


def read_ts(path: Path) -> tuple[list[NDArray[np.float32]], list[str | None]]:
    """The series of a .ts file, (C, L) each, and their classes.

    Raises:
        UserError: as `load_series`.
    """
    found = _read(path)
    if not found:
        raise UserError(f"{path} holds no series: after the line @data there is none")
    return [np.stack(channels) for channels, _ in found], [label for _, label in found]


def _held(channel: NDArray[np.float32], length: int) -> NDArray[np.float32]:
    """A channel held at its last value up to a length."""
    return np.pad(channel, (0, length - len(channel)), mode="edge")


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


SERIES: dict[str, Callable[[], Dataset]] = {"power": power, "gunpoint": gunpoint, "motions": motions}
