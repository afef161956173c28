"""Starting is quick: the package adds little to torch, and `--help` does not wait for torch at all."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

# Slow to import, or optional: they come in when a function needs them, never with the package.
HEAVY = ["scipy", "matplotlib", "sklearn", "diffusers", "mlxtend", "pandas", "torchdiffeq", "skimage"]
SRC = Path(__file__).parents[2] / "src"


def python(code: str, *options: str) -> str:
    done = subprocess.run(
        [sys.executable, *options, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def spent() -> float:
    """Processor seconds of all children so far. Nothing here waits for disk or network for long, so on a quiet machine
    this is the time that a user sees; on a busy one it leaves out the time that others had."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def best(measure: Callable[[], float], limit: float, runs: int = 8) -> float:
    """The least of up to `runs` measurements, ending at the first within the limit.

    A busy neighbour only ever adds time, so the least is the nearest to the truth and one good run is proof.
    """
    least = float("inf")
    for _ in range(runs):
        least = min(least, measure())
        if least <= limit:
            break
    return least


def test_the_package_adds_little_to_torch() -> None:
    code = "import time, torch; a = time.process_time(); import pellucid; print(time.process_time() - a)"
    assert best(lambda: float(python(code)), 0.3) <= 0.3


def test_the_package_brings_nothing_heavy() -> None:
    # what torch itself brings (numpy, say) is not ours to answer for
    code = "import sys, torch; before = set(sys.modules); import pellucid; print(*set(sys.modules) - before)"
    assert not set(python(code).split()) & set(HEAVY)


def test_every_module_imports_without_a_warning_and_without_the_extras() -> None:
    # the extras are made impossible to import, as they are for a user who did not install them
    modules = sorted(
        ".".join(path.relative_to(SRC).with_suffix("").parts).removesuffix(".__init__")
        for path in SRC.rglob("*.py")
        if path.stem != "__main__"
    )
    code = f"""
import sys, warnings, importlib, torch
for name in ["sklearn", "mlxtend", "diffusers", "skimage", "torchdiffeq", "pytest"]:
    sys.modules[name] = None
warnings.simplefilter("error")
for name in {modules}:
    importlib.import_module(name)
"""
    python(code)


@pytest.mark.parametrize("verb", [[], ["train"], ["sample"]], ids=lambda verb: " ".join(verb) or "pellucid")
def test_help_does_not_wait_for_torch(verb: list[str]) -> None:
    script = str(Path(sys.executable).parent / "pellucid")

    def seconds() -> float:
        start = spent()
        done = subprocess.run([script, *verb, "--help"], capture_output=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return spent() - start

    assert best(seconds, 0.5) <= 0.5
    seen = python(
        "import sys\nfrom pellucid.cli.main import main\n"
        f"sys.argv = ['pellucid', *{verb}, '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"print([m for m in ['torch', 'numpy', *{HEAVY}] if m in sys.modules])"
    )
    assert seen.splitlines()[-1] == "[]"
