"""Beginning, resuming, extending: a run that was killed ends as one that was not; what cannot go on is refused."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pellucid.foundations import yamlfile
from pellucid.foundations.errors import UserError
from pellucid.train import checkpoint
from pellucid.train.plan import learning_rate
from pellucid.train.run import Run
from pellucid.train.start import begin, resume

from ..small import Watcher, hashes, settings, trained

# A run in a process of its own, by the library alone: begins, or goes on where there is a run already.
CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from small import Watcher, trained
from pellucid.train.start import resume
path = Path(sys.argv[2])
if (path / "config.yaml").is_file():
    resume(path, observer=Watcher())
else:
    trained(path, training__budget="640-items", training__save_every=1e-9)
"""
ROOT = Path(__file__).parents[1]  # of tests: an installed package may be called `tests` too


def child(path: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", CHILD, str(ROOT), str(path)], env=os.environ)


def wait_for(there: Callable[[], bool], process: subprocess.Popen[bytes], seconds: float = 60.0) -> None:
    """Looks often: some of what is waited for is there for a few milliseconds."""
    end = time.monotonic() + seconds
    while not there():
        assert process.poll() is None, f"the child ended by itself with {process.returncode}"
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.0005)


def newest(path: Path) -> int:
    folders = checkpoint.steps(path)
    return int(folders[0].name.removeprefix("step-")) if folders else -1


def saving(path: Path) -> bool:
    """Whether a checkpoint is being written, and how many of its files are there is up to the moment."""
    return any((path / "checkpoints").glob(".tmp-step-*"))


def test_a_run_killed_at_many_moments_ends_with_the_weights_of_one_never_killed(tmp_path: Path) -> None:
    whole = trained(tmp_path / "whole", training__budget="640-items", training__save_every=1e-9).run.path
    path = tmp_path / "killed"
    moments: list[Callable[[], bool]] = [
        lambda: newest(path) >= 0,  # just begun
        lambda: newest(path) >= 5 and saving(path),  # within a save
        lambda: newest(path) >= 11 and saving(path),
    ]
    fell_into_a_save = 0
    for moment in moments:
        process = child(path)
        wait_for(moment, process)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        fell_into_a_save += saving(path)
    last = child(path)
    assert last.wait(timeout=120) == 0
    assert fell_into_a_save, "no kill fell into a save: the test tested nothing"
    assert newest(path) == 20
    assert hashes(path) == hashes(whole)
    # and its records tell each step once
    assert [line["step"] for line in Run.open(path).lines("train")] == list(range(1, 21))
    losses = [[line["loss"] for line in Run.open(p).lines("train")] for p in (path, whole)]
    assert losses[0] == losses[1]


def interrupt(items: int) -> None:
    if items < 320:
        signal.raise_signal(signal.SIGINT)


def test_resuming_by_halves_equals_going_through(tmp_path: Path) -> None:
    trained(tmp_path / "run", Watcher(interrupt))
    for _ in range(12):
        if resume(tmp_path / "run", observer=Watcher(interrupt)).signal is None:
            break
    assert hashes(tmp_path / "run") == hashes(trained(tmp_path / "whole").run.path)


def test_accumulation_and_dropout_resume_too(tmp_path: Path) -> None:
    given = {"training__accumulate": 3, "network__dropout": 0.2, "data__flip": True}
    trained(tmp_path / "run", Watcher(interrupt), **given)
    resume(tmp_path / "run", observer=Watcher())
    assert hashes(tmp_path / "run") == hashes(trained(tmp_path / "whole", **given).run.path)


def test_a_finished_run_is_refused_and_extended(tmp_path: Path) -> None:
    done = trained(tmp_path / "run")
    with pytest.raises(UserError, match=r"is finished \(320 items\): give it more with --more"):
        resume(tmp_path / "run", observer=Watcher())
    more = resume(tmp_path / "run", more="320-items", observer=Watcher())
    assert (more.state.items, more.state.plan.total) == (640, 640)
    (event,) = more.run.lines("event")
    assert (event["message"], event["items"], event["total"]) == ("resumed", 320, 640)
    config = settings().config.training
    rates = {line["step"]: line["lr"] for line in more.run.lines("train")}
    for step in range(11, 21):  # the learning rate is what a run of 640 items would have had
        middle = (32 * (step - 1) + 16) / 640
        assert rates[step] == pytest.approx(learning_rate(middle, peak=config.lr, warmup=config.warmup))
    passes = resume(tmp_path / "run", more="0.5-epochs", observer=Watcher())
    num_items = done.run.lines("data")[0]["train"]
    assert passes.state.plan.total == 640 + round(0.5 * num_items)


def test_more_for_an_unfinished_run_comes_on_top(tmp_path: Path) -> None:
    trained(tmp_path / "run", Watcher(interrupt))
    more = resume(tmp_path / "run", more="320-items", observer=Watcher())
    assert more.state.plan.total == more.state.items == 640


def test_data_that_changed_are_refused(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    points = random.normal(size=(200, 2)).astype(np.float32)
    path = tmp_path / "points.npy"
    np.save(path, points)
    mlp = {"network__kind": "mlp", "network__multipliers": [1], "network__attention": []}
    trained(tmp_path / "run", data__source=str(path), sampling__guidance=1.0, **mlp)
    points[0, 0] += 1e-3
    np.save(path, points)
    with pytest.raises(UserError, match=r"the data in .*points\.npy changed"):
        resume(tmp_path / "run", more="320-items", observer=Watcher())
    path.unlink()
    with pytest.raises(UserError, match=r"points\.npy"):
        resume(tmp_path / "run", more="320-items", observer=Watcher())


def test_a_run_in_use_and_a_folder_in_use_are_refused(tmp_path: Path) -> None:
    run = trained(tmp_path / "run").run
    before = sorted(p.name for p in run.path.rglob("*"))
    with run.lock(), pytest.raises(UserError, match="is in use by process"):
        resume(run.path, more="320-items", observer=Watcher())
    with pytest.raises(UserError, match=r"not empty: nothing is overwritten.*run-2"):
        trained(run.path)
    assert sorted(p.name for p in run.path.rglob("*")) == before
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match=r"is a file"):
        trained(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


def test_changed_settings_stay_changed(tmp_path: Path) -> None:
    trained(tmp_path / "run", Watcher(interrupt))
    resume(tmp_path / "run", changes={"training.lr": 1e-4}, observer=Watcher(interrupt))
    done = resume(tmp_path / "run", observer=Watcher())  # as after a kill: nobody repeats the change
    assert done.run.lines("train")[4]["lr"] < 1e-4
    values, origin = yamlfile.read(done.run.path / "config.yaml")
    assert (values["training"]["lr"], origin["training.lr"]) == (1e-4, "flag at resume")
    with pytest.raises(UserError, match=r"training\.batch_size cannot change in a run that has begun; these can:"):
        resume(tmp_path / "run", more="320-items", changes={"training.batch_size": 8}, observer=Watcher())


def damage(folder: Path, how: str) -> None:
    path = folder / "ema.safetensors"
    content = bytearray(path.read_bytes())
    if how == "truncated":
        del content[len(content) // 2 :]
    else:
        content[-5] ^= 0x10
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("how", ["truncated", "one bit"])
def test_a_damaged_checkpoint_is_passed_over(tmp_path: Path, how: str) -> None:
    whole = hashes(trained(tmp_path / "run", training__save_every=1e-9).run.path)
    folders = checkpoint.steps(tmp_path / "run")
    damage(folders[0], how)
    watcher = Watcher()
    resume(tmp_path / "run", observer=watcher)
    assert any("passed over a damaged checkpoint" in text for text in watcher.messages)
    kept = tmp_path / "run" / "checkpoints"
    assert hashes(tmp_path / "run") == whole  # trained again from the one before
    assert (kept / f"{folders[0].name}.damaged-1").is_dir()  # and the damaged one was not deleted
    for folder in checkpoint.steps(tmp_path / "run"):
        damage(folder, how)
    with pytest.raises(UserError, match="no valid checkpoint to go on from"):
        resume(tmp_path / "run", more="320-items", observer=Watcher())


def test_what_cannot_be_flipped_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data\.flip mirrors pictures"):
        trained(tmp_path / "run", data__source="moons", data__flip=True)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"process__schedule": "edn"}, "unknown schedule 'edn'; did you mean 'edm'"),
        ({"process__target": "epz"}, "unknown target 'epz'; did you mean 'eps'"),
        ({"process__weighting": "edn"}, "unknown .*weight.* 'edn'; did you mean 'edm'"),
        ({"process__density": "unifrom"}, "unknown time density 'unifrom'; did you mean 'uniform'"),
        ({"process__density_options": {"men": 1.0}}, "unknown option of the time density 'log-normal' 'men'; did you"),
        ({"network__kind": "unett"}, "unknown network 'unett'; did you mean 'unet'"),
        ({"training__precision": "float23"}, "unknown precision 'float23'; did you mean 'float32'"),
        ({"training__budget": "10 minuts"}, "cannot read budget '10 minuts'; did you mean 10m"),
        ({"data__source": "digit8"}, "digit"),
        ({"sampling__solver": "hune"}, "unknown solver 'hune'; did you mean 'heun'"),
        ({"sampling__grid": "kerras"}, "unknown .*grid.* 'kerras'; did you mean 'karras'"),
    ],
)
def test_names_are_checked_before_anything_is_written(tmp_path: Path, changes: dict[str, object], told: str) -> None:
    with pytest.raises(UserError, match=told):
        trained(tmp_path / "run", **changes)
    assert not (tmp_path / "run").exists()


def test_a_chain_that_ends_off_its_prior_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    short: dict[str, Any] = {"process__schedule": "vp", "process__schedule_options": {"beta_max": 2.0}}
    with pytest.raises(UserError, match=r"bits/dim.*larger beta_max \(it is 2\)"):
        trained(tmp_path / "run", **short)
    assert not (tmp_path / "run").exists()
    done = begin(settings(**short, training__budget="64-items"), tmp_path / "run", observer=Watcher(), force=True)
    assert done.state.items == 64  # its pictures are made too
