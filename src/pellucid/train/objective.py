"""The loss of a batch under a run's settings: which of the losses it is, and what it is multiplied by."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from ..denoisers import NetworkDenoiser
from ..losses import denoising_loss, hybrid_loss
from .batches import Batch


def objective(denoiser: NetworkDenoiser, batch: Batch) -> Tensor:
    """The losses of a batch, (B,): the hybrid one where the denoiser learns its variance."""
    loss: Callable[..., Tensor] = hybrid_loss if denoiser.learned_variance else denoising_loss
    losses = loss(denoiser, batch.x0, batch.t, batch.noise, **batch.cond)
    return losses if batch.factor is None else losses * batch.factor
