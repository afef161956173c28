"""What `verify RUN` found stands on the run's page, for as long as its weights do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pellucid.foundations.errors import UserError
from pellucid.model import load
from pellucid.reporting import report_run
from pellucid.train.start import resume
from pellucid.verified_run import VERIFICATION, keep, kept, verify_run
from pellucid.verify.model import Cost
from pellucid.verify.outcome import Outcome

from .small import Watcher, trained

OUTCOMES = [
    Outcome("a thing that holds", "1", "1.001", "0.01", "a reason", True, 0.5, "claims"),
    Outcome("a thing that does not", "2", "3", "0.01", "it would mislead", False, 0.5, "calibration"),
]
COSTS = [Cost("heun", calls, 0.5, float("nan") if calls == 5 else 1 / calls) for calls in (5, 8, 10, 15, 20, 30, 50)]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("verified") / "run").run.path


def test_the_page_shows_what_was_kept_until_the_weights_change(run: Path) -> None:
    assert "Checked against exact laws" not in report_run(run).read_text()
    keep(run, load(run).weights_hash, OUTCOMES, COSTS)
    text = report_run(run).read_text()
    for words in ("Checked against exact laws", "1 of 2 checks", "a thing that holds", "found 3", "0.0200"):
        assert words in text, words
    resume(run, more="64-items", observer=Watcher())
    assert kept(run, load(run).weights_hash) is None
    assert "Checked against exact laws" not in report_run(run).read_text()


@pytest.mark.parametrize("content", ["{", "[]", '{"weights": "x", "checks": [{"name": 1}], "costs": []}'])
def test_a_damaged_file_is_named_with_its_remedy(run: Path, content: str) -> None:
    path = run / VERIFICATION
    path.write_text(content)
    with pytest.raises(UserError, match=r"verification\.json cannot be read.*verify the run again"):
        kept(run, "x")
    path.unlink()


def test_a_run_is_checked_and_its_own_schedule_judged(run: Path) -> None:
    outcomes = list(verify_run(run, num_items=32, num_paths=2))
    assert {o.group for o in outcomes} == {"schedule", "claims", "calibration", "solvers"}
    # A network of a few hundred steps is no posterior mean, but its process is exact whatever it learned.
    assert all(o.passed for o in outcomes if o.group in ("schedule", "claims"))
    keep(run, load(run).weights_hash, outcomes, COSTS)
    found = json.loads((run / VERIFICATION).read_text())
    assert [check["passed"] for check in found["checks"]] == [o.passed for o in outcomes]
