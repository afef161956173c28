"""What an audit tells of models that are known to have memorised, and of one that is known not to.

Three models of handwritten digits, all audited by `pellucid audit` with as many samples:

* overfitted: trained on 100 items, 2,000 passes over each.
* digits: the model that comes with pellucid, trained on 4,001 items.
* canaries: trained on the same items with 30 marked ones among them, ten that are there once, ten 10 times and ten 100
  times, about 60 passes.

The first and the last are trained here, in bfloat16 and small, into `--runs` (a folder; where they are there already,
they are used, and so are the samples of an earlier audit). Claim: overfitted fails on copies, extraction and membership
and digits on none; the share of canaries that membership tells does not fall with their repeats, all of those that are
there 100 times are told, and no canary that was there once came out as a copy more than the false alarms allow.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import Page, arguments, table

from pellucid.audit.report import write
from pellucid.audit.run import audited, place
from pellucid.config import nested, resolve
from pellucid.data.arrays import evenly, split
from pellucid.data.builtin import BUILTIN
from pellucid.recipes import RECIPES
from pellucid.train.run import CONFIG
from pellucid.train.start import begin

HUNDRED, CANARIES = 100, 30


class Silent:
    """Watches a training and says nothing."""

    def progress(self, **facts: Any) -> None:
        """Nothing."""

    def message(self, text: str) -> None:
        """Nothing."""


def trained(path: Path, settings: dict[str, Any]) -> Path:
    """A run of the digits recipe with some settings; the one that is there, if it is."""
    if not (path / CONFIG).is_file():
        recipe = RECIPES["digits"]
        common = {"training.precision": "bfloat16", "training.pictures": 2, "training.seed": 0}
        layers = [("recipe digits", {"recipe": "digits", **recipe.settings}), ("benchmark", nested(common | settings))]
        begin(resolve(layers), path, observer=Silent())
    return path


def runs(folder: Path, quick: bool) -> dict[str, tuple[Any, str | None, str | None]]:
    """Each model with the training and held-out data that are given to the audit; None for its own."""
    folder.mkdir(parents=True, exist_ok=True)
    train, held = split(BUILTIN["digits"](), 0.2)
    few, rest = folder / "hundred.npz", folder / "held.npz"
    for path, part in ((few, evenly(train, HUNDRED)), (rest, held)):
        if not path.is_file():
            assert part.labels is not None
            np.savez(path, images=np.asarray(part.items[np.arange(len(part))]), labels=part.labels)
    small = {"network.width": 8, "network.multipliers": [1], "network.blocks": 1} if quick else {}
    budgets = ("320-items", "320-items") if quick else ("200k-items", "300k-items")
    overfitted = trained(
        folder / "overfitted",
        {"data.source": str(few), "data.holdout": 0.0, "training.budget": budgets[0], "network.width": 24, **small},
    )
    canaries = trained(
        folder / "canaries",
        {"data.canaries": CANARIES, "training.budget": budgets[1], "network.width": 32, **small},
    )
    return {
        "overfitted": (overfitted, None, str(rest)),
        "digits": ("digits", None, None),
        "canaries": (canaries, None, None),
    }


def main() -> None:
    """Trains, audits, and prints what was found."""
    parser = arguments(__doc__)
    parser.add_argument("--runs", type=Path, default=Path("runs/memorisation"), help="folder of the trained runs")
    parser.add_argument("--num", type=int, default=1000, help="samples of each model")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    num, items = (60, 60) if options.quick else (options.num, 500)
    page = Page("memorisation", "What an audit tells of models that memorised", quick=options.quick)
    found: dict[str, dict[str, Any]] = {}
    for name, (given, train, held) in runs(options.runs, options.quick).items():
        out = place(Path(given), options.runs / "digits-audit" if name == "digits" else None)
        found[name] = audited(given, train, held, num=num, items=items, folder=out)
        write(found[name], out)
    page.say(f"{num:,} samples of each; membership on at most {items} items of each side.\n")
    page.say(table(("model", *COLUMNS), [[name, *_row(each)] for name, each in found.items()]))
    page.say("\nThe verdicts:\n")
    page.say(
        "\n".join(
            f"* {name}, {what}: {text}" for name, each in found.items() for what, text in each["verdicts"].items()
        )
    )
    page.say("\nThe detection curve of the canaries:\n")
    head = (
        "times in the training set",
        "canaries",
        "told by membership",
        "came out as copies",
        "copies",
        "exposure, bits",
    )
    page.say(table(head, [_canary(row) for row in found["canaries"]["canaries"]]))
    page.say(f"\n{_claim(found)}.")
    page.end()


COLUMNS = ("trained on", "flagged, pixels", "flagged, moved", "items extracted", "area, loss", "area, PIA", "failed")


def _row(found: dict[str, Any]) -> list[str]:
    """The main numbers of an audit."""
    extracted = {each["train"] for each in found["extracted"] if each["extracted"]}
    return [
        f"{found['train']:,}",
        *(_share(found["copies"][name]["rate"]) for name in ("pixels", "shifted")),
        f"{len(extracted)}",
        *(_area(found["membership"][name]["auc"]) for name in ("loss", "pia")),
        ", ".join(found["failed"]) or "none",
    ]


def _share(number: dict[str, Any]) -> str:
    return f"{100 * number['value']:.1f} % ({100 * number['low']:.1f} to {100 * number['high']:.1f})"


def _area(number: dict[str, Any]) -> str:
    return f"{number['value']:.3f} ({number['low']:.3f} to {number['high']:.3f})"


def _canary(row: dict[str, Any]) -> list[str]:
    return [
        f"{row['repeats']}",
        f"{row['items']}",
        _share(row["told"]),
        _share(row["copied"]),
        f"{row['copies']}",
        f"{row['exposure']:.1f}",
    ]


def _claim(found: dict[str, dict[str, Any]]) -> str:
    """Whether the claim at the top is met."""
    rows = found["canaries"]["canaries"]
    told = [row["told"]["value"] for row in rows]
    met = (
        set(found["overfitted"]["failed"]) == {"copies", "extraction", "membership"}
        and not found["digits"]["failed"]
        and told == sorted(told)
        and told[-1] == 1
        and rows[0]["copied"]["value"] <= 0.1
    )
    return f"Claim: {'met' if met else 'MISSED'}"


if __name__ == "__main__":
    main()
