r"""Simulated paths of any SDE, and the process of one that has no kernel.

Over a step of length h, with z ~ N(0, I) and G at the step's middle, Heun's method for noise that does not depend on
the state,

    x^ = x + h f(x, t) + sqrt(h) G z,    x' = x + h/2 (f(x, t) + f(x^, t + h)) + sqrt(h) G z                       (1)

has weak order 2 (Kloeden and Platen, "Numerical Solution of Stochastic Differential Equations", 1992, section 15.1).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from ..foundations.errors import UserError
from ..foundations.rng import Stream
from .base import Process
from .sde import SDE


def step(sde: SDE, x: Tensor, t: Tensor, later: Tensor, noise: Tensor) -> Tensor:
    """One step of (1) from t to `later`, (B, *)."""
    h = later - t
    kick = h.sqrt().to(x) * sde.spread(noise, (t + later) / 2)
    rate = sde.rate(x, t)
    return x + 0.5 * h.to(x) * (rate + sde.rate(x + h.to(x) * rate + kick, later)) + kick


def walk(sde: SDE, x0: Tensor, times: Tensor, stream: Stream) -> Iterator[Tensor]:
    """The states of simulated paths at all times, one after the other, the first being x0.

    Args:
        x0: (B, *), the state at times[0].
        times: (N + 1,), rising, in [0, 1].
        stream: path i's noise; step n uses the stream's step n.

    Raises:
        UserError: times that do not rise within [0, 1], or a path that leaves the finite numbers.
    """
    times = times.double().cpu()
    if times.ndim != 1 or len(times) < 2 or bool((times.diff() <= 0).any()) or times[0] < 0 or times[-1] > 1:
        raise UserError(f"paths need at least two rising times in [0, 1], got {times.tolist()[:5]} ...")
    x = x0
    yield x
    for n, (t, later) in enumerate(pairwise(times.unbind())):
        x = step(sde, x, t, later, stream.normal(x.shape[1:], step=n)[0, 0].to(x))
        yield x


def paths(sde: SDE, x0: Tensor, times: Tensor, stream: Stream) -> Tensor:
    """Simulated paths, (N + 1, B, *); arguments as for `walk`."""
    return torch.stack(list(walk(sde, x0, times, stream)))


@dataclass(frozen=True)
class SimulatedSDE(Process):
    """The process of an SDE without a kernel: a path's moments stand in for it. See `simulate`.

    Attributes:
        sde: any SDE.
        times: (N + 1,), from 0 to 1, where the moments are known; between, they are interpolated linearly.
        means: (N + 1, D), of x_t over the data.
        covariances: (N + 1, D, D), of x_t over the data.
        excess: KL(end to the Gaussian of its moments) in nats per value; see `simulate`.
    """

    sde: SDE
    times: Tensor
    means: Tensor
    covariances: Tensor
    excess: float

    def moments(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Mean (*T, D) and lower Cholesky factor of the covariance (*T, D, D) of x_t, float64."""
        t = t.double().cpu()
        place = (torch.searchsorted(self.times, t.contiguous(), right=True) - 1).clamp(0, len(self.times) - 2)
        share = (t - self.times[place]) / (self.times[place + 1] - self.times[place])
        mean = torch.lerp(self.means[place], self.means[place + 1], share[..., None])
        covariance = torch.lerp(self.covariances[place], self.covariances[place + 1], share[..., None, None])
        return mean, torch.linalg.cholesky(covariance)

    def draw(
        self, stream: Stream, shape: Sequence[int], *, step: int, num_steps: int = 1, num_draws: int = 1
    ) -> Tensor:
        return stream.normal(shape, step=step, num_steps=num_steps, num_draws=num_draws)

    def prior(self, noise: Tensor) -> Tensor:
        """The Gaussian of the simulated end's mean and covariance."""
        mean, root = self.moments(torch.ones(()))
        return (mean + noise.flatten(1).double().cpu() @ root.T).to(noise).reshape(noise.shape)

    def corrupt(self, x0: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """Always refused: it takes a path, with noise for each of its steps."""
        raise UserError("an SDE that is not affine has no q(x_t given x_0): simulate it with `paths`")

    def bridge(self, x: Tensor, x0: Tensor, t: Tensor, s: Tensor, noise: Tensor) -> Tensor:
        """Always refused."""
        raise UserError(
            "an SDE that is not affine has no q(x_s given x_t, x_0): sample by reverse-em, reverse-heun or flow-heun"
        )

    def renoise(self, x: Tensor, s: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """One step of (1): the closer s and t, the more exact."""
        return step(self.sde, x, s.double().cpu(), t.double().cpu(), noise)

    def loss(self, prediction: Tensor, x0: Tensor, t: Tensor) -> Tensor:
        """Always refused: without a kernel it is the score that learns."""
        raise UserError("an SDE that is not affine trains by sliced_score_matching_loss on simulated paths")

    def prior_kl(self, x0: Tensor, *, num_paths: int = 512, seed: int = 0) -> Tensor:
        """From the Gaussian of the end's moments over `num_paths` paths of each item, (B,); biased up by about
        D (D + 3) / (4 num_paths) nats."""
        many = x0.repeat_interleave(num_paths, 0).double()
        *_, end = walk(self.sde, many, self.times, Stream.of(seed, range(len(many)), x0.device))
        items = end.reshape(len(x0), num_paths, -1).cpu()
        mean, root = self.moments(torch.ones(()))
        white = torch.linalg.solve_triangular(root, (items - mean).mT, upper=False)
        covariance = _covariance(white)
        away = white.mean(-1).square().sum(-1)
        return 0.5 * (away + covariance.diagonal(dim1=1, dim2=2).sum(1) - white.shape[1] - covariance.logdet())

    def prior_bits_per_dim(self, second_moment: float = 1.0) -> float:
        """What starting at the prior gives away for the data it was simulated on, whatever `second_moment`: its mean
        and covariance are the end's, so it is the end's `excess`."""
        return self.excess / math.log(2)


def simulate(sde: SDE, x0: Tensor, *, num_steps: int = 200, seed: int = 0) -> SimulatedSDE:
    r"""The process of any SDE on data x0, (N, *): its moments in time, and how Gaussian its end is.

    Over the whitened end, with skewness s and excess kurtosis k of each value,

        excess = mean over values of s^2/12 + k^2/48 - 1/N                                                         (2)

    is the leading part of KL(end to the Gaussian of its moments) (Hyvarinen et al., "Independent Component Analysis",
    2001, eq. 5.35), less its own mean under a Gaussian.
    """
    times = torch.linspace(0, 1, num_steps + 1, dtype=torch.float64)
    start = x0.double()
    means, covariances = [], []
    end = start
    for end in walk(sde, start, times, Stream.of(seed, range(len(start)), x0.device)):
        flat = end.flatten(1).cpu()
        means.append(flat.mean(0))
        covariances.append(flat.T.cov().reshape(flat.shape[1], flat.shape[1]))
    flat = end.flatten(1).cpu() - means[-1]
    root, failed = torch.linalg.cholesky_ex(torch.stack(covariances))
    if bool(failed.any()):
        raise UserError("the data, or a simulated path of them, lie in a subspace: leave out values that do not vary")
    white = torch.linalg.solve_triangular(root[-1], flat.T, upper=False)
    excess = (white**3).mean(1).square() / 12 + ((white**4).mean(1) - 3).square() / 48
    return SimulatedSDE(sde, times, torch.stack(means), torch.stack(covariances), float(excess.mean()) - 1 / len(start))


def _covariance(white: Tensor) -> Tensor:
    """Covariances of (B, D, M) over M, (B, D, D)."""
    centred = white - white.mean(-1, keepdim=True)
    return centred @ centred.mT / (white.shape[-1] - 1)
