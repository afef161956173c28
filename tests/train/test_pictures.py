"""What a run of captioned pictures shows along the way: samples of its own texts, at every look and on its page."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from PIL import Image, ImageChops

from pellucid.data.arrays import split
from pellucid.data.open import open_dataset
from pellucid.generate import gallery, sample
from pellucid.model import load
from pellucid.reporting import report_run
from pellucid.train.run import Run

from ..small import trained

COLOURS = ("red", "green", "blue", "white", "black", "orange", "purple", "yellow")


@pytest.fixture(scope="module")
def captioned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """80 pictures of 16 pixels, of one colour each with a line in another, and a table of their captions."""
    folder = tmp_path_factory.mktemp("captioned") / "pictures"
    folder.mkdir()
    with (folder / "metadata.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["file", "caption"])
        for i in range(80):
            ground, line = COLOURS[i % 8], COLOURS[(i // 8) % 8]
            picture = Image.new("RGB", (16, 16), ground)
            picture.paste(line, (0, i % 16, 16, i % 16 + 1))
            picture.save(folder / f"{i:02d}.png")
            rows.writerow([f"{i:02d}.png", f"{line} line on {ground}"])
    return folder


def test_samples_are_of_texts_seen_and_held_out(captioned: Path, tmp_path: Path) -> None:
    run = trained(tmp_path / "run", data__source=str(captioned), training__pictures=1).run
    looks = run.lines("samples")
    assert len(looks) == 2
    texts = looks[0]["texts"]
    assert texts == looks[1]["texts"]
    train, held = split(open_dataset(captioned), 0.2)
    seen, strange = (set(side.columns[0].words.tolist()) for side in (train, held))
    half = len(texts) - min(32, len(held))
    assert set(texts[:half]) <= seen
    assert set(texts[half:]) <= strange
    assert texts[0] == train.columns[0].words[0]
    assert texts[-1] == held.columns[0].words[-1]
    # The picture is that of the averaged weights asked for these texts, and of nothing else.
    model = load(run.path)
    again = gallery(model, sample(model, len(texts), text=texts), None, texts)
    with Image.open(run.path / looks[-1]["file"]) as shown:
        largest = max(
            high for _, high in ImageChops.difference(shown.convert("RGB"), again.convert("RGB")).getextrema()
        )
    assert largest <= 1  # a batch of another precision may round a pixel to the next level
    page = report_run(run.path).read_text("utf-8")
    assert "Samples by text" in page
    assert Run.open(run.path).lines("samples")[-1]["texts"] == texts
