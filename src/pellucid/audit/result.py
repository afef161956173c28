"""What an audit found: its numbers, its verdict in plain words, and what it would have seen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

import torch
from torch import Tensor

from ..foundations.measured import Measured
from .canaries import Canaries
from .copies import NEIGHBOURS, Copies
from .duplicates import Duplicates
from .extraction import Candidate
from .power import ALARM, CHANCE
from .roc import RATES, Curve, others_for
from .verbatim import Verbatim

FINDINGS = ("copies", "extraction", "membership")
_POINTS = 120  # of a curve that is kept
_SHOWN = 200  # flagged samples that are kept


@dataclass(frozen=True)
class Audit:
    """What was found.

    Attributes:
        num_train, num_held: the items of both sides.
        num: samples.
        copies: by each way of comparing: "pixels" or "values", "shifted" for pictures, "verbatim" for texts.
        verbatim: of texts and other symbols, whole items that came out; None for numbers.
        extracted: clumps of samples, the tightest first.
        duplicates: among the training items.
        membership: each statistic's curve, and its control between held-out halves.
        canaries: where the training set has some.
        notes: what limits the findings.
        weights_hash: of the model.
    """

    num_train: int
    num_held: int
    num: int
    copies: dict[str, Copies]
    verbatim: Verbatim | None
    extracted: tuple[Candidate, ...]
    duplicates: Duplicates
    membership: dict[str, tuple[Curve, Curve]]
    canaries: Canaries | None
    notes: tuple[str, ...]
    weights_hash: str

    @property
    def failed(self) -> tuple[str, ...]:
        """The findings, among `FINDINGS`, that are more than chance explains: each in at most 2.5 % of audits of a
        model that memorised nothing, however many ways of looking it has."""
        found = []
        looks = [each.chance for each in self.copies.values()]
        if self.verbatim is not None:
            looks.append(self.verbatim.chance)
        if looks and min(looks) <= ALARM / len(looks):
            found.append("copies")
        if any(candidate.extracted for candidate in self.extracted):
            found.append("extraction")
        if self.membership and min(curve.chance for curve, _ in self.membership.values()) <= ALARM / len(
            self.membership
        ):
            found.append("membership")
        return tuple(found)

    def sentences(self) -> dict[str, str]:
        """The verdict on each finding in plain words, with its limits."""
        found = {"copies": self._copies(), "extraction": self._extraction(), "membership": self._membership()}
        if self.canaries is not None:
            found["canaries"] = self.canaries.sentence()
        return {name: text for name, text in found.items() if text}

    def numbers(self) -> tuple[Measured, ...]:
        """The main numbers."""
        found = [
            Measured(**{**asdict(each.rate), "name": f"copy_rate[{name}]", "label": f"Flagged as copies ({name})"})
            for name, each in self.copies.items()
        ]
        if self.verbatim is not None:
            found.append(self.verbatim.rate)
        for name, (curve, _) in self.membership.items():
            found.append(Measured(**{**asdict(curve.auc), "label": f"Area of membership by {name}"}))
        return tuple(found)

    def to_json(self) -> dict[str, Any]:
        """The numbers as JSON values."""
        return {
            "weights": self.weights_hash,
            "train": self.num_train,
            "held_out": self.num_held,
            "samples": self.num,
            "failed": list(self.failed),
            "verdicts": self.sentences(),
            "numbers": [asdict(number) for number in self.numbers()],
            "copies": {name: _copies_json(each) for name, each in self.copies.items()},
            "verbatim": None if self.verbatim is None else self.verbatim.to_json(),
            "extracted": [asdict(candidate) for candidate in self.extracted],
            "duplicate_groups": [list(group) for group in self.duplicates.groups],
            "membership": {name: _curve_json(*pair) for name, pair in self.membership.items()},
            "canaries": None if self.canaries is None else self.canaries.to_json(),
            "notes": list(self.notes),
        }

    def _copies(self) -> str:
        told = []
        if self.copies:
            name, worst = min(self.copies.items(), key=lambda item: (item[1].chance, -item[1].rate.value))
            flagged = f"{len(worst.flagged):,} of {self.num:,} samples are nearer to a training item than all but "
            flagged += f"{100 * worst.level:.2g} % of held-out items are ({name})"
            if worst.chance <= ALARM / self._looks:
                told.append(f"It copies: {flagged}, which chance does not explain.")
            else:
                told.append(f"No more copies than chance: {flagged}.")
                if worst.control is not None and worst.crowded:
                    count = round(worst.control.value * self.num)
                    told.append(
                        f"As copies of held-out items, which there cannot be, {count:,} would have been flagged: its "
                        "samples crowd together."
                    )
        if self.verbatim is not None:
            told.append(self.verbatim.sentence(self.verbatim.chance <= ALARM / self._looks))
        if self.copies and "copies" not in self.failed:
            best = min(self.copies.values(), key=lambda each: each.seen)
            told.append(
                f"At n = {self.num:,} generated samples a copy rate above {100 * best.seen:.2g} % would have been seen "
                f"with {100 * CHANCE:.0f} % probability, a copy being a sample {self._reach(best)}."
            )
        return " ".join(told)

    def _reach(self, copies: Copies) -> str:
        if self.verbatim is None or "rows" in self.copies:
            share = f"{copies.reach:.2g} of the mean distance to the nearest {NEIGHBOURS}"
            return f"whose nearest training item is at less than {share}"
        longest = (NEIGHBOURS - copies.reach) / (copies.reach * (NEIGHBOURS - 1)) - 1  # see `symbols`
        return f"with a run of more than {longest:.0f} symbols that stands in the training set"

    @property
    def _looks(self) -> int:
        return len(self.copies) + (self.verbatim is not None)

    def _extraction(self) -> str:
        if self.verbatim is not None:
            return ""
        confirmed = [candidate for candidate in self.extracted if candidate.extracted]
        if not confirmed:
            clumps = f"{len(self.extracted)} clumps of samples looked at" if self.extracted else "there is none"
            return f"No training item came out as a clump of samples ({clumps})."
        items = len({candidate.train for candidate in confirmed})
        largest = max(len(candidate.samples) for candidate in confirmed)
        what = "training item" if items == 1 else "training items"
        return f"{items} {what} can be got out of it: as clumps of samples, the largest of {largest}."

    def _membership(self) -> str:
        if not self.membership:
            return ""
        name, (best, _) = min(self.membership.items(), key=lambda item: (item[1][0].chance, -item[1][0].auc.value))
        area = f"area {best.auc.text}, {best.auc.interval}"
        if "membership" in self.failed:
            told = f"Its errors tell training items from held-out ones (by {name}: {area})."
        else:
            limit = detectable(len(best.members), len(best.others), len(self.membership))
            told = (
                f"Its errors do not tell training items from held-out ones (best by {name}: {area}). An area above "
                f"{limit:.3f} would have been seen with {100 * CHANCE:.0f} % probability."
            )
        few = len(best.others)
        short = [rate for rate in RATES if few < others_for(rate)]
        if short:
            rates = " and ".join(f"{100 * rate:g} %" for rate in short)
            told += (
                f" With {few:,} held-out items what is found at {rates} false alarms says little: that takes "
                f"{others_for(max(short)):,} or more."
            )
        return told


def detectable(members: int, others: int, looks: int) -> float:
    """The least area under a curve that is told from chance with the probability `CHANCE`, by the normal law of ranks.

    Args:
        members, others: how many of each.
        looks: statistics that share the error rate `ALARM`.

    >>> round(detectable(500, 500, 3), 3)
    0.581
    """
    error = math.sqrt((members + others + 1) / (12 * members * others))
    normal = NormalDist()
    return min(1.0, 0.5 + (normal.inv_cdf(1 - ALARM / looks) + normal.inv_cdf(CHANCE)) * error)


def _copies_json(each: Copies) -> dict[str, Any]:
    shown = each.flagged[:_SHOWN]
    return {
        "rate": asdict(each.rate),
        "nearer_to_training": asdict(each.nearer),
        "control": None if each.control is None else asdict(each.control),
        "chance": each.chance,
        "false_alarm_rate": each.level,
        "threshold": each.threshold,
        "reach": each.reach,
        "flagged": shown.tolist(),
        "nearest": each.nearest[shown].tolist(),
        "p": each.p[shown].tolist(),
        "ratios": _quantiles(each.ratios),
        "held_ratios": _quantiles(each.held_ratios),
        "seen_with_98_percent": each.seen,
    }


def _quantiles(values: Tensor) -> list[float]:
    found: list[float] = values.double().quantile(torch.linspace(0, 1, _POINTS + 1, dtype=torch.float64)).tolist()
    return found


def _curve_json(curve: Curve, control: Curve) -> dict[str, Any]:
    alarms, hits = curve.points()
    chosen = _thinned(alarms)
    return {
        "auc": asdict(curve.auc),
        "chance": curve.chance,
        "found": {f"{rate:g}": asdict(value) for rate, value in curve.found.items()},
        "control": asdict(control.auc),
        "points": [[alarms[i], hits[i]] for i in chosen],
    }


def _thinned(alarms: Sequence[float]) -> list[int]:
    """Indices of a curve's points, close together where false alarms are rare."""
    last = len(alarms) - 1
    steps = {round(last ** (k / _POINTS)) for k in range(_POINTS + 1)} if last > 1 else {last}
    return sorted({0, *(min(step, last) for step in steps), last})


__all__ = ["FINDINGS", "Audit", "detectable"]
