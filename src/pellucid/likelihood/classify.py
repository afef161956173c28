r"""Which of several conditions fits an item best, by the errors that a denoiser makes under each.

For an exact denoiser the variational bound in continuous time is no bound but -log p itself, so under each condition y,
with rho = sigma/alpha the noise and x0hat the estimate from x_t = alpha (x_0 + rho z) under y,

    -log p(x_0 given y) = C + int E|x_0 - x0hat|^2 / rho^2 d log rho                                               (1)

where C does not depend on y. The integrand is the squared error of the noise, and every factor of noise counts alike.
By Bayes' rule, with S_y the integral and pi_y what was known of y before,

    p(y given x_0) = pi_y exp(-S_y) / sum over y' of pi_y' exp(-S_y').                                             (2)

S_y is a mean over levels of noise, one drawn in each of many equal parts of log rho, each with one z. All conditions
get the same levels and the same z: an error's own spread is large and shared, that of the differences, which alone
matter in (2), is small.

A trained network leaves (1) a bound, and at levels where it does not attend to the condition the differences are noise.
`noise_min` and `noise_max` narrow the integral to the levels that decide.

Source: Li et al., "Your Diffusion Model is Secretly a Zero-Shot Classifier", 2023, section 3, whose levels are those of
a chain of steps, where (1) has them even in log rho.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ..denoisers import Denoiser
from ..foundations.errors import UserError
from ..foundations.rng import Stream, subseed
from .checks import check_count, check_data, gaussian_process, noise_range


@dataclass(frozen=True)
class Classified:
    """How well each of M conditions fits each of B items.

    Attributes:
        terms: (B, M, levels) float64: what each level alone says S_y is, in nats; the levels rise in noise.
        log_prior: (M,) or (B, M): log pi_y.
    """

    terms: Tensor
    log_prior: Tensor

    @property
    def log_posterior(self) -> Tensor:
        """log p(y given x_0) of equation (2), (B, M)."""
        return (self.log_prior - self.terms.mean(2)).log_softmax(1)

    @property
    def best(self) -> Tensor:
        """The index of the likeliest condition, (B,) int64."""
        return self.log_posterior.argmax(1)

    @property
    def standard_error(self) -> Tensor:
        """Of S_y less that of the likeliest condition, (B, M): the Monte Carlo error of the log-odds.

        The squared difference of neighbouring levels bounds the sum of their variances from above.
        """
        best = self.best[:, None, None].expand(-1, 1, self.terms.shape[2])
        apart = self.terms - self.terms.gather(1, best)
        pairs = apart.unfold(2, 2, 2)
        return (pairs[..., 0] - pairs[..., 1]).square().sum(2).sqrt() / apart.shape[2]


def classify(
    denoiser: Denoiser,
    x0: Tensor,
    candidates: Mapping[str, Tensor],
    *,
    levels: int = 32,
    noise_min: float = 0.02,
    noise_max: float | None = None,
    prior: Tensor | None = None,
    batch_size: int = 256,
    seed: int = 0,
    ids: Tensor | None = None,
    force: bool = False,
) -> Classified:
    """Judges by which of M conditions each item was most likely made: equations (1) and (2).

    Args:
        denoiser: of a Gaussian process, with conditions.
        x0: data, (B, *), in the denoiser's scale.
        candidates: the conditions by name, (B, M, *): M values for each item. A text that the network encodes is best
            given encoded, or every level encodes it anew.
        levels: of noise, even; the calls of the denoiser are `levels` for each item and condition.
        noise_min, noise_max: the least and largest sigma/alpha; the largest is the schedule's if absent.
        prior: positive weights of the conditions, (M,) or (B, M); all alike if absent.
        batch_size: pairs of item and condition in one call.
        seed: of the levels and the noise.
        ids: the items' identities, (B,); 0 .. B - 1 if absent.
        force: go on where the data look unscaled or the process does not end in its prior.

    Raises:
        UserError: a process without a density, candidates that do not fit the items, or numbers out of range.
    """
    process = gaussian_process(denoiser)
    ids = check_data(process, x0, ids, force=force)
    check_count("levels", levels, 2)
    levels += levels % 2
    count = _num_candidates(candidates, len(x0))
    low, high = noise_range(process, noise_min)
    if noise_max is not None:
        if not noise_min < noise_max <= high:
            raise UserError(f"noise_max must lie between noise_min = {noise_min} and {high:.4g}, got {noise_max}")
        high = noise_max
    span = math.log(high / low)
    terms = torch.empty(len(x0), count, levels, dtype=torch.float64, device=x0.device)
    step = max(1, batch_size // count)
    with torch.no_grad():
        for start in range(0, len(x0), step):
            x = x0[start : start + step]
            stream = Stream(subseed(seed, "classify"), ids[start : start + step])
            given = {name: value[start : start + step].flatten(0, 1) for name, value in candidates.items()}
            for k in range(levels):
                u = (k + stream.uniform((), step=k)[0, 0].double()) / levels
                noise = stream.normal(x.shape[1:], step=k, draw=1)[0, 0]
                t = process.schedule.time(-2 * (math.log(low) + span * u))
                alpha, sigma = process.scales(t, x)
                # The scales in float64, the state in the data's type, as in the bound.
                seen = (alpha * x + sigma * noise).to(x.dtype).repeat_interleave(count, 0)
                guess = denoiser(seen, t.to(x.dtype).repeat_interleave(count), **given)
                error = (guess.unflatten(0, (-1, count)) - x[:, None]).double() * (alpha / sigma)[:, None]
                terms[start : start + step, :, k] = span * error.square().flatten(2).sum(2)
    return Classified(terms, _log_prior(prior, len(x0), count).to(terms))


def _num_candidates(candidates: Mapping[str, Tensor], num: int) -> int:
    shapes = {name: tuple(value.shape[:2]) for name, value in candidates.items()}
    counts = {shape[1] for shape in shapes.values() if len(shape) == 2 and shape[0] == num}
    if len(counts) != 1 or any(len(shape) != 2 or shape[0] != num for shape in shapes.values()):
        raise UserError(f"candidates have the shape ({num}, M, ...) with one M for all, got {shapes or 'none'}")
    return counts.pop()


def _log_prior(prior: Tensor | None, num: int, count: int) -> Tensor:
    if prior is None:
        return torch.zeros(count)
    if prior.shape not in ((count,), (num, count)) or not bool((prior > 0).all()):
        raise UserError(f"the prior is ({count},) or ({num}, {count}) positive weights, got {tuple(prior.shape)}")
    return prior.double().log()
