r"""Guidance: denoiser to denoiser. It runs under every solver and with every restoration.

The scale w means u + w (c - u), with u the unconditional and c the conditional estimate: w = 1 is the plain conditional
model, w = 0 the unconditional one (Ho and Salimans, "Classifier-Free Diffusion Guidance", 2022, eq. 6, whose own w is
ours minus 1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from .denoisers import Denoiser
from .foundations.errors import UserError
from .foundations.tensors import pad
from .processes.base import Process
from .processes.gaussian import Gaussian


@dataclass(frozen=True)
class Guided:
    """Classifier-free guidance with one batched network call for both branches.

    Attributes:
        denoiser: trained with conditions that were dropped part of the time.
        scale: w of the module's formula.
        negative: the conditions of u, to replace those given at the call: the null label, or a negative prompt.
        noise_low, noise_high: the levels of sigma/alpha between which guidance acts; outside, the plain conditional
            estimate (Kynkäänniemi et al., "Applying Guidance in a Limited Interval Improves Sample and Distribution
            Quality in Diffusion Models", 2024).

    Raises:
        UserError: an empty interval; at a call, an interval with a process that has no noise levels.
    """

    denoiser: Denoiser
    scale: float
    negative: Mapping[str, Any] = field(default_factory=dict)
    noise_low: float = 0.0
    noise_high: float = float("inf")

    def __post_init__(self) -> None:
        if not self.noise_low < self.noise_high:
            raise UserError(f"the guidance interval is empty: from {self.noise_low} to {self.noise_high}")

    @property
    def process(self) -> Process:
        return self.denoiser.process

    def __call__(self, x: Tensor, t: Tensor, **cond: Any) -> Tensor:
        inside = self._inside(t)
        if self.scale == 1 or (inside is not None and not bool(inside.any())):
            return self.denoiser(x, t, **cond)
        both = {name: _join(value, self.negative.get(name, value)) for name, value in cond.items()}
        times = t if t.ndim == 0 else torch.cat([t, t])
        positive, negative = self.denoiser(torch.cat([x, x]), times, **both).chunk(2)
        if inside is None:
            return torch.lerp(negative, positive, self.scale)
        scale = torch.where(inside, self.scale, 1.0).to(positive.dtype)
        return torch.lerp(negative, positive, pad(scale, positive))

    def _inside(self, t: Tensor) -> Tensor | None:
        """Which times lie in the interval, shaped like t; None where guidance acts everywhere."""
        if self.noise_low == 0 and self.noise_high == float("inf"):
            return None
        process = self.denoiser.process
        if not isinstance(process, Gaussian):
            raise UserError("a guidance interval is given in noise levels, which only a Gaussian process has")
        noise = process.schedule.sigma(t) / process.schedule.alpha(t)
        return (noise >= self.noise_low) & (noise <= self.noise_high)


def _join(positive: Any, negative: Any) -> Any:
    if isinstance(positive, Tensor):
        negative = torch.as_tensor(negative, dtype=positive.dtype, device=positive.device)
        return torch.cat([positive, negative.expand_as(positive)])
    return positive
