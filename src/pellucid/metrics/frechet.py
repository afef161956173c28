r"""The Frechet distance between two samples of features.

For laws of means m_1, m_2 and covariances C_1, C_2,

    F = |m_1 - m_2|^2 + tr C_1 + tr C_2 - 2 tr (C_1^(1/2) C_2 C_1^(1/2))^(1/2),                                      (1)

the squared Wasserstein-2 distance where both are Gaussian (Dowson and Landau, "The Frechet distance between
multivariate normal distributions", 1982, eq. 4; Heusel et al., "GANs trained by a two time-scale update rule", 2017,
eq. 6 for features of a network).

With the moments of finite samples, (1) is too large by about c/N, also where both laws are equal. On 1/k of both
samples it is too large by k c/N, so a line through its mean over k disjoint parts, k = 1, 2, 3, ..., meets k = 0 at the
value without that bias (Chong and Forsyth, "Effectively unbiased FID and Inception Score", 2020, section 4). The parts
of every k make up the whole sample, so the line adds no noise of the first order.

The influence of one item on (1) is

    psi_x(x) = 2 (m_1 - m_2) . (x - m_1) + (x - m_1)' (I - T) (x - m_1) - its mean,                                  (2)

where T = C_1^(-1/2) (C_1^(1/2) C_2 C_1^(1/2))^(1/2) C_1^(-1/2) carries the first Gaussian to the second.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..foundations.errors import UserError
from .base import Scored, order, squared_distance, two_samples

_PARTS = 4
_PER_DIMENSION = 4  # items of the smallest part for each feature: with fewer, the bias is no longer linear in 1/N


def gaussian_frechet(mean_1: Tensor, cov_1: Tensor, mean_2: Tensor, cov_2: Tensor) -> Tensor:
    """Equation (1) of means (*, D) and covariances (*, D, D): (*), float64."""
    cov_1, cov_2 = cov_1.double(), cov_2.double()
    root = _root(cov_1)
    cross = torch.linalg.eigvalsh(root @ cov_2 @ root).clamp_min(0).sqrt().sum(-1)
    gap = (mean_1 - mean_2).double().square().sum(-1)
    return gap + cov_1.diagonal(dim1=-2, dim2=-1).sum(-1) + cov_2.diagonal(dim1=-2, dim2=-1).sum(-1) - 2 * cross


def frechet_distance(generated: Tensor, real: Tensor) -> float:
    """Equation (1) with the samples' means and unbiased covariances: (N, *) and (M, *), biased upward by about c/N.

    Raises:
        UserError: as `two_samples`.

    >>> x = torch.tensor([[0.0], [2.0]])
    >>> frechet_distance(x + 3, x)
    9.0
    """
    x, y = two_samples(generated, real)
    return float(gaussian_frechet(x.mean(0), _cov(x), y.mean(0), _cov(y)))


def frechet_infinity(generated: Tensor, real: Tensor, *, seed: int = 0, parts: int = _PARTS) -> float:
    """Equation (1) extrapolated to samples without end: (N, *) and (M, *).

    Args:
        generated, real: the samples of features.
        seed: of the parting.
        parts: the greatest number of parts; 1 gives the plain distance.
    """
    x, y = two_samples(generated, real, least=2 * parts)
    x, y = x[order(len(x), seed, "frechet/x", x.device)], y[order(len(y), seed, "frechet/y", y.device)]
    values = []
    for k in range(1, parts + 1):
        a, b = (sample[: len(sample) // k * k].unflatten(0, (k, -1)) for sample in (x, y))
        values.append(float(gaussian_frechet(a.mean(1), _cov(a), b.mean(1), _cov(b)).mean()))
    if parts == 1:
        return values[0]
    # The intercept of the least-squares line.
    centre, level = (parts + 1) / 2, math.fsum(values) / parts
    slope = math.fsum((k - centre) * v for k, v in enumerate(values, 1))
    return level - centre * slope / math.fsum((k - centre) ** 2 for k in range(1, parts + 1))


def frechet_error(generated: Tensor, real: Tensor) -> float:
    """The first-order standard error of equation (1), by the influence (2) of each item: (N, *), (M, *)."""
    x, y = two_samples(generated, real)
    gap = x.mean(0) - y.mean(0)
    x, y = x - x.mean(0), y - y.mean(0)
    cov_1, cov_2 = _cov(x), _cov(y)
    root = _root(cov_1)
    values, vectors = torch.linalg.eigh(root @ cov_2 @ root)
    middle = values.clamp_min(0).sqrt()
    # (T z . z) is |middle^(1/2) V' C_1^(-1/2) z|^2, and for the inverse map |middle^(-1/2) V' C_1^(1/2) z|^2.
    there = (x @ torch.linalg.pinv(root, hermitian=True) @ vectors).square() @ middle
    back = (y @ root @ vectors).square() @ torch.where(middle > 1e-12 * middle.max(), 1 / middle, 0.0)
    psi_x = 2 * x @ gap + x.square().sum(1) - there
    psi_y = -2 * y @ gap + y.square().sum(1) - back
    return math.sqrt(float(psi_x.var() / len(x) + psi_y.var() / len(y)))


def frechet(generated: Tensor, real: Tensor, *, seed: int = 0, most_parts: int = _PARTS) -> Scored:
    """The Frechet distance, corrected for the size of the samples, in squared units of the features.

    Where the samples hold fewer than 8 items for each feature the correction is left out and the value says so.

    Args:
        generated: (N, *) items or features.
        real: (M, *).
        seed: of the parting and the halves.
        most_parts: that the correction takes; 1 leaves it out.

    Raises:
        UserError: as `two_samples`; and no more items than features, where a covariance is singular.
    """
    x, y = two_samples(generated, real)
    size, least = x.shape[1], min(len(x), len(y))
    if least <= size:
        raise UserError(
            f"the Frechet distance of {size:,} features needs more than {size:,} items in each sample, got {len(x):,} "
            f"generated and {len(y):,} real ones; give more items or fewer features (metrics.features.PCA)"
        )
    warnings: tuple[str, ...] = ()
    # Halves of the real sample are corrected as the whole is, so that the floor is of the same kind.
    parts = min(most_parts, least // (2 * _PER_DIMENSION * size), least // 16)
    if parts < 2:
        parts = 1
        why = f": {least:,} items are few for {size:,} features" if most_parts > 1 else ""
        warnings = (f"not corrected for its bias{why}, compare the floor",)

    return squared_distance(
        "frechet",
        lambda a, b: frechet_infinity(a, b, seed=seed, parts=parts),
        lambda a, b: (frechet_distance(a, b), frechet_error(a, b)),
        x,
        y,
        seed=seed,
        least=size + 2,
        interval="by the influence of each item, and the spread between real halves",
        warnings=warnings,
    )


def _cov(x: Tensor) -> Tensor:
    """The unbiased covariances of samples (*, N, D)."""
    x = x - x.mean(-2, keepdim=True)
    return x.mT @ x / (x.shape[-2] - 1)


def _root(cov: Tensor) -> Tensor:
    """The symmetric root of positive semi-definite matrices."""
    values, vectors = torch.linalg.eigh(cov)
    return (vectors * values.clamp_min(0).sqrt()[..., None, :]) @ vectors.mT
