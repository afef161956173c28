"""Every group of the suite passes, and ends with exit code 1 when the code underneath it is broken in one place."""

from __future__ import annotations

import pytest

from pellucid import denoisers
from pellucid.cli.main import main
from pellucid.conditioned_oracle import ConditionedOracle
from pellucid.foundations import rng
from pellucid.guidance import Guided
from pellucid.likelihood import bound, ode
from pellucid.losses import hybrid
from pellucid.losses.densities import LogNormal
from pellucid.operators.masks import Masked
from pellucid.processes import claims, kernels, paths, weightings
from pellucid.processes.gaussian import Gaussian
from pellucid.processes.schedules import VP
from pellucid.processes.sde import SDESchedule
from pellucid.restorers import mmps, pigdm, smc
from pellucid.verify import GROUPS, run

NEW = ["claims", "targets", "losses", "sde", "likelihood", "operators", "restore", "conditions"]


@pytest.mark.parametrize("group", NEW)
def test_the_group_passes_within_seconds(group):
    outcomes = list(run([group]))
    assert [o.name for o in outcomes if not o.passed] == []
    assert len(outcomes) >= 7
    assert all(o.reason for o in outcomes)
    assert sum(o.seconds for o in outcomes) < 20


def test_the_three_claims_have_their_lines():
    names = [o.name for o in run(["claims"])]
    for claim in ("claims 1 and 3", "claim 1,", "claim 2,", "claim 3,", "chain against its SDE"):
        assert any(name.startswith(claim) for name in names), claim
    assert set(GROUPS) >= {"noise", "facts", *NEW, "solvers", "laws", "metrics"}


def times(factor):
    """A function or method whose result is multiplied."""

    def wrap(right):
        return lambda *arguments: factor * right(*arguments)

    return wrap


def first_of(place, factor):
    """A function or method that returns a tuple, with one entry multiplied."""

    def wrap(right):
        def wrong(*arguments, **options):
            values = right(*arguments, **options)
            parts = list(values)
            parts[place] = factor * parts[place]
            return type(values)(*parts) if hasattr(values, "_fields") else tuple(parts)

        return wrong

    return wrap


def remembering(right):
    """A chain whose states feel those two before."""

    def wrong(betas, variance=1.0):
        found = right(betas, variance).clone()
        found[2, 0] *= 1.001
        found[0, 2] *= 1.001
        return found

    return wrong


def faster(right):
    return lambda rate, count: right(lambda t: 1.01 * rate(t), count)


def louder(right):
    return lambda sde, x, t, later, noise: right(sde, x, t, later, 1.05 * noise)


# group: what is broken, and a part of the name of a check that must see it
BREAKS = [
    ("noise", rng, "_M0", lambda right: right + 2, "Philox4x32-10"),
    ("facts", VP, "alpha", times(1.0001), "VP-SDE at t = 1: alpha"),
    ("claims", claims, "chain_covariance", remembering, "states apart"),
    ("claims", Gaussian, "renoise", times(1.001), "two steps against one"),
    ("claims", Gaussian, "prior_kl", times(1.001), "claim 2, linear betas"),
    ("claims", claims, "chain_covariance", lambda right: lambda b, v=1.0: right(b, 1.01 * v) * 1.001, "reverse step's"),
    ("claims", claims, "chain_of_rate", faster, "chain against its SDE"),
    ("targets", denoisers.V, "coefficients", first_of(1, 1.001), "v: the denoiser"),
    ("targets", denoisers.Mu, "coefficients", first_of(0, 1.001), "mu: the denoiser"),
    ("losses", weightings.Flow, "__call__", times(1.001), "flow: weighted error"),
    ("losses", weightings, "log_snr_rate", times(1.01), "likelihood weighting"),
    ("losses", LogNormal, "density", times(1.01), "log-normal times"),
    ("losses", Gaussian, "loss", times(1.001), "loss of the exact denoiser"),
    ("losses", hybrid, "pad", times(1.01), "learned variance"),
    ("sde", kernels.ConstantKernel, "moments", first_of(2, 1.001), "OU at"),
    ("sde", SDESchedule, "alpha", times(1.001), "VP from f and g"),
    ("sde", paths, "step", louder, "paths: covariance"),
    ("likelihood", ode, "_log_prior", times(1.001), "log p,"),
    ("likelihood", bound._Integral, "__call__", first_of(1, 1.05), "continuous time"),
    ("operators", Masked, "forward", times(1.001), "mask on"),
    ("restore", pigdm, "spread", times(1.01), "pigdm, normal law"),
    ("restore", mmps, "levels", first_of(1, 1.01), "mmps, normal law"),
    ("restore", smc._Population, "_log_likelihood", times(0.0), "smc on a mixture"),
    ("conditions", ConditionedOracle, "_log_prior", times(0.9), "sum over classes"),
    ("conditions", Guided, "combine", lambda right: lambda self, c, u: right(self, c, u) + 1e-6, "at w = 1, a class"),
    ("likelihood", bound._Sum, "__call__", first_of(1, 0.8), "less -log p"),
]


@pytest.mark.parametrize(("group", "where", "name", "wrong", "seen"), BREAKS, ids=[f"{b[0]}-{b[4]}" for b in BREAKS])
def test_a_break_underneath_ends_with_exit_code_1(group, where, name, wrong, seen, monkeypatch, capsys):
    monkeypatch.setattr(where, name, wrong(getattr(where, name)))
    with pytest.raises(SystemExit) as done:
        main(["verify", "--only", group])
    assert done.value.code == 1
    failed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("FAIL")]
    assert any(seen in line for line in failed), failed
