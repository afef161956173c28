r"""What every process on symbols shares: laws over K symbols for each place of an item, and draws from them.

An item is int64 of shape (B, *): at each place one of K symbols, which the process corrupts independently. A denoiser
returns logits of p(x_0 given x_t), (B, *, K). A process gives three conditional laws as probabilities in float64,

    q(x_t | x_0),   q(x_t | x_s),   sum over x_0 of p(x_0 | x_t) q(x_s | x_t, x_0)   (B, *, K) each,               (1)

and this class draws from them by inverting their distribution functions at one uniform number for each place. In
float32 the draws would follow another, colder law (Zheng et al., "Masked Diffusion Models are Secretly Time-Agnostic
Masked Models and Exploit Inaccurate Categorical Sampling", 2024).
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from ..foundations.errors import UserError
from ..foundations.rng import Stream
from .base import Process


def pick(law: Tensor, u: Tensor) -> Tensor:
    """The symbol at which the distribution function of a law passes u, int64 of u's shape.

    Args:
        law: weights, (*, K), at least 0, not all 0; they need not sum to 1.
        u: uniform numbers in [0, 1), broadcasting to (*).
    """
    cumulative = law.cumsum(-1)
    total = cumulative[..., -1]
    # Strictly below the total: otherwise a product that rounds up would pick a symbol of no weight behind the last.
    level = torch.minimum(u.to(law) * total, torch.nextafter(total, torch.zeros_like(total)))
    return (level[..., None] >= cumulative).sum(-1)


def certain(x0: Tensor, num_symbols: int) -> Tensor:
    """Logits of a law that knows x_0: 0 at it and -inf elsewhere, (B, *, K) float64."""
    return F.one_hot(x0, num_symbols).double().log()


def weighed(x0: Tensor, reached: Tensor) -> tuple[Tensor, Tensor]:
    """log w with w = (p/c)/sum(p/c), (B, *, K), and log sum(p/c), (B, *, 1), where c = 0 rules a symbol out.

    Where p has nothing but what is ruled out, as of an item that cannot be, w is even over the rest.

    Args:
        x0: logits of p, (B, *, K).
        reached: c, the probability of x_t given each x_0, (B, *, K) float64.
    """
    log_c = reached.log()
    ratio = torch.where(reached > 0, x0.double().log_softmax(-1) - log_c, -math.inf)
    lost = (ratio == -math.inf).all(-1, keepdim=True)
    ratio = torch.where(lost & (reached > 0), -log_c, ratio)
    total = ratio.logsumexp(-1, keepdim=True)
    return ratio - total, total


class Symbols(Process):
    """A process on symbols, by its conditional laws."""

    @property
    @abstractmethod
    def num_symbols(self) -> int:
        """K, the mask included."""

    @property
    @abstractmethod
    def mask(self) -> int | None:
        """The symbol that everything ends as, K - 1; None where there is none. Data never have it."""

    @abstractmethod
    def prior_law(self) -> Tensor:
        """The law of a symbol at t = 1, (K,) float64."""

    @abstractmethod
    def corrupt_law(self, x0: Tensor, t: Tensor) -> Tensor:
        """q(x_t given x_0), (B, *, K)."""

    @abstractmethod
    def renoise_law(self, x: Tensor, s: Tensor, t: Tensor) -> Tensor:
        """q(x_t given x_s), s < t, (B, *, K)."""

    @abstractmethod
    def reached(self, x: Tensor, t: Tensor) -> Tensor:
        """q(x_t given x_0) at x_t = x as a function of x_0, (B, *, K) float64."""

    @abstractmethod
    def bridge_law(self, x: Tensor, x0: Tensor, t: Tensor, s: Tensor) -> Tensor:
        """q(x_s given x_t, x_0) averaged over the denoiser's p(x_0 given x_t), whose logits x0 are; (B, *, K).

        What x_t rules out for x_0 is left out of p. `certain(x_0)` gives the posterior of one x_0.
        """

    @abstractmethod
    def integrand(self, prediction: Tensor, x0: Tensor, x: Tensor, t: Tensor) -> Tensor:
        """What place by place the bound on -log p(x_0) integrates over t (or averages over the steps of a chain), in
        nats, (B, *): its mean over t uniform in (0, 1] and x ~ q(x_t given x_0), summed over places, is the bound but
        for `prior_kl`.

        Args:
            prediction: a denoiser's logits at (x, t), (B, *, K).
            x0, x: the data and what they were corrupted to, (B, *).
            t: () or (B,).
        """

    def grid(self, num_steps: int) -> Tensor:
        """A sampler's times, (num_steps + 1,) from 1 to 0, float64.

        Raises:
            UserError: a number of steps that the process cannot have.
        """
        if num_steps < 1:
            raise UserError(f"a sampler needs at least 1 step, got {num_steps}")
        return torch.linspace(1, 0, num_steps + 1, dtype=torch.float64)

    def times(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """Times at which to measure the bound, and dt/du, for uniform numbers u in [0, 1)."""
        return 1 - u, torch.ones_like(u)

    @abstractmethod
    def weight(self, t: Tensor) -> Tensor:
        """What the cross-entropy of x_0 is multiplied by in the bound, or in the loss that stands for it, of t's
        shape."""

    def draw(
        self, stream: Stream, shape: Sequence[int], *, step: int, num_steps: int = 1, num_draws: int = 1
    ) -> Tensor:
        """Uniform numbers, float64, one for each place: (num_steps, num_draws, B, *shape)."""
        return stream.fine_uniform(shape, step=step, num_steps=num_steps, num_draws=num_draws)

    def prior(self, noise: Tensor) -> Tensor:
        return pick(self.prior_law().to(noise.device), noise)

    def corrupt(self, x0: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        return pick(self.corrupt_law(x0, t), noise)

    def renoise(self, x: Tensor, s: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        return pick(self.renoise_law(x, s, t), noise)

    def bridge(self, x: Tensor, x0: Tensor, t: Tensor, s: Tensor, noise: Tensor) -> Tensor:
        """A draw of x_s, averaged over the denoiser's p(x_0 given x_t); x0 are its logits, (B, *, K)."""
        return pick(self.bridge_law(x, x0, t, s), noise)

    def prior_kl(self, x0: Tensor) -> Tensor:
        return self.prior_divergence(x0).flatten(1).sum(1)

    def prior_divergence(self, x0: Tensor) -> Tensor:
        """`prior_kl` place by place, (B, *)."""
        one = torch.ones((), dtype=torch.float64)
        return divergence(self.corrupt_law(x0, one), self.prior_law().to(x0.device))

    def step_divergence(self, prediction: Tensor, x0: Tensor, x: Tensor, t: Tensor, s: Tensor) -> Tensor:
        """KL(q(x_s given x_t, x_0) to p(x_s given x_t)) in nats, place by place, (B, *): what a step from t to s adds
        to the bound in discrete time; with s = 0 it is -log p(x_0 given x_t).

        Args:
            prediction: a denoiser's logits at (x, t), (B, *, K).
            x0, x: the data and what they were corrupted to, (B, *).
            t, s: () or (B,), s < t.
        """
        exact = self.bridge_law(x, certain(x0, self.num_symbols), t, s)
        return divergence(exact, self.bridge_law(x, prediction, t, s))

    def cross_entropy(self, prediction: Tensor, x0: Tensor) -> Tensor:
        """-log p(x_0 given x_t) in nats, place by place, (B, *), in the logits' precision."""
        flat = F.cross_entropy(prediction.flatten(0, -2), x0.flatten(), reduction="none")
        return flat.reshape(x0.shape)

    def loss(self, prediction: Tensor, x0: Tensor, t: Tensor) -> Tensor:
        """`weight` times the mean cross-entropy of a place, (B,)."""
        return self.weight(t) * self.cross_entropy(prediction, x0).flatten(1).mean(1)


def symbols(process: Process, purpose: str) -> Symbols:
    """The process, where it is on symbols.

    Raises:
        UserError: another process.
    """
    if not isinstance(process, Symbols):
        raise UserError(
            f"{purpose} needs symbols, and the model's process, {type(process).__name__}, is on numbers: "
            "use a model of tokens"
        )
    return process


def divergence(p: Tensor, q: Tensor) -> Tensor:
    """KL(p to q) of laws on the last axis, in nats; infinite where q lacks what p has."""
    # Where p has nothing q may have nothing either, and the slope p/q of p log q would be 0/0.
    return (torch.xlogy(p, p) - torch.xlogy(p, torch.where(p > 0, q, 1.0))).sum(-1)
