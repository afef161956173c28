"""The weighted error of the denoised estimate: as it is, and as an unbiased estimate of an integral over time."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ..denoisers import Denoiser
from ..processes.gaussian import Gaussian
from .densities import TimeDensity


def denoising_loss(denoiser: Denoiser, x0: Tensor, t: Tensor, noise: Tensor, **cond: Any) -> Tensor:
    """The process's loss of the denoised estimate at times t, shape (B,).

    Args:
        denoiser: E[x_0 given x_t] with its process.
        x0: data, (B, *).
        t: times, (B,).
        noise: the process's randomness, (B, *).
        cond: conditions, passed to the denoiser.
    """
    process = denoiser.process
    # Through __call__, so that distributed wrappers, compilation and hooks see it.
    return process.loss(denoiser(process.corrupt(x0, t, noise), t, **cond), x0, t)


def corrected_loss(
    denoiser: Denoiser, x0: Tensor, t: Tensor, noise: Tensor, density: TimeDensity, **cond: Any
) -> Tensor:
    """`denoising_loss` over the density of its times, shape (B,): with t drawn from the density its mean is the
    integral of w(t) E|x_0 - x0hat|^2 dt, whatever the density. With the weighting "likelihood" that is the diffusion
    term of the variational bound, in nats for each value."""
    process = denoiser.process
    assert isinstance(process, Gaussian)
    return denoising_loss(denoiser, x0, t, noise, **cond) / density.density(process.schedule, t)
