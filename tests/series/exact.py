"""Models of signals whose law is known exactly."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pellucid.config import ProcessSettings, SamplingSettings
from pellucid.data.codecs import SignalCodec
from pellucid.denoisers import wrap
from pellucid.model import Card, Model, make_process
from pellucid.nn import NetworkSpec
from pellucid.oracles import gaussian_oracle


class Exact(nn.Module):
    """An oracle in a network's place; it is told the time itself."""

    def __init__(self, oracle) -> None:
        super().__init__()
        self.oracle = oracle
        self.nothing = nn.Parameter(torch.zeros(()), requires_grad=False)  # says on which device it lives

    def forward(self, x: Tensor, t: Tensor, **cond: Tensor) -> Tensor:
        return self.oracle(x, t)


def gaussian_model(mean: Tensor, covariance: Tensor, *, offset=0.0, unit=1.0) -> Model:
    """The model of the law N(mean, covariance) of signals (C, L), in units where it is offset + unit x."""
    process = ProcessSettings(sigma_data=1.0)
    forward = make_process(process)
    channels, length = mean.shape
    denoiser = wrap(Exact(gaussian_oracle(forward, mean, covariance)), forward, "x0", told=lambda t: t)
    codec = SignalCodec(length, (offset,) * channels, (unit,) * channels)
    spec = NetworkSpec("unet", (channels, length), width=8, multipliers=(1,))
    facts = {"name": "exact", "sha256": "0" * 64, "train": 0, "held_out": 0, "rejected": [], "source": None}
    return Model(denoiser.eval(), Card(spec, process, codec, (), SamplingSettings(), facts), "0" * 64)


def kernel(length: int, scale: float = 3.0) -> Tensor:
    """The covariance of a Gaussian process at steps 0 ... length - 1: exp(-|i - j| / scale), and 1 on its diagonal."""
    steps = torch.arange(length).float()
    return (-(steps[:, None] - steps).abs() / scale).exp()


def conditional(covariance: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
    """The gain G and the covariance of x_b given x_a of a centred Gaussian: E[x_b | x_a] = G x_a."""
    a, b = seen.nonzero()[:, 0], (~seen).nonzero()[:, 0]
    gain = torch.linalg.solve(covariance[a][:, a], covariance[a][:, b]).T
    return gain, covariance[b][:, b] - gain @ covariance[a][:, b]
