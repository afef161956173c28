"""The short form of `python -m tests.endurance`: a few attempts of each family, in a process that may be forked."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from . import FAMILIES
from .table import Row, Tally, markdown

ROOT = Path(__file__).parents[2]


def test_no_promise_breaks(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.endurance", "--quick", "--write", str(tmp_path / "page.md")],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "page.md").read_text()
    for title in FAMILIES.values():
        assert f"## {title}\n" in page
    assert "| 0 |" in done.stdout


@pytest.mark.parametrize(("held", "least", "good"), [(20, 1.0, True), (19, 1.0, False), (19, 0.95, True)])
def test_a_row_knows_whether_it_held(held: int, least: float, good: bool) -> None:
    tally = Tally()
    for k in range(20):
        tally.add(k < held, f"try {k}")
    row = tally.row("a promise", "how", least=least)
    assert row.held is good
    assert row.faults == tuple(f"try {k}" for k in range(held, 20))
    assert f"| a promise | 20 | {20 - held} | how |" in markdown([row])
    assert not Row("untried", 0, 0, "never").held
