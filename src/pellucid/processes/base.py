"""What a forward process is: how data turns to noise. It never knows a network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import Tensor

from ..foundations.rng import Stream


class Process(ABC):
    """A Markov chain, in continuous time t from 0 (data) to 1 (noise), that anything downstream may ask.

    Data x has shape (B, *), time has shape () or (B,). `noise` tensors hold the chain's own kind of randomness (normal
    numbers for a Gaussian process, uniform ones for a categorical process), so all methods are deterministic.
    """

    @abstractmethod
    def draw(
        self, stream: Stream, shape: Sequence[int], *, step: int, num_steps: int = 1, num_draws: int = 1
    ) -> Tensor:
        """The randomness of some steps, shape (num_steps, num_draws, B, *shape); `shape` is one item's."""

    @abstractmethod
    def prior(self, noise: Tensor) -> Tensor:
        """The law at t = 1 as a function of noise, both of shape (B, *)."""

    @abstractmethod
    def corrupt(self, x0: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """A draw from q(x_t given x_0)."""

    @abstractmethod
    def bridge(self, x: Tensor, x0: Tensor, t: Tensor, s: Tensor, noise: Tensor) -> Tensor:
        """A draw from q(x_s given x_t, x_0), s < t, where x0 is what a denoiser returns."""

    @abstractmethod
    def renoise(self, x: Tensor, s: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """A draw from q(x_t given x_s), s < t."""

    @abstractmethod
    def loss(self, prediction: Tensor, x0: Tensor, t: Tensor) -> Tensor:
        """How far what a denoiser returned is from the data, shape (B,)."""

    @abstractmethod
    def prior_kl(self, x0: Tensor) -> Tensor:
        """KL(q(x_1 given x_0) to the prior) in nats, shape (B,): what a sampler that starts at the prior gives away."""
