r"""Bounds on log p(x) by an autoencoder.

    ELBO   E_q log p(x given z) - KL(q || p)                                                                       (1)
    IWAE   E log (1/k) sum_j p(x given z_j) p(z_j) / q(z_j given x),   z_1 ... z_k from q                          (2)

log p >= IWAE(k + 1) >= IWAE(k) >= IWAE(1) = ELBO, and IWAE(k) tends to log p (Burda et al., "Importance Weighted
Autoencoders", 2016, theorem 1). Codes that are a function of x have the bound of `vq`, equation (1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..foundations.errors import UserError
from ..foundations.rng import Stream, subseed
from .base import Autoencoder
from .vae import VAE, DiagonalNormal
from .vq import Quantised


@dataclass(frozen=True, eq=False)
class Elbo:
    """Equation (1), term by term, in nats.

    Attributes:
        reconstruction: the mean of log p(x given z) over the draws, (B,).
        kl: of each latent value, (B, *latent_shape); exact.
        standard_error: of the reconstruction, from the draws' spread, (B,); NaN for one draw.
    """

    reconstruction: Tensor
    kl: Tensor
    standard_error: Tensor

    @property
    def value(self) -> Tensor:
        """The bound on log p(x), (B,)."""
        return self.reconstruction - self.kl.double().flatten(1).sum(1)


@torch.no_grad()
def elbo(
    vae: Autoencoder,
    x: Tensor,
    *,
    draws: int = 1,
    label: Tensor | None = None,
    seed: int = 0,
    ids: Tensor | None = None,
) -> Elbo:
    """The evidence lower bound of items, equation (1).

    Args:
        vae: whose encoder gives a `DiagonalNormal`.
        x: (B, *shape).
        draws: of z for each item.
        label: (B,) or None.
        seed: of the draws.
        ids: the items' identities, (B,); 0 ... B - 1 if absent. An item's numbers depend on its own alone.

    Raises:
        UserError: items that the decoder's law cannot have made, fewer than one draw, or codes without a density.
    """
    q = _posterior(vae, x, label)
    _counted("draws", draws)
    stream = _stream(seed, x, ids)
    found = []
    for j in range(draws):
        z = q.latent(stream.normal(vae.latent_shape, step=j)[0, 0].to(q.mean))
        found.append(vae.decode(z, label=label).log_prob(x).double())
    values = torch.stack(found)
    error = values.std(0) / math.sqrt(draws) if draws > 1 else torch.full_like(values[0], math.nan)
    return Elbo(values.mean(0), q.kl(), error)


@torch.no_grad()
def log_weights(
    vae: Autoencoder,
    x: Tensor,
    k: int,
    *,
    label: Tensor | None = None,
    seed: int = 0,
    ids: Tensor | None = None,
    first: int = 0,
) -> Tensor:
    """log p(x given z_j) p(z_j) / q(z_j given x) for draws first ... first + k - 1 of each item, float64 (k, B)."""
    q = _posterior(vae, x, label)
    stream = _stream(seed, x, ids)
    found = []
    for j in range(first, first + k):
        e = stream.normal(vae.latent_shape, step=j)[0, 0].to(q.mean)
        z = q.latent(e)
        # log p(z) - log q(z): the constants cancel, and (z - m)/s is the noise itself.
        ratio = (0.5 * (e.double().square() - z.double().square()) + q.log_std.double()).flatten(1).sum(1)
        found.append(vae.decode(z, label=label).log_prob(x).double() + ratio)
    return torch.stack(found)


def iwae(
    vae: Autoencoder,
    x: Tensor,
    *,
    k: int = 64,
    label: Tensor | None = None,
    seed: int = 0,
    ids: Tensor | None = None,
) -> Tensor:
    """The importance-weighted bound on log p(x) in nats, equation (2), (B,).

    Arguments and errors are those of `elbo`; the j-th draw of an item is the same whatever k is.
    """
    _counted("k", k)
    return log_weights(vae, x, k, label=label, seed=seed, ids=ids).logsumexp(0) - math.log(k)


@torch.no_grad()
def code_bound(model: Quantised, x: Tensor, *, label: Tensor | None = None, log_prior: Tensor | None = None) -> Tensor:
    """The bound of deterministic codes on log p(x) in nats, (B,).

    Args:
        model: a quantised autoencoder.
        x: (B, *shape).
        label: (B,) or None.
        log_prior: log P of each item's codes, (B,); the uniform law's if absent.
    """
    model.law.check(x)
    codes = model.encode(x, label=label)
    if log_prior is None:
        log_prior = x.new_full((len(x),), -model.positions * math.log(model.num_codes), dtype=torch.float64)
    return model.decode(codes.vectors, label=label).log_prob(x).double() + log_prior


def _posterior(vae: Autoencoder, x: Tensor, label: Tensor | None) -> DiagonalNormal:
    if isinstance(vae, VAE):
        vae.law.check(x)
    q = vae.encode(x, label=label)
    if not isinstance(q, DiagonalNormal):
        raise UserError("these bounds are of a VAE, whose code is a normal law: for a code book use code_bound")
    return q


def _stream(seed: int, x: Tensor, ids: Tensor | None) -> Stream:
    return Stream(subseed(seed, "latent"), torch.arange(len(x), device=x.device) if ids is None else ids)


def _counted(name: str, value: int) -> None:
    if value < 1:
        raise UserError(f"{name} must be at least 1, got {value}")
