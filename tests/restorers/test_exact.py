"""The closed-form posterior against brute force: the joint normal law of each component, and against its own draws."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
import torch

from pellucid.foundations.errors import UserError
from pellucid.operators.base import Operator
from pellucid.oracles import MixtureOracle
from pellucid.processes.gaussian import Gaussian
from pellucid.processes.schedules import SCHEDULES
from pellucid.restorers.base import Observation
from pellucid.restorers.exact import matrix_of, posterior

F64 = torch.float64
PROCESS = Gaussian(SCHEDULES["vp"]())


@dataclass(frozen=True, eq=False)
class Dense(Operator):
    """A matrix, without a singular system."""

    matrix: torch.Tensor

    def forward(self, x):
        return x.flatten(1) @ self.matrix.T.to(x)


def generator(seed):
    return torch.Generator().manual_seed(seed)


def laws(size=5, count=4):
    """One of each kind: equal and uneven isotropic components, axes of their own."""
    g = generator(1)
    means = torch.randn(count, size, generator=g, dtype=F64)
    bases = torch.linalg.qr(torch.randn(count, size, size, generator=g, dtype=F64)).Q
    wide = 0.1 + torch.rand(count, size, generator=g, dtype=F64)
    weights = 0.2 + torch.rand(count, generator=g, dtype=F64)
    return {
        "equal": MixtureOracle(PROCESS, means, torch.full((count,), 0.3, dtype=F64), weights),
        "uneven": MixtureOracle(PROCESS, means, torch.tensor([0.1, 0.4, 0.1, 0.8], dtype=F64), weights),
        "diagonal": MixtureOracle(PROCESS, means, wide, weights),
        "turned": MixtureOracle(PROCESS, means, wide, weights, bases),
    }


def covariances(law):
    variances = law._axes_variances()
    bases = torch.eye(variances.shape[1], dtype=F64) if law.bases is None else law.bases
    return (bases * variances[:, None, :]) @ bases.mT


def brute(law, matrix, y, noise):
    """(log-evidence, log-weights, means, covariances) of one y, by torch's own normal laws and inverses."""
    weights = torch.ones(len(law.means), dtype=F64) if law.weights is None else law.weights
    logs, means, covs = [], [], []
    for mean, cov in zip(law.means, covariances(law), strict=True):
        seen = matrix @ cov @ matrix.T + noise**2 * torch.eye(len(matrix), dtype=F64)
        logs.append(torch.distributions.MultivariateNormal(matrix @ mean, seen).log_prob(y))
        precision = cov.inverse() + matrix.T @ matrix / noise**2
        covs.append(precision.inverse())
        means.append(covs[-1] @ (cov.inverse() @ mean + matrix.T @ y / noise**2))
    logs = torch.stack(logs) + (weights / weights.sum()).log()
    return logs.logsumexp(0), logs.log_softmax(0), torch.stack(means), torch.stack(covs)


@pytest.mark.parametrize("kind", ["equal", "uneven", "diagonal", "turned"])
@pytest.mark.parametrize("rows", [1, 3, 5, 7])
def test_weights_mean_and_evidence_are_those_of_the_joint_law(kind, rows):
    law = laws()[kind]
    matrix = torch.randn(rows, 5, generator=generator(2), dtype=F64)
    y = torch.randn(6, rows, generator=generator(3), dtype=F64)
    found = posterior(law, Observation(Dense(matrix).on((5,)), y, 0.3))
    mean = found.mean()
    for i in range(len(y)):
        evidence, weights, means, _ = brute(law, matrix, y[i], 0.3)
        # Round-off of float64 with condition numbers of a hundred.
        assert found.log_evidence[i].item() == pytest.approx(evidence.item(), abs=1e-9)
        torch.testing.assert_close(found.log_weights[i], weights, rtol=0, atol=1e-9)
        torch.testing.assert_close(mean[i], weights.exp() @ means, rtol=0, atol=1e-9)


@pytest.mark.parametrize("kind", ["uneven", "turned"])
def test_draws_have_the_first_two_moments(kind):
    law = laws()[kind]
    matrix = torch.randn(2, 5, generator=generator(2), dtype=F64)
    y = torch.tensor([0.4, -1.0], dtype=F64)
    count, g = 40_000, generator(4)
    found = posterior(law, Observation(Dense(matrix).on((5,)), y.expand(count, 2), 0.3))
    draws = found.sample(
        torch.randn(count, 5, generator=g, dtype=F64),
        torch.rand(count, generator=g),
        torch.randn(count, 2, generator=g, dtype=F64),
    )
    _, weights, means, covs = brute(law, matrix, y, 0.3)
    share = weights.exp()
    mean = share @ means
    offset = means - mean
    exact = torch.einsum("k,kde->de", share, covs) + torch.einsum("k,kd,ke->de", share, offset, offset)
    # Five standard errors of 40,000 draws; of a covariance entry sqrt(v_i v_j + c_ij^2)/200, and kurtosis below 6.
    error = exact.diagonal().sqrt() / math.sqrt(count)
    assert bool(((draws.mean(0) - mean).abs() < 5 * error).all())
    scale = exact.diagonal().sqrt()
    assert bool(((draws.T.cov() - exact).abs() < 5 * 2.5 / math.sqrt(count) * scale[:, None] * scale).all())


def test_without_noise_the_draws_meet_the_observation_and_repeats_are_fine():
    law = laws()["equal"]
    matrix = torch.randn(2, 5, generator=generator(2), dtype=F64)
    matrix = torch.cat([matrix, matrix[:1]])  # a row twice: the range of A is a plane
    y = (matrix @ torch.randn(5, generator=generator(5), dtype=F64)).expand(8, 3)
    found = posterior(law, Observation(Dense(matrix).on((5,)), y, 0.0))
    draws = found.sample(torch.randn(8, 5, dtype=F64), torch.rand(8), torch.randn(8, 3, dtype=F64))
    assert (draws @ matrix.T - y).abs().max().item() < 1e-9
    assert draws.std(0).min().item() > 1e-3


def test_the_operators_own_system_gives_what_its_matrix_gives():
    operators = pytest.importorskip("pellucid.operators").OPERATORS
    if "downsample" not in operators:
        pytest.skip("no down-sampling here")
    pooled = operators["downsample"](2).on((1, 4, 4))
    means = torch.randn(3, 1, 4, 4, generator=generator(6), dtype=F64)
    law = MixtureOracle(PROCESS, means, torch.tensor([0.1, 0.2, 0.3], dtype=F64))
    y = torch.randn(5, *pooled.out_shape, generator=generator(7), dtype=F64)
    flat = MixtureOracle(PROCESS, means.flatten(1), law.variances)
    dense = Dense(matrix_of(pooled, y)).on((16,))
    own = posterior(law, Observation(pooled, y, 0.1))
    brute_force = posterior(flat, Observation(dense, y.flatten(1), 0.1))
    torch.testing.assert_close(own.log_weights, brute_force.log_weights, rtol=0, atol=1e-6)
    torch.testing.assert_close(own.mean().flatten(1), brute_force.mean(), rtol=0, atol=1e-6)
    torch.testing.assert_close(own.log_evidence, brute_force.log_evidence, rtol=0, atol=1e-5)


def test_large_finite_sets_cost_no_dense_covariance():
    items = torch.randn(500, 784, generator=generator(8), dtype=F64)
    law = MixtureOracle(PROCESS, items, torch.full((500,), 0.01, dtype=F64))
    matrix = torch.eye(784, dtype=F64)[:392]
    y = items[17, :392].expand(4, -1)
    found = posterior(law, Observation(Dense(matrix).on((784,)), y, 0.1))
    assert found.log_weights.argmax(1).tolist() == [17] * 4
    # The chosen component's mean is the item itself, for the observation agrees with it.
    torch.testing.assert_close(found.mean()[0], items[17], rtol=0, atol=1e-6)


def test_refusals():
    law = laws()["equal"]
    eye = torch.eye(5, dtype=F64)
    with pytest.raises(UserError, match="items have the shape"):
        posterior(law, Observation(Dense(torch.eye(4, dtype=F64)).on((4,)), torch.zeros(1, 4, dtype=F64), 0.1))
    points = MixtureOracle(PROCESS, law.means, torch.zeros(4, dtype=F64))
    with pytest.raises(UserError, match="noise > 0"):
        posterior(points, Observation(Dense(eye).on((5,)), torch.zeros(1, 5, dtype=F64)))
    twice = torch.cat([eye[:1], eye[:1]])
    with pytest.raises(UserError, match="repeats itself"):
        posterior(laws()["turned"], Observation(Dense(twice).on((5,)), torch.zeros(1, 2, dtype=F64))).mean()
