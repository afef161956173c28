"""`pellucid tune` and `sample --steps auto` from outside, on a tiny run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pellucid.cli.main import main
from pellucid.model import TUNED

from ..small import trained


def ended(*arguments: object) -> int:
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    assert isinstance(end.value.code, int)
    return end.value.code


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("tune") / "run").run.path


def test_tune_then_sample_by_name(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    short = ["--paths", 8, "--calls", 20]
    assert ended("tune", run, "--steps", "3,2", *short) == 0
    out = capsys.readouterr().out
    assert [line.split()[0] for line in out.splitlines() if " usual " in line] == ["2", "3"]
    assert f"--solver fitted --steps {3}" in out
    assert ended("tune", run, "--steps", "4", *short, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told) == {"file", "4"}
    assert set(json.loads((run / TUNED).read_text())["solvers"]) == {"2", "3", "4"}
    assert ended("sample", run, "-n", 1, "--solver", "fitted", "--steps", 3, "--out", tmp_path / "made") == 0
    capsys.readouterr()
    assert ended("sample", run, "-n", 1, "--solver", "fitted", "--steps", 7) == 2
    told = capsys.readouterr().err
    assert "no fitted solver of 7 steps; there are: 2, 3, 4" in told
    assert "pellucid tune" in told
    (run / TUNED).unlink()


def test_auto_says_what_it_chose_and_why(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["sample", run, "-n", 1, "--steps", "auto", "--tolerance", 0.2]
    assert ended(*arguments, "--out", tmp_path / "made") == 0
    assert "median distance to the accurate solution" in capsys.readouterr().out
    assert ended(*arguments, "--json", "--out", tmp_path / "again") == 0
    chosen = json.loads(capsys.readouterr().out)["chosen"]
    assert chosen["error"] <= chosen["tolerance"] == 0.2
    (made,) = json.loads((tmp_path / "again" / "made.json").read_text())
    assert made["settings"]["steps"] == chosen["steps"]  # what was chosen is kept, so that it can be made again


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["tune", "RUN", "--steps", "five"], "parted by commas"),
        (["tune", "RUN", "--steps", "5,,8"], "parted by commas"),
        (["tune", "RUN", "--steps", "1"], "at least 2"),
        (["tune", "RUN", "--steps", "-4"], "at least 2"),
        (["tune", "RUN", "--paths", "4"], "at least 8 trajectories"),
        (["tune", "nowhere"], "there is no run nowhere"),
        (["sample", "RUN", "--steps", "autp"], "autp"),
        (["sample", "RUN", "--steps", "auto", "--tolerance", "0"], "positive"),
        (["sample", "RUN", "--steps", "auto", "--solver", "ancestral"], "deterministic"),
        (["sample", "RUN", "--steps", "auto", "--solver", "fitted"], "pellucid tune"),
        (["sample", "RUN", "--tolerance", "0.1"], "--steps auto"),
    ],
)
def test_mistakes(run: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], told: str) -> None:
    assert ended(*(run if word == "RUN" else word for word in arguments)) == 2
    err = capsys.readouterr().err
    assert told in err
    assert "Traceback" not in err


def test_solvers_of_other_weights_are_not_used_and_a_damaged_file_is_named(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    solver = {"times": [1.0, 0.5, 0.0], "weights": [[0.5, 0.5], [0.0, 1.0]]}
    (run / TUNED).write_text(json.dumps({"weights": "0" * 64, "solvers": {"2": solver}}))
    assert ended("sample", run, "-n", 1, "--solver", "fitted", "--steps", 2) == 2
    assert "there are: none" in capsys.readouterr().err
    (run / TUNED).write_text("{")
    assert ended("sample", run, "-n", 1) == 2
    told = capsys.readouterr().err
    assert TUNED in told
    assert "delete it and tune the model again" in told
    (run / TUNED).unlink()
