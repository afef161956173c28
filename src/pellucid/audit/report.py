"""An audit as one page that loads nothing, and as a section of a run's own page: both are laid out from audit.json."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..foundations.durable import finite, write_atomic
from ..foundations.errors import UserError
from ..foundations.measured import Measured, format_value
from ..report import Interval, Intervals, ReportData, Section, Table, Text, Verdict, render
from ..report.blocks import Block, Chart, Charts, Picture, Series

FOLDER = "audit"
JSON, HTML = "audit.json", "audit.html"
_SLOTS = {"copies": "Copies", "extraction": "Extraction", "membership": "Membership", "canaries": "Canaries"}
_CHANCE_LINE = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)


def write(values: Mapping[str, Any], folder: Path) -> Path:
    """Writes audit.json and audit.html into the folder of the audit's pictures, in place of former ones, and returns
    the path of the second."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(finite(values), indent=1, ensure_ascii=False, allow_nan=False)
    write_atomic(folder / JSON, text + "\n")
    return write_atomic(folder / HTML, render(page(values, folder)))


def kept(run: Path, weights: str) -> dict[str, Any] | None:
    """The audit that lies in a run folder; None where there is none, or where it speaks of other weights.

    Raises:
        UserError: a file that cannot be read.
    """
    file = Path(run) / FOLDER / JSON
    if not file.is_file():
        return None
    try:
        values: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return values if values["weights"] == weights else None
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{file} cannot be read ({error}): delete it and audit the run again") from None


def kept_section(run: Path, weights: str) -> tuple[Section, ...]:
    """What a run's own page shows of the audit in its folder; () where there is none of these weights."""
    values = kept(run, weights)
    if values is None:
        return ()
    folder = Path(run) / FOLDER
    told = "\n\n".join([_subtitle(values), *values["verdicts"].values(), *values["notes"]])
    blocks: list[Block] = [Text(told), *_pairs(values, folder)]
    blocks += [Charts(tuple(_curves(values)))] if values["membership"] else []
    blocks += _canaries(values)
    blocks.append(Text(f"All of it: {FOLDER}/{HTML} in the run folder. Again: pellucid audit."))
    return (Section("Audited for memorised training items", tuple(blocks)),)


def verdicts(values: Mapping[str, Any]) -> tuple[Verdict, ...]:
    """The findings, each passed or failed; what is no finding is told."""
    found = [
        Verdict(f"{_SLOTS[name]}: {text}", None if name == "canaries" else name not in values["failed"])
        for name, text in values["verdicts"].items()
    ]
    return (*found, *(Verdict(note) for note in values["notes"]))


def page(values: Mapping[str, Any], folder: Path) -> ReportData:
    """The page as plain values.

    Args:
        values: what audit.json holds.
        folder: where its pictures lie.
    """
    return ReportData(
        title=f"{values['name']}, audited",
        subtitle=_subtitle(values),
        verdicts=verdicts(values),
        numbers=tuple(Measured(**number) for number in values["numbers"]),
        sections=tuple(section for section in _sections(values, folder) if section.blocks),
        footer=f"Made by pellucid {values['version']} on {time.strftime('%d %B %Y, %H:%M %Z')}.",
    )


def _subtitle(values: Mapping[str, Any]) -> str:
    return (
        f"{values['samples']:,} samples beside {values['train']:,} training items and {values['held_out']:,} that it "
        "has not seen."
    )


def _sections(values: Mapping[str, Any], folder: Path) -> Iterator[Section]:
    yield Section("Near-duplicates in the training data", tuple(_duplicates(values, folder)))
    yield Section("Copies", (*_copies(values), *_pairs(values, folder)))
    yield Section("Extraction", tuple(_extraction(values, folder)))
    yield Section("Membership", tuple(_membership(values)))
    yield Section("Canaries", tuple(_canaries(values)))
    rows = tuple((name, f"{seconds:.1f} s") for name, seconds in values["timings"].items())
    facts = tuple((name, str(value)) for name, value in values["settings"].items() if value is not None)
    yield Section("Settings", (Table("Audit", ("", ""), facts), Table("Seconds", ("part", "time"), rows)))


def _duplicates(values: Mapping[str, Any], folder: Path) -> Iterator[Block]:
    groups = values["duplicate_groups"]
    if not groups:
        yield Text("No two training items are near-duplicates.")
        return
    more = sum(len(group) - 1 for group in groups)
    yield Text(
        f"{len(groups):,} groups of near-duplicates, the largest of {len(groups[0]):,}: {more:,} training items are "
        "near another one. What a model sees again and again is what it memorises first: pellucid data dedup writes "
        "a list without them."
    )
    yield from _picture(folder, "groups", "The largest groups, a row each, their first ten items")


def _copies(values: Mapping[str, Any]) -> Iterator[Block]:
    rows: list[tuple[str, ...]] = []
    for name, each in values["copies"].items():
        control = each["control"]
        rows.append(
            (
                name,
                *_share(each["rate"]),
                f"{_digits(each['false_alarm_rate'])} %",
                f"{each['chance']:.2g}",
                "too few items" if control is None else f"{_digits(control['value'])} %",
                f"{100 * each['nearer_to_training']['value']:.1f} % ({_ends(each['nearer_to_training'])})",
                f"{_digits(each['seen_with_98_percent'])} %",
            )
        )
    if rows:
        head = (
            "compared by",
            "flagged",
            "95 % interval",
            "allowed",
            "chance",
            "control",
            "nearer to training",
            "rate that would be seen",
        )
        yield Table("", head, tuple(rows))
        yield Text(
            "A sample is flagged where its distance to the nearest training item, over the mean of those to the 50 "
            "nearest, is smaller than that of all but the allowed share of held-out items. Chance is the probability "
            "that false alarms are as many. The control flags copies of held-out items, which there cannot be. Nearer "
            "to training says how many samples are nearer to one of as many training items than to the held-out ones, "
            "half of them without memory. The last column is the copy rate that would be seen with 98 % probability."
        )
        if values["verbatim"] is not None and "longest run" in values["copies"]:
            yield Text("Of texts the distance is 1/(1 + n), n the symbols of the longest run that two have in common.")
        yield Charts(tuple(_ratios(name, each) for name, each in values["copies"].items()))
    whole = values["verbatim"]
    if whole is not None:
        (hits, beside), (train, held) = whole["distinct"], whole["known"]
        counts = (
            ("training items", f"{_digits(whole['rate']['value'])} %", hits, train, _percent(hits, train)),
            ("held-out items", f"{_digits(whole['held_rate']['value'])} %", beside, held, _percent(beside, held)),
        )
        yield Table(
            "Samples that are a known item as a whole",
            ("", "share of samples", "distinct ones that came out", "of", "share of them"),
            counts,
        )
        yield Text(f"Without memory so many of the former, or more, have a chance of {whole['chance']:.2g}.")
        if whole["overlap"]:
            told = tuple((f"{n}", f"{100 * a:.1f} %", f"{100 * b:.1f} %") for n, a, b in whole["overlap"])
            title = "Runs that occur in the training set, of all runs of that length"
            yield Table(title, ("run of symbols", "samples", "held-out items"), told)


def _ratios(name: str, each: Mapping[str, Any]) -> Chart:
    """Both laws of the ratio, as the share of items below it."""
    num = len(each["ratios"]) - 1
    shares = tuple(k / num for k in range(num + 1))
    both = (("samples", each["ratios"]), ("held-out items", each["held_ratios"]))
    series = tuple(Series(label, tuple(values), shares) for label, values in both)
    cut = Series("threshold", (each["threshold"],) * 2, (0.0, 1.0), style="faint")
    return Chart(f"Ratio of distances, {name}", "ratio; a copy is at 0", "share below", (*series, cut))


def _pairs(values: Mapping[str, Any], folder: Path) -> Iterator[Block]:
    """What is most like a training item, side by side."""
    for name, pairs in values["pairs"].items():
        if not pairs:
            continue
        caption = (
            f"The samples that are most like a training item ({name}), the clearest first; below each the training "
            "item and the held-out item that are nearest. Like a copy is what the middle row repeats and the last does "
            "not."
        )
        yield from _picture(folder, f"pairs-{name}", caption, rows=("sample", "training", "held out"))
        worded = pairs[0]["words"]
        head = ("sample", "training item", "distance", "held-out item", "distance", "p as a copy")
        rows = tuple(
            (
                pair["words"][0] if worded else f"{pair['sample']}",
                pair["words"][1] if worded else f"{pair['train']}",
                format_value(pair["distance"]),
                pair["words"][2] if worded else f"{pair['held']}",
                format_value(pair["distance_held"]),
                format_value(pair["p"]),
            )
            for pair in pairs
        )
        yield Table(f"Distances ({name})", head, rows, folded=not worded)


def _extraction(values: Mapping[str, Any], folder: Path) -> Iterator[Block]:
    candidates = values["extracted"]
    if values["verbatim"] is not None:
        return
    yield Text(
        "Samples that lie close together are candidates, without a look at the training set; it only confirms them: "
        + values["verdicts"]["extraction"]
    )
    yield from _picture(folder, "clumps", "Confirmed: the middle of each clump, and below it the training item")
    if candidates:
        head = ("samples in the clump", "density", "training item", "p as a copy", "times in the training set", "")
        rows = tuple(
            (
                len(each["samples"]),
                float(each["density"]),
                f"{each['train']}",
                float(each["p"]),
                int(each["repeats"]),
                "extracted" if each["extracted"] else "no",
            )
            for each in candidates[:30]
        )
        yield Table("Clumps, the tightest first", head, rows)
    by_repeats = values["extracted_by_repeats"]
    if len(by_repeats) > 1:
        table = tuple((f"{count}", f"{hit} of {total}") for count, hit, total in by_repeats)
        yield Table("By how often an item is in the training set", ("times", "training items extracted"), table)


def _membership(values: Mapping[str, Any]) -> Iterator[Block]:
    found = values["membership"]
    if not found:
        return
    rows = []
    for group, (name, each) in enumerate(found.items()):
        for label, part, is_open in ((name, each["auc"], False), (f"{name}, control", each["control"], True)):
            rows.append(Interval(label, part["value"], part["low"], part["high"], group, open=is_open))
    yield Intervals(
        "Area under the curve: members against others (full), two halves of the others (open)", "area", tuple(rows)
    )
    yield Charts(tuple(_curves(values)))
    head = ("statistic", "area", "95 % interval", "chance", "found at 1 %", "found at 0.1 %", "control")
    table = tuple(
        (
            name,
            f"{each['auc']['value']:.3f}",
            f"{each['auc']['low']:.3f} to {each['auc']['high']:.3f}",
            f"{each['chance']:.2g}",
            *(_found(each["found"].get(rate)) for rate in ("0.01", "0.001")),
            f"{each['control']['value']:.3f} ({each['control']['low']:.3f} to {each['control']['high']:.3f})",
        )
        for name, each in found.items()
    )
    yield Table("", head, table)
    yield Text(
        "Found at 1 % is the share of training items whose score is higher than that of all but 1 % of others. Its "
        "interval knows that the cut is itself measured: where it begins at zero, the others are too few to say more."
    )


def _curves(values: Mapping[str, Any]) -> Iterator[Chart]:
    """The curves on both scales."""
    for log in (False, True):
        series = []
        for name, each in values["membership"].items():
            alarms, hits = zip(*each["points"], strict=True)
            series.append(Series(name, alarms, hits))
        series.append(Series("chance", _CHANCE_LINE, _CHANCE_LINE, style="faint"))
        title = "Membership where false alarms are rare" if log else "Membership"
        yield Chart(title, "false alarms", "members found", tuple(series), log_x=log, log_y=log)


def _canaries(values: Mapping[str, Any]) -> Iterator[Block]:
    rows = values["canaries"]
    if not rows:
        return
    yield Text(values["verdicts"]["canaries"])
    at = tuple(float(row["repeats"]) for row in rows)
    if len(rows) > 1:
        curve = []
        for name, label in (("told", "told by membership"), ("copied", "came out as copies")):
            value, low, high = (tuple(row[name][key] for row in rows) for key in ("value", "low", "high"))
            curve.append(Series(label, at, value, low, high, style="points"))
        yield Chart(
            "What the audit sees of items that were put in on purpose",
            "times in the training set",
            "share of canaries",
            tuple(curve),
            log_x=True,
        )
    head = ("times there", "canaries", "told by membership", "came out as copies", "samples that copy them", "exposure")
    yield Table(
        "",
        head,
        tuple(
            (
                f"{row['repeats']}",
                f"{row['items']}",
                f"{100 * row['told']['value']:.0f} % ({_ends(row['told'])})",
                f"{100 * row['copied']['value']:.0f} % ({_ends(row['copied'])})",
                f"{row['copies']}",
                f"{row['exposure']:.1f} bits",
            )
            for row in rows
        ),
    )
    yield Text(
        "A canary is told where its score is higher than that of all but 1 % of items that were marked alike and never "
        "trained on; its exposure is the number of bits by which it is ahead of them, 1.4 without memory."
    )


def _picture(folder: Path, name: str, caption: str, rows: tuple[str, ...] = ()) -> Iterator[Block]:
    path = folder / f"{name}.png"
    if path.is_file():
        yield Picture.read(path, caption, caption, rows)


def _share(number: Mapping[str, Any]) -> tuple[str, str]:
    return f"{_digits(number['value'])} %", _ends(number)


def _ends(number: Mapping[str, Any]) -> str:
    return f"{_digits(number['low'])} to {_digits(number['high'])} %"


def _digits(share: float) -> str:
    """A share in per cent: one decimal, and two digits where it is less than one."""
    return f"{100 * share:.1f}" if share >= 0.01 or share == 0 else f"{100 * share:.2g}"


def _found(number: Mapping[str, Any] | None) -> str:
    return "too few others" if number is None else f"{100 * number['value']:.1f} % ({_ends(number)})"


def _percent(count: int, total: int) -> str:
    return f"{_digits(count / max(1, total))} %"
