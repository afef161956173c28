"""Patches of photographs whose licences allow a model to be trained on them and shared.

19 pictures from Debian's packages lomiri-wallpapers-16.04 and -20.04, and four that scikit-image ships. Each is cut
into patches of 64 x 64 pixels at three scales, so that a patch shows a whole thing or a detail of it. The pictures on
which restoration is judged (scikit-image's chelsea and coffee, scikit-learn's china and flower) are not among them.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..foundations.errors import MissingExtra, UserError
from .arrays import Dataset
from .cache import cached, forget
from .codecs import ImageCodec
from .images import read_picture

SIDE = 64
_SCALES = ((1400, 56), (800, 32), (480, 20))  # root of the area in pixels, stride of the patches
_FLAT = 12.0  # standard deviation in levels below which a patch is sky or blur: one in six of them is kept
_BACKGROUNDS = Path("/usr/share/backgrounds")

# The licences are those that the Debian packages' copyright files and scikit-image's documentation state.
WALLPAPERS = {
    "aitzgorri_by_Aitzol_Berasategi.jpg": ("Aitzol Berasategi", "CC-BY-4.0"),
    "analogpattern_by_Peter_Nerlich.jpg": ("Peter Nerlich", "CC-BY-SA-4.0"),
    "Bridge_by_Sander_Klootwijk.jpg": ("Sander Klootwijk", "CC-BY-SA-4.0"),
    "Dragonfly_by_Bolly.jpg": ("Bolly", "CC-BY-SA-4.0"),
    "Fossa_by_Jasper_Roks.jpg": ("Jasper Roks", "CC-BY-SA-3.0"),
    "free_by_Peter_Nerlich.jpg": ("Peter Nerlich", "CC-BY-SA-4.0"),
    "friends_by_Aitzol_Berasategi.jpg": ("Aitzol Berasategi", "CC-BY-4.0"),
    "greentock_by_Peter_Nerlich.jpg": ("Peter Nerlich", "CC-BY-SA-4.0"),
    "Infinite-Sea_by_Aury88.jpg": ("Aury88", "CC-BY-SA-3.0"),
    "Kleiber_by_Lukas_Baubkus.jpg": ("Lukas Baubkus", "CC-BY-SA-3.0"),
    "life_by_Aitzol_Berasategi.jpg": ("Aitzol Berasategi", "CC-BY-4.0"),
    "Painting-Colors_by__herobrine7gamer.jpg": ("HEROBRINE7GAMER", "CC-BY-SA-3.0"),
    "picosdeeuropa_by_Aitzol_Berasategi.jpg": ("Aitzol Berasategi", "CC-BY-4.0"),
    "Picture_0B_by_freespace.jpg": ('Trevor "Freespace"', "CC-BY-4.0"),
    "Picture_1A_by_freespace.jpg": ('Trevor "Freespace"', "CC-BY-4.0"),
    "seeding_by_Clements_Engelhardt.jpg": ("Clemens Engelhardt", "CC0-1.0"),
    "sunset_by_Aitzol_Berasategi.jpg": ("Aitzol Berasategi", "CC-BY-4.0"),
    "umang_by_Abhishek_Mudgal.jpg": ("Abhishek Mudgal", "CC-BY-4.0"),
    "Wine_by_Jakkub_Mede.jpg": ("Jakub Mede", "CC-BY-4.0"),
}
SHIPPED = {
    "brick.png": ("Rob Tuytel", "CC0-1.0"),
    "grass.png": ("Rob Tuytel", "CC0-1.0"),
    "gravel.png": ("Rob Tuytel", "CC0-1.0"),
    "rocket.jpg": ("SpaceX", "CC0-1.0"),
}


def photos() -> Dataset:
    """About 21,000 colour patches of 64 x 64 pixels, grouped by photograph, so that a split holds out whole pictures.

    Raises:
        UserError: the pictures are not installed; the message says how to get them.
    """
    files = _files()
    stamp = sum(file.stat().st_size for file in files)
    name = f"photos-{SIDE}-{len(files)}-{stamp}"
    for _ in range(2):  # a cache that someone damaged is made once more
        folder = cached(name, partial(_save, files))
        try:
            items = np.load(folder / "patches.npy", mmap_mode="r", allow_pickle=False)
            groups = np.load(folder / "groups.npy", allow_pickle=False)
            codec = ImageCodec(3, SIDE, SIDE)
            return Dataset(items, None, (), codec, "photos", notes=(credits(),), groups=groups)
        except (OSError, ValueError, EOFError):
            forget(name)
    raise UserError(f"the cache of 'photos' cannot be written or read: free the disk, or delete {folder}")


def credits() -> str:
    """Who made the pictures, and under which licence each stands."""
    made = [f"{Path(file).stem} ({who}, {licence})" for file, (who, licence) in (WALLPAPERS | SHIPPED).items()]
    return f"Photographs: {'; '.join(made)}."


def _files() -> list[Path]:
    spec = importlib.util.find_spec("skimage")
    if spec is None or spec.origin is None:
        raise MissingExtra("scikit-image", "data", "the data set 'photos'")
    files = [_BACKGROUNDS / file for file in WALLPAPERS]
    files += [Path(spec.origin).parent / "data" / file for file in SHIPPED]
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise UserError(
            f"the data set 'photos' needs pictures that are not here ({missing[0]} and {len(missing) - 1} more): on "
            "Debian or Ubuntu, apt install lomiri-wallpapers-16.04 lomiri-wallpapers-20.04; or train on your own: "
            "pellucid train images --data FOLDER"
        )
    return files


def _save(files: list[Path], folder: Path) -> None:
    parts, groups = [], []
    for number, file in enumerate(files):
        part = np.concatenate(list(_patches(read_picture(file, max_pixels=100_000_000).convert("RGB"))))
        parts.append(part)
        groups.append(np.full(len(part), number, np.int64))
    np.save(folder / "patches.npy", np.concatenate(parts), allow_pickle=False)
    np.save(folder / "groups.npy", np.concatenate(groups), allow_pickle=False)


def _patches(picture: Image.Image) -> Iterator[NDArray[np.uint8]]:
    """Patches (N, 3, 64, 64) of one picture, a scale at a time; no scale is an enlargement."""
    area = (picture.width * picture.height) ** 0.5
    for root, stride in _SCALES:
        shrink = root / area
        if shrink > 1 and root != _SCALES[-1][0]:
            continue
        size = (max(SIDE, round(picture.width * shrink)), max(SIDE, round(picture.height * shrink)))
        small = np.asarray(picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0))
        windows = np.lib.stride_tricks.sliding_window_view(small, (SIDE, SIDE), axis=(0, 1))
        found = windows[::stride, ::stride].reshape(-1, 3, SIDE, SIDE)
        flat = found.std(axis=(2, 3)).mean(1) < _FLAT
        keep = ~flat | (np.cumsum(flat) % 6 == 0)
        yield found[keep]
