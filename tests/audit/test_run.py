"""The audit of a run: its own split, its canaries, what is kept, what is refused, and its page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.small import Watcher, trained

from pellucid.audit.report import HTML, JSON, kept_section, write
from pellucid.audit.run import audited, place
from pellucid.audit.shadows import LIRA, Shadow, train_shadows
from pellucid.config import resolve
from pellucid.data.arrays import item_hashes
from pellucid.data.halves import inclusions
from pellucid.foundations.errors import UserError
from pellucid.reporting import report_run
from pellucid.train.card import CARD
from pellucid.train.prepare import open_split
from pellucid.train.run import Run
from pellucid.train.start import resume

SMALL: dict[str, Any] = {"num": 24, "items": 40, "statistics": ("loss",)}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("audit") / "run"
    trained(path, data__canaries=3, training__budget="640-items")
    return path


@pytest.fixture(scope="module")
def found(run: Path) -> dict[str, Any]:
    values = audited(run, folder=place(run), **SMALL)
    write(values, place(run))
    return values


def test_samples_are_kept_and_not_made_again(run: Path, found: dict[str, Any]) -> None:
    files = sorted(run.glob("evaluation/samples-*/*"))
    assert files
    before = [path.stat().st_mtime_ns for path in files]
    again = audited(run, **SMALL)
    assert again["copies"] == found["copies"]
    assert [path.stat().st_mtime_ns for path in sorted(run.glob("evaluation/samples-*/*"))] == before


def test_the_page_and_the_card_tell_of_it(run: Path, found: dict[str, Any]) -> None:
    assert json.loads((place(run) / JSON).read_text())["failed"] == found["failed"]
    page = (place(run) / HTML).read_text()
    assert all(title in page for title in ("Copies", "Membership", "Canaries", "Near-duplicates"))
    assert len(kept_section(run, found["weights"])) == 1
    assert kept_section(run, "0" * 64) == ()
    assert "Audited for memorised training items" in report_run(run).read_text()
    assert found["verdicts"]["membership"][:60] in (run / CARD).read_text()


def test_shadow_models_learn_the_halves_that_they_say(run: Path) -> None:
    folders = train_shadows(Run.open(run), 2, budget="64-items", observer=Watcher(), told=lambda text: None)
    again = train_shadows(Run.open(run), 2, budget="64-items", observer=Watcher(), told=lambda text: None)
    assert again == folders
    shadows = [Shadow.read(folder) for folder in folders]
    train, held = open_split(resolve([("", {**Run.open(run).config, "data": {"source": "digits8"}})]).config)
    hashes = np.concatenate([item_hashes(train.items), item_hashes(held.items)])
    expected = inclusions(2, hashes)
    for k, shadow in enumerate(shadows):
        np.testing.assert_array_equal(np.isin(hashes, shadow.seen), expected[k])
    values = audited(run, shadows=folders, **SMALL)
    assert set(values["membership"]) == {"loss", LIRA}


def test_what_has_no_audit_says_why(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="are in the training set too"):
        audited(run, holdout="digits8", **SMALL)
    assert audited(run, holdout="digits8", allow_overlap=True, **SMALL)["notes"][0].endswith("left out")
    with pytest.raises(UserError, match="knows image items"):
        audited(run, holdout="moons", **SMALL)
    (tmp_path / "mine.txt").write_text("my own")
    with pytest.raises(UserError, match="holds something else"):
        place(run, tmp_path)
    trained(tmp_path / "vae", kind="vae", network__kind=None, network__attention=None)
    with pytest.raises(UserError, match="has no audit"):
        audited(tmp_path / "vae", **SMALL)


def test_its_own_split_has_the_canaries_and_goes_on_with_them(run: Path, found: dict[str, Any]) -> None:
    train, held = open_split(resolve([("", Run.open(run).config)]).config)
    assert (found["train"], found["held_out"]) == (len(train), len(held))
    assert [row["repeats"] for row in found["canaries"]] == [1, 10, 100]
    # The same data come again, canaries and all: else a resume would refuse them.
    assert resume(run, more="64-items", observer=Watcher()).state.items == 704
