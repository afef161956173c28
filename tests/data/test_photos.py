from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pellucid.data import photos
from pellucid.data.arrays import Dataset, split
from pellucid.data.codecs import ImageCodec
from pellucid.foundations.errors import UserError


def test_patches_are_crops_of_the_scaled_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photos, "_SCALES", ((96, 16),))
    pixels = np.random.default_rng(0).integers(0, 256, (96, 96, 3), np.uint8)
    (found,) = photos._patches(Image.fromarray(pixels))
    expected = [pixels[y : y + 64, x : x + 64].transpose(2, 0, 1) for y in (0, 16, 32) for x in (0, 16, 32)]
    np.testing.assert_array_equal(found, expected)


def test_most_flat_patches_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photos, "_SCALES", ((640, 64),))
    (found,) = photos._patches(Image.new("RGB", (640, 640), "navy"))
    assert len(found) == 16  # one in six of 100


def test_pictures_kept_for_judging_are_not_trained_on() -> None:
    names = " ".join([*photos.WALLPAPERS, *photos.SHIPPED]).lower()
    assert not any(name in names for name in ("chelsea", "coffee", "china", "flower"))
    assert all(licence.startswith(("CC0", "CC-BY")) for _, licence in (photos.WALLPAPERS | photos.SHIPPED).values())


def test_missing_pictures_are_told_with_the_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(photos, "_BACKGROUNDS", tmp_path)
    with pytest.raises(UserError, match="apt install lomiri-wallpapers"):
        photos.photos()


def test_a_group_stays_on_one_side() -> None:
    items = np.random.default_rng(1).integers(0, 256, (300, 1, 4, 4), np.uint8)
    groups = np.arange(300) % 30
    train, held = split(Dataset(items, None, (), ImageCodec(1, 4, 4), "grouped", groups=groups), 0.3)
    assert len(train) + len(held) == 300
    assert len(held) > 0
    assert not set(train.groups.tolist()) & set(held.groups.tolist())
    # a group goes where its first item goes alone
    alone, _ = split(Dataset(items[:30], None, (), ImageCodec(1, 4, 4), "first"), 0.3)
    assert len(alone) == len(train) // 10
