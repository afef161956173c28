"""The run folder: never overwritten, one writer, and no step recorded twice."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pellucid.foundations.errors import UserError
from pellucid.train.run import Run

CONFIG = {"recipe": "digits", "train": {"lr": 3e-4, "budget": "10m", "widths": [64, 128]}, "note": None}
ORIGIN = {"recipe": "command line", "train.lr": "recipe digits", "train.budget": "flag --budget"}


def test_create_and_open_keep_settings_and_their_origins(tmp_path: Path) -> None:
    made = Run.create(tmp_path / "runs" / "digits", CONFIG, ORIGIN)
    run = Run.open(tmp_path / "runs" / "digits")
    assert run == made
    assert (run.config, run.provenance) == (CONFIG, ORIGIN)
    assert "lr: 0.0003  # recipe digits" in (run.path / "config.yaml").read_text()


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "a", CONFIG)
    before = (run.path / "config.yaml").read_bytes()
    (tmp_path / "a-2").mkdir()
    with pytest.raises(UserError, match=r"not empty.*Use .*/a-3.*pellucid resume .*/a$"):
        Run.create(run.path, {"other": 1})
    assert (run.path / "config.yaml").read_bytes() == before
    Run.create(tmp_path / "a-2", CONFIG)  # an empty folder is free
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match=r"is a file.*file-2"):
        Run.create(tmp_path / "file", CONFIG)
    assert (tmp_path / "file").read_text() == "mine"


def test_open_helps(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is no run .*Train one"):
        Run.open(tmp_path / "digits")
    run = Run.create(tmp_path / "digits", CONFIG)
    with pytest.raises(UserError, match=r"did you mean .*digits"):
        Run.open(tmp_path / "digit")
    (tmp_path / "pictures").mkdir()
    with pytest.raises(UserError, match=r"no run folder: config.yaml is missing.*Runs in .*: digits"):
        Run.open(tmp_path / "pictures")
    run.checkpoints.mkdir()
    with pytest.raises(UserError, match=r"lies inside the run .*digits"):
        Run.open(run.checkpoints)
    with pytest.raises(UserError, match="is a file"):
        Run.open(run.path / "config.yaml")


def test_a_torn_last_line_is_skipped_and_then_cut(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "r", CONFIG)
    assert run.lines() == []
    run.append({"kind": "train", "step": 1, "loss": float("nan")})
    path = run.path / "metrics.jsonl"
    with open(path, "ab") as file:
        file.write('{"kind": "train", "step": 2, "note": "Grö'.encode()[:-1])  # killed inside a letter
    assert run.lines() == [{"kind": "train", "step": 1, "loss": None}]
    run.append({"kind": "train", "step": 2})
    assert [line["step"] for line in run.lines()] == [1, 2]
    assert path.read_bytes().count(b"\n") == 2
    path.write_bytes(b"torn from the start")
    run.append({"kind": "train", "step": 3})
    assert run.lines() == [{"kind": "train", "step": 3}]


def test_a_damaged_middle_line_is_named(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "r", CONFIG)
    (run.path / "metrics.jsonl").write_bytes(b'{"step": 1}\n\x00\x00\n{"step": 3}\n')
    with pytest.raises(UserError, match=r"line 2 of .*metrics.jsonl"):
        run.lines()


def test_truncation_forgets_what_resume_will_do_again(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "r", CONFIG)
    for step in range(1, 7):
        run.append({"kind": "train", "step": step, "items": 10 * step})
        if step % 2 == 0:
            run.append({"kind": "samples", "items": 10 * step, "file": "x.png"})
    run.event("killed", reason="test")
    assert run.truncate(step=3, items=30) == 5  # steps 4, 5, 6 and the samples of 4 and 6
    for step in range(4, 7):
        run.append({"kind": "train", "step": step, "items": 10 * step})
    assert [line["step"] for line in run.lines("train")] == [1, 2, 3, 4, 5, 6]
    assert [line["items"] for line in run.lines("samples")] == [20]
    (event,) = run.lines("event")
    assert (event["message"], event["reason"]) == ("killed", "test")
    assert run.truncate(step=6, items=60) == 0


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "r", CONFIG)
    with run.lock(), pytest.raises(UserError, match=r"is in use by process \d+ on .*, since \d"), run.lock():
        pass
    with run.lock():  # free again
        pass


HOLDER = """
import sys, time
from pellucid.train.run import Run
with Run.open(sys.argv[1]).lock():
    print("held", flush=True)
    time.sleep(60)
"""


def test_another_process_is_named_and_its_lock_ends_with_it(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "r", CONFIG)
    command = [sys.executable, "-c", HOLDER, str(run.path)]
    holder = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(UserError, match=f"in use by process {holder.pid} on"), run.lock():
        pass
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    holder.stdout.close()
    with run.lock():  # the killed owner's text is still in the file, and is not believed
        pass


def test_a_lock_from_another_host_is_respected(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "r", CONFIG)
    (run.path / ".lock").write_text(json.dumps({"pid": 1, "host": "elsewhere", "started": "2020"}))
    with pytest.raises(UserError, match=r"process 1 on elsewhere.*delete .*\.lock"), run.lock():
        pass
    (run.path / ".lock").unlink()
    with run.lock():
        pass
