r"""All measures of made rows: beside real ones, beside what simple laws give, and of cells filled in.

Columns, pairs and the classifier compare made rows with all real ones, training and held-out together: marginals and
associations are no secret of a row, and few rows would show little. Whether a model gives its training rows away is
asked apart, by distances to the nearest row and by the classifier on held-out rows alone. Use is judged on held-out
rows, which neither side was trained on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..data.table_codec import TableCodec
from ..foundations.errors import MissingExtra, UserError
from ..metrics.table_c2st import c2st
from ..metrics.table_columns import column_scores, mean_distance
from ..metrics.table_impute import Imputed
from ..metrics.table_pairs import associations
from ..metrics.table_privacy import nearer_to_training, privacy
from ..metrics.table_rows import Rows, some_of
from ..metrics.table_utility import target_of, utility
from .baselines import BASELINES
from .measures import Beside, Measures

_MOST = 10_000  # rows of a sample that are compared
_JUDGED = 5000  # rows of a sample that trees tell apart
_NEAR = 2000  # rows of a simple law, and held-out ones, whose neighbours are searched
_P = ParamSpec("_P")
_T = TypeVar("_T")


def measure(
    train: NDArray[np.floating],
    held: NDArray[np.floating],
    made: NDArray[np.floating],
    codec: TableCodec,
    *,
    target: str | None = None,
    seed: int = 0,
    imputed: Mapping[str, Imputed] | None = None,
    baselines: bool = True,
    progress: Callable[[str], None] | None = None,
) -> Measures:
    """Measures made rows. This signature is stable: the page of a run and `pellucid evaluate` call it.

    Args:
        train, held, made: packed rows (N, P), (H, P) and (M, P), as the items of a data set and as
            `TableModel.decode` gives them; M of N + H or more show most.
        codec: the columns.
        target: the column that trees predict; the first category, else the last number, if absent.
        seed: of every choice; the same rows and seed give the same numbers.
        imputed: masked cells that were filled in, from `masked.fill_in`.
        baselines: also measure rows by the laws of `BASELINES`, as many as were made.
        progress: called with the name of each part before it starts.

    Returns:
        What was measured. A part that its rows are too few for is in `refused`, with the reason.

    Raises:
        UserError: rows that do not fit the codec, no made rows at all, or a target that the table does not have.
        MissingExtra: scikit-learn is not installed.
    """
    for name, rows in (("training", train), ("held-out", held), ("made", made)):
        if rows.ndim != 2 or rows.shape[1:] != codec.shape:
            raise UserError(f"the {name} rows have shape {tuple(rows.shape)}; packed they are (N, {codec.shape[0]})")
    if not len(made):
        raise UserError("no rows were made, so there is nothing to measure")
    fields = codec.fields
    if target is not None:
        target_of(fields, target)
    known, fresh, rows = (
        _cells(packed, codec, seed, name) for name, packed in (("train", train), ("held", held), ("made", made))
    )
    real = some_of(np.concatenate([known, fresh]), _MOST, seed, "table/real")
    judged, told = rows[:_JUDGED], real[:_JUDGED]
    tried = _Tried(progress)
    each = tried("columns", column_scores, rows, real, fields, seed=seed)
    found = Measures(
        fields,
        len(train),
        len(held),
        len(made),
        each or (),
        tried("column distance", mean_distance, rows, real, fields, seed=seed),
        tried("associations", associations, rows, real, fields, seed=seed),
        tried("c2st", c2st, judged, told, fields, seed=seed),
        tried("c2st on held-out rows", c2st, judged, fresh[:_JUDGED], fields, seed=seed),
        tried("utility", utility, rows, known, fresh, fields, target=target, seed=seed),
        tried("privacy", privacy, rows, known, fresh, fields, seed=seed),
        imputed or {},
    )
    beside = []
    for name, make in BASELINES.items() if baselines else ():
        title = name.replace("_", " ").replace("gaussian", "Gaussian")
        other = tried(title, make, known, fields, len(rows), seed=seed)
        if other is not None:
            pairs = tried(f"associations of {title}", associations, other, real, fields, seed=seed)
            one = Beside(
                title,
                tried(f"column distance of {title}", mean_distance, other, real, fields, seed=seed),
                None if pairs is None else pairs.difference,
                tried(f"c2st of {title}", c2st, other[:_JUDGED], told, fields, seed=seed, floor=False),
                tried(f"utility of {title}", utility, other, known, fresh, fields, target=target, seed=seed),
                None if found.privacy is None else nearer_to_training(other[:_NEAR], known, fresh[:_NEAR], fields),
            )
            beside.append(one)
    return replace(found, beside=tuple(beside), refused=tried.refused)


class _Tried:
    """Calls functions by name, and keeps why they refused."""

    def __init__(self, progress: Callable[[str], None] | None) -> None:
        self.progress = progress
        self.refused: dict[str, str] = {}

    def __call__(self, name: str, work: Callable[_P, _T], *args: _P.args, **options: _P.kwargs) -> _T | None:
        if self.progress is not None:
            self.progress(name)
        try:
            return work(*args, **options)
        except MissingExtra:
            raise
        except UserError as error:
            self.refused[name] = str(error)
            return None


def _cells(packed: NDArray[np.floating], codec: TableCodec, seed: int, name: str) -> Rows:
    return some_of(codec.unpack(np.asarray(packed, np.float32)), _MOST, seed, f"table/{name}")
