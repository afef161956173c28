"""Training speed of the `digits` recipe beside diffusers' `UNet2DModel` of about the same parameter count.

Measured: whole training steps (making the batch, forward, backward, gradient clipping, AdamW, EMA), in turns with the
peer's and with the float32 2048^3 matrix product, so that a busy neighbour hits all alike. Floating-point operations
are those that torch's own counter sees in one such step (products and convolutions; two a multiply-add; attention is
written out as products while counting, because the counter does not know its CPU kernel). A share is a turn's rate over
the mean of the matrix rates just before and just after it; the table gives medians over turns, and quartiles of the
share.

Floor: ours reaches 65 % of the matrix rate.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import ours
import peers
import torch
from common import Page, arguments, matmul_rate, quartiles, table
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

FLOOR = 0.65


def count_flops(work: Callable[[], object]) -> int:
    """Floating-point operations of one call, by torch's counter, attention's own products included."""
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


@dataclass
class Runner:
    """Something that trains, and how fast it did in each turn."""

    name: str
    num_parameters: int
    batch_size: int
    step: Callable[[], object]
    flops: float = 0.0
    speeds: list[float] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)

    def turn(self, seconds: float) -> float:
        """Trains for about so long; items a second."""
        steps, start = 0, time.perf_counter()
        while time.perf_counter() - start < seconds:
            self.step()
            steps += 1
        return steps * self.batch_size / (time.perf_counter() - start)

    def row(self) -> list[str]:
        """Of the table."""
        low, middle, high = (100 * value for value in quartiles(self.shares))
        speed = quartiles(self.speeds)[1]
        return [
            self.name,
            f"{self.num_parameters / 1e6:.2f}M",
            str(self.batch_size),
            f"{speed:,.0f}",
            f"{self.flops / 1e6:,.0f}",
            f"{speed * self.flops / 1e9:.0f}",
            f"{middle:.0f} % ({low:.0f} to {high:.0f})",
        ]


def our_runner(budget: str | None) -> tuple[Runner, str]:
    """The recipe's step at successive positions."""
    digits = ours.digits(budget)
    position = [0]

    def step() -> None:
        done = position[0]
        digits.trainee.step(digits.batches, items=done * digits.batch_size, step=done + 1, lr=digits.lr)
        position[0] += 1

    return Runner("pellucid, recipe digits", digits.num_parameters, digits.batch_size, step), digits.describe()


def peer_runner(num_parameters: int, batch_size: int) -> Runner:
    """The example's step on the same items."""
    items = torch.from_numpy(ours.real_digits()[0].items)
    recipe = peers.Recipe(peers.width_for(num_parameters), total_steps=100_000)
    return Runner(
        "diffusers UNet2DModel",
        recipe.num_parameters,
        batch_size,
        lambda: recipe.step(recipe.batch(items, batch_size)),
    )


def main() -> None:
    """Prints the table and writes it."""
    options = arguments(__doc__).parse_args()
    torch.set_num_threads(options.threads)
    rounds, seconds, look = (1, 0.1, (0.05, 512)) if options.quick else (8, 4.0, (0.7, 2048))
    page = Page("train_speed", "Training speed: digits, 28x28", quick=options.quick)
    first, description = our_runner("3k-items" if options.quick else None)
    runners = [first, peer_runner(first.num_parameters, first.batch_size)]
    if not options.quick:
        runners.append(peer_runner(first.num_parameters, peers.BATCH_SIZE))
    for runner in runners:
        runner.step()  # the first step also makes the optimiser's state
        runner.flops = count_flops(runner.step) / runner.batch_size
    before = matmul_rate(*look)
    for _ in range(rounds):
        for runner in runners:
            speed = runner.turn(seconds)
            after = matmul_rate(*look)
            runner.speeds.append(speed)
            runner.shares.append(speed * runner.flops / ((before + after) / 2))
            before = after
    header = ["training step", "parameters", "batch", "items/s", "MFLOP/item", "GFLOP/s", "of matrix rate"]
    page.say(table(header, [runner.row() for runner in runners]))
    share, ratio = quartiles(first.shares)[1], quartiles(first.speeds)[1] / quartiles(runners[1].speeds)[1]
    page.say(f"\nOurs: {description}.")
    page.say(
        f"\nOurs reaches {100 * share:.0f} % of the matrix rate (floor {100 * FLOOR:.0f} %: "
        f"{'met' if share >= FLOOR else 'MISSED'}) and sees {ratio:.1f} times the peer's items a second at the same "
        "batch size. The peer's pictures are padded to 32x32."
    )
    page.end()


if __name__ == "__main__":
    main()
