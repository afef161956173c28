r"""A latent model where everything is known: a linear Gaussian autoencoder and a Gaussian law of its latents.

    e ~ N(mu, diag(v)),  x = W e + m + s n,      p(x) = N(W mu + m, W diag(v) W' + s^2 I)

With orthogonal columns of W the posterior q(e given x) is diagonal, and the encoder gives it exactly. The codec's
constants are neither mu nor v, so that z = (e - mean)/std has a law of its own, N((mu - mean)/std, diag(v/std^2)).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pellucid.autoencoders import VAE, AutoencoderSpec, Normal
from pellucid.data.codecs import PointsCodec
from pellucid.latents.codec import LatentCodec
from pellucid.nn import NetworkSpec
from pellucid.oracles import MixtureOracle, gaussian_oracle
from pellucid.processes.gaussian import Gaussian
from pellucid.processes.schedules import VP

D, L, S = 6, 3, 0.3
F64 = torch.float64


class LinearLatent:
    """The model: its parts, its codec, its evidence, and items drawn from it."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(3)
        q, _ = torch.linalg.qr(torch.randn(D, L, generator=generator, dtype=F64))
        self.w = q * torch.tensor([1.4, 0.8, 0.5], dtype=F64)
        self.m = torch.randn(D, generator=generator, dtype=F64)
        self.mu = torch.tensor([0.5, -1.0, 0.2], dtype=F64)
        self.v = torch.tensor([2.0, 0.7, 1.3], dtype=F64)
        e = self.mu + self.v.sqrt() * torch.randn(32, L, generator=generator, dtype=F64)
        self.x = e @ self.w.T + self.m + S * torch.randn(32, D, generator=generator, dtype=F64)
        self.mean, self.std = (0.3, -0.6, 0.1), (1.2, 0.9, 1.0)

    @property
    def codec(self) -> LatentCodec:
        model = self
        precision = self.w.square().sum(0) / S**2 + 1 / self.v

        class Encoder(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.weight = nn.Parameter(model.w.T / (S**2 * precision[:, None]))
                self.bias = nn.Parameter((model.mu / model.v - model.w.T @ model.m / S**2) / precision)

            def forward(self, x: Tensor, *, label: Tensor | None = None) -> Tensor:
                mean = x @ self.weight.T + self.bias
                return torch.cat([mean, (-0.5 * precision.log()).expand_as(mean)], dim=1)

        class Decoder(nn.Module):
            def forward(self, z: Tensor, *, label: Tensor | None = None) -> Tensor:
                mean = z @ model.w.T + model.m
                return torch.cat([mean, torch.full_like(mean, S).log()], dim=1)

        network = VAE(Encoder(), Decoder(), Normal(), (L,)).requires_grad_(False)
        spec = AutoencoderSpec("vae", NetworkSpec("mlp", (D,)), latent=L, law="normal")
        card = {"network": spec.to_json(), "codec": PointsCodec((0.0,) * D, (1.0,) * D).to_json()}
        return LatentCodec(network, card, self.mean, self.std, 0.0)

    @property
    def denoiser(self) -> MixtureOracle:
        """Of z, under noise of which 1/22,000 of an item is left at t = 1: the default's 1/150 shows in a density."""
        mean, std = torch.tensor(self.mean, dtype=F64), torch.tensor(self.std, dtype=F64)
        return gaussian_oracle(Gaussian(VP(0.1, 40.0)), (self.mu - mean) / std, self.v / std**2)

    def evidence(self) -> Tensor:
        """log p(x) of the items."""
        covariance = self.w @ torch.diag(self.v) @ self.w.T + S**2 * torch.eye(D, dtype=F64)
        return torch.distributions.MultivariateNormal(self.w @ self.mu + self.m, covariance).log_prob(self.x)
