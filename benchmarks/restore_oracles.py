"""Posterior samples of every restoration method against exact posteriors: laws whose denoiser and posterior are known.

Distance: sliced Wasserstein (128 directions) of a method's samples to exact ones, over that of exact samples to one
another, the noise floor, so 1 is as good as exact. All methods have the same exact denoiser and their own defaults;
only `pigdm` is told the data's variance, which it asks for. Single paths run on 50 ancestral steps; `auto` runs as it
chooses.

1. The mixture of 25 normals of Cardoso et al. ("Monte Carlo guided Diffusion for Bayesian linear inverse problems",
   2023): means (8i, 8j, 8i, ...), i, j from -2 to 2, unit covariance, weights of chi-squared draws; A = U S V' with
   uniform singular values, noise uniform below the largest of them, y from the law. Data of standard deviation 11:
   the linear-beta chain, whose noise goes to 157 times the signal, takes it as it is.
2. A mixture of ten normals in 8x8 pictures, and 500 digits of 28x28 blurred by a normal of standard deviation 0.1:
   half-plane inpainting, 4x pooling, Gaussian blur, compressed sensing at 25 %, with noise 0.01 and 0.1.
3. Coverage of 90 % credible regions, on held-out pairs of the first law (d = 8, d_y = 2, noise 0.5).

Claim: the best method within 1.5 of the floor at d = 8; `auto` within 1.3 in geometric mean and 1.7 at worst; coverage
of the methods that say they sample the posterior between 85 and 95 %. The page says where that holds.
"""

from __future__ import annotations

import math
import statistics
import time
from dataclasses import dataclass

import torch
from common import Page, arguments, table
from torch import Tensor

from pellucid.data.open import open_dataset
from pellucid.foundations.errors import UserError
from pellucid.metrics.transport import sliced_wasserstein
from pellucid.operators import Downsample, GaussianBlur, GaussianSensing, HalfPlane, Matrix, Operator
from pellucid.oracles import MixtureOracle
from pellucid.processes.gaussian import Gaussian
from pellucid.processes.schedules import SCHEDULES
from pellucid.restoration.restore import restore
from pellucid.restorers import RESTORERS, SMC, Observation, PiGDM, Restorer
from pellucid.restorers.calibration import calibrate
from pellucid.restorers.exact import posterior

F64 = torch.float64
PROCESS = Gaussian(SCHEDULES["linear_beta"]())
PATHS = ("ddnm", "ddnm+", "ddrm", "dps", "diffpir", "pigdm", "mmps", "tmpd")
STEPS = 50
DIRECTIONS = 128


@dataclass(frozen=True, eq=False)
class Problem:
    """A law, what was seen of one item, and exact posterior samples."""

    law: MixtureOracle
    operator: Operator
    y: Tensor
    noise: float
    exact: list[Tensor]
    floor: float


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def problem(law: MixtureOracle, operator: Operator, noise: float, seed: int, samples: int) -> Problem:
    """An item of the law, seen."""
    g = generator(seed)
    shape = law.means.shape[1:]
    x = law.sample(torch.randn(1, *shape, generator=g, dtype=F64), torch.rand(1, generator=g))
    y = operator(x)
    y = y + noise * torch.randn(y.shape, generator=g, dtype=F64)
    known = posterior(law, Observation(operator, y.expand(samples, *y.shape[1:]), noise))
    exact = [
        known.sample(
            torch.randn(samples, *shape, generator=g, dtype=F64),
            torch.rand(samples, generator=g),
            torch.randn(samples, *y.shape[1:], generator=g, dtype=F64),
        )
        for _ in range(6)
    ]
    floor = statistics.mean(distance(exact[i], exact[i + 3]) for i in range(3))
    return Problem(law, operator, y, noise, exact, floor)


def distance(a: Tensor, b: Tensor) -> float:
    return sliced_wasserstein(a, b, num_projections=DIRECTIONS)


def ratio(on: Problem, samples: Tensor) -> float:
    """The distance over the floor; infinite where a sample is lost."""
    if not bool(samples.isfinite().all()):
        return math.inf
    return statistics.mean(distance(samples, exact) for exact in on.exact[:3]) / on.floor


def method(name: str, law: MixtureOracle) -> Restorer:
    """With its defaults; `pigdm` with the variance of one value of the data."""
    if name != "pigdm":
        return RESTORERS[name]()
    weights = torch.ones(len(law.means), dtype=F64) if law.weights is None else law.weights
    share = (weights / weights.sum())[:, None]
    means = law.means.flatten(1)
    between = (share * (means - (share * means).sum(0)).square()).sum(0).mean()
    return PiGDM(data_variance=float(between + (share[:, 0] * law.variances).sum()))


def run(name: str, on: Problem, samples: int, seed: int) -> tuple[float, float, str]:
    """Distance over the floor, seconds, and what "auto" chose; infinite where the method refuses."""
    start = time.process_time()
    chosen: dict[str, object] = {"method": "auto"}
    if name != "auto":
        solver = {"solver": "ancestral", "grid": "asinh", "steps": STEPS}
        if name == "smc":
            chosen = {"method": SMC(particles=4 * samples), **solver, "steps": 2 * STEPS}
        else:
            chosen = {"method": method(name, on.law), **solver}
    try:
        made = restore(on.law, on.operator, on.y, noise=on.noise, samples=samples, seed=seed, **chosen)  # type: ignore[arg-type]
    except UserError:
        return math.inf, 0.0, ""
    return ratio(on, made.samples[0]), time.process_time() - start, made.method


def geometric(values: list[float]) -> float:
    return math.exp(statistics.mean(math.log(v) for v in values)) if all(map(math.isfinite, values)) else math.inf


def shown(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else "–"


def mixture25(size: int, weights: Tensor | None = None) -> MixtureOracle:
    """The 25 normals."""
    means = [[8.0 * i, 8.0 * j] * (size // 2) for i in range(-2, 3) for j in range(-2, 3)]
    return MixtureOracle(PROCESS, torch.tensor(means, dtype=F64), torch.ones(25, dtype=F64), weights)


def random_problem(size: int, rows: int, repeat: int, samples: int) -> Problem:
    """One draw of the protocol."""
    g = generator(10_000 * size + 100 * rows + repeat)
    law = mixture25(size, torch.randn(25, generator=g, dtype=F64).square())
    left, _, right = torch.linalg.svd(torch.randn(rows, size, generator=g, dtype=F64), full_matrices=False)
    values = torch.rand(rows, generator=g, dtype=F64).sort(descending=True).values
    noise = float(torch.rand((), generator=g, dtype=F64) * values.max())
    operator = Matrix(left @ torch.diag(values) @ right).on((size,))
    return problem(law, operator, noise, int(torch.randint(1 << 30, (), generator=g)), samples)


def twenty_five(page: Page, quick: bool) -> None:
    """The first table, and its verdict."""
    samples, repeats = (64, 1) if quick else (256, 20)
    names = ("smc", *PATHS)
    page.say(f"## 25 normals\n\n{repeats} repeats, {samples} samples; geometric mean over repeats, and the median.\n")
    rows, best = [], {}
    for size in (8,) if quick else (8, 80):
        for number in (2,) if quick else (1, 2, 4):
            problems = [random_problem(size, number, i, samples) for i in range(repeats)]
            cells = [f"{size}, {number}", f"{statistics.mean(p.floor for p in problems):.3f}"]
            for name in names:
                found = [run(name, on, samples, i)[0] for i, on in enumerate(problems)]
                cells.append(f"{shown(geometric(found))} ({shown(statistics.median(found))})")
                best.setdefault((size, number), {})[name] = geometric(found)
            rows.append(cells)
    page.say(table(["d, d_y", "floor", *names], rows) + "\n")
    at8 = {key: min(found.values()) for key, found in best.items() if key[0] == 8}
    names8 = {min(found, key=lambda n, f=found: f[n]) for key, found in best.items() if key[0] == 8}
    worst = max(at8.values())
    page.say(
        f"- Verdict: the best method at d = 8 ({', '.join(sorted(names8))}) is at most {worst:.2f} times the floor, "
        f"{'within' if worst <= 1.5 else 'above'} the goal of 1.5.\n"
    )


def pictures(page: Page, quick: bool) -> None:
    """The second tables, and the verdict on "auto"."""
    samples = 64 if quick else 256
    means = torch.randn(10, 1, 8, 8, generator=generator(564), dtype=F64)
    laws = {"64-D mixture": MixtureOracle(PROCESS, means, torch.full((10,), 0.1, dtype=F64))}
    if not quick:
        digits, _ = open_dataset("digits").fetch(range(4, 5_000, 10))
        laws["500 digits"] = MixtureOracle(PROCESS, digits.double(), torch.full((500,), 0.01, dtype=F64))
    names = ("auto", *PATHS)
    page.say(f"## Pictures\n\n{samples} samples of one item in each cell.\n")
    autos = []
    for label, law in laws.items():
        side = law.means.shape[-1]
        operators = {
            "half plane": HalfPlane(),
            "pooling 4x": Downsample(4),
            "blur": GaussianBlur(1.6 if side > 8 else 1.0),
            "sensing 25 %": GaussianSensing(0.25),
        }
        rows, seconds, picked = [], dict.fromkeys(names, 0.0), ""
        for i, (task, operator) in enumerate(operators.items()):
            for noise in (0.1,) if quick else (0.01, 0.1):
                on = problem(law, operator.on((1, side, side)), noise, 70 + i, samples)
                cells = [f"{task}, {noise:g}", f"{on.floor:.4f}"]
                for name in names:
                    found, spent, made_by = run(name, on, samples, i)
                    seconds[name] += spent
                    cells.append(shown(found))
                    if name == "auto":
                        autos.append(found)
                        picked = made_by
                rows.append(cells)
        rows.append(["seconds in all", "", *(f"{seconds[name]:.0f}" for name in names)])
        page.say(f"### {label} (`auto` chose `{picked}`)\n\n{table(['task, noise', 'floor', *names], rows)}\n")
    middle, worst = geometric(autos), max(autos)
    page.say(
        f"- Verdict: `auto` is {middle:.2f} times the floor in geometric mean and {worst:.2f} at worst, "
        f"{'within' if middle <= 1.3 and worst <= 1.7 else 'above'} the goals of 1.3 and 1.7.\n"
    )


def coverage(page: Page, quick: bool) -> None:
    """The third table, and its verdict."""
    count, each = (20, 19) if quick else (120, 39)
    law, noise, g = mixture25(8), 0.5, generator(900)
    left, _, right = torch.linalg.svd(torch.randn(2, 8, generator=g, dtype=F64), full_matrices=False)
    operator = Matrix(left @ torch.diag(torch.tensor([0.9, 0.5], dtype=F64)) @ right).on((8,))
    truth = law.sample(torch.randn(count, 8, generator=g, dtype=F64), torch.rand(count, generator=g))
    y = operator(truth)
    y = y + noise * torch.randn(y.shape, generator=g, dtype=F64)
    page.say(f"## Coverage\n\n{count} held-out items, {each} draws of each.\n")
    rows, misses = [], []
    for name in PATHS if quick else ("smc", *PATHS):
        # A population of its own for each item: 64 particles for its 39 draws.
        restorer = SMC(particles=64) if name == "smc" else method(name, law)
        made = restore(
            law, operator, y, method=restorer, noise=noise, samples=each, solver="ancestral", grid="asinh", steps=STEPS
        )
        found = calibrate(made.samples, truth)
        cover = found.coverage
        rows.append(
            [
                name,
                "posterior" if restorer.posterior else "point",
                f"{100 * cover.value:.1f}",
                f"{100 * (cover.low or 0):.0f} to {100 * (cover.high or 0):.0f}",
                f"{found.p_value:.2g}",
            ]
        )
        if restorer.posterior and not 0.85 <= cover.value <= 0.95:
            misses.append(name)
    page.say(table(["method", "says it gives", "covered, %", "95 % bar", "p of uniform ranks"], rows) + "\n")
    said = "all between 85 and 95 %" if not misses else f"outside 85 to 95 %: {', '.join(misses)}"
    page.say(f"- Verdict on the methods that say they sample the posterior: {said}.\n")


def main() -> None:
    """Prints the page and, unless quick, writes it."""
    parser = arguments(__doc__)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    page = Page("restore_oracles", "Restoration against exact posteriors", quick=options.quick)
    twenty_five(page, options.quick)
    pictures(page, options.quick)
    coverage(page, options.quick)
    page.end()


if __name__ == "__main__":
    main()
