r"""Membership: whether a model's errors tell what it was trained on. Each statistic is higher for members.

With n = sigma/alpha a level of noise, t the time where the schedule has it, and x_t = alpha x_0 + sigma z,

    loss    -|x_0 - x0hat(x_t, t)|^2 / D over fixed levels and fixed draws of z, the same for all items              (1)
    secmi   -|x_t - x_t'|^2 / (alpha sigma)^2 / D, with x_t' one deterministic step up in noise and down again,
            from the x_t that deterministic steps lead to from x_0 (Duan et al., "Are Diffusion Models Vulnerable to
            Membership Inference Attacks?", 2023, the t-error)                                                       (2)
    pia     -|z_0 - zhat(alpha x_0 + sigma z_0, t)|^2 / D, with z_0 = zhat(x_0, 0), the noise that the model sees
            in the item itself (Kong et al., "An Efficient Membership Inference Attack for the Diffusion Model by
            Proximal Initialization", 2023)                                                                          (3)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from ..denoisers import Denoiser, eps_from_x0
from ..foundations.errors import UserError
from ..foundations.registry import Registry
from ..foundations.rng import Stream, subseed
from ..likelihood.checks import gaussian_process
from ..metrics.base import order
from ..processes.gaussian import Gaussian
from .roc import Curve, curve

LEVELS = (0.1, 0.2, 0.4, 0.8)  # times the data's root mean square
_BATCH = 256


class Statistic(Protocol):
    """A number for each item, higher for members."""

    def __call__(self, denoiser: Denoiser, x: Tensor, levels: Sequence[float], **cond: Any) -> Tensor:
        """Items (B, *) to (B,); `levels` are those of sigma/alpha."""
        ...


@dataclass(frozen=True)
class Loss:
    """Equation (1).

    Attributes:
        draws: of the noise at each level.
        seed: of the draws.
    """

    draws: int = 4
    seed: int = 0

    def __call__(self, denoiser: Denoiser, x: Tensor, levels: Sequence[float], **cond: Any) -> Tensor:
        process = gaussian_process(denoiser)
        # One noise for all items: what differs between them is the items, not their luck.
        stream = Stream.of(subseed(self.seed, "membership"), [0], device=x.device)
        drawn = stream.normal(x.shape[1:], step=0, num_steps=len(levels), num_draws=self.draws)
        total = x.new_zeros(len(x), dtype=torch.float64)
        for level, noises in zip(levels, drawn, strict=True):
            t = time_of(process, level, x)
            # Errors fall with the level by orders: a mean of logarithms gives each level its say.
            errors = torch.stack(
                [_mean_square(x - denoiser(process.corrupt(x, t, z.expand_as(x)), t, **cond)) for z in noises]
            )
            total += errors.mean(0).clamp_min(1e-300).log()
        return -total / len(levels)


@dataclass(frozen=True)
class SecMI:
    """Equation (2), its mean over the levels' logarithms.

    Attributes:
        steps: deterministic steps from the item to each level.
        stride: ratio of the level one step up to the level itself.
    """

    steps: int = 4
    stride: float = 1.5

    def __call__(self, denoiser: Denoiser, x: Tensor, levels: Sequence[float], **cond: Any) -> Tensor:
        process = gaussian_process(denoiser)
        total = x.new_zeros(len(x), dtype=torch.float64)
        for level in levels:
            ways = [level * (i + 1) / self.steps for i in range(self.steps)]
            state = process.scales(time_of(process, ways[0], x), x)[0] * x
            for low, high in zip(ways, [*ways[1:], level * self.stride], strict=True):
                before, t, s = state, time_of(process, low, x), time_of(process, high, x)
                state = _moved(denoiser, process, state, t, s, cond)
            back = _moved(denoiser, process, state, s, t, cond)
            alpha, sigma = process.scales(t, x)
            total += _mean_square((back - before) / (alpha * sigma)).clamp_min(1e-300).log()
        return -total / len(levels)


@dataclass(frozen=True)
class PIA:
    """Equation (3), its mean over the levels' logarithms.

    Attributes:
        least: the level that stands for 0, over the lowest of the others.
    """

    least: float = 0.2

    def __call__(self, denoiser: Denoiser, x: Tensor, levels: Sequence[float], **cond: Any) -> Tensor:
        process = gaussian_process(denoiser)
        start = time_of(process, self.least * min(levels), x)
        scaled = process.scales(start, x)[0] * x
        seen = eps_from_x0(process, scaled, denoiser(scaled, start, **cond), start)
        total = x.new_zeros(len(x), dtype=torch.float64)
        for level in levels:
            t = time_of(process, level, x)
            noisy = process.corrupt(x, t, seen)
            error = seen - eps_from_x0(process, noisy, denoiser(noisy, t, **cond), t)
            total += _mean_square(error).clamp_min(1e-300).log()
        return -total / len(levels)


STATISTICS: Registry[Callable[[], Statistic]] = Registry(
    "statistic of membership", {"loss": Loss, "secmi": SecMI, "pia": PIA}
)


@torch.no_grad()
def membership_scores(
    denoiser: Denoiser,
    items: Tensor,
    *,
    statistic: str | Statistic = "loss",
    levels: Sequence[float] | None = None,
    sigma_data: float = 1.0,
    batch_size: int = _BATCH,
    cond: Mapping[str, Tensor] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Tensor:
    """A statistic of each item, (N, *) to (N,), float64, higher for members.

    Args:
        denoiser: of a Gaussian process.
        items: in the model's scale.
        statistic: a name among `STATISTICS`, or one.
        levels: of sigma/alpha; `LEVELS` times sigma_data if absent.
        sigma_data: the data's root mean square.
        batch_size: items at once.
        cond: conditions of all items, (N, *) each.
        progress: called with the items done and in all.

    Raises:
        UserError: an unknown name, levels that are not positive, or a process that is not Gaussian.
    """
    chosen = [level * sigma_data for level in LEVELS] if levels is None else list(levels)
    if not chosen or min(chosen) <= 0 or not all(map(math.isfinite, chosen)):
        raise UserError(f"levels of noise are positive numbers, got {chosen}")
    function = STATISTICS[statistic]() if isinstance(statistic, str) else statistic
    parts = []
    for start in range(0, len(items), batch_size):
        part = items[start : start + batch_size]
        given = {name: value[start : start + batch_size] for name, value in (cond or {}).items()}
        parts.append(function(denoiser, part, chosen, **given).cpu())
        if progress is not None:
            progress(min(start + batch_size, len(items)), len(items))
    return torch.cat(parts)


def membership(name: str, members: Tensor, others: Tensor, *, seed: int = 0) -> tuple[Curve, Curve]:
    """The curve of a statistic, and its control: the others against themselves in two halves, which must tell nothing.

    Args:
        name: of the statistic.
        members, others: its values, (n,) and (m,).
        seed: of the halves.
    """
    mixed = others[order(len(others), seed, "control")]  # data often come sorted by class
    half = len(others) // 2
    return curve(name, members, others), curve(f"{name}, control", mixed[:half], mixed[half : 2 * half])


def time_of(process: Gaussian, level: float, x: Tensor) -> Tensor:
    """The time at which sigma/alpha is `level`, shape (), as x."""
    return process.schedule.time(torch.tensor(-2 * math.log(level), dtype=torch.float64)).to(x)


def _moved(
    denoiser: Denoiser, process: Gaussian, x: Tensor, t: Tensor, s: Tensor, cond: Mapping[str, Tensor]
) -> Tensor:
    """One deterministic step from t to s, up or down."""
    x0 = denoiser(x, t, **cond)
    alpha, sigma = process.scales(s, x)
    return alpha * x0 + sigma * eps_from_x0(process, x, x0, t)


def _mean_square(error: Tensor) -> Tensor:
    return error.double().flatten(1).square().mean(1)
