"""A trained model of a table, judged: rows drawn from it, masked cells filled in by it, and all measures of both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..data.arrays import Dataset
from ..foundations.errors import MissingExtra, UserError
from ..metrics.table_impute import Imputed
from ..metrics.table_rows import Rows
from .generate import sample_rows
from .impute import draw_cells
from .masked import DRAWS, fill_in
from .measure import measure
from .measures import Measures
from .model import TableModel

_MOST = 10_000  # rows that are made
_LEAST = 1000
_STEPS = 50  # of a filled-in cell, at most: two thirds of its row are known


@dataclass(frozen=True)
class Judged:
    """What was measured of a model, and the packed rows (M, P) that it was measured on."""

    measures: Measures
    made: NDArray[np.float32]


def judge(
    model: TableModel,
    train: Dataset,
    held: Dataset,
    *,
    num: int | None = None,
    target: str | None = None,
    seed: int = 0,
    draws: int = DRAWS,
    baselines: bool = True,
    progress: Callable[[str], None] | None = None,
) -> Judged:
    """Draws rows of a model and measures them.

    Args:
        model: from `load_table`.
        train, held: what it learned from, and what it did not; the second may be empty.
        num: rows to draw; as many as there are real ones, between 1,000 and 10,000, if absent.
        target: the column that trees predict, as of `measure`.
        seed: of the rows, and of every choice of the measures.
        draws: of each masked cell; 0 leaves that part out.
        baselines: also measure rows by simple laws.
        progress: called with the name of each part before it starts.

    Raises:
        UserError: data of another table, or a target that it does not have.
        MissingExtra: scikit-learn is not installed.
    """
    codec = model.codec
    for name, data in (("training", train), ("held-out", held)):
        if data.codec.to_json() != codec.to_json():
            raise UserError(f"the {name} rows are of {data.name}, whose columns are not those of the model")
    real, fresh = (np.asarray(data.items[:], np.float32) for data in (train, held))
    tell = progress or (lambda part: None)
    tell("rows")
    count = num or min(_MOST, max(_LEAST, len(real) + len(fresh)))
    made = model.decode(sample_rows(model, count, seed=seed))
    filled: dict[str, Imputed] = {}
    why = ""
    try:
        if draws:
            tell("masked cells")
            cells = (codec.unpack(real), codec.unpack(fresh))
            filled = fill_in(_filler(model, seed), *cells, codec.fields, draws=draws, seed=seed)
    except MissingExtra:
        raise
    except UserError as error:
        why = str(error)
    found = measure(
        real, fresh, made, codec, target=target, seed=seed, imputed=filled, baselines=baselines, progress=progress
    )
    return Judged(found.refusing("masked cells", why) if why else found, made)


def _filler(model: TableModel, seed: int) -> Callable[[Rows, NDArray[np.bool_]], Rows]:
    steps = min(_STEPS, model.card.sampling.steps)

    def fill(cells: Rows, given: NDArray[np.bool_]) -> Rows:
        return draw_cells(model, cells, given, seed=seed, steps=steps)

    return fill
