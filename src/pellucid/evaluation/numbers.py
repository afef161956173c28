"""The numbers of an evaluation: every metric that applies, for all items and for each class.

Precision, recall, density and coverage depend on how many items there are on each side, so as many generated as real
ones enter. Two numbers need the training items beside the held-out ones: authenticity, whose floor is the share that
held-out real items reach, and the feature likelihood, whose Gaussians are fitted to the training items.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from ..foundations.errors import UserError
from ..foundations.registry import Registry
from ..metrics.base import Scored, order, share
from ..metrics.classifier import predict
from ..metrics.diversity import class_score_infinity
from ..metrics.frechet import frechet
from ..metrics.novelty import authenticity, feature_likelihood, is_authentic
from ..metrics.summary import METRICS
from .kept import Progress

EQUAL_SIZES = ("precision", "recall", "density", "coverage")
BY_CLASS = ("kid", "precision", "coverage")
_FEWEST = 8  # items of a class on either side


@dataclass(frozen=True, eq=False)
class Rows:
    """What the metrics compare.

    Attributes:
        made, real: of generated and of held-out items, (N, K) and (M, K).
        train: of training items, (T, K); None where they are gone.
        inception: whether they are the features of the network that an FID is of.
    """

    made: Tensor
    real: Tensor
    train: Tensor | None = None
    inception: bool = False

    def of(self, made: Tensor, real: Tensor) -> Rows:
        """The rows at the given places, without training items."""
        return Rows(self.made[made], self.real[real])


def _on_equal_sizes(name: str) -> Callable[[Rows, int], Scored]:
    def scored(rows: Rows, seed: int) -> Scored:
        count = min(len(rows.made), len(rows.real))
        # Files are often ordered by class, so the first ones would not do.
        made, real = (
            part[order(len(part), seed, f"equal sizes/{side}")[:count]] if len(part) > count else part
            for side, part in (("made", rows.made), ("real", rows.real))
        )
        found = METRICS[name](made, real, seed=seed)
        if count == max(len(rows.made), len(rows.real)):
            return found
        words = f"on {count:,} of {len(rows.made):,} generated and {len(rows.real):,} real items"
        return replace(found, warnings=(words, *found.warnings))

    return scored


def _on_all(name: str) -> Callable[[Rows, int], Scored]:
    return lambda rows, seed: METRICS[name](rows.made, rows.real, seed=seed)


def _authenticity(rows: Rows, seed: int) -> Scored:
    if rows.train is None:
        raise UserError("whether samples are copies is asked of the training items, and they are gone")
    found = authenticity(rows.made, rows.train, seed=seed)
    floor = float(is_authentic(rows.real, rows.train).double().mean())
    words = f"the share of {len(rows.real):,} held-out real items stands for the halves"
    return replace(found, floor=floor, warnings=(*found.warnings, words))


def _fid(rows: Rows, seed: int) -> Scored:
    """As everyone computes it: with its bias, so that it may be compared with theirs at the same number of samples."""
    if not rows.inception:
        raise UserError("an FID is of the Inception network alone: give --features inception --weights FILE")
    return replace(frechet(rows.made, rows.real, seed=seed, most_parts=1), name="fid")


def _fid_infinity(rows: Rows, seed: int) -> Scored:
    if not rows.inception:
        raise UserError("an FID is of the Inception network alone: give --features inception --weights FILE")
    found = frechet(rows.made, rows.real, seed=seed)
    if found.warnings:
        size = rows.made.shape[1]
        raise UserError(f"the line to samples without end needs {8 * size:,} items on either side")
    return replace(found, name="fid_infinity")


def _feature_likelihood(rows: Rows, seed: int) -> Scored:
    return feature_likelihood(rows.made, rows.real, train=rows.train, seed=seed)


NUMBERS: Registry[Callable[[Rows, int], Scored]] = Registry(
    "metric",
    {
        **{name: (_on_equal_sizes if name in EQUAL_SIZES else _on_all)(name) for name in METRICS},
        "fid": _fid,
        "fid_infinity": _fid_infinity,
        "authenticity": _authenticity,
        "feature_likelihood": _feature_likelihood,
    },
)


def measured(
    rows: Rows, names: Iterable[str] | None, *, seed: int = 0, progress: Progress | None = None
) -> tuple[tuple[Scored, ...], dict[str, str]]:
    """The metrics by name, all if None, and why some are missing.

    Raises:
        UserError: an unknown name.
    """
    # Of Inception's features the Frechet distance has a name of its own, and of no other features.
    without = ("frechet",) if rows.inception else ("fid", "fid_infinity")
    chosen = [name for name in NUMBERS if name not in without] if names is None else list(names)
    functions = {name: NUMBERS[name] for name in chosen}
    results: list[Scored] = []
    refused: dict[str, str] = {}
    for done, (name, function) in enumerate(functions.items()):
        try:
            results.append(function(rows, seed))
        except UserError as error:
            refused[name] = str(error)
        if progress is not None:
            progress(done + 1, len(functions))
    return tuple(results), refused


@dataclass(frozen=True, eq=False)
class Judged:
    """What a classifier of real items sees in both samples.

    Attributes:
        classifier: trained on training items.
        made, real: the items, in their codec's scale.
        asked: the class that each generated item was asked for, (N,), -1 where there is none.
        truth: of each real item, (M,).
    """

    classifier: nn.Module
    made: Tensor
    real: Tensor
    asked: Tensor
    truth: Tensor

    def numbers(self, names: tuple[str, ...], seed: int) -> tuple[tuple[Scored, ...], dict[str, tuple[Scored, ...]]]:
        """Agreement and class score, and the agreement by class name."""
        there = self.asked >= 0
        hits, right = (predict(self.classifier, self.made) == self.asked)[there], self._right()
        found = [class_score_infinity(self._probabilities(self.made), self._probabilities(self.real), seed=seed)]
        by_class: dict[str, tuple[Scored, ...]] = {}
        if len(hits):
            found.insert(0, _agreement(hits, right))
            for k, name in enumerate(names):
                mine, theirs = self.asked[there] == k, self.truth == k
                if bool(mine.any()) and bool(theirs.any()):
                    by_class[name] = (_agreement(hits[mine], right[theirs]),)
        return tuple(found), by_class

    def _right(self) -> Tensor:
        return predict(self.classifier, self.real) == self.truth

    @torch.no_grad()
    def _probabilities(self, x: Tensor) -> Tensor:
        return torch.cat([self.classifier(part).double().softmax(1) for part in x.split(256)])


def _agreement(hits: Tensor, right: Tensor) -> Scored:
    """The share of samples in which the classifier sees the class that was asked for."""
    found = share("label_agreement", hits, len(hits), len(right), interval="Wilson's, given the classifier")
    words = "the classifier's own accuracy on held-out items stands for the halves"
    return replace(found, floor=float(right.double().mean()), warnings=(words,))


def by_class(
    rows: Rows, asked: Tensor, truth: Tensor, names: tuple[str, ...], chosen: Iterable[str] | None, seed: int
) -> tuple[dict[str, tuple[Scored, ...]], dict[str, str]]:
    """Some metrics of each class, and the classes that have too few items.

    Args:
        rows: of all items.
        asked, truth: the class of each generated and of each real item, (N,) and (M,).
        names: of the classes.
        chosen: the metrics asked for; None for all.
        seed: of what they choose at random.
    """
    wanted = [name for name in BY_CLASS if chosen is None or name in set(chosen)]
    found: dict[str, tuple[Scored, ...]] = {}
    refused: dict[str, str] = {}
    for k, name in enumerate(names):
        mine, theirs = (asked == k).nonzero()[:, 0], (truth == k).nonzero()[:, 0]
        if min(len(mine), len(theirs)) < _FEWEST:
            refused[name] = f"{len(mine)} generated and {len(theirs)} real items are too few"
            continue
        found[name], _ = measured(rows.of(mine, theirs), wanted, seed=seed)
    return found, refused


def joined(
    *parts: Mapping[str, tuple[Scored, ...]],
) -> dict[str, tuple[Scored, ...]]:
    """The numbers of each class from several tables."""
    names = list(dict.fromkeys(name for part in parts for name in part))
    return {name: tuple(scored for part in parts for scored in part.get(name, ())) for name in names}


def within_floor(scored: Scored) -> bool | None:
    """Whether a number cannot be told from what real items get among themselves; None where that is not known."""
    if scored.floor is None or scored.low is None or scored.high is None or not math.isfinite(scored.value):
        return None
    if scored.better == "lower":
        return scored.low <= scored.floor
    if scored.better == "higher":
        return scored.high >= scored.floor
    target = scored.floor if scored.ideal is None else scored.ideal
    return scored.low <= target <= scored.high
