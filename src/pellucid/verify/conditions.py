"""Conditional sampling and guidance on a law of (x, class, vectors) of which every conditional law is known."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..conditioned_oracle import ConditionedOracle
from ..denoisers import Denoiser
from ..foundations.rng import Stream
from ..guidance import PAIRS, Guided, Pair, guided_normal
from ..guidance.branches import together
from ..metrics.transport import sliced_wasserstein
from ..processes.gaussian import Gaussian
from ..processes.schedules import SCHEDULES
from ..solvers import SOLVERS, sample
from .outcome import Outcome, below, near
from .solvers import noise_grid

F64 = torch.float64
_SOLVER, _STEPS = "dpmpp-2m", 60


def joint_law(process: Gaussian) -> ConditionedOracle:
    """Five components of a plane x with a vector `place` of two values and a vector `size` of one, in three classes."""
    stream = Stream.of(40, range(5))
    means = 1.5 * stream.normal((5,), step=0)[0, 0].double()
    roots = 0.35 * stream.normal((5, 5), step=1)[0, 0].double()
    covariances = roots @ roots.mT + 0.02 * torch.eye(5, dtype=F64)
    weights = torch.tensor([0.3, 0.25, 0.2, 0.15, 0.1], dtype=F64)
    labels = torch.tensor([0, 1, 1, 2, 2])
    return ConditionedOracle(process, means, covariances, {"place": 2, "size": 1}, weights, labels)


def asked(num: int) -> dict[str, dict[str, Tensor]]:
    """What is asked for: nothing, each condition alone, and combinations, each (num, *) of one value."""
    label = torch.ones(num, dtype=torch.int64)
    place = torch.tensor([[0.5, -0.4]], dtype=F64).expand(num, -1)
    size = torch.tensor([[0.3]], dtype=F64).expand(num, -1)
    return {
        "nothing": {},
        "a class": {"label": label},
        "a vector": {"place": place},
        "two vectors": {"place": place, "size": size},
        "a class and a vector": {"label": label, "size": size},
        "a class and two vectors": {"label": label, "place": place, "size": size},
    }


def bayes() -> Iterator[Outcome]:
    """Densities agree with Bayes' rule, and items of one batch do not see what others are asked for."""
    law = joint_law(Gaussian(SCHEDULES["vp"]()))
    num = 60
    x, v = (Stream.of(41, range(num)).normal((2,), step=0, num_steps=2)[:, 0]).double()
    t = torch.tensor(0.4, dtype=F64)
    classes = torch.stack([law.log_prob(x, t, label=torch.full((num,), k), place=v) for k in range(3)])
    # p(k given v) from a law whose x is v: the vector's own marginal.
    own = ConditionedOracle(law.process, law.means[:, 2:4], law.covariances[:, 2:4, 2:4], {}, law.weights, law.labels)
    share = torch.tensor([0.3, 0.45, 0.25], dtype=F64).log()[:, None]
    posterior = (share + torch.stack([own.log_prob(v, label=torch.full((num,), k)) for k in range(3)])).log_softmax(0)
    gap = ((posterior + classes).logsumexp(0) - law.log_prob(x, t, place=v)).abs().max().item()
    yield below("p(x given v) against the sum over classes of p(k given v) p(x given k, v)", gap, 1e-10, "round-off")

    parts = asked(num)
    mixed = {
        "label": torch.tensor([-1, 1]).repeat(num // 2),
        "place": parts["a vector"]["place"].clone(),
        "size": torch.full((num, 1), math.nan, dtype=F64),
    }
    mixed["place"][: num // 2] = math.nan
    found = law(x, t, **mixed)
    for name in ("nothing", "a class", "a vector"):
        rows = torch.ones(num, dtype=torch.bool)
        rows &= (mixed["label"] >= 0) == (name == "a class")
        rows &= ~mixed["place"].isnan().any(1) if name == "a vector" else mixed["place"].isnan().any(1)
        gap = (found[rows] - law(x, t, **parts[name])[rows]).abs().max().item()
        yield below(f"{name}: in a batch of all sorts against alone", gap, 1e-12, "round-off")


def conditional_laws() -> Iterator[Outcome]:
    """Samples under every combination of conditions against independent exact ones, by sliced Wasserstein distance."""
    count = 2000
    law = joint_law(Gaussian(SCHEDULES["vp"]()))
    for name, cond in asked(count).items():
        real, *others = (_exact(law, count, seed, cond) for seed in range(50, 59))
        # One pair would not do: what separates two sets is mostly how many of each fell to a component.
        floor = max(sliced_wasserstein(other, real, seed=0) for other in others)
        made = _sampled(law, count, _SOLVER, _STEPS, cond)
        yield below(
            f"{name}, {_SOLVER}: sliced Wasserstein to the conditional law",
            sliced_wasserstein(made, real, seed=0),
            1.5 * floor,
            f"half above {floor:.3f}, the most between this set of {count:,} exact samples and eight others",
        )


@dataclass(frozen=True)
class _BothBranches:
    """A guidance made to evaluate and combine both branches where it would take the short way at w = 1."""

    guidance: Pair

    @property
    def process(self) -> Any:
        return self.guidance.process

    def __call__(self, x: Tensor, t: Tensor, **cond: Any) -> Tensor:
        negative = {name: self.guidance.negative[name] for name in cond}
        return self.guidance.combine(*together(self.guidance.denoiser, x, t, [cond, negative]))


def guidance_at_one() -> Iterator[Outcome]:
    """At w = 1 every guidance is the conditional sampler, sample for sample."""
    count = 50
    law = joint_law(Gaussian(SCHEDULES["vp"]()))
    missing = torch.full((1,), math.nan, dtype=F64)
    negative = {"label": torch.tensor(-1), "place": missing.expand(1, 2), "size": missing[None]}
    for name, cond in asked(count).items():
        if not cond:
            continue
        plain = _sampled(law, count, "ddpm", 25, cond)
        for kind, make in PAIRS.items():
            guidance = make(law, 1.0, negative)
            gaps = [
                (_sampled(denoiser, count, "ddpm", 25, cond) - plain).abs().max().item()
                for denoiser in (guidance, _BothBranches(guidance))
            ]
            text = f"{kind} at w = 1, {name}: samples against the conditional sampler's, by one branch and by both"
            yield below(text, max(gaps), 1e-9, "round-off of 25 steps")


def guidance_beyond_one() -> Iterator[Outcome]:
    """What w > 1 makes of a vector's conditional law: neither it nor the product that guidance is often taken for."""
    covariance = torch.tensor([[[1.0, 0.8], [0.8, 1.0]]], dtype=F64)
    process = Gaussian(SCHEDULES["edm"]())
    law = ConditionedOracle(process, torch.zeros(1, 2, dtype=F64), covariance, {"v": 1})
    times = torch.cat([noise_grid(process.schedule, 200, (80.0, 0.002)), torch.zeros(1, dtype=F64)])
    start = torch.tensor([[0.0], [process.prior_std()]], dtype=F64)
    cond = torch.full((2, 1), 1.5, dtype=F64)
    # v = 1.5 leaves x ~ N(1.2, 0.36); the denoisers are affine, so two points tell the mean and the deviation.
    for scale in (1.0, 2.0, 4.0):
        guided = Guided(law, scale, {"v": torch.full((1, 1), math.nan, dtype=F64)})
        zero, one = sample(guided, start, times, SOLVERS["heun"](), v=cond)[:, 0].tolist()
        mean, variance = guided_normal((1.2, 0.36), (0.0, 1.0), scale, start=80.0)
        reason = "a second-order solver at 200 steps, and the end at 0.002"
        yield near(f"guided at w = {scale:g} by v = 1.5: mean", zero, mean, 2e-3, reason)
        yield near(f"guided at w = {scale:g} by v = 1.5: variance", (one - zero) ** 2, variance, 2e-3, reason)


def _exact(law: ConditionedOracle, count: int, seed: int, cond: dict[str, Tensor]) -> Tensor:
    stream = Stream.of(seed, range(count))
    return law.sample(stream.normal((law.size,), step=0)[0, 0], stream.uniform((), step=1)[0, 0], **cond)


def _sampled(denoiser: Denoiser, count: int, solver: str, steps: int, cond: dict[str, Any]) -> Tensor:
    schedule = SCHEDULES["vp"]()
    start = Gaussian(schedule).prior(Stream.of(44, range(count)).normal((2,), step=0)[0, 0]).double()
    times = torch.cat([noise_grid(schedule, steps - 1, (100.0, 0.01)), torch.zeros(1, dtype=F64)])
    times[0] = 1.0
    return sample(denoiser, start, times, SOLVERS[solver](), stream=Stream.of(45, range(count)), **cond)
