"""Made rows of tables beside those of simple laws: columns, pairs, trees that tell them apart, use, nearness, holes.

    python benchmarks/tables.py [penguins orders] [--budget 60s] [--runs FOLDER]

For each built-in table the recipe `table` is trained (or a run in FOLDER of that name is read), as many rows are made
as there are real ones (at least 1,000), and all measures of `pellucid.tables.judge` are taken: of the model, of
independent columns and of a Gaussian copula fitted to the same training rows. The row "real rows" is what halves of the
real rows give, scaled to the sizes compared: nothing can be expected to be better. Intervals are 95 %.

Claim: trees tell made from real rows in at most 65 of 100 cases; trained on made rows they lose at most 5 points on
held-out ones; made rows are no nearer to training rows than 1/2 or than rows of simple laws; masked numbers are filled
in with less error than the column's mean, and intervals of 90 % cover 80 to 97 %.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from common import Page, arguments, table

TARGETS = {"orders": "Category"}  # what a row says something about; else the first category


def main() -> None:
    """Prints the tables and writes them to results/tables.md."""
    parser = arguments(__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--budget", help="of training, as the recipe's by default")
    parser.add_argument("--runs", type=Path, help="where runs are read from and written to")
    parser.set_defaults(threads=1)
    options = parser.parse_args()
    import torch

    torch.set_num_threads(options.threads)
    page = Page("tables", "Made rows of tables", quick=options.quick)
    names = options.names or (["penguins"] if options.quick else ["penguins", "orders"])
    budget = options.budget or ("6k-items" if options.quick else None)
    with tempfile.TemporaryDirectory() as spare:
        for name in names:
            one(page, name, (options.runs or Path(spare)) / name, budget, quick=options.quick)
    page.end()


def one(page: Page, name: str, folder: Path, budget: str | None, *, quick: bool) -> None:
    """One table's section."""
    from pellucid.config import resolve
    from pellucid.tables.judge import judge
    from pellucid.tables.model import load_table
    from pellucid.tables.page import verdicts
    from pellucid.train.prepare import open_split
    from pellucid.train.run import Run

    if not folder.exists():
        trained(name, folder, budget)
    run, model = Run.open(folder), load_table(folder)
    train, held = open_split(resolve([("", run.config)]).config)
    last = run.lines("train")[-1]
    started = time.process_time()
    found = judge(model, train, held, target=TARGETS.get(name), **({"num": 100, "draws": 0} if quick else {})).measures
    count = sum(p.numel() for p in model.denoiser.parameters())
    page.say(
        f"## {name}\n\n{len(train):,} rows trained on, {len(held):,} held out, {len(found.fields)} columns; "
        f"{count:,} parameters, {int(last['items']):,} items in {last['seconds']:.0f} s; {found.num_made:,} rows made; "
        f"all of it measured in {time.process_time() - started:.0f} s of the processor.\n"
    )
    page.say(
        table(
            ["rows of", "columns", "pairs", "trees tell", "near training", "use for " + _target(found)],
            list(_rows(found)),
        )
    )
    page.say()
    if found.imputed:
        page.say(
            table(["masked column", "cells", "error", "mean or mode", "neighbours", "within 90 %"], _filled(found))
        )
        page.say()
    for verdict in verdicts(found):
        page.say(f"- {'met' if verdict.passed else 'NOT MET'}: {verdict.text}")
    for part, why in found.refused.items():
        page.say(f"- not measured: {part}: {why}")
    page.say()


def trained(name: str, folder: Path, budget: str | None) -> None:
    """Trains the recipe on a built-in table."""
    from pellucid.config import resolve
    from pellucid.recipes import RECIPES
    from pellucid.train.start import begin

    class Silent:
        def progress(self, **numbers: Any) -> None: ...

        def message(self, text: str) -> None: ...

    own = {"data": {"source": name}, **({"training": {"budget": budget}} if budget else {})}
    layers = [("recipe", {"recipe": "table", **RECIPES["table"].settings}), ("benchmark", own)]
    begin(resolve(layers), folder, observer=Silent())


def _target(found: Any) -> str:
    return "learning" if found.utility is None else f"{found.utility.target}, {found.utility.measure}"


def _rows(found: Any) -> Any:
    pairs = found.pairs and found.pairs.difference
    used = found.utility
    near = found.privacy and found.privacy.nearer
    scores = (found.column_distance, pairs, found.c2st, near)
    yield ["this model", *map(_with, scores), _with(used and used.on_made)]
    for one in found.beside:
        cells = (one.column_distance, one.association_difference, one.c2st, one.nearer)
        yield [one.name, *map(_with, cells), _with(one.utility and one.utility.on_made)]
    floors = [f"{scored.floor:.3f}" if scored and scored.floor is not None else "" for scored in scores]
    yield ["real rows", *floors, _with(used and used.on_real)]


def _filled(found: Any) -> list[list[str]]:
    rows = []
    for name, one in found.imputed.items():
        usual = one.others.get("mean", one.others.get("mode"))
        inside = "" if one.coverage is None else f"{100 * one.coverage.value:.0f} %"
        cells = [one.error.text, f"{usual:.4g}", f"{one.others['neighbours']:.4g}"]
        rows.append([name, str(one.error.count), *cells, inside])
    return rows


def _with(scored: Any) -> str:
    return "" if scored is None else f"{scored.value:.3f} ({scored.low:.3f} to {scored.high:.3f})"


if __name__ == "__main__":
    main()
