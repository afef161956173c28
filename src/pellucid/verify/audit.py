"""The audit, on models of which it is known what they memorised: the one that knows its items by heart, and the law."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from ..audit.copies import find_copies
from ..audit.extraction import extract
from ..audit.membership import STATISTICS, membership, membership_scores
from ..audit.power import ALARM, CHANCE, chance_of, fewest, seen_rate
from ..audit.roc import curve
from ..audit.tolerant import shifted
from ..denoisers import Denoiser
from ..foundations.measured import Measured
from ..foundations.rng import Stream, subseed
from ..metrics.runs import longest_runs
from ..oracles import MixtureOracle, finite_oracle
from ..processes.gaussian import Gaussian
from ..processes.schedules import EDM
from ..processes.times import GRIDS
from ..solvers import SOLVERS
from ..solvers.base import sample
from .outcome import Outcome, below, near

_DIM, _TRAIN, _HELD = 6, 300, 299
_STEPS = 20
_SETS = 40
_PROCESS = Gaussian(EDM())


def _normal(num: int, size: int, purpose: str) -> Tensor:
    return Stream.of(subseed(7, purpose), range(num)).normal((size,), step=0)[0, 0]


_CENTRES = 3 * _normal(8, _DIM, "centres")


def _items(num: int, purpose: str) -> Tensor:
    """Draws of a mixture of eight normal laws, (num, 6)."""
    picked = Stream.of(subseed(7, f"{purpose}/centre"), range(num)).uniform((1,), step=0)[0, 0][:, 0]
    return _CENTRES[(8 * picked).long().clamp_max(7)] + _normal(num, _DIM, purpose)


def _law() -> Denoiser:
    return MixtureOracle(_PROCESS, _CENTRES, torch.ones(8))


def _samples(denoiser: Denoiser, num: int, purpose: str) -> Tensor:
    stream = Stream.of(subseed(7, purpose), range(num))
    start = _PROCESS.prior(_PROCESS.draw(stream, (_DIM,), step=0)[0, 0])
    with torch.no_grad():
        return sample(denoiser, start, GRIDS["karras"](_PROCESS.schedule, _STEPS), SOLVERS["heun"](), stream=stream)


def _held_sets() -> Iterator[Tensor]:
    """Items that no training set has, over and over."""
    for i in range(_SETS):
        yield _items(_HELD, f"held {i}")


def memoriser() -> Iterator[Outcome]:
    """The posterior given the training set itself: every sample is a copy, and every error tells."""
    train, held = _items(_TRAIN, "train"), _items(_HELD, "held")
    oracle = finite_oracle(_PROCESS, train)
    made = _samples(oracle, 2000, "memoriser")
    found = find_copies(made, train, held)
    yield near("perfect memoriser: share of samples flagged as copies", found.rate.value, 1.0, 1e-12, "all are")
    clumps = {each.train for each in extract(made, train, held, copies=found) if each.extracted}
    # Of 2,000 draws each of 300 items has 6.7 on average; it is a clump from 5 on.
    counts = torch.bincount(found.nearest, minlength=_TRAIN)
    expected = int((counts >= 5).sum())
    yield near("perfect memoriser: items extracted", len(clumps), expected, 0, "each that came out five times or more")
    for name in STATISTICS:
        inside = membership_scores(oracle, train, statistic=name, sigma_data=3.0)
        pairs = [
            membership(name, inside, membership_scores(oracle, x, statistic=name, sigma_data=3.0)) for x in _held_sets()
        ]
        reason = "at the levels of noise where an item is its own posterior"
        mean = sum(area.auc.value for area, _ in pairs) / len(pairs)
        yield _at_least(f"perfect memoriser: membership by {name}, area", mean, 0.99, reason)
        yield _covers(f"perfect memoriser: {name} of held-out halves", [control.auc for _, control in pairs])


def exact_law() -> Iterator[Outcome]:
    """Samples of the exact law: what is flagged is a false alarm, and errors tell nothing."""
    repeats, num, level = 40, 100, 0.05
    flagged, alarms = 0, 0
    law = _law()
    pool = _samples(law, repeats * num, "law")
    for i in range(repeats):
        train, held = _items(_TRAIN, f"train {i}"), _items(99, f"held {i}")
        found = find_copies(pool[i * num : (i + 1) * num], train, held, level=level)
        flagged += len(found.flagged)
        alarms += found.found
    # Within one repeat the rate at the cut is Beta(5, 95), of deviation 0.022, and 100 items add as much again.
    error = 4 * math.hypot(0.0217, math.sqrt(level * (1 - level) / num)) / math.sqrt(repeats)
    yield near(
        "exact law: share of samples flagged", flagged / (repeats * num), level, error, "4 standard errors of 40 audits"
    )
    allowed = ALARM + 4 * math.sqrt(ALARM * (1 - ALARM) / repeats)
    yield below("exact law: audits that call it a copier", alarms / repeats, allowed, "2.5 %, and 4 standard errors")
    for name in STATISTICS:
        areas = []
        for i, held in enumerate(_held_sets()):
            sides = (_items(_TRAIN, f"members {i}"), held)
            scores = [membership_scores(law, x, statistic=name, sigma_data=3.0) for x in sides]
            areas.append(membership(name, *scores)[0].auc)
        yield _covers(f"exact law: membership by {name}", areas)


def power() -> Iterator[Outcome]:
    """What would have been seen, and how often chance alarms, against simulation."""
    random = np.random.default_rng(0)
    repeats = 4000
    for num, held, level in ((1000, 999, 0.01), (200, 99, 0.02), (4000, 999, 0.001)):
        cut = round(level * (held + 1))
        need, rate = fewest(num, cut, held), seen_rate(num, cut, held)
        # The rate beyond the cut-th of so many uniform numbers is known to be Beta: draw it, then the items.
        beyond = random.beta(cut, held + 1 - cut, repeats)
        alarms = float(np.mean(random.binomial(num, beyond) >= need))
        expected = chance_of(need, num, cut, held)
        name = f"{num:,} samples, {held} held-out items at {level:g}"
        error = 4 * math.sqrt(expected * (1 - expected) / repeats)
        yield near(f"{name}: audits that alarm without a copy", alarms, expected, error, "4 binomial errors")
        seen = float(np.mean(random.binomial(num, rate, repeats) >= need))
        error = 4 * math.sqrt(CHANCE * (1 - CHANCE) / repeats)
        yield near(f"{name}: audits that see a copy rate of {rate:.2%}", seen, CHANCE, error, "4 binomial errors")


def curves() -> Iterator[Outcome]:
    """Areas and what is found at 1 %, of normal laws, where both are known."""
    shift, repeats = 2.0, 200
    normal = torch.distributions.Normal(0.0, 1.0)
    area = float(normal.cdf(torch.tensor(shift / math.sqrt(2))))
    share = float(normal.cdf(torch.tensor(shift) - normal.icdf(torch.tensor(0.99))))
    areas, shares = 0, 0
    for i in range(repeats):
        found = curve("s", shift + _normal(200, 1, f"members {i}")[:, 0], _normal(500, 1, f"others {i}")[:, 0])
        low, high = found.auc.low or 0.0, found.auc.high or 1.0
        areas += low <= area <= high
        low, high = found.found[0.01].low or 0.0, found.found[0.01].high or 1.0
        shares += low <= share <= high
    reason = "nominal +- 5 points; the binomial error of 200 repeats is 1.5 points"
    yield near("area: intervals that hold the true value, of 200", areas / repeats, 0.95, 0.05, reason)
    text = "found at 1 %: intervals that hold the true share, of 200"
    yield _at_least(text, shares / repeats, 0.95, "they are wider than they need be: two bounds, one after the other")


def moves() -> Iterator[Outcome]:
    """What was moved, mirrored or cut out on purpose."""
    coarse = Stream.of(11, range(60)).normal((1, 5, 5), step=0)[0, 0]
    pictures = torch.nn.functional.interpolate(coarse, size=(20, 20), mode="bicubic")
    moved = torch.roll(pictures[17:29], shifts=(1, -2), dims=(2, 3)).flip(-1)
    found = shifted(moved, pictures, 3)
    hits = int((found.indices[:, 0] == torch.arange(17, 29)).sum())
    yield near("moved and mirrored pictures: found", hits, 12, 0, "all of them")
    yield near("moved and mirrored pictures: distance", float(found.distances[:, 0].max()), 0.0, 0.0, "the same pixels")
    random = np.random.default_rng(1)
    known = random.integers(1, 30, (200, 80))
    rows = random.integers(30, 60, (50, 60))  # no symbol in common
    lengths, sources = random.integers(5, 40, 50), random.integers(0, 200, 50)
    for row, (length, source) in enumerate(zip(lengths, sources, strict=True)):
        rows[row, 10 : 10 + length] = known[source, 20 : 20 + length]
    runs, at = longest_runs(rows, known)
    right = int(((runs == lengths) & (at == sources)).sum())
    yield near("runs of symbols that were copied: found whole, with their text", right, 50, 0, "all of them")


def _at_least(name: str, observed: float, least: float, reason: str) -> Outcome:
    return Outcome(name, f"at least {least:g}", f"{observed:.4f}", f"{least:g}", reason, observed >= least)


def _covers(name: str, areas: list[Measured]) -> Outcome:
    """How often the interval of an area holds 1/2, where nothing is told."""
    hits = sum((area.low or 0.0) <= 0.5 <= (area.high or 1.0) for area in areas) / len(areas)
    error = 4 * math.sqrt(0.95 * 0.05 / len(areas))
    return near(f"{name}: intervals that hold 1/2, of {len(areas)}", hits, 0.95, error, "4 binomial errors")
