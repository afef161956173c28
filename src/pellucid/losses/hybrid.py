r"""The variational bound as a loss, and the hybrid with it that learns variances.

One term of the bound is the divergence of two normal steps from t to s < t. With r the lower variance over the step's
own, and e = x_0 - x0hat,

    L_{t-1} = 1/2 sum over values of (SNR_s - SNR_t) r e^2 + r - 1 - log r                                         (1)

(equation (2) of `likelihood.bound`). The lower variance, r = 1, leaves the weighted error of x_0 alone. With a learned
v, r = (lower/upper)^v, and the hybrid loss is

    L_simple + share T L_{t-1}, the mean x0hat held fixed in the second part                                       (2)

(Nichol and Dhariwal, "Improved Denoising Diffusion Probabilistic Models", 2021, equations 15 and 16), so that v alone
learns from the bound, and the mean from the simple loss.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..denoisers import Denoiser, NetworkDenoiser
from ..foundations.errors import UserError
from ..foundations.tensors import pad
from ..processes.gaussian import Gaussian
from ..processes.schedules import Betas, Schedule
from ..processes.weightings import step_before

# The chain that stands for continuous time: its steps in log-SNR, which together span nine decades, and their number.
_STEP, _COUNT = 0.02, 1000
SHARE = 1e-3


def earlier(schedule: Schedule, t: Tensor) -> tuple[Tensor, Tensor]:
    """The time s of the step from t, in float64, and T: the chain's own step, or where time is continuous that of a
    chain of 1,000 steps of 0.02 in log-SNR."""
    wide = t.double()
    if isinstance(schedule, Betas):
        return step_before(schedule, t), torch.full_like(wide, schedule.num_steps)
    return schedule.time(schedule.log_snr(wide) + _STEP), torch.full_like(wide, _COUNT)


def step_divergence(process: Gaussian, x0hat: Tensor, x0: Tensor, t: Tensor, s: Tensor, v: Tensor | None) -> Tensor:
    """Equation (1) in nats for each value, (B,). A step to s = 0, whose lower variance is zero, gives 0.

    Args:
        process: for the schedule.
        x0hat: the denoised estimate, (B, *).
        x0: the data, (B, *).
        t, s: times, (B,), s < t.
        v: where the log-variance lies between its bounds, (B, *); None: the lower bound.
    """
    schedule = process.schedule
    later, sooner = schedule.log_snr(t.double()), schedule.log_snr(s.double())
    inner = s > 0
    sooner = torch.where(inner, sooner, later)  # no infinities, whose gradients would be no numbers
    gap = later.exp() * torch.expm1(sooner - later)
    error = (x0hat - x0).square()
    if v is None:
        return ((0.5 * gap).to(x0) * error.flatten(1).mean(1)).where(inner, 0.0)
    sigma_t, sigma_s = schedule.sigma(t.double()), schedule.sigma(torch.where(inner, s.double(), t.double()))
    log_r = v * pad((2 * (sigma_s / sigma_t).log()).to(x0), x0)
    each = 0.5 * (pad(gap.to(x0), x0) * log_r.exp() * error + torch.expm1(log_r) - log_r)
    return each.flatten(1).mean(1).where(inner, 0.0)


def bound_loss(denoiser: Denoiser, x0: Tensor, t: Tensor, noise: Tensor, **cond: Any) -> Tensor:
    """T L_{t-1} with the lower variance, and on the first step T times the square of a normal decoder of width
    sigma/alpha, (B,), in nats for each value: with t uniform on the steps of a chain its mean is the bound's sum, up to
    terms that do not depend on the denoiser.

    Raises:
        UserError: a process whose schedule is no discrete chain.
    """
    process = denoiser.process
    if not isinstance(process, Gaussian) or not isinstance(process.schedule, Betas):
        raise UserError("the bound's sum needs a discrete chain; in continuous time take the weighting 'likelihood'")
    x0hat = denoiser(process.corrupt(x0, t, noise), t, **cond)
    s, count = earlier(process.schedule, t)
    snr = process.schedule.log_snr(t.double()).exp().to(x0)
    decoded = 0.5 * snr * (x0hat - x0).square().flatten(1).mean(1)
    return count.to(x0) * torch.where(s > 0, step_divergence(process, x0hat, x0, t, s, None), decoded)


def hybrid_loss(
    denoiser: NetworkDenoiser, x0: Tensor, t: Tensor, noise: Tensor, *, share: float = SHARE, **cond: Any
) -> Tensor:
    """Equation (2), (B,).

    Args:
        denoiser: with a learned variance.
        x0: data, (B, *).
        t: times, (B,).
        noise: the process's randomness, (B, *).
        share: of the bound.
        cond: conditions, passed to the denoiser.
    """
    process = denoiser.process
    x0hat, v = denoiser.moments(process.corrupt(x0, t, noise), t, **cond)
    s, count = earlier(process.schedule, t)
    bound = count.to(x0) * step_divergence(process, x0hat.detach(), x0, t, s, v)
    return process.loss(x0hat, x0, t) + share * bound
