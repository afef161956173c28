r"""The last step of the variational bound: p(x_0 given x_t1), with m the denoised estimate and rho = sigma/alpha at t1.

    normal        N(x_0; m, w^2 I)                                                                                 (1)
    discretised   N(m, w^2) integrated over the bin of each value, the outer bins open to infinity                 (2)
    categorical   the levels l in proportion to N(x_t1/alpha; l, rho^2), without the network                       (3)

(2): Ho et al., "Denoising Diffusion Probabilistic Models", 2020, eq. 13. (3): Kingma et al., "Variational Diffusion
Models", 2021, section 3.3. The width w is rho unless given: that of the posterior where the density is flat.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.special import log_ndtr

from ..foundations.errors import UserError
from ..foundations.registry import Registry

_BIN = 1 / 127.5  # the spacing of 8-bit pictures in [-1, 1]


class Decoder(ABC):
    """-log p(x_0 given x_t1) in nats."""

    discrete: bool = True  # whether it is a probability (of bins), not a density

    @abstractmethod
    def nll(self, x0: Tensor, mean: Tensor, y: Tensor, noise: float) -> Tensor:
        """-log p(x_0 given x_t1), shape (B,).

        Args:
            x0: the data, (B, *).
            mean: the denoised estimate, (B, *).
            y: x_t1 / alpha, (B, *).
            noise: rho at t1.
        """

    def slope(self, noise: float) -> float:
        """d nll / d (|x_0 - mean|^2 / rho^2) where it is that simple, for the control variate; else 0."""
        return 0.0

    def noise_min(self) -> float:
        """The rho at which the diffusion's part of the bound best hands over to this decoder."""
        return 1e-3


@dataclass(frozen=True)
class Normal(Decoder):
    """Equation (1), for continuous data. `width` is w."""

    width: float | None = None
    discrete = False

    def __post_init__(self) -> None:
        _positive_width(self.width)

    def nll(self, x0: Tensor, mean: Tensor, y: Tensor, noise: float) -> Tensor:
        w = self.width or noise
        error = ((x0 - mean) / w).double().square()
        return 0.5 * (error + math.log(2 * math.pi * w**2)).flatten(1).sum(1)

    def slope(self, noise: float) -> float:
        return 0.5 * (noise / (self.width or noise)) ** 2


@dataclass(frozen=True)
class Discretised(Decoder):
    """Equation (2), for data on `levels` levels from -1, spaced by `bin_width`."""

    width: float | None = None
    bin_width: float = _BIN
    levels: int = 256

    def __post_init__(self) -> None:
        _positive_width(self.width)

    def nll(self, x0: Tensor, mean: Tensor, y: Tensor, noise: float) -> Tensor:
        w = self.width or noise
        k = _level(x0, self.bin_width, self.levels)
        centre, mean = k * self.bin_width - 1, mean.double()
        low = torch.where(k > 0, (centre - self.bin_width / 2 - mean) / w, -math.inf)
        high = torch.where(k < self.levels - 1, (centre + self.bin_width / 2 - mean) / w, math.inf)
        return -_log_between(low, high).flatten(1).sum(1)

    def noise_min(self) -> float:
        # Below half a bin the levels are apart already, and a network whose error there is not far below rho gives
        # away 1/2 nat for each value and unit of log-SNR.
        return self.bin_width / 2


@dataclass(frozen=True)
class Categorical(Decoder):
    """Equation (3), for data on `levels` levels from -1, spaced by `bin_width`."""

    bin_width: float = _BIN
    levels: int = 256

    def nll(self, x0: Tensor, mean: Tensor, y: Tensor, noise: float) -> Tensor:
        k = _level(x0, self.bin_width, self.levels)
        values = torch.arange(self.levels, dtype=torch.float64, device=x0.device) * self.bin_width - 1
        logits = -0.5 * ((y.double()[..., None] - values) / noise).square()
        picked = logits.log_softmax(-1).gather(-1, k.long()[..., None])[..., 0]
        return -picked.flatten(1).sum(1)

    def noise_min(self) -> float:
        return self.bin_width / 2


def _positive_width(width: float | None) -> None:
    if width is not None and not 0 < width < math.inf:
        raise UserError(f"the decoder's width must be a positive number, got {width}")


def _level(x0: Tensor, bin_width: float, levels: int) -> Tensor:
    """The index of each value's level, float64; data off the levels are refused."""
    place = (x0.double() + 1) / bin_width
    k = place.round()
    if bool(((place - k).abs() > 0.05).any()) or bool((k < 0).any()) or bool((k > levels - 1).any()):
        raise UserError(
            f"a discrete decoder needs data on its {levels} levels, from -1 in steps of {bin_width:.6g}: encode 8-bit "
            "pictures as u / 127.5 - 1, or use decoder='normal' for continuous data"
        )
    return k


def _log_between(low: Tensor, high: Tensor) -> Tensor:
    """log(Phi(high) - Phi(low)), on the side of zero where both tails are small."""
    flip = low + high > 0
    a, b = torch.where(flip, -high, low), torch.where(flip, -low, high)
    return log_ndtr(b) + torch.log(-torch.expm1(log_ndtr(a) - log_ndtr(b)))


DECODERS: Registry[Callable[..., Decoder]] = Registry(
    "decoder", {"normal": Normal, "discretised": Discretised, "categorical": Categorical}
)
