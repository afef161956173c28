r"""Bounds where everything is known: the linear Gaussian model (Tipping and Bishop, "Probabilistic Principal Component
Analysis", 1999). x = W z + m + s e has

    p(x) = N(m, W W' + s^2 I),   p(z given x) = N(M^-1 W'(x - m), s^2 M^-1),  M = W'W + s^2 I,

and with orthogonal columns of W the posterior is diagonal.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from pellucid.autoencoders import VAE, AutoencoderSpec, Normal, build_autoencoder, code_bound, elbo, iwae
from pellucid.foundations.errors import UserError
from pellucid.nn import NetworkSpec

D, L, S = 5, 2, 0.7


class Linear:
    """The model, its evidence, and an encoder: the posterior, moved by `shift` and stretched by `stretch`."""

    def __init__(self, shift: float = 0.0, stretch: float = 1.0) -> None:
        generator = torch.Generator().manual_seed(1)
        q, _ = torch.linalg.qr(torch.randn(D, L, generator=generator, dtype=torch.float64))
        self.w = q * torch.tensor([1.5, 0.6], dtype=torch.float64)
        self.m = torch.randn(D, generator=generator, dtype=torch.float64)
        self.shift, self.stretch = shift, stretch
        self.x = torch.randn(40, D, generator=generator, dtype=torch.float64) + self.m
        model = self

        class Encoder(nn.Module):
            def forward(self, x: Tensor, *, label: Tensor | None = None) -> Tensor:
                precision = model.w.square().sum(0) + S**2
                mean = (x - model.m) @ model.w / precision + model.shift
                std = model.stretch * (S**2 / precision).sqrt()
                return torch.cat([mean, std.log().expand_as(mean)], dim=1)

        class Decoder(nn.Module):
            def forward(self, z: Tensor, *, label: Tensor | None = None) -> Tensor:
                mean = z @ model.w.T + model.m
                return torch.cat([mean, torch.full_like(mean, math.log(S))], dim=1)

        self.vae = VAE(Encoder(), Decoder(), Normal(), (L,))

    def evidence(self) -> Tensor:
        covariance = self.w @ self.w.T + S**2 * torch.eye(D, dtype=torch.float64)
        return torch.distributions.MultivariateNormal(self.m, covariance).log_prob(self.x)


def test_with_the_exact_posterior_every_bound_is_the_evidence() -> None:
    exact = Linear()
    # p(x given z) p(z) / q(z given x) is p(x) whatever z is: no Monte Carlo error, only the float32 of the noise, which
    # both z and the ratio have in common, and the log std's
    torch.testing.assert_close(iwae(exact.vae, exact.x, k=1), exact.evidence(), rtol=0, atol=1e-9)
    torch.testing.assert_close(iwae(exact.vae, exact.x, k=7), exact.evidence(), rtol=0, atol=1e-9)
    found = elbo(exact.vae, exact.x, draws=4000)
    gap = (found.value - exact.evidence()).abs() / found.standard_error
    assert gap.max() < 4.5  # 40 normal numbers: beyond 4.5 has probability 3e-4


def test_the_elbo_falls_short_by_the_posteriors_divergence() -> None:
    """log p(x) - ELBO = KL(q || p(z given x)), theory of part 1, here in closed form."""
    wrong = Linear(shift=0.4, stretch=1.3)
    exact = Linear()
    q, p = wrong.vae.encode(wrong.x), exact.vae.encode(wrong.x)
    divergence = torch.distributions.kl_divergence(
        torch.distributions.Normal(q.mean, q.log_std.exp()), torch.distributions.Normal(p.mean, p.log_std.exp())
    ).sum(1)
    found = elbo(wrong.vae, wrong.x, draws=4000)
    gap = (wrong.evidence() - found.value - divergence).abs() / found.standard_error
    assert gap.max() < 4.5


def test_iwae_climbs_to_the_evidence_and_stays_below() -> None:
    wrong = Linear(shift=0.3, stretch=0.8)
    evidence = wrong.evidence()
    runs = {k: torch.stack([iwae(wrong.vae, wrong.x, k=k, seed=s) for s in range(40)]) for k in (1, 4, 16, 256)}
    means = {k: run.mean() for k, run in runs.items()}
    errors = {k: run.mean(1).std() / math.sqrt(40) for k, run in runs.items()}
    one, four, sixteen, many = (means[k] for k in (1, 4, 16, 256))
    assert one < four < sixteen < many
    # In expectation a lower bound at every k; 256 draws leave a hundredth of the gap of one.
    assert all(means[k] < evidence.mean() + 4 * errors[k] for k in means)
    assert evidence.mean() - many < 0.02 * (evidence.mean() - one) + 4 * errors[256]


def test_iwae_of_one_draw_is_the_elbo_in_expectation() -> None:
    wrong = Linear(shift=0.3, stretch=0.8)
    found = elbo(wrong.vae, wrong.x, draws=4000)
    one = torch.stack([iwae(wrong.vae, wrong.x, k=1, seed=s) for s in range(1000)])
    gap = (one.mean(0) - found.value).abs() / (one.var(0) / 1000 + found.standard_error**2).sqrt()
    assert gap.max() < 4.5


def test_a_later_draw_does_not_move_an_earlier_one_and_items_stand_alone() -> None:
    wrong = Linear(shift=0.3)
    ids = torch.arange(40)
    whole = iwae(wrong.vae, wrong.x, k=3, ids=ids)
    half = iwae(wrong.vae, wrong.x[20:], k=3, ids=ids[20:])
    torch.testing.assert_close(whole[20:], half, rtol=0, atol=1e-12)


def test_a_code_book_bounds_the_evidence_of_its_own_model() -> None:
    """With two codes and a uniform prior, p(x) is a sum over both: the bound keeps the encoder's one term."""
    torch.manual_seed(0)
    spec = AutoencoderSpec("fsq", NetworkSpec("mlp", (3,), width=8, blocks=1), latent=1, law="normal", levels=(2,))
    model = build_autoencoder(spec).eval()
    x = torch.randn(30, 3)
    both = torch.stack([model.decode_indices(torch.full((30,), i)).log_prob(x) for i in range(2)])
    chosen = model.encode(x).indices
    assert chosen.shape == (30,)
    found = code_bound(model, x)
    expected = both.gather(0, chosen[None])[0].double() - math.log(2)
    torch.testing.assert_close(found, expected)
    assert (found <= both.double().logsumexp(0) - math.log(2)).all()


def test_bad_input() -> None:
    exact = Linear()
    with pytest.raises(UserError, match="k must be at least 1, got 0"):
        iwae(exact.vae, exact.x, k=0)
    with pytest.raises(UserError, match="draws must be at least 1"):
        elbo(exact.vae, exact.x, draws=0)
    spec = AutoencoderSpec("fsq", NetworkSpec("mlp", (3,), width=8, blocks=1), latent=1, law="normal", levels=(2,))
    with pytest.raises(UserError, match="use code_bound"):
        elbo(build_autoencoder(spec), torch.randn(2, 3))
