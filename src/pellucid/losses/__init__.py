"""Layer 2: training losses, and where in time they are measured.

The loss of one item is measured at one random time: E over t ~ density and noise of
process.loss(denoiser(x_t, t), x_0, t), or one of the richer ones of this folder.
"""

from .denoising import corrected_loss, denoising_loss
from .densities import DENSITIES, Importance, LogitNormal, LogNormal, LogUniform, TimeDensity, Uniform, stratify
from .history import LossHistory
from .hybrid import bound_loss, hybrid_loss, step_divergence
from .tokens import token_loss, token_losses
from .uncertainty import Uncertainty

__all__ = [
    "DENSITIES",
    "Importance",
    "LogNormal",
    "LogUniform",
    "LogitNormal",
    "LossHistory",
    "TimeDensity",
    "Uncertainty",
    "Uniform",
    "bound_loss",
    "corrected_loss",
    "denoising_loss",
    "hybrid_loss",
    "step_divergence",
    "stratify",
    "token_loss",
    "token_losses",
]
