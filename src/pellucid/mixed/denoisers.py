"""Networks on rows of numbers and categories, seen as denoisers of a product process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..denoisers import Target
from ..foundations.errors import UserError
from ..foundations.tensors import pad
from ..processes.gaussian import Gaussian
from ..processes.product import Product
from ..processes.symbols import Symbols
from ..tokens.denoisers import substituted

_LOWEST_NOISE = 1e-5  # sigma/alpha that the network is told at t = 0, where the logarithm has none


class MixedDenoiser(nn.Module):
    """A network on N numbers and F categories as a denoiser.

    Attributes:
        network: called as network(numbers, symbols, c, **cond): float (B, N), int64 (B, F), float (B,); returns what
            `target` says of the numbers, (B, N), and logits, (B, F, K).
        process: a product of a Gaussian field and a field of symbols, in this order.
        target: what the network predicts of the numbers.
        sizes: the symbols that each column of categories has, at most K less the mask: others are never predicted.

    Raises:
        UserError: a process of other fields, or sizes that do not fit it.
    """

    allowed: Tensor

    def __init__(self, network: nn.Module, process: Product, target: Target, sizes: Sequence[int]) -> None:
        super().__init__()
        kinds = [field.process for field in process.fields]
        if len(kinds) != 2 or not isinstance(kinds[0], Gaussian) or not isinstance(kinds[1], Symbols):
            raise UserError("this denoiser needs a product of a Gaussian field and a field of symbols, in this order")
        self.numbers, self.symbols = kinds[0], kinds[1]
        most = self.symbols.num_symbols - (self.symbols.mask is not None)
        if len(sizes) != process.fields[1].columns or not all(1 <= size <= most for size in sizes):
            raise UserError(f"each of {process.fields[1].columns} columns has 1 to {most} symbols, got {list(sizes)}")
        self.network, self.process, self.target = network, process, target
        allowed = torch.arange(self.symbols.num_symbols) < torch.tensor(list(sizes))[:, None]
        self.register_buffer("allowed", allowed, persistent=False)

    def forward(self, x: Tensor, t: Tensor, **cond: Any) -> Tensor:
        """The packed answer, (B, N + F K): E[x_0 given x_t] of numbers, logits of categories; x (B, N + F)."""
        numbers, symbols = self.process.unpack(x)
        numbers = numbers.float()
        skip, out, scale = self.target.coefficients(self.numbers, t)
        schedule = self.numbers.schedule
        level = (schedule.sigma(t) / schedule.alpha(t)).clamp_min(_LOWEST_NOISE).log() / 4
        output, logits = self.network(pad(scale, x).float() * numbers, symbols, level.float().expand(len(x)), **cond)
        x0 = pad(skip, x).float() * numbers + pad(out, x).float() * output.float()
        law = substituted(logits.float(), symbols, self.symbols.mask, self.allowed)
        return self.process.pack_answers([x0, law])
