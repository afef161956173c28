"""The page of a run holds the numbers that were measured, and loses them when the weights are others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from pellucid.evaluation.judged import judged as judge
from pellucid.reporting import report_run
from pellucid.train.run import Run
from pellucid.train.start import resume

from .small import Watcher, trained


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("report") / "run", training__pictures=2).run.path


def numbers(run: Path) -> dict[str, object]:
    return json.loads((run / "report.json").read_text())


def test_numbers_stand_beside_the_page_and_leave_with_the_weights(run: Path) -> None:
    page = report_run(run)
    assert page == run / "report.html"
    assert numbers(run)["seconds"] == pytest.approx(Run.open(run).lines("train")[-1]["seconds"], rel=0.5)
    assert "label_agreement" not in numbers(run)

    _, judged = judge(run, 60)
    report_run(run, judgement=judged)
    told = numbers(run)
    assert told["label_agreement"] == judged.agreement.value
    assert told["classifier_accuracy"] == judged.accuracy.value
    assert judged.agreement.value < 0.9  # hardly trained: the page must say so
    text = page.read_text()
    assert "The weakest class is" in text
    assert f"{100 * judged.agreement.value:.1f} % of 60 samples" in text
    report_run(run)  # made anew, it keeps what was measured
    assert numbers(run)["label_agreement"] == judged.agreement.value

    resume(run, more="320-items", observer=Watcher())
    report_run(run)
    assert "label_agreement" not in numbers(run)  # it was of other weights


def test_pictures_are_of_the_present_weights(run: Path) -> None:
    report_run(run)
    finals = sorted((run / "samples").glob("final-*.png"))
    strips = sorted((run / "samples").glob("strip-*.png"))
    assert len(finals) == len(strips) >= 1
    for path in (*finals, *strips):
        with Image.open(path) as picture:
            assert picture.width > 64
    text = (run / "report.html").read_text()
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert text.count("<img") >= 3
    assert (run / "MODEL_CARD.md").read_text()
