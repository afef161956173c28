"""What solvers of symbols, and those who use them, ask of a process."""

from __future__ import annotations

from ..denoisers import Denoiser
from ..foundations.errors import UserError
from ..processes.categorical import Categorical


def categorical(denoiser: Denoiser, use: str) -> Categorical:
    """The denoiser's process, where it is a categorical one in continuous time.

    Raises:
        UserError: another process.
    """
    process = denoiser.process
    if not isinstance(process, Categorical):
        raise UserError(f"{use} is for symbols in continuous time; this model's process is {type(process).__name__}")
    return process


def masking(denoiser: Denoiser, use: str) -> tuple[Categorical, int]:
    """The denoiser's process and its mask, where it masks.

    Raises:
        UserError: a process without a mask.
    """
    process = categorical(denoiser, use)
    if process.mask is None:
        raise UserError(f"{use} is for masked models, and this one's noise is not a mask")
    return process, process.mask
