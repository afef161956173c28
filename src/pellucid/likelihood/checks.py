"""What a likelihood needs, and what is said where it is not there."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..denoisers import Denoiser
from ..foundations.errors import UserError
from ..processes.gaussian import Gaussian

_LARGEST_PRIOR_BITS = 0.01  # bits per value that the chain's end may lack of its prior
_LARGEST_SCALE = 30.0  # root mean square of scaled data; pictures in 0 .. 255 have about 100


def gaussian_process(denoiser: Denoiser) -> Gaussian:
    """The denoiser's process; only a Gaussian one has a density over its data."""
    process = denoiser.process
    if not isinstance(process, Gaussian):
        raise UserError(
            f"a density needs numbers and a Gaussian process; this model's process is {type(process).__name__}. "
            "Tokens have probabilities, not densities: use the loss of their own process"
        )
    return process


def check_data(process: Gaussian, x: Tensor, ids: Tensor | None, *, force: bool) -> Tensor:
    """Refuses data that the model cannot mean, and returns the items' ids.

    Raises:
        UserError: no items, whole numbers, NaN, unscaled data, ids that do not fit; without `force`, a chain whose end
            is not its prior.
    """
    if x.ndim < 2 or not x.numel():
        raise UserError(f"data have the shape (B, ...) with at least one item of one value, got {tuple(x.shape)}")
    if not x.is_floating_point():
        raise UserError(f"data are scaled floating-point numbers, got {x.dtype}: encode them as the model's were")
    if not bool(torch.isfinite(x).all()):
        bad = (~torch.isfinite(x.flatten(1))).any(1).nonzero()[:, 0].tolist()
        raise UserError(f"items {bad[:5]} hold NaN or infinite numbers: leave them out")
    scale = x.double().square().mean().sqrt().item()
    if scale > _LARGEST_SCALE and not force:
        raise UserError(
            f"the data's root mean square is {scale:.4g}: they look unscaled (models see pictures in [-1, 1] and "
            "points of unit variance). Encode them as the model's were, or pass force=True if they are"
        )
    bits = process.prior_kl(x.double()).mean().item() / (x[0].numel() * math.log(2))
    if bits > _LARGEST_PRIOR_BITS and not force:
        raise UserError(
            f"the process does not end in its prior: {bits:.3g} bits per value are left at t = 1, at most "
            f"{_LARGEST_PRIOR_BITS} are allowed. Use a schedule that ends noisier, or pass force=True"
        )
    if ids is None:
        return torch.arange(len(x), device=x.device)
    if ids.shape != (len(x),):
        raise UserError(f"ids must have the shape ({len(x)},), got {tuple(ids.shape)}")
    return ids.to(x.device, torch.int64)


def check_count(name: str, value: int, least: int, most: int | None = None) -> int:
    """A number of steps, probes or the like within its range."""
    if value < least or (most is not None and value > most):
        upper = "" if most is None else f" and at most {most}"
        raise UserError(f"{name} must be at least {least}{upper}, got {value}")
    return value


def noise_range(process: Gaussian, noise_min: float) -> tuple[float, float]:
    """(noise_min, the largest sigma/alpha), after a look at their order."""
    one = torch.ones((), dtype=torch.float64)
    largest = (process.schedule.sigma(one) / process.schedule.alpha(one)).item()
    if not 0 < noise_min < largest:
        raise UserError(f"noise_min must lie between 0 and the schedule's largest noise {largest:.4g}, got {noise_min}")
    return noise_min, largest
