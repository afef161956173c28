r"""Compressed sensing: fewer measurements than values, each of them a random mixture.

All have orthonormal rows (see `rows`), so white noise stays white, A+ = A', and a measurement is in the data's own
scale. Orthonormal rows lose nothing: whatever rows B of full rank one starts from, B = L Q with an invertible L, and
Q x = L^-1 B x tells the same as B x. All that is random is a pure function of the seed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ..foundations.errors import UserError
from ..foundations.rng import Stream, subseed
from .patterns import places
from .rows import Rows, how_many
from .separable import apply_axes

# A seed of its own: a sampler or a metric of the same seed must not share these numbers with the operator.
PURPOSE = "sensing"
_MOST = 1 << 26  # numbers in a dense matrix: half a gigabyte in float64
_RADIX = 64  # of one product in the fast Hadamard transform


def random_basis(m: int, n: int, seed: int) -> tuple[Tensor, Tensor]:
    """An orthonormal basis of R^n whose first m vectors span m random Gaussian vectors, as Householder reflections.

    Returns:
        (reflections (n, m), factors (m,)), as `torch.geqrf` gives them, float64.

    Source: Householder, "Unitary Triangularization of a Nonsymmetric Matrix", 1958.
    """
    columns = Stream.of(subseed(seed, PURPOSE), range(m)).normal((n,), step=0)[0, 0].double()
    reflections, factors = torch.geqrf(columns.T.contiguous())
    return reflections, factors


@dataclass(frozen=True, eq=False)
class GaussianSensing(Rows):
    """Projection on the span of random Gaussian vectors: y = Q x, the rows of Q an orthonormal basis of that span.

    A dense matrix of m x n, n the places of a channel: for items up to about 64 x 64.

    Attributes:
        ratio: m / n, above 0 and at most 1.
        seed: decides the vectors.

    Raises:
        UserError: a ratio out of range; at `on`, items so large that the matrix would not fit in memory.

    Source: Donoho, "Compressed Sensing", 2006.

    >>> GaussianSensing(0.25)(torch.ones(1, 3, 8, 8)).shape
    torch.Size([1, 3, 16])
    """

    ratio: float = 0.25
    seed: int = 0

    def __post_init__(self) -> None:
        how_many(self.ratio, 1)

    def choose(self) -> Tensor:
        n = self.length
        m = how_many(self.ratio, n)
        if m * n > _MOST:
            raise UserError(
                f"Gaussian sensing of {n} places by {m} measurements is a matrix of {m * n * 8 / 2**30:.1f} GiB; "
                f"HadamardSensing and BlockSensing serve large items"
            )
        return torch.arange(m)

    @cached_property
    def basis(self) -> tuple[Tensor, Tensor]:
        return random_basis(len(self.rows), self.length, self.seed)

    @cached_property
    def matrix(self) -> Tensor:
        """Q, (m, n), float64."""
        return torch.linalg.householder_product(*self.basis).mT.contiguous()

    def forward(self, x: Tensor) -> Tensor:
        flat = x.reshape(len(x), *self.out_shape[:-1], self.length)
        return flat @ self.matrix.to(x).mT

    def adjoint(self, y: Tensor) -> Tensor:
        return (y @ self.matrix.to(y)).reshape(len(y), *self.bound_shape)

    def transform(self, x: Tensor) -> Tensor:
        return self._reflect(x, transpose=True)

    def inverse(self, c: Tensor) -> Tensor:
        return self._reflect(c, transpose=False)

    def _reflect(self, x: Tensor, *, transpose: bool) -> Tensor:
        """The whole basis, n x n, applied without being formed."""
        reflections, factors = (part.to(x) for part in self.basis)
        return torch.ormqr(reflections, factors, x.reshape(-1, self.length).mT, transpose=transpose).mT.reshape(x.shape)


@dataclass(frozen=True, eq=False)
class BlockSensing(Rows):
    """Blocks of values, or of pixels, are each projected by the same random matrix with orthonormal rows.

    Measurements are in the order of (block, row).

    Attributes:
        block: the side of a block; it divides every axis of places.
        ratio: measurements for each value, above 0 and at most 1.
        seed: decides the matrix.

    Raises:
        UserError: a ratio out of range, a block below 1 or too large; at `on`, one that does not divide.

    Source: Gan, "Block Compressed Sensing of Natural Images", 2007.

    >>> BlockSensing(8)(torch.ones(1, 3, 16, 24)).shape
    torch.Size([1, 3, 96])
    """

    block: int = 8
    ratio: float = 0.25
    seed: int = 0

    def __post_init__(self) -> None:
        how_many(self.ratio, 1)
        if isinstance(self.block, bool) or not isinstance(self.block, int) or not 1 <= self.block <= 64:
            raise UserError(f"the side of a block is a whole number from 1 to 64; got {self.block!r}")

    def choose(self) -> Tensor:
        sizes, b = places(self.bound_shape), self.block
        if any(length % b for length in sizes):
            cut = "x".join(str(length - length % b) for length in sizes)
            raise UserError(
                f"blocks of {b} do not fill items of {'x'.join(map(str, sizes))}: cut the items to {cut}, "
                f"or use another block"
            )
        values = b ** len(sizes)
        first = torch.arange(self.length // values) * values
        return (first[:, None] + torch.arange(how_many(self.ratio, values))).flatten()

    @cached_property
    def matrix(self) -> Tensor:
        """The whole basis of a block as rows, (n, n), float64; the first m are measured."""
        n = self.block ** len(places(self.bound_shape))
        reflections, factors = random_basis(how_many(self.ratio, n), n, self.seed)
        return torch.ormqr(reflections, factors, torch.eye(n, dtype=torch.float64), transpose=True)

    def transform(self, x: Tensor) -> Tensor:
        sizes, b = places(self.bound_shape), self.block
        split = x.reshape(-1, *(part for length in sizes for part in (length // b, b)))
        across, within = range(1, 2 * len(sizes), 2), range(2, 2 * len(sizes) + 1, 2)
        blocks = split.permute(0, *across, *within).reshape(-1, self.matrix.shape[0])
        return (blocks @ self.matrix.to(x).mT).reshape(x.shape)

    def inverse(self, c: Tensor) -> Tensor:
        sizes, b = places(self.bound_shape), self.block
        blocks = c.reshape(-1, self.matrix.shape[0]) @ self.matrix.to(c)
        split = blocks.reshape(-1, *(length // b for length in sizes), *(b for _ in sizes))
        order = (axis for i in range(len(sizes)) for axis in (1 + i, 1 + len(sizes) + i))
        return split.permute(0, *order).reshape(c.shape)


@dataclass(frozen=True, eq=False)
class HadamardSensing(Rows):
    r"""Random rows of the Walsh-Hadamard transform, after random signs: A = R W D, in O(n log n).

    D = diag(+-1). Where n is a power of two, W is the transform itself, n^(-1/2) (H_2 (x) ... (x) H_2). Where it is
    not, let p be the largest power of two below n: W transforms the first p values, then the last p of the result, with
    new signs between, or the second window would undo much of what the first has mixed. Both windows are orthonormal
    and together they cover all, so W is orthonormal, and no value is padded or left out.

    Attributes:
        ratio: m / n, above 0 and at most 1; n the places of a channel.
        seed: decides signs and rows.

    Raises:
        UserError: a ratio out of range.

    Source: Do, Gan, Nguyen and Tran, "Fast and Efficient Compressive Sensing Using Structurally Random Matrices", 2012.

    >>> HadamardSensing(0.5)(torch.ones(1, 10)).shape
    torch.Size([1, 5])
    """

    ratio: float = 0.25
    seed: int = 0

    def __post_init__(self) -> None:
        how_many(self.ratio, 1)

    def choose(self) -> Tensor:
        words = Stream.of(subseed(self.seed, PURPOSE), [0]).words(self.length, step=0)[0, 0, 0]
        return words.argsort(stable=True)[: how_many(self.ratio, self.length)].sort().values

    @cached_property
    def signs(self) -> Tensor:
        """The diagonal of D, and the signs between two windows: (2, n), float32."""
        words = Stream.of(subseed(self.seed, PURPOSE), [1, 2]).words(self.length, step=0)[0, 0]
        return 1.0 - 2.0 * (words & 1).float()

    @property
    def window(self) -> int:
        """p, the largest power of two up to n."""
        return 1 << (self.length.bit_length() - 1)

    def transform(self, x: Tensor) -> Tensor:
        p, n = self.window, self.length
        before, between = self.signs.to(x)
        x = x * before
        x = torch.cat([walsh_hadamard(x[..., :p]), x[..., p:]], dim=-1)
        if p == n:
            return x
        x = x * between
        return torch.cat([x[..., : n - p], walsh_hadamard(x[..., n - p :])], dim=-1)

    def inverse(self, c: Tensor) -> Tensor:
        p, n = self.window, self.length
        before, between = self.signs.to(c)
        if p < n:
            c = torch.cat([c[..., : n - p], walsh_hadamard(c[..., n - p :])], dim=-1) * between
        return torch.cat([walsh_hadamard(c[..., :p]), c[..., p:]], dim=-1) * before


def walsh_hadamard(x: Tensor) -> Tensor:
    """H_n x along the last axis, n a power of two, in natural order; symmetric and its own inverse.

    H_n is the Kronecker product of H_64, H_64, ..., H_r, so a few products by small matrices do it: 64 log_64(n) sums
    for each value, in matrix products that processors are best at.
    """
    n = x.shape[-1]
    sizes = []
    while n > 1:
        sizes.append(min(n, _RADIX))
        n //= sizes[-1]
    factors = tuple(_hadamard(size, x) for size in sizes)
    return apply_axes(factors, x.reshape(*x.shape[:-1], *sizes)).reshape(x.shape)


def _hadamard(size: int, like: Tensor) -> Tensor:
    """The orthonormal Hadamard matrix by doubling, (size, size)."""
    matrix = like.new_full((1, 1), size**-0.5)
    while len(matrix) < size:
        matrix = torch.cat([torch.cat([matrix, matrix], 1), torch.cat([matrix, -matrix], 1)])
    return matrix
