"""The exact conditional denoiser against integrals done numerically and against the oracle without conditions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from pellucid.conditioned_oracle import ConditionedOracle
from pellucid.foundations.errors import UserError
from pellucid.foundations.rng import Stream
from pellucid.oracles import MixtureOracle
from pellucid.processes.gaussian import Gaussian
from pellucid.processes.schedules import EDM, VP
from pellucid.verify.conditions import joint_law

F64 = torch.float64
T = torch.tensor(0.45, dtype=F64)
WEIGHTS = torch.tensor([0.5, 0.3, 0.2], dtype=F64)
LABELS = torch.tensor([0, 1, 1])


def line() -> ConditionedOracle:
    """Three components of x, a vector `a` of one value and a vector `b` of one."""
    means = torch.tensor([[-1.0, 0.5, 0.2], [0.8, -0.3, 0.1], [0.1, 1.0, -0.7]], dtype=F64)
    roots = torch.randn(3, 3, 3, dtype=F64, generator=torch.Generator().manual_seed(2))
    covariances = 0.3 * roots @ roots.mT + 0.1 * torch.eye(3, dtype=F64)
    return ConditionedOracle(Gaussian(VP()), means, covariances, {"a": 1, "b": 1}, WEIGHTS, LABELS)


def by_quadrature(
    law: ConditionedOracle, x: float, label: int | None, a: float | None, b: float | None
) -> tuple[float, float]:
    """E[x_0 given x_t, y] and log p_t(x given y) from the joint density on a grid, missing parts summed away."""
    grid = np.linspace(-9, 9, 721)
    known = [i for i, value in enumerate((a, b), start=1) if value is not None]
    given = [value for value in (a, b) if value is not None]
    density = np.zeros_like(grid)
    for k in range(3):
        if label is not None and LABELS[k] != label:
            continue
        mean, covariance = law.means[k].numpy(), law.covariances[k].numpy()
        # the marginal over what is missing, of a normal law, is the one with the rows left away
        at = [0, *known]
        points = np.stack([grid, *(np.full_like(grid, value) for value in given)], axis=1)
        density += WEIGHTS[k].item() * stats.multivariate_normal(mean[at], covariance[np.ix_(at, at)]).pdf(points)
    density /= np.trapezoid(density, grid)
    alpha, sigma = law.process.schedule.alpha(T).item(), law.process.schedule.sigma(T).item()
    joint = density * stats.norm(alpha * grid, sigma).pdf(x)
    total = np.trapezoid(joint, grid)
    return np.trapezoid(joint * grid, grid) / total, math.log(total)


@pytest.mark.parametrize("label", [None, 0, 1])
@pytest.mark.parametrize(("a", "b"), [(None, None), (0.4, None), (None, -0.6), (0.4, -0.6)])
def test_denoiser_and_density_are_the_integrals(label: int | None, a: float | None, b: float | None) -> None:
    law = line()
    x = torch.tensor([[-1.3], [0.2], [1.1]], dtype=F64)
    cond = {} if label is None else {"label": torch.full((3,), label)}
    cond |= {name: torch.full((3, 1), v, dtype=F64) for name, v in (("a", a), ("b", b)) if v is not None}
    expected = [by_quadrature(law, point, label, a, b) for point in x.flatten().tolist()]
    # the trapezoid rule on a density that falls to nothing at both ends is exact to round-off at this width
    torch.testing.assert_close(
        law(x, T, **cond)[:, 0], torch.tensor([e[0] for e in expected], dtype=F64), rtol=1e-7, atol=1e-9
    )
    found = law.log_prob(x, T, **cond)
    torch.testing.assert_close(found, torch.tensor([e[1] for e in expected], dtype=F64), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("schedule", [VP(), EDM()])
def test_without_vectors_it_is_the_mixture_oracle(schedule: VP | EDM) -> None:
    law = joint_law(Gaussian(schedule))
    values, axes = torch.linalg.eigh(law.covariances[:, :2, :2])
    plain = MixtureOracle(law.process, law.means[:, :2], values, law.weights, axes, law.labels)
    x = torch.randn(6, 2, dtype=F64, generator=torch.Generator().manual_seed(3))
    label = torch.tensor([0, 1, 2, -1, 1, 0])
    for t in (T, torch.linspace(0.1, 0.9, 6, dtype=F64)):
        torch.testing.assert_close(law(x, t, label=label), plain(x, t, label=label), rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(law.log_prob(x, t), plain.log_prob(x, t), rtol=1e-10, atol=1e-10)


def test_parts_are_missing_item_by_item() -> None:
    law = line()
    x = torch.tensor([[0.3], [0.3], [0.3], [0.3]], dtype=F64)
    nan = math.nan
    a, b = (
        torch.tensor([[0.4], [nan], [0.4], [nan]], dtype=F64),
        torch.tensor([[nan], [-0.6], [-0.6], [nan]], dtype=F64),
    )
    found = law(x, T, label=torch.tensor([1, 0, -1, -1]), a=a, b=b)
    alone = [
        law(x[:1], T, label=torch.tensor([1]), a=a[:1]),
        law(x[:1], T, label=torch.tensor([0]), b=b[1:2]),
        law(x[:1], T, a=a[:1], b=b[1:2]),
        law(x[:1], T),
    ]
    torch.testing.assert_close(found, torch.cat(alone), rtol=1e-12, atol=1e-12)


def test_samples_have_the_moments_of_the_conditional_law() -> None:
    law = line()
    count = 40_000
    stream = Stream.of(5, range(count))
    cond = {"label": torch.ones(count, dtype=torch.int64), "a": torch.full((count, 1), 0.4, dtype=F64)}
    made = law.sample(stream.normal((1,), step=0)[0, 0], stream.uniform((), step=1)[0, 0], **cond)[:, 0].double()
    # at the end of time x_t is all noise, and the denoiser gives the mean of the law itself
    exact = law(torch.zeros(1, 1, dtype=F64), torch.ones((), dtype=F64), label=torch.ones(1).long(), a=cond["a"][:1])
    # four standard errors, and what the last of the signal, alpha = 0.0066, still says
    assert abs(made.mean() - exact.item()) < 4 * made.std() / math.sqrt(count) + 0.01
    # its log-density, averaged, is minus the entropy; against that of a histogram-free estimate: the score's mean is 0
    x = made[:, None].requires_grad_()
    (score,) = torch.autograd.grad(law.log_prob(x, 0.0, **cond).sum(), x)
    assert abs(score.mean()) < 4 * score.std() / math.sqrt(count)
    # and E[x score] = -1, by parts
    product = (x.detach() - x.detach().mean()) * score
    assert abs(product.mean() + 1) < 4 * product.std() / math.sqrt(count)


def test_what_the_law_does_not_know_is_refused() -> None:
    law = line()
    x = torch.zeros(2, 1, dtype=F64)
    with pytest.raises(UserError, match="unknown condition 'c'"):
        law(x, T, c=x)
    with pytest.raises(UserError, match=r"classes are \[0, 1\]"):
        law(x, T, label=torch.tensor([0, 5]))
    with pytest.raises(UserError, match="E values in all"):
        ConditionedOracle(law.process, law.means, law.covariances[:, :2], {"a": 1})
    with pytest.raises(UserError, match="positive definite"):
        ConditionedOracle(law.process, law.means, -law.covariances, {"a": 1})
    with pytest.raises(UserError, match="3 positive numbers"):
        ConditionedOracle(law.process, law.means, law.covariances, {"a": 1}, -WEIGHTS)
    without = ConditionedOracle(law.process, law.means, law.covariances, {"a": 1})
    with pytest.raises(UserError, match="no classes"):
        without(torch.zeros(1, 2, dtype=F64), T, label=torch.zeros(1).long())
