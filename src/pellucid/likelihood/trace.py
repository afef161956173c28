r"""The trace of a Jacobian J, exactly or from a few products v^T J.

    exact        tr J = sum_i e_i^T J e_i                                                                          (1)
    hutchinson   tr J = E v^T J v,  v of random signs                                                              (2)
    hutch++      tr J = tr Q^T J Q + E v^T (I - QQ^T) J (I - QQ^T) v,  Q a basis of J^T S, S of random signs       (3)

(2): Hutchinson, "A Stochastic Estimator of the Trace of the Influence Matrix", 1990. (3): Meyer et al., "Hutch++:
Optimal Stochastic Trace Estimation", 2021, algorithm 1, item by item. All three are unbiased, for any J.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..foundations.errors import UserError
from ..foundations.registry import Registry
from ..foundations.rng import Stream
from .checks import check_count

_MOST_EXACT = 1024  # values of an item; beyond, as many backward passes at each step are out of reach
_CHUNK = 1 << 22  # numbers in one batch of backward passes

Product = Callable[[Tensor], Tensor]  # v (P, B, D) -> v^T J, (P, B, D)


class Trace(ABC):
    """An estimate of tr J for each item of a batch."""

    @abstractmethod
    def products(self, size: int) -> int:
        """Vector-Jacobian products that one estimate for items of `size` values takes."""

    @abstractmethod
    def __call__(self, product: Product, like: Tensor, stream: Stream, step: int) -> tuple[Tensor, Tensor]:
        """The estimate and the variance of its error, (B,) each.

        Args:
            product: v (P, B, D) -> v^T J, (P, B, D).
            like: (B, D), for its shape, type and place.
            stream: the items' random numbers.
            step: which of them.
        """


@dataclass(frozen=True)
class Exact(Trace):
    """Equation (1). Items of up to 1,024 values; `probes` does not matter."""

    probes: int = 0

    def products(self, size: int) -> int:
        if size > _MOST_EXACT:
            raise UserError(
                f"the exact trace takes a backward pass for each of an item's {size:,} values at every step; it is "
                f"for at most {_MOST_EXACT:,}. Use trace='hutchinson'"
            )
        return size

    def __call__(self, product: Product, like: Tensor, stream: Stream, step: int) -> tuple[Tensor, Tensor]:
        batch, size = like.shape
        total = like.new_zeros(batch)
        chunk = max(1, min(size, _CHUNK // like.numel()))
        for start in range(0, size, chunk):
            axes = torch.arange(start, min(start + chunk, size), device=like.device)
            v = torch.nn.functional.one_hot(axes, size).to(like)[:, None, :].expand(-1, batch, -1)
            total = total + (product(v) * v).sum((0, 2))
        return total, torch.zeros_like(total)


@dataclass(frozen=True)
class Hutchinson(Trace):
    """Equation (2), averaged over `probes` of at least 2, whose spread gives the error."""

    probes: int = 2

    def __post_init__(self) -> None:
        check_count("probes", self.probes, 2, 256)

    def products(self, size: int) -> int:
        return self.probes

    def __call__(self, product: Product, like: Tensor, stream: Stream, step: int) -> tuple[Tensor, Tensor]:
        v = _signs(stream, like, step, self.probes)
        values = (product(v) * v).sum(2)
        return values.mean(0), values.var(0) / self.probes


@dataclass(frozen=True)
class HutchPlusPlus(Trace):
    """Equation (3): a third of the `probes`, at least 6, finds Q, a third takes its trace, a third the rest."""

    probes: int = 6

    def __post_init__(self) -> None:
        check_count("probes of hutch++", self.probes, 6, 256)

    def products(self, size: int) -> int:
        rank = min(self.probes // 3, size)
        return 2 * rank + self._rest()

    def _rest(self) -> int:
        return self.probes - 2 * (self.probes // 3)

    def __call__(self, product: Product, like: Tensor, stream: Stream, step: int) -> tuple[Tensor, Tensor]:
        rank = min(self.probes // 3, like.shape[1])
        v = _signs(stream, like, step, rank + self._rest())
        basis, _ = torch.linalg.qr(product(v[:rank]).permute(1, 2, 0))  # (B, D, rank)
        columns = basis.permute(2, 0, 1).contiguous()
        inside = (product(columns) * columns).sum((0, 2))
        rest = v[rank:]
        rest = rest - torch.einsum("bdr,ber,pbe->pbd", basis, basis, rest)
        values = (product(rest) * rest).sum(2)
        return inside + values.mean(0), values.var(0) / len(rest)


def _signs(stream: Stream, like: Tensor, step: int, count: int) -> Tensor:
    """Random signs, (count, B, D)."""
    u = stream.uniform(like.shape[1:], step=step, num_draws=count)[0]
    return torch.where(u < 0.5, -1.0, 1.0).to(like)


TRACES: Registry[Callable[..., Trace]] = Registry(
    "trace", {"exact": Exact, "hutchinson": Hutchinson, "hutch++": HutchPlusPlus}
)
