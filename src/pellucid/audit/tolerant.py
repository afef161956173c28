"""The nearest pictures where a shift by a few pixels, or a mirror, makes no difference."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from ..foundations.errors import UserError
from .search import Found, neighbours

_SHIFT = 2  # pixels, in each direction
_BLOCK = 1 << 24  # numbers compared at once


def shifted(x: Tensor, y: Tensor, k: int) -> Found:
    """The k nearest pictures of y, (M, C, H, W), to each of x, (N, C, H, W), over shifts and mirrors of x.

    Distances are over the inside, which every shift covers. Candidates are the nearest pictures by small blurred
    versions of both, in which a shift of two pixels is small beside the difference of two pictures; each is then
    compared at every shift.

    Raises:
        UserError: items that are no pictures, or of a side below 8; and as `neighbours`.
    """
    if x.ndim != 4 or min(x.shape[2:]) < 8:
        raise UserError(f"shifts are of pictures (N, C, H, W) of at least 8 pixels a side, got {tuple(x.shape[1:])}")
    more = min(len(y), 2 * k + 10)
    small = _small(y)
    plain, mirrored = neighbours(_small(x), small, more), neighbours(_small(x.flip(-1)), small, more)
    candidates = torch.cat([plain.indices, mirrored.indices], dim=1)
    inside = y[..., _SHIFT:-_SHIFT, _SHIFT:-_SHIFT].flatten(1).float().cpu()
    step = max(1, _BLOCK // (candidates.shape[1] * inside.shape[1]))
    parts = [_least(x[i : i + step].float().cpu(), inside, candidates[i : i + step]) for i in range(0, len(x), step)]
    distances = torch.cat(parts)
    # A picture that is a candidate on both ways counts once.
    ordered = candidates.argsort(dim=1, stable=True)
    names = candidates.gather(1, ordered)
    again = torch.zeros_like(names, dtype=torch.bool)
    again[:, 1:] = names[:, 1:] == names[:, :-1]
    distances = distances.gather(1, ordered).masked_fill(again, torch.inf)
    best = distances.argsort(dim=1, stable=True)[:, :k]
    return Found(distances.gather(1, best), names.gather(1, best))


def _least(x: Tensor, inside: Tensor, candidates: Tensor) -> Tensor:
    """The smallest distance over all shifts and mirrors, (N, candidates)."""
    targets = inside[candidates]
    found = torch.full(candidates.shape, torch.inf, dtype=torch.float64)
    for moved in _moved(x):
        distance = (targets - moved.flatten(1)[:, None]).square().sum(2).double().sqrt()
        found = torch.minimum(found, distance)
    return found


def _moved(x: Tensor) -> Iterator[Tensor]:
    height, width = x.shape[2] - 2 * _SHIFT, x.shape[3] - 2 * _SHIFT
    for picture in (x, x.flip(-1)):
        for down in range(2 * _SHIFT + 1):
            for right in range(2 * _SHIFT + 1):
                yield picture[..., down : down + height, right : right + width]


def _small(x: Tensor) -> Tensor:
    return F.avg_pool2d(x.float(), max(2, min(x.shape[2:]) // 8), ceil_mode=True)
