"""Rows of numbers and categories through residual layers: the network of tables."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pellucid.foundations.errors import UserError, unknown

from .blocks import Embedding, zeroed
from .mlp import DenseBlock


@dataclass(frozen=True)
class RowsSpec:
    """How a `Rows` is built.

    Attributes:
        numbers: columns of numbers, N.
        sizes: symbols of each column of categories, the mask not counted.
        width: units of a layer.
        blocks: residual blocks.
        dropout: probability of dropping an activation inside a block, in [0, 1).
        embedding: numbers that stand for a category at the door.
        frequencies: Fourier frequencies of each number at the door; 0: none.
        flags: (number, category) of each number that may be missing, as of `MixedDenoiser`.

    Raises:
        UserError: a number that is too small.
    """

    numbers: int
    sizes: tuple[int, ...]
    width: int = 128
    blocks: int = 3
    dropout: float = 0.0
    embedding: int = 8
    frequencies: int = 0
    flags: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "sizes", tuple(self.sizes))
        object.__setattr__(self, "flags", tuple((i, j) for i, j in self.flags))
        positive = min(self.numbers, len(self.sizes), *self.sizes, self.width, self.blocks, self.embedding) >= 1
        if not positive or self.frequencies < 0 or not 0 <= self.dropout < 1:
            raise UserError(f"a network of rows needs numbers, categories and layers of at least 1 each; got {self}")

    @property
    def symbols(self) -> int:
        """K: the most that a column has, and one for the mask."""
        return max(self.sizes) + 1

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values; `from_json` reads them back."""
        return {**asdict(self), "sizes": list(self.sizes), "flags": [list(pair) for pair in self.flags]}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> RowsSpec:
        """The spec that `to_json` wrote."""
        for name in values:
            if name not in cls.__dataclass_fields__:
                raise unknown("field of a network of rows", name, cls.__dataclass_fields__)
        return cls(**values)


class Rows(nn.Module):
    """Numbers as they are, categories by a table each, and which columns are known, through `DenseBlock`s.

    The output is zero at initialisation.

    >>> network = Rows(RowsSpec(2, (3, 5), width=32))
    >>> [out.shape for out in network(torch.randn(4, 2), torch.zeros(4, 2, dtype=torch.int64), torch.zeros(4))]
    [torch.Size([4, 2]), torch.Size([4, 2, 6])]
    """

    places: Tensor
    scales: Tensor

    def __init__(self, spec: RowsSpec) -> None:
        super().__init__()
        self.spec = spec
        columns = spec.numbers + len(spec.sizes)
        self.embedding = Embedding(spec.width)
        self.words = nn.Embedding(len(spec.sizes) * spec.symbols, spec.embedding)
        self.register_buffer("places", spec.symbols * torch.arange(len(spec.sizes)), persistent=False)
        scales = math.pi / 2 * 2.0 ** torch.arange(spec.frequencies)
        self.register_buffer("scales", scales, persistent=False)
        words = len(spec.sizes) * spec.embedding
        self.door = nn.Linear(spec.numbers * (1 + 2 * spec.frequencies) + words + columns, spec.width)
        self.blocks = nn.ModuleList(DenseBlock(spec.width, spec.width, spec.dropout) for _ in range(spec.blocks))
        self.norm = nn.LayerNorm(spec.width)
        self.out = zeroed(nn.Linear(spec.width, spec.numbers + len(spec.sizes) * spec.symbols))

    def forward(
        self, numbers: Tensor, symbols: Tensor, c_noise: Tensor, *, known: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """What the denoiser's target says of the numbers, (B, N), and logits of categories, (B, F, K).

        Args:
            numbers: of about unit variance, (B, N).
            symbols: int64 (B, F), the mask K - 1.
            c_noise: (B,), about log(sigma / alpha) / 4.
            known: which columns, numbers first, are not corrupted, bool (B, N + F); none if absent.
        """
        spec = self.spec
        if known is None:
            known = numbers.new_zeros(len(numbers), spec.numbers + len(spec.sizes))
        parts = [numbers, self.words(symbols + self.places).flatten(1), known.to(numbers)]
        if spec.frequencies:
            angle = (numbers[:, :, None] * self.scales).flatten(1)
            parts += [angle.sin(), angle.cos()]
        h = self.door(torch.cat(parts, dim=1))
        embedding = self.embedding(c_noise, None, None)
        for block in self.blocks:
            h = block(h, embedding)
        out = self.out(F.silu(self.norm(h)))
        return out[:, : spec.numbers], out[:, spec.numbers :].unflatten(1, (len(spec.sizes), spec.symbols))
