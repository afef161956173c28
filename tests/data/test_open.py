from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pellucid.data import open_dataset
from pellucid.foundations.errors import UserError


def test_each_kind_of_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    array = np.random.default_rng(0).normal(size=(6, 2))
    np.save(tmp_path / "a.npy", array)
    np.savez(tmp_path / "a.npz", x=array)
    np.savetxt(tmp_path / "a.csv", array, delimiter=",", fmt="%.17g")
    expected = open_dataset(array).fingerprint()
    for name in ("a.npy", "a.npz", "a.csv"):
        assert open_dataset(tmp_path / name).fingerprint() == expected
        assert open_dataset(str(tmp_path / name)).fingerprint() == expected
    assert open_dataset("moons").name == "moons"
    assert open_dataset("moons", labels="none").labels is None
    (tmp_path / "moons").mkdir()
    Image.new("L", (20, 20), 3).save(tmp_path / "moons" / "a.png")
    monkeypatch.chdir(tmp_path)
    assert open_dataset("moons", size=8).shape == (1, 8, 8)  # what exists as a path is taken as a path
    assert open_dataset("./moons", channels=3, kind="image").shape == (3, 16, 16)
    assert open_dataset(array, labels=np.arange(6)).label_names == ("0", "1", "2", "3", "4", "5")


def test_a_wrong_name_gets_the_nearest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="did you mean 'digits'"):
        open_dataset("digist")
    (tmp_path / "holiday").mkdir()
    with pytest.raises(UserError, match="did you mean 'holiday'"):
        open_dataset("holidy")
    with pytest.raises(UserError, match=r"did you mean '.*holiday'"):
        open_dataset(tmp_path / "holidays")
    with pytest.raises(UserError, match=r"neither a file or folder nor built in; Built in: .*digits, digits8, .*moons"):
        open_dataset("xyzzy")


def test_files_of_another_kind(tmp_path: Path) -> None:
    (tmp_path / "a.dat").write_text("1,2")
    with pytest.raises(UserError, match="cannot tell what"):
        open_dataset(tmp_path / "a.dat")
    Image.new("L", (20, 20)).save(tmp_path / "a.png")
    with pytest.raises(UserError, match="is one picture; give the folder"):
        open_dataset(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("moons", {"size": 8}, "'moons' takes no size"),
        ("moons", {"labels": "x", "kind": "points"}, "takes no labels and no kind"),
        (np.zeros((2, 2)), {"size": 8, "channels": 1}, "an array takes no size and no channels"),
        (np.zeros((2, 2)), {"labels": "y"}, "are an array"),
        ("moons", {"labels": np.zeros(3)}, "goes with an array"),
    ],
)
def test_options_that_do_not_apply_are_refused(source: object, options: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        open_dataset(source, **options)
