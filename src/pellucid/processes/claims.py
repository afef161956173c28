r"""What a lecture claims of forward chains, as numbers that a check can bound.

A chain x_i = sqrt(1 - beta_i) x_{i-1} + sqrt(beta_i) z of numbers, on data of variance v, has jointly normal states, so
each claim is about one covariance matrix, computed here from the recursion alone:

    Cov(x_0) = v,  Cov(x_j, x_i) = sqrt(1 - beta_i) Cov(x_j, x_{i-1}) for j < i,
    Cov(x_i, x_i) = (1 - beta_i) Cov(x_{i-1}, x_{i-1}) + beta_i                                                    (1)

Its inverse is tridiagonal if and only if the chain is Markov, in both directions alike.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .base import Process
from .schedules import Betas, Schedule


def chain_covariance(betas: Tensor, variance: float = 1.0) -> Tensor:
    """Equation (1): the covariance of (x_0, ..., x_T) for betas of shape (T,), (T + 1, T + 1), float64."""
    found = torch.zeros(len(betas) + 1, len(betas) + 1, dtype=torch.float64)
    found[0, 0] = variance
    for i, beta in enumerate(betas.double(), start=1):
        found[i, :i] = (1 - beta).sqrt() * found[i - 1, :i]
        found[:i, i] = found[i, :i]
        found[i, i] = (1 - beta) * found[i - 1, i - 1] + beta
    return found


def markov_gap(betas: Tensor, variance: float = 1.0) -> float:
    """Claims 1 and 3: how far the chain is from Markov, forwards and backwards.

    The largest |P_ij| / sqrt(P_ii P_jj) over |i - j| > 1 of the precision matrix P, the partial correlation of states
    that are not neighbours given all others: zero up to round-off.
    """
    precision = torch.linalg.inv(chain_covariance(betas, variance))
    scale = precision.diagonal().sqrt()
    partial = precision / (scale[:, None] * scale)
    index = torch.arange(len(partial))
    return float(partial[(index[:, None] - index).abs() > 1].abs().max())


def composition_gap(process: Process, x0: Tensor, s: Tensor, t: Tensor, *, noise: Tensor) -> float:
    """Claim 1 on a Gaussian process: q(x_t | x_s) after q(x_s | x_0) is q(x_t | x_0).

    Both are affine in their noise, so means and covariances are read off noise-free and unit inputs. Returns the
    largest difference of a mean or a covariance entry.

    Args:
        x0: one item, (1, *), float64.
        s, t: times of shape (), 0 < s < t.
        noise: the unit noises, (D, *), D the number of values of an item: an identity matrix, reshaped.
    """
    many, zero = x0.expand(len(noise), *x0.shape[1:]), torch.zeros_like(noise)
    middle = process.corrupt(x0, s, zero[:1])
    direct, through = process.corrupt(x0, t, zero[:1]), process.renoise(middle, s, t, zero[:1])

    def spread(moved: Tensor, centre: Tensor) -> Tensor:
        root = (moved - centre).flatten(1)
        return root.T @ root

    first = spread(process.renoise(process.corrupt(many, s, noise), s, t, zero), through)
    second = spread(process.renoise(middle.expand_as(many), s, t, noise), through)
    whole = spread(process.corrupt(many, t, noise), direct)
    return float(torch.maximum((through - direct).abs().max(), (first + second - whole).abs().max()))


def reverse_gap(betas: Tensor, variance: float = 1.0) -> Tensor:
    """Claim 3: the reverse-diffusion predictor against the exact backward transition, for each step, (T, 2).

    The predictor x_{i-1} = (2 - sqrt(1 - beta_i)) x_i + beta_i grad log p_i(x_i) + sqrt(beta_i) z (Song et al.,
    "Score-Based Generative Modeling through Stochastic Differential Equations", 2021, appendix E, equation 47) is
    affine for normal data. Returns the differences of its gain and of its variance from those of p(x_{i-1} | x_i),
    both over beta_i, the size of the step itself: they vanish like beta_i where the law of x_i is no thinner than
    the step.
    """
    betas = betas.double()
    covariance = chain_covariance(betas, variance)
    before, now = covariance.diagonal()[:-1], covariance.diagonal()[1:]
    cross = covariance.diagonal(1)
    gain = 2 - (1 - betas).sqrt() - betas / now
    return torch.stack([gain - cross / now, betas - (before - cross.square() / now)], 1) / betas[:, None]


def chain_of_rate(rate: Callable[[Tensor], Tensor], num_steps: int) -> Betas:
    """The chain of T steps of the SDE with f = -rate(t)/2 x and g = sqrt(rate(t)): beta_i = rate(i/T)/T."""
    t = torch.arange(1, num_steps + 1, dtype=torch.float64) / num_steps
    return Betas(tuple((rate(t) / num_steps).tolist()))


def discretisation_gap(rate: Callable[[Tensor], Tensor], schedule: Schedule, num_steps: int) -> float:
    """How far the chain of T steps is from its SDE: the largest difference of alpha or sigma^2 on the chain's grid.

    With the chain's f = (sqrt(1 - beta) - 1) x and g = sqrt(beta) it vanishes like 1/T.
    """
    t = torch.arange(1, num_steps + 1, dtype=torch.float64) / num_steps
    chain = chain_of_rate(rate, num_steps)
    alpha = torch.tensor([1 - beta for beta in chain.betas], dtype=torch.float64).cumprod(0).sqrt()
    away = torch.maximum((alpha - schedule.alpha(t)).abs(), (1 - alpha.square() - schedule.sigma(t).square()).abs())
    return float(away.max())
