"""Quality on held-out digits against wall-clock time: the `digits` recipe and the peer's usual one, in one run.

Ours: whole trainings within 1/40, 1/20, 1/10 and 1/3 of the peer's time, each a run of its own, because a run's network
and learning-rate decay follow its budget. The clock is the whole of `begin`: reading data, calibration, sample grids
and checkpoints included; the budget is 95 % of the moment, so that the whole ends before it. The averaged weights are
then sampled at the recipe's solver and steps with guidance 1, all classes in turn (what the recipe makes), and without
a class.

Peer: diffusers' unconditional recipe (`peers.py`) on the same 4,000 training digits, with a `UNet2DModel` of about the
parameter count that our recipe has at its own budget. One run, its learning rate decaying over the whole time; averaged
weights are kept at moments that equal ours and at the end. The clock is its training steps alone. Sampled by DDIM in 50
steps, after training.

Quality: distances of made items to the held-out digits in features of a classifier trained on the training digits
(`quality.py`). The floor is the same number of real training digits against the held-out ones. No evaluation is on
either clock; the sides run one after the other on all threads.

Claim: ours reaches the peer's final quality (KID) in at most a tenth of its time.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import ours
import peers
import torch
from common import Page, arguments, table
from quality import Judge, Quality
from torch import Tensor

import pellucid
from pellucid.train.start import begin

OUR_PARTS = (1 / 40, 1 / 20, 1 / 10, 1 / 3)
PEER_PARTS = (1 / 10, 1 / 3, 1.0)


@dataclass(frozen=True)
class Look:
    """A model at a moment."""

    name: str
    seconds: float
    items: int
    quality: Quality

    def row(self) -> list[str]:
        """Of the table."""
        return [self.name, f"{self.seconds:.1f}", f"{self.items:,}", *self.quality.cells()]


class Silent:
    """Watches a run and says nothing."""

    def progress(self, *, items: int, total: int, loss: float, rate: float) -> None:
        """Nothing."""

    def message(self, text: str) -> None:
        """Nothing."""


def our_looks(seconds: float, judge: Judge, num: int) -> list[Look]:
    """A run within so many seconds, sampled by class and without."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run"
        started = time.perf_counter()
        finished = begin(ours.settings(f"{0.95 * seconds:.3f}s"), path, observer=Silent())
        spent = time.perf_counter() - started
        model = pellucid.load(path)
    looks = []
    for name, label in (("pellucid, classes in turn", None), ("pellucid, no class", "none")):
        made = pellucid.sample(model, num, label=label, guidance=1.0, seed=1)
        looks.append(Look(name, spent, finished.state.items, judge(made)))
    return looks


@dataclass(frozen=True)
class Kept:
    """The peer's averaged network at a moment."""

    seconds: float
    items: int
    network: peers.UNet2DModel


def train_peer(items: Tensor, width: int, seconds: float, moments: list[float]) -> list[Kept]:
    """The peer's recipe for so many seconds of training steps, kept at the given moments."""
    probe = peers.Recipe(width, total_steps=10_000)
    probe.step(probe.batch(items))
    count, started = 0, time.perf_counter()
    while time.perf_counter() - started < min(3.0, seconds / 20):
        probe.step(probe.batch(items))
        count += 1
    per_step = (time.perf_counter() - started) / count
    # The decay is planned by the measured speed, so that the rate reaches zero when the time is over: the peer's best.
    recipe = peers.Recipe(width, total_steps=max(peers.WARMUP_STEPS + 1, round(seconds / per_step)))
    kept: list[Kept] = []
    spent, steps = 0.0, 0
    while len(kept) < len(moments):
        started = time.perf_counter()
        recipe.step(recipe.batch(items))
        spent += time.perf_counter() - started
        steps += 1
        if spent >= moments[len(kept)]:
            kept.append(Kept(spent, steps * peers.BATCH_SIZE, recipe.averaged()))
    return kept


def verdict(looks: list[Look], peer: Look) -> str:
    """The claim, checked: the first of our runs that is at least as good as the peer at its end."""
    lines = []
    for name in dict.fromkeys(look.name for look in looks):
        good = [look for look in looks if look.name == name and look.quality.kid <= peer.quality.kid]
        if good:
            first = min(good, key=lambda look: look.seconds)
            lines.append(f"{name}: there in {first.seconds:.1f} s, {first.seconds / peer.seconds:.3f} of its time")
        else:
            lines.append(f"{name}: not reached")
    holds = any(
        look.quality.kid <= peer.quality.kid and look.seconds <= peer.seconds / 10
        for look in looks
        if look.name.endswith("in turn")
    )
    return (
        f"The peer's quality after {peer.seconds:.0f} s, KID {1e3 * peer.quality.kid:.2f}e-3. {'; '.join(lines)}. "
        f"Claim of a tenth of the time: {'holds' if holds else 'DOES NOT HOLD'}."
    )


def main() -> None:
    """Prints the table and writes it."""
    parser = arguments(__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="the peer's time (default: 10)")
    parser.add_argument("--samples", type=int, default=1000, help="made items that are judged (default: 1000)")
    parser.add_argument("--peer-width", type=int, help="of the peer's network, a multiple of 8 (default: by count)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    quick = options.quick
    seconds, num = (2.0, 20) if quick else (60 * options.minutes, options.samples)
    page = Page("time_to_quality", "Time to quality: digits, 28x28", quick=quick or options.minutes < 10)
    judge = Judge(quick=quick)
    digits = ours.digits("3k-items" if quick else None)
    width = options.peer_width or peers.width_for(digits.num_parameters)
    with torch.device("meta"):
        peer_parameters = sum(p.numel() for p in peers.network(width).parameters())
    page.say(
        f"Ours at the recipe's own budget: {digits.describe()}.\n\nPeer: UNet2DModel of widths "
        f"{(width, 2 * width, 3 * width, 4 * width)}, {peer_parameters / 1e6:.2f}M parameters, batches of "
        f"{peers.BATCH_SIZE}.\n\nClassifier: {100 * judge.accuracy:.1f} % right on held-out digits. {num:,} made "
        "items a row.\n"
    )
    parts = OUR_PARTS[-1:] if quick else OUR_PARTS
    looks = [look for part in parts for look in our_looks(part * seconds, judge, num)]
    items = torch.from_numpy(ours.real_digits()[0].items)
    moments = [part * seconds for part in (PEER_PARTS[-1:] if quick else PEER_PARTS)]
    peer = [
        Look(
            "diffusers, DDIM",
            kept.seconds,
            kept.items,
            judge(peers.sample(kept.network, num, steps=2 if quick else peers.SAMPLING_STEPS)),
        )
        for kept in train_peer(items, width, seconds, moments)
    ]
    rows = [["real training digits", "", "", *judge.floor(num).cells()]]
    rows += [look.row() for look in sorted(looks, key=lambda look: look.name)] + [look.row() for look in peer]
    page.say(table(["what", "seconds", "items seen", "KID x 1000", "Frechet"], rows))
    page.say("\n" + verdict(looks, peer[-1]))
    page.end()


if __name__ == "__main__":
    main()
