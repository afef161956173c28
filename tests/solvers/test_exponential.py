"""The exact integrals that all exponential methods share, against numerical quadrature and against their limits."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from pellucid.processes.schedules import SCHEDULES
from pellucid.solvers.asinh import AsinhAdams
from pellucid.solvers.er_sde import _phi, _weights
from pellucid.solvers.exponential import (
    exact_shares,
    gauss_legendre,
    halved_shares,
    integrate_lagrange,
    lagrange_values,
    moments,
    move,
)
from pellucid.solvers.gaussian import level_at, level_of

F64 = torch.float64
VE = SCHEDULES["ve"]()


@pytest.mark.parametrize("h", [0.0, 1e-12, 1e-4, 0.3, 0.999, 1.0, 1.001, 5.0, 40.0, 700.0, -0.5, -3.0])
def test_moments(h):
    for k, moment in enumerate(moments(h, 5)):
        # With v = h (1 - u) the integrand decays at the same rate whatever h, as the quadrature needs.
        exact = (
            quad(lambda u, k=k: math.exp(-h * (1 - u)) * u**k, 0, 1, epsabs=0, epsrel=1e-13)[0]
            if abs(h) <= 5
            else quad(lambda v, k=k: math.exp(-v) * (1 - v / h) ** k / h, 0, min(h, 60), epsabs=0, epsrel=1e-13)[0]
        )
        # The upward recursion loses at most k!/h^k <= 24 units of round-off, the quadrature a few more.
        assert moment == pytest.approx(exact, rel=2e-13)


def test_moments_meet_where_the_method_changes():
    below, above = moments(1 - 1e-13, 5), moments(1.0, 5)
    assert below == pytest.approx(above, rel=1e-12)


def test_lagrange_weights_integrate_polynomials():
    nodes = [0.0, -0.7, -1.1, 1.0]
    weights = integrate_lagrange(nodes, [1 / (k + 1) for k in range(4)])
    for degree in range(4):
        assert sum(w * u**degree for w, u in zip(weights, nodes, strict=True)) == pytest.approx(
            1 / (degree + 1), rel=1e-13
        )
    v, rule = gauss_legendre(0.0, 1.0)
    np.testing.assert_allclose(lagrange_values(nodes, v) @ rule, weights, rtol=1e-12)


@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
def test_shares_integrate_what_they_claim(eta):
    """Against quadrature of equation (2) with x_0 a polynomial: cubic in lambda, or cubic in asinh(rho)."""
    now, then = level_of(VE, 1.7), level_of(VE, 0.6)
    lams = [now.lam, now.lam - 0.5, now.lam - 0.8, now.lam - 1.5]
    c, h = 1 + eta, then.lam - now.lam
    total = -math.expm1(-c * h)

    def exact(x0):
        return quad(lambda v: c * math.exp(-c * v) * x0(then.lam - v), 0, h, epsabs=0, epsrel=1e-13)[0] / total

    def asinh(lam):
        return math.asinh(math.exp(-lam) / 0.7)

    for variable, shares in ((float, exact_shares), (asinh, AsinhAdams(scale=0.7)._shares)):
        for degree in range(4):
            weights = shares(lams, now, then, eta)
            got = sum(w * variable(lam) ** degree for w, lam in zip(weights, lams, strict=True))
            assert got == pytest.approx(exact(lambda lam, d=degree, v=variable: v(lam) ** d), rel=1e-10)


def test_halved_shares_take_the_middle():
    now, then = level_of(VE, 1.7), level_of(VE, 0.6)
    lams = [now.lam, now.lam - 0.4]
    middle = 0.5 * (now.lam + then.lam)
    weights = halved_shares(lams, now, then, 0.0)
    assert sum(w * lam for w, lam in zip(weights, lams, strict=True)) == pytest.approx(middle, rel=1e-13)
    lams = [*lams, now.lam - 1.0]
    assert halved_shares(lams, now, then, 0.0) == exact_shares(lams, now, then, 0.0)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0, 2.0])
def test_move_composes(eta):
    """Two steps are one: the state's factors multiply, variances add, and with constant x_0 the mean is the same."""
    a, b, c = (level_of(VE, rho) for rho in (5.0, 1.0, 0.2))
    first, second, whole = move(a, b, eta), move(b, c, eta), move(a, c, eta)
    assert first.keep * second.keep == pytest.approx(whole.keep, rel=1e-13)
    assert second.keep * first.gain + second.gain == pytest.approx(whole.gain, rel=1e-13)
    assert math.hypot(second.keep * first.spread, second.spread) == pytest.approx(whole.spread, rel=1e-13)


def test_step_to_the_data():
    now, zero = level_of(VE, 0.3), level_at(VE, torch.zeros((), dtype=F64))
    assert move(now, zero, 1.0) == (0.0, 1.0, 0.0)
    assert exact_shares([now.lam, now.lam - 1], now, zero, 0.0) == [1.0, 0.0]
    # The polynomial in asinh(rho) has a value there: linear x_0 is met.
    lams = [now.lam, now.lam - 1]
    solver = AsinhAdams()
    q = [math.asinh(math.exp(-lam) / solver.scale) for lam in lams]
    weights = solver._shares(lams, now, zero, 0.0)
    assert sum(weights) == pytest.approx(1, rel=1e-13)
    assert weights[0] * q[0] + weights[1] * q[1] == pytest.approx(0, abs=1e-13)


def test_er_sde_weights():
    """Against quadrature by parts, phi(rho_s) int x_0'(r)/phi(r) dr: the form with which the paper writes it."""
    start, end, rhos = 3.0, 0.4, (3.0, 4.5, 9.0)
    for degree in range(3):
        by_parts = end**degree - _phi(end) / _phi(start) * start**degree
        if degree:
            inner = quad(lambda r, d=degree: d * r ** (d - 1) / _phi(r), end, start, epsabs=0, epsrel=1e-12)[0]
            by_parts += _phi(end) * inner
        got = sum(w * rho**degree for w, rho in zip(_weights(start, end, rhos), rhos, strict=True))
        assert got == pytest.approx(by_parts, rel=1e-9)
