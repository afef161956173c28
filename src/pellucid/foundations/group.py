r"""The processes that work on one task together, as `torchrun` starts them, and what they tell one another.

`torchrun --nproc-per-node N -m pellucid train ...` starts N processes that differ in the environment alone: RANK,
WORLD_SIZE and LOCAL_RANK. Here it becomes a `Group`; a process on its own is the group `ALONE`, of which every method
is the identity. Process 0, the lead, writes and speaks; the others compute.

Of n consecutive positions, process r of R takes the stretch

    floor(n r / R) ... floor(n (r + 1) / R) - 1,                                                                   (1)

so all of them are taken once, in order, and no two shares differ by more than one.

Nobody waits for ever: what does not come within the timeout (ten minutes, or PELLUCID_TIMEOUT seconds), or comes from
a process that has died, is an error, `Lost`. Of one failure a person reads one message: whoever fails first claims the
word in the store that all share, and the others leave in silence.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor

from .errors import UserError

TIMEOUT = 600.0  # seconds; longer than pictures and a checkpoint take, for which the others wait
_WORD = "pellucid/failed"  # the store's key of who has the word
_SILENCE = 2.0  # seconds that a process leaves to the one that has the word, for torchrun ends all after the first


class Lost(UserError):
    """Another process of the group died or did not answer."""


@dataclass(frozen=True)
class Group:
    """This process among those of its task.

    Attributes:
        rank: its number, from 0.
        size: how many there are.
        timeout: seconds after which a process that does not answer is given up.
        store: what all of them can read and write; None for a process alone.
    """

    rank: int = 0
    size: int = 1
    timeout: float = TIMEOUT
    store: Any = None

    @property
    def lead(self) -> bool:
        """Whether this process writes and speaks."""
        return self.rank == 0

    def share(self, count: int) -> tuple[int, int]:
        """Where this process's share of so many positions starts, and how many it holds: equation (1).

        >>> [Group(rank, 3).share(8) for rank in range(3)]
        [(0, 2), (2, 3), (5, 3)]
        """
        first = count * self.rank // self.size
        return first, count * (self.rank + 1) // self.size - first

    def sum(self, x: Tensor) -> Tensor:
        """The sum over all processes, in place, the same bits for each of them.

        Raises:
            Lost: a process died, or did not answer in time.
        """
        self._run(lambda dist: dist.all_reduce(x, op=dist.ReduceOp.SUM))
        return x

    def most(self, number: int) -> int:
        """The largest of everyone's numbers; raises as `sum` does."""
        if self.size == 1:
            return number
        x = torch.tensor([number])
        self._run(lambda dist: dist.all_reduce(x, op=dist.ReduceOp.MAX))
        return int(x)

    def told(self, value: float) -> float:
        """The lead's number, such as a time by its clock; raises as `sum` does."""
        if self.size == 1:
            return value
        x = torch.tensor([value], dtype=torch.float64)
        self._run(lambda dist: dist.broadcast(x, 0))
        return x.item()

    def told_text(self, text: str) -> str:
        """The lead's text; raises as `sum` does."""
        if self.size == 1:
            return text
        content = text.encode()
        x = torch.zeros(int(self.told(len(content))), dtype=torch.uint8)
        if self.lead:
            x.copy_(torch.tensor(list(content), dtype=torch.uint8))
        self._run(lambda dist: dist.broadcast(x, 0))
        return bytes(x.tolist()).decode()

    def level(self, x: Tensor) -> None:
        """Overwrites a tensor with that of the lead; raises as `sum` does."""
        if self.size == 1:
            return
        whole = x.contiguous()  # all that travels; x itself where it is so already
        self._run(lambda dist: dist.broadcast(whole, 0))
        x.copy_(whole)

    def wait(self) -> None:
        """Returns once all have come here; raises as `sum` does."""
        self.most(0)

    def has_the_word(self) -> bool:
        """Whether this process is the first that failed, and so the one that says why."""
        try:
            return self.store is None or int(self.store.add(_WORD, 1)) == 1
        except RuntimeError:  # the process that kept the store is gone, and with it whoever could have spoken
            return True

    def _run(self, work: Callable[[Any], object]) -> None:
        if self.size == 1:
            return
        import torch.distributed as dist

        try:
            work(dist)
        except RuntimeError as error:
            raise Lost(
                f"another of the {self.size} processes ended, or did not answer for {self.timeout:g} s "
                "(PELLUCID_TIMEOUT sets how long to wait). What was saved stands: go on with pellucid resume RUN"
            ) from error


ALONE = Group()


@contextmanager
def joined() -> Iterator[Group]:
    """The group that the environment names, for as long as the work lasts; `ALONE` where it names none.

    Processes on CPUs talk by gloo; gradients on CUDA devices, one for each process of a machine, travel by NCCL.

    Raises:
        Lost: a process died or did not answer, here or in the work.
        SystemExit: another process failed and has said why.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1 or "RANK" not in os.environ:
        yield ALONE
        return
    import torch.distributed as dist

    timeout = float(os.environ.get("PELLUCID_TIMEOUT", TIMEOUT))
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    patience = timedelta(seconds=timeout)
    store, rank, size = next(iter(dist.rendezvous("env://", timeout=patience)))
    backend = "cpu:gloo,cuda:nccl" if cuda else "gloo"
    dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=patience)
    group = Group(rank, size, timeout, store)
    try:
        yield group
    except Exception as error:
        # torchrun ends all once one is gone, and this process is about to leave anyway, once it has spoken.
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        speaks = group.has_the_word()
        dist.destroy_process_group()
        # Without torchrun the lead keeps the store, in which the others have yet to see that someone speaks.
        time.sleep(_SILENCE / 4 if speaks else _SILENCE)
        if not speaks:
            raise SystemExit(2) from error
        raise
    dist.destroy_process_group()
