r"""Networks on rows of numbers and categories, seen as denoisers of a product process.

A number may be missing: then a category of its own, its flag m, is 1, and the number itself is a standard normal
variable that depends on nothing. So the law of rows is one on all columns, and its denoiser is known where the number
is missing; else

    E[x_0 | x_t] = p(m = 1 | x_t) alpha x_t/(alpha^2 + sigma^2) + p(m = 0 | x_t) E[x_0 | x_t, m = 0],              (1)

of which a network gives p(m | x_t) and the last mean, which it learns from rows where the number is there. Where the
flag of x_t is known to be 1, the network does not see the number.
"""

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
from ..processes.symbols import Symbols, certain
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
        flags: (number, category) of each number that may be missing: its column among the numbers, and that of its
            flag among the categories, whose symbol 1 says that it is missing.

    Raises:
        UserError: a process of other fields, or sizes that do not fit it.
    """

    allowed: Tensor
    flagged: Tensor
    flag: Tensor

    def __init__(
        self,
        network: nn.Module,
        process: Product,
        target: Target,
        sizes: Sequence[int],
        flags: Sequence[tuple[int, int]] = (),
    ) -> None:
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
        self.register_buffer("flagged", torch.tensor([i for i, _ in flags], dtype=torch.int64), persistent=False)
        self.register_buffer("flag", torch.tensor([j for _, j in flags], dtype=torch.int64), persistent=False)

    def forward(
        self, x: Tensor, t: Tensor, *, known: Tensor | None = None, present: bool = False, **cond: Any
    ) -> Tensor:
        """The packed answer, (B, N + F K): E[x_0 given x_t] of numbers, logits of categories.

        Args:
            x: (B, N + F), packed.
            t: () or (B,).
            known: columns where x holds x_0 itself, bool (B, N + F): then all is given these too. Passed on to the
                network, which must have been trained with it.
            present: of numbers, what they are if none is missing: the last mean of (1).
            cond: passed on to the network.
        """
        numbers, symbols = self.process.unpack(x)
        numbers = numbers.float()
        count = numbers.shape[1]
        skip, out, scale = (pad(c, x).float() for c in self.target.coefficients(self.numbers, t))
        schedule = self.numbers.schedule
        level = (schedule.sigma(t) / schedule.alpha(t)).clamp_min(_LOWEST_NOISE).log() / 4
        shown = scale * numbers
        if known is not None:
            shown = torch.where(known[:, :count], numbers, shown)
            cond = {**cond, "known": known}
        missing = symbols[:, self.flag] == 1
        if len(self.flag):
            shown = shown.index_put((self._every(x), self.flagged), shown[:, self.flagged].masked_fill(missing, 0.0))
        output, logits = self.network(shown, symbols, level.float().expand(len(x)), **cond)
        x0 = skip * numbers + out * output.float()
        law = substituted(logits.float(), symbols, self.symbols.mask, self.allowed)
        if len(self.flag) and not present:
            gone = law[:, self.flag].softmax(-1)[..., 1]
            alpha, sigma = (pad(scale, x).float() for scale in (schedule.alpha(t), schedule.sigma(t)))
            free = alpha / (alpha.square() + sigma.square()) * numbers[:, self.flagged]
            x0 = x0.index_put((self._every(x), self.flagged), torch.lerp(x0[:, self.flagged], free, gone))
        if known is not None:
            x0 = torch.where(known[:, :count], numbers, x0)
            if self.symbols.mask is None:  # else whatever is not masked is certain already
                law = torch.where(known[:, count:, None], certain(symbols, law.shape[-1]).to(law), law)
        return self.process.pack_answers([x0, law])

    def _every(self, x: Tensor) -> Tensor:
        return torch.arange(len(x), device=x.device)[:, None]
