"""The bound through the latent, where it is the evidence."""

from __future__ import annotations

import pytest
import torch

from pellucid.foundations.errors import UserError
from pellucid.latents.bound import Prior, latent_bound

from ..linear_latent import LinearLatent, S


def test_with_the_exact_posterior_the_ode_gives_the_evidence() -> None:
    exact = LinearLatent()
    prior = Prior(exact.denoiser, trace="exact", steps=384)
    found = latent_bound(exact.codec, exact.x, prior.ode, draws=2)
    # p(x given z) p(z)/q(z given x) is p(x) whatever z is, so that what is left is the ODE's: the mean that is left at
    # t = 1 (4e-5 times a state of up to 3), the blur of 1e-3 (1e-6), and the steps' error, measured as 1e-4.
    torch.testing.assert_close(found.value, exact.evidence(), rtol=0, atol=5e-4)
    assert found.standard_error.max() < 5e-4
    assert found.evaluations == 2 * 385


def test_the_variational_bound_gives_the_evidence_within_its_error_bars() -> None:
    exact = LinearLatent()
    prior = Prior(exact.denoiser, evaluations=256)
    found = latent_bound(exact.codec, exact.x, prior.variational, draws=4)
    gap = (found.value - exact.evidence()).mean()
    error = found.standard_error.square().sum().sqrt() / len(exact.x)
    assert gap.abs() < 4 * error
    assert error < 0.05  # so that it can tell a gap of 0.2 nats


def test_another_encoder_makes_it_a_bound_by_the_divergence() -> None:
    """With q moved away from the posterior the expected gap is KL(q || posterior), in closed form."""
    exact = LinearLatent()
    codec = exact.codec
    shift = 0.5
    with torch.no_grad():
        codec.network.encoder.bias += shift
    found = latent_bound(codec, exact.x, Prior(exact.denoiser, trace="exact", steps=96).ode, draws=16)
    precision = exact.w.square().sum(0) / S**2 + 1 / exact.v
    divergence = 0.5 * (shift**2 * precision).sum()
    gap = exact.evidence() - found.value
    error = found.standard_error.square().sum().sqrt() / len(gap)
    assert (gap.mean() - divergence).abs() < 4 * error + 6e-3  # the steps' error, see above
    assert divergence > 10 * error


def test_the_scale_of_latents_does_not_matter() -> None:
    """The same law in other units of z: log q and log p(z) move by the same log volume."""
    exact = LinearLatent()
    other = LinearLatent()
    other.mean, other.std = (0.0, 0.0, 0.0), (1.5, 1.1, 0.8)
    values = [
        latent_bound(each.codec, each.x, Prior(each.denoiser, trace="exact", steps=384).ode, draws=1).value
        for each in (exact, other)
    ]
    torch.testing.assert_close(*values, rtol=0, atol=1e-3)  # the ODE's errors, see above


def test_refuses_what_it_cannot_serve() -> None:
    exact = LinearLatent()
    prior = Prior(exact.denoiser)
    with pytest.raises(UserError, match="draws must be at least 1"):
        latent_bound(exact.codec, exact.x, prior.ode, draws=0)
    with pytest.raises(UserError, match="no numbers"):
        latent_bound(exact.codec, exact.x * float("nan"), prior.ode)
