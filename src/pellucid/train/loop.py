"""The training loop, on one page. Everything it does is a function of settings, data and position."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import torch

from ..config import TrainingSettings
from . import checkpoint
from .kind import Look
from .plan import Plan, learning_rate
from .run import Run
from .trainee import Diverged, Source, Trainee

_PICTURE_SHARE = 0.04  # of the time, at most, goes into pictures along the way


class Observer(Protocol):
    """Whoever watches a run; the loop itself prints nothing."""

    def progress(self, *, items: int, total: int, loss: float, rate: float) -> None:
        """Called a few times a second."""
        ...

    def message(self, text: str) -> None:
        """Something a person should read."""
        ...


@dataclass(frozen=True)
class State:
    """Where a run is.

    Attributes:
        step: optimiser steps done.
        items: items seen: the position of the next one.
        plan: how far it goes.
        seconds: time spent, over all sittings.
        seconds_budget: the time to spend in all; None where the length is in items.
    """

    step: int
    items: int
    plan: Plan
    seconds: float = 0.0
    seconds_budget: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values; `from_json` reads them back."""
        return {**self.__dict__, "plan": self.plan.to_json()}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> State:
        """The state that `to_json` wrote."""
        return cls(**{**values, "plan": Plan(**values["plan"])})


@dataclass
class _Meter:
    """Means since the last line of metrics."""

    losses: list[float] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)
    started: float = field(default_factory=time.perf_counter)


@contextmanager
def stop_signals(*, once: bool = False) -> Iterator[list[int]]:
    """Collects SIGINT and SIGTERM: the first asks to stop after the step, a second one stops at once.

    Args:
        once: a second one does nothing. torchrun passes on to its processes what a terminal has sent them already, and
            ends the others as soon as one has ended; by itself it kills those that take longer than half a minute.
    """
    caught: list[int] = []

    def handler(number: int, frame: Any) -> None:
        if caught and once:
            return
        if caught:
            raise KeyboardInterrupt
        caught.append(number)

    numbers = (signal.SIGINT, signal.SIGTERM)
    try:
        before = [signal.signal(number, handler) for number in numbers]
    except ValueError:  # not the main thread, where Python lets nobody listen
        yield caught
        return
    try:
        yield caught
    finally:
        for number, previous in zip(numbers, before, strict=True):
            signal.signal(number, previous)


def train(
    run: Run,
    trainee: Trainee[Any],
    batches: Source,
    state: State,
    *,
    settings: TrainingSettings,
    pictures: Look,
    documents: checkpoint.Files,
    observer: Observer,
) -> tuple[State, int | None]:
    """Trains until the plan's end or a signal, and saves.

    Of several processes the lead alone writes, by its own clock; a signal to any of them stops all at the same step.

    Args:
        run: where metrics, pictures and checkpoints go; locked by the caller.
        trainee: what learns.
        batches: where items come from.
        state: where to begin.
        settings: of the training.
        pictures: what is made along the way.
        documents: what every checkpoint carries beside the state.
        observer: told of progress.

    Returns:
        The state at the end, and the signal that stopped it, or None.

    Raises:
        Diverged: the loss, its gradient or the weights are no longer finite; earlier checkpoints stand.
    """
    sitting, earlier, saved = time.perf_counter(), state.seconds, state.step
    shown_at, drawing = 0.0, 0.0
    group, number = trainee.engine.group, 0

    def seconds() -> float:
        return earlier + time.perf_counter() - sitting

    with stop_signals(once=group.size > 1) as stop:
        if state.step == 0:
            # So that a run killed in its first minute can be gone on with; one that goes on from here has it already.
            if run.writes and not checkpoint.step_folder(run.path, 0).exists():
                save(run, trainee, state, documents, keep=settings.keep)
            if run.writes and not run.lines("samples"):
                pictures.make(run, trainee, items=0)
        begun, meter, saved_at = state.items, _Meter(), time.perf_counter()
        started = meter.started
        while state.items < state.plan.total and not (number := group.most(stop[0] if stop else 0)):
            progress = state.plan.progress(state.items + settings.batch_size // 2)
            lr = learning_rate(progress, peak=settings.lr, warmup=settings.warmup)
            try:
                loss, norm = trainee.step(batches, items=state.items, step=state.step + 1, lr=lr)
            except Diverged:
                run.event("training diverged", step=state.step + 1, items=state.items, lr=lr)
                raise
            before = state
            state = replace(state, step=state.step + 1, items=state.items + settings.batch_size)
            meter.losses.append(loss.item())
            meter.norms.append(norm.item())
            now = time.perf_counter()
            done = state.items >= state.plan.total or bool(stop)
            rate = len(meter.losses) * settings.batch_size / (now - meter.started)
            if now - shown_at > 0.25 or done:
                observer.progress(items=state.items, total=state.plan.total, loss=meter.losses[-1], rate=rate)
                shown_at = now
            if _crossed(before, state, 200) or done:
                _record(run, meter, state, lr=lr, rate=rate, seconds=seconds())
                meter = _Meter()
            due = settings.pictures and _crossed(before, state, settings.pictures)
            if run.writes and ((due and drawing <= _PICTURE_SHARE * seconds()) or done):
                pictures.make(run, trainee, items=state.items)
                spent = time.perf_counter() - now
                drawing, meter.started = drawing + spent, meter.started + spent
            if _crossed(before, state, 25):
                speed = group.told((state.items - begun) / (time.perf_counter() - started - drawing))
                state = _on_time(state, group.told(seconds()), speed, run)
            if run.writes and (done or time.perf_counter() - saved_at > settings.save_every):
                state = replace(state, seconds=seconds())
                save(run, trainee, state, documents, keep=settings.keep)
                saved, saved_at = state.step, time.perf_counter()
        if run.writes and state.step != saved:  # a signal between the look at `stop` and the end of the step
            state = replace(state, seconds=seconds())
            save(run, trainee, state, documents, keep=settings.keep)
        group.wait()  # while the lead saves, for torchrun ends all after the first that leaves by a signal
    return state, number or None


def save(run: Run, trainee: Trainee[Any], state: State, documents: checkpoint.Files, *, keep: int) -> None:
    """Writes a checkpoint, durably, and then forgets the oldest.

    Raises:
        Diverged: weights or moments that are not finite; nothing is then written.
    """
    folder = checkpoint.step_folder(run.path, state.step)
    tensors = trainee.tensors()
    if not all(bool(torch.isfinite(value).all()) for group in tensors.values() for value in group.values()):
        run.event("training diverged", step=state.step, items=state.items)
        raise Diverged(
            f"training diverged at step {state.step}: its weights are no longer numbers, so they are not saved. "
            f"Go on from the last checkpoint with a lower learning rate: --set training.lr={trainee.settings.lr / 2:g}"
        )
    files: dict[str, Any] = {**tensors, **documents, "state.json": state.to_json()}
    weights = checkpoint.weights_hash(files["ema.safetensors"])
    checkpoint.save(folder, files, metadata={"weights": weights, "items": state.items})
    checkpoint.prune(run.path, keep)


def _crossed(before: State, after: State, parts: int) -> bool:
    """Whether the last step entered the next of so many equal parts of the run."""
    return int(before.plan.progress(before.items) * parts) != int(after.plan.progress(after.items) * parts)


def _record(run: Run, meter: _Meter, state: State, *, lr: float, rate: float, seconds: float) -> None:
    run.append(
        {
            "kind": "train",
            "step": state.step,
            "items": state.items,
            "loss": sum(meter.losses) / len(meter.losses),
            "lr": lr,
            "grad_norm": sum(meter.norms) / len(meter.norms),
            "items_per_second": rate,
            "seconds": seconds,
        }
    )


def _on_time(state: State, seconds: float, speed: float, run: Run) -> State:
    """A budget in time ends on time: where the machine got faster or slower, the plan's end moves, and is recorded.

    Args:
        seconds: spent so far, calibration and pictures included.
        speed: items a second of this sitting's training.
    """
    if state.seconds_budget is None or state.items >= state.plan.total:
        return state
    left = max(0.0, state.seconds_budget - seconds)
    total = state.items + int(left * speed)
    if abs(total - state.plan.total) <= 0.02 * state.plan.total:
        return state
    plan = state.plan.with_total(total, state.items)
    run.event("the plan's length was corrected to end on time", items=state.items, total=plan.total)
    return replace(state, plan=plan)
