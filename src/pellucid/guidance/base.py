r"""What every guidance shares: its scale and the noise levels where it acts.

With c the estimate under the conditions asked for and u the one to move away from, the scale w means

    u + w (c - u)                                                                                                  (1)

so w = 1 is the plain conditional model and w = 0 is u (Ho and Salimans, "Classifier-Free Diffusion Guidance", 2022,
eq. 6, whose own w is ours minus 1). The kinds differ in what u is and in what becomes of the difference; all of them
agree at w = 1.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from ..denoisers import Denoiser
from ..foundations.errors import UserError
from ..processes.base import Process
from ..processes.gaussian import Gaussian


@dataclass(frozen=True)
class Guidance(ABC):
    """A denoiser that asks for its conditions more strongly, or in another way, than the one it wraps.

    Attributes:
        denoiser: the one that is guided.
        scale: w of equation (1).
        negative: the conditions of u, to replace those given at the call: the null label, or a negative prompt. Each a
            number or a tensor that broadcasts to (B, *).
        noise_low, noise_high: the levels of sigma/alpha, both included, between which the scale acts; outside it is 1
            (Kynkäänniemi et al., "Applying Guidance in a Limited Interval Improves Sample and Distribution Quality in
            Diffusion Models", 2024, eq. 5).

    Raises:
        UserError: a scale that is not finite or an empty interval; at a call, an interval with a process that has no
            noise levels, or conditions that do not fit one another.
    """

    denoiser: Denoiser
    scale: float
    negative: Mapping[str, Any] = field(default_factory=dict)
    noise_low: float = 0.0
    noise_high: float = math.inf

    def __post_init__(self) -> None:
        if not math.isfinite(self.scale):
            raise UserError(f"the guidance scale must be a finite number, got {self.scale}")
        if not self.noise_low < self.noise_high:
            raise UserError(f"the guidance interval is empty: from {self.noise_low} to {self.noise_high}")

    @property
    def process(self) -> Process:
        """That of the denoiser."""
        return self.denoiser.process

    @abstractmethod
    def __call__(self, x: Tensor, t: Tensor, **cond: Any) -> Tensor:
        """The guided estimate, (B, *): x of shape (B, *), t of shape () or (B,), conditions of shape (B, *)."""

    def acts(self, t: Tensor) -> Tensor | bool:
        """Where the scale acts: True everywhere, False nowhere, or a mask of t's shape, (B,), where times differ."""
        if self.scale == 1:
            return False
        if self.noise_low <= 0 and self.noise_high == math.inf:
            return True
        process = self.process
        if not isinstance(process, Gaussian):
            raise UserError("a guidance interval is given in noise levels, which only a Gaussian process has")
        noise = process.schedule.sigma(t) / process.schedule.alpha(t)
        inside = (noise >= self.noise_low) & (noise <= self.noise_high)
        count = int(inside.sum())
        return inside if 0 < count < inside.numel() else count > 0
