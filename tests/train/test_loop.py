"""The loop: signals, saves on every way out, the guard, and a budget in time that ends on time."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from pellucid.foundations import durable
from pellucid.foundations.errors import UserError
from pellucid.train import checkpoint, loop, pictures
from pellucid.train.loop import State, stop_signals
from pellucid.train.plan import Plan
from pellucid.train.run import Run
from pellucid.train.start import resume
from pellucid.train.trainee import Diverged, Trainee

from ..small import Watcher, hashes, settings, trained


def test_a_state_survives_json() -> None:
    state = State(3, 96, Plan(1000).with_total(700, 96), seconds=1.5, seconds_budget=8.0)
    assert State.from_json(state.to_json()) == state


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_kept_and_the_second_stops(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with stop_signals() as caught:
        signal.raise_signal(number)
        assert caught == [number]
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
    assert signal.getsignal(number) is before


def test_a_signal_finishes_the_step_and_saves_it(tmp_path: Path) -> None:
    """The signal comes in the first step, after the loop has looked for one: the step must be saved all the same."""
    watcher = Watcher(lambda items: signal.raise_signal(signal.SIGTERM) if items < 320 else None)
    stopped = trained(tmp_path / "run", watcher)
    assert stopped.signal == signal.SIGTERM
    assert stopped.state.step >= 1
    assert hashes(tmp_path / "run")["folder"] == f"step-{stopped.state.step:08d}"
    (event,) = [e for e in stopped.run.lines("event") if e["message"] == "stopped by a signal"]
    assert (event["signal"], event["step"]) == (signal.SIGTERM, stopped.state.step)
    done = resume(tmp_path / "run", observer=Watcher())
    assert done.signal is None
    assert hashes(tmp_path / "run") == hashes(trained(tmp_path / "other").run.path)


def test_a_signal_before_the_first_step_keeps_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = pictures.Pictures.make

    def make(self: Any, run: Run, trainee: Trainee, *, items: int) -> None:
        if items == 0:
            signal.raise_signal(signal.SIGINT)
        made(self, run, trainee, items=items)

    monkeypatch.setattr(pictures.Pictures, "make", make)
    stopped = trained(tmp_path / "run")
    assert (stopped.signal, stopped.state.step) == (signal.SIGINT, 0)
    monkeypatch.undo()
    resume(tmp_path / "run", observer=Watcher())
    assert hashes(tmp_path / "run") == hashes(trained(tmp_path / "other").run.path)


def test_a_second_signal_stops_within_a_save_and_the_former_checkpoint_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = durable.write_flushed
    written: list[str] = []

    def interrupted(path: Path, content: bytes) -> None:
        write(path, content)
        written.append(path.name)
        if len(written) == 12:  # in the midst of a later save's files
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(checkpoint, "write_flushed", interrupted)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "run", training__save_every=1e-9)
    monkeypatch.undo()
    newest = hashes(tmp_path / "run")  # valid, and nothing was passed over
    assert [p.name for p in (tmp_path / "run" / "checkpoints").iterdir() if not p.name.startswith("step-")] == []
    assert newest["folder"] in ("step-00000000", "step-00000001")
    resume(tmp_path / "run", observer=Watcher())
    assert hashes(tmp_path / "run") == hashes(trained(tmp_path / "other").run.path)


def test_weights_that_are_no_numbers_are_never_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step = Trainee.step

    def poisoned(self: Trainee, *args: Any, **given: Any) -> tuple[torch.Tensor, torch.Tensor]:
        result = step(self, *args, **given)
        if given["step"] == 4:  # the loss of this step was a number; what it led to is none
            next(iter(self.parameters())).data.view(-1)[0] = float("inf")
        return result

    monkeypatch.setattr(Trainee, "step", poisoned)
    with pytest.raises(Diverged, match=r"diverged at step 4.*not saved.*--set training\.lr="):
        trained(tmp_path / "run", training__save_every=1e-9)
    assert hashes(tmp_path / "run")["folder"] == "step-00000003"
    (event,) = [e for e in Run.open(tmp_path / "run").lines("event") if e["message"] == "training diverged"]
    assert event["step"] == 4


def test_a_diverging_run_stops_and_goes_on_with_a_lower_rate(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"diverged at step \d+.*resume with a lower learning rate"):
        trained(tmp_path / "run", training__lr=1e36, training__clip=1e36, training__save_every=1e-9)
    newest = checkpoint.load(checkpoint.latest(tmp_path / "run").folder or tmp_path)
    for group in newest.tensors.values():
        assert all(bool(torch.isfinite(value).all()) for value in group.values())
    first = checkpoint.steps(tmp_path / "run")[-1]
    for folder in checkpoint.steps(tmp_path / "run"):
        if folder != first:  # the weights just before are finite and useless: go back to the start
            folder.rename(folder.with_name("aside-" + folder.name))
    done = resume(tmp_path / "run", changes={"training.lr": 1e-3}, observer=Watcher())
    assert done.state.items >= 320


def test_a_time_that_the_machine_misses_moves_the_end(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", {})
    state = State(10, 1000, Plan(10_000), seconds_budget=20.0)
    slower = loop._on_time(state, 10.0, 200.0, run)  # 10 s left at 200 items/s
    assert slower.plan.total == 1000 + 2000
    assert slower.plan.progress(1000) == pytest.approx(state.plan.progress(1000))
    assert [e["total"] for e in run.lines("event")] == [3000]
    assert loop._on_time(state, 10.0, 905.0, run) is state  # within 2 %: let it be
    over = loop._on_time(state, 25.0, 200.0, run)
    assert over.plan.total == 1001  # one more step, and out
    items = State(10, 1000, Plan(10_000))
    assert loop._on_time(items, 1e9, 1.0, run) is items  # a length in items does not move


def test_checkpoints_are_kept_as_many_as_said(tmp_path: Path) -> None:
    trained(tmp_path / "run", training__save_every=1e-9, training__keep=2)
    assert [p.name for p in checkpoint.steps(tmp_path / "run")] == ["step-00000010", "step-00000009"]


def test_metrics_tell_each_step_once_and_pictures_are_made(tmp_path: Path) -> None:
    done = trained(tmp_path / "run", training__pictures=2)
    lines = done.run.lines("train")
    assert [line["step"] for line in lines] == list(range(1, 11))
    assert [line["items"] for line in lines] == list(range(32, 321, 32))
    assert lines[-1]["lr"] == pytest.approx(
        settings().config.training.lr * 0.00682, rel=0.05
    )  # half a step from the end
    files = {line["file"] for line in done.run.lines("samples")}
    assert {"samples/items-000000000.png", "samples/items-000000320.png"} <= files
    assert all((done.run.path / file).stat().st_size for file in files)
    assert len(done.run.lines("held_out")) == len(done.run.lines("samples"))
