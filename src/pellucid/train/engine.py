"""Where, in what precision and with which other processes the network runs. The rest of training does not know."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch

from ..foundations.errors import UserError
from ..foundations.group import ALONE, Group
from ..foundations.registry import Registry

PRECISIONS: Registry[torch.dtype | None] = Registry(
    "precision", {"float32": None, "bfloat16": torch.bfloat16, "auto": None}
)


@dataclass(frozen=True)
class Engine:
    """A device, the precision of its matrix products, and the processes that share the work.

    Attributes:
        device: where the network lives.
        precision: "float32" or "bfloat16" (autocast; weights and everything else stay in float32).
        group: this process among those that train the same network.
    """

    device: torch.device
    precision: str = "float32"
    group: Group = ALONE

    def autocast(self) -> AbstractContextManager[object]:
        """The context in which the network runs."""
        dtype = PRECISIONS[self.precision]
        return nullcontext() if dtype is None else torch.autocast(self.device.type, dtype=dtype)

    def synchronize(self) -> None:
        """Waits until the device has done what it was told, so that a clock can be read."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def choose_precision(asked: str, device: torch.device, seconds_per_step: Callable[[str], float]) -> str:
    """The precision to train in.

    "auto" takes bfloat16 where the hardware has it, which only a measurement tells: some processors emulate it, many
    times slower than float32.

    Args:
        asked: a name among `PRECISIONS`.
        seconds_per_step: measures a training step in a precision.
    """
    PRECISIONS[asked]
    if asked != "auto":
        return asked
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    if not bfloat16_is_fast():
        return "float32"
    return "bfloat16" if seconds_per_step("bfloat16") < 0.8 * seconds_per_step("float32") else "float32"


def bfloat16_is_fast() -> bool:
    """Whether a small matrix product in bfloat16 is no slower than in float32: an emulated one is by far, and one such
    training step could take minutes."""

    def rate(dtype: torch.dtype) -> float:
        a = torch.ones(384, 384, dtype=dtype)
        a @ a
        best = float("inf")
        for _ in range(5):
            start = time.perf_counter()
            a @ a
            best = min(best, time.perf_counter() - start)
        return best

    return rate(torch.bfloat16) < rate(torch.float32)


def matrix_rate(size: int = 1024, *, seconds: float = 0.5, device: torch.device | None = None) -> float:
    """The rate of a float32 matrix product on this machine now, in operations a second.

    Raises:
        UserError: a size below 1.
    """
    if size < 1:
        raise UserError(f"the matrix's side must be at least 1, got {size}")
    engine = Engine(device or torch.device("cpu"))
    a = torch.randn(size, size, device=engine.device)
    a @ a
    engine.synchronize()
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        a @ a
        engine.synchronize()
        count += 1
    return 2 * size**3 * count / (time.perf_counter() - start)
