"""Metrics of two samples, on laws for which the right answer, or the right direction, is known."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor

from ..foundations.rng import Stream, subseed
from ..metrics.base import Scored
from ..metrics.diversity import class_score_infinity
from ..metrics.frechet import frechet, gaussian_frechet
from ..metrics.kernel import mmd_squared
from ..metrics.manifold import coverage, density, precision, recall
from ..metrics.novelty import authenticity, held_out_densities
from ..metrics.summary import METRICS
from ..metrics.transport import wasserstein
from .outcome import Outcome, near

_POINTS = 0.05
_REPEATS = 200
_RATE = "nominal +- 5 points; the binomial error of 100 repeats is 2 points"


def normal(count: int, size: int, seed: int, purpose: str = "x") -> Tensor:
    """Standard normal items, (count, size), float64."""
    return Stream.of(subseed(seed, purpose), range(count)).normal((size,), step=0)[0, 0].double()


def uniform(count: int, low: float, high: float, purpose: str) -> Tensor:
    """Items on a line between two ends, (count, 1), float64."""
    return low + (high - low) * Stream.of(subseed(5, purpose), range(count)).uniform((1,), step=0)[0, 0].double()


def closed_forms() -> Iterator[Outcome]:
    """Two Gaussians: the Frechet distance is W_2^2, and known."""
    scale = torch.tensor([0.5, 1.0, 2.0, 3.0], dtype=torch.float64)
    turn = torch.linalg.qr(normal(4, 4, 1))[0]
    cov_1, cov_2 = turn @ torch.diag(scale**2) @ turn.T, turn @ torch.diag(scale.flip(0) ** 2) @ turn.T
    exact = 9.0 + float((scale - scale.flip(0)).square().sum())
    zero = torch.zeros(4, dtype=torch.float64)
    found = float(gaussian_frechet(zero, cov_1, zero + 1.5, cov_2))
    yield near("Frechet distance of two Gaussians, from their moments", found, exact, 1e-10, "round-off", relative=True)
    for shift, stretch in ((0.0, 1.0), (1.0, 1.4)):
        exact = shift**2 + 2 * (stretch - 1) ** 2
        for name, metric, count, repeats in (
            ("Frechet", frechet, 128, _REPEATS),
            ("Wasserstein", wasserstein, 64, 100),
        ):
            scored = [
                metric(stretch * normal(count, 2, i) + shift / math.sqrt(2), normal(count, 2, i, "y"))
                for i in range(repeats)
            ]
            yield _holds(f"{name}, squared, Gaussians at {exact:.2f}", scored, exact)
            values = torch.tensor([s.value for s in scored], dtype=torch.float64)
            # What the extrapolation and the centring leave is of second order in 1/N.
            error, reason = (
                4 * float(values.std()) / math.sqrt(repeats) + 0.02,
                "4 standard errors, and 0.02 for the rest",
            )
            yield near(f"{name}, squared: mean of {repeats}", float(values.mean()), exact, error, reason)


def equal_laws() -> Iterator[Outcome]:
    """Unbiased discrepancies of equal laws, over and over."""
    for kernel in ("polynomial", "gaussian", "laplace", "rational", "energy"):
        found = [
            mmd_squared(normal(80, 4, i), normal(100, 4, i, "y"), kernel=kernel, bandwidth=2.0) for i in range(300)
        ]
        holds = sum(low <= 0 <= high for low, high in (each.interval for each in found)) / len(found)
        name = "KID" if kernel == "polynomial" else f"MMD, {kernel} kernel"
        yield near(f"{name}, equal laws: intervals that hold zero, of 300", holds, 0.95, _POINTS, _RATE)
        values = torch.tensor([each.value for each in found])
        error = float(values.std()) / math.sqrt(len(found))
        yield near(f"{name}, equal laws: mean", float(values.mean()) / error, 0.0, 4.0, "4 standard errors of the mean")


def unequal_laws() -> Iterator[Outcome]:
    """N(0, 1) against N(1, 1) on a line, where every discrepancy is known.

    With m_k the k-th moment of each law, the cubic kernel has the mean m_3 m_3' + 3 m_2 m_2' + 3 m_1 m_1' + 1; the
    Gaussian one (h^2/(h^2 + 2))^(1/2) exp(-d^2/2(h^2 + 2)) at a distance d of the means; and the mean of |X - Y| is
    2 exp(-d^2/4)/sqrt(pi) + d erf(d/2).
    """
    shift, h = 1.0, 1.5
    zero, moved = (0.0, 1.0, 0.0), (shift, 1 + shift**2, shift**3 + 3 * shift)

    def cubic(a: tuple[float, ...], b: tuple[float, ...]) -> float:
        return a[2] * b[2] + 3 * a[1] * b[1] + 3 * a[0] * b[0] + 1

    apart = 2 * math.exp(-(shift**2) / 4) / math.sqrt(math.pi) + shift * math.erf(shift / 2)
    exact = {
        "polynomial": cubic(moved, moved) + cubic(zero, zero) - 2 * cubic(moved, zero),
        "gaussian": 2 * math.sqrt(h**2 / (h**2 + 2)) * (1 - math.exp(-(shift**2) / (2 * (h**2 + 2)))),
        "energy": 2 * apart - 4 / math.sqrt(math.pi),
    }
    for kernel, truth in exact.items():
        found = [
            mmd_squared(normal(100, 1, i) + shift, normal(120, 1, i, "y"), kernel=kernel, bandwidth=h)
            for i in range(_REPEATS)
        ]
        name = {"polynomial": "KID", "energy": "Energy distance"}.get(kernel, f"MMD, {kernel} kernel")
        holds = sum(low <= truth <= high for low, high in (each.interval for each in found)) / len(found)
        yield near(f"{name}, laws one apart: intervals that hold the true value", holds, 0.95, _POINTS, _RATE)
        values = torch.tensor([each.value for each in found], dtype=torch.float64)
        error = 4 * float(values.std()) / math.sqrt(len(found))
        yield near(f"{name}, laws one apart: mean", float(values.mean()), truth, error, "4 standard errors of the mean")
    pairs = [(normal(100, 1, i) + shift, normal(120, 1, i, "y")) for i in range(100)]
    yield _holds("sliced Wasserstein, squared", [METRICS["sliced_wasserstein"](a, b) for a, b in pairs], shift**2)


def intervals() -> Iterator[Outcome]:
    """Intervals of the other kinds against the mean of the value over many draws, or its mean given one sample."""
    x = [normal(120, 2, i) for i in range(200)]
    y = [normal(120, 2, i, "y") + torch.tensor([1.2, 0.0]) for i in range(200)]
    for name, metric in (("precision", precision), ("recall", recall), ("density", density), ("coverage", coverage)):
        scored = [metric(a, b) for a, b in zip(x, y, strict=True)]
        yield _holds(name, scored, sum(s.value for s in scored) / len(scored))
    spread = torch.linspace(0.3, 2.0, 6, dtype=torch.float64)
    pairs = [(normal(120, 6, i) * spread, normal(120, 6, i, "y") * spread) for i in range(200)]
    scored = [METRICS["vendi"](a, b) for a, b in pairs]
    yield _holds("Vendi score", scored, sum(s.value for s in scored) / len(scored))
    asked = [((1.5 * normal(100, 3, i)).softmax(1), normal(100, 3, i, "y").softmax(1)) for i in range(200)]
    many = (1.5 * normal(50_000, 3, 0, "many")).softmax(1)
    scored = [class_score_infinity(a, b) for a, b in asked]
    yield _holds("class score", scored, class_score_infinity(many, many[:100]).value)
    real = normal(150, 3, 0, "training")
    truth = authenticity(normal(20_000, 3, 0, "many"), real).value
    yield _holds(
        "authenticity, given the training set", [authenticity(normal(150, 3, i), real) for i in range(200)], truth
    )


def overlaps() -> Iterator[Outcome]:
    """Uniform laws on parts of a line: what lies inside what is known."""
    wide, narrow = uniform(1000, 0, 2, "wide"), uniform(1000, 0, 1, "narrow")
    reason = "4 binomial errors of 1,000 items, and a ball over the edge"
    expected = {"precision": (1.0, 0.5), "recall": (0.5, 1.0), "density": (1.0, 0.5)}
    for name, (inside, around) in expected.items():
        metric = METRICS[name]
        yield near(f"{name}: generated on [0, 1], real on [0, 2]", metric(narrow, wide).value, inside, 0.06, reason)
        yield near(f"{name}: generated on [0, 2], real on [0, 1]", metric(wide, narrow).value, around, 0.06, reason)
    # A ball holds no generated item where the five items nearest to its centre, of both samples, are real: their share
    # nearby to the fifth power.
    half, whole = 0.5 * (1 - (1 / 3) ** 5), 1 - (2 / 3) ** 5
    yield near("coverage: generated on [0, 1], real on [0, 2]", coverage(narrow, wide).value, half, 0.06, reason)
    yield near("coverage: generated on [0, 2], real on [0, 1]", coverage(wide, narrow).value, whole, 0.06, reason)
    apart = wide + 5
    for name, value in (("precision", 0.0), ("recall", 0.0), ("density", 0.0), ("coverage", 0.0), ("c2st_knn", 1.0)):
        yield near(f"{name}: no overlap", METRICS[name](apart, wide).value, value, 1e-12, "exact")
    # Five neighbours vote: where generated items are two in three, 3 or more of 5 are with probability 0.790.
    vote = sum(math.comb(5, j) * 2**j for j in (3, 4, 5)) / 3**5
    knn = 0.75 * (vote * 2 / 3 + (1 - vote) / 3) + 0.25
    reason = "4 binomial errors of 1,000 held-out items"
    yield near("C2ST by five neighbours, half overlap", METRICS["c2st_knn"](narrow, wide).value, knn, 0.05, reason)
    best, gauss = 0.5 + 0.5 * math.erf(1 / math.sqrt(2)), (normal(1000, 1, 0) + 2, normal(1000, 1, 0, "y"))
    for name in ("c2st_logistic", "c2st_mlp"):
        text = f"{name}, N(0, 1) and N(2, 1): accuracy of the best rule"
        yield near(text, METRICS[name](*gauss).value, best, 0.05, reason)
    other = uniform(1000, 0, 2, "other")
    for name in ("c2st_knn", "c2st_logistic"):
        yield near(f"{name}, equal laws", METRICS[name](other, wide).value, 0.5, 0.05, reason)


def directions() -> Iterator[Outcome]:
    """Each metric over growing faults, of signals from four modes."""
    distances = [
        "frechet", "kid", "mmd_gaussian", "mmd_laplace", "mmd_rational", "energy", "wasserstein", "sliced_wasserstein",
    ]  # fmt: skip
    up, down = [*distances, "c2st_knn", "c2st_logistic", "feature_likelihood"], ["precision", "density", "coverage"]
    real, made = signals(240, "real"), signals(240, "made")
    faults: dict[str, tuple[list[Tensor], list[str], list[str]]] = {
        "shift": ([made + s for s in (0.0, 0.5, 2.0)], [*up, "c2st_mlp"], [*down, "recall"]),
        "blur": ([blurred(made, share) for share in (0.0, 0.2, 0.4)], up, ["recall", "coverage"]),
        "dropped modes": (
            [made[torch.arange(240) % 4 < modes] for modes in (4, 2, 1)], up, ["recall", "coverage", "vendi"],
        ),
    }  # fmt: skip
    for fault, (samples, rising, falling) in faults.items():
        for words, names, sign in (("rise", rising, 1), ("fall", falling, -1)):
            yield _moves(
                f"growing {fault}: {words}", {n: [METRICS[n](x, real).value for x in samples] for n in names}, sign
            )
    copies = [torch.cat([real[:k] + 1e-4 * made[:k], made[k:]]) for k in (0, 120, 240)]
    held = signals(240, "held")
    found = {
        "authenticity": [-authenticity(x, real).value for x in copies],
        "feature likelihood of held-out items": [float(held_out_densities(x, real, held).mean()) for x in copies],
    }
    yield _moves("growing memorisation: less authentic, and less of what was held out", found, 1)


def signals(count: int, purpose: str) -> Tensor:
    """Items of eight numbers around one of four centres, in turn: (count, 8)."""
    centres = 4.0 * torch.linalg.qr(normal(8, 8, 3, "centres"))[0][:4]
    return centres[torch.arange(count) % 4] + 0.7 * normal(count, 8, 3, purpose)


def blurred(x: Tensor, share: float) -> Tensor:
    """A share of each number given to both its neighbours on a ring."""
    return (1 - share) * x + share / 2 * (x.roll(1, 1) + x.roll(-1, 1))


def _holds(name: str, scored: list[Scored], truth: float) -> Outcome:
    held = sum(s.low is not None and s.high is not None and s.low <= truth <= s.high for s in scored)
    text = f"{name}: intervals that hold the true value, of {len(scored)}"
    return near(text, held / len(scored), 0.95, _POINTS, _RATE)


def _moves(name: str, values: dict[str, list[float]], sign: int) -> Outcome:
    wrong = [
        f"{metric} {', '.join(f'{v:.3g}' for v in found)}"
        for metric, found in values.items()
        if any(sign * (b - a) <= 0 for a, b in pairwise(found))
    ]
    text = "; ".join(wrong) if wrong else "all do"
    return Outcome(name, f"{len(values)} metrics do", text, "none", "each step is many errors wide", not wrong)
