"""The nearest pictures where a shift by a few pixels, or a mirror, makes no difference."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ..foundations.errors import UserError
from .search import Found, neighbours

_SHIFT = 2  # pixels, in each direction
_LOW = 5  # frequencies on each axis, beside their negatives on one
_BLOCK = 1 << 22  # numbers compared at once


def shifted(x: Tensor, y: Tensor, k: int) -> Found:
    """The k nearest pictures of y, (M, C, H, W), to each of x, (N, C, H, W), over shifts and mirrors of x.

    Distances are over the inside, which every shift covers. Candidates are the nearest pictures by the magnitudes of
    their lowest frequencies, and those of the mirrored picture; each is then compared at every shift.

    Raises:
        UserError: items that are no pictures, or of a side below 8; and as `neighbours`.
    """
    if x.ndim != 4 or min(x.shape[2:]) < 8:
        raise UserError(f"shifts are of pictures (N, C, H, W) of at least 8 pixels a side, got {tuple(x.shape[1:])}")
    more = min(len(y), k + 14)
    known = _features(y)
    plain, mirrored = neighbours(_features(x), known, more), neighbours(_features(x.flip(-1)), known, more)
    candidates = torch.cat([plain.indices, mirrored.indices], dim=1)
    # A picture that is a candidate on both ways counts once.
    names = candidates.sort(dim=1).values
    again = torch.zeros_like(names, dtype=torch.bool)
    again[:, 1:] = names[:, 1:] == names[:, :-1]
    inside = y[..., _SHIFT:-_SHIFT, _SHIFT:-_SHIFT].flatten(1).float().cpu()
    step = max(1, _BLOCK // ((names.shape[1] + 2 * (2 * _SHIFT + 1) ** 2) * inside.shape[1]))
    parts = [
        _nearest(x[i : i + step].float().cpu(), inside, names[i : i + step], again[i : i + step], k)
        for i in range(0, len(x), step)
    ]
    return Found(torch.cat([part.distances for part in parts]), torch.cat([part.indices for part in parts]))


def _nearest(x: Tensor, inside: Tensor, names: Tensor, again: Tensor, k: int) -> Found:
    """The k nearest of each row's candidates over all shifts and mirrors.

    All shifts are compared at once by a matrix product, whose round-off is then taken back: the distances at each
    candidate's best shift are computed again as differences.
    """
    moved = torch.stack([each.flatten(1) for each in _moved(x)], dim=1)
    targets = inside[names]
    sizes = inside.square().sum(1)[names]
    squares = sizes[:, :, None] + moved.square().sum(2)[:, None] - 2 * targets @ moved.mT
    least, shift = squares.min(dim=2)
    few = least.masked_fill(again, torch.inf).topk(min(k + 4, names.shape[1]), dim=1, largest=False).indices
    rows = torch.arange(len(x))[:, None]
    apart = (targets[rows, few] - moved[rows, shift[rows, few]]).double().square().sum(2).sqrt()
    apart = apart.masked_fill(again[rows, few], torch.inf)
    best = apart.argsort(dim=1, stable=True)[:, :k]
    return Found(apart.gather(1, best), names.gather(1, few.gather(1, best)))


def _moved(x: Tensor) -> Iterator[Tensor]:
    """The inside of pictures at every shift, and of their mirrors."""
    height, width = x.shape[2] - 2 * _SHIFT, x.shape[3] - 2 * _SHIFT
    for picture in (x, x.flip(-1)):
        for down in range(2 * _SHIFT + 1):
            for right in range(2 * _SHIFT + 1):
                yield picture[..., down : down + height, right : right + width]


def _features(x: Tensor) -> Tensor:
    """The magnitudes of the lowest frequencies, which a shift leaves as they are but for what passes the border."""
    found = torch.fft.rfft2(x.float()).abs()
    return torch.cat([found[..., :_LOW, :_LOW], found[..., 1 - _LOW :, :_LOW]], dim=-2)
