"""The contracts catch what they are for: broken copies, each with one thing wrong, must fail the named check.

Each list also holds the unbroken original, which must pass, so that a check cannot fail for a reason of its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import checks
import laws
import pytest
import torch

from pellucid.denoisers import TARGETS, Target
from pellucid.foundations.errors import UserError
from pellucid.losses import DENSITIES, Uniform, hybrid
from pellucid.processes import weightings
from pellucid.processes.gaussian import Gaussian
from pellucid.processes.schedules import VE, VP, Betas, Sigmoid
from pellucid.solvers import (
    DDPM,
    SOLVERS,
    Ancestral,
    Dopri5,
    DPMpp2M,
    Euler,
    Heun,
    asinh,
    churn,
    deis,
    dopri,
    er_sde,
    exponential,
    gaussian,
    langevin,
    multistep,
    ode,
    sde,
)

LAW = laws.Mixture(Gaussian(VP()))
NORMAL = laws.normal(Gaussian(VP()))


def fails(check, *arguments):
    with pytest.raises(AssertionError):
        check(*arguments)


# --- solvers


class LeakyEuler(Euler):
    """Its noise shrinks by a hundredth of the step too much."""

    def __call__(self, denoiser, x, t, s, noise, carry):
        process, x0 = denoiser.process, denoiser(x, t)
        (alpha_t, sigma_t), (alpha_s, sigma_s) = process.scales(t, x), process.scales(s, x)
        wrong = sigma_s - 0.01 * (sigma_t - sigma_s)
        return alpha_s * x0 + wrong * (x - alpha_t * x0) / sigma_t, carry


class LopsidedHeun(Heun):
    """It weighs the two slopes 0.55 and 0.45."""

    def __call__(self, denoiser, x, t, s, noise, carry):
        right, _ = super().__call__(denoiser, x, t, s, noise, carry)
        euler, _ = Euler()(denoiser, x, t, s, noise, carry)
        return euler + 0.9 * (right - euler), carry


class HeunAtTheWrongTime(Heun):
    """Its second slope is taken at the step's start."""

    def __call__(self, denoiser, x, t, s, noise, carry):
        class Late:
            process = denoiser.process

            def __call__(self, y, when):
                return denoiser(y, t)

        return super().__call__(Late(), x, t, s, noise, carry)


class HalfExtrapolated(DPMpp2M):
    """It extrapolates half as far as it should."""

    def __call__(self, denoiser, x, t, s, noise, carry):
        right, kept = super().__call__(denoiser, x, t, s, noise, carry)
        first, _ = super().__call__(denoiser, x, t, s, noise, None)
        return (right + first) / 2, kept


class Forgetful(DPMpp2M):
    """It never remembers: the first-order method under the second-order one's name."""

    def __call__(self, denoiser, x, t, s, noise, carry):
        return super().__call__(denoiser, x, t, s, noise, None)


class Overclaimed(Euler):
    """Right, but not of the order that it claims."""

    order = 2


@pytest.mark.parametrize("law", [LAW, NORMAL])
def test_broken_deterministic_solvers_miss_their_order(law):
    for right in (Euler(), Heun(), DPMpp2M()):
        checks.solver_order(right, law)
    broken = (LeakyEuler(), LopsidedHeun(), HeunAtTheWrongTime(), HalfExtrapolated(), Forgetful(), Overclaimed())
    for wrong in broken:
        fails(checks.solver_order, wrong, law)


class Loud(Ancestral):
    """It adds a tenth too much noise."""

    def __call__(self, denoiser, x, t, s, noise, carry):
        return super().__call__(denoiser, x, t, s, 1.1 * noise, carry)


class Silent(DDPM):
    """It forgets the noise."""

    def __call__(self, denoiser, x, t, s, noise, carry):
        return super().__call__(denoiser, x, t, s, 0 * noise, carry)


class Renoised(Ancestral):
    """It keeps the deterministic move whole and adds the noise to it."""

    def __call__(self, denoiser, x, t, s, noise, carry):
        right, _ = super().__call__(denoiser, x, t, s, 0 * noise, carry)
        with_noise, _ = super().__call__(denoiser, x, t, s, noise, carry)
        euler, _ = Euler()(denoiser, x, t, s, noise, carry)
        return euler + with_noise - right, carry


@pytest.mark.parametrize("wrong", [Loud(), Silent(), Renoised()])
def test_broken_stochastic_solvers_miss_the_law(wrong):
    checks.solver_weak_order(Ancestral(), NORMAL)
    fails(checks.solver_weak_order, wrong, NORMAL)


@pytest.mark.parametrize("wrong", [Silent(), Renoised()])
def test_stochastic_solvers_that_miss_the_data_are_found(wrong):
    checks.solver_reaches_data(Ancestral(), LAW)
    fails(checks.solver_reaches_data, wrong, LAW)


class Undone(Euler):
    """On a step to the data it divides zero by zero."""

    def __call__(self, denoiser, x, t, s, noise, carry):
        y, carry = super().__call__(denoiser, x, t, s, noise, carry)
        sigma = denoiser.process.scales(s, x)[1]
        return y * sigma / sigma, carry


def test_a_solver_that_cannot_reach_the_data_is_found():
    checks.solver_order(Undone(), LAW)
    fails(checks.solver_reaches_data, Undone(), LAW)


class OwnNoise(Ancestral):
    """It draws from torch's global generator."""

    def __call__(self, denoiser, x, t, s, noise, carry):
        return super().__call__(denoiser, x, t, s, torch.randn_like(noise), carry)


class Sociable(Euler):
    """Its items feel the batch's mean."""

    def __call__(self, denoiser, x, t, s, noise, carry):
        y, carry = super().__call__(denoiser, x, t, s, noise, carry)
        return y + 1e-6 * x.mean(0), carry


class Deaf(Ancestral):
    """It has noise of its own, the same for every seed."""

    def __call__(self, denoiser, x, t, s, noise, carry):
        return super().__call__(denoiser, x, t, s, torch.sin(1e3 * x)[None], carry)


@pytest.mark.parametrize("wrong", [OwnNoise(), Sociable(), Deaf()])
def test_solvers_with_noise_of_their_own_are_found(wrong):
    fails(checks.solver_is_per_item, wrong, LAW)


def changed(table, row, column, by):
    """A Runge-Kutta table with one entry moved; row None is the weights."""
    rows, weights = [list(r) for r in table[0]], list(table[1])
    (weights if row is None else rows[row])[column] += by
    return tuple(map(tuple, rows)), tuple(weights)


def scaled(function, place, factor):
    """The function with one entry of the sequence that it returns multiplied."""

    def wrong(*arguments, **options):
        values = list(function(*arguments, **options))
        if len(values) > place:
            values[place] *= factor
        return type(values)(values)

    return wrong


def off_by(factor):
    """`combine` with its last weight multiplied."""

    def wrong(*terms):
        *head, (weight, tensor) = terms
        return gaussian.combine(*head, (weight * factor, tensor))

    return wrong


def louder(now, then, eta):
    keep, gain, spread = exponential.move(now, then, eta)
    return exponential.Move(keep, gain, 1.02 * spread)


# One coefficient at a time: what is replaced, where, and by what.
WRONG_COEFFICIENTS = {
    "midpoint": (ode, "_MIDPOINT", changed(ode._MIDPOINT, None, 0, 0.02)),
    "rk4": (ode, "_CLASSICAL", changed(ode._CLASSICAL, 1, 1, 0.02)),
    "dpmpp-2s": (ode, "level_of", lambda schedule, rho: gaussian.level_of(schedule, 1.05 * rho)),
    "dpmpp-2m": (multistep, "halved_shares", None),
    "dpmpp-3m": (exponential, "moments", scaled(exponential.moments, 2, 0.5)),
    "adams": (exponential, "moments", scaled(exponential.moments, 1, 0.97)),
    "unipc-2": (exponential, "moments", scaled(exponential.moments, 2, 0.5)),
    "unipc-3": (exponential, "moments", scaled(exponential.moments, 3, 0.5)),
    "deis": (deis, "integrate_lagrange", scaled(exponential.integrate_lagrange, 2, 0.9)),
    "asinh-adams": (asinh, "lagrange_values", None),
    "euler-maruyama": (sde, "combine", off_by(1.05)),
    "sde-2": (sde, "exact_shares", scaled(exponential.exact_shares, 1, 0.9)),
    "dpmpp-2m-sde": (multistep, "move", louder),
    "dpmpp-3m-sde": (multistep, "move", louder),
    "sa-solver": (multistep, "move", louder),
    "er-sde": (er_sde, "_weights", scaled(er_sde._weights, 1, 0.9)),
    "reverse-diffusion": (langevin, "combine", off_by(1.05)),
    "edm-churn": (churn, "combine", off_by(1.05)),
}


def shares_off(lams, now, then, eta):
    right = exponential.halved_shares(lams, now, then, eta)
    return [right[0] + 0.1 * right[1], 0.9 * right[1]] if len(right) == 2 else right


def values_off(nodes, points):
    right = exponential.lagrange_values(nodes, points)
    # A slope too small by a tenth, with weights that still sum to one.
    right[0] += 0.1 * right[1:].sum(0)
    right[1:] *= 0.9
    return right


@pytest.mark.parametrize("name", WRONG_COEFFICIENTS)
def test_each_wrong_coefficient_is_found(name, monkeypatch):
    module, attribute, wrong = WRONG_COEFFICIENTS[name]
    wrong = wrong or {"halved_shares": shares_off, "lagrange_values": values_off}[attribute]
    stochastic = bool(SOLVERS[name]().draws)
    check, law = (checks.solver_weak_order, NORMAL) if stochastic else (checks.solver_order, LAW)
    check(SOLVERS[name](), law)
    monkeypatch.setattr(module, attribute, wrong)
    fails(check, SOLVERS[name](), law)


@pytest.mark.parametrize("place", [(1, 0), (3, 2), (5, 3)])
def test_a_wrong_entry_of_the_adaptive_table_is_found(place, monkeypatch):
    row, column = place
    rows = [list(r) for r in dopri._A]
    rows[row][column] *= 1.01
    monkeypatch.setattr(dopri, "_A", tuple(map(tuple, rows)))
    with pytest.raises((AssertionError, UserError)):
        checks.solver_meets_tolerance(lambda tolerance: Dopri5(tolerance, tolerance, max_substeps=300), LAW)


# --- targets


@dataclass(frozen=True)
class Broken(Target):
    """A registered target with one coefficient multiplied by 1.001, or replaced."""

    right: Target
    place: int

    def coefficients(self, process, t):
        values = list(self.right.coefficients(process, t))
        values[self.place] = values[self.place] * 1.001 + (1e-3 if self.place == 0 else 0)
        return tuple(values)


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("name", TARGETS)
def test_broken_targets_do_not_return_the_data(name, place):
    chain = checks.make_schedule("linear_beta")
    checks.target_returns_data(name, TARGETS[name](), chain)
    fails(checks.target_returns_data, name, Broken(TARGETS[name](), place), chain)


def test_a_target_under_anothers_name_is_found():
    chain = checks.make_schedule("linear_beta")
    for name in TARGETS:
        for other in set(TARGETS) - {name}:
            fails(checks.target_returns_data, name, TARGETS[other](), chain)


def test_a_target_without_a_definition_is_found():
    fails(checks.target_returns_data, "a new one", TARGETS["eps"](), checks.make_schedule("linear_beta"))


# --- weightings and losses


class Scaled(weightings.Weighting):
    """A weighting off by one in a hundred."""

    def __init__(self, right):
        self.right = right

    def __call__(self, alpha, sigma):
        return 1.01 * self.right(alpha, sigma)


@pytest.mark.parametrize("name", sorted(set(weightings.WEIGHTINGS) & set(TARGETS)))
def test_broken_weightings_are_found(name):
    schedule, right = VP(), weightings.WEIGHTINGS[name]
    checks.weighting_weighs_output(right, name, schedule)
    fails(checks.weighting_weighs_output, Scaled(right), name, schedule)
    for other in (set(weightings.WEIGHTINGS) & set(TARGETS)) - {name}:
        fails(checks.weighting_weighs_output, weightings.WEIGHTINGS[other], name, schedule)


@pytest.mark.parametrize("factor", [0.9, 1.1])
def test_a_wrong_loss_misses_its_minimum(factor, monkeypatch):
    checks.loss_meets_its_minimum(weightings.EDM(), VP())
    right = Gaussian.loss
    monkeypatch.setattr(Gaussian, "loss", lambda self, prediction, x0, t: factor * right(self, prediction, x0, t))
    fails(checks.loss_meets_its_minimum, weightings.EDM(), VP())


def test_a_wrong_corruption_misses_the_minimum(monkeypatch):
    right = Gaussian.corrupt
    monkeypatch.setattr(Gaussian, "corrupt", lambda self, x0, t, noise: right(self, x0, t, 1.1 * noise))
    fails(checks.loss_meets_its_minimum, weightings.EDM(), VP())


@pytest.mark.parametrize("place", ["rate", "density"])
def test_a_wrong_likelihood_weight_misses_the_bound(place, monkeypatch):
    arguments = (DENSITIES["uniform"](), VP(), 0.2)
    checks.likelihood_is_the_bound(*arguments)
    if place == "rate":
        right = weightings.log_snr_rate
        monkeypatch.setattr(weightings, "log_snr_rate", lambda schedule, t: 1.01 * right(schedule, t))
    else:
        dense = Uniform.density
        monkeypatch.setattr(Uniform, "density", lambda self, schedule, t: 1.01 * dense(self, schedule, t))
    fails(checks.likelihood_is_the_bound, *arguments)


def test_a_wrong_chain_weight_misses_the_bound(monkeypatch):
    checks.chain_loss_is_the_bound()
    right = weightings.Likelihood.__call__
    monkeypatch.setattr(weightings.Likelihood, "__call__", lambda self, a, s: 1.1 * right(self, a, s))
    fails(checks.chain_loss_is_the_bound)


@pytest.mark.parametrize("wrong", ["width", "gap"])
def test_a_wrong_hybrid_loss_learns_another_variance(wrong, monkeypatch):
    checks.hybrid_learns_the_variance(0.4)
    right = hybrid.step_divergence

    def off(process, x0hat, x0, t, s, v):
        if wrong == "width":  # the ratio of the variances a hundredth off
            return right(process, x0hat, x0, t, s, 1.01 * v)
        return right(process, x0 + 1.01 * (x0hat - x0), x0, t, s, v)

    monkeypatch.setattr(hybrid, "step_divergence", off)
    fails(checks.hybrid_learns_the_variance, 0.4)


# --- schedules


class NoisyStart(VE):
    """The kernel as it is often written, without the subtraction: time 0 is not the data."""

    def sigma(self, t):
        return self.sigma_min * (self.sigma_max / self.sigma_min) ** t


class Cancelling(VP):
    """sigma by plain subtraction."""

    def sigma(self, t):
        return (1 - self.alpha(t) ** 2).sqrt()


class CancellingSigmoid(Sigmoid):
    """A difference of two sigmoids by plain subtraction."""

    def log_alpha(self, t):
        now, start, end = (torch.sigmoid(torch.as_tensor(6.0 * u - 3.0)) for u in (t, 0 * t, 0 * t + 1))
        return 0.5 * torch.log1p(-(now - start) / (end - start) * (1 - self.floor))


class WrongInverse(VP):
    """Its inverse forgets the factor one half of log alpha."""

    def time(self, log_snr):
        return super().time(log_snr + math.log(2))


class WrongDiffusion(VP):
    """g = beta in place of its square root."""

    def diffusion(self, t):
        return super().diffusion(t).square()


class WrongDrift(VP):
    """The drift of alpha^2."""

    def drift(self, t):
        return 2 * super().drift(t)


class Wavy(VP):
    """Its noise rises and falls."""

    def log_alpha(self, t):
        return super().log_alpha(t) * (1 + 0.3 * torch.sin(40 * t))


class Shifted(Betas):
    """Its chain begins at the second step."""

    def log_alpha(self, t):
        return super().log_alpha(t + (1 - t) / self.num_steps)


@pytest.mark.parametrize(
    ("wrong", "check"),
    [
        (NoisyStart(), checks.schedule_ends),
        (Shifted((0.1, 0.2, 0.3)), checks.schedule_ends),
        (Cancelling(), checks.schedule_float32),
        (CancellingSigmoid(), checks.schedule_float32),
        (WrongInverse(), checks.schedule_inverse),
        (WrongDiffusion(), checks.schedule_rates),
        (WrongDrift(), checks.schedule_rates),
        (Wavy(), checks.schedule_falls),
    ],
    ids=lambda value: type(value).__name__ if not callable(value) else value.__name__,
)
def test_broken_schedules_are_found(wrong, check):
    fails(check, wrong)
