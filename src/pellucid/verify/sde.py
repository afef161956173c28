"""Kernels derived from f and g, against closed forms and simulated paths."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from ..foundations.rng import Stream
from ..processes.paths import walk
from ..processes.schedules import VP
from ..processes.sde import SDE
from .outcome import Outcome, below, near

F64 = torch.float64
_TIMES = (0.05, 0.4, 1.0)
_DIGITS = "round-off of a kernel solved in float64"


def ornstein_uhlenbeck() -> SDE:
    """dx = -3 x dt + 1.7 dw."""
    return SDE(lambda x, t: -3 * x, lambda t: 1.7 + 0 * t, (2,))


def langevin() -> SDE:
    """Critically damped Langevin dynamics, dq = 16 v dt, dv = -4 (q + 4 v) dt + sqrt(8) dw."""

    def drift(x: Tensor, t: Tensor) -> Tensor:
        q, v = x.unbind(-1)
        return torch.stack([16 * v, -4 * q - 16 * v], -1)

    return SDE(drift, lambda t: math.sqrt(8) * torch.diag(torch.tensor([0.0, 1.0], dtype=F64)), (2,))


def kernels() -> Iterator[Outcome]:
    """Means and covariances against their closed forms."""
    decay = ornstein_uhlenbeck()
    for t in _TIMES:
        found = decay.kernel.moments(torch.tensor(t, dtype=F64))
        exact = 1.7**2 / 6 * -math.expm1(-6 * t)
        yield near(f"OU at t = {t:g}: mean's factor", found.phi.flatten()[0].item(), math.exp(-3 * t), 1e-12, _DIGITS)
        yield near(f"OU at t = {t:g}: variance", found.covariance.flatten()[0].item(), exact, 1e-12, _DIGITS)
    damped = langevin()
    # A = [[0, 16], [-4, -16]] has the double eigenvalue -8: exp(At) = e^-8t (I + (A + 8 I) t). Its law at rest is
    # diag(1, 1/4), so from a point the covariance is rest - exp(At) rest exp(At)^T.
    inner = torch.tensor([[8.0, 16.0], [-4.0, -8.0]], dtype=F64)
    rest = torch.diag(torch.tensor([1.0, 0.25], dtype=F64))
    for t in _TIMES:
        phi = math.exp(-8 * t) * (torch.eye(2, dtype=F64) + inner * t)
        found = damped.kernel.moments(torch.tensor(t, dtype=F64))
        gap = (found.phi[0] - phi).abs().max().item()
        yield below(f"critically damped Langevin at t = {t:g}: mean's matrix, largest error", gap, 1e-12, _DIGITS)
        gap = (found.covariance[0] - (rest - phi @ rest @ phi.T)).abs().max().item()
        yield below(f"critically damped Langevin at t = {t:g}: covariance, largest error", gap, 1e-12, _DIGITS)


def variance_preserving() -> Iterator[Outcome]:
    """The VP schedule back from its own f and g."""
    given = SDE(lambda x, t: -0.5 * (0.1 + 19.9 * t) * x, lambda t: (0.1 + 19.9 * t).sqrt(), (3,))
    exact = VP()
    t = torch.linspace(0.01, 1, 100, dtype=F64)
    for name in ("alpha", "sigma"):
        found, right = getattr(given.schedule, name)(t), getattr(exact, name)(t)
        gap = (found / right - 1).abs().max().item()
        yield below(f"VP from f and g: {name}, largest relative error", gap, 1e-9, "spectral integration in float64")


def simulated() -> Iterator[Outcome]:
    """Paths of the SDE against its kernel: mean and covariance of both examples."""
    count = 8000
    for name, sde, x0 in (("OU", ornstein_uhlenbeck(), (1.5, -0.5)), ("Langevin", langevin(), (1.5, 0.0))):
        start = torch.tensor(x0, dtype=F64)
        times = torch.linspace(0, 0.4, 81, dtype=F64)
        end = start.expand(count, 2)
        for state in walk(sde, end, times, Stream.of(13, range(count))):
            end = state
        moments = sde.kernel.moments(times[-1])
        mean = moments.phi[0] @ start if name == "Langevin" else moments.phi.flatten()[0] * start
        covariance = moments.covariance[0] if name == "Langevin" else moments.covariance.flatten()[0] * torch.eye(2)
        spread = covariance.diagonal().sqrt()
        gap = ((end.mean(0) - mean) / spread).abs().max().item() * math.sqrt(count)
        yield below(f"{name}, {count:,} paths: mean, in standard errors", gap, 4.0, "4 standard errors")
        found = torch.cov(end.T)
        # The variance of a sample covariance of normal numbers: (C_ii C_jj + C_ij^2)/n.
        error = (torch.outer(spread.square(), spread.square()) + covariance.square()).sqrt() / math.sqrt(count)
        gap = ((found - covariance) / error).abs().max().item()
        yield below(f"{name}, {count:,} paths: covariance, in standard errors", gap, 4.5, "4.5 of the largest of 4")
