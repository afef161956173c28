"""What every solver of a Gaussian process starts with."""

from __future__ import annotations

from ..denoisers import Denoiser
from ..foundations.errors import UserError
from ..processes.gaussian import Gaussian


def gaussian_process(denoiser: Denoiser) -> Gaussian:
    """The denoiser's process, which must be Gaussian.

    Raises:
        UserError: a solver for numbers was asked to move tokens.
    """
    process = denoiser.process
    if not isinstance(process, Gaussian):
        raise UserError(
            f"this solver moves a Gaussian process, got {type(process).__name__}; 'ancestral' serves every process"
        )
    return process
