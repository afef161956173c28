"""The diffusion classifier on exact laws: Bayes' posterior of the class, within its own error bars."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from exact import F64, draws, mixture
from torch import Tensor

from pellucid.foundations.errors import UserError
from pellucid.likelihood import classify
from pellucid.oracles import MixtureOracle


def labelled(schedule: str = "vp") -> MixtureOracle:
    """Five components in two dimensions, of the classes 0, 0, 1, 1 and 2."""
    return replace(mixture(schedule, 2, 5), labels=torch.tensor([0, 0, 1, 1, 2]))


def candidates(num: int, count: int = 3) -> dict[str, Tensor]:
    return {"label": torch.arange(count).expand(num, -1)}


def exact_posterior(oracle: MixtureOracle, x: Tensor, prior: Tensor) -> Tensor:
    """log p(y given x) by Bayes' rule from the exact conditional densities."""
    each = [oracle.log_prob(x, label=torch.full((len(x),), y)) for y in range(3)]
    return (torch.stack(each, 1) + prior.log()).log_softmax(1)


@pytest.mark.parametrize("schedule", ["vp", "edm", "rectified"])
def test_it_is_bayes_rule_for_an_exact_denoiser(schedule: str) -> None:
    oracle, prior = labelled(schedule), torch.tensor([0.6, 0.3, 0.1], dtype=F64)
    x = draws(oracle, 100)
    found = classify(oracle, x, candidates(100), levels=1024, noise_min=3e-3, prior=prior, batch_size=300)
    exact = exact_posterior(oracle, x, prior)
    # log-odds against the likeliest, where the normaliser and its error fall out
    odds, expected = (value - value.gather(1, found.best[:, None]) for value in (found.log_posterior, exact))
    error = found.standard_error
    # The two ends that the integral leaves out: below noise_min the integrand differs by about |score difference|^2
    # rho^2, at most 1e-3 together here; above the largest noise by |distance of means|^2/rho^2, less.
    score = (odds - expected).abs() / (error + 1e-3)
    # 200 numbers that are nowhere zero: the largest of as many normal ones is beyond 4.5 once in 700 times, and the
    # error bars are bounds from above.
    assert score.max() < 4.5
    assert score.square().sum() / 200 < 1.5
    # Classes are several nats apart: most items are decided beyond five errors, and decided rightly.
    clear = expected.abs().sort(1).values[:, 1] > 5 * error.max(1).values
    assert clear.sum() > 60
    assert torch.equal(found.best[clear], exact.argmax(1)[clear])


def test_the_error_falls_with_the_levels() -> None:
    oracle, prior = labelled(), torch.ones(3, dtype=F64)
    x = draws(oracle, 60)
    exact = exact_posterior(oracle, x, prior)
    gaps = []
    for levels in (16, 256):
        found = classify(oracle, x, candidates(60), levels=levels, noise_min=3e-3)
        odds, expected = (value - value[:, :1] for value in (found.log_posterior, exact))
        gaps.append((odds - expected).square().mean().sqrt().item())
    # A mean of independent parts: sixteen times the levels, a quarter of the error, give or take its own spread (of a
    # mean over 120 squares, about a fifth); finer parts vary less within, so it may fall further.
    assert gaps[1] < gaps[0] / 3


def test_what_conditions_share_falls_out() -> None:
    oracle = labelled()
    x = draws(oracle, 40)
    twice = {"label": torch.tensor([1, 1, 0]).expand(40, -1)}
    found = classify(oracle, x, twice, levels=8)
    assert torch.equal(found.terms[:, 0], found.terms[:, 1])  # the same noise for both
    # By independent noise the difference of two conditions varies as their sum; here far less.
    alone = classify(oracle, x, candidates(40, 1), levels=8, seed=5)
    other = classify(oracle, x, {"label": torch.ones(40, 1, dtype=torch.int64)}, levels=8, seed=6)
    independent = alone.terms[:, 0].mean(1) - other.terms[:, 0].mean(1)
    shared = found.terms[:, 2].mean(1) - found.terms[:, 1].mean(1)
    expected = exact_posterior(oracle, x, torch.ones(3, dtype=F64))
    expected = expected[:, 1] - expected[:, 0]
    assert (shared - expected).square().mean() < 0.5 * (independent - expected).square().mean()


def test_an_item_is_judged_alike_in_any_batch() -> None:
    oracle = labelled()
    x = draws(oracle, 12)
    whole = classify(oracle, x, candidates(12), levels=6, seed=3)
    some = torch.tensor([7, 2, 11])
    part = classify(oracle, x[some], candidates(3), levels=6, seed=3, ids=some, batch_size=1)
    # the same numbers, in sums of another order
    torch.testing.assert_close(part.terms, whole.terms[some], rtol=1e-9, atol=1e-9)
    other = classify(oracle, x, candidates(12), levels=6, seed=4)
    assert not torch.allclose(other.terms, whole.terms)


def test_candidates_may_differ_from_item_to_item() -> None:
    oracle = labelled()
    x = draws(oracle, 6)
    order = torch.stack([torch.randperm(3, generator=torch.Generator().manual_seed(i)) for i in range(6)])
    plain = classify(oracle, x, candidates(6), levels=4)
    mixed = classify(oracle, x, {"label": order}, levels=4)
    torch.testing.assert_close(mixed.terms, plain.terms.gather(1, order[..., None].expand(-1, -1, 4)))
    assert torch.equal(order.gather(1, mixed.best[:, None])[:, 0], plain.best)


def test_the_levels_are_those_asked_for() -> None:
    """A denoiser that answers zero: S_y is int |x_0|^2 / rho^2 d log rho = |x_0|^2 (1/low^2 - 1/high^2)/2."""

    class Zero:
        process = labelled("edm").process

        def __call__(self, x: Tensor, t: Tensor, *args: Any, **cond: Any) -> Tensor:
            return torch.zeros_like(x)

    x = draws(labelled(), 5)
    found = classify(Zero(), x, candidates(5), levels=400, noise_min=0.5, noise_max=4.0)
    expected = 0.5 * x.square().sum(1, keepdim=True) * (1 / 0.5**2 - 1 / 4.0**2)
    # one point in each of 400 parts: an error of about (slope/400)/sqrt(12 * 400), 2 log 8/400/70 relative
    torch.testing.assert_close(found.terms.mean(2), expected.expand(-1, 3), rtol=1e-3, atol=0)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"candidates": {}}, "one M for all"),
        ({"candidates": {"label": torch.zeros(4, dtype=torch.int64)}}, "one M for all"),
        ({"candidates": {"label": torch.zeros(3, 2), "text": torch.zeros(4, 2, 7)}}, "one M for all"),
        ({"prior": torch.tensor([1.0, 0.0, 1.0])}, "positive weights"),
        ({"prior": torch.ones(4)}, "positive weights"),
        ({"noise_min": 0.1, "noise_max": 0.05}, "noise_max"),
        ({"noise_max": 1e6}, "noise_max"),
        ({"levels": 0}, "levels"),
    ],
)
def test_what_cannot_be_judged_is_refused(options: dict[str, Any], told: str) -> None:
    oracle = labelled()
    given = {"candidates": candidates(4), **options}
    with pytest.raises(UserError, match=told):
        classify(oracle, draws(oracle, 4), given.pop("candidates"), **given)
