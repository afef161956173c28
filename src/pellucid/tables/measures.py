"""What is measured of made rows of a table: the values, as the numbers of a page and as JSON."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..data.table_schema import Field
from ..foundations.measured import Measured
from ..metrics.base import Scored
from ..metrics.table_columns import ColumnScore
from ..metrics.table_impute import Imputed, pooled_coverage
from ..metrics.table_pairs import Associations
from ..metrics.table_privacy import Privacy
from ..metrics.table_utility import Utility


@dataclass(frozen=True)
class Beside:
    """What rows by a simple law get, by the same measures; None where one refused."""

    name: str
    column_distance: Scored | None
    association_difference: Scored | None
    c2st: Scored | None
    utility: Utility | None
    nearer: Scored | None


@dataclass(frozen=True)
class Measures:
    """What was measured of made rows.

    Attributes:
        fields: the table's columns.
        num_train, num_held, num_made: rows of each kind.
        columns: each column's distance.
        column_distance: their mean.
        pairs: associations of all pairs of columns, and the mean of their difference.
        c2st: how well trees tell made rows from all real ones.
        c2st_held: the same against held-out rows alone.
        utility: trees trained on made rows against trees trained on real ones.
        privacy: distances to the nearest training row.
        imputed: masked cells of held-out rows that were filled in, by column; empty where that was not done.
        beside: baselines.
        refused: what could not be measured, and why, by name.
    """

    fields: tuple[Field, ...]
    num_train: int
    num_held: int
    num_made: int
    columns: tuple[ColumnScore, ...] = ()
    column_distance: Scored | None = None
    pairs: Associations | None = None
    c2st: Scored | None = None
    c2st_held: Scored | None = None
    utility: Utility | None = None
    privacy: Privacy | None = None
    imputed: Mapping[str, Imputed] = field(default_factory=dict)
    beside: tuple[Beside, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)

    def refusing(self, name: str, why: str) -> Measures:
        """With one more part that could not be measured."""
        return replace(self, refused={**self.refused, name: why})

    @property
    def leak(self) -> bool | None:
        """Whether made rows are nearer to training rows than 1/2 and than any of the simple laws' rows, which hold no
        row: the interval lies above. None where that was not measured."""
        if self.privacy is None or self.privacy.nearer.low is None:
            return None
        return self.privacy.nearer.low > max([0.5, *(one.nearer.value for one in self.beside if one.nearer)])

    @property
    def numbers(self) -> tuple[Measured, ...]:
        """The numbers of a page, each with its interval and sample size, those that were measured."""
        return tuple(self._numbers())

    def _numbers(self) -> Iterator[Measured]:
        if self.column_distance is not None:
            yield replace(self.column_distance.measured, label="Distance of columns, mean")
        if self.pairs is not None and self.pairs.difference is not None:
            yield replace(self.pairs.difference.measured, label="Difference of associations, mean")
        if self.c2st is not None:
            yield replace(self.c2st.measured, label="Trees tell made from real rows")
        if self.c2st_held is not None:
            yield replace(self.c2st_held.measured, name="c2st_held_out", label="Trees tell made from held-out rows")
        if self.utility is not None:
            word = f"{self.utility.measure} for {self.utility.target!r}"
            yield replace(self.utility.on_made.measured, label=f"Trained on made rows: {word}", note="")
            yield replace(self.utility.on_real.measured, label=f"Trained on real rows: {word}", note="")
            yield replace(self.utility.difference.measured, label="Trained on made less trained on real", note="")
        if self.privacy is not None:
            label = "Nearest real row is a training row (1/2: no leak)"
            yield replace(self.privacy.nearer.measured, label=label)
            yield self.privacy.ratio
            yield self.privacy.copies
        if any(one.coverage is not None for one in self.imputed.values()):
            yield replace(pooled_coverage(self.imputed), label="Masked numbers within intervals of 90 %")
        for name, ratio in mean_ratios(self.imputed).items():
            yield replace(ratio, label=f"Error of filled-in numbers, over that of the {name}")

    def to_json(self) -> dict[str, Any]:
        """Plain values: what `page.sections` lays out, and what a program reads."""
        return {
            "rows": {"train": self.num_train, "held_out": self.num_held, "made": self.num_made},
            "columns": [
                {
                    "name": one.name,
                    "kind": one.kind,
                    "plain": one.plain,
                    "distance": _json(one.distance),
                    "missing": _json(one.missing),
                }
                for one in self.columns
            ],
            "scores": {
                "column_distance": _json(self.column_distance),
                "association_difference": _json(self.pairs.difference if self.pairs else None),
                "c2st": _json(self.c2st),
                "c2st_held_out": _json(self.c2st_held),
                "nearer_to_training": _json(self.privacy.nearer if self.privacy else None),
            },
            "utility": self.utility and _utility_json(self.utility),
            "beside": [
                {
                    "name": one.name,
                    "column_distance": _json(one.column_distance),
                    "association_difference": _json(one.association_difference),
                    "c2st": _json(one.c2st),
                    "utility": one.utility and _utility_json(one.utility),
                    "nearer_to_training": _json(one.nearer),
                }
                for one in self.beside
            ],
            "imputed": {
                name: {
                    "error": [one.error.value, one.error.low, one.error.high],
                    "cells": one.error.count,
                    "others": dict(one.others),
                    "ratios": {other: [m.value, m.low, m.high] for other, m in one.ratios.items()},
                    "coverage": one.coverage and [one.coverage.value, one.coverage.low, one.coverage.high],
                }
                for name, one in self.imputed.items()
            },
            "refused": dict(self.refused),
        }


def mean_ratios(imputed: Mapping[str, Imputed]) -> dict[str, Measured]:
    """The geometric mean over columns of numbers of the error over each of the others', by the other's name.

    The interval takes columns for independent and their logarithms for normal.
    """
    numbers = [one for one in imputed.values() if one.coverage is not None]
    found = {}
    for name in numbers[0].ratios if numbers else ():
        ratios = [one.ratios[name] for one in numbers]
        value = math.exp(sum(math.log(max(m.value, 1e-12)) for m in ratios) / len(ratios))
        spreads = [math.log(m.high / m.low) for m in ratios if m.low and m.high]
        half = math.sqrt(sum((spread / 2) ** 2 for spread in spreads)) / len(ratios)
        sure = len(spreads) == len(ratios)
        low, high = (value * math.exp(side) if sure else None for side in (-half, half))
        cells = sum(m.count or 0 for m in ratios)
        found[name] = Measured(f"imputation_error_over_{name}", value, low, high, cells, note=f"{len(ratios)} columns")
    return found


def _json(scored: Scored | None) -> dict[str, Any] | None:
    return None if scored is None else scored.to_json()


def _utility_json(found: Utility) -> dict[str, Any]:
    return {
        "target": found.target,
        "measure": found.measure,
        "on_made": found.on_made.to_json(),
        "on_real": found.on_real.to_json(),
        "difference": found.difference.to_json(),
        "trivial": found.trivial,
    }
