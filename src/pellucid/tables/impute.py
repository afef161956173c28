"""Missing cells drawn from the law of a model of a table given the cells that are there."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from .generate import sample_rows
from .known import packed_known
from .model import TableModel

Cells = NDArray[np.float64]
_TRIES = 64
_ROUND = 1 << 44  # between the numbers of a row's tries, whatever rows and draws there are


def draw_cells(
    model: TableModel,
    cells: Cells,
    given: NDArray[np.bool_],
    *,
    numbers: Sequence[int] | None = None,
    seed: int = 0,
    solver: str | None = None,
    steps: int | None = None,
    batch_size: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Cells:
    """Rows with what is given of them, drawn from its exact conditional law under the model: given also that every
    other cell is there.

    That a number is there is a known column, its flag. That a category is there is not, so rows in which one came out
    missing are drawn again: in the end what was accepted follows the law given that it is there. A cell that is still
    missing after 64 tries stays so.

    Args:
        model: from `load_table`.
        cells: (B, fields), as `Field.parse` gives them; NaN is a missing cell where it is given, and is not looked at
            elsewhere.
        given: bool (B, fields).
        numbers: of the rows, for their random numbers; 0 .. B - 1 if absent.
        seed, solver, steps, batch_size, progress: as of `sample_rows`.

    Returns:
        (B, fields), with what was given as it was.
    """
    codec = model.codec
    spare = np.array([one.values[0] if one.numeric else 0.0 for one in codec.fields])
    known = packed_known(codec, np.where(given, cells, spare), given)
    for score, flag in codec.flags:
        j = codec.fields.index(codec.numbers[score])
        known.known[torch.from_numpy(~given[:, j]), len(codec.numbers) + flag] = True  # it is there: `pack` wrote 0
    picked = [j for j, one in enumerate(codec.fields) if one.kind == "category" and one.missing]
    names = np.arange(len(cells)) if numbers is None else np.asarray(numbers)
    made = cells.copy()
    left = np.arange(len(cells))
    for i in range(_TRIES):
        drawn = sample_rows(
            model,
            len(left),
            known=known.of(left),
            numbers=(names[left] + i * _ROUND).tolist(),
            seed=seed,
            solver=solver,
            steps=steps,
            batch_size=batch_size,
            progress=progress if i == 0 else None,
        )
        found = codec.unpack(model.decode(drawn))
        made[left] = np.where(given[left], cells[left], found)
        gone = (np.isnan(made[left]) & ~given[left])[:, picked].any(1)
        left = left[gone]
        if not len(left):
            break
    return made
