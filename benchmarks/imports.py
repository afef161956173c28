"""How long a person waits before anything happens.

Measured, each in fresh processes that take turns, after one to fill the file cache: the wall time of `pellucid --help`
beside Python's own start; and, inside a process that has imported torch already, the further time of `import pellucid`,
of reaching `pellucid.sample`, of `import diffusers` and of reaching `diffusers.UNet2DModel` (both packages import their
parts when first used). Medians; the least in brackets.

Floor: `pellucid --help` within 0.5 s without torch; `import pellucid` within 0.3 s beyond torch.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from common import Page, arguments, quartiles, table, timed

HELP_FLOOR, IMPORT_FLOOR = 0.5, 0.3
COMMAND = str(Path(sys.executable).parent / "pellucid")


def wall(*command: str) -> float:
    """Seconds of a process from start to end."""
    return timed(lambda: subprocess.run(command, capture_output=True, check=True, timeout=120))


def beyond(base: str, statement: str) -> float:
    """Seconds of a statement in a fresh process after another one."""
    code = f"{base}\nimport time\nstart = time.perf_counter()\n{statement}\nprint(time.perf_counter() - start)"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def help_loads_torch() -> bool:
    """Whether `pellucid --help` imports torch."""
    code = (
        "import sys\nfrom pellucid.cli.main import main\nsys.argv = ['pellucid', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\nprint('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()[-1] == "True"


CASES: dict[str, Callable[[], float]] = {
    "python -c pass, wall": lambda: wall(sys.executable, "-c", "pass"),
    "pellucid --help, wall": lambda: wall(COMMAND, "--help"),
    "import torch": lambda: beyond("", "import torch"),
    "import pellucid, beyond torch": lambda: beyond("import torch", "import pellucid"),
    "pellucid.sample, beyond torch": lambda: beyond("import torch", "import pellucid; pellucid.sample"),
    "import diffusers, beyond torch": lambda: beyond("import torch", "import diffusers"),
    "diffusers.UNet2DModel, beyond torch": lambda: beyond("import torch", "import diffusers; diffusers.UNet2DModel"),
}


def main() -> None:
    """Prints the table and writes it."""
    options = arguments(__doc__).parse_args()
    page = Page("imports", "Time to start", quick=options.quick)
    names = list(CASES)[:2] if options.quick else list(CASES)
    spent: dict[str, list[float]] = {name: [] for name in names}
    for number in range(1 if options.quick else 8):
        for name in names:
            seconds = CASES[name]()
            if number or options.quick:
                spent[name].append(seconds)
    rows = [[name, f"{quartiles(values)[1]:.3f} ({min(values):.3f})"] for name, values in spent.items()]
    page.say(table(["what", "seconds"], rows))
    page.say(f"\n`pellucid --help` {'IMPORTS' if help_loads_torch() else 'does not import'} torch.")
    if not options.quick:
        shown = quartiles(spent["pellucid --help, wall"])[1]
        added = quartiles(spent["import pellucid, beyond torch"])[1]
        page.say(
            f"\n`pellucid --help`: {shown:.2f} s (floor {HELP_FLOOR} s: {'met' if shown <= HELP_FLOOR else 'MISSED'}); "
            f"`import pellucid` adds {added:.2f} s (floor {IMPORT_FLOOR} s: "
            f"{'met' if added <= IMPORT_FLOOR else 'MISSED'})."
        )
    page.end()


if __name__ == "__main__":
    main()
