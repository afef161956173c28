import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pellucid.data import contact_sheet, inspect, open_dataset

from .pictures import BROKEN, make_pictures


def test_a_folder_is_described(tmp_path: Path) -> None:
    make_pictures(tmp_path, 47, sub_folders=False)
    copy = next(tmp_path.glob("*.bmp"))
    (tmp_path / "again.bmp").write_bytes(copy.read_bytes())
    found = inspect(tmp_path)
    assert found.what == "folder of pictures"
    assert found.count == 48 - BROKEN
    assert found.duplicates == 1
    assert len(found.rejected) == BROKEN
    assert sum(found.formats.values()) == found.count + 1  # the file that is cut short has a header
    assert found.labels == {}
    assert found.value_range == ((0.0, 255.0),)
    shown = [Image.open(file) for file in sorted(tmp_path.glob("0*"))]
    sides = [min(image.size) for image in shown]
    [image.close() for image in shown]
    assert found.sizes["shorter"][0] == min(sides)
    assert json.loads(json.dumps(found.to_json()))["rejected"][0]["path"] == "broken-cut.jpg"


def test_points_are_described() -> None:
    found = inspect("moons")
    assert (found.count, found.shape, found.duplicates) == (8000, (2,), 0)
    assert found.labels == {"upper": 4000, "lower": 4000}
    columns = found.dataset.items.T
    assert found.value_range == tuple((column.min(), column.max()) for column in columns)


def test_the_contact_sheet_has_a_row_for_each_label() -> None:
    ds = open_dataset("digits8")
    sheet = np.asarray(contact_sheet(ds, 40))
    # ten rows of four pictures of 8 x 7 = 56 pixels with 2 between, titles to the left
    assert sheet.shape[0] == 10 * 58 + 2
    grid = sheet[:, -(4 * 58 + 2) :]
    for label in range(10):
        of_label = ds.items[ds.labels == label, 0]
        first = grid[2 + label * 58 : 58 + label * 58 : 7, 2:58:7]
        last = grid[2 + label * 58 : 58 + label * 58 : 7, 2 + 3 * 58 : 58 + 3 * 58 : 7]
        np.testing.assert_array_equal(first, of_label[0])
        np.testing.assert_array_equal(last, of_label[-1])


@pytest.mark.parametrize("shape", [(30, 2), (30, 1), (30, 2, 40)])
@pytest.mark.parametrize("labelled", [True, False])
def test_points_and_signals_are_drawn(shape: tuple[int, ...], labelled: bool) -> None:
    items = np.random.default_rng(0).normal(size=shape)
    ds = open_dataset(items, labels=np.arange(30) % 3 if labelled else None)
    sheet = np.asarray(contact_sheet(ds))
    coloured = (np.ptp(sheet.astype(int), axis=-1) > 40).sum()
    assert coloured > 100  # ink on the page
    if labelled and shape[-1] == 2:
        assert len(np.unique(sheet.reshape(-1, 3)[np.ptp(sheet.reshape(-1, 3).astype(int), axis=-1) > 80], axis=0)) >= 3


def test_many_pictures_of_few_labels_wrap(tmp_path: Path) -> None:
    items = np.random.default_rng(0).integers(0, 256, (100, 8, 8)).astype(np.uint8)
    sheet = contact_sheet(open_dataset(items, labels=np.arange(100) % 2), 80)
    assert sheet.height == 6 * 58 + 2  # 40 of each label: three rows of at most 16
    with pytest.raises(ValueError, match="n must be"):
        contact_sheet(open_dataset(items), 0)
