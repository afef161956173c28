"""`pellucid demo`."""

from __future__ import annotations

from pathlib import Path


def demo(*, out: Path | None = None, budget: str | None = None, samples: int = 1000) -> int:
    """Train on real handwritten digits, sample every class, judge the samples, and write the report.

    Parameters
    ----------
    out
        The new run folder; runs/demo, numbered, if absent.
    budget
        How long to train; the recipe's if absent.
    samples
        How many samples a classifier judges.
    """
    from ..audit.report import write
    from ..audit.run import audited, place
    from ..config import nested, resolve
    from ..evaluation.judged import judged
    from ..model import load
    from ..recipes import RECIPES
    from ..reporting import report_run
    from ..train.start import begin
    from ..verified_run import cost_table, keep, verify_run
    from .console import console, say, steps_view, training_view
    from .train import _free, _resume

    layers = [("recipe digits", {"recipe": "digits", **RECIPES["digits"].settings})]
    if budget is not None:
        layers.append(("flag", nested({"training.budget": budget})))
    with training_view() as view:
        finished = begin(resolve(layers), out or _free(Path("runs") / "demo"), observer=view)
    path = finished.run.path
    if finished.signal is not None:
        say(f"stopped and saved. Go on: {_resume(path)}")
        return 128 + finished.signal
    console().print("training a classifier on the real digits, to judge the samples", markup=False)
    with steps_view("sampling") as update:
        _, judgement = judged(path, samples, progress=lambda what, done, total: update(done, total, what))
    console().print("checking the model against exact laws", markup=False)
    outcomes = list(verify_run(path, num_items=64, num_paths=8))
    model = load(path)
    keep(path, model.weights_hash, outcomes, cost_table(model, num_paths=8))
    console().print("looking for memorised training items", markup=False)
    made = model.card.codec.outward(judgement.samples)
    found = audited(path, made=made, items=150, statistics=("loss", "pia"), folder=place(path))
    write(found, place(path))
    page = report_run(path, judgement=judgement)
    say(judgement.sentence())
    passed = sum(outcome.passed for outcome in outcomes)
    for text in found["verdicts"].values():
        say(text)
    say(f"{passed} of {len(outcomes)} checks passed; all of them, on more items: pellucid verify {path}")
    say(f"Report: {page}")
    return 0
