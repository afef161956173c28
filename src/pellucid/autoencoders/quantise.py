r"""Quantisers: a vector at each position to the nearest of a finite set, with gradients that pass straight through.

Vector quantisation (van den Oord et al., "Neural Discrete Representation Learning", 2017, eq. 1-3 and appendix A.1):

    e(z) = the code e_i nearest to z,   forward: e(z),   backward: de/dz := 1                                      (1)
    N_i <- g N_i + (1 - g) n_i,   M_i <- g M_i + (1 - g) sum of its z,   e_i = M_i / N_i                           (2)

with n_i the share of the batch's vectors whose code is i (and the sum divided by the same count), so that N sums to 1.
A code that fewer than a fiftieth of its fair share 1/K chose is dead, and begins anew on a vector of the batch, taken
in proportion to its squared distance from the nearest code, the new ones among them (Arthur and Vassilvitskii,
"k-means++", 2007, section 2.2; the coins are a golden-ratio sequence, so that nothing is random). A book begins with
all codes dead.

Finite scalar quantisation (Mentzer et al., "Finite Scalar Quantization: VQ-VAE Made Simple", 2023, section 3.1):
channel i is bounded to L_i levels and rounded. Nothing is learned, and no code can die.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..foundations.errors import UserError

_DEAD = 0.02  # of the fair share
_GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True, eq=False)
class Codes:
    """What a quantiser made of an encoder's output.

    Attributes:
        vectors: on the code book, (B, L, *grid); gradients pass through to `before`.
        indices: of the codes, int64 (B, *grid).
        before: what was rounded: the encoder's output, for scalar levels within its bounds, (B, L, *grid).
    """

    vectors: Tensor
    indices: Tensor
    before: Tensor

    def latent(self, noise: Tensor | None = None) -> Tensor:
        """The vectors; there is nothing to draw."""
        return self.vectors

    def commitment(self) -> Tensor:
        """The mean squared distance between an item's output and its codes, (B,)."""
        return (self.before - self.vectors.detach()).square().flatten(1).mean(1)


class VectorQuantiser(nn.Module):
    """A code book of `num_codes` vectors of length `width`, learned by equation (2).

    Args:
        num_codes: K.
        width: L.
        decay: g.
    """

    codebook: Tensor
    shares: Tensor
    sums: Tensor

    def __init__(self, num_codes: int, width: int, *, decay: float = 0.99) -> None:
        super().__init__()
        self.num_codes, self.decay = num_codes, decay
        self.register_buffer("codebook", torch.zeros(num_codes, width))
        self.register_buffer("shares", torch.zeros(num_codes))
        self.register_buffer("sums", torch.zeros(num_codes, width))

    def nearest(self, rows: Tensor) -> Tensor:
        """The index of the nearest code of each row: (N, L) -> (N,)."""
        # |z|^2 is the same for all codes.
        return (self.codebook.square().sum(1) - 2 * rows @ self.codebook.T).argmin(1)

    def forward(self, z: Tensor) -> Codes:
        """Equation (1); in training mode the code book learns from z (B, L, *grid) first where it must begin, and then
        after."""
        rows = _rows(z.float())
        if self.training:
            self.revive(rows.detach())
        indices = self.nearest(rows.detach())
        vectors = _grid(self.codebook[indices], z)
        if self.training:
            self.learn(rows.detach(), indices)
        return Codes(_through(vectors, z), indices.reshape(len(z), *z.shape[2:]), z)

    def snap(self, z: Tensor) -> Tensor:
        """The nearest codes to any vectors (B, L, *grid)."""
        return _grid(self.codebook[self.nearest(_rows(z))], z)

    @torch.no_grad()
    def learn(self, rows: Tensor, indices: Tensor) -> None:
        """Equation (2) for the vectors of a batch, (N, L), and their codes, (N,)."""
        count = torch.bincount(indices, minlength=self.num_codes).to(rows) / len(rows)
        total = torch.zeros_like(self.sums).index_add_(0, indices, rows) / len(rows)
        self.shares.mul_(self.decay).add_(count, alpha=1 - self.decay)
        self.sums.mul_(self.decay).add_(total, alpha=1 - self.decay)
        self.codebook.copy_(self.sums / self.shares.clamp(min=1e-12)[:, None])

    @torch.no_grad()
    def revive(self, rows: Tensor) -> int:
        """Puts dead codes on vectors of the batch, (N, L), and returns how many there were."""
        dead = (self.shares < _DEAD / self.num_codes).nonzero()[:, 0]
        if not len(dead):
            return 0
        far = (rows - self.codebook[self.nearest(rows)]).double().square().sum(1)
        coins = torch.arange(1, len(dead) + 1, dtype=torch.float64, device=rows.device) * _GOLDEN % 1
        for code, coin in zip(dead, coins, strict=True):
            sums = far.cumsum(0)
            chosen = rows[torch.searchsorted(sums, coin * sums[-1]).clamp(max=len(rows) - 1)]
            far = torch.minimum(far, (rows - chosen).double().square().sum(1))
            self.codebook[code] = chosen
        self.shares[dead] = 1 / self.num_codes
        self.sums[dead] = self.codebook[dead] / self.num_codes
        return len(dead)

    def vectors(self, indices: Tensor) -> Tensor:
        """The codes of indices (B, *grid), as (B, L, *grid)."""
        _checked(indices, self.num_codes)
        return self.codebook[indices].movedim(-1, 1)


class FiniteScalar(nn.Module):
    """Levels for each channel: product(levels) codes, values in [-1, 1].

    With L levels, h = (L - 1)/2 (1 + 1e-3) and o = 1/2 for even L, else 0,

        u = h tanh(v + atanh(o/h)) - o,   code = round(u) / floor(L/2),                                            (3)

    so that v = 0 is in the middle of a level, and u stays within half a level of the outer ones.

    >>> FiniteScalar((8, 5, 5)).num_codes
    200
    """

    levels: Tensor
    bases: Tensor

    def __init__(self, levels: tuple[int, ...]) -> None:
        super().__init__()
        if not levels or min(levels) < 2:
            raise UserError(f"levels {levels}: give at least one number, each at least 2")
        self.num_codes = math.prod(levels)
        bases = [math.prod(levels[:i]) for i in range(len(levels))]
        self.register_buffer("levels", torch.tensor(levels), persistent=False)
        self.register_buffer("bases", torch.tensor(bases), persistent=False)

    def forward(self, z: Tensor) -> Codes:
        """Equation (3) for z (B, L, *grid), straight through the rounding."""
        levels = self._along(self.levels, z)
        half = (levels - 1) / 2 * (1 + 1e-3)
        offset = (levels % 2 == 0) * 0.5
        u = half * torch.tanh(z + torch.atanh(offset / half)) - offset
        scale = (levels // 2).to(z)
        bounded, vectors = u / scale, u.round() / scale
        return Codes(_through(vectors.detach(), bounded), self.indices(vectors), bounded)

    def snap(self, z: Tensor) -> Tensor:
        """The nearest codes to vectors between codes, (B, L, *grid)."""
        scale = self._along(self.levels // 2, z)
        return (z * scale).round() / scale

    def indices(self, vectors: Tensor) -> Tensor:
        """The number of each code: (B, L, *grid) -> (B, *grid), int64, the first channel counting fastest."""
        scale = self._along(self.levels // 2, vectors)
        digits = (vectors.detach() * scale).round().long() + scale
        return (digits * self._along(self.bases, vectors)).sum(1)

    def vectors(self, indices: Tensor) -> Tensor:
        """The codes of indices (B, *grid), as (B, L, *grid)."""
        _checked(indices, self.num_codes)
        like = indices[:, None].expand(-1, len(self.levels), *(-1,) * (indices.ndim - 1))
        digits = like // self._along(self.bases, like) % self._along(self.levels, like)
        scale = self._along(self.levels // 2, like)
        return ((digits - scale) / scale).float()

    def _along(self, values: Tensor, z: Tensor) -> Tensor:
        """Values of channels, to broadcast over z."""
        return values.reshape(-1, *(1,) * (z.ndim - 2))


def _through(value: Tensor, z: Tensor) -> Tensor:
    """The value, exactly, with z's gradient."""
    return value + (z - z.detach())


def _rows(z: Tensor) -> Tensor:
    return z.movedim(1, -1).reshape(-1, z.shape[1])


def _grid(rows: Tensor, z: Tensor) -> Tensor:
    return rows.reshape(len(z), *z.shape[2:], z.shape[1]).movedim(-1, 1).to(z)


def _checked(indices: Tensor, num_codes: int) -> None:
    found = (int(indices.min()), int(indices.max())) if indices.numel() else (0, 0)
    if indices.dtype != torch.int64 or found[0] < 0 or found[1] >= num_codes:
        told = f"{indices.dtype} numbers from {found[0]} to {found[1]}"
        raise UserError(f"codes are int64 numbers from 0 to {num_codes - 1}, got {told}")
