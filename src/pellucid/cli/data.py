"""`pellucid data inspect`, `pellucid data builtin` and `pellucid data dedup`."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter


def inspect_data(
    path: str,
    /,
    *,
    size: int | None = None,
    channels: int | None = None,
    labels: str | None = None,
    sheet: Path | None = None,
    schema: Path | None = None,
    series: Annotated[bool, Parameter(negative="")] = False,
    length: int | None = None,
    missing: Annotated[bool, Parameter(negative="")] = False,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Show what a data set holds: counts, sizes, labels, what would be left out and why, and a contact sheet.

    Parameters
    ----------
    path
        A folder of pictures, a .npz, .npy or .csv file, or a built-in set (see pellucid data builtin).
    size
        Side of the pictures in pixels.
    channels
        1 (grey) or 3 (colour).
    labels
        A csv with the columns file and label.
    sheet
        Where to write the contact sheet, a new .png file.
    schema
        Of a table: where to write what its columns are, a new .yaml file to edit and to train with: pellucid train
        table DATA --config FILE.
    series
        Read it as time series, as the recipe signals does: a .csv, .ts, .npy or .npz file, or a folder of .npy files.
    length
        Of a series in a .csv: steps of the windows into which it is cut.
    missing
        Of series: values may be missing.
    json
        Print as JSON.
    """
    from ..data.inspect import contact_sheet, describe, inspect
    from ..data.series_files import SeriesReading, open_series
    from ..data.table_inspect import columns_in_words, table_of, write_schema
    from ..foundations.errors import UserError
    from .console import say, say_json, steps_view

    if sheet is not None and sheet.exists():
        raise UserError(f"{sheet} exists, and nothing is overwritten: give another name")
    if not series and (length is not None or missing):
        raise UserError("--length and --missing are of series: give --series too")
    if series and (size is not None or channels is not None):
        raise UserError("--size and --channels are of pictures: leave them out, or leave out --series")
    if series:
        found = describe(open_series(path, SeriesReading(length, missing), labels=labels), path)
    else:
        with steps_view("reading") as update:
            given = {"size": size, "channels": channels, "labels": labels}
            found = inspect(path, progress=update, **{k: v for k, v in given.items() if v is not None})
    values: dict[str, Any] = found.to_json()
    if schema is not None:
        table = table_of(path)
        if table is None:
            raise UserError(f"--schema is for tables, .csv files with a header, and {path} is none: leave it out")
        write_schema(table, schema)
        values["schema"] = str(schema)
    if sheet is not None:
        contact_sheet(found.dataset).save(sheet, format="PNG")
        values["sheet"] = str(sheet)
    if json:
        say_json(values)
        return 0
    say(f"{path}: {found.what}, {found.count:,} items of shape {'x'.join(map(str, found.shape))}")
    for name, (low, middle, high) in found.sizes.items():
        say(f"  {name:<9} {low:g} to {high:g} pixels, median {middle:g}")
    for name in ("formats", "modes", "labels"):
        if values[name]:
            say(f"  {name:<9} " + ", ".join(f"{key} {count:,}" for key, count in values[name].items()))
    width = max([9, *map(len, found.conditions)])
    for name, sentence in found.conditions.items():
        say(f"  {name:<{width}} {sentence}")
    ranges = ", ".join(f"{low:g} to {high:g}" for low, high in found.value_range[:8])
    if ranges:
        say(f"  values    {ranges}{', ...' if len(found.value_range) > 8 else ''}")
    say(f"  repeated  {found.duplicates:,} items equal an earlier one")
    for note in found.notes:
        say(f"  note      {note}")
    for rejected in found.rejected:
        say(f"  left out  {rejected.path}: {rejected.reason}")
    if sheet is not None:
        say(f"  at one look: {sheet}")
    if found.dataset.codec.kind == "points":
        with suppress(UserError):  # points without a header are no table
            table = table_of(path)
            if table is not None:
                say("  as a table (pellucid train table):")
                words = columns_in_words(table)
                for name, sentence in words.items():
                    say(f"    {name:<{max(map(len, words))}} {sentence}")
    if schema is not None:
        say(f"  columns in {schema}: edit it, and train with --config {schema}")
    return 0


def builtin_data(name: str | None = None, /, *, json: Annotated[bool, Parameter(negative="")] = False) -> int:
    """List the built-in data sets, or say what one of them holds and, where it is not here, how to get it.

    Parameters
    ----------
    name
        One of the sets; all are listed where it is left out.
    json
        Print as JSON.
    """
    from ..data.builtin import BUILTIN
    from .console import say, say_json

    if name is None:
        what = {key: (make.__doc__ or "").strip().splitlines()[0] for key, make in BUILTIN.items()}
        if json:
            say_json(what)
        for key, line in what.items() if not json else ():
            say(f"  {key:<9} {line}")
        return 0
    ds = BUILTIN[name]()
    held = {"name": name, "count": len(ds), "shape": list(ds.shape), "labels": list(ds.label_names)}
    if json:
        say_json({**held, "left_out": len(ds.rejected), "notes": list(ds.notes)})
        return 0
    say(f"{name}: {len(ds):,} items of shape {'x'.join(map(str, ds.shape))}, {len(ds.rejected)} left out")
    if ds.label_names:
        say(f"  labels    {', '.join(ds.label_names)}")
    for column in ds.columns:
        say(f"  {column.part.name:<9} {column.part.sentence()}")
    for note in ds.notes:
        say(f"  note      {note}")
    say(f"  use it    --data {name}")
    return 0


def dedup_data(
    path: Path,
    /,
    *,
    out: Path,
    ratio: float | None = None,
    size: int | None = None,
    channels: int | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Write a data set without its near-duplicates; the original is never touched.

    Of a folder a csv lists all files, which to keep, and which one each other is like. Of a .npz, .npy, .csv or .txt
    file a new one is written, with the first item of each group.

    Parameters
    ----------
    path
        A folder of pictures, or a .npz, .npy, .csv or .txt file.
    out
        A new file: .csv for a folder, else of the same kind.
    ratio
        How near near-duplicates are, in usual distances to the nearest item; found from the data if absent.
    size
        Side in pixels at which the pictures of a folder are compared.
    channels
        1 (grey) or 3 (colour).
    json
        Print as JSON.
    """
    from ..audit.dedup import dedup
    from .console import say, say_json, steps_view

    given = {"size": size, "channels": channels}
    with steps_view("comparing") as update:
        update(0, 1)
        found = dedup(path, out, ratio=ratio, options={k: v for k, v in given.items() if v is not None})
    if json:
        say_json(found.to_json())
        return 0
    largest = f", the largest of {len(found.groups[0]):,}" if found.groups else ""
    say(f"{found.num:,} items, {len(found.groups):,} groups of near-duplicates{largest}: {found.removed:,} removed")
    say(f"written: {found.path}")
    return 0
