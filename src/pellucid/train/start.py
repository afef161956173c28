"""Beginning, resuming and extending a run: from settings to a finished folder."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ..autoencoders import AUTOENCODERS
from ..classifiers.model import CLASSIFIER
from ..config import Config, Resolved, resolve
from ..energies.ebm import EBM
from ..foundations.devices import best_device
from ..foundations.errors import UserError
from ..foundations.group import ALONE, Group
from ..foundations.registry import Registry
from ..model import MODEL
from . import checkpoint
from .autoencoder import AutoencoderKind
from .budget import Budget, parse_budget
from .calibrate import calibrate
from .classifier import ClassifierKind
from .diffusion import Diffusion
from .ebm import EnergyKind
from .engine import Engine
from .kind import Kind, Travelling
from .latent import LatentDiffusion
from .loop import Observer, State, save, train
from .plan import Plan
from .prepare import Prepared, open_split
from .prior import Prior
from .run import Run
from .table import Tables
from .tokens import Tokens
from .trainee import Trainee


@dataclass(frozen=True)
class Finished:
    """How a sitting ended: the run, where it stands, and the signal that stopped it, or None."""

    run: Run
    state: State
    signal: int | None


KINDS: Registry[Kind] = Registry(
    "kind of model",
    {
        "diffusion": Diffusion(),
        "latent": LatentDiffusion(),
        "tokens": Tokens(),
        "prior": Prior(),
        "table": Tables(),
        **{kind: AutoencoderKind(kind) for kind in AUTOENCODERS},
        CLASSIFIER: ClassifierKind(),
        EBM: EnergyKind(),
    },
)


def begin(
    resolved: Resolved, path: str | Path, *, observer: Observer, force: bool = False, group: Group = ALONE
) -> Finished:
    """Trains a new run in a new folder, to the end of its budget or to a signal.

    Args:
        resolved: the settings.
        path: a folder that does not exist or is empty.
        observer: told of progress.
        force: go on where the chain does not end at its prior on these data.
        group: the processes that train it together, each of which calls this with the same settings and path.

    Raises:
        UserError: settings, data or a folder that cannot be used; nothing is then written.
    """
    config = resolved.config
    budget = parse_budget(config.training.budget)
    path = Path(path)
    if group.lead and path.exists() and not (path.is_dir() and not any(path.iterdir())):
        Run.create(path, {})  # refuses, before any work is done
    kind = KINDS[config.kind]
    if config.autoencoder.source is not None and not kind.second:
        raise UserError(f"an autoencoder is the first stage of latent diffusion; {config.kind} has none: leave it out")
    first = kind.first_stage(resolved)
    if first is not None:
        done = begin(first, path.with_name(f"{path.name}-{first.config.kind}"), observer=observer, group=group)
        if done.signal is not None:
            observer.message(
                f"this was the first of two stages: finish it, and train the second with --autoencoder {done.run.path}"
            )
            return done
        resolved = kind.second_stage(resolved, done.run)
        config, budget = resolved.config, parse_budget(resolved.config.training.budget)
    _shared(kind, config, group)
    prepared = kind.prepare(config)
    kind.check(prepared, force=force)
    for rejected in prepared.dataset.rejected:
        observer.message(f"left out {rejected.path}: {rejected.reason}")
    for note in prepared.dataset.notes:
        observer.message(note)
    config = prepared.config
    engine = Engine(best_device(), group=group)
    shape = prepared.dataset.shape
    found = calibrate(
        config,
        budget,
        prepared.batches,
        shape=shape,
        num_classes=prepared.num_classes,
        conditions=prepared.conditions,
        engine=engine,
        make=lambda network, e: kind.trainee(config, network, e),
        **kind.rule(config, prepared),
    )
    chosen = {key: value for key, value in kind.settings(found.network).items() if key in resolved.provenance}
    source = "rule for the data's shape and the budget"
    resolved = resolve(
        [("", config.model_dump()), (source, _missing(config, chosen))], provenance=resolved.provenance
    ).with_values("measured on the data", {"process.sigma_data": config.process.sigma_data})
    resolved = resolved.with_values("calibration", {"training.precision": found.precision})
    config = resolved.config
    # What cannot be built must fail before the folder is there.
    trainee = kind.trainee(config, found.network, replace(engine, precision=found.precision))
    values = config.model_dump(mode="json")
    if group.lead:
        run = Run.create(path, values, resolved.provenance)
    else:
        run = Run(path, values, dict(resolved.provenance), writes=False)
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
            f"{kind.describe(found.network)}, {found.precision}{speed}: {found.total:,} items to see"
        )
        state = State(0, 0, Plan(found.total), seconds=found.seconds, seconds_budget=budget.seconds)
        card = kind.card(config, found.network, prepared)
        return _go(run, config, trainee, prepared, card, state, observer)


def resume(
    path: str | Path,
    *,
    more: str | None = None,
    changes: dict[str, Any] | None = None,
    observer: Observer,
    group: Group = ALONE,
) -> Finished:
    """Goes on with a run from its newest valid checkpoint, bit for bit, or extends it.

    Args:
        path: the run folder.
        more: a further budget, as for training.
        changes: training settings to change, by dotted key; they are written into the run's settings.
        group: the processes that train it together, as many as one likes: a checkpoint knows nothing of how many there
            were.

    Raises:
        UserError: no such run, a run in use, no valid checkpoint, data that changed, or a run that is finished.
    """
    run = replace(Run.open(path), writes=group.lead)
    with run.lock():
        resolved = resolve([("", run.config)], provenance=run.provenance)
        if changes:
            _only_training(changes)
            resolved = resolved.with_values("flag at resume", changes)
        newest = checkpoint.latest(run.path)
        for message in newest.messages:
            observer.message(f"passed over a damaged checkpoint: {message}")
        config = resolved.config
        if newest.folder is None:
            raise UserError(f"{run.path} has no valid checkpoint to go on from: train it again in a new folder")
        saved = checkpoint.load(newest.folder.with_name(group.told_text(newest.folder.name)))
        kind = KINDS[config.kind].resumed(saved)
        _shared(kind, config, group)
        prepared = kind.prepare(config)
        card = kind.read_card(saved.documents[MODEL])
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
        trainee = kind.trainee(config, card.network, Engine(best_device(), config.training.precision, group))
        trainee.restore(saved.tensors)
        return _go(run, config, trainee, prepared, card, state, observer)


def _go(
    run: Run,
    config: Config,
    trainee: Trainee[Any],
    prepared: Prepared,
    card: Travelling,
    state: State,
    observer: Observer,
) -> Finished:
    kind = KINDS[config.kind]
    trainee.level()
    pictures = kind.look(card, prepared)
    state, stopped = train(
        run,
        trainee,
        prepared.batches,
        state,
        settings=config.training,
        pictures=pictures,
        documents=kind.files(card),
        observer=observer,
    )
    if stopped is not None:
        run.event("stopped by a signal", signal=stopped, step=state.step, items=state.items)
    return Finished(run, state, stopped)


def _shared(kind: Kind, config: Config, group: Group) -> None:
    """Refuses what several processes cannot train together."""
    reason = kind.undivided(config) if group.size > 1 else None
    if reason is not None:
        raise UserError(f"{config.kind} is trained by one process, for {reason}: start it without torchrun")


def _missing(config: Config, chosen: dict[str, Any]) -> dict[str, Any]:
    """What the rule chose, without what the user gave."""
    settings = config.model_dump()
    found: dict[str, Any] = {}
    for key, value in chosen.items():
        section, name = key.split(".")
        if settings[section][name] is None:
            found.setdefault(section, {})[name] = value
    return found


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


__all__ = ["Finished", "begin", "open_split", "resume", "save"]
