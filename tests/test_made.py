"""Samples as files: what a picture says of itself makes it again, and nothing is overwritten."""

from __future__ import annotations

import csv
import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pellucid.foundations.errors import UserError
from pellucid.made import make, read_settings
from pellucid.model import Model, load
from pellucid.train.run import Run

from .data.pictures import huge_png
from .small import trained, untrained


@pytest.fixture(scope="module")
def model() -> Model:
    return untrained()


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture)


def test_a_picture_carries_its_settings(model: Model, tmp_path: Path) -> None:
    made = make(model, 5, out=tmp_path / "out", seed=7, guidance=1.2345678901, steps=3, first=2, batch_size=2)
    assert [f.name for f in made.files] == [f"{i:06d}.png" for i in range(2, 7)]
    told = [read_settings(file) for file in made.files]
    assert [t.id for t in told] == [2, 3, 4, 5, 6]
    assert [t.label for t in told] == [f"class {i % 3}" for i in range(2, 7)]
    assert [t.batch for t in told] == [(2, 2), (2, 2), (4, 2), (4, 2), (6, 1)]
    assert {t.weights for t in told} == {model.weights_hash}
    # every digit, or the picture would be another
    assert told[0].settings.guidance == options(told[0].command())["guidance"] == 1.2345678901
    assert json.loads((made.folder / "made.json").read_text()) == json.loads(json.dumps([t.to_json() for t in told]))
    assert made.sheet.is_file()


def test_a_kind_of_guidance_is_told(model: Model, tmp_path: Path) -> None:
    made = make(model, 1, out=tmp_path / "out", label="class 1", guidance=2.0, guidance_kind="projected", steps=2)
    told = read_settings(made.files[0])
    assert told.settings.guidance_kind == "projected"
    assert options(told.command())["guidance_kind"] == "projected"
    again = make(model, out=tmp_path / "again", **options(told.command()))
    assert np.array_equal(pixels(again.files[0]), pixels(made.files[0]))


def options(command: str) -> dict[str, Any]:
    """The arguments of `make` that a printed command means."""
    words = shlex.split(command)
    assert words[:2] == ["pellucid", "sample"]
    pairs = dict(zip(words[3::2], words[4::2], strict=True))
    given: dict[str, Any] = {"num": int(pairs.pop("-n")), "guidance": float(pairs.pop("--guidance"))}
    for name in ("first", "seed", "steps", "batch-size"):
        if f"--{name}" in pairs:
            given[name.replace("-", "_")] = int(pairs.pop(f"--{name}"))
    if "--label" in pairs:
        given["label"] = pairs.pop("--label").split(",")
    return {**given, **{name.removeprefix("--").replace("-", "_"): value for name, value in pairs.items()}}


@pytest.mark.parametrize("label", [None, ["class 2", "none"]])
def test_the_command_makes_the_same_pixels(model: Model, tmp_path: Path, label: list[str] | None) -> None:
    made = make(model, 5, out=tmp_path / "a", seed=3, steps=4, batch_size=3, label=label)
    for k, file in enumerate(made.files):
        told = read_settings(file)
        again = make(model, out=tmp_path / f"again-{k}", **options(told.command()))
        assert np.array_equal(pixels(again.folder / file.name), pixels(file))
        alone = make(model, out=tmp_path / f"alone-{k}", **options(told.command_alone()))
        (one,) = alone.files
        assert one.name == file.name
        # to round-off before it is rounded to 256 levels: here and there one level
        assert np.abs(pixels(one).astype(int) - pixels(file)).max() <= 1


def test_nothing_is_overwritten(model: Model, tmp_path: Path) -> None:
    make(model, 1, out=tmp_path / "out", steps=1, solver="euler")
    before = {p: p.read_bytes() for p in (tmp_path / "out").iterdir()}
    with pytest.raises(UserError, match="exists, and nothing is overwritten: give --out another name"):
        make(model, 1, out=tmp_path / "out", steps=1, seed=1)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match="nothing is overwritten"):
        make(model, 1, out=tmp_path / "file", steps=1)
    assert {p: p.read_bytes() for p in (tmp_path / "out").iterdir()} == before
    assert (tmp_path / "file").read_text() == "mine"
    with pytest.raises(UserError, match="unknown solver"):
        make(model, 1, out=tmp_path / "other", solver="hune")
    with pytest.raises(UserError, match="at least 1 sample"):
        make(model, 0, out=tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_points_come_as_a_table_in_their_own_units(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    points = (random.normal(size=(400, 2)) * [0.01, 5] + [100, -3]).astype(np.float32)
    np.save(tmp_path / "points.npy", points)
    mlp = {"network__kind": "mlp", "network__multipliers": [1], "network__attention": [], "sampling__guidance": 1.0}
    trained(tmp_path / "run", data__source=str(tmp_path / "points.npy"), **mlp)
    model = load(tmp_path / "run")
    made = make(model, 64, steps=6)
    assert made.folder == tmp_path / "run" / "made-1"
    assert make(model, 2, steps=2).folder.name == "made-2"
    (file,) = made.files
    with file.open(newline="") as text:
        header, *rows = csv.reader(text)
    assert header == ["x0", "x1"]
    values = np.array(rows, dtype=float)
    assert values.shape == (64, 2)
    # hardly trained, so only the units: the middle within two of the data's own standard deviations
    assert np.all(np.abs(np.median(values, axis=0) - [100, -3]) < [0.02, 10])
    assert Run.open(tmp_path / "run").path == tmp_path / "run"


@pytest.mark.parametrize("content", ["none", "empty", "text", "plain", "odd", "cut", "bomb", "folder"])
def test_a_file_without_settings_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "x.png"
    if content == "folder":
        path.mkdir()
    elif content == "bomb":
        path.write_bytes(huge_png(40_000, 40_000))
    elif content in ("plain", "odd", "cut"):
        from PIL.PngImagePlugin import PngInfo

        info = PngInfo()
        if content == "odd":
            info.add_text("pellucid", '{"settings": {"guidance_interval": null}}')
        Image.new("L", (4, 4)).save(path, pnginfo=info)
        if content == "cut":
            path.write_bytes(path.read_bytes()[:40])
    elif content != "none":
        path.write_bytes(b"" if content == "empty" else b"This is no picture.")
    with pytest.raises(UserError, match="carries no settings"):
        read_settings(path)


def test_grey_and_colour_pictures_hold_the_decoded_values(model: Model, tmp_path: Path) -> None:
    from pellucid.generate import sample

    x = sample(model, 2, steps=3)
    made = make(model, 2, out=tmp_path / "colour", steps=3)
    # an independent decoding: 127.5 (x + 1), rounded and cut
    levels = (127.5 * (x.double() + 1)).round().clamp(0, 255).to(torch.uint8).numpy()
    assert np.array_equal(np.stack([pixels(f) for f in made.files]), np.moveaxis(levels, 1, -1))
    grey = untrained((1, 8, 8))
    assert pixels(make(grey, 1, out=tmp_path / "grey", steps=2).files[0]).shape == (8, 8)
