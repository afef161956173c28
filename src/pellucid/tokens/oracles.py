r"""The exact denoiser of a law on symbols that is given as a table.

For items of L places with K symbols and the law P(x_0), a table over all items that have any probability, the posterior
of place l under a process that corrupts places independently is

    p(x_0^l = k | x_t) ~ sum over x_0 with x_0^l = k of P(x_0) prod over places m of q(x_t^m | x_0^m)              (1)

so everything a sampler of such a law should do is known.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ..foundations.errors import UserError
from ..processes.categorical import Categorical
from ..processes.symbols import Symbols, pick

_LARGEST_TABLE = 1 << 16  # items that are summed over at each call


@dataclass(frozen=True, eq=False)
class TableOracle:
    """The exact denoiser of a law on sequences.

    Attributes:
        process: the forward process, on K symbols.
        items: the sequences of the law, int64 (N, L), all different, without the mask.
        weights: their probabilities, (N,), positive; normalised here.

    Raises:
        UserError: a table whose parts do not fit, or with a symbol that the process does not have.
    """

    process: Symbols
    items: Tensor
    weights: Tensor

    def __post_init__(self) -> None:
        if self.items.ndim != 2 or self.weights.shape != (len(self.items),) or len(self.items) > _LARGEST_TABLE:
            raise UserError(
                f"a table has items (N, L), at most {_LARGEST_TABLE} of them, and weights (N,); got "
                f"{tuple(self.items.shape)} and {tuple(self.weights.shape)}"
            )
        if not bool((self.weights > 0).all()):
            raise UserError("a table's weights are positive: leave out items of no probability")
        allowed = set(range(self.process.num_symbols)) - {self.process.mask}
        strange = set(self.items.unique().tolist()) - allowed
        if strange:
            raise UserError(f"the symbols {sorted(strange)} are none of the process's own")

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        """Equation (1) as log-probabilities, (B, L, K) float64."""
        if t.ndim == 0:
            # A batch at one time holds few different items where few are possible.
            x, which = x.unique(dim=0, return_inverse=True)
            return self._places(x, t)[which]
        return self._places(x, t)

    def posterior(self, x: Tensor, t: Tensor) -> Tensor:
        """p(x_0 given x_t) of whole items, (B, N) float64."""
        if isinstance(self.process, Categorical) and self.process.mask is not None:
            # Which places are masked says nothing of x_0, at any time; but at t = 1 a symbol that is known all the same
            # (infilling) would be impossible.
            t = torch.full_like(t, 0.5)
        log_joint = self._log_weights().expand(len(x), -1)
        for place in range(x.shape[1]):
            # q(x_t | x_0 = k) of every symbol k, as a table that the items look up.
            symbols = torch.arange(self.process.num_symbols).expand(len(x), -1)
            law = self.process.corrupt_law(symbols, t)
            seen = x[:, place, None, None].expand(-1, law.shape[1], 1)
            likelihood = law.gather(2, seen)[..., 0].log()
            log_joint = log_joint + likelihood[:, self.items[:, place]]
        # An item that cannot be tells nothing of x_0.
        possible = (log_joint > -math.inf).any(1, keepdim=True)
        return torch.where(possible, log_joint, self._log_weights()).softmax(1)

    def sample(self, u: Tensor) -> Tensor:
        """Exact draws, (B, L), at uniform numbers (B,)."""
        law = self.weights.double() / self.weights.double().sum()
        return self.items[pick(law.expand(len(u), -1), u)]

    def log_prob(self, x: Tensor) -> Tensor:
        """log P(x) in nats, (B,); -inf of what is not in the table."""
        same = (x[:, None] == self.items).all(-1)
        return torch.where(same, self._log_weights(), -math.inf).logsumexp(1)

    def entropy(self) -> float:
        """Of the law, in nats for an item."""
        log_weights = self._log_weights()
        return -(log_weights.exp() * log_weights).sum().item()

    def rows(self, index: Tensor, num: int) -> TableOracle:
        """The denoiser of some items of a batch: itself, as it knows of no batch."""
        return self

    def _places(self, x: Tensor, t: Tensor) -> Tensor:
        one_hot = F.one_hot(self.items, self.process.num_symbols).double()
        return torch.einsum("bn,nlk->blk", self.posterior(x, t), one_hot).log()

    def _log_weights(self) -> Tensor:
        return (self.weights.double() / self.weights.double().sum()).log()


def all_items(num_symbols: int, length: int) -> Tensor:
    """Every sequence of a length, int64 (num_symbols^length, length), in the order of counting.

    >>> all_items(2, 2).tolist()
    [[0, 0], [0, 1], [1, 0], [1, 1]]
    """
    return torch.tensor(list(itertools.product(range(num_symbols), repeat=length)), dtype=torch.int64)


def table_oracle(process: Symbols, table: Tensor) -> TableOracle:
    """The exact denoiser of a law given as a table over all sequences of data symbols.

    Args:
        process: the forward process.
        table: one axis for each place, (K, ..., K) with the K symbols that data have; entries at least 0.
    """
    items = all_items(table.shape[0], table.ndim)
    weights = table.flatten()
    return TableOracle(process, items[weights > 0], weights[weights > 0])
