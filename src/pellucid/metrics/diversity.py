r"""How varied a sample is: the Vendi score, and the class score of "Inception score" fame.

The Vendi score is exp of the entropy of the eigenvalues of K/N, K the matrix of cosines between items taken from the
real mean: N items at right angles to one another score N, N equal ones 1 (Friedman and Dieng, "The Vendi Score", 2023,
definition 3.1). With the cosine kernel the D x D matrix of second moments has the same eigenvalues, so the smaller of
the two is used.

The class score is exp of the mean of KL(p(y|x) to p(y)) with p(y) the mean over the sample (Salimans et al., "Improved
Techniques for Training GANs", 2016, section 4). Its plain estimate is too high by about c/N, as that mean is fitted to
the same sample; a line in 1/N takes it off (Chong and Forsyth, "Effectively unbiased FID and Inception Score", 2020).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..foundations.errors import UserError
from .base import Scored, normal_interval, order, student, two_samples

_GROUPS = 20


def vendi_score(x: Tensor, *, centre: Tensor | None = None) -> float:
    """The Vendi score of a sample under the cosine kernel: (N, *) to a number in [1, min(N, D)].

    Args:
        x: the sample.
        centre: (*), what the items are taken from before their directions are compared; None takes nothing off.

    >>> round(vendi_score(torch.eye(4)), 6)
    4.0
    """
    rows, _ = two_samples(x, x, least=1)
    return _vendi(_directions(rows, None if centre is None else centre.flatten().double()))


def _directions(rows: Tensor, centre: Tensor | None) -> Tensor:
    return torch.nn.functional.normalize(rows if centre is None else rows - centre, dim=1)


def _vendi(u: Tensor) -> float:
    gram = u @ u.T if len(u) <= u.shape[1] else u.T @ u
    return _exp_entropy(torch.linalg.eigvalsh(gram / len(u)))


def _exp_entropy(values: Tensor) -> float:
    values = values.clamp_min(0)
    return float(torch.exp(-torch.special.xlogy(values, values).sum()))


def vendi(generated: Tensor, real: Tensor, *, seed: int = 0) -> Scored:
    """The Vendi score of the generated items, taken from the real mean; the floor is that of as many real items.

    The score depends on the number of items (few show less of the variety), so both sides have the same number. Its
    interval is the jackknife's over 20 groups.

    Raises:
        UserError: as `two_samples`.
    """
    x, y = two_samples(generated, real)
    count = min(len(x), len(y))
    centre = y.mean(0)
    u = _directions(x[order(len(x), seed, "vendi/x", x.device)[:count]], centre)
    value = _vendi(u)
    low = high = None
    warnings: tuple[str, ...] = ()
    if count >= 2 * _GROUPS:
        groups = u.tensor_split(_GROUPS)
        if u.shape[1] < count:
            moments = [part.T @ part for part in groups]
            whole = torch.stack(moments).sum(0)
            left = [
                _exp_entropy(torch.linalg.eigvalsh((whole - moment) / (count - len(part))))
                for moment, part in zip(moments, groups, strict=True)
            ]
        else:
            left = [_vendi(torch.cat([*groups[:g], *groups[g + 1 :]])) for g in range(_GROUPS)]
        spread = torch.tensor(left, dtype=torch.float64)
        error = math.sqrt(float((spread - spread.mean()).square().sum()) * (_GROUPS - 1) / _GROUPS)
        low, high = normal_interval(value, student(error, _GROUPS - 1))
    else:
        warnings = (f"no interval: {count} items are fewer than {2 * _GROUPS}",)
    floor = _vendi(_directions(y[order(len(y), seed, "vendi/y", y.device)[:count]], centre))
    return Scored(
        "vendi",
        value,
        low,
        high,
        count,
        count,
        None,
        "nearer",
        floor,
        "jackknife over groups of generated items",
        warnings,
    )


def class_score(probabilities: Tensor) -> float:
    """exp of the mean KL(p(y|x) to p(y)), from class probabilities (N, K); between 1 and K, biased upward by c/N.

    Raises:
        UserError: rows that are no probabilities.
    """
    p = _probabilities("given", probabilities)
    return math.exp(_information(p))


def class_score_infinity(generated: Tensor, real: Tensor, *, seed: int = 0) -> Scored:
    """The class score for samples without end, from the class probabilities of both samples, (N, K) and (M, K).

    The line in 1/N is fitted to the mean KL, whose exponential is taken after. The influence of an item on the mean KL
    is its own KL less the mean (that on p(y) adds nothing), which gives the interval. The floor is the real sample's
    score: the score a perfect generator has.

    Raises:
        UserError: rows that are no probabilities, or fewer than 8 of them.
    """
    two_samples(generated, real, least=8)
    p, q = _probabilities("generated", generated), _probabilities("real", real)
    value, error = _information_infinity(p, seed)
    low, high = normal_interval(value, error)
    floor = math.exp(_information_infinity(q, seed)[0])
    words = "normal on the log scale, by the influence of each item"
    return Scored(
        "class_score", math.exp(value), math.exp(low), math.exp(high), len(p), len(q), None, "nearer", floor, words
    )


def _information(p: Tensor) -> float:
    return float(_divergences(p).mean())


def _divergences(p: Tensor) -> Tensor:
    return (torch.special.xlogy(p, p) - torch.special.xlogy(p, p.mean(0))).sum(1)


def _information_infinity(p: Tensor, seed: int) -> tuple[float, float]:
    p = p[order(len(p), seed, "class score", p.device)]
    halves = p[: len(p) // 2 * 2].chunk(2)
    whole, half = _information(p), (_information(halves[0]) + _information(halves[1])) / 2
    # Through the values at N and N/2 the line in 1/N meets zero here.
    return 2 * whole - half, float(_divergences(p).std()) / math.sqrt(len(p))


def _probabilities(name: str, p: Tensor) -> Tensor:
    p = p.detach().double()
    if p.ndim != 2 or not bool((p >= 0).all()) or not bool(((p.sum(1) - 1).abs() < 1e-3).all()):
        raise UserError(
            f"the {name} class probabilities must be (N, K) with rows that are at least 0 and sum to 1, got shape "
            f"{tuple(p.shape)}; take softmax of a classifier's logits"
        )
    return p / p.sum(1, keepdim=True)
