r"""Exact integrals of polynomials against the exponential, which all exponential integrators share.

With lambda = log(alpha/sigma), any Gaussian process, run backwards with fresh noise at rate eta, obeys

    d(x/sigma e^(eta l)) = (1 + eta) e^((1 + eta) l) x_0(l) dl + noise,   l from lambda_t up to lambda_s          (1)

(in units where the right side starts at sigma_t = e^-l alpha_t; eta = 0 is the probability-flow ODE, eta = 1 the
reverse SDE of Anderson, 1982; Lu et al., "DPM-Solver++", 2022, proposition 4.1; Xue et al., "SA-Solver", 2023, with
eta = tau^2). Over a step of h = lambda_s - lambda_t this is

    x_s = sigma_s/sigma_t e^(-eta h) x_t + alpha_s c h int_0^1 e^(-c h (1 - u)) x_0(lambda_t + u h) du
          + sigma_s sqrt(1 - e^(-2 eta h)) z,   c = 1 + eta                                                        (2)

so a method is a polynomial for x_0, and its weights are moments of the exponential:

    M_k(h) = int_0^1 e^(-h (1 - u)) u^k du = k! phi_(k+1)(-h),   M_k = (1 - k M_(k-1))/h                           (3)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .gaussian import Level

Array = NDArray[np.float64]

_SERIES_BELOW = 1.0


def moments(h: float, count: int) -> list[float]:
    """M_0 ... M_(count-1) of equation (3), for any finite h, to a relative error of about 1e-14.

    >>> [round(m, 12) for m in moments(0.0, 3)]
    [1.0, 0.5, 0.333333333333]
    """
    if abs(h) >= _SERIES_BELOW:
        # Each upward step loses a factor k/h of precision: nothing that matters here.
        values = [-math.expm1(-h) / h]
        for k in range(1, count):
            values.append((1 - k * values[-1]) / h)
        return values
    # The highest moment by its series, sum_j (-h)^j k!/(k + 1 + j)!, the others by (3) downwards, which loses nothing.
    top = count - 1
    term = 1 / (top + 1)
    total, j = term, 1
    while abs(term) > 1e-17 * total:
        term *= -h / (top + 1 + j)
        total += term
        j += 1
    values = [total]
    for k in range(top, 0, -1):
        values.append((1 - h * values[-1]) / k)
    return values[::-1]


def integrate_lagrange(nodes: Sequence[float], powers: Sequence[float]) -> list[float]:
    """The weights w_j = sum_k c_jk powers[k], where L_j(u) = sum_k c_jk u^k are the Lagrange polynomials of the nodes.

    If powers[k] is the integral of u^k against any weight, sum_j w_j f(u_j) is that of the polynomial through f(u_j).

    Args:
        nodes: distinct numbers.
        powers: one number for each node.
    """
    weights = []
    for j, node in enumerate(nodes):
        coefficients, scale = [1.0], 1.0
        for i, other in enumerate(nodes):
            if i != j:
                # Multiplies the polynomial by (u - other).
                coefficients = [
                    up - other * same for up, same in zip([0.0, *coefficients], [*coefficients, 0.0], strict=True)
                ]
                scale *= node - other
        weights.append(sum(c * p for c, p in zip(coefficients, powers, strict=True)) / scale)
    return weights


_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)


def gauss_legendre(low: float, high: float) -> tuple[Array, Array]:
    """Nodes and weights of a rule of 16 points on an interval, each (16,), exact for polynomials of degree 31."""
    half = 0.5 * (high - low)
    return half * _NODES + (low + half), half * _WEIGHTS


def lagrange_values(nodes: Sequence[float], points: Array) -> Array:
    """The Lagrange polynomials of the nodes at the points (P,), shape (len(nodes), P)."""
    apart = [points - node for node in nodes]
    rows = []
    for j, node in enumerate(nodes):
        row, scale = np.ones_like(points), 1.0
        for i, other in enumerate(nodes):
            if i != j:
                row, scale = row * apart[i], scale * (node - other)
        rows.append(row / scale)
    return np.stack(rows)


class Move(NamedTuple):
    """The parts of equation (2) that do not depend on the polynomial: keep x_t + gain (weighted x_0) + spread z."""

    keep: float
    gain: float
    spread: float


def move(now: Level, then: Level, eta: float) -> Move:
    """Equation (2)'s factors; `gain` is the total weight of x_0. At s = 0 they are 0, 1 and 0."""
    if then.sigma == 0:
        return Move(0.0, then.alpha, 0.0)
    h = then.lam - now.lam
    keep = then.sigma / now.sigma * math.exp(-eta * h)
    gain = -then.alpha * math.expm1(-(1 + eta) * h)
    spread = then.sigma * math.sqrt(-math.expm1(-2 * eta * h)) if eta else 0.0
    return Move(keep, gain, spread)


def exact_shares(lams: Sequence[float], now: Level, then: Level, eta: float) -> list[float]:
    """How the gain is shared among values of x_0 at the given lambdas, for the polynomial through all of them.

    A step to t = 0 is infinitely long in lambda, and no polynomial but the constant has a limit: the first value stands
    alone.
    """
    if then.sigma == 0:
        return [1.0] + [0.0] * (len(lams) - 1)
    h = then.lam - now.lam
    powers = moments((1 + eta) * h, len(lams))
    return integrate_lagrange([(lam - now.lam) / h for lam in lams], [power / powers[0] for power in powers])


def halved_shares(lams: Sequence[float], now: Level, then: Level, eta: float) -> list[float]:
    """As `exact_shares`, but a polynomial through two values is taken at the middle of the step: the choice of
    DPM-Solver++(2M) and of UniPC's second order, which differs from the exact integral by O(h) of the slope."""
    if len(lams) != 2 or then.sigma == 0:
        return exact_shares(lams, now, then, eta)
    h = then.lam - now.lam
    far = 0.5 * h / (lams[1] - lams[0])
    return [1 - far, far]
