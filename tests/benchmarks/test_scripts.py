"""Every benchmark runs to its table in its quick form, and writes nothing then."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"
BENCHMARKS = [
    "audit",
    "imports",
    "nfe",
    "overhead",
    "product",
    "restore_oracles",
    "scaling",
    "tables",
    "time_to_quality",
    "train_speed",
]


def listing() -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in (FOLDER / "results").glob("*")}


@pytest.mark.parametrize("name", BENCHMARKS)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # diffusers' own warnings are not ours to answer for
def test_quick_form(name: str, scripts, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    before = listing()
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--quick", "--threads", "1"])
    getattr(scripts, name).main()
    shown = capsys.readouterr().out
    assert shown.startswith("# ")
    assert "\n| " in shown
    assert "Machine: " in shown
    assert listing() == before


def test_each_benchmark_has_a_line_in_the_readme() -> None:
    text = (FOLDER / "README.md").read_text("utf-8")
    assert [name for name in BENCHMARKS if f"`{name}.py`" not in text] == []


def test_each_benchmark_says_what_its_floor_is(scripts) -> None:
    for name in BENCHMARKS:
        assert any(word in getattr(scripts, name).__doc__ for word in ("Floor: ", "Claim: ")), name
