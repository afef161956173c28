"""Training by several processes: the same run, whatever their number; one writer, one message, no waiting for ever."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
import torch

from pellucid.cli.main import main as pellucid
from pellucid.foundations.group import Group
from pellucid.train import checkpoint
from pellucid.train.run import Run
from pellucid.train.start import resume

from ..small import TINY, Watcher, trained
from .together import AT, HARD, one_of_two, spoken

ROOT = Path(__file__).parents[2]


def torchrun(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Two processes on this machine."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *arguments]
    where = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, env=where, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def start(output: Path, function: Callable[..., None], *given: Any, timeout: int = 60) -> list[BaseProcess]:
    """Two processes that torchrun does not watch; what they print is in files that begin with `output`.

    They are forks of one server that has imported everything, which saves the seconds that this takes.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.train.together", "pellucid.cli.train", "pellucid.cli.main"])
    both: list[BaseProcess] = [
        context.Process(target=one_of_two, args=(rank, port, timeout, output, function, *given)) for rank in range(2)
    ]
    for process in both:
        process.start()
    return both


def ended(both: list[BaseProcess]) -> list[int | None]:
    """The exit codes."""
    for process in both:
        process.join(120)
    return [process.exitcode for process in both]


def newest(run: Path) -> checkpoint.Checkpoint:
    found = checkpoint.latest(run)
    assert found.folder is not None
    assert not found.messages
    return checkpoint.load(found.folder)


def losses(run: Path) -> list[tuple[int, float]]:
    return [(line["items"], line["loss"]) for line in Run.open(run).lines("train")]


def assert_same(run: Path, other: Path) -> None:
    """Losses within 1e-6, and weights to what round-off in gradients makes of ten steps."""
    (items, ours), (same, theirs) = (zip(*losses(each), strict=True) for each in (run, other))
    assert items == same
    assert len(items) >= 10
    assert ours == pytest.approx(theirs, rel=1e-6, abs=1e-6)
    mine, yours = newest(run), newest(other)
    assert mine.folder.name == yours.folder.name
    assert mine.tensors.keys() == yours.tensors.keys()
    for file, group in mine.tensors.items():
        assert group.keys() == yours.tensors[file].keys()
    for name, value in mine.tensors["model.safetensors"].items():
        # Adam divides by the gradient's own size: where that is mere round-off a step of 1e-3 may turn about, in few
        # places; everywhere else steps differ by a millionth of themselves.
        assert (value - yours.tensors["model.safetensors"][name]).abs().mean() < 1e-5, name


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """The folder of four runs of two processes, and what each of these saw."""
    folder = tmp_path_factory.mktemp("together")
    trained(folder / "gone-on", training__budget="160-items")
    assert ended(start(folder / "said", spoken, "several", folder)) == [0, 0], (folder / "said-0.err").read_text()
    return folder, [json.loads((folder / f"found-{rank}.json").read_text()) for rank in range(2)]


def test_two_processes_train_what_one_does(found: Any, tmp_path: Path) -> None:
    folder, seen = found
    assert seen[0]["whole"] == seen[1]["whole"] == {"step": 10, "items": 320, "signal": None}
    trained(tmp_path / "one", **HARD)
    assert_same(folder / "whole", tmp_path / "one")
    ours, theirs = (newest(run).tensors["losses.safetensors"] for run in (folder / "whole", tmp_path / "one"))
    assert torch.equal(ours["history/counts"], theirs["history/counts"])
    assert ours["history/counts"].sum() == 320
    assert torch.allclose(ours["history/squares"], theirs["history/squares"], rtol=1e-4)


def test_a_run_goes_on_with_other_numbers_of_processes(found: Any, tmp_path: Path) -> None:
    folder, _ = found
    resume(folder / "gone-on", more="160-items", observer=Watcher())
    trained(tmp_path / "one", training__budget="160-items")
    for _ in range(2):
        resume(tmp_path / "one", more="160-items", observer=Watcher())
    assert_same(folder / "gone-on", tmp_path / "one")


def test_a_signal_to_one_stops_all_at_the_same_step(found: Any) -> None:
    folder, seen = found
    assert seen[0]["stopped"] == seen[1]["stopped"] == {"step": AT, "items": 32 * AT, "signal": signal.SIGTERM}
    assert newest(folder / "stopped").documents["state.json"]["step"] == AT


def test_what_is_not_finite_in_one_stops_all_and_is_not_saved(found: Any) -> None:
    folder, seen = found
    assert seen[0]["diverged"] == seen[1]["diverged"]
    assert f"diverged at step {AT}" in seen[0]["diverged"]
    (event,) = [e for e in Run.open(folder / "diverged").lines("event") if "diverged" in e["message"]]
    assert event["step"] == AT
    saved = newest(folder / "diverged")
    assert all(bool(value.isfinite().all()) for group in saved.tensors.values() for value in group.values())


def test_a_killed_process_ends_all_with_one_message(tmp_path: Path) -> None:
    started = time.monotonic()
    done = torchrun("-m", "tests.train.together", "SIGKILL", str(tmp_path))
    assert done.returncode != 0
    assert time.monotonic() - started < 60
    assert done.stderr.count("told:") == 1
    assert "another of the 2 processes ended" in done.stderr
    assert resume(tmp_path / "run", observer=Watcher()).state.items == 320


def test_a_stopped_process_is_given_up_in_time(tmp_path: Path) -> None:
    lead, other = start(tmp_path / "said", spoken, "SIGSTOP", tmp_path, timeout=3)
    lead.join(60)
    other.kill()
    other.join()
    assert lead.exitcode == 2
    assert "did not answer for 3 s" in (tmp_path / "said-0.err").read_text()


def test_the_command_line_speaks_once(tmp_path: Path) -> None:
    given = [f"{key}={json.dumps(value)}" for key, value in TINY.items() if key not in ("recipe", "data.source")]
    flags = [flag for text in given for flag in ("--set", text)]
    command = ["train", "digits", "digits8", "--out", str(tmp_path / "run"), *flags, "--json"]
    assert ended(start(tmp_path / "first", pellucid, command)) == [0, 0], (tmp_path / "first-0.err").read_text()
    assert json.loads((tmp_path / "first-0.out").read_text())["items"] == 320
    assert "items to learn from" in (tmp_path / "first-0.err").read_text()
    assert not (tmp_path / "first-1.out").read_text() + (tmp_path / "first-1.err").read_text()
    # That the folder is taken now, the lead alone sees.
    assert ended(start(tmp_path / "again", pellucid, command)) == [2, 2]
    assert "is not empty" in (tmp_path / "again-0.err").read_text()
    assert "is not empty" not in (tmp_path / "again-1.err").read_text()


@pytest.mark.parametrize(("count", "size"), [(8, 3), (7, 7), (3, 5), (0, 2), (1000, 7)])
def test_shares_take_every_position_once_and_in_order(count: int, size: int) -> None:
    shares = [Group(rank, size).share(count) for rank in range(size)]
    assert [k for first, num in shares for k in range(first, first + num)] == list(range(count))
    assert max(num for _, num in shares) - min(num for _, num in shares) <= 1
