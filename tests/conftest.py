"""What every test shares: how many threads torch uses, and the installed command run as a user runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

# Under pytest-xdist there is a worker on each core, so torch gets one thread in each and in what it starts;
# this must be in the environment before torch is imported.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"
os.environ.setdefault("MPLBACKEND", "Agg")

RunCli = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def run_cli(tmp_path_factory: pytest.TempPathFactory) -> RunCli:
    """`run_cli(["info", path], cwd=..., timeout=seconds, env={...})` runs the installed `pellucid`.

    It gets no input and no terminal. Its exit code raises nothing: read `returncode`, `stdout`, `stderr`.
    Without `cwd` it runs in a temporary folder, so no test writes into the repository.
    """
    home = tmp_path_factory.mktemp("cli")

    def run(
        args: Sequence[object],
        *,
        cwd: Path | None = None,
        timeout: float = 240.0,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(Path(sys.executable).parent / "pellucid"), *map(str, args)],
            cwd=cwd or home,
            env={**os.environ, "COLUMNS": "120", "NO_COLOR": "1", "TERM": "dumb", **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return run
