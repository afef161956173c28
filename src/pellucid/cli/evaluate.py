"""`pellucid evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def evaluate(
    run: Path,
    /,
    *,
    against: str | None = None,
    num: Annotated[int, Parameter(name=["--num", "-n"])] = 5000,
    features: str | None = None,
    weights: Path | None = None,
    metrics: str | None = None,
    items: int = 64,
    solver: str | None = None,
    steps: int | None = None,
    guidance: float | None = None,
    seed: int = 0,
    out: Path | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Measure a trained model by data it has not seen: every number with its error bar and what real data reach.

    Samples and features are kept as they are made, so that an evaluation that was stopped goes on where it was. A page
    shows nearest real neighbours of samples, the worst and the best, and what the model misses; a run's own page and
    its model card tell of it too.

    Parameters
    ----------
    run
        A run folder, a checkpoint, a model folder or a name of the shelf.
    against
        A folder of pictures, a .npz, .npy, .csv or .txt file, or a built-in set, what the model was trained on left
        out; what the run held out if absent.
    num
        How many samples.
    features
        What is compared: raw (the numbers), pca, classifier (trained on the labels), efficientnet (a small network of
        ImageNet), or inception, with --weights: then, and only then, there is an FID. The classifier where there are
        labels, else pca, if absent.
    weights
        A file of weights: of the Inception network (.safetensors or .pth, of which nothing is executed), or of a
        classifier that an evaluation kept.
    metrics
        Names parted by commas; all that apply if absent.
    items
        Held-out items that bits are measured on; 0 for none.
    solver
        As of pellucid sample; the model's own if absent.
    steps
        Likewise.
    guidance
        Likewise.
    seed
        Any integer.
    out
        A folder for page, samples and features, which may hold a former evaluation; RUN/evaluation if absent.
    json
        Print the result as JSON.
    """
    from ..evaluation import tables
    from ..evaluation.evaluated import evaluate as evaluated
    from ..evaluation.page import write
    from ..evaluation.place import place
    from ..reporting import report_run
    from ..train.run import CONFIG
    from .console import console, say, say_json, say_table, steps_view

    folder = place(run, out)
    chosen = None if metrics is None else [name.strip() for name in metrics.split(",")]
    given = {"solver": solver, "steps": steps, "guidance": guidance}
    with steps_view("evaluating") as update:
        found = evaluated(
            run,
            against,
            num,
            features=features,
            weights=weights,
            metrics=chosen,
            items=items,
            settings={name: value for name, value in given.items() if value is not None},
            seed=seed,
            folder=folder,
            progress=lambda what, done, total: update(done, total, what),
        )
    page = write(found, folder)
    of_run = (run / CONFIG).is_file() and out is None
    report = report_run(run) if of_run else None
    if json:
        say_json({**found.to_json(), "page": str(page)})
        return 0
    for sheet in tables.sheets(found):
        say_table(sheet.title, sheet.head, sheet.rows)
        say(sheet.below + "\n")
    for sentence in (*tables.sentences(found), *found.notes):
        say(sentence)
    for name, why in found.refused.items():
        say(f"no {tables.title(name)}: {why}")
    if found.likelihood_refused:
        say(f"no bits: {found.likelihood_refused}")
    seconds = ", ".join(f"{name} {value:.1f} s" for name, value in found.timings.items())
    console().print(seconds)
    say(f"the page: {page}" + ("" if report is None else f"; and the run's own: {report}"))
    return 0
