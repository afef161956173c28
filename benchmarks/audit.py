"""The search of an audit: 10,000 samples against 50,000 training and 5,000 held-out items of 784 values (28x28).

Items are pairs of the built-in digits over one another, one of them moved by up to 3 pixels, stretched in contrast and
with noise of their own, so that no two are alike. Of the samples 200 are copies with a little noise, and 200 more are
such copies moved by up to two pixels and, half of them, mirrored. Each way of searching runs in a process of its own,
on the same arrays; its memory is that process's greatest resident size, arrays and libraries included.

* neighbours: the 50 nearest training items of each sample, exactly: by faiss, by blocks of a matrix product where faiss
  is not installed, and by brute force: differences in full, item by item.
* shifts and mirrors: the same over all moves by up to 2 pixels, and mirrors; brute force tries all of them on all.
* audit: the whole judgement of `find_copies`, which is five searches: samples and held-out items among training items,
  and the two looks in which both sides stand alike. Beside it how many of the planted copies were flagged, and how many
  other samples.

Times are processor seconds, as others share the machine; brute force runs on part of the samples, and its time is
scaled up. Claim: each audit takes at most 60 s of one core, and so at most that on two, and 2 GB.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from common import Page, arguments, table
from torch import Tensor

from pellucid.audit import search
from pellucid.audit.copies import NEIGHBOURS, Copies, find_copies
from pellucid.audit.search import Found, neighbours
from pellucid.audit.tolerant import shifted
from pellucid.data.builtin import BUILTIN
from pellucid.metrics.distances import nearest

SECONDS, GIGABYTES = 60, 2
PLANTED = 200


def items(count: int, seed: int) -> Tensor:
    """Two digits over one another, one of them moved, stretched and covered with noise, (count, 1, 28, 28)."""
    random = np.random.default_rng(seed)
    digits = np.asarray(BUILTIN["digits"]().items)
    chosen, other = (digits[random.integers(0, len(digits), count)] for _ in range(2))
    for i, (down, right) in enumerate(random.integers(-3, 4, (count, 2))):
        chosen[i] = np.maximum(np.roll(chosen[i], (down, right), axis=(1, 2)), other[i])
    stretch = random.uniform(0.7, 1.0, (count, 1, 1, 1)).astype(np.float32)
    noise = 0.08 * random.standard_normal(chosen.shape, np.float32)
    return torch.from_numpy(chosen / np.float32(127.5) * stretch - 1 + noise)


def scene(quick: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Samples, training and held-out items; the last samples are copies, and the very last moved ones."""
    num, train_size, held_size = (300, 800, 200) if quick else (10_000, 50_000, 5000)
    train, held, made = items(train_size, 0), items(held_size, 1), items(num, 2)
    random = np.random.default_rng(3)
    planted = PLANTED // 10 if quick else PLANTED
    copies = train[torch.from_numpy(random.choice(train_size, 2 * planted, replace=False))]
    copies = copies + 0.05 * torch.from_numpy(random.normal(size=copies.shape).astype(np.float32))
    for i in range(planted, 2 * planted):
        copies[i] = torch.roll(copies[i], tuple(random.integers(-2, 3, 2).tolist()), dims=(1, 2))
        copies[i] = copies[i].flip(-1) if i % 2 else copies[i]
    made[-2 * planted :] = copies
    return made, train, held


def brute(made: Tensor, train: Tensor, k: int) -> Found:
    """All differences, item by item."""
    rows = [(train - each).flatten(1).square().sum(1).sqrt().topk(k, largest=False) for each in made]
    return Found(torch.stack([row.values for row in rows]), torch.stack([row.indices for row in rows]))


def brute_shifted(made: Tensor, train: Tensor, k: int) -> Found:
    """All differences at all moves, item by item."""
    inside = train[..., 2:-2, 2:-2].flatten(1)
    rows = []
    for each in made:
        least = torch.full((len(train),), torch.inf)
        for picture in (each, each.flip(-1)):
            for down in range(5):
                for right in range(5):
                    moved = picture[..., down : down + 24, right : right + 24].flatten()
                    least = torch.minimum(least, (inside - moved).square().sum(1))
        rows.append(least.sqrt().topk(k, largest=False))
    return Found(torch.stack([row.values for row in rows]), torch.stack([row.indices for row in rows]))


def without_faiss(made: Tensor, train: Tensor, k: int) -> Found:
    """`neighbours` as it is where faiss is not installed."""
    kept = search._candidates
    search._candidates = lambda a, b, more: nearest(a, b, more)[1]
    try:
        return neighbours(made, train, k)
    finally:
        search._candidates = kept


WAYS: dict[str, tuple[str, Callable[[Tensor, Tensor, int], Found], int]] = {
    "neighbours, faiss": ("search", neighbours, 1),
    "neighbours, no faiss": ("search", without_faiss, 1),
    "neighbours, brute force": ("search", brute, 100),
    "shifts and mirrors": ("search", shifted, 1),
    "shifts and mirrors, brute force": ("search", brute_shifted, 2000),
    "audit by pixels": ("audit", neighbours, 1),
    "audit by shifts and mirrors": ("audit", shifted, 1),
}


def one(name: str, quick: bool) -> dict[str, float]:
    """Seconds, greatest memory in GB, and how right a way is."""
    kind, way, part = WAYS[name]
    made, train, held = scene(quick)
    some = made[-max(2, len(made) // part) :]
    start, wall = time.process_time(), time.perf_counter()
    planted = (PLANTED // 10 if quick else PLANTED) * 2
    if kind == "search":
        found = way(some, train, NEIGHBOURS)
        told = {"checksum": float(found.distances[-2:].double().mean())}
    else:
        copies: Copies = find_copies(made, train, held, search=way)
        first = len(made) - planted
        plain = int(((copies.flagged >= first) & (copies.flagged < first + planted // 2)).sum())
        moved = int((copies.flagged >= first + planted // 2).sum())
        told = {"plain": plain, "moved": moved, "others": len(copies.flagged) - plain - moved}
    scale = len(made) / len(some)
    seconds, wall = (time.process_time() - start) * scale, (time.perf_counter() - wall) * scale
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # kilobytes, on Linux
    return {"seconds": seconds, "wall": wall, "memory": memory, **told}


def alone(name: str, threads: int) -> dict[str, float]:
    """A way in a process of its own."""
    command = [sys.executable, __file__, "--one", name, "--threads", str(threads)]
    run = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    numbers: dict[str, float] = json.loads(run.stdout.splitlines()[-1])
    return numbers


def main() -> None:
    """Every way in a process of its own, and their table."""
    parser = arguments(__doc__)
    parser.add_argument("--one", choices=list(WAYS), help="one way, its numbers as JSON")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.one:
        print(json.dumps(one(options.one, options.quick)))
        return
    page = Page("audit", "The search of an audit: time and memory", quick=options.quick)
    sizes = [len(part) for part in scene(options.quick)]
    page.say(f"{sizes[0]:,} samples, {sizes[1]:,} training and {sizes[2]:,} held-out items of 784 values.\n")
    found = {}
    for name in WAYS:
        found[name] = one(name, quick=True) if options.quick else alone(name, options.threads)
    rows = []
    for name, each in found.items():
        beside = found.get(f"{name.split(',')[0]}, brute force")
        faster = "" if beside is None or "brute" in name else f"{beside['seconds'] / each['seconds']:.0f} times"
        rows.append([name, *(f"{each[key]:.1f}" for key in ("seconds", "wall")), f"{each['memory']:.2f}", faster])
    page.say(table(["way", "processor s", "wall clock s", "GB", "faster than brute force"], rows))
    page.say("\nPlanted copies that were flagged, and other samples (1 % of them are the allowed false alarms):\n")
    audits = [
        [name, *(str(int(each[key])) for key in ("plain", "moved", "others"))]
        for name, each in found.items()
        if "plain" in each
    ]
    planted = PLANTED // 10 if options.quick else PLANTED
    page.say(table(["audit", f"of {planted} copies", f"of {planted} moved or mirrored ones", "others"], audits))
    worst = max((found[name] for name in WAYS if name.startswith("audit")), key=lambda each: each["seconds"])
    most = max(found[name]["memory"] for name in WAYS if name.startswith("audit"))
    met = worst["seconds"] <= SECONDS and most <= GIGABYTES
    page.say(
        f"\nSlowest audit {worst['seconds']:.0f} s, most memory {most:.2f} GB (claim {SECONDS} s, {GIGABYTES} GB: "
        f"{'met' if met else 'MISSED'})."
    )
    page.end()


if __name__ == "__main__":
    main()
