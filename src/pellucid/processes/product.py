r"""A process on items of several kinds at once: numbers and categories side by side, as in the rows of a table.

Given x_0 the fields are corrupted independently, each by its own process at one common time:

    q(x_t | x_0) = prod over fields f of q_f(x_t^f | x_0^f),                                                       (1)

and so are all bridges; the fields of an item are tied together only by the denoiser, which sees all of them. A state is
one tensor, (B, C) float64: the columns of the fields in their order, a category by the number of its symbol. A
denoiser's answer is one tensor too, (B, P): for a column of numbers E[x_0 | x_t], for a column of symbols its logits.
So drivers, losses and guidance need not know of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ..foundations.errors import UserError
from ..foundations.rng import Stream, subseed
from .base import Process
from .symbols import Symbols


@dataclass(frozen=True)
class Field:
    """Columns that share a process.

    Attributes:
        name: for people and for the field's own random numbers.
        process: on items of shape (columns,).
        columns: how many; at least 1.
        weight: of its loss in the product's; the share of its columns if None.
    """

    name: str
    process: Process
    columns: int
    weight: float | None = None

    @property
    def symbols(self) -> int | None:
        """K of a field of symbols, None of numbers."""
        return self.process.num_symbols if isinstance(self.process, Symbols) else None

    @property
    def answers(self) -> int:
        """Numbers in a denoiser's answer."""
        return self.columns * (self.symbols or 1)

    def unpacked(self, part: Tensor) -> Tensor:
        """The state that the process knows, of the field's columns of a packed state, (B, columns)."""
        return part.round().long() if self.symbols else part

    def answered(self, part: Tensor) -> Tensor:
        """A denoiser's answer as the process knows it, of the field's numbers of a packed answer."""
        return part.unflatten(1, (self.columns, self.symbols)) if self.symbols else part


@dataclass(frozen=True)
class Product(Process):
    """A process on named fields.

    Attributes:
        fields: in the order of the columns.

    Raises:
        UserError: no fields, two of one name, or one without columns.
    """

    fields: tuple[Field, ...]

    def __post_init__(self) -> None:
        names = [field.name for field in self.fields]
        if not names or len(set(names)) < len(names) or any(field.columns < 1 for field in self.fields):
            raise UserError(
                f"a product needs fields of different names with at least 1 column each, got "
                f"{[(field.name, field.columns) for field in self.fields]}"
            )

    @cached_property
    def columns(self) -> int:
        """C, of all fields together."""
        return sum(field.columns for field in self.fields)

    @cached_property
    def _column_sizes(self) -> list[int]:
        return [field.columns for field in self.fields]

    @cached_property
    def _answer_sizes(self) -> list[int]:
        return [field.answers for field in self.fields]

    def unpack(self, x: Tensor) -> list[Tensor]:
        """A packed state, (B, C), field by field: numbers as they are, symbols int64."""
        return [field.unpacked(part) for field, part in zip(self.fields, x.split(self._column_sizes, 1), strict=True)]

    def pack(self, parts: Sequence[Tensor]) -> Tensor:
        """States of the fields, (B, columns) each, as one, (B, C) float64."""
        return torch.cat([part.double() for part in parts], dim=1)

    def split(self, noise: Tensor) -> tuple[Tensor, ...]:
        """Noise, (..., C), field by field."""
        return noise.split(self._column_sizes, -1)

    def answers(self, prediction: Tensor) -> list[Tensor]:
        """A denoiser's answer, (B, P), field by field: (B, columns) of numbers, (B, columns, K) of symbols."""
        parts = prediction.split(self._answer_sizes, 1)
        return [field.answered(part) for field, part in zip(self.fields, parts, strict=True)]

    def pack_answers(self, parts: Sequence[Tensor]) -> Tensor:
        """Answers of the fields as one, (B, P)."""
        return torch.cat([part.flatten(1) for part in parts], dim=1)

    def draw(
        self, stream: Stream, shape: Sequence[int], *, step: int, num_steps: int = 1, num_draws: int = 1
    ) -> Tensor:
        """Each field's own randomness, float64, independent between fields, (num_steps, num_draws, B, C)."""
        drawn = []
        for field in self.fields:
            own = Stream(subseed(stream.seed, f"field {field.name}"), stream.ids)
            noise = field.process.draw(own, (field.columns,), step=step, num_steps=num_steps, num_draws=num_draws)
            drawn.append(noise.double())
        return torch.cat(drawn, dim=-1)

    def prior(self, noise: Tensor) -> Tensor:
        parts = zip(self.fields, self.split(noise), strict=True)
        return self.pack([field.process.prior(part) for field, part in parts])

    def corrupt(self, x0: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """Equation (1)."""
        return self._each(x0, noise, lambda process, x, z: process.corrupt(x, t, z))

    def renoise(self, x: Tensor, s: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        return self._each(x, noise, lambda process, part, z: process.renoise(part, s, t, z))

    def bridge(self, x: Tensor, x0: Tensor, t: Tensor, s: Tensor, noise: Tensor) -> Tensor:
        """Each field's bridge; x0 is a denoiser's packed answer, (B, P)."""
        parts = zip(self.fields, self.unpack(x), self.answers(x0), self.split(noise), strict=True)
        return self.pack([field.process.bridge(part, answer, t, s, z) for field, part, answer, z in parts])

    def losses(self, prediction: Tensor, x0: Tensor, t: Tensor) -> dict[str, Tensor]:
        """Each field's own loss, (B,), by name."""
        parts = zip(self.fields, self.answers(prediction), self.unpack(x0), strict=True)
        return {field.name: field.process.loss(answer, part, t) for field, answer, part in parts}

    def loss(self, prediction: Tensor, x0: Tensor, t: Tensor) -> Tensor:
        """The weighted sum of `losses`, (B,)."""
        losses = self.losses(prediction, x0, t)
        total = torch.zeros_like(t)
        for field in self.fields:
            weight = field.columns / self.columns if field.weight is None else field.weight
            total = total + weight * losses[field.name]
        return total

    def prior_kl(self, x0: Tensor) -> Tensor:
        parts = zip(self.fields, self.unpack(x0), strict=True)
        return torch.stack([field.process.prior_kl(part).double() for field, part in parts]).sum(0)

    def prior_bits_per_dim(self, second_moment: float = 1.0) -> float:
        """The divergence of the end from the prior for each column, in bits, of data whose numbers have that second
        moment, and whose symbols are the first of their alphabet."""
        level = math.sqrt(second_moment)
        row = [torch.full((1, field.columns), 0.0 if field.symbols else level) for field in self.fields]
        return self.prior_kl(self.pack(row)).item() / (self.columns * math.log(2))

    def _each(self, x: Tensor, noise: Tensor, move: Callable[[Process, Tensor, Tensor], Tensor]) -> Tensor:
        parts = zip(self.fields, self.unpack(x), self.split(noise), strict=True)
        return self.pack([move(field.process, part, z) for field, part, z in parts])
