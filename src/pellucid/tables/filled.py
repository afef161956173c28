"""Csv files with missing cells, filled in: all else in them stays as it is, byte for byte."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.table_schema import MISSING, Field
from ..data.table_text import Written
from ..data.tables import read_cells, write_rows
from ..foundations.errors import UserError
from ..made import new_folder
from .impute import draw_cells
from .model import TableModel

_LOW, _HIGH = 0.05, 0.95
_APART = 1 << 20  # between the numbers of two rows' first draws


@dataclass(frozen=True)
class Hole:
    """A missing cell and what may stand there.

    Attributes:
        line: of its row in the file.
        place, at: of its row among the file's rows, and of its column in the file.
        field: its column.
        draws: (S,), NaN where a draw had no value.
    """

    line: int
    place: int
    at: int
    field: Field
    draws: NDArray[np.float64]

    @property
    def there(self) -> NDArray[np.float64]:
        """The draws that have a value."""
        return self.draws[~np.isnan(self.draws)]

    @property
    def estimate(self) -> float:
        """The mean of numbers and dates, the most frequent of categories; NaN without a draw that has a value."""
        if not len(self.there):
            return float("nan")
        if self.field.numeric:
            return float(self.field.rounded(self.there.mean()[None])[0])
        return float(Counter(self.there.tolist()).most_common(1)[0][0])

    def row(self) -> list[str]:
        """Line, column, estimate, 5 % and 95 % quantile (of numbers), share of the estimate (of categories), draws."""
        one = self.field
        low = high = share = ""
        if len(self.there) and one.numeric:
            # As of n + 1 numbers of which the truth is one: 19 draws are the fewest whose extremes are such quantiles.
            ends = np.quantile(self.there, [_LOW, _HIGH], method="weibull")
            low, high = (one.write(float(end)) for end in one.rounded(ends))
        elif len(self.there):
            share = f"{(self.there == self.estimate).mean():.3f}"
        draws = [one.write(value) for value in self.draws.tolist()]
        return [str(self.line), one.name, one.write(self.estimate), low, high, share, *draws]


@dataclass(frozen=True)
class Filled:
    """What was written: the folder, its files, how many cells were filled, notes, and the seconds that it took."""

    folder: Path
    files: tuple[Path, ...]
    cells: int
    notes: tuple[str, ...]
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        files = [str(file) for file in self.files]
        return {**vars(self), "folder": str(self.folder), "files": files, "notes": list(self.notes)}


def fill_files(
    model: TableModel,
    files: Sequence[Path],
    draws: int = 20,
    *,
    out: Path | None = None,
    solver: str | None = None,
    steps: int | None = None,
    seed: int = 0,
    batch_size: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Filled:
    """Fills the missing cells of csv files.

    Of NAME.csv it writes NAME.csv, each hole filled by the mean of its draws (a category by the most frequent);
    NAME-cells.csv, a line for each hole with its estimate, quantiles and draws; and NAME-draws/01.csv and on, the table
    with the first draw of every hole, the second and so on: what is computed from each of these spreads as much as
    what is missing leaves open.

    Cells of columns that were left out or are constant stay as they are.

    Args:
        model: from `load_table`.
        files: csv files with columns of the table that was learned from; they may lack some.
        draws: of each cell.
        out: a folder that does not exist or is empty; restored-1, numbered, if absent.
        solver, steps, seed, batch_size, progress: as of `sample_rows`.

    Raises:
        UserError: no file, one without a hole, cells or columns that the model does not know (with their place), or a
            folder in use; nothing is then written.
    """
    if not files or draws < 1:
        raise UserError("give a csv file with missing cells, and ask for at least 1 draw of each")
    stems = [Path(file).stem for file in files]
    if len(set(stems)) < len(stems):
        raise UserError(f"two of the files have the same name, {Counter(stems).most_common(1)[0][0]!r}: rename one")
    folder = new_folder(out, Path(), "restored")
    started = time.perf_counter()
    found = [
        _holes(
            model, Path(file), draws, solver=solver, steps=steps, seed=seed, batch_size=batch_size, progress=progress
        )
        for file in files
    ]
    folder.mkdir(parents=True, exist_ok=True)
    written, notes = [], []
    for file, (text, holes, told) in zip(files, found, strict=True):
        stem = Path(file).stem
        notes += [f"{file}, {note}: taken for the nearer end" for note in told]
        names = [f"{stem}.csv", *(f"{stem}-draws/{k + 1:02d}.csv" for k in range(draws))]
        values = [
            [hole.estimate for hole in holes],
            *(([float(hole.draws[k]) for hole in holes]) for k in range(draws)),
        ]
        for name, column in zip(names, values, strict=True):
            (folder / name).parent.mkdir(exist_ok=True)
            cells = {(h.place, h.at): h.field.write(v) for h, v in zip(holes, column, strict=True) if not np.isnan(v)}
            (folder / name).write_bytes(text.replaced(cells).encode("utf-8"))
            written.append(folder / name)
        head = ["line", "column", "estimate", "low 5 %", "high 95 %", "share", *(f"draw {k + 1}" for k in range(draws))]
        write_rows(folder / f"{stem}-cells.csv", head, [hole.row() for hole in holes])
        written.insert(len(written) - draws, folder / f"{stem}-cells.csv")
        notes += [
            f"{file}, line {hole.line}: nothing was found for the column {hole.field.name!r}, which the model thinks "
            "is missing there; it stays empty"
            for hole in holes
            if not len(hole.there)
        ]
    cells_filled = sum(len(holes) for _, holes, _ in found)
    return Filled(folder, tuple(written), cells_filled, tuple(notes), time.perf_counter() - started)


def _holes(model: TableModel, file: Path, draws: int, **options: Any) -> tuple[Written, list[Hole], list[str]]:
    """A file's text, its holes with their draws, and what a person should know of its cells."""
    fields = model.codec.fields
    cells, text = read_cells(file, fields), Written.read(file)
    modelled = [j for j, one in enumerate(fields) if one.numeric or one.kind == "category"]
    names = [one.name for one in fields]
    own = {names.index(name): at for at, name in enumerate(cells.header)}
    given = ~np.isnan(cells.values)
    given[:, [j for j in range(len(fields)) if j not in modelled]] = False
    open_ = [(i, j) for i in range(len(given)) for j in modelled if j in own and not given[i, j]]
    if not open_:
        raise UserError(
            f"{file} has no missing cell in a column that the model knows; cells are missing where they are empty or "
            f"say {', '.join(word for word in MISSING if word)}"
        )
    rows = np.array(sorted({i for i, _ in open_}))
    drawn = draw_cells(
        model,
        np.repeat(cells.values[rows], draws, axis=0),
        np.repeat(given[rows], draws, axis=0),
        numbers=(rows[:, None] * _APART + np.arange(draws)).ravel().tolist(),
        **options,
    ).reshape(len(rows), draws, -1)
    at = {i: k for k, i in enumerate(rows.tolist())}
    place = text.filled[1:]
    holes = [Hole(cells.lines[i], place[i], own[j], fields[j], drawn[at[i], :, j]) for i, j in open_]
    return text, holes, cells.beyond(fields)
