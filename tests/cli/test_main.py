"""The command line from outside: help without torch, and mistakes answered in a line or two with exit code 2."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pellucid.cli.main import VERBS, main
from pellucid.train import checkpoint

from ..small import trained

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Call:
    """Runs a command within this process, in an empty folder: its exit code, output and errors."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, out, err

    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("cli") / "run").run.path


HELP = """
import sys
from pellucid.cli.main import main
for words in {commands!r}:
    try:
        main([*words, "--help"])
    except SystemExit as ended:
        assert ended.code == 0, words
        assert "torch" not in sys.modules, words
"""


def test_help_for_every_verb_without_torch() -> None:
    commands = [[], *([verb] for verb in VERBS), ["data"], ["data", "inspect"], ["data", "builtin"]]
    done = subprocess.run(
        [sys.executable, "-c", HELP.format(commands=commands)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    for verb in VERBS:
        assert f"pellucid {verb}" in done.stdout
    assert "--batch-size" in done.stdout


MISTAKES = [
    # what is typed, and what the answer must hold
    ("trian digits8", "did you mean 'train'"),
    ("train digit8", "unknown recipe 'digit8'; did you mean 'digits8'"),
    ("train digits8 --budgt 10m", "--budget"),
    ("train digits8 --bugdet=10m", "--budget"),
    ("train digits8 --budget 10x", "cannot read budget '10x'"),
    ("train digits8 --budget 0m", "budget"),
    ("train digits8 --budget 100k", "did you mean 100k-items"),
    ("train digits8 --seed many", "many"),
    ("train digits8 --set training.lrr=1", "did you mean 'lr'"),
    ("train digits8 --set lr=1", "did you mean 'training.lr'"),
    ("train digits8 --set training.lr", "--set takes key=value"),
    ("train digits8 --set training.lr=fast", "training.lr = 'fast'"),
    ("train digits8 --set training=5", "training is a section with the keys"),
    ("train digits8 --set process.schedule=cosin", "did you mean 'cosine'"),
    ("train digits8 --set process.target=epss", "did you mean 'eps'"),
    ("train digits8 --set sampling.solver=hune", "did you mean 'heun'"),
    ("train digits8 --config no.yaml", "no.yaml"),
    ("train", "recipe"),
    ("train images", "what shall it learn from? Give --data"),
    ("train images --data nowhere", "nowhere"),
    ("train images --data empty", "empty"),
    ("train images --data notes", "notes"),
    ("train points --data nan.npy", "nan"),
    ("train points --data zero.npy", "zero.npy"),
    ("train points --data text.npy", "text.npy"),
    ("train points --data objects.npy", "objects.npy"),
    ("train digits8 --budget 1k-items --out full", "full exists and is not empty"),
    ("train digits8 --budget 1k-items --out file.txt", "file.txt"),
    ("train digits8 --budget 1k-items --out file.txt/run", "file.txt"),
    ("resume nowhere", "there is no run nowhere"),
    ("resume full", "is no run folder"),
    ("resume RUN", "give it more with --more"),
    ("resume RUN --more 10", "did you mean 10m"),
    ("resume RUN --more 1k-items --set network.width=9", "cannot change in a run that has begun"),
    ("sample nowhere", "there is no run nowhere"),
    ("sample RUN --solver hune", "did you mean 'heun'"),
    ("sample RUN --grid karas", "did you mean 'karras'"),
    ("sample RUN --label tree", "unknown label 'tree'"),
    ("sample RUN --label 3,30", "unknown label '30'; did you mean '3'"),
    ("sample RUN --lable 3", "--label"),
    ("sample RUN -n 0", "at least 1 sample"),
    ("sample RUN -n many", "many"),
    ("sample RUN --steps 0", "at least 1 step"),
    ("sample RUN --batch-size 0", "at least 1"),
    ("sample RUN --first=-1", "numbered from 0"),
    ("sample RUN --guidance strong", "strong"),
    ("sample RUN --guidance-kind projekted", "did you mean 'projected'"),
    ("sample RUN --out full", "nothing is overwritten"),
    ("sample RUN --out file.txt", "nothing is overwritten"),
    ("sample RUN -n 1 --steps 1 --out file.txt/x", "file.txt"),
    ("sample", "run"),
    ("report nowhere", "there is no run nowhere"),
    ("report full", "is no run folder"),
    ("info nowhere", "there is no run nowhere"),
    ("info file.txt", "carries no settings"),
    ("data inspekt empty", "inspect"),
    ("data inspect nowhere", "nowhere"),
    ("data builtin emojy", "did you mean 'emoji'"),
    ("data inspect empty", "empty"),
    ("data inspect digits8 --sheet file.txt", "file.txt exists"),
    ("doctor --jsn", "--json"),
]


@pytest.mark.parametrize(("command", "told"), MISTAKES, ids=[command for command, _ in MISTAKES])
def test_a_mistake_is_told_in_a_line_or_two(call: Call, run: Path, tmp_path: Path, command: str, told: str) -> None:
    (tmp_path / "empty").mkdir()
    for folder in ("full", "notes"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "text.txt").write_text("mine")
    (tmp_path / "notes" / "a.png").write_bytes(b"")
    (tmp_path / "notes" / "b.jpg").write_text("no picture")
    (tmp_path / "file.txt").write_text("mine")
    points = np.zeros((20, 2), np.float32)
    points[3, 1] = np.nan
    np.save(tmp_path / "nan.npy", points)
    (tmp_path / "zero.npy").write_bytes(b"")
    (tmp_path / "text.npy").write_text("no array")
    np.save(tmp_path / "objects.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    before = {p: p.read_bytes() for p in (*tmp_path.rglob("*"), *run.rglob("*")) if p.is_file() and p.name != ".lock"}
    code, out, err = call(*(run if word == "RUN" else word for word in command.split()))
    assert code == 2, err
    assert told.lower() in err.lower()
    assert "Traceback" not in err
    assert out == ""
    lines = err.strip().splitlines()
    assert lines[-1].startswith("pellucid: ")
    assert len(lines) <= 2
    assert all(p.read_bytes() == content for p, content in before.items())
    after = {p for p in (*tmp_path.rglob("*"), *run.rglob("*")) if p.is_file() and p.name != ".lock"}
    assert after == set(before)


def test_version_and_an_empty_line(call: Call) -> None:
    code, out, _ = call("--version")
    assert (code, out.startswith("pellucid ")) == (0, True)
    code, out, _ = call()
    assert code == 0
    assert all(verb in out for verb in VERBS)


def test_an_interrupt_ends_with_130(call: Call, monkeypatch: pytest.MonkeyPatch, run: Path) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pellucid.model.read", interrupted)
    assert call("sample", run)[0] == 130


def test_a_damaged_checkpoint_falls_back_and_says_so_or_is_refused(call: Call, tmp_path: Path) -> None:
    path = trained(tmp_path / "run", training__save_every=1e-9).run.path
    newest, *older = checkpoint.steps(path)
    (newest / "ema.safetensors").write_bytes((newest / "ema.safetensors").read_bytes()[:1000])
    code, out, err = call("sample", "run", "-n", 1)
    assert code == 0
    assert "passed over a damaged checkpoint" in err
    assert "1 samples in run/made-1" in out
    for folder in older:
        content = bytearray((folder / "ema.safetensors").read_bytes())
        content[-1] ^= 1
        (folder / "ema.safetensors").write_bytes(bytes(content))
    before = {p: p.read_bytes() for p in path.rglob("*") if p.is_file()}
    code, _, err = call("sample", "run", "-n", 1)
    assert code == 2
    assert "no valid checkpoint" in err
    assert {p: p.read_bytes() for p in path.rglob("*") if p.is_file()} == before


def test_info_of_a_run_and_doctor(call: Call, run: Path) -> None:
    code, out, _ = call("info", run, "--json")
    facts = json.loads(out)
    assert code == 0
    assert (facts["recipe"], facts["items"], facts["shape"]) == ("tiny", 320, "1x8x8")
    assert facts["weights"] in {
        json.loads((p / "manifest.json").read_text())["metadata"]["weights"] for p in checkpoint.steps(run)
    }
    code, out, _ = call("doctor", "--json")
    assert code == 0
    assert json.loads(out)["extra data"] == "installed"
