"""Training a classifier of noisy data."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ..foundations.errors import UserError
from ..foundations.rng import Stream, subseed
from ..losses.densities import DENSITIES, TimeDensity
from ..processes.gaussian import Gaussian
from .noisy_classifier import NoisyClassifier

_WARM_UP = 0.05


def train_noisy_classifier(
    process: Gaussian,
    items: Tensor,
    labels: Tensor,
    num_classes: int,
    *,
    steps: int = 2000,
    batch_size: int = 128,
    learning_rate: float = 2e-3,
    width: int = 64,
    density: TimeDensity | None = None,
    seed: int = 0,
) -> NoisyClassifier:
    """Learns log p(y given x_t) from items with labels: the cross-entropy at x_t = alpha x_0 + sigma z, with t from
    the density.

    AdamW with a warm-up and a cosine decay. Which item, time and noise a step sees is a function of the seed and its
    number, so the result is one of the arguments alone.

    Args:
        process: makes x_t.
        items: (N, *), in the denoiser's scale.
        labels: (N,) int64, from 0 to num_classes - 1, each at least once.
        num_classes: K.
        steps: of training.
        batch_size: items a step, drawn with replacement.
        learning_rate: its peak.
        width: of the network.
        density: of the times; log-uniform in the noise from 0.02 of the data's standard deviation if None.
        seed: of the initial weights and all draws; torch's own generator is left as it was.

    Returns:
        The classifier, in evaluation mode, its weights frozen.

    Raises:
        UserError: labels that do not fit the items or the number of classes, or a class without items.
    """
    if labels.shape != items.shape[:1] or labels.is_floating_point() or not len(items):
        raise UserError(
            f"items of shape {tuple(items.shape)} with labels of shape {tuple(labels.shape)} and type {labels.dtype}: "
            "give (N, *) items and (N,) whole numbers"
        )
    if bool(((labels < 0) | (labels >= num_classes)).any()):
        raise UserError(f"labels run from 0 to {num_classes - 1}, got {int(labels.min())} to {int(labels.max())}")
    counts = torch.bincount(labels, minlength=num_classes)
    if not bool((counts > 0).all()):
        missing = [k for k, count in enumerate(counts.tolist()) if not count]
        raise UserError(f"a classifier needs items of every class; there are none of {missing}")
    data_std = float(items.std(correction=0)) or 1.0
    density = DENSITIES["log-uniform"](noise_min=0.02 * data_std) if density is None else density
    shape, device = items.shape[1:], items.device
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(subseed(seed, "classifier weights") % (1 << 63))
        network = NoisyClassifier(process, shape, num_classes, width=width, data_std=data_std).to(items)
    network.log_prior.copy_((counts / counts.sum()).log())
    optimizer = torch.optim.AdamW(network.parameters(), lr=learning_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step / steps))
    network.train()
    for step in range(steps):
        stream = Stream.of(subseed(seed, "classifier"), range(step * batch_size, (step + 1) * batch_size), device)
        which, when = stream.uniform((2,), step=0)[0, 0].unbind(1)
        chosen = (which.double() * len(items)).long()
        t = density.times(process.schedule, when).to(items.dtype)
        noise = stream.normal(shape, step=1)[0, 0].to(items.dtype)
        loss = F.cross_entropy(network.logits(process.corrupt(items[chosen], t, noise), t), labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return network.eval().requires_grad_(False)


def _rate(done: float) -> float:
    return min(1.0, (done + 1e-3) / _WARM_UP) * 0.5 * (1 + math.cos(math.pi * done))
