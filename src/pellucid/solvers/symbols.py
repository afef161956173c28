"""What solvers of symbols ask of a process."""

from __future__ import annotations

from ..denoisers import Denoiser
from ..foundations.errors import UserError
from ..processes.categorical import Categorical


def categorical(denoiser: Denoiser, solver: str) -> Categorical:
    """The denoiser's process, where it is a categorical one in continuous time.

    Raises:
        UserError: another process.
    """
    process = denoiser.process
    if not isinstance(process, Categorical):
        raise UserError(
            f"the solver {solver!r} is for symbols in continuous time; this model's process is "
            f"{type(process).__name__}: use ancestral"
        )
    return process


def masking(denoiser: Denoiser, solver: str) -> tuple[Categorical, int]:
    """The denoiser's process and its mask, where it masks.

    Raises:
        UserError: a process without a mask.
    """
    process = categorical(denoiser, solver)
    if process.mask is None:
        raise UserError(
            f"the solver {solver!r} is for masked models; this one's noise is not a mask: use ancestral or corrected"
        )
    return process, process.mask
