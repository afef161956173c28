"""Flipped bits and cut ends in every file of a checkpoint, and files made to run something when they are read."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

from pellucid.train import checkpoint

from . import malicious
from .forked import run
from .table import Effort, Row, Tally
from .tiny import Whole, go


def flipped(content: bytes, bit: int) -> bytes:
    """The same bytes but for one bit."""
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def rows(effort: Effort, whole: Whole) -> Iterator[Row]:
    """The promises about damage."""
    yield from _found(effort, whole)
    yield _resumed(effort, whole)
    yield from malicious.rows(effort)


def _found(effort: Effort, whole: Whole) -> Iterator[Row]:
    rng = random.Random(effort.seed)
    flips, cuts, passed = Tally(), Tally(), Tally()
    path = whole.copy(effort.folder("damage") / "run")
    newest, older = checkpoint.steps(path)[:2]
    names = sorted(file.name for file in newest.iterdir())
    for name in names:
        file = newest / name
        intact = file.read_bytes()
        bits = [rng.randrange(8 * len(intact)) for _ in range(effort.times(1000, 10))]
        ends = [rng.randrange(len(intact)) for _ in range(effort.times(50, 2))]
        damaged = [(flips, f"bit {bit}", flipped(intact, bit)) for bit in bits]
        damaged += [(cuts, f"cut at {end}", intact[:end]) for end in ends]
        for k, (tally, what, content) in enumerate(damaged):
            file.write_bytes(content)
            tally.add(_refused(newest, name), f"{name}: {what}")
            if k % 10 == 0:
                found = checkpoint.latest(path)
                told = len(found.messages) == 1 and name in found.messages[0]
                passed.add(found.folder == older and told, f"{name}: {what}: {found}")
        file.write_bytes(intact)
        effort.say(f"damage: {name}, {len(damaged):,} tries")
    checkpoint.verify(newest)
    each = f"of each of the {len(names)} files of a checkpoint ({', '.join(names)})"
    yield flips.row("Every flipped bit is found, and the file named", f"{effort.times(1000, 10):,} single bits {each}")
    yield cuts.row("Every truncation is found, and the file named", f"{effort.times(50, 2)} lengths {each}")
    yield passed.row(
        "Instead of a damaged checkpoint the older valid one is taken, with a message", "after every tenth of these"
    )


def _refused(folder: Path, name: str) -> bool:
    try:
        checkpoint.load(folder)
    except checkpoint.Damaged as error:
        return name in str(error)
    return False


def _resumed(effort: Effort, whole: Whole) -> Row:
    """A whole resume on each damaged file, to the end of the run."""
    rng, tally, folder = random.Random(effort.seed), Tally(), effort.folder("fallback")
    names = sorted(file.name for file in checkpoint.steps(whole.early)[0].iterdir())
    tries = [(name, how) for name in names for how in ("bit", "cut", "lost")]
    for k, (name, how) in enumerate(tries if not effort.quick else tries[:1]):
        path = whole.copy(folder / str(k))
        file = checkpoint.steps(path)[0] / name
        content = file.read_bytes()
        if how == "lost":
            file.unlink()
        else:
            file.write_bytes(content[: len(content) // 2] if how == "cut" else flipped(content, rng.randrange(800)))
        done = run(lambda report, path=path: go(path, report))
        told = any("passed over a damaged checkpoint" in line and name in line for line in done.lines)
        tally.add(told and done.code == 0 and whole.same(path), f"{name}, {how}: {done.lines[-2:]}")
    return tally.row(
        "A run whose newest checkpoint is damaged says so, goes on from the older, and ends the same, bit for bit",
        "one bit, half of it cut off, and gone, for each file of the newest checkpoint",
    )
