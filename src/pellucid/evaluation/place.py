"""Where an evaluation is kept."""

from __future__ import annotations

from pathlib import Path

from ..foundations.errors import UserError
from ..train.run import CONFIG
from .page import FOLDER, JSON

_OURS = ("samples-*", "features-*", "classifier-*", JSON)


def place(run: Path, out: Path | None = None) -> Path:
    """The folder of an evaluation: `out`; RUN/evaluation of a run; evaluation-NAME, here, of any other model.

    Args:
        run: what is evaluated, as it was named.
        out: a folder that is new, empty, or holds a former evaluation, whose samples are then used.

    Raises:
        UserError: `out` holds something else.
    """
    if out is None:
        return run / FOLDER if (run / CONFIG).is_file() else Path(f"{FOLDER}-{run.resolve().name}")
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file: give --out a folder")
    if out.is_dir() and any(out.iterdir()) and not any(next(out.glob(each), None) for each in _OURS):
        raise UserError(
            f"{out} holds something else than an evaluation, and nothing is overwritten: give another --out"
        )
    return out
