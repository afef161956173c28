r"""The log-density of a denoiser's model, by the probability-flow ODE.

In y = x/alpha, rho = sigma/alpha and u = log rho, with x0(y, u) the denoised estimate and J its Jacobian in x,

    dy/du = y - x0,      d log p/du = -(D - alpha tr J)                                                            (1)

(Song et al., "Score-Based Generative Modeling through Stochastic Differential Equations", 2021, equations 13 and 39).
With s = sqrt(1 + rho^2) the state z = y/s keeps the size of unit-variance data, and both sides stay bounded:

    dz/du = (y/s^2 - x0)/s                                                                                         (2)
    log p(x) = log N(y_1; 0, (prior_std/alpha_1)^2 I) + D log(s_1/s_0) + int (D/s^2 - alpha tr J) du               (3)

from u_0 = log noise_min to t = 1. For N(0, I) both right-hand sides are zero. The value is that of the data blurred by
noise_min. (2) moves by Adams and Bashforth's fourth-order rule, with one call of the denoiser at each node; (3) sums
the traces at the nodes by Gregory's rule, whose order is four too. On oracles this needs a half to a third of the calls
that RK4 does. The nodes are fixed, so the probes of the trace are fresh at each node: their errors average along the
path, and an item's value depends on the seed and its own id alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..denoisers import Denoiser
from ..foundations.errors import UserError
from ..foundations.rng import Stream, subseed
from .checks import check_count, check_data, gaussian_process, noise_range
from .trace import TRACES, Trace

_FEW_VALUES = 16  # up to here "auto" takes the exact trace
_ADAMS = (
    (1.0,),
    (3 / 2, -1 / 2),
    (23 / 12, -16 / 12, 5 / 12),
    (55 / 24, -59 / 24, 37 / 24, -9 / 24),
)
_GREGORY = (3 / 8, 7 / 6, 23 / 24)


@dataclass(frozen=True)
class LogProb:
    """Log-densities.

    Attributes:
        value: log p(x) in nats, (B,), float64, in the scale of the data that were given.
        standard_error: of the trace's probes, (B,); 0 for the exact trace.
        evaluations: calls of the denoiser, for each item.
        products: vector-Jacobian products, for each item; each costs one to two calls.
    """

    value: Tensor
    standard_error: Tensor
    evaluations: int
    products: int


def log_prob(
    denoiser: Denoiser,
    x: Tensor,
    *,
    trace: str = "auto",
    probes: int | None = None,
    steps: int = 256,
    noise_min: float = 1e-3,
    seed: int = 0,
    ids: Tensor | None = None,
    force: bool = False,
    **cond: Any,
) -> LogProb:
    """log p(x) in nats by equation (3).

    Args:
        denoiser: of a Gaussian process.
        x: data, (B, *), in the denoiser's scale.
        trace: a name among `TRACES`; "auto" is exact up to 16 values and Hutchinson's beyond.
        probes: random vectors at each step; the estimator's least if absent.
        steps: of the integration; the error falls with their fourth power.
        noise_min: sigma/alpha at which the path starts.
        seed: of the probes.
        ids: the items' identities, (B,), which name their probes; 0 .. B - 1 if absent.
        force: go on where the data look unscaled or the process does not end in its prior.
        cond: conditions, passed to the denoiser: the value is then log p(x given the conditions).

    Raises:
        UserError: a process without a density, data or numbers that cannot be used, or a denoiser that fails.
    """
    process = gaussian_process(denoiser)
    ids = check_data(process, x, ids, force=force)
    check_count("steps", steps, 4)
    estimator = _estimator(trace, probes, x[0].numel())
    size = x[0].numel()
    low, high = noise_range(process, noise_min)
    nodes = torch.linspace(math.log(low), math.log(high), steps + 1, dtype=torch.float64)
    times = process.schedule.time(-2 * nodes)
    times[-1] = 1
    h = (nodes[1] - nodes[0]).item()
    weights = _gregory(steps)
    stream = Stream(subseed(seed, "trace"), ids)
    x = x.detach()
    z = x / math.hypot(1, low)
    integral = torch.zeros(len(x), dtype=torch.float64, device=x.device)
    variance = torch.zeros_like(integral)
    slopes: list[Tensor] = []
    for i, (u, t) in enumerate(zip(nodes.tolist(), times.unbind(), strict=True)):
        s = math.hypot(1, math.exp(u))
        alpha = process.schedule.alpha(t).item()
        y = z * s
        x0, reading, spread = _with_trace(denoiser, y, alpha, s, t, cond, estimator, stream, i)
        integral += weights[i] * h * reading.double()
        variance += (weights[i] * h) ** 2 * spread.double()
        slopes = [(y / s**2 - x0) / s, *slopes[:3]]
        if i < steps:
            for coefficient, slope in zip(_ADAMS[len(slopes) - 1], slopes, strict=True):
                z = z + h * coefficient * slope
    value = _log_prior(z.double() * math.hypot(1, high), process.prior_std() * high / _sigma_end(process))
    value = value + size * math.log(math.hypot(1, high) / math.hypot(1, low)) + integral
    if not bool(torch.isfinite(value).all()):
        raise UserError("the denoiser returned NaN or infinite numbers on the way from the data to noise")
    return LogProb(value, variance.sqrt(), steps + 1, (steps + 1) * estimator.products(size))


def _estimator(trace: str, probes: int | None, size: int) -> Trace:
    if trace == "auto":
        trace = "exact" if size <= _FEW_VALUES else "hutchinson"
    estimator = TRACES[trace]() if probes is None else TRACES[trace](probes=probes)
    estimator.products(size)  # refuses items that are too large
    return estimator


def _with_trace(
    denoiser: Denoiser,
    y: Tensor,
    alpha: float,
    s: float,
    t: Tensor,
    cond: dict[str, Any],
    estimator: Trace,
    stream: Stream,
    step: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """The denoised estimate, the trace of I/s^2 - alpha J, and the variance of its error.

    The estimators see this difference, which is near zero or of low rank where alpha J alone is near the identity.
    """
    with torch.enable_grad():
        x = (alpha * y).to(y.dtype).detach().requires_grad_()
        x0 = denoiser(x, t, **cond)
        if x0.shape != x.shape:
            raise UserError(f"the denoiser returned the shape {tuple(x0.shape)} for data of {tuple(x.shape)}")

        def product(v: Tensor) -> Tensor:
            return v / s**2 - alpha * _products(x0, x, v.reshape(len(v), *x.shape).to(x0.dtype)).flatten(2)

        reading, spread = estimator(product, x.detach().flatten(1), stream, step)
    return x0.detach(), reading, spread


def _products(x0: Tensor, x: Tensor, v: Tensor) -> Tensor:
    """v^T J for each row of v, (P, B, *)."""
    if len(v) <= 4:  # one by one: no rule for batches is needed of the network's own operations
        return torch.stack([torch.autograd.grad(x0, x, row, retain_graph=True)[0] for row in v])
    rows: Tensor = torch.autograd.grad(x0, x, v, retain_graph=True, is_grads_batched=True)[0]
    return rows


def _gregory(steps: int) -> list[float]:
    """The weights of Gregory's rule on steps + 1 nodes; where its two ends would overlap, the trapezoid's."""
    ends = _GREGORY if steps + 1 >= 2 * len(_GREGORY) else (0.5,)
    weights = [1.0] * (steps + 1)
    for i, weight in enumerate(ends):
        weights[i] = weights[steps - i] = weight
    return weights


def _sigma_end(process: Any) -> float:
    return float(process.schedule.sigma(torch.ones((), dtype=torch.float64)))


def _log_prior(y: Tensor, std: float) -> Tensor:
    flat = y.flatten(1) / std
    return -0.5 * flat.square().sum(1) - flat.shape[1] * (math.log(std) + 0.5 * math.log(2 * math.pi))
