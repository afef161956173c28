"""What verbs do with a model of signals, where it differs from other models of numbers."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .conditions import assigned, labels_in
from .kinds import refuse_unknown

_SHOWN = 6


def carries_on(model: Any, given: Mapping[str, Any]) -> bool:
    """Whether files are series to be carried on or filled: those of a model of signals, without a task or an operator.

    Raises:
        UserError: a forecast of other items, or flags that a forecast does not know.
    """
    from ..data.codecs import SignalCodec
    from ..foundations.errors import UserError

    series = isinstance(model.card.codec.items, SignalCodec)
    damaged = "task" in given or "operator" in given
    if "forecast" in given and (damaged or not series):
        why = "a task or an operator says what happened" if damaged else f"its items have the shape {model.item_shape}"
        raise UserError(f"--forecast carries on series, and here {why}: leave one of them out")
    if series and not damaged:
        known = [each.name for each in inspect.signature(restore_signals).parameters.values()]
        refuse_unknown("series that are carried on or filled", given, known)
        return True
    return False


def restore_signals(
    model: Any,
    *,
    files: tuple[Path, ...] = (),
    forecast: int | None = None,
    simulate: bool = False,
    samples: int = 100,
    label: str | None = None,
    where: list[str] | None = None,
    seed: int = 0,
    method: str | None = None,
    solver: str | None = None,
    steps: int | None = None,
    grid: str | None = None,
    guidance: float | None = None,
    batch_size: int | None = None,
    out: Path | None = None,
    json: bool = False,
) -> int:
    """Series carried on, or their gaps filled; without files, a run's own held-out series to compare with."""
    from ..series.made import restore_series
    from .console import say, say_json, steps_view, warn

    if not files and simulate and forecast is not None:
        files = (held_out(model),)
    more = {"method": method, "solver": solver, "steps": steps, "grid": grid, "guidance": guidance}
    result = restore_series(
        model,
        files,
        horizon=forecast,
        simulate=simulate,
        samples=samples,
        seed=seed,
        label=None if label is None else labels_in(label, model.card.label_names),
        where=assigned("--where", where),
        out=out,
        view=steps_view,
        told=warn if json else say,
        **{name: value for name, value in {**more, "batch_size": batch_size}.items() if value is not None},
    )
    if json:
        say_json(result.to_json())
    else:
        for one in result.done:
            for note in one.notes:
                say(f"{one.file}: {note}")
        say(f"{len(result.done)} of {len(files)} files in {result.folder}")
    return 1 if result.failed else 0


def held_out(model: Any) -> Path:
    """Held-out series of a run's own data, at equal distances, written beside it as held-out.npy.

    Raises:
        UserError: a model that is no run's, or data that are gone.
    """
    import io

    import numpy as np

    from ..config import resolve
    from ..data.arrays import evenly
    from ..foundations.durable import write_atomic
    from ..foundations.errors import UserError
    from ..train.run import CONFIG, Run
    from ..train.start import open_split

    if not (Path(model.origin) / CONFIG).is_file():
        raise UserError("name at least one file with series; only a run can be asked without, for it knows its data")
    train, held = open_split(resolve([("", Run.open(model.origin).config)]).config)
    items = np.asarray(evenly(held if len(held) else train, _SHOWN).items)
    buffer = io.BytesIO()
    np.save(buffer, items, allow_pickle=False)
    return write_atomic(Path(model.origin) / "held-out.npy", buffer.getvalue())
