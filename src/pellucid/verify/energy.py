"""Energies: chains against exact moments, normalisers against the truth, compositions against laws in closed form."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from ..energies.compose import Mixture, Product, negation, product
from ..energies.denoisers import FromEnergy
from ..foundations.rng import Stream
from ..mcmc import (
    MCMC,
    Corrected,
    NormalBase,
    Place,
    by_energy,
    geometric,
    leapfrog,
    mean_and_error,
    run_chains,
    tuned_lengths,
)
from ..mcmc.hamiltonian import hamiltonian_error
from ..mcmc.normaliser import from_weights, integrated, log_weights, rung_moments
from ..oracles import MixtureOracle
from ..processes.gaussian import Gaussian
from ..processes.schedules import SCHEDULES
from ..processes.times import GRIDS
from ..solvers import DDIM, sample
from .outcome import Outcome, below

F64 = torch.float64
_ERRORS = 4.0  # standard errors that a right answer stays within, but for one time in 16,000
_MEAN = torch.tensor([1.0, -2.0], dtype=F64)
_COVARIANCE = torch.tensor([[1.0, 0.6], [0.6, 0.8]], dtype=F64)


def normal_energy(x: Tensor) -> Tensor:
    """That of N((1, -2), ((1, 0.6), (0.6, 0.8))), less its constant, (B, 2) -> (B,)."""
    offset = x - _MEAN
    return 0.5 * ((offset @ torch.linalg.inv(_COVARIANCE)) * offset).sum(1)


def law(name: str, schedule: str = "edm") -> MixtureOracle:
    """Two components on the line, of law a or b."""
    means, variances, weights = {
        "a": ([-1.0, 1.0], [0.1, 0.2], [0.5, 0.5]),
        "b": ([-0.5, 1.5], [0.3, 0.1], [0.3, 0.7]),
    }[name]
    process = Gaussian(SCHEDULES[schedule]())
    return MixtureOracle(process, *(torch.tensor(v, dtype=F64) for v in ([[m] for m in means], variances, weights)))


def joined(a: MixtureOracle, b: MixtureOracle) -> MixtureOracle:
    """The product of two mixtures on the line, a mixture of the pairs' products, by completing squares."""
    (ma, va, wa), (mb, vb, wb) = ((one.means[:, 0], one.variances, one.weights) for one in (a, b))
    assert wa is not None
    assert wb is not None
    total, gap = va[:, None] + vb, ma[:, None] - mb
    weights = wa[:, None] * wb * (-0.5 * gap.square() / total).exp() / total.sqrt()
    means = (ma[:, None] * vb + mb * va[:, None]) / total
    return MixtureOracle(a.process, means.reshape(-1, 1), (va[:, None] * vb / total).flatten(), weights.flatten())


def moments(one: MixtureOracle) -> tuple[float, float]:
    """E x and E x^2 of a mixture on the line."""
    assert one.weights is not None
    share, m = one.weights / one.weights.sum(), one.means[:, 0]
    return float((share * m).sum()), float((share * (m.square() + one.variances)).sum())


def tweedie() -> Iterator[Outcome]:
    """The denoiser of a known energy against the oracle, at several levels of noise."""
    x = torch.linspace(-3, 3, 25, dtype=F64)[:, None]
    for schedule in ("edm", "vp"):
        oracle = law("a", schedule)
        made = FromEnergy(oracle.process, oracle.energy)
        with torch.no_grad():
            times = torch.tensor([0.2, 0.5, 0.9], dtype=F64)
            gap = max(float((made(x, t) - oracle(x, t)).abs().max()) for t in times)
        yield below(f"{schedule}: the denoiser of an energy against the exact one", gap, 1e-5, "round-off of x/alpha")


def chains() -> Iterator[Outcome]:
    """Moments of chains that began far away, in standard errors that know of the chains' memory."""
    humps = law("b")
    zero = torch.tensor(0.0, dtype=F64)
    mean, square = moments(humps)
    for name, kernel in (("mala", MCMC["mala"]()), ("hmc", MCMC["hmc"](leaps=4))):
        made = run_chains(
            by_energy(normal_energy),
            torch.zeros(200, 2, dtype=F64),
            kernel,
            stream=Stream.of(11, range(200)),
            num_moves=150,
            warmup=60,
            length=0.3,
        )
        offset = made.draws - _MEAN
        gaps = [_gap(offset[..., i], 0.0) for i in range(2)]
        gaps += [_gap(offset[..., i] * offset[..., j], float(_COVARIANCE[i, j])) for i, j in ((0, 0), (0, 1), (1, 1))]
        accepted = f"{100 * made.acceptance.mean():.0f} % accepted"
        text = f"{name}: mean and covariance of a normal law, {accepted}, in standard errors"
        yield below(text, max(gaps), _ERRORS, "4 standard errors")
        made = run_chains(
            by_energy(lambda x: humps.energy(x, zero)),
            torch.zeros(200, 1, dtype=F64),
            kernel,
            stream=Stream.of(12, range(200)),
            num_moves=150,
            warmup=60,
            length=0.3,
        )
        worst = max(_gap(made.draws[..., 0], mean), _gap(made.draws[..., 0].square(), square))
        yield below(f"{name}: moments of a mixture, in standard errors", worst, _ERRORS, "4 standard errors")


def flow() -> Iterator[Outcome]:
    """The leapfrog's order and its way back, on E = |x|^4/4."""

    def quartic(x: Tensor) -> Place:
        return Place(x, (x**4 / 4).sum(1), x**3)

    stream = Stream.of(13, range(100))
    x, momentum = (stream.normal((2,), step=i)[0, 0].double() for i in range(2))
    coarse, fine = (
        hamiltonian_error(quartic, quartic(x), momentum, time=1.0, leaps=n).mean().item() for n in (64, 128)
    )
    order = math.log2(coarse / fine)
    yield below("leapfrog: its order against 2", abs(order - 2), 0.05, "the next term of the error")
    there, after = leapfrog(quartic, quartic(x), momentum, 0.2, 10)
    home, _ = leapfrog(quartic, there, -after, 0.2, 10)
    yield below("leapfrog: there and back", (home.x - x).abs().max().item(), 1e-9, "round-off of 20 leaps")


def normalisers() -> Iterator[Outcome]:
    """log Z and its error bar, of a normal law and of a mixture, by both methods; and how often the bar covers."""
    humps, zero = law("b"), torch.tensor(0.0, dtype=F64)
    targets = {
        "normal law": (
            NormalBase(torch.zeros(2, dtype=F64), 2.5),
            normal_energy,
            math.log(2 * math.pi) + 0.5 * float(torch.logdet(_COVARIANCE)),
        ),
        "mixture": (NormalBase(torch.zeros(1, dtype=F64), 2.0), lambda x: humps.energy(x, zero) - 1.7, 1.7),
    }
    kernel = MCMC["mala"]()
    for name, (base, energy, exact) in targets.items():
        ladder = geometric(base, energy, rungs=8)
        log_w, _ = log_weights(ladder, kernel=kernel, chains=1000, moves=4, seed=14)
        climbed = rung_moments(ladder, kernel=kernel, chains=1000, moves=4, seed=15)
        for method, whole, parts in (
            ("annealed importance sampling", from_weights(log_w[-1]), map(from_weights, log_w[-1].chunk(12))),
            (
                "thermodynamic integration",
                integrated(ladder.betas, climbed),
                (integrated(ladder.betas, part) for part in climbed.parts(12)),
            ),
        ):
            gap = abs(whole.log_z - exact) / whole.error
            text = (
                f"{name}, {method}: log Z = {whole.log_z:.3f} +- {whole.error:.3f}, exactly {exact:.3f}: errors apart"
            )
            yield below(text, gap, _ERRORS, "4 of its own standard errors")
            missed = sum(not part.low <= exact <= part.high for part in parts)
            text = f"{name}, {method}: of 12 intervals of 95 %, miss the truth"
            yield below(text, missed, 4, "5 or more have a chance of 1 in 5,000")


def compositions() -> Iterator[Outcome]:
    """Samples of a product and of a negation, and the denoiser of a mixture, against their laws in closed form."""
    a, b = law("a"), law("b")
    wide = MixtureOracle(a.process, torch.tensor([[1.0]], dtype=F64), torch.tensor([2.0], dtype=F64))
    narrow = MixtureOracle(a.process, torch.zeros(1, 1, dtype=F64), torch.ones(1, dtype=F64))
    known = {
        "product of two mixtures": (product([a, b]), moments(joined(a, b))),
        # N(0, 1)/N(1, 2)^(1/2) has the precision 1 - 1/4 and the mean -1/3
        "negation of a normal law": (negation(narrow, wide, 0.5), (-1 / 3, 1 / 9 + 4 / 3)),
    }
    for name, (composed, (mean, square)) in known.items():
        x = composed_samples(composed, 2000)[:, 0]
        worst = max(_gap_of_draws(x, mean), _gap_of_draws(x.square(), square))
        yield below(f"{name}: moments of samples, in standard errors", worst, _ERRORS, "4 standard errors")
    assert a.weights is not None
    assert b.weights is not None
    both = MixtureOracle(
        a.process,
        torch.cat([a.means, b.means]),
        torch.cat([a.variances, b.variances]),
        torch.cat([0.6 * a.weights, 0.4 * b.weights]),
    )
    mixed = Mixture((a, b), (3.0, 2.0))
    x = torch.linspace(-3, 3, 25, dtype=F64)[:, None]
    times = torch.tensor([0.1, 0.4, 0.9], dtype=F64)
    gap = max(float((mixed(x, t) - both(x, t)).abs().max()) for t in times)
    yield below("mixture of two mixtures: its denoiser against the exact one", gap, 1e-6, "round-off")


def composed_samples(composed: Product, count: int) -> Tensor:
    """Samples of a product, (count, 1): ddim along the parts' average, with Metropolis-adjusted moves at each level."""
    kernel, schedule = MCMC["mala"](), composed.process.schedule
    times = GRIDS["karras"](schedule, 20)
    pilot, stream = Stream.of(16, range(64)), Stream.of(17, range(count))
    start = [composed.start(of.normal((1,), step=0)[0, 0].double()) for of in (pilot, stream)]
    leader = composed.average()
    found = tuned_lengths(composed, start[0], times, DDIM(), kernel, stream=pilot, leader=leader)
    solver = Corrected(DDIM(), kernel, 8, found.lengths, leader)
    return sample(composed, start[1], times, solver, stream=stream)


def _gap(values: Tensor, exact: float) -> float:
    """How far the mean of a number along chains is from the truth, in standard errors."""
    mean, error = mean_and_error(values)
    return abs(mean - exact) / error


def _gap_of_draws(values: Tensor, exact: float) -> float:
    """The same for independent draws, (B,)."""
    return abs(float(values.mean()) - exact) / (float(values.std()) / len(values) ** 0.5)
