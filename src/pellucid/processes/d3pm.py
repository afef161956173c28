r"""Chains of any transition matrices on symbols, in discrete time (Austin et al., "Structured Denoising Diffusion
Models in Discrete State-Spaces", 2021, equations 1 to 4).

T matrices Q_1 ... Q_T, [Q_i]_ab = q(x_i = b | x_{i-1} = a), with the products Qbar_i = Q_1 ... Q_i in float64. Step i
of the chain lives at t = i/T. For s = j/T < t = i/T and Q = Q_{j+1} ... Q_i,

    q(x_t | x_0) = [Qbar_i]_{x_0 x_t},   q(x_t | x_s) = Q_{x_s x_t}                                                (1)
    p(x_s | x_t) ~ Q_{x_s x_t} (w Qbar_j)_{x_s},   w(x_0) = p(x_0 | x_t)/[Qbar_i]_{x_0 x_t}                        (2)

(Austin et al., equations 3 and 4). The bound is KL(q(x_1 | x_0) to the prior) and the sum over the T steps of

    KL(q(x_s | x_t, x_0) to p(x_s | x_t)),   s = t - 1/T,                                                          (3)

whose first step, with s = 0, is -log p(x_0 | x_1).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ..foundations.errors import UserError
from .symbols import Symbols, weighed

_ROUND_OFF = 1e-9  # that a row of a matrix may miss 1 by
_LARGEST = 1 << 28  # numbers in all matrices: 2 GiB, and as much for their products


@dataclass(frozen=True, eq=False)
class D3PM(Symbols):
    """A chain of transition matrices. `matrices.MATRICES` makes the usual ones.

    Attributes:
        steps: Q_1 ... Q_T, (T, K, K) float64, rows that sum to 1.
        stationary: the prior, (K,); uniform if None.

    Raises:
        UserError: matrices of another shape, too many to hold, or rows that are not probabilities.
    """

    steps: Tensor
    stationary: Tensor | None = None

    def __post_init__(self) -> None:
        shape = tuple(self.steps.shape)
        if len(shape) != 3 or shape[1] != shape[2] or not shape[0] or shape[1] < 2:
            raise UserError(f"transition matrices have the shape (T, K, K) with K of at least 2, got {shape}")
        if self.steps.numel() > _LARGEST:
            raise UserError(f"{shape[0]} matrices of {shape[1]} symbols take too much memory: use fewer steps")
        rows = self.steps.double().sum(-1)
        if self.steps.min() < 0 or not bool((rows - 1).abs().max() <= _ROUND_OFF):
            raise UserError(
                f"the rows of transition matrices are probabilities that sum to 1; the least entry is "
                f"{self.steps.min().item():.3g} and the sums run from {rows.min().item()} to {rows.max().item()}"
            )
        if self.stationary is not None and self.stationary.shape != shape[2:]:
            raise UserError(f"the prior is a law over {shape[2]} symbols, got {tuple(self.stationary.shape)}")

    @property
    def num_symbols(self) -> int:
        return self.steps.shape[1]

    @property
    def num_steps(self) -> int:
        """T."""
        return self.steps.shape[0]

    @cached_property
    def mask(self) -> int | None:
        """The symbol that the prior is, where it is one."""
        best = int(self.prior_law().argmax())
        return best if self.prior_law()[best] == 1 else None

    @cached_property
    def products(self) -> Tensor:
        """Qbar_0 = I ... Qbar_T, (T + 1, K, K) float64."""
        product = torch.eye(self.num_symbols, dtype=torch.float64)
        found = [product]
        for step in self.steps.double():
            product = product @ step
            found.append(product)
        return torch.stack(found)

    def prior_law(self) -> Tensor:
        if self.stationary is None:
            return torch.full((self.num_symbols,), 1 / self.num_symbols, dtype=torch.float64)
        return self.stationary.double() / self.stationary.double().sum()

    def step_of(self, t: Tensor) -> Tensor:
        """i = T t, int64 of t's shape.

        Raises:
            UserError: a time between the steps of the chain.
        """
        place = t.double() * self.num_steps
        step = place.round()
        # In float32 a time i/T is off by its spacing, 6e-8 of it.
        if bool(((place - step).abs() > 1e-6 * self.num_steps).any()):
            raise UserError(f"this chain lives at t = i/{self.num_steps}; got {t.flatten()[:5].tolist()}")
        return step.long()

    def corrupt_law(self, x0: Tensor, t: Tensor) -> Tensor:
        """[Qbar_i]_{x_0 x_t} as a function of x_t."""
        return self._entries(self.products.to(x0.device)[self.step_of(t)], x0)

    def renoise_law(self, x: Tensor, s: Tensor, t: Tensor) -> Tensor:
        """Q_{x_s x_t} as a function of x_t."""
        return self._entries(self._between(s, t).to(x.device), x)

    def reached(self, x: Tensor, t: Tensor) -> Tensor:
        """[Qbar_i]_{x_0 x_t} as a function of x_0."""
        return self._entries(self.products.to(x.device)[self.step_of(t)].mT, x)

    def bridge_law(self, x: Tensor, x0: Tensor, t: Tensor, s: Tensor) -> Tensor:
        """Equation (2), normalised."""
        reached = self._entries(self._between(s, t).to(x.device).mT, x)
        before = self.products.to(x.device)[self.step_of(s)]
        shares = weighed(x0, self.reached(x, t))[0].exp()
        flat = shares.reshape(len(x), -1, self.num_symbols)
        around = (flat @ before).reshape(shares.shape)
        joint = reached * around
        return joint / joint.sum(-1, keepdim=True)

    def integrand(self, prediction: Tensor, x0: Tensor, x: Tensor, t: Tensor) -> Tensor:
        """T times equation (3), for the step that t ends: a time between two steps counts for the later."""
        upper = (t.double() * self.num_steps - 1e-6 * self.num_steps).ceil().clamp_min(1)
        return self.num_steps * self.step_divergence(
            prediction, x0, x, upper / self.num_steps, (upper - 1) / self.num_steps
        )

    def grid(self, num_steps: int) -> Tensor:
        """The chain's own times, or evenly spaced ones among them."""
        if not 1 <= num_steps <= self.num_steps:
            raise UserError(f"a chain of {self.num_steps} steps is sampled in 1 to {self.num_steps}, got {num_steps}")
        places = torch.linspace(self.num_steps, 0, num_steps + 1, dtype=torch.float64).round()
        return places / self.num_steps

    def times(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """Each step of the chain as often as any other."""
        return ((u * self.num_steps).floor() + 1) / self.num_steps, torch.ones_like(u)

    def weight(self, t: Tensor) -> Tensor:
        """1: the plain cross-entropy, which Austin et al. add to the bound (equation 5)."""
        return torch.ones_like(t)

    def _between(self, s: Tensor, t: Tensor) -> Tensor:
        """Q_{j+1} ... Q_i, (K, K) or (B, K, K)."""
        first, last = torch.broadcast_tensors(self.step_of(s), self.step_of(t))
        if first.ndim:
            pairs, which = torch.stack([first, last], dim=1).unique(dim=0, return_inverse=True)
            return torch.stack([self._product(*pair) for pair in pairs.tolist()]).to(which.device)[which]
        return self._product(int(first), int(last))

    def _product(self, first: int, last: int) -> Tensor:
        if first == 0:
            return self.products[last]
        product = self.steps[first].double()
        for step in self.steps[first + 1 : last].double():
            product = product @ step
        return product

    def _entries(self, matrix: Tensor, rows: Tensor) -> Tensor:
        """Rows of a matrix (K, K), or of one for each item (B, K, K): (B, *, K) for rows (B, *)."""
        if matrix.ndim == 2:
            return matrix[rows]
        items = torch.arange(len(rows), device=rows.device).reshape(-1, *(1,) * (rows.ndim - 1))
        return matrix[items, rows]
