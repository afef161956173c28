"""Fitting a small module to any loss in a few lines: for experiments, where a run folder would be too much."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn

from . import ema

M = TypeVar("M", bound=nn.Module)


def fit(
    module: M, loss: Callable[[int], Tensor], *, num_steps: int, lr: float = 2e-3, width: float = 0.1, clip: float = 1.0
) -> M:
    """Adam steps on a loss, with a learning rate that falls to zero as a cosine; returns the weights' average.

    Args:
        module: what learns, in place.
        loss: called as loss(step), step = 1 ... num_steps; returns a number to minimise, shape ().
        lr: the first learning rate.
        width: the average's relative width, in (0, 0.28] (`train.ema`, equation 2).
        clip: the largest norm of the gradient.
    """
    average = copy.deepcopy(module).eval().requires_grad_(False)
    weights, averages = list(module.parameters()), list(average.parameters())
    optimizer = torch.optim.Adam(weights, lr=lr, betas=(0.9, 0.99), fused=True)
    gamma = ema.exponent(width)
    for step in range(1, num_steps + 1):
        for group in optimizer.param_groups:
            group["lr"] = lr * 0.5 * (1 + math.cos(math.pi * (step - 1) / num_steps))
        optimizer.zero_grad()
        loss(step).backward()
        nn.utils.clip_grad_norm_(weights, clip)
        optimizer.step()
        ema.update(averages, weights, step, gamma)
    return average
