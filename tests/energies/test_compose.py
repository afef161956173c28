"""Products, mixtures and negations of Gaussian mixtures, which are known in closed form."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from pellucid import SCHEDULES, SOLVERS, Gaussian, MixtureOracle, Stream, UserError, wrap
from pellucid.energies.compose import Constants, Mixture, given, negation, noise_constants, product
from pellucid.energies.denoisers import FromEnergy, HasEnergy
from pellucid.mcmc import MCMC, Corrected, at_time, tuned_lengths
from pellucid.processes.times import GRIDS
from pellucid.solvers import sample

F64 = torch.float64
EDM, VP = Gaussian(SCHEDULES["edm"]()), Gaussian(SCHEDULES["vp"]())


def law(means, variances, weights, process=EDM):
    return MixtureOracle(
        process, torch.tensor(means, dtype=F64)[:, None], torch.tensor(variances, dtype=F64), torch.tensor(weights)
    )


A = law([-1.0, 1.0], [0.1, 0.2], [0.5, 0.5])
B = law([-0.5, 1.5], [0.3, 0.1], [0.3, 0.7])


def product_of(a, b):
    """The product of two mixtures on the line, by completing squares: pairs of components."""
    rows = []
    for wa, ma, va in zip(a.weights, a.means.flatten(), a.variances, strict=True):
        for wb, mb, vb in zip(b.weights, b.means.flatten(), b.variances, strict=True):
            v = 1 / (1 / va + 1 / vb)
            w = wa * wb * torch.exp(-0.5 * (ma - mb) ** 2 / (va + vb)) / (va + vb).sqrt()
            rows.append((v * (ma / va + mb / vb), v, w))
    means, variances, weights = (torch.stack(column) for column in zip(*rows, strict=True))
    return MixtureOracle(a.process, means[:, None], variances, weights)


def sampled(composed, num, *, kernel="mala", moves=8, steps=25, seed=0):
    """Samples by ddim along the average of the parts, with moves at each level."""
    process, move = composed.process, MCMC[kernel]()
    times, ddim = GRIDS["karras"](process.schedule, steps), SOLVERS["ddim"]()
    leader = composed.average()
    pilot, stream = Stream.of(seed + 1, range(64)), Stream.of(seed, range(num))

    def start(of):
        return composed.start(of.normal((1,), step=0)[0, 0].double())

    found = tuned_lengths(composed, start(pilot), times, ddim, move, stream=pilot, leader=leader)
    solver = Corrected(ddim, move, moves, found.lengths, leader)
    return sample(composed, start(stream), times, solver, stream=stream)


def close(x, mean, square):
    """The first two moments within 4 standard errors."""
    for values, exact in ((x, mean), (x.square(), square)):
        assert abs(values.mean().item() - exact) < 4 * values.std().item() / len(x) ** 0.5


def moments(oracle):
    share = oracle.weights.double() / oracle.weights.double().sum()
    m, v = oracle.means.flatten(), oracle.variances
    return (share * m).sum().item(), (share * (m * m + v)).sum().item()


@pytest.mark.parametrize("process", [EDM, VP], ids=["edm", "vp"])
def test_a_product_of_normal_laws_at_each_level(process):
    """N(m_i alpha, V_i alpha^2 + sigma^2) to the powers w_i: precisions add, to round-off."""
    parts = [law([-1.0], [0.5], [1.0], process), law([2.0], [0.25], [1.0], process)]
    composed = product(parts, (1.0, 0.5))
    x = torch.linspace(-3, 3, 7, dtype=F64)[:, None]
    for t in (0.2, 0.6, 1.0):
        time = torch.tensor(t, dtype=F64)
        alpha, sigma = process.schedule.alpha(time), process.schedule.sigma(time)
        precisions = [w / (alpha**2 * p.variances[0] + sigma**2) for w, p in zip((1, 0.5), parts, strict=True)]
        pull = sum(k * (alpha * p.means[0] - x) for k, p in zip(precisions, parts, strict=True))
        torch.testing.assert_close(composed(x, time), (x + sigma**2 * pull) / alpha, rtol=1e-6, atol=1e-6)
        slope = at_time(composed, time)(x).slope
        torch.testing.assert_close(slope, -pull, rtol=1e-6, atol=1e-9)


def test_samples_of_a_product_follow_the_known_mixture():
    exact = moments(product_of(A, B))
    composed = product([A, B])
    close(sampled(composed, 1500), *exact)
    # Without the moves the solver alone misses it: they are what makes it right.
    stream = Stream.of(0, range(1500))
    start = composed.start(stream.normal((1,), step=0)[0, 0].double())
    plain = sample(composed, start, GRIDS["karras"](EDM.schedule, 25), SOLVERS["ddim"]())
    assert abs(plain.square().mean().item() - exact[1]) > 0.15


def test_a_negation_of_normal_laws():
    """N(0, 1)/N(1, 2)^(1/2): precision 1 - 1/4, mean -1/4 over it."""
    composed = negation(law([0.0], [1.0], [1.0]), law([1.0], [2.0], [1.0]), 0.5)
    close(sampled(composed, 1500, seed=4), -1 / 3, 1 / 9 + 4 / 3)


def test_a_mixture_is_the_mixture():
    """The denoiser, the energy and the score of the joint mixture, to round-off at every level."""
    both = law([-1.0, 1.0, -0.5, 1.5], [0.1, 0.2, 0.3, 0.1], [0.3, 0.3, 0.12, 0.28])
    composed = Mixture((A, B), (3.0, 2.0))
    x = torch.linspace(-3, 3, 9, dtype=F64)[:, None]
    for t in (0.1, 0.5, 0.9):
        time = torch.tensor(t, dtype=F64)
        torch.testing.assert_close(composed(x, time), both(x, time), rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(composed.energy(x, time), -both.log_prob(x, time), rtol=1e-6, atol=1e-6)


def test_constants_make_unnormalised_energies_a_mixture():
    """Energies shifted by functions of time, whose constants annealed importance sampling finds again."""
    a, b = (FromEnergy(EDM, lambda x, t, p=p, c=c: p.energy(x, t) + c * t) for p, c in ((A, 3.0), (B, -2.0)))
    times = GRIDS["karras"](EDM.schedule, 16)
    tables = tuple(noise_constants(part, (1,), times, chains=300, seed=3) for part in (a, b))
    composed, exact = Mixture((a, b), (0.5, 0.5), tables), Mixture((A, B), (0.5, 0.5))
    x = torch.linspace(-2, 2, 9, dtype=F64)[:, None]
    for k in (6, 12):  # at knots, so that only the estimates' errors count: each below 0.1 nat
        share = composed(x, times[k]) - exact(x, times[k])
        assert share.abs().max() < 0.1
        without = Mixture((a, b), (0.5, 0.5))(x, times[k]) - exact(x, times[k])
        assert without.abs().max() > 3 * share.abs().max()
    table = Constants((0.0, 1.0), (1.0, 3.0))
    assert table.at(torch.tensor([-1.0, 0.5, 2.0])).tolist() == [1.0, 2.0, 3.0]


def test_parts_take_their_own_conditions():
    labelled = replace(law([-1.0, 1.0], [0.1, 0.2], [0.5, 0.5]), labels=torch.tensor([0, 1]))
    composed = product([given(labelled, label=0), given(labelled, label=1)])
    apart = product([law([-1.0], [0.1], [1.0]), law([1.0], [0.2], [1.0])])
    x, t = torch.linspace(-2, 2, 5, dtype=F64)[:, None], torch.tensor(0.5, dtype=F64)
    torch.testing.assert_close(composed(x, t), apart(x, t))
    torch.testing.assert_close(at_time(composed, t)(x).energy, at_time(apart, t)(x).energy)


def test_a_score_is_enough_for_unadjusted_moves_only():
    plain = wrap(lambda x, c: 0 * x, EDM, "eps")
    composed = product([given(plain), A])
    assert not isinstance(composed, HasEnergy)
    place = at_time(composed, torch.tensor(0.5))(torch.ones(2, 1))
    assert place.energy is None
    with pytest.raises(UserError, match="knows only its slope"):
        Mixture((A, plain), (0.5, 0.5))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: product([A, law([0.0], [1.0], [1.0], VP)]), "different processes"),
        (lambda: product([A, B], (1.0, -1.0)), "sum to 0"),
        (lambda: product([A, B], (1.0,)), "as many finite weights"),
        (lambda: product([A, B], (1.0, math.nan)), "as many finite weights"),
        (lambda: product([]), "at least one"),
        (lambda: negation(A, B, 1.5), "between 0 and 1"),
        (lambda: Mixture((A, B), (1.0, -0.5)), "positive"),
        (lambda: Mixture((A, B), (1.0, 1.0), (Constants((0.0,), (0.0,)),)), "tables of constants"),
    ],
)
def test_what_is_no_law_is_refused(make, words):
    with pytest.raises(UserError, match=words):
        make()
