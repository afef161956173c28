r"""A bound on log p(x) through a latent, with a denoiser for the law of the latent:

    log p(x) >= E_{z ~ q(z given x)} [log p(x given z) - log q(z given x) + log p(z)]                              (1)

with equality where q is the posterior of that very model. log p(z) is the density by the probability-flow ODE, or, one
more bound, the variational one. Where q is near the posterior the three terms fluctuate against one another, so that
log q is taken at the draw and not in closed form: the sum then hardly depends on z.

Source: Kingma and Welling, "Auto-Encoding Variational Bayes", 2014, eq. 2, for any p(z); Vahdat et al., "Score-Based
Generative Modeling in Latent Space", 2021, eq. 1, for one by diffusion.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..autoencoders import DiagonalNormal
from ..denoisers import Denoiser
from ..foundations.errors import UserError
from ..foundations.rng import Stream, subseed
from ..likelihood import LogProb, log_prob, vlb
from .codec import LatentCodec

# Where a normal law of that width takes over in the variational bound: below the noise of most codes, and not so low
# that a network's error at small noise costs more than it tells (emoji: 0.008 bits a value more at 1e-3, none less at
# 3e-2).
NOISE_MIN = 1e-2


@dataclass(frozen=True, eq=False)
class LatentBound:
    """Equation (1), term by term, means over the draws in nats, (B,) each, float64.

    Attributes:
        reconstruction: log p(x given z).
        code: -log q(z given x), in the scale of z.
        prior: log p(z).
        standard_error: of their sum, from the draws' spread; of one draw, that of log p(z) alone.
        evaluations, products: of the denoiser, for each item.
    """

    reconstruction: Tensor
    code: Tensor
    prior: Tensor
    standard_error: Tensor
    evaluations: int
    products: int

    @property
    def value(self) -> Tensor:
        """The lower bound on log p(x), (B,)."""
        return self.reconstruction + self.code + self.prior


@torch.no_grad()
def latent_bound(
    codec: LatentCodec,
    x: Tensor,
    density: Callable[[Tensor, int], LogProb],
    *,
    draws: int = 2,
    seed: int = 0,
    ids: Tensor | None = None,
) -> LatentBound:
    """Equation (1) for items.

    Args:
        codec: encoder and decoder.
        x: (B, *items.shape), in the scale of the codec's items.
        density: log p of latents (B, *shape), or a lower bound on it, by their draw's own seed.
        draws: of z for each item; two or more tell their own error.
        seed: of the draws.
        ids: the items' identities, (B,); 0 ... B - 1 if absent.

    Raises:
        UserError: items that the decoder's law cannot have made, or fewer than one draw.
    """
    if draws < 1:
        raise UserError(f"draws must be at least 1, got {draws}")
    codec.network.law.check(x)
    q = codec.posterior(x)
    law = DiagonalNormal(q.mean.double(), q.log_std.double())
    stream = Stream(subseed(seed, "latent"), torch.arange(len(x), device=x.device) if ids is None else ids)
    rows, found = [], None
    errors = torch.zeros(len(x), dtype=torch.float64, device=x.device)
    for j in range(draws):
        z = q.latent(stream.normal(codec.shape, step=j)[0, 0].to(q.mean))
        found = density(z, subseed(seed, f"latent draw {j}"))
        reconstruction = codec.given(z).log_prob(x.to(z)).double()
        rows.append(torch.stack([reconstruction, -law.log_prob(z.double()), found.value]))
        errors += found.standard_error.square()
    assert found is not None
    terms = torch.stack(rows)  # (draws, 3, B)
    error = terms.sum(1).std(0) / math.sqrt(draws) if draws > 1 else errors.sqrt()
    mean = terms.mean(0)
    return LatentBound(mean[0], mean[1], mean[2], error, draws * found.evaluations, draws * found.products)


@dataclass(frozen=True, eq=False)
class Prior:
    """log p(z) by a denoiser, in the two ways that `latent_bound` takes.

    Attributes:
        denoiser: of latents.
        trace, probes, steps: of the ODE, see `likelihood.log_prob`.
        evaluations: of the variational bound, see `likelihood.vlb`.
        force: go on where latents look unscaled or the process does not end in its prior.
        ids: the items' identities, (B,).
        cond: conditions, passed to the denoiser.
    """

    denoiser: Denoiser
    trace: str = "auto"
    probes: int | None = None
    steps: int = 64
    evaluations: int = 64
    force: bool = False
    ids: Tensor | None = None
    cond: Mapping[str, Any] = field(default_factory=dict)

    def ode(self, z: Tensor, seed: int) -> LogProb:
        """The density, by the probability-flow ODE."""
        options: dict[str, Any] = {"trace": self.trace, "probes": self.probes, "steps": self.steps}
        return log_prob(self.denoiser, z, **options, seed=seed, ids=self.ids, force=self.force, **self.cond)

    def variational(self, z: Tensor, seed: int) -> LogProb:
        """The variational bound on it, in continuous time."""
        found = vlb(
            self.denoiser,
            z,
            continuous=True,
            evaluations=self.evaluations,
            noise_min=NOISE_MIN,
            seed=seed,
            ids=self.ids,
            force=self.force,
            **self.cond,
        )
        return LogProb(-found.value, found.standard_error, found.evaluations, 0)
