r"""Masked symbols one after another, at the very times at which the reverse process restores them.

Given x_t, a masked place is restored at a time of its own, at which 1 - alpha is uniform in (0, 1 - alpha_t). So the
times of all places are known at once, and between two of them nothing happens (Zheng et al., "Masked Diffusion Models
are Secretly Time-Agnostic Masked Models and Exploit Inaccurate Categorical Sampling", 2024). Asking
the denoiser at each of these times, and only then, simulates the reverse process without any error in time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..denoisers import Denoiser
from ..processes.symbols import pick
from .base import on_rows
from .symbols import masking


@dataclass(frozen=True)
class FirstHitting:
    """Restores the symbols whose times lie within the step, each with a call of the denoiser of its own.

    Exact on any grid, for the reverse process of the denoiser. A whole run calls the denoiser as often as an item has
    places where it is one step long, at least as often otherwise; an item that has nothing to restore is left out.
    """

    draws: ClassVar[int] = 2
    evaluations: ClassVar[int] = 1
    order: ClassVar[int] = 1

    def __call__(
        self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, noise: Tensor, carry: Any
    ) -> tuple[Tensor, Any]:
        process, mask = masking(denoiser, "the solver first-hitting")
        shape, x = x.shape, x.flatten(1)
        when, what = noise.flatten(2)
        level = when * process.survival.lost(t).item()  # 1 - alpha at which a place is restored
        level = torch.where((x == mask) & (level >= process.survival.lost(s).item()), level, -1.0)
        level, order = level.sort(dim=1, descending=True)
        for k in range(int((level >= 0).sum(1).amax())):
            rows = (level[:, k] >= 0).nonzero()[:, 0]
            place = order[rows, k]
            times = process.survival.time(level[:, k].clamp_min(0))
            logits = on_rows(denoiser, x.reshape(shape), times, rows).flatten(1, -2)
            law = logits[torch.arange(len(rows), device=x.device), place].double().softmax(-1)
            x = x.index_put((rows, place), pick(law, what[rows, place]))
        return x.reshape(shape), carry
