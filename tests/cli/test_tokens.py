"""What every verb does with a model of texts: it works, or refuses by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ..small_texts import text_run
from .test_verbs import ended


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return text_run(tmp_path_factory.mktemp("verbs")).run.path


def test_samples_are_printed_and_kept(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ended("sample", run, "-n", 5, "--seed", 1, "--out", tmp_path / "made") == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed == (tmp_path / "made/samples.txt").read_text().splitlines()
    kept = json.loads((tmp_path / "made/samples.json").read_text())
    assert [row["text"] for row in kept["samples"]] == printed
    assert ended("sample", run, "-n", 2, "--first", 3, "--seed", 1, "--out", tmp_path / "two", "--json") == 0
    assert json.loads(capsys.readouterr().out)["texts"] == printed[3:]


def test_holes_are_filled(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ended("restore", run, "--text", "ab_a", "-n", 6, "--out", tmp_path / "filled") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 6
    assert all(line[:2] == "ab" and (len(line) == 2 or (len(line) == 4 and line[3] == "a")) for line in lines)
    assert ended("restore", run, "--out", tmp_path / "none") == 2
    assert "with _ for each unknown symbol" in capsys.readouterr().err


def test_likelihood_report_and_info(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ended("likelihood", run, "--evaluations", 4, "--json") == 0
    (score,) = json.loads(capsys.readouterr().out)["scores"]
    assert score["method"] == "bound, bits per character"
    assert ended("report", run) == 0
    page = (run / "report.html").read_text()
    assert "smoothed trigram model" in page
    assert "lzma" in page
    assert (run / "MODEL_CARD.md").read_text().count("diffusion model of symbols")
    capsys.readouterr()
    assert ended("info", run, "--json") == 0
    assert json.loads(capsys.readouterr().out)["process"] == "absorbing, linear survival"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("sample", "--grid", "karras"), "--grid: not for a model of symbols"),
        (("sample", "--steps", "auto"), "--steps: not for a model of symbols"),
        (("restore", "--task", "denoise", "--text", "a_"), "--task: not for a model of symbols"),
        (("likelihood", "--trace", "exact"), "--trace: not for a model of symbols"),
        (("tune",), "is a model of symbols"),
    ],
)
def test_what_symbols_do_not_have_is_refused_by_name(
    run: Path, arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    verb, *more = arguments
    assert ended(verb, run, *more) == 2
    assert message in capsys.readouterr().err
