"""An evaluation as tables: heads and rows of words, for a terminal and for a page alike."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ..foundations.measured import Measured, format_value
from ..metrics.base import Scored
from ..report import Interval
from ..score import Score
from .result import Evaluated

Row = tuple[str, ...]
_SHARES = ("label_agreement", "precision", "recall", "density", "coverage", "c2st_knn", "authenticity")
_KEY = (
    "fid",
    "label_agreement",
    "kid",
    "frechet",
    "precision",
    "coverage",
    "c2st_knn",
    "novel_texts",
    "distinct_texts",
    "ngram_distance",
)


@dataclass(frozen=True)
class Sheet:
    """A table with its title and the words below it."""

    title: str
    head: Row
    rows: tuple[Row, ...]
    below: str = ""


def sheets(found: Evaluated) -> tuple[Sheet, ...]:
    """All tables that have rows."""
    every = (numbers(found), by_class(found), likelihood(found), cost(found))
    return tuple(sheet for sheet in every if sheet.rows)


def numbers(found: Evaluated) -> Sheet:
    """Every metric with its interval, its floor and both sample sizes."""
    rows = tuple(
        (
            title(scored.name),
            scored.measured.text,
            _interval(scored.measured),
            "" if scored.floor is None else _like(scored, scored.floor),
            _wanted(scored),
            f"{scored.num_generated:,}",
            f"{scored.num_real:,}",
        )
        for scored in found.numbers
    )
    head = ("metric", "value", "95 % interval", "real data", "better", "samples", "real")
    warned: dict[str, list[str]] = {}
    for each in found.numbers:
        for warning in each.warnings:
            warned.setdefault(warning, []).append(title(each.name))
    notes = [f"{', '.join(names)}: {warning}." for warning, names in warned.items()]
    below = (
        f"Compared are {found.features}. Real data: the same number between two halves of the real items; a model "
        f"within its reach cannot be told from the data by that number. {' '.join(notes)}"
    )
    return Sheet("Metrics", head, rows, below)


def by_class(found: Evaluated) -> Sheet:
    """Some metrics of each class."""
    names = list(dict.fromkeys(scored.name for row in found.by_class.values() for scored in row))
    rows = []
    for label, scores in found.by_class.items():
        known = {scored.name: scored for scored in scores}
        cells = [_with_interval(known[name]) if name in known else "" for name in names]
        rows.append((label, *cells, _counts(scores)))
    head = ("class", *(title(name) for name in names), "samples / real")
    return Sheet("By class", head, tuple(rows), "95 % intervals in brackets, over the items of the class.")


def likelihood(found: Evaluated) -> Sheet:
    """Bits of held-out items by each method."""
    rows = tuple(
        (
            score.method,
            f"{score.bits_per_dim:.4f} {score.unit}",
            _span(score),
            f"{score.items:,}",
            f"{score.seconds:.1f}",
        )
        for score in found.likelihood
    )
    head = ("method", "value", "95 % over items", "items", "seconds")
    return Sheet("Bits on held-out items", head, rows, "Lower is better.")


def cost(found: Evaluated) -> Sheet:
    """What a sample costs."""
    if not found.cost:
        return Sheet("Cost of a sample", (), ())
    rows = (("calls of a network", f"{found.cost['calls']:,.1f}"), ("seconds", f"{found.cost['seconds']:.3g}"))
    return Sheet("Cost of a sample", ("", "for one sample"), rows, "Made together with others, on this machine.")


def sentences(found: Evaluated) -> tuple[str, ...]:
    """What the numbers say, for who reads no table."""
    said = []
    c2st = found.number("c2st_knn")
    if c2st is not None:
        said.append(
            f"By its five nearest neighbours an item is told to be made or real with {100 * c2st.value:.1f} % success "
            f"({_percent(c2st)}); 50 % would be chance, and real halves reach {100 * (c2st.floor or 0.5):.1f} %."
        )
    cover = found.number("coverage")
    if cover is not None and cover.floor is not None:
        said.append(
            f"{100 * cover.value:.1f} % of the held-out items ({_percent(cover)}) have a sample among their nearest "
            f"neighbours; as many real items reach {100 * cover.floor:.1f} %."
        )
    new = found.number("authenticity")
    if new is not None and new.floor is not None:
        said.append(
            f"{100 * new.value:.1f} % of the samples ({_percent(new)}) lie no nearer to a training item than such "
            f"items do to one another; of held-out items {100 * new.floor:.1f} % do, and copies would not."
        )
    asked = found.number("label_agreement")
    if asked is not None and asked.floor is not None:
        said.append(
            f"The classifier sees the asked class in {100 * asked.value:.1f} % of the samples ({_percent(asked)}); it "
            f"is itself right on {100 * asked.floor:.1f} % of held-out items."
        )
    return tuple(said)


def key_numbers(found: Evaluated) -> tuple[Measured, ...]:
    """The few numbers that stand for the rest."""
    bits = [_bits(score) for score in found.likelihood]
    return (*(_titled(scored) for name in _KEY if (scored := found.number(name)) is not None), *bits)


def all_numbers(found: Evaluated) -> tuple[Measured, ...]:
    """Every number, for the model's card."""
    return (*map(_titled, found.numbers), *(_bits(score) for score in found.likelihood))


def intervals(found: Evaluated) -> tuple[Interval, ...]:
    """The shares with their intervals, and below each what real items reach."""
    rows = []
    for name in _SHARES:
        scored = found.number(name)
        if scored is None or scored.low is None or scored.high is None:
            continue
        rows.append(Interval(title(name), scored.value, scored.low, scored.high))
        if scored.floor is not None:
            rows.append(Interval("real data", scored.floor, scored.floor, scored.floor, group=1, open=True))
    return tuple(rows)


_TITLES = {"ngram_distance": "3-gram distance"}
# Those of tables are called as on a run's page.
_TITLES |= {
    "column_distance": "Distance of columns, mean",
    "association_difference": "Difference of associations, mean",
}
_TITLES |= {"table_c2st": "Trees tell made from real rows", "table_c2st_held_out": "Trees tell made from held-out rows"}
_TITLES |= {"nearer_to_training": "Nearest real row is a training row (1/2: no leak)"}
_TITLES |= {"utility_on_made": "Trained on made rows", "utility_on_real": "Trained on real rows"}
_TITLES |= {"c2st_knn": "C2ST, neighbours", "c2st_logistic": "C2ST, logistic", "c2st_mlp": "C2ST, network"}
_TITLES |= {"kid": "KID", "fid": "FID", "fid_infinity": "FID, extrapolated", "frechet": "Fréchet distance"}
_TITLES |= {"mmd_gaussian": "MMD², Gaussian", "mmd_laplace": "MMD², Laplace", "mmd_rational": "MMD², rational"}
_TITLES |= {"energy": "Energy distance", "wasserstein": "Wasserstein-2, squared", "vendi": "Vendi score"}
_TITLES |= {"sliced_wasserstein": "Sliced Wasserstein-2, squared"}


def title(name: str) -> str:
    """What a metric is called."""
    words = name.replace("_", " ")
    return _TITLES.get(name, words[:1].upper() + words[1:])


def _titled(scored: Scored) -> Measured:
    return replace(scored.measured, label=title(scored.name))


def _interval(number: Measured) -> str:
    return number.interval.split(" (")[0] if number.low is not None else ""


def _like(scored: Scored, value: float) -> str:
    """A value to the digits of another."""
    return Measured("", value, scored.low, scored.high).text


def _with_interval(scored: Scored) -> str:
    number = scored.measured
    inside = _interval(number)
    return f"{number.text} ({inside})" if inside else number.text


def _wanted(scored: Scored) -> str:
    if scored.better != "nearer":
        return scored.better
    return "nearer to real data" if scored.ideal is None else f"nearer to {format_value(scored.ideal)}"


def _counts(scores: tuple[Scored, ...]) -> str:
    """The greatest sample sizes of a row."""
    return f"{max(s.num_generated for s in scores):,} / {max(s.num_real for s in scores):,}"


def _percent(scored: Scored) -> str:
    if scored.low is None or scored.high is None:
        return "no interval"
    return f"95 %: {100 * scored.low:.1f} to {100 * scored.high:.1f}"


def _span(score: Score) -> str:
    low, high = score.bits_per_dim - 1.96 * score.over_items, score.bits_per_dim + 1.96 * score.over_items
    return f"{low:.3f} to {high:.3f}"


def _bits(score: Score) -> Measured:
    half = 1.96 * score.over_items
    facts: dict[str, Any] = {"count": score.items, "unit": score.unit, "label": f"-log p(x), {score.method}"}
    return Measured("bits", score.bits_per_dim, score.bits_per_dim - half, score.bits_per_dim + half, **facts)
