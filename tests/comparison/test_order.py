"""The proven order, on a model whose evidence is known exactly; and what is flagged where it is broken."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from pellucid.autoencoders import AutoencoderSpec
from pellucid.autoencoders.model import AutoencoderCard, AutoencoderModel
from pellucid.autoencoders.score import autoencoder_scores
from pellucid.comparison.order import checks, difference, in_order, quantity, tightest
from pellucid.data.arrays import Dataset
from pellucid.data.codecs import PointsCodec
from pellucid.foundations.errors import UserError
from pellucid.score import Score

from ..linear_latent import D, LinearLatent

NUM = 32


def scored(stretch: float = 1.5) -> tuple[LinearLatent, list[Score]]:
    """A linear VAE with a standard normal law of its latents, and its scores with an encoder whose spread is wrong."""
    law = LinearLatent()
    law.mu, law.v = torch.zeros_like(law.mu), torch.ones_like(law.v)
    codec = law.codec
    vae = codec.network.double()
    exact = vae.encoder.forward

    def wrong(x: torch.Tensor, *, label: torch.Tensor | None = None) -> torch.Tensor:
        mean, log_std = exact(x.double()).chunk(2, dim=1)
        return torch.cat([mean, log_std + math.log(stretch)], dim=1)

    vae.encoder.forward = wrong  # type: ignore[method-assign]
    items = PointsCodec((0.0,) * D, (1.0,) * D)
    spec = AutoencoderSpec.from_json(codec.autoencoder["network"])
    model = AutoencoderModel(vae, AutoencoderCard(spec, items, ()))
    data = Dataset(law.x.numpy().astype(np.float32), None, (), items, "linear")
    law.x = law.x.float().double()
    return law, autoencoder_scores(model, data, k=16, draws=64, seed=1)


def test_the_order_is_that_of_theory_and_the_evidence_is_at_its_end() -> None:
    law, found = scored()
    bound, weighted = in_order(reversed(found))
    assert (bound.method, weighted.method) == ("ELBO", "IWAE(16)")
    evidence = -law.evidence().mean().item()
    error = 4 * math.log(2) * D * weighted.of_estimator  # four standard errors of the draws
    assert evidence - error < weighted.nats < bound.nats
    # KL(q || posterior) of three values, each 1.5 times too wide, is what the ELBO falls short by
    short = 3 * (0.5 * (1.5**2 - 1) - math.log(1.5))
    assert bound.nats - evidence == pytest.approx(short, abs=4 * math.log(2) * D * bound.of_estimator)
    (check,) = checks("linear", found, D)
    assert check.passed
    assert tightest(found) is weighted


def test_a_broken_order_is_flagged_beyond_the_error_bars_alone() -> None:
    _, found = scored()
    bound, weighted = found
    error = math.hypot(bound.of_estimator, weighted.of_estimator) * math.log(2) * D
    for broken_by, passed in ((2.0, True), (4.0, False)):
        (check,) = checks("linear", [replace(bound, nats=weighted.nats - broken_by * error), weighted], D)
        assert check.passed == passed
    # no theorem orders the ODE's law and the bound on the other
    ode, vlb = (replace(bound, method=name) for name in ("probability-flow ODE", "variational bound"))
    assert not list(checks("any", [ode, vlb], D))


def test_differences_are_taken_item_by_item() -> None:
    _, (bound, weighted) = scored()
    gap, error = difference(bound, weighted, D)
    gaps = (bound.each - weighted.each).numpy() / (D * math.log(2))
    assert gap == pytest.approx(gaps.mean())
    assert error == pytest.approx(gaps.std(ddof=1) / math.sqrt(NUM))
    # items differ by more than the two bounds do on one: without pairs the error would be that of two samples
    _, apart = difference(replace(bound, each=None), weighted, D)
    assert apart == pytest.approx(math.hypot(bound.over_items, weighted.over_items))
    assert error < 0.5 * apart


def test_what_a_number_is_is_known_or_refused() -> None:
    assert quantity("IWAE(64)").short == "IWAE(64)"
    assert [quantity(m).bound for m in ("ELBO", "variational bound", "probability-flow ODE")] == [True, True, False]
    with pytest.raises(UserError, match="nothing is known of the method 'guess'"):
        quantity("guess")
