"""The judgement of a page from an evaluation's own samples, beside the judge that makes its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from pellucid import judging
from pellucid.evaluation.judged import judged
from pellucid.evaluation.result import read
from pellucid.model import load
from pellucid.reporting import report_run


def test_it_is_what_the_judge_finds(small_run: Path, parts: Any) -> None:
    found, judgement = judged(small_run, 60, items=4)
    model = load(small_run)
    alone = judging.judge(model, *parts, num=60)
    # One seed gives one classifier and one set of samples. But the evaluation's are rounded to levels of grey, as they
    # are kept, and two of sixty that are hardly digits may look otherwise then.
    assert abs(judgement.agreement.value - alone.agreement.value) <= 2 / 60
    assert judgement.agreement.count == alone.agreement.count
    assert judgement.accuracy == alone.accuracy
    assert judgement.by_class.keys() == alone.by_class.keys()
    assert sum(each.count or 0 for each in judgement.by_class.values()) == 60
    assert torch.equal(judgement.labels, alone.labels)
    assert (judgement.samples - alone.samples.clamp(-1, 1)).abs().max() <= 1.5 / 127.5
    kept = read(small_run / "evaluation" / "evaluation.json")
    assert kept is not None
    assert kept.weights == found.weights == model.weights_hash
    page = report_run(small_run, judgement=judgement).read_text()
    assert "Evaluated against held-out items" in page
    assert "What the model misses" in (small_run / "evaluation" / "evaluation.html").read_text()
    card = (small_run / "MODEL_CARD.md").read_text()
    assert card.count("| Label agreement |") == 1
    kid = found.number("kid")
    assert kid is not None
    assert f"| KID | {kid.measured.text} | " in card
