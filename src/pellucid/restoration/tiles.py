r"""Pictures larger than the model: one denoiser on the whole, made of overlapping tiles that agree.

At every call the estimate of the large picture is the weighted mean of the estimates of its tiles,

    D(x, t) = sum_k w_k d(x_k, t) / sum_k w_k,    x_k = the k-th tile of x,                                        (1)

with w_k a bump that is large in a tile's middle, where the model sees most of the surroundings, and small at its edge
(Bar-Tal et al., "MultiDiffusion: Fusing Diffusion Paths for Controlled Image Generation", 2023, eq. 5). The result is
again a denoiser, so every solver, guidance, operator and restoration acts on the large picture as a whole: there is one
state, one noise and one data consistency, and no seam to hide. The tiles' places shift from call to call as a pure
function of t, so that no place of the picture is always near an edge.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from ..denoisers import Denoiser
from ..foundations.errors import UserError
from ..foundations.rng import subseed
from ..processes.base import Process

_FLOOR = 1e-3  # of the window, so that a picture's corner, which one tile sees by its own corner, has a weight


@dataclass(frozen=True)
class Tiled:
    """A denoiser of pictures larger than the model, by equation (1).

    Attributes:
        denoiser: of items (C, h, w), or (C, l) for signals.
        tile: its item's shape, (C, h, w).
        overlap: by how many pixels neighbouring tiles overlap, at least; a quarter of a tile's shorter side if None.
        batch_size: how many tiles go through the network at once: this bounds the memory, also that of gradients.
        shifting: whether the tiles' places depend on t.

    Raises:
        UserError: an overlap that leaves no step between tiles; at a call, a picture smaller than a tile or with other
            channels.
    """

    denoiser: Denoiser
    tile: tuple[int, ...]
    overlap: int | None = None
    batch_size: int = 16
    shifting: bool = True

    def __post_init__(self) -> None:
        if len(self.tile) < 2:
            raise UserError(f"pictures and signals have tiles, items of shape {self.tile} have none")
        if not 0 <= self._overlap < min(self.tile[1:]):
            raise UserError(f"tiles of shape {self.tile} can overlap by 0 to {min(self.tile[1:]) - 1}: {self.overlap}")
        if self.batch_size < 1:
            raise UserError(f"the batch size must be at least 1, got {self.batch_size}")

    @property
    def process(self) -> Process:
        return self.denoiser.process

    def __call__(self, x: Tensor, t: Tensor, **cond: Any) -> Tensor:
        """E[x_0 given x_t] of the large picture: x of shape (B, C, H, W), t of shape () or (B,)."""
        if x.shape[1] != self.tile[0] or x.ndim != len(self.tile) + 1:
            raise UserError(f"the model's items have the shape {self.tile}, got a picture of {tuple(x.shape[1:])}")
        sides = tuple(x.shape[2:])
        index = self._index(sides, t).to(x.device)
        window = self._window().to(x)
        flat = x.flatten(2)
        total = torch.zeros_like(flat)
        weight = flat.new_zeros(flat.shape[-1])
        num = len(x)
        # One row for each tile of each picture: row r is tile r // num of picture r % num.
        for chunk in index.split(max(1, self.batch_size // num)):
            count, places = len(chunk), chunk.flatten()
            tiles = flat.index_select(2, places).reshape(num, self.tile[0], count, *self.tile[1:])
            tiles = tiles.movedim(2, 0).flatten(0, 1)
            times = t if t.ndim == 0 else t.repeat(count)
            rows = {name: _repeat(value, num, count) for name, value in cond.items()}
            clean = self._denoise(tiles, times, rows)
            clean = (clean * window).unflatten(0, (count, num)).movedim(0, 2).flatten(2)
            total = total.index_add(2, places, clean) if clean.requires_grad else total.index_add_(2, places, clean)
            weight.index_add_(0, places, window.flatten().repeat(count))
        return (total / weight).reshape(x.shape)

    def places(self, sides: Sequence[int], t: Tensor) -> list[list[int]]:
        """Where tiles begin along each axis of a picture, at time t; they cover it, and stay inside."""
        return [
            _starts(side, tile, self._overlap, self._offset(t, axis) if self.shifting else 0.0)
            for axis, (side, tile) in enumerate(zip(sides, self.tile[1:], strict=True))
        ]

    @property
    def _overlap(self) -> int:
        return min(self.tile[1:]) // 4 if self.overlap is None else self.overlap

    def _offset(self, t: Tensor, axis: int) -> float:
        """A number in [0, 1) that looks random and is a function of t alone."""
        now = float(t.flatten()[0])
        return subseed(int.from_bytes(struct.pack("<d", now), "little"), f"tiles/{axis}") / 2.0**64

    def _index(self, sides: tuple[int, ...], t: Tensor) -> Tensor:
        """Flat places of the pixels of every tile, int64, (tiles, h * w)."""
        starts = self.places(sides, t)
        corner = torch.cartesian_prod(*map(torch.tensor, starts)).reshape(-1, len(sides))
        strides = torch.tensor([math.prod(sides[axis + 1 :]) for axis in range(len(sides))])
        inside = torch.cartesian_prod(*map(torch.arange, self.tile[1:])).reshape(-1, len(sides))
        return (corner @ strides)[:, None] + inside @ strides

    def _window(self) -> Tensor:
        """The bump w, (h, w): a product of squared sines."""
        window = torch.ones(())
        for side in self.tile[1:]:
            line = torch.sin(math.pi * (torch.arange(side) + 0.5) / side).square().clamp_min(_FLOOR)
            window = window[..., None] * line
        return window

    def _denoise(self, tiles: Tensor, t: Tensor, cond: dict[str, Any]) -> Tensor:
        if not (torch.is_grad_enabled() and tiles.requires_grad):
            return self.denoiser(tiles, t, **cond)
        # What the network computed inside is computed again when the gradient asks for it, so that only one batch of
        # tiles is ever in memory.
        again: Tensor = checkpoint(lambda z: self.denoiser(z, t, **cond), tiles, use_reentrant=False)
        return again


def _repeat(value: Any, num: int, count: int) -> Any:
    """A condition of each picture, (B, *), for each of its tiles."""
    if isinstance(value, Tensor) and value.ndim and len(value) == num:
        return value.repeat(count, *[1] * (value.ndim - 1))
    return value


def _starts(side: int, tile: int, overlap: int, offset: float) -> list[int]:
    """Where tiles begin on a line of `side` pixels: a grid of even steps, shifted, and held inside at both ends."""
    if side < tile:
        raise UserError(
            f"the picture has {side} pixels along a side where the model has {tile}: a picture smaller than the model "
            "is restored as the inside of one that the model knows, which pellucid.restore does"
        )
    if side == tile:
        return [0]
    stride = tile - overlap
    first = -math.floor(offset * stride)
    return sorted({min(max(place, 0), side - tile) for place in range(first, side - overlap, stride)})
