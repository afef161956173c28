"""The verbs as a user runs them: train, stop, go on, sample, and make the same picture again."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pellucid.cli.main import main
from pellucid.data.builtin import BUILTIN
from pellucid.train import checkpoint
from pellucid.train.run import Run

from ..data.pictures import BROKEN, make_pictures
from ..small import TINY, hashes, trained

FLAGS = [
    word
    for key, value in TINY.items()
    if key not in ("recipe", "training.budget")
    for word in ("--set", f"{key}={json.dumps(value)}")
]


def ended(*arguments: object) -> int:
    with pytest.raises(SystemExit) as done:
        main([str(argument) for argument in arguments])
    assert isinstance(done.value.code, int)
    return done.value.code


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("verbs") / "run", training__budget="2k-items").run.path


def test_the_first_three_pictures_are_the_same_in_any_batch(run: Path, tmp_path: Path) -> None:
    for name, more in (("eight", ["-n", 8]), ("three", ["-n", 3]), ("pairs", ["-n", 8, "--batch-size", 2])):
        assert ended("sample", run, *more, "--seed", 0, "--out", tmp_path / name) == 0
    for k in range(3):
        first, *others = [pixels(tmp_path / name / f"{k:06d}.png") for name in ("eight", "three", "pairs")]
        for other in others:
            # the samples agree to 1e-5 (see test_generate); rounded to 256 levels a pixel on the edge of two may differ
            assert np.abs(first.astype(int) - other).max() <= 1
            assert (first != other).mean() <= 0.02


def test_the_printed_command_makes_the_identical_picture(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert ended("sample", run, "-n", 5, "--seed", 4, "--label", "3,7", "--solver", "heun", "--out", "first") == 0
    file = tmp_path / "first" / "000003.png"
    capsys.readouterr()
    assert ended("info", file, "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["id"], facts["label"]) == (3, "7")
    assert "note" not in facts
    words = shlex.split(facts["make it again"])
    assert words[0] == "pellucid"
    assert ended(*words[1:], "--out", "again") == 0
    assert np.array_equal(pixels(tmp_path / "again" / "000003.png"), pixels(file))
    assert ended(*shlex.split(facts["make it alone"])[1:], "--out", "alone") == 0
    assert np.abs(pixels(tmp_path / "alone" / "000003.png").astype(int) - pixels(file)).max() <= 1


def test_info_says_that_a_model_has_learned_since(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    trained(tmp_path / "run")
    assert ended("sample", "run", "-n", 1, "--out", "made") == 0
    assert ended("resume", "run", "--more", "64-items") == 0
    capsys.readouterr()
    assert ended("info", "made/000000.png") == 0
    assert "run has learned since" in capsys.readouterr().out


def command(*arguments: object) -> list[str]:
    return [str(Path(sys.executable).parent / "pellucid"), *map(str, arguments)]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_tells_how_to_go_on(tmp_path: Path, number: signal.Signals, code: int) -> None:
    arguments = ["train", "digits8", "--out", "run", *FLAGS, "--budget", "500k-items"]
    process = subprocess.Popen(
        command(*arguments), cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    )
    end = time.monotonic() + 60
    while not (tmp_path / "run" / "checkpoints" / "step-00000000").is_dir():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.01)
    time.sleep(0.3)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert "Traceback" not in err
    assert "Go on: pellucid resume run" in out
    step = json.loads((checkpoint.steps(tmp_path / "run")[0] / "state.json").read_text())["step"]
    assert hashes(tmp_path / "run")["folder"] == f"step-{step:08d}"
    assert not (tmp_path / "run" / "report.html").exists()


def test_any_folder_of_pictures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_pictures(tmp_path / "mixed", 40)
    small = ["--set", "network.width=8", "--set", "network.multipliers=[1, 1]", "--set", "network.attention=[]"]
    small += ["--set", "sampling.steps=3", "--set", "training.pictures=0", "--set", "data.size=32"]
    assert ended("train", "images", "--data", "mixed", "--budget", "128-items", *small, "--out", "run") == 0
    out, err = capsys.readouterr()
    assert err.count("left out ") == BROKEN
    for name in ("broken-cut.jpg", "broken-empty.png", "broken-text.jpg", "broken-noise.png", "broken-huge.png"):
        assert name in err
    assert "Report: run/report.html" in out
    assert "Sample it: pellucid sample run" in out
    (facts,) = Run.open(tmp_path / "run").lines("data")
    assert facts["train"] + facts["held_out"] == 40 - BROKEN
    assert len(facts["rejected"]) == BROKEN
    assert ended("sample", "run", "-n", 2, "--label", "drawings", "--json") == 0
    made = json.loads(capsys.readouterr().out)
    assert [pixels(Path(file)).shape for file in made["files"]] == [(32, 32, 3)] * 2
    # and goes on, from wherever the folder still is
    assert ended("resume", "run", "--more", "64-items", "--json") == 0
    state = json.loads(capsys.readouterr().out)
    assert state["items"] == 192
    text = (tmp_path / "run" / "MODEL_CARD.md").read_text()
    assert "mixed" in text


def test_settings_from_a_file_and_flags(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first = trained(tmp_path / "first").run
    assert ended("train", "digits8", "--config", first.path / "config.yaml", "--seed", 0) == 0
    second = Run.open(tmp_path / "runs" / "digits8")
    assert hashes(second.path) == hashes(first.path)  # a run's own settings make the same run
    assert second.provenance["training.seed"] == "flag"
    assert "config.yaml" in second.provenance["network.width"]
    assert ended("train", "digits8", "--config", first.path / "config.yaml", "--seed", 1, "--json") == 0
    told = json.loads(capsys.readouterr().out.split("\n{")[-1].join(["{", ""]))
    assert told["run"] == "runs/digits8-2"
    assert hashes(tmp_path / "runs" / "digits8-2") != hashes(first.path)


def test_inspection_of_a_mixed_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_pictures(tmp_path / "mixed", 30)
    sheet = tmp_path / "sheet.png"
    assert ended("data", "inspect", tmp_path / "mixed", "--sheet", sheet) == 0
    out = capsys.readouterr().out
    assert "25 items" in out
    assert out.count("left out") == BROKEN
    assert "drawings" in out
    assert sheet.is_file()


def test_the_built_in_sets_are_listed_and_told_apart(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended("data", "builtin") == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(BUILTIN)
    assert ended("data", "builtin", "digits8", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["count"], told["shape"], len(told["labels"])) == (1797, [1, 8, 8], 10)


def test_a_chain_that_ends_off_its_prior_is_trained_and_sampled_by_force_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    short = ["--set", "process.schedule=vp", "--set", "process.schedule_options={beta_max: 2}"]
    asked = ["train", "digits8", *FLAGS, *short, "--budget", "64-items", "--out", run]
    assert ended(*asked) == 2
    assert "does not end at its prior" in capsys.readouterr().err
    assert ended(*asked, "--force") == 0
    assert ended("sample", run, "-n", 1, "--out", tmp_path / "made") == 2
    assert "bits/dim" in capsys.readouterr().err
    assert ended("sample", run, "-n", 1, "--out", tmp_path / "made", "--force") == 0
