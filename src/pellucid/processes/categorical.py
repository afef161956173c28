r"""The categorical process in closed form: a symbol survives to time t with probability alpha_t, else it is a draw from
a stationary law pi.

With r = alpha_t/alpha_s, s < t, and c(x_0) = alpha_t [x_t = x_0] + (1 - alpha_t) pi(x_t),

    q(x_t | x_0) = alpha_t [x_t = x_0] + (1 - alpha_t) pi(x_t)                                                     (1)
    q(x_t | x_s) = r [x_t = x_s] + (1 - r) pi(x_t)                                                                 (2)
    q(x_s | x_t, x_0) = q(x_t | x_s) (alpha_s [x_s = x_0] + (1 - alpha_s) pi(x_s)) / c(x_0)                        (3)

and (3) averages over p(x_0 | x_t) in closed form, because x_0 enters by p/c alone:

    p(x_s | x_t) ~ q(x_t | x_s) (alpha_s w(x_s) + (1 - alpha_s) pi(x_s)),  w = (p/c) / sum(p/c).                   (4)

Where pi is one symbol, the mask, this is masked diffusion (Sahoo et al., "Simple and Effective Masked Diffusion
Language Models", 2024); where pi is uniform, D3PM's uniform process in continuous time.

The bound in continuous time. Symbols are lost at the rate -alpha'/alpha and drawn anew, so the forward rate from x_s to
y is -alpha'/alpha pi(y), and the reverse rate from x to y /= x given x_0 is

    R(y; x_0) = -alpha'/alpha pi(x) q_t(y | x_0)/q_t(x | x_0)
              = -alpha' pi(x) ([y = x_0] + pi(y) (1 - alpha)/alpha)/c(x_0)                                         (5)

while the model's is R(y; p) = sum of p(x_0 | x_t) R(y; x_0), which is the true reverse rate where p is the true
posterior. The divergence between the two path laws (Campbell et al., "A Continuous Time Framework for Discrete
Denoising Models", 2022) is the integral over t of the mean of

    sum over y /= x of  R(y; p) - R(y; x_0) + R(y; x_0) log(R(y; x_0)/R(y; p)).                                    (6)

For a mask it is -alpha'/(1 - alpha) times -log p(x_0 | x_t) at masked places and 0 elsewhere (Sahoo et al., eq. 10; Shi
et al., "Simplified and Generalized Masked Diffusion for Discrete Data", 2024). With the exact p, (6) integrates
to -log p(x_0) on average, for every pi: averaging the rates over x_0 loses nothing. (Schiff et al., "Simple Guidance
Mechanisms for Discrete Diffusion Models", 2024, put the mean of x_0 into (5) instead, which is another
parameterisation and a strict bound at the exact posterior.)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F

from ..foundations.errors import UserError
from ..foundations.registry import Registry
from ..foundations.tensors import pad
from .survival import Linear, Survival, even_times, steady_times
from .symbols import Symbols, pick, weighed

_LEAST_ALPHA = 1e-9  # in the rates, which grow like 1/alpha while their difference, which counts, falls like alpha
_LARGEST_SUM_ERROR = 1e-6  # of a stationary law's sum around 1, before it is normalised


@dataclass(frozen=True)
class Categorical(Symbols):
    """A categorical process with any stationary law. `absorbing` and `uniform` make the usual two.

    Attributes:
        pi: the stationary law's probabilities, K of them.
        survival: alpha(t).

    Raises:
        UserError: fewer than two symbols, negative numbers, or a sum that is not 1.
    """

    pi: tuple[float, ...]
    survival: Survival = field(default_factory=Linear)

    def __post_init__(self) -> None:
        total = math.fsum(self.pi)
        if len(self.pi) < 2 or min(self.pi) < 0 or not abs(total - 1) <= _LARGEST_SUM_ERROR:
            raise UserError(
                f"a stationary law is two or more probabilities that sum to 1; got {len(self.pi)} with the sum {total}"
            )

    @property
    def num_symbols(self) -> int:
        return len(self.pi)

    @cached_property
    def mask(self) -> int | None:
        """The symbol that pi is, where it is one."""
        return self.pi.index(max(self.pi)) if max(self.pi) == 1 else None

    @cached_property
    def _law(self) -> Tensor:
        law = torch.tensor(self.pi, dtype=torch.float64)
        return law / law.sum()

    def prior_law(self) -> Tensor:
        return self._law

    def corrupt(self, x0: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """Equation (1); one uniform number decides both whether a symbol survives and what it becomes."""
        return self._redrawn(x0, pad(self.survival.alpha(t.double()), x0), noise)

    def renoise(self, x: Tensor, s: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """Equation (2)."""
        kept = self.survival.alpha(t.double()) / self.survival.alpha(s.double())
        return self._redrawn(x, pad(kept, x), noise)

    def corrupt_law(self, x0: Tensor, t: Tensor) -> Tensor:
        """Equation (1) as a function of x_t."""
        alpha, lost = self._shares(t, x0)
        return alpha * self._one_hot(x0) + lost * self._law.to(x0.device)

    def renoise_law(self, x: Tensor, s: Tensor, t: Tensor) -> Tensor:
        """Equation (2) as a function of x_t."""
        kept = self._shares(t, x)[0] / self._shares(s, x)[0]
        return kept * self._one_hot(x) + (1 - kept) * self._law.to(x.device)

    def reached(self, x: Tensor, t: Tensor) -> Tensor:
        alpha, lost = self._shares(t, x)
        return alpha * self._one_hot(x) + lost * self._law.to(x.device)[x][..., None]

    def bridge_law(self, x: Tensor, x0: Tensor, t: Tensor, s: Tensor) -> Tensor:
        """Equation (4), normalised."""
        law, hit = self._law.to(x.device), self._one_hot(x)
        alpha_s, lost_s = self._shares(s, x)
        kept = self._shares(t, x)[0] / alpha_s
        reached = kept * hit + (1 - kept) * law[x][..., None]  # q(x_t | x_s) as a function of x_s
        around = alpha_s * self._weighed(x, x0, t)[0].exp() + lost_s * law
        joint = reached * around
        return joint / joint.sum(-1, keepdim=True)

    def grid(self, num_steps: int) -> Tensor:
        """Each step restores the same share of symbols."""
        return even_times(self.survival, num_steps)

    def times(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """Times at which the variance of the bound's integral is finite."""
        return steady_times(self.survival, u)

    def weight(self, t: Tensor) -> Tensor:
        """-alpha'/(1 - alpha): exact for a mask."""
        return self.survival.rate(t) / self.survival.lost(t)

    def integrand(self, prediction: Tensor, x0: Tensor, x: Tensor, t: Tensor) -> Tensor:
        """Equation (6)."""
        if self.mask is not None:
            cross_entropy = self.cross_entropy(prediction, x0)
            return torch.where(x == self.mask, pad(self.weight(t), x) * cross_entropy, 0.0)
        true, model = self.rates(x, x0, t), self.expected_rates(x, prediction, t)
        both = (true > 0) & (model > 0)
        ratio = torch.where(both, true / torch.where(both, model, 1.0), 1.0)
        missed = torch.where((true > 0) & (model <= 0), math.inf, 0.0)
        return (model - true + true * ratio.log() + missed).sum(-1)

    def rates(self, x: Tensor, x0: Tensor, t: Tensor) -> Tensor:
        """R(y; x_0) of equation (5), (B, *, K); 0 at y = x."""
        alpha, lost = self._shares(t, x)
        law, hit = self._law.to(x.device), self._one_hot(x)
        around = self._one_hot(x0) + lost / alpha.clamp_min(_LEAST_ALPHA) * law
        reached = torch.where(x == x0, alpha[..., 0], 0.0) + lost[..., 0] * law[x]
        return self._leaving(x, t) * around / reached[..., None] * (1 - hit)

    def expected_rates(self, x: Tensor, x0: Tensor, t: Tensor) -> Tensor:
        """R(y; p) of equation (5) for the logits x0 of p, (B, *, K); 0 at y = x."""
        alpha, lost = self._shares(t, x)
        law, hit = self._law.to(x.device), self._one_hot(x)
        shares, total = self._weighed(x, x0, t)
        around = shares.exp() + lost / alpha.clamp_min(_LEAST_ALPHA) * law
        return self._leaving(x, t) * around * total.exp() * (1 - hit)

    def _leaving(self, x: Tensor, t: Tensor) -> Tensor:
        """-alpha' pi(x), (B, *, 1)."""
        return pad(self.survival.rate(t.double()), x)[..., None] * self._law.to(x.device)[x][..., None]

    def _weighed(self, x: Tensor, x0: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """log w of equation (4), and log sum(p/c), (B, *, 1), for the logits of p."""
        return weighed(x0, self.reached(x, t))

    def _shares(self, t: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """alpha_t and 1 - alpha_t in float64, broadcasting against (B, *, K)."""
        t = t.double()
        return pad(self.survival.alpha(t), x)[..., None], pad(self.survival.lost(t), x)[..., None]

    def _one_hot(self, x: Tensor) -> Tensor:
        return F.one_hot(x, self.num_symbols).double()

    def _redrawn(self, x: Tensor, kept: Tensor, u: Tensor) -> Tensor:
        fresh = ((u - kept) / (1 - kept)).clamp(0, 1)  # uniform where u >= kept
        if self.mask is not None:
            return torch.where(u < kept, x, self.mask)
        return torch.where(u < kept, x, pick(self._law.to(x.device), fresh))


def absorbing(num_symbols: int, survival: Survival | None = None) -> Categorical:
    """Masked diffusion on num_symbols symbols, of which the last is the mask.

    >>> absorbing(3).mask
    2
    """
    return Categorical((*[0.0] * (num_symbols - 1), 1.0), survival or Linear())


def uniform(num_symbols: int, survival: Survival | None = None) -> Categorical:
    """Uniform noise on num_symbols symbols."""
    return Categorical((1 / num_symbols,) * num_symbols, survival or Linear())


CATEGORICALS: Registry[Callable[..., Categorical]] = Registry(
    "process on symbols", {"absorbing": absorbing, "uniform": uniform}
)
