r"""Is a solver of the order it claims? Measured on flows that are known exactly.

In one dimension the probability-flow ODE keeps the order of points, so it carries the quantile function of p_t to that
of p_s: the exact end of every path, for any mixture, without solving anything. For a stochastic solver on normal data
each step is affine in the state and in the noise; so its mean and variance after n steps follow from unit responses,
without Monte Carlo, and converge to the exact ones with its weak order.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from ..foundations.rng import Stream
from ..metrics.transport import sliced_wasserstein
from ..oracles import MixtureOracle, quantile
from ..processes.gaussian import Gaussian
from ..processes.schedules import SCHEDULES, Schedule
from ..solvers import SOLVERS, Solver, sample
from .outcome import Outcome, below, near

F64 = torch.float64
ORDER_TOLERANCE = 0.15
_SCHEDULES = ("vp", "ve", "cosine", "rectified")
_HALVINGS = 12
_ROUND_OFF = 5e-13  # an error below it has no order
_NOISE = (10.0, 0.1)  # from where to where in sigma/alpha: a step to zero noise is infinitely long in log-SNR


def normal_law(schedule: Schedule) -> MixtureOracle:
    """N(1.3, 0.25) on the line."""
    return MixtureOracle(Gaussian(schedule), torch.tensor([[1.3]], dtype=F64), torch.tensor([0.25], dtype=F64))


def mixture_law(schedule: Schedule) -> MixtureOracle:
    """0.35 N(-1, 0.3) + 0.65 N(0.8, 0.15) on the line."""
    return MixtureOracle(
        Gaussian(schedule),
        torch.tensor([[-1.0], [0.8]], dtype=F64),
        torch.tensor([0.3, 0.15], dtype=F64),
        torch.tensor([0.35, 0.65], dtype=F64),
    )


def noise_grid(schedule: Schedule, num_steps: int, ends: tuple[float, float] = _NOISE, *, halvings: int = 0) -> Tensor:
    """Times at evenly spaced log-SNR between two levels of sigma/alpha.

    With `halvings`, the first step is cut into steps that double from 2^-halvings of it: a multistep method has no past
    at first, and its first step, of first order, would hide its order.
    """
    levels = torch.linspace(math.log(ends[0]), math.log(ends[1]), num_steps + 1, dtype=F64)
    parts = 2.0 ** torch.arange(-halvings, 0, dtype=F64)
    levels = torch.cat([levels[:1], levels[0] + parts * (levels[1] - levels[0]), levels[1:]])
    return schedule.time(-2 * levels)


def flow_error(solver: Solver, law: MixtureOracle, num_steps: int) -> float:
    """The root mean square distance between the solver's end points and the exact flow's."""
    times = noise_grid(law.process.schedule, num_steps, halvings=_HALVINGS)
    u = torch.linspace(0.05, 0.95, 7, dtype=F64)[:, None]
    end = sample(law, quantile(law, u, times[0]), times, solver)
    return float((end - quantile(law, u, times[-1])).square().mean().sqrt())


def moments(solver: Solver, law: MixtureOracle, times: Tensor) -> tuple[float, float]:
    """The exact mean and variance of what a stochastic solver makes of one normal law, by unit responses."""
    count = len(times) - 1
    size = 2 + count * solver.draws
    x = torch.zeros(size, 1, dtype=F64)
    x[1] = 1
    carry = None
    for i, (t, s) in enumerate(times.unfold(0, 2, 1).unbind()):
        noise = torch.zeros(solver.draws, size, 1, dtype=F64)
        for d in range(solver.draws):
            noise[d, 2 + i * solver.draws + d] = 1
        x, carry = solver(law, x, t, s, noise, carry)
    gains = (x[1:] - x[0])[:, 0]
    alpha, sigma = law.process.schedule.alpha(times[0]), law.process.schedule.sigma(times[0])
    mean = x[0, 0] + gains[0] * alpha * law.means[0, 0]
    variance = gains[0] ** 2 * (alpha**2 * law.variances[0] + sigma**2) + gains[1:].square().sum()
    return float(mean), float(variance)


def moment_error(solver: Solver, law: MixtureOracle, num_steps: int) -> float:
    """How far mean and variance end from the exact ones, the larger of the two."""
    times = noise_grid(law.process.schedule, num_steps, halvings=_HALVINGS)
    mean, variance = moments(solver, law, times)
    alpha, sigma = law.process.schedule.alpha(times[-1]), law.process.schedule.sigma(times[-1])
    exact = float(alpha * law.means[0, 0]), float(alpha**2 * law.variances[0] + sigma**2)
    return max(abs(mean - exact[0]), abs(variance - exact[1]))


@dataclass(frozen=True)
class SolverReport:
    """What was measured of a solver.

    Attributes:
        claimed: its own `order`.
        measured: for each (law, schedule) the order seen over the last halving of the step.
        errors: the errors behind it, coarse to fine.
        passed: whether all are at least the claim, to within 0.15, and errors fall.
    """

    claimed: float
    measured: dict[str, float]
    errors: dict[str, tuple[float, ...]]
    passed: bool

    @property
    def order(self) -> float:
        """The lowest order seen."""
        return min(self.measured.values())


def check_solver(
    solver: Solver,
    *,
    schedules: Sequence[str] = _SCHEDULES,
    counts: Sequence[int] = (20, 40, 80, 160),
) -> SolverReport:
    """Measures the order of a solver on exact laws and compares it with the order it claims.

    Args:
        solver: any object with `draws`, `evaluations`, `order` and the step's call.
        schedules: names among `SCHEDULES`.
        counts: numbers of steps, each twice the one before: three halvings by default.

    A deterministic solver meets a normal law and a mixture, path by path; a stochastic one a normal law, in mean and
    variance. Errors at round-off have no order, and pass.
    """
    measured: dict[str, float] = {}
    errors: dict[str, tuple[float, ...]] = {}
    laws = {"normal": normal_law} if solver.draws else {"normal": normal_law, "mixture": mixture_law}
    for schedule in schedules:
        for name, law in laws.items():
            key = f"{name}, {schedule}"
            measure = moment_error if solver.draws else flow_error
            found = tuple(measure(solver, law(SCHEDULES[schedule]()), n) for n in counts)
            errors[key] = found
            # The last halving whose errors stand clear of round-off; where none does, the method is exact there.
            orders = [math.log2(a / b) for a, b in pairwise(found) if b > _ROUND_OFF and math.isfinite(a)]
            measured[key] = orders[-1] if orders else float(solver.order)
    passed = all(math.isfinite(e) for found in errors.values() for e in found) and all(
        _agrees(order, solver, key) for key, order in measured.items()
    )
    return SolverReport(float(solver.order), measured, errors, passed)


def _agrees(order: float, solver: Solver, key: str) -> bool:
    # On a normal law, whose flow is affine, terms of the error cancel for some methods: more than the claim is no fault
    # there. On a mixture it is, for a claim that is too low hides a slip as well as one that is too high.
    most = solver.order + ORDER_TOLERANCE if key.startswith("mixture") else math.inf
    return solver.order - ORDER_TOLERANCE <= order <= most


def orders() -> Iterator[Outcome]:
    """Every registered solver against its claim."""
    for name, make in SOLVERS.items():
        solver = make()
        report = check_solver(solver)
        kind = "weak order in mean and variance" if solver.draws else "order"
        worst = min(report.measured, key=lambda key: report.measured[key])
        yield Outcome(
            f"{name}: {kind}",
            f"{report.claimed:g}",
            f"{report.order:.2f} ({worst})",
            f"{ORDER_TOLERANCE:g}",
            "the next term of the error still shows at 160 steps",
            report.passed,
        )


def laws_in_two_dimensions() -> Iterator[Outcome]:
    """Every solver's samples of a 2-D mixture against independent exact ones, by sliced Wasserstein distance."""
    count = 4000
    schedule = SCHEDULES["vp"]()
    law = two_moons_of_gaussians(Gaussian(schedule))
    real, other = exact_samples(law, count, 1), exact_samples(law, count, 2)
    floor = sliced_wasserstein(real, other, seed=0)
    start = law.process.prior(Stream.of(3, range(count)).normal((2,), step=0)[0, 0])
    for name, make in SOLVERS.items():
        solver = make()
        steps = 400 if solver.order == 1 else 100
        times = torch.cat([noise_grid(schedule, steps - 1, (100.0, 0.01)), torch.zeros(1, dtype=F64)])
        times[0] = 1.0
        made = sample(law, start, times, solver, stream=Stream.of(4, range(count)))
        distance = sliced_wasserstein(made, real, seed=0)
        yield below(
            f"{name}: sliced Wasserstein on a 2-D mixture, {steps} steps",
            distance,
            2.0 * floor,
            f"twice the distance {floor:.3f} between two sets of {count:,} exact samples",
        )


def two_moons_of_gaussians(process: Gaussian) -> MixtureOracle:
    """Eight components on two half circles: curved, with gaps, and exactly known."""
    angle = torch.linspace(0.3, math.pi - 0.3, 4)
    upper = torch.stack([angle.cos() - 0.5, angle.sin() - 0.25], dim=1)
    lower = torch.stack([0.5 - angle.cos(), 0.25 - angle.sin()], dim=1)
    return MixtureOracle(process, torch.cat([upper, lower]), torch.full((8,), 0.02))


def exact_samples(law: MixtureOracle, count: int, seed: int) -> Tensor:
    """Independent draws from the law itself, (count, *)."""
    stream = Stream.of(seed, range(count))
    shape = tuple(law.means.shape[1:])
    return law.sample(stream.normal(shape, step=0)[0, 0], stream.uniform((), step=1)[0, 0])


__all__ = ["SolverReport", "check_solver", "laws_in_two_dimensions", "near", "orders"]
