"""What every benchmark shares: the machine's description, its matrix rate, tables, and where results go.

Shared machines change speed by half within minutes, so a rate is compared with the float32 matrix product's rate that
was measured in the same process just before and just after, never with a number from another day.

Run by itself it prints the machine's description.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def arguments(description: str | None) -> argparse.ArgumentParser:
    """The options that every script has."""
    first = (description or "").split("\n\n")[0]
    parser = argparse.ArgumentParser(description=first)
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes; nothing is written")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="torch threads (default: all cores)")
    return parser


def cpu_name() -> str:
    """The processor as the system names it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text("utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def matmul_rate(seconds: float = 1.0, size: int = 2048) -> float:
    """Median rate of float32 size^3 matrix products over some seconds, in operations a second (2 size^3 each)."""
    import torch

    a, b = torch.randn(size, size), torch.randn(size, size)
    out = torch.empty(size, size)
    torch.mm(a, b, out=out)
    spent: list[float] = []
    while sum(spent) < seconds or len(spent) < 2:
        start = time.perf_counter()
        torch.mm(a, b, out=out)
        spent.append(time.perf_counter() - start)
    return 2 * size**3 / statistics.median(spent)


def timed(work: Callable[[], object]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Lower quartile, median, upper quartile; of a single value, that value."""
    if len(values) < 2:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table with aligned columns, numbers to the right.

    >>> print(table(["what", "ms"], [["a", "1.5"], ["long", "10.2"]]))
    | what |   ms |
    | :--- | ---: |
    | a    |  1.5 |
    | long | 10.2 |
    """
    cells = [[str(cell) for cell in row] for row in (header, *rows)]
    widths = [max(4, *(len(row[column]) for row in cells)) for column in range(len(header))]

    def line(row: Sequence[str]) -> str:
        first, *rest = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        parts = [first.strip().ljust(widths[0]), *rest]
        return "| " + " | ".join(parts) + " |"

    rule = [":" + "-" * (w - 1) if i == 0 else "-" * (w - 1) + ":" for i, w in enumerate(widths)]
    return "\n".join([line(cells[0]), line(rule), *map(line, cells[1:])])


class Page:
    """A result page: printed while it grows, and written beside the others at the end.

    Args:
        name: of the file in `results/`, without its ending.
        title: its first line.
        quick: print only, with a short look at the matrix rate.
    """

    def __init__(self, name: str, title: str, *, quick: bool) -> None:
        self.name, self.quick = name, quick
        self._lines: list[str] = []
        # A quick look is for trying the script: a smaller product, whose rate is not worth comparing with.
        self._look = (0.05, 512) if quick else (1.5, 2048)
        self._before = matmul_rate(*self._look)
        self.say(f"# {title}\n")

    def say(self, text: str = "") -> None:
        """Adds and prints a paragraph, a list or a table."""
        print(text, flush=True)
        self._lines.append(text)

    def end(self) -> None:
        """Adds the machine's description and writes the page, unless it was a quick look."""
        self.say("\n" + describe(self._before, matmul_rate(*self._look)))
        if not self.quick:
            RESULTS.mkdir(exist_ok=True)
            (RESULTS / f"{self.name}.md").write_text("\n".join(self._lines) + "\n", "utf-8")


def describe(before: float, after: float) -> str:
    """The machine, in one sentence, with its matrix rate in operations a second at both ends of the measurement."""
    import torch

    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    return (
        f"Machine: {cpu_name()}, {os.cpu_count()} cores, {torch.get_num_threads()} torch threads, torch "
        f"{torch.__version__}, Python {platform.python_version()}, {now}. Float32 matrix product (2048³) just "
        f"before and after: {before / 1e9:.0f} and {after / 1e9:.0f} GFLOP/s."
    )


if __name__ == "__main__":
    print(describe(matmul_rate(), matmul_rate()))
