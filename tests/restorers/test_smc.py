"""Twisted SMC against exact posteriors: its twist, its weights, its draws, and that more particles err less."""

from __future__ import annotations

import math

import pytest
import torch
from restore_cases import F64, PROCESS, Opaque, normal, run, spd, times

from pellucid.foundations.errors import UserError
from pellucid.foundations.rng import Stream
from pellucid.metrics.transport import sliced_wasserstein
from pellucid.operators import Matrix
from pellucid.oracles import MixtureOracle, gaussian_oracle
from pellucid.restorers import RESTORERS, Observation
from pellucid.restorers.exact import posterior, spectrum
from pellucid.restorers.smc import SMC, _Population
from pellucid.restorers.twist import twist


def exact_draws(law, seen, seed):
    g = torch.Generator().manual_seed(seed)
    count, shape = len(seen.y), law.means.shape[1:]
    return posterior(law, seen).sample(
        torch.randn(count, *shape, generator=g, dtype=F64),
        torch.rand(count, generator=g),
        torch.randn(seen.y.shape, generator=g, dtype=F64),
    )


def clusters(size=8, count=6):
    """Well parted, of unequal weight."""
    return MixtureOracle(
        PROCESS,
        normal(count, size, seed=2),
        torch.full((count,), 0.02, dtype=F64),
        torch.linspace(1, 3, count).double(),
    )


@pytest.mark.parametrize("operator", [Matrix(normal(3, 6, seed=1)), Opaque(normal(3, 6, seed=1))])
@pytest.mark.parametrize("t", [0.05, 0.5, 0.9])
def test_the_twist_of_a_normal_law_is_the_exact_likelihood(operator, t):
    law, noise, t = gaussian_oracle(PROCESS, normal(6, seed=4), spd(6)), 0.1, torch.tensor(t, dtype=F64)
    x, y = normal(5, 6, seed=6), normal(1, 3, seed=7)
    bound = operator.on((6,))
    system = spectrum(bound, y)
    found = twist(
        PROCESS, law, x, t, {}, system=system, seen=system.u(y), noise=noise, probe=normal(1, 6, seed=3), steps=8
    )
    alpha, sigma = PROCESS.schedule.alpha(t), PROCESS.schedule.sigma(t)
    # p(y | x_t): x_0 given x_t is normal.
    gain = alpha * spd(6) @ (alpha**2 * spd(6) + sigma**2 * torch.eye(6, dtype=F64)).inverse()
    mean = normal(6, seed=4) + (x - alpha * normal(6, seed=4)) @ gain.T
    inner = spd(6) - alpha * gain @ spd(6)
    seen = operator.matrix @ inner @ operator.matrix.T + noise**2 * torch.eye(3, dtype=F64)
    exact = torch.distributions.MultivariateNormal(mean @ operator.matrix.T, seen).log_prob(y)
    gap = found.log_prob - exact
    # Equal but for a constant, which is -3/2 log 2 pi.
    torch.testing.assert_close(gap, torch.full_like(gap, 1.5 * math.log(2 * math.pi)), rtol=0, atol=1e-7)
    assert bool((found.variance[:, 0] >= torch.linalg.eigvalsh(inner)[0] * (1 - 1e-9)).all())


def test_a_round_normal_law_is_never_weighed(monkeypatch):
    """Its transitions are exact at any length: the weights keep what x_1 itself told of y, and nothing is resampled."""
    size, count = 40, 400
    law = gaussian_oracle(PROCESS, normal(size, seed=4), torch.tensor(0.5, dtype=F64))
    operator = Matrix(normal(25, size, seed=1)).on((size,))
    seen = Observation(operator, normal(1, 25, seed=7).expand(count, -1), 0.05)
    told, increments = [], []
    twisted, moved, ends = _Population._twist, _Population._move, _Population._log_likelihood

    def watch_twist(self, x, t, i):
        now = twisted(self, x, t, i)
        told.append(now.log_prob - increments.pop() if increments else now.log_prob)
        return now

    def watch_move(self, x, now, t, s, noise):
        x, gone = moved(self, x, now, t, s, noise)
        increments.append(now.log_prob + gone)
        return x, gone

    def watch_end(self, x):
        told.append(ends(self, x) - increments.pop())
        return ends(self, x)

    monkeypatch.setattr(_Population, "_twist", watch_twist)
    monkeypatch.setattr(_Population, "_move", watch_move)
    monkeypatch.setattr(_Population, "_log_likelihood", watch_end)
    x = run(SMC(particles=count), law, seen, steps=20)
    assert len(told) > 5
    # Round-off of 65 squares, magnified by 1/noise^2.
    assert max(float(each.std()) for each in told[1:]) < 1e-10
    a, b, c = (exact_draws(law, seen, seed) for seed in (1, 2, 3))
    floor = (sliced_wasserstein(a, b) + sliced_wasserstein(b, c) + sliced_wasserstein(a, c)) / 3
    # Both are distances of 400 independent draws; their own spread is below a fifth.
    assert sliced_wasserstein(x, a) < 1.4 * floor


@pytest.mark.parametrize("noise", [0.5, 1.0])
def test_clusters_get_their_posterior_shares(noise):
    law, count = clusters(), 1000
    operator = Matrix(normal(2, 8, seed=1)).on((8,))
    y = operator(law.means[3:4]) + noise * normal(1, 2, seed=11)
    seen = Observation(operator, y.expand(count, -1), noise)
    x = run(SMC(particles=count), law, seen, steps=100)
    share = posterior(law, Observation(operator, y, noise)).log_weights[0].exp()
    found = (x[:, None] - law.means).square().sum(2).argmin(1).bincount(minlength=6) / count
    # Five standard errors of 1,000 draws, twice over: for the population and for the particles it began with.
    assert bool(((found - share).abs() < 10 * (share * (1 - share) / count).sqrt() + 5e-3).all())
    floor = sliced_wasserstein(exact_draws(law, seen, 1), exact_draws(law, seen, 2))
    assert sliced_wasserstein(x, exact_draws(law, seen, 3)) < 2 * floor


def test_more_particles_err_less():
    law, operator, noise = clusters(), Matrix(normal(1, 8, seed=1)).on((8,)), 0.3
    y = operator(law.means[:1])
    share = posterior(law, Observation(operator, y, noise)).log_weights[0].exp()

    def error(particles):
        gaps = []
        for seed in range(12):
            seen = Observation(operator, y.expand(particles, -1), noise)
            x = SMC(particles=particles).run(
                law, seen, stream=Stream.of(seed, range(particles)), times=times(60), solver=None
            )
            found = (x[:, None] - law.means).square().sum(2).argmin(1).bincount(minlength=6) / particles
            gaps.append((found - share).square().sum())
        return torch.stack(gaps).mean().sqrt().item()

    few, many = error(12), error(300)
    # The error of a share falls as the square root: by 5. Over 12 seeds either is known to about 15 %.
    assert many < few / 2.5


def test_observations_do_not_mix():
    law = clusters()
    operator = Matrix(normal(2, 8, seed=1)).on((8,))
    y = operator(law.means[[0, 1]])
    seen = Observation(operator, y.repeat_interleave(3, 0), 0.1)
    both = run(SMC(particles=64), law, seen, ids=[0, 1, 2, 10, 11, 12], steps=20)
    second = run(SMC(particles=64), law, Observation(operator, seen.y[3:], 0.1), ids=[10, 11, 12], steps=20)
    torch.testing.assert_close(both[3:], second, rtol=0, atol=1e-9)


def test_conditions_part_the_populations():
    law = MixtureOracle(
        PROCESS, normal(4, 6, seed=2), torch.full((4,), 0.01, dtype=F64), labels=torch.tensor([0, 0, 1, 1])
    )
    seen = Observation(Matrix(normal(1, 6, seed=1)).on((6,)), normal(1, 1, seed=7).expand(40, -1), 1.0)
    x = run(SMC(particles=32), law, seen, steps=40, label=torch.tensor([0, 1]).repeat_interleave(20))
    nearest = (x[:, None] - law.means).square().sum(2).argmin(1)
    assert set(nearest[:20].tolist()) <= {0, 1}
    assert set(nearest[20:].tolist()) <= {2, 3}


def test_without_noise_the_observation_is_met():
    law = clusters()
    operator = Matrix(normal(2, 8, seed=1)).on((8,))
    seen = Observation(operator, operator(law.means[:1] + 0.1).expand(50, -1), 0.0)
    x = run(SMC(particles=64), law, seen, steps=60)
    assert seen.residual(x).abs().max().item() < 1e-9
    assert sliced_wasserstein(x, exact_draws(law, seen, 1)) < 2.5 * sliced_wasserstein(
        exact_draws(law, seen, 2), exact_draws(law, seen, 3)
    )


def test_single_precision_gives_the_same_draws():
    law, operator = clusters(), Matrix(normal(2, 8, seed=1))
    y = operator.on((8,))(law.means[:1]).expand(40, -1)
    fine = run(SMC(particles=64), law, Observation(operator.on((8,)), y, 0.2), steps=30)
    coarse = run(SMC(particles=64), law, Observation(operator.on((8,)), y.float(), 0.2), steps=30)
    assert coarse.dtype == torch.float32
    # Unless a resampling falls the other way, round-off stays round-off; the twist magnifies it by 1/noise^2.
    assert (coarse.double() - fine).abs().median().item() < 1e-3


def test_refusals():
    for options, says in (
        ({"particles": 0}, "at least 1"),
        ({"krylov": 0}, "at least 1"),
        ({"stride": 0.0}, "stride must be positive"),
        ({"resample_below": 1.5}, "resample_below"),
    ):
        with pytest.raises(UserError, match=says):
            SMC(**options)
    large = Opaque(torch.ones(1, 5000)).on((5000,))
    with pytest.raises(UserError, match=": use mmps"):
        RESTORERS["smc"]().check(Observation(large, torch.zeros(1, 1), 0.1))
