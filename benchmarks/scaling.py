"""What a second process brings: two gloo processes of one thread each against one process with two threads.

Measured: whole training steps of the `digits` recipe (making the batch, forward, backward, the sum of gradients over
the processes, clipping, AdamW, EMA), of the same batch in all, in turns, so that a busy neighbour hits all alike. The
one process splits each product between its threads; two share the items, and wait for each other once a step. Beside
them stands one process of one thread, which tells what either makes of the second core. Numbers are medians over turns,
with quartiles.

Floor: two processes reach 85 % of the one process's items a second.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import IO

from common import Page, arguments, quartiles, table

FLOOR = 0.85
BUDGET = "3M-items"  # sizes the network, alike in all processes


def work(threads: int, budget: str) -> None:
    """One process: reads a number of steps from standard input, trains as many, answers with items a second."""
    import torch

    torch.set_num_threads(threads)
    from ours import DIFFUSION, digits, settings

    from pellucid.foundations.group import joined
    from pellucid.train.engine import Engine

    given = digits(budget)
    config = settings(budget).config
    config = config.model_copy(update={"process": given.model.card.process})
    with joined() as group:
        engine = Engine(torch.device("cpu"), given.calibration.precision, group)
        trainee = DIFFUSION.trainee(config, given.calibration.network, engine)
        done = 0
        for line in sys.stdin:
            group.wait()
            start = time.perf_counter()
            for _ in range(int(line)):
                trainee.step(given.batches, items=done * given.batch_size, step=done + 1, lr=given.lr)
                done += 1
            group.wait()
            rate = int(line) * given.batch_size / (time.perf_counter() - start)
            if group.lead:
                print(rate, sum(p.numel() for p in trainee.parameters()), given.batch_size, flush=True)


@dataclass
class Contestant:
    """Some processes that train one network, and how fast they did in each turn."""

    name: str
    processes: int
    threads: int
    budget: str
    speeds: list[float] = field(default_factory=list)
    facts: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        both = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": self.processes}
        self.running = [
            subprocess.Popen(
                [sys.executable, __file__, "--work", str(self.threads), self.budget],
                env={
                    **os.environ,
                    "GOMP_SPINCOUNT": "2000",
                    **{key: str(value) for key, value in {**both, "RANK": rank}.items()},
                },
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for rank in range(self.processes)
        ]

    def turn(self, steps: int) -> float:
        """Items a second over so many steps."""
        for process in self.running:
            self._end(process.stdin).write(f"{steps}\n")
            self._end(process.stdin).flush()
        rate, parameters, batch = self._end(self.running[0].stdout).readline().split()
        self.facts = (int(parameters), int(batch))
        return float(rate)

    def close(self) -> None:
        """Ends the processes."""
        for process in self.running:
            process.communicate()

    def row(self, base: float) -> list[str]:
        """Of the table."""
        low, middle, high = quartiles(self.speeds)
        return [self.name, f"{middle:,.0f} ({low:,.0f} to {high:,.0f})", f"{100 * middle / base:.0f} %"]

    @staticmethod
    def _end(pipe: IO[str] | None) -> IO[str]:
        assert pipe is not None
        return pipe


def main() -> None:
    """Prints the table and writes it."""
    options = arguments(__doc__).parse_args()
    turns, steps, budget = (1, 1, "3k-items") if options.quick else (6, 8, BUDGET)
    page = Page("scaling", "Training by two processes: digits, 28x28", quick=options.quick)
    threads = max(2, options.threads)
    one = Contestant(f"1 process, {threads} threads", 1, threads, budget)
    two = Contestant(f"2 processes, {threads // 2} thread each", 2, threads // 2, budget)
    alone = Contestant("1 process, 1 thread", 1, 1, budget)
    contestants = [one, two, alone]
    for each in contestants:
        each.turn(1)  # the first step also makes the optimiser's state
    for _ in range(turns):
        for each in contestants:
            each.speeds.append(each.turn(steps))
    for each in contestants:
        each.close()
    base = quartiles(one.speeds)[1]
    page.say(table(["who trains", "items/s", "of the first"], [each.row(base) for each in contestants]))
    low, ratio, high = quartiles([b / a for a, b in zip(one.speeds, two.speeds, strict=True)])
    parameters, batch = one.facts
    page.say(
        f"\nOf {turns} turns of {steps} steps of {batch} items, a network of {parameters / 1e6:.2f}M parameters: two "
        f"processes reach {100 * ratio:.0f} % ({100 * low:.0f} to {100 * high:.0f}) of one (floor {100 * FLOOR:.0f} %: "
        f"{'met' if ratio >= FLOOR else 'MISSED'})."
    )
    if base < quartiles(alone.speeds)[1]:
        page.say(
            "\nTwo threads were slower than one: others had the second core. This page says nothing; run it again."
        )
    page.end()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        work(int(sys.argv[2]), sys.argv[3])
    else:
        main()
