"""Beginning, resuming and extending a run: from settings to a finished folder."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..config import Config, Resolved, resolve
from ..data.arrays import Dataset, split
from ..data.open import open_dataset
from ..denoisers import TARGETS
from ..foundations.errors import UserError
from ..foundations.rng import subseed
from ..losses import DENSITIES
from ..model import MODEL, Card, make_denoiser, make_process, option_checked
from ..nn import NETWORKS, NetworkSpec, build
from ..processes.checks import check_prior
from ..processes.times import GRIDS
from ..solvers import SOLVERS
from . import checkpoint
from .batches import Batches
from .budget import Budget, parse_budget
from .calibrate import calibrate
from .engine import PRECISIONS, Engine, best_device
from .loop import Observer, State, save, train
from .pictures import Pictures
from .plan import Plan
from .run import Run
from .trainee import Trainee


@dataclass(frozen=True)
class Finished:
    """How a sitting ended: the run, where it stands, and the signal that stopped it, or None."""

    run: Run
    state: State
    signal: int | None


@dataclass(frozen=True)
class _Prepared:
    batches: Batches
    held: Batches | None
    num_classes: int
    label_names: tuple[str, ...]
    dataset: Dataset
    data_facts: dict[str, Any]
    config: Config


def open_split(config: Config) -> tuple[Dataset, Dataset]:
    """The training and the held-out items that settings name.

    Raises:
        UserError: no source given, or one that cannot be read.
    """
    if config.data.source is None:
        raise UserError(
            "what shall it learn from? Give --data: a folder of pictures, a .npz, .npy or .csv file, or a "
            "built-in set (moons, digits8, digits)"
        )
    settings = config.data
    dataset = open_dataset(config.data.source, size=settings.size, channels=settings.channels, labels=settings.labels)
    return split(dataset, settings.holdout)


def begin(resolved: Resolved, path: str | Path, *, observer: Observer, force: bool = False) -> Finished:
    """Trains a new run in a new folder, to the end of its budget or to a signal.

    Args:
        resolved: the settings.
        path: a folder that does not exist or is empty.
        observer: told of progress.
        force: go on where the chain does not end at its prior on these data.

    Raises:
        UserError: settings, data or a folder that cannot be used; nothing is then written.
    """
    config = resolved.config
    budget = parse_budget(config.training.budget)
    path = Path(path)
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        Run.create(path, {})  # refuses, before any work is done
    prepared = _prepare(config)
    check_prior(prepared.batches.process, _spread(prepared.dataset) ** 2, force=force)
    for rejected in prepared.dataset.rejected:
        observer.message(f"left out {rejected.path}: {rejected.reason}")
    config = prepared.config
    engine = Engine(best_device())
    shape = prepared.dataset.shape
    found = calibrate(
        config,
        budget,
        prepared.batches,
        shape=shape,
        num_classes=prepared.num_classes,
        engine=engine,
        make=lambda spec, e: _trainee(config, spec, e),
    )
    network = {f"network.{k}": v for k, v in found.network.to_json().items() if f"network.{k}" in resolved.provenance}
    source = "rule for the data's shape and the budget"
    resolved = resolve(
        [("", config.model_dump()), (source, _missing(config, network))], provenance=resolved.provenance
    ).with_values("measured on the data", {"process.sigma_data": config.process.sigma_data})
    resolved = resolved.with_values("calibration", {"training.precision": found.precision})
    config = resolved.config
    # What cannot be built must fail before the folder is there.
    trainee = _trainee(config, found.network, replace(engine, precision=found.precision))
    run = Run.create(path, config.model_dump(mode="json"), resolved.provenance)
    with run.lock():
        facts = {"kind": "calibration", "items": 0, "total": found.total, "network": found.network.to_json()}
        run.append(
            {
                **facts,
                "items_per_second": found.items_per_second,
                "flops_per_second": found.flops_per_second,
                "seconds": found.seconds,
                "threads": torch.get_num_threads(),
                "precision": found.precision,
            }
        )
        run.append({"kind": "data", "items": 0, **prepared.data_facts})
        speed = f", {found.items_per_second:,.0f} items/s" if found.items_per_second else ""
        observer.message(
            f"{len(prepared.batches.data):,} items to learn from, {prepared.data_facts['held_out']:,} held out; "
            f"{_describe(found.network)}, {found.precision}{speed}: {found.total:,} items to see"
        )
        state = State(0, 0, Plan(found.total), seconds=found.seconds, seconds_budget=budget.seconds)
        card = _card(config, found.network, prepared)
        return _go(run, config, trainee, prepared, card, state, observer)


def resume(
    path: str | Path, *, more: str | None = None, changes: dict[str, Any] | None = None, observer: Observer
) -> Finished:
    """Goes on with a run from its newest valid checkpoint, bit for bit, or extends it.

    Args:
        path: the run folder.
        more: a further budget, as for training.
        changes: training settings to change, by dotted key; they are written into the run's settings.

    Raises:
        UserError: no such run, a run in use, no valid checkpoint, data that changed, or a run that is finished.
    """
    run = Run.open(path)
    with run.lock():
        resolved = resolve([("", run.config)], provenance=run.provenance)
        if changes:
            _only_training(changes)
            resolved = resolved.with_values("flag at resume", changes)
        newest = checkpoint.latest(run.path)
        for message in newest.messages:
            observer.message(f"passed over a damaged checkpoint: {message}")
        config = resolved.config
        prepared = _prepare(config)
        if newest.folder is None:
            raise UserError(f"{run.path} has no valid checkpoint to go on from: train it again in a new folder")
        saved = checkpoint.load(newest.folder)
        card = Card.from_json(saved.documents[MODEL])
        if card.data["sha256"] != prepared.data_facts["sha256"]:
            raise UserError(
                f"the data in {config.data.source} changed since this run began: put them back, or train anew"
            )
        state = State.from_json(saved.documents["state.json"])
        if more is not None:
            state = _extended(state, parse_budget(more), len(prepared.batches.data))
        elif state.items >= state.plan.total:
            raise UserError(f"{run.path} is finished ({state.items:,} items): give it more with --more 10m")
        if changes:
            # A later resume, after a kill, must go on with them too.
            run = run.changed(config.model_dump(mode="json"), resolved.provenance)
        gone = run.truncate(step=state.step, items=state.items)
        run.event(
            "resumed",
            step=state.step,
            items=state.items,
            total=state.plan.total,
            lines_forgotten=gone,
            **({"changes": changes} if changes else {}),
        )
        observer.message(f"going on from {newest.folder.name}: {state.items:,} of {state.plan.total:,} items")
        trainee = _trainee(config, card.network, Engine(best_device(), config.training.precision))
        trainee.restore(saved.tensors)
        return _go(run, config, trainee, prepared, card, state, observer)


def _go(
    run: Run, config: Config, trainee: Trainee, prepared: _Prepared, card: Card, state: State, observer: Observer
) -> Finished:
    pictures = Pictures(card, prepared.held, num=_grid_size(prepared.num_classes))
    documents = {MODEL: card.to_json()}
    state, stopped = train(
        run,
        trainee,
        prepared.batches,
        state,
        settings=config.training,
        pictures=pictures,
        documents=documents,
        observer=observer,
    )
    if stopped is not None:
        run.event("stopped by a signal", signal=stopped, step=state.step, items=state.items)
    return Finished(run, state, stopped)


def _prepare(config: Config) -> _Prepared:
    _names_checked(config)
    train_set, held = open_split(config)
    names = train_set.label_names if train_set.labels is not None else ()
    if config.process.sigma_data is None:
        sigma = _spread(train_set)
        config = config.model_copy(update={"process": config.process.model_copy(update={"sigma_data": sigma})})
    process = make_process(config.process)
    density = option_checked(
        "time density", config.process.density, DENSITIES[config.process.density], config.process.density_options
    )
    if config.data.flip and len(train_set.shape) != 3:
        raise UserError(f"data.flip mirrors pictures, and these items have the shape {train_set.shape}: leave it out")
    settings = config.training
    device = best_device()

    def batches(data: Dataset, seed: int, dropout: float, flip: bool) -> Batches:
        return Batches(data, process, density, seed, dropout, len(names), flip, device)

    facts = {
        "name": train_set.name,
        "source": _absolute(config.data.source),
        "train": len(train_set),
        "held_out": len(held),
        "rejected": [{"path": str(r.path), "reason": r.reason} for r in train_set.rejected],
        "sha256": train_set.fingerprint(),
    }
    return _Prepared(
        batches=batches(train_set, settings.seed, settings.label_dropout, config.data.flip),
        held=batches(held, subseed(settings.seed, "held-out"), 0.0, False) if len(held) else None,
        num_classes=len(names),
        label_names=names,
        dataset=train_set,
        data_facts=facts,
        config=config,
    )


def _names_checked(config: Config) -> None:
    """Refuses a name that no table has while nothing has been read or written."""
    TARGETS[config.process.target]
    PRECISIONS[config.training.precision]
    SOLVERS[config.sampling.solver]
    GRIDS[config.sampling.grid]
    if config.network.kind is not None:
        NETWORKS[config.network.kind]


def _absolute(source: str | None) -> str | None:
    return os.path.abspath(source) if source is not None and os.path.exists(source) else source


def _spread(dataset: Dataset) -> float:
    """The data's root mean square over (at most) 2,000 items: the scale the network's inputs are divided by."""
    chosen = np.linspace(0, len(dataset) - 1, min(len(dataset), 2000)).astype(np.int64)
    x, _ = dataset.fetch(chosen)
    return round(max(x.double().square().mean().sqrt().item(), 1e-3), 4)


def _trainee(config: Config, spec: NetworkSpec, engine: Engine) -> Trainee:
    # The initial weights are a function of the seed alone, whatever was drawn before.
    torch.manual_seed(subseed(config.training.seed, "weights") % (1 << 63))
    return Trainee(make_denoiser(build(spec), config.process), config.training, engine)


def _card(config: Config, spec: NetworkSpec, prepared: _Prepared) -> Card:
    return Card(
        spec, config.process, prepared.dataset.codec, prepared.label_names, config.sampling, prepared.data_facts
    )


def _missing(config: Config, found: dict[str, Any]) -> dict[str, Any]:
    """What the rule chose, without what the user gave."""
    given = {f"network.{k}" for k, v in config.network.model_dump().items() if v is not None}
    return {"network": {key.split(".")[1]: value for key, value in found.items() if key not in given}}


def _extended(state: State, budget: Budget, num_items: int) -> State:
    """The state with a longer plan: what was left of the former, and the budget on top.

    A time is turned into items by the run's own speed so far, and corrected under way.
    """
    planned = max(state.plan.total, state.items)
    if budget.seconds is None:
        further = budget.items if budget.items is not None else round((budget.epochs or 0) * num_items)
        return replace(state, plan=state.plan.extended(planned + further, state.items), seconds_budget=None)
    speed = max(state.items, 1) / max(state.seconds, 1e-3)
    left = (planned - state.items) / speed if state.items else state.seconds_budget or 0.0
    further = max(1, int(budget.seconds * speed))
    return replace(
        state,
        plan=state.plan.extended(planned + further, state.items),
        seconds_budget=state.seconds + left + budget.seconds,
    )


def _only_training(changes: dict[str, Any]) -> None:
    allowed = {"training.lr", "training.save_every", "training.keep", "training.pictures", "training.clip"}
    for key in changes:
        if key not in allowed:
            raise UserError(f"{key} cannot change in a run that has begun; these can: {', '.join(sorted(allowed))}")


def _grid_size(num_classes: int) -> int:
    """Samples in a grid: eight of each class where there are few, 64 where there are none."""
    return min(8, max(1, 128 // num_classes)) * num_classes if num_classes else 64


def _describe(spec: NetworkSpec) -> str:
    with torch.device("meta"):
        count = sum(p.numel() for p in build(spec).parameters())
    return f"{spec.kind} of width {spec.width} with {count / 1e6:.2f}M parameters"


__all__ = ["Finished", "begin", "open_split", "resume", "save"]
