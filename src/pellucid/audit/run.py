"""The audit of whatever model lies at a path: its data, its samples as they are kept, and the page."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..comparison.contestants import Contestant, kind_of
from ..comparison.items import own_split
from ..config import resolve
from ..data.arrays import Dataset
from ..data.open import open_dataset
from ..data.tokens import TokenCodec
from ..evaluation.page import FOLDER as SAMPLES
from ..evaluation.scale import same_scale
from ..evaluation.subject import samples, subject
from ..foundations.errors import UserError
from ..model import label_ids
from ..tables.model import TableModel
from ..tokens.model import TokenModel
from ..train.prepare import open_split
from ..train.run import CONFIG
from .members import Audited
from .pictures import as_items, draw_clumps, draw_groups, draw_pairs, pairs_of
from .report import FOLDER, JSON
from .result import Audit
from .rows import audit_rows
from .shadows import Shadow
from .symbols import audit_symbols
from .whole import audit

_CLUMPS = 12
_WAYS: dict[type, Callable[..., Audit]] = {TokenModel: audit_symbols, TableModel: audit_rows}
_OURS = (JSON, "samples-*")  # what an audit, finished or not, leaves in its folder
Progress = Callable[[str, int, int], None]


def place(run: Path, out: Path | None = None) -> Path:
    """The folder of an audit: `out`; RUN/audit of a run; audit-NAME, here, of any other model.

    Args:
        run: what is audited, as it was named.
        out: a folder that is new, empty, or holds a former audit.

    Raises:
        UserError: `out` holds something else.
    """
    if out is None:
        return run / FOLDER if (run / CONFIG).is_file() else Path(f"{FOLDER}-{run.resolve().name}")
    ours = out.is_dir() and (not any(out.iterdir()) or any(next(out.glob(each), None) for each in _OURS))
    if out.exists() and not ours:
        raise UserError(f"{out} holds something else than an audit, and nothing is overwritten: give another --out")
    return out


def audited(
    given: Any,
    train: str | Dataset | None = None,
    holdout: str | Dataset | None = None,
    *,
    num: int = 1000,
    made: Tensor | None = None,
    items: int = 500,
    statistics: Sequence[str] | None = None,
    shadows: Sequence[str | Path] = (),
    level: float | None = None,
    allow_overlap: bool = False,
    seed: int = 0,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Audits a model for memorised training items.

    Args:
        given: a run folder, a checkpoint, a model folder, a name of the shelf, or a model in memory.
        train: what it was trained on; the run's own if absent.
        holdout: items of the same kind that it has not seen; what the run held out if absent.
        num: samples.
        made: samples that are there already, in the scale of the data's codec.
        items: of each side, at most, in the test of membership.
        statistics: of membership, by name; all that the kind of model has if absent.
        shadows: run folders of models that were trained on halves of the same items.
        level: false-alarm rate of the search for copies.
        allow_overlap: leave out held-out items that are in the training set too, in place of refusing.
        seed: of samples and choices.
        folder: where pictures go; none are drawn without one. The samples of a run are kept with its evaluation.
        progress: called as progress(what, done, total).

    Returns:
        What audit.json holds; `report.page` lays it out.

    Raises:
        UserError: a kind of model that has no audit, and why; data that are gone, overlap, or do not fit the model.
    """
    say = progress or (lambda what, done, total: None)
    started = time.perf_counter()
    contestant = subject(given)
    _suits(contestant)
    ours, others = _sides(contestant, train, holdout)
    settings: dict[str, Any] = {"seed": seed}
    opened = time.perf_counter()
    if made is None:
        keep = _kept_samples(contestant, folder)
        drawn = samples(contestant, num, asked={}, seed=seed, folder=keep, progress=lambda *n: say("sampling", *n))
        made = contestant.codec.encode(np.asarray(drawn.items))
        settings |= drawn.settings
    sampled = time.perf_counter()
    options: dict[str, Any] = {
        "items": items,
        "statistics": statistics,
        "level": level,
        "allow_overlap": allow_overlap,
        "seed": seed,
    }
    options |= {"shadows": [Shadow.read(path) for path in shadows], "progress": progress}
    model = contestant.model
    run = next((way for kind, way in _WAYS.items() if isinstance(model, kind)), audit)
    found = run(model, ours, others, made=made, **options)
    ended = time.perf_counter()
    rows = (as_items(made, contestant.codec), _rows(ours), _rows(others))
    pairs = {name: pairs_of(each, rows, contestant.codec) for name, each in found.copies.items()}
    if folder is not None and contestant.codec.kind in ("image", "signal"):
        folder.mkdir(parents=True, exist_ok=True)
        _draw(found, pairs, rows, folder)
    repeats = found.duplicates.repeats
    return found.to_json() | {
        "name": contestant.name,
        "kind": kind_of(model),
        "pairs": {name: [asdict(pair) for pair in each] for name, each in pairs.items()},
        "extracted": [asdict(each) | {"repeats": int(repeats[each.train])} for each in found.extracted],
        "extracted_by_repeats": _by_repeats(found),
        "settings": settings | {"training items": ours.name, "held-out items": others.name, "items": items},
        "timings": {"data": opened - started, "samples": sampled - opened, "audit": ended - sampled},
        "version": version("pellucid"),
    }


def _suits(contestant: Contestant) -> None:
    """Refuses what has no audit.

    Raises:
        UserError: with the reason.
    """
    model = contestant.model
    if not isinstance(model, Audited):
        raise UserError(
            f"{contestant.name} is of a kind ({kind_of(model)}) that has no audit: membership is told from the errors "
            "of a denoiser, and it has none. Audit a diffusion model or a model of symbols"
        )
    if contestant.codec.kind == "series":
        raise UserError(
            f"{contestant.name} knows series of lengths of their own or with missing values, between which there is no "
            "distance to tell copies by: cut them to one length without gaps, and train on signals"
        )
    if isinstance(model, TokenModel) and not model.is_text:
        raise UserError(
            f"{contestant.name} is a prior over the codes of an autoencoder, which saw the training items too: what "
            "came out could be memory of either. Audit a diffusion model of the items themselves"
        )


def _kept_samples(contestant: Contestant, folder: Path | None) -> Path | None:
    return folder if contestant.run is None else contestant.run.path / SAMPLES


def _sides(
    contestant: Contestant, train: str | Dataset | None, holdout: str | Dataset | None
) -> tuple[Dataset, Dataset]:
    """The training and the held-out items, both in the model's own codec.

    Raises:
        UserError: data that are gone or that do not fit the model, or no held-out items.
    """
    own = _own(contestant) if train is None or holdout is None else None
    ours = own[0] if train is None and own else _opened(contestant, train)
    others = own[1] if holdout is None and own else _opened(contestant, holdout)
    if not len(others):
        raise UserError(f"{contestant.name} held out no items, and an audit compares with unseen ones: give --holdout")
    return in_codec(contestant, ours), in_codec(contestant, others)


def _own(contestant: Contestant) -> tuple[Dataset, Dataset]:
    try:
        return own_split(contestant)
    except UserError as error:
        reason = str(error).partition(": give")[0]
        raise UserError(f"{reason}: give both --train and --holdout") from None


def _opened(contestant: Contestant, given: str | Dataset | None) -> Dataset:
    if isinstance(given, Dataset):
        return given
    assert given is not None
    if contestant.run is not None:
        # Read as the run read its own.
        again = resolve([("", contestant.run.config)]).with_values(
            "audit", {"data.source": given, "data.holdout": 0.0, "data.canaries": 0, "data.shadow": None}
        )
        return open_split(again.config)[0]
    shape = contestant.codec.shape
    if Path(given).is_dir() and len(shape) == 3:
        return open_dataset(given, size=shape[1], channels=shape[0])
    return open_dataset(given)


def in_codec(contestant: Contestant, data: Dataset) -> Dataset:
    """A data set in the model's units and with its labels' numbers.

    Raises:
        UserError: items of another kind or shape, or labels that the model does not know.
    """
    codec, names = contestant.codec, contestant.label_names
    if isinstance(codec, TokenCodec) and isinstance(data.codec, TokenCodec) and data.codec != codec:
        texts = data.codec.texts(np.asarray(data.items[np.arange(len(data))]))
        data = replace(data, items=codec.rows(texts), codec=codec)
    if data.codec.kind != codec.kind or data.shape != codec.shape:
        raise UserError(
            f"{contestant.name} knows {codec.kind} items of the shape {codec.shape}; {data.name} holds "
            f"{data.codec.kind} items of the shape {data.shape}"
        )
    if data.labels is not None and names and data.label_names != names:
        ids = np.array(label_ids(names, data.label_names))
        data = replace(data, labels=ids[data.labels], label_names=names)
    if data.codec != codec:
        data = replace(data, codec=codec)
        same_scale(codec, data)
    return data


def _draw(found: Audit, pairs: dict[str, Any], rows: tuple[Any, Any, Any], folder: Path) -> None:
    """The pictures of the page; those of a former audit go."""
    for path in folder.glob("*.png"):
        path.unlink()
    for name, each in pairs.items():
        if each:
            draw_pairs(each, rows, folder / f"pairs-{name}.png")
    if found.duplicates.groups:
        draw_groups(found.duplicates.groups, rows[1], folder / "groups.png")
    clumps = [each for each in found.extracted if each.extracted][:_CLUMPS]
    if clumps:
        draw_clumps([c.samples[0] for c in clumps], [c.train for c in clumps], rows[0], rows[1], folder / "clumps.png")


def _rows(data: Dataset) -> NDArray[Any]:
    return np.asarray(data.items[np.arange(len(data))])


def _by_repeats(found: Audit) -> list[tuple[int, int, int]]:
    """Times in the training set, items that were extracted, and how many there are of such."""
    repeats = found.duplicates.repeats
    hit = np.zeros(len(repeats), bool)
    hit[[each.train for each in found.extracted if each.extracted]] = True
    rows: dict[int, list[int]] = {1: [int(hit[repeats == 1].sum()), int((repeats == 1).sum())]}
    for group in found.duplicates.groups:
        row = rows.setdefault(len(group), [0, 0])
        row[0] += bool(hit[list(group)].any())
        row[1] += 1
    return [(count, *row) for count, row in sorted(rows.items())]  # type: ignore[misc]
