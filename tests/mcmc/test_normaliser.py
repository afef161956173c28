"""log Z by annealed importance sampling and by thermodynamic integration, against laws whose normaliser is known."""

from __future__ import annotations

import math

import pytest
import torch
from chain_laws import COVARIANCE, F64, normal, two_humps

from pellucid import SCHEDULES, Gaussian, MixtureOracle, Stream, UserError
from pellucid.energies.denoisers import FromEnergy
from pellucid.mcmc import (
    Adjusted,
    NormalBase,
    Unadjusted,
    annealed_along,
    annealed_importance,
    geometric,
    noised,
    thermodynamic,
)
from pellucid.mcmc.normaliser import from_weights, integrated, log_weights, rung_moments

# energy, base, exact log Z
LAWS = {
    "normal": (
        lambda x: normal(x).energy + 3,
        NormalBase(torch.zeros(2, dtype=F64), 2.5),
        math.log(2 * math.pi) + 0.5 * torch.logdet(COVARIANCE).item() - 3,
    ),
    "two humps": (lambda x: two_humps(x).energy - 1.7, NormalBase(torch.zeros(1, dtype=F64), 2.0), 1.7),
}
METHODS = {"annealed": annealed_importance, "thermodynamic": thermodynamic}


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("method", METHODS)
def test_the_truth_is_within_the_error_bar(law, method):
    """Four standard errors, which are a few hundredths of a nat."""
    energy, base, exact = LAWS[law]
    found = METHODS[method](geometric(base, energy, rungs=10), chains=100, seed=1)
    assert abs(found.log_z - exact) < 4 * found.error
    assert 0.005 < found.error < 0.15
    assert found.low < found.log_z < found.high
    assert all(0.3 < a < 1 for a in found.acceptance)


@pytest.mark.parametrize("method", METHODS)
def test_the_error_bar_covers(method):
    """One climb of 2,000 chains is 50 repeats of 40. At least 41 of the intervals of 95 % hold the truth: fewer have a
    chance of 1e-3 under the binomial law. And the bar is what the repeats' spread says, which they know to 10 %."""
    energy, base, exact = LAWS["two humps"]
    ladder = geometric(base, energy, rungs=6)
    if method == "annealed":
        log_w, _ = log_weights(ladder, kernel=Adjusted(), chains=2000, moves=4)
        found = [from_weights(part) for part in log_w[-1].chunk(50)]
    else:
        climbed = rung_moments(ladder, kernel=Adjusted(), chains=2000, moves=4)
        found = [integrated(ladder.betas, part) for part in climbed.parts(50)]
    assert sum(each.low <= exact <= each.high for each in found) >= 41
    spread = torch.tensor([each.log_z for each in found]).std()
    assert float(torch.tensor([each.error for each in found]).mean() / spread) == pytest.approx(1, abs=0.4)


def test_every_rung_of_noise_has_its_constant():
    """The energy of a known law, shifted by a function of time: log Z(t) is that function."""
    process = Gaussian(SCHEDULES["edm"]())
    oracle = MixtureOracle(process, torch.tensor([[-1.0], [1.5]]), torch.tensor([0.2, 0.1]), torch.tensor([0.4, 0.6]))
    shifted = FromEnergy(process, lambda x, t: oracle.energy(x, t) - 2 * t)
    times = torch.linspace(1, 0.4, 24)
    found = annealed_along(noised(shifted, (1,), times), chains=150, seed=2)
    assert len(found) == 24
    for t, each in zip(times.tolist(), found, strict=True):
        assert abs(each.log_z - 2 * t) < 4 * each.error + 1e-4  # float32 at t = 1, where the error is nothing
    assert found[-1].error < 0.3


def test_a_normal_base_is_normalised_and_drawn_from():
    """Against torch's own law."""
    base = NormalBase(torch.tensor([1.0, -2.0], dtype=F64), 1.5)
    x = base.draws(Stream.of(0, range(4000)))
    exact = torch.distributions.Normal(base.mean, 1.5).log_prob(x).sum(1)
    torch.testing.assert_close(base.energy(x), -exact)
    torch.testing.assert_close(x.mean(0), base.mean, rtol=0, atol=4 * 1.5 / 4000**0.5)


def test_what_gives_no_error_bar_is_refused():
    energy, base, _ = LAWS["two humps"]
    ladder = geometric(base, energy, rungs=4)
    with pytest.raises(UserError, match="'mala' or 'hmc'"):
        annealed_importance(ladder, kernel=Unadjusted())
    with pytest.raises(UserError, match="at least 10"):
        annealed_importance(ladder, chains=3)
    with pytest.raises(UserError, match="geometric"):
        thermodynamic(noised(FromEnergy(Gaussian(SCHEDULES["edm"]()), lambda x, t: 0 * x[:, 0]), (1,), torch.ones(1)))
