"""What guidance buys and what it costs: the share of digits that show the label asked for, against their variety.

    python benchmarks/guidance.py [--num 1000] [--rows FILE] [--kinds rescaled,projected]

FILE keeps each row as it is measured, and a row that it holds is not measured again.

The model `digits` of the shelf, sampled at its own solver and steps with all labels in turn, for each kind of guidance
that needs nothing but the model, at the model's own interval of noise levels and at all of them. Scale 1 is the plain
conditional model, which is the same for all kinds; scale 0 asks for no label.

agreement   share that the demo's classifier, trained on the real training digits, reads as the label asked for
precision   share of samples within the real digits' neighbourhoods (Kynkaanniemi et al., 2019)
recall      share of real digits within the samples' neighbourhoods: the variety
KID         squared kernel distance to the held-out digits (Binkowski et al., 2018), 0 for the data's own law

Real are the held-out digits. Precision and recall are taken in 64 principal components of the real digits, recall once
more in the classifier's features, and KID in these, scaled to a root mean square of 1 and times 1,000. ± is half of a
95 % interval. The samples of all rows begin at the same noise, so that rows differ by less than their intervals say.

Goal: at the model's default, agreement of 98 % and a recall within 0.05 of the plain model's. Floor: the same figures
of real training digits, in the last row; and the classifier's own accuracy.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from common import Page, arguments, table
from torch import Tensor

AGREEMENT, RECALL = 0.98, 0.05
SCALES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0)
HEADER = ["guidance", "levels", "w", "agreement", "precision", "recall", "recall (cls)", "1000 KID"]


Key = tuple[str, bool, float]  # the kind of guidance, whether the interval is the model's, and the scale


@dataclass(frozen=True)
class Row:
    """One line of the table, and what the goal is about."""

    cells: list[str]
    agreement: float
    recall: float


class Rows(dict[Key, Row]):
    """Rows, kept in a file where one is given."""

    def __init__(self, path: Path | None) -> None:
        super().__init__()
        self.path = path
        if path is not None and path.is_file():
            for line in path.read_text("utf-8").splitlines():
                key, row = json.loads(line)
                self[key[0], key[1], key[2]] = Row(**row)

    def keep(self, key: Key, row: Row) -> None:
        """Adds a row, to the file too."""
        print(*key, *row.cells, file=sys.stderr, flush=True)
        self[key] = row
        if self.path is not None:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps([key, asdict(row)]) + "\n")


def main() -> None:
    """Prints the table and writes it to results/guidance.md."""
    parser = arguments(__doc__)
    parser.add_argument("--num", type=int, default=1000)
    parser.add_argument("--rows", type=Path)
    parser.add_argument("--kinds", default="")
    parser.set_defaults(threads=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    import pellucid as pl
    from pellucid.data.arrays import split
    from pellucid.data.open import open_dataset
    from pellucid.foundations.measured import proportion
    from pellucid.guidance import PAIRS
    from pellucid.metrics.classifier import predict, train_classifier
    from pellucid.metrics.features import Network, features_of
    from pellucid.metrics.kernel import kid
    from pellucid.metrics.manifold import precision, recall
    from pellucid.sampling import GUIDANCE_KIND, labels_for

    num = 60 if options.quick else options.num
    model = pl.load("digits")
    default = model.card.sampling
    train, held = split(open_dataset("digits"), 0.2)
    if train.fingerprint() != model.card.data["sha256"]:
        sys.exit("the model on the shelf was trained on other digits: train it anew")
    x, labels = train.fetch(np.arange(len(train)))
    real, truth = held.fetch(np.arange(len(held)))
    assert labels is not None
    assert truth is not None
    classifier = train_classifier(x, labels, len(model.card.label_names), epochs=1 if options.quick else 12)
    right = proportion("accuracy", int((predict(classifier, real) == truth).sum()), len(held))
    _, components = features_of(real, num)
    seen = Network(classifier, "features")
    scale = seen(x).square().mean().sqrt()

    def row(made: Tensor, asked: Tensor) -> Row:
        """What is measured of samples and the labels they were asked for."""
        hits = proportion("agreement", int((predict(classifier, made) == asked).sum()), len(made))
        a, b = components(made), components(real)
        far, near = seen(made) / scale, seen(real) / scale
        distance = kid(far, near)
        found = [precision(a, b), recall(a, b), recall(far, near)]
        cells = [f"{100 * hits.value:.1f} %", *(_cell(each.value, each.low, each.high) for each in found)]
        cells.append(_cell(1000 * distance.value, _thousand(distance.low), _thousand(distance.high)))
        return Row(cells, hits.value, found[1].value)

    page = Page("guidance", "Digits by label: agreement against variety", quick=options.quick)
    asked = labels_for(model, range(num), None)
    assert asked is not None
    known = Rows(options.rows)
    interval = default.guidance_interval
    for kind in options.kinds.split(",") if options.kinds else PAIRS:
        for limited in (True, False):
            sampling = default.model_copy(update={"guidance_interval": interval if limited else None})
            chosen = replace(model, card=replace(model.card, sampling=sampling))
            for w in SCALES:
                key = (GUIDANCE_KIND, True, w) if w == 1 else (kind, limited, w)
                if key not in known:
                    made = pl.sample(chosen, num, guidance=w, guidance_kind=kind).cpu()
                    known.keep(key, row(made, asked.cpu()))
    base = known[GUIDANCE_KIND, True, 1.0]
    low, high = interval or (0.0, float("inf"))
    words = {True: f"{low:g} to {high:g}", False: "all"}
    order = sorted(known, key=lambda key: (list(PAIRS).index(key[0]), not key[1], key[2]))
    rows = [[kind, words[limited], f"{w:g}", *known[kind, limited, w].cells] for kind, limited, w in order]
    some = torch.linspace(0, len(train) - 1, min(num, len(train))).long()
    rows.append(["real training digits", "", "", *row(x[some], labels[some]).cells])
    page.say(
        f"{num:,} samples a row, {default.solver} with {default.steps} steps; {len(held):,} held-out digits; the "
        f"classifier is right on {100 * right.value:.1f} % of them.\n"
    )
    page.say(table(HEADER, rows))
    mine = known.get((GUIDANCE_KIND, interval is not None, default.guidance))
    if mine is not None:
        lost = mine.recall - base.recall
        kept = "met" if mine.agreement >= AGREEMENT and lost >= -RECALL else "missed"
        page.say(
            f"\nThe model's default, w = {default.guidance:g} at levels {words[interval is not None]}: agreement "
            f"{100 * mine.agreement:.1f} % and recall {mine.recall:.3f}, {lost:+.3f} from the plain model's: goal "
            f"{kept}."
        )
    page.end()


def _thousand(value: float | None) -> float | None:
    return None if value is None else 1000 * value


def _cell(value: float, low: float | None, high: float | None) -> str:
    """A value with half of its interval."""
    return f"{value:.3f}" if low is None or high is None else f"{value:.3f} ± {(high - low) / 2:.3f}"


if __name__ == "__main__":
    main()
