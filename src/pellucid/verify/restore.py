"""Restoration against posteriors in closed form."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ..foundations.rng import Stream
from ..operators import OPERATORS, Matrix
from ..oracles import MixtureOracle, gaussian_oracle
from ..processes.gaussian import Gaussian
from ..processes.schedules import SCHEDULES
from ..processes.times import GRIDS
from ..restorers import RESTORERS, SMC, Observation, Restorer
from ..restorers.calibration import calibrate
from ..restorers.exact import posterior
from ..solvers import SOLVERS
from .operators import EXAMPLES, shapes
from .outcome import Outcome, below, near

F64 = torch.float64
_SIZE, _ROWS = 6, 3
# Every operator whose pseudo-inverse needs no iteration on these small pictures, of each kind one.
_EXACT = ("random-mask", "half-plane", "downsample", "bicubic", "decolorise", "gaussian-blur", "gaussian-sensing")


def _process() -> Gaussian:
    return Gaussian(SCHEDULES["linear_beta"]())


def _normal(*shape: int, seed: int) -> Tensor:
    return Stream.of(seed, range(1)).normal(shape, step=0)[0, 0, 0].double()


def _run(method: Restorer, law: MixtureOracle, seen: Observation, *, steps: int, seed: int = 31) -> Tensor:
    times = GRIDS["asinh"](law.process.schedule, steps)
    stream = Stream.of(seed, range(len(seen.y)))
    return method.run(law, seen, stream=stream, times=times, solver=SOLVERS["ancestral"]())


def _clusters(size: int, count: int, spread: float) -> MixtureOracle:
    variances = torch.full((count,), spread**2, dtype=F64)
    return MixtureOracle(_process(), _normal(count, size, seed=32), variances, torch.linspace(1, 2, count).double())


def range_and_null_space() -> Iterator[Outcome]:
    """DDNM meets an observation without noise to round-off, and DDNM+ without noise is DDNM."""
    for name in _EXACT:
        shape = shapes(name)[0]
        operator = EXAMPLES[name](shape).on(shape)
        law = MixtureOracle(_process(), _normal(4, *shape, seed=33), torch.full((4,), 0.05, dtype=F64))
        seen = Observation(operator, operator(law.means[:2]), 0.0)
        x = _run(RESTORERS["ddnm"](), law, seen, steps=10)
        scale = seen.y.square().mean().sqrt().item()
        gap = seen.residual(x).abs().max().item() / scale
        yield below(f"ddnm, {name} without noise: largest residual", gap, 1e-9, "round-off in float64")
        plus = _run(RESTORERS["ddnm+"](), law, seen, steps=10)
        yield below(f"ddnm+ at no noise against ddnm, {name}", (plus - x).abs().max().item(), 1e-9, "the same steps")


def _exact_mean(
    mean: Tensor, covariance: Tensor, matrix: Tensor, x: Tensor, y: Tensor, t: Tensor, noise: float
) -> Tensor:
    """E[x_0 | x_t, y] of a normal law: x_t and y together are one linear observation."""
    schedule = _process().schedule
    alpha, sigma = schedule.alpha(t), schedule.sigma(t)
    both = torch.cat([alpha / sigma * torch.eye(len(mean), dtype=F64), matrix / noise])
    values = torch.cat([x / sigma, y / noise], 1)
    inner = both @ covariance @ both.T + torch.eye(len(both), dtype=F64)
    return mean + torch.linalg.solve(inner, (values - both @ mean).T).T @ both @ covariance


def normal_laws() -> Iterator[Outcome]:
    """PiGDM of a round normal law and MMPS of any have the exact E[x_0 given x_t, y]."""
    mean, matrix, noise = _normal(_SIZE, seed=34), _normal(_ROWS, _SIZE, seed=35), 0.1
    root = _normal(_SIZE, _SIZE, seed=36)
    laws = {
        "pigdm": 0.7 * torch.eye(_SIZE, dtype=F64),
        "mmps": root @ root.T / _SIZE + 0.05 * torch.eye(_SIZE, dtype=F64),
    }
    methods: dict[str, Restorer] = {
        "pigdm": RESTORERS["pigdm"](data_variance=0.7),
        "mmps": RESTORERS["mmps"](tolerance=1e-12),
    }
    x, y = _normal(4, _SIZE, seed=37), _normal(4, _ROWS, seed=38)
    seen = Observation(Matrix(matrix).on((_SIZE,)), y, noise)
    for name, covariance in laws.items():
        law = gaussian_oracle(_process(), mean, covariance)
        for t in (0.02, 0.3, 0.9):
            when = torch.tensor(t, dtype=F64)
            found = methods[name].wrap(law, seen)(x, when)  # type: ignore[attr-defined]
            exact = _exact_mean(mean, covariance, matrix, x, y, when, noise)
            gap = (found - exact).abs().max().item()
            yield below(f"{name}, normal law at t = {t:g}: E[x_0 given x_t, y]", gap, 1e-7, "round-off over noise^2")


def populations() -> Iterator[Outcome]:
    """The error of SMC's shares of clusters falls with the number of particles."""
    law, noise = _clusters(8, 6, 0.15), 1.0
    operator = Matrix(_normal(1, 8, seed=39)).on((8,))
    y = operator(law.means.mean(0, keepdim=True))
    share = posterior(law, Observation(operator, y, noise)).log_weights[0].exp()
    errors = {}
    for particles, repeats in ((16, 10), (256, 4)):
        squares = []
        for seed in range(repeats):
            seen = Observation(operator, y.expand(particles, -1), noise)
            x = _run(SMC(particles=particles), law, seen, steps=40, seed=40 + seed)
            nearest = (x[:, None] - law.means).square().sum(2).argmin(1)
            squares.append((nearest.bincount(minlength=6) / particles - share).square().sum())
        errors[particles] = torch.stack(squares).mean().sqrt().item()
    yield below(
        "smc on a mixture: error of the shares, 256 particles over 16",
        errors[256] / errors[16],
        0.6,
        "it falls as the square root, by 4; each is known to about a quarter",
    )
    bound = 3 * ((1 - share.square().sum()) / 256).sqrt().item()
    yield below(
        "smc on a mixture: error of the shares, 256 particles", errors[256], bound, "3 times that of exact draws"
    )


def credible_regions() -> Iterator[Outcome]:
    """90 % regions of the methods that say they sample the posterior hold the truth 90 times in 100."""
    count, each, noise = 160, 39, 0.3
    law = _clusters(8, 6, 0.4)
    stream = Stream.of(41, range(count))
    truth = law.sample(stream.normal((8,), step=0)[0, 0].double(), stream.uniform((), step=1)[0, 0])
    operator = Matrix(_normal(3, 8, seed=42)).on((8,))
    y = operator(truth)
    y = y + noise * stream.normal(tuple(y.shape[1:]), step=2)[0, 0].double()
    for name in RESTORERS:
        method = SMC(particles=64) if name == "smc" else RESTORERS[name]()
        if not method.posterior:
            continue
        few = 64 if name == "smc" else count  # every item needs a population of its own
        seen = Observation(operator, y[:few].repeat_interleave(each, 0), noise)
        x = _run(method, law, seen, steps=40)
        found = calibrate(x.reshape(few, each, -1), truth[:few])
        error = 2 * (0.09 / few) ** 0.5
        yield near(
            f"{name}: coverage of 90 % regions, {few} items",
            found.coverage.value,
            found.level,
            0.05 + error if name == "smc" else 0.05,
            "0.05 is what is asked for" + (", and two binomial standard errors of few items" if name == "smc" else ""),
        )


def closed_forms() -> Iterator[Outcome]:
    """The posterior of a mixture in closed form against Bayes' rule on a grid of the plane."""
    law = MixtureOracle(
        _process(),
        _normal(4, 2, seed=43),
        torch.tensor([0.1, 0.2, 0.3, 0.1], dtype=F64),
        torch.tensor([1.0, 2.0, 1.0, 3.0]),
    )
    operator, noise = OPERATORS["matrix"](_normal(1, 2, seed=44)).on((2,)), 0.4
    y = torch.tensor([[0.3]], dtype=F64)
    line = torch.linspace(-6, 6, 601, dtype=F64)
    points = torch.cartesian_prod(line, line)
    log_joint = law.log_prob(points) - 0.5 * ((y - operator(points)) / noise).square().sum(1)
    share = log_joint.softmax(0)
    gap = (posterior(law, Observation(operator, y, noise)).mean()[0] - share @ points).abs().max().item()
    yield below("posterior of a mixture: mean against Bayes' rule on a grid", gap, 1e-6, "the grid is fine and wide")
