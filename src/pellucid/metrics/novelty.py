r"""Whether generated items are new, and whether they cover what was held out.

A generated item is *authentic* where it lies further from its nearest training item than that training item lies from
its own nearest neighbour in training (Alaa et al., "How Faithful is your Synthetic Data?", 2022, section 3.3). A
generator that copies has a share near 0; fresh draws of the data's law have about 1/2 or more, depending on the
dimension: compare with the floor.

The *feature likelihood* puts a Gaussian on every generated item x_j, with a variance s_j of its own that fits a
training set, and asks for the density of held-out real items (Jiralerspong et al., "Feature Likelihood Divergence",
2023, section 3):

    -1/D log [mean over j of N(y; x_j, s_j I)], its mean over held-out y, in nats per feature.                       (1)

Items that are bad get a wide Gaussian or none to explain, copies of training items a narrow one which is of no use on
held-out items, and missing modes have no Gaussian near: (1) grows with each. The variances are fitted by
expectation-maximisation, which for equal weights is

    r_ij = softmax over j of log N(y_i; x_j, s_j I),    s_j <- sum_i r_ij |y_i - x_j|^2 / (D sum_i r_ij).            (2)
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .base import Scored, halvings, normal_interval, order, share, two_samples, with_floor
from .distances import nearest, squared

_STEPS = 20
_MOST = 3000  # items of each of the three sets of a feature likelihood: all pairs are held at once


def is_authentic(generated: Tensor, real: Tensor) -> Tensor:
    """Which generated items are no copies by Alaa's rule: (N, *) and (M, *) to (N,) of true and false.

    Raises:
        UserError: as `two_samples`.
    """
    x, y = two_samples(generated, real)
    distance, at = nearest(x, y, 1)
    return distance[:, 0] > nearest(y, y, 1, apart=True)[0][at[:, 0], 0]


def authenticity(generated: Tensor, real: Tensor, *, seed: int = 0) -> Scored:
    """The share of generated items that are authentic with respect to these real items (the training set).

    Raises:
        UserError: as `two_samples`.
    """
    hits = is_authentic(generated, real)
    words = "Wilson's, over generated items, given the real ones"
    scored = share("authenticity", hits, len(generated), len(real), interval=words)
    rows = two_samples(real, real)[0]
    return with_floor(scored, rows, lambda a, b: float(is_authentic(a, b).double().mean()), seed)


def held_out_densities(generated: Tensor, fit: Tensor, held: Tensor) -> Tensor:
    """The terms of (1), one for each held-out item: (N, *), (M, *), (H, *) to (H,), in nats per feature.

    Args:
        generated: the centres.
        fit: real items that the variances are fitted to: the training set, where copies are to be found out.
        held: real items that nothing has seen.

    Raises:
        UserError: as `two_samples`.
    """
    x, y = two_samples(generated, fit, least=1)
    z = two_samples(held, fit, least=1)[0]
    size = x.shape[1]
    near = squared(y, x)
    # No Gaussian may be narrower than a thousandth of the distances at large: on a copied item it would be a point.
    smallest = 1e-6 * float(near.mean()) / size + 1e-300
    scale = near.mean(0).clamp_min(smallest * size) / size
    for _ in range(_STEPS):
        weights = torch.softmax(-0.5 * near / scale - 0.5 * size * scale.log(), dim=1)
        used = weights.sum(0)
        fitted = (weights * near).sum(0) / (size * used.clamp_min(1e-12))
        # An item that explains nothing keeps the variance it had.
        scale = torch.where(used > 1e-9, fitted, scale).clamp_min(smallest)
    logits = -0.5 * squared(z, x) / scale - 0.5 * size * (2 * math.pi * scale).log()
    return -(torch.logsumexp(logits, dim=1) - math.log(len(x))) / size


def feature_likelihood(generated: Tensor, real: Tensor, *, train: Tensor | None = None, seed: int = 0) -> Scored:
    """Equation (1), in nats per feature.

    With the training items given, the variances are fitted to them and all of `real`, which they should not hold, is
    held out: copies of training items are found out. The floor then has one half of the training items in the generated
    ones' place and the other to fit. Without them one half of `real` is to fit, the other held out; the floor has a
    third of it in the generated ones' place, and the others to fit and to hold out.

    Args:
        generated: (N, *), at least 6 items.
        real: (M, *), likewise.
        train: (T, *), likewise.
        seed: of the parts.

    Raises:
        UserError: as `two_samples`.
    """
    x, y = two_samples(generated, real, least=6)
    count = _MOST
    if train is None:
        fit, held = next(halvings(y, seed, 1))
        thirds = y[order(len(y), seed, "thirds", y.device)][: len(y) // 3 * 3].chunk(3)
        instead, parts = thirds[0], thirds[1:]
    else:
        instead, fit = next(halvings(two_samples(train, real, least=6)[0], seed, 1))
        held = y
        # (1) depends on how many Gaussians there are, and the floor has no more than this.
        count = min(len(x), len(fit), _MOST)
        parts = (fit[:count], held)
    x = x[order(len(x), seed, "likelihood", x.device)[:count]]
    terms = held_out_densities(x, fit[:count], held[:_MOST])
    value = float(terms.mean())
    low, high = normal_interval(value, float(terms.std()) / math.sqrt(len(terms)))
    floor = float(held_out_densities(instead[:count], *(part[:_MOST] for part in parts)).mean())
    words = "normal, over held-out items, given the Gaussians"
    return Scored("feature_likelihood", value, low, high, len(x), len(y), None, "lower", floor, words)
