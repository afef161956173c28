r"""Lanczos' method for a batch of symmetric matrices that are known by their products alone.

From a start b it builds orthonormal rows Q with Q M Q' = T tridiagonal. The eigenvalues of T (Ritz values) find the
outlying eigenvalues of M first, and f(M) b is near |b| Q' f(T) e_1 (Golub and Meurant, "Matrices, Moments and
Quadrature with Applications", 2010, chapters 4 and 6).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

_BREAKDOWN = 1e-5  # an off-diagonal entry below this share of |M q| means that the space is exhausted


@dataclass(frozen=True, eq=False)
class Krylov:
    """What Lanczos' method found, for each row of a batch.

    Attributes:
        vectors: Q, (B, k, n); zero rows where the space was exhausted before.
        matrix: T, (B, k, k), float64; zero there.
        live: (B, k) bool: which rows of Q are not zero.
        norm: |b|, (B,), float64.
    """

    vectors: Tensor
    matrix: Tensor
    live: Tensor
    norm: Tensor

    @cached_property
    def eigen(self) -> tuple[Tensor, Tensor, Tensor]:
        """Ritz values (B, k), their eigenvectors in columns (B, k, k), and which are real (B, k) bool."""
        # Exhausted directions get the value 1 and are told apart by where their eigenvectors lie.
        filled = self.matrix + torch.diag_embed((~self.live).to(self.matrix))
        values, vectors = torch.linalg.eigh(filled)
        real = (vectors.square() * self.live[..., None]).sum(1) > 0.5
        return values, vectors, real

    def smallest(self) -> Tensor:
        """The smallest Ritz value, (B,)."""
        values, _, real = self.eigen
        return values.masked_fill(~real, float("inf")).amin(1)

    def largest(self) -> Tensor:
        """The largest Ritz value, (B,)."""
        values, _, real = self.eigen
        return values.masked_fill(~real, -float("inf")).amax(1)

    def solve(self, least: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """M^-1 b (B, n), b' M^-1 b (B,) and the log-determinant of T (B,); Ritz values are at least `least`, (B,)."""
        values, vectors, real = self.eigen
        values = torch.where(real, values.maximum(least[:, None]), torch.ones_like(values))
        start = torch.where(real, vectors[:, 0], 0)
        weights = torch.einsum("bij,bj->bi", vectors, start / values) * self.norm[:, None]
        solved = torch.einsum("bkn,bk->bn", self.vectors, weights.to(self.vectors))
        return solved, self.norm.square() * (start.square() / values).sum(1), values.log().sum(1)


def lanczos(apply: Callable[[Tensor], Tensor], b: Tensor, steps: int) -> Krylov:
    """At most `steps` products with M from the start b, (B, n), each row its own; fully reorthogonalised."""
    norm = b.norm(dim=1)
    rows = [b / norm.clamp_min(1e-30)[:, None]]
    live = [norm > 0]
    diagonal, beside = [], []
    for i in range(steps):
        image = apply(rows[-1])
        diagonal.append((image * rows[-1]).sum(1))
        if i + 1 == steps:
            break
        basis = torch.stack(rows, 1)
        size = image.norm(dim=1)
        for _ in range(2):  # twice is enough
            image = image - torch.einsum("bkn,bk->bn", basis, torch.einsum("bkn,bn->bk", basis, image))
        length = image.norm(dim=1)
        going = live[-1] & (length > _BREAKDOWN * size)
        if not bool(going.any()):
            break
        live.append(going)
        beside.append(torch.where(going, length, 0))
        rows.append(torch.where(going[:, None], image / length.clamp_min(1e-30)[:, None], 0))
    matrix = torch.diag_embed(torch.stack(diagonal, 1).double())
    if beside:
        band = torch.diag_embed(torch.stack(beside, 1).double(), offset=1)
        matrix = matrix + band + band.mT
    kept = torch.stack(live, 1)
    matrix = matrix * (kept[:, :, None] & kept[:, None, :])
    return Krylov(torch.stack(rows, 1), matrix, kept, norm.double())
