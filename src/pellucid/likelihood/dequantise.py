r"""From a density to the probability of data on a grid: log P(u) as a bound over noise within the bin.

For x on a grid of spacing w, q a law of noise d in (-w/2, w/2]^D that may depend on x,

    log P(x) >= E log (1/K) sum_k p(x + d_k) / q(d_k given x),   d_1 ... d_K from q                                (1)

and the right-hand side grows with K (Burda et al., "Importance Weighted Autoencoders", 2016, theorem 1). q is uniform
(Theis et al., "A Note on the Evaluation of Generative Models", 2016, section 3.1), or learned (Ho et al., "Flow++",
2019, section 3.1): d = w (sigmoid(m(x) + exp(s(x)) e) - 1/2) with e logistic, so that m = s = 0 is the uniform law
where the fit begins. The gradient of (1) needs d log p/dx alone, which at small noise is the denoiser's own score, so q
is fitted without integrating any path.

An estimate of log p with random probes inside the sum over k would be biased upwards. All k share an item's probes,
which then cancel in the weights to first order; with the exact trace there is nothing to cancel.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..denoisers import Denoiser
from ..foundations.errors import UserError
from ..foundations.rng import Stream, subseed
from .checks import check_count, gaussian_process
from .ode import LogProb


class Dequantisation(Protocol):
    """Noise within the bins."""

    def draw(self, x: Tensor, stream: Stream, step: int) -> tuple[Tensor, Tensor]:
        """Noise d, (B, *), and log q(d given x), (B,)."""
        ...


@dataclass(frozen=True)
class UniformNoise:
    """q uniform on bins of `bin_width`."""

    bin_width: float

    def draw(self, x: Tensor, stream: Stream, step: int) -> tuple[Tensor, Tensor]:
        """Noise d, (B, *), and log q, (B,)."""
        u = stream.uniform(x.shape[1:], step=step)[0, 0].to(x)
        log_q = torch.full((len(x),), -x[0].numel() * math.log(self.bin_width), dtype=torch.float64, device=x.device)
        return self.bin_width * (u - 0.5), log_q


class VariationalNoise(nn.Module):
    """q learned: a small convolutional network gives m and s of each value; it starts as the uniform law."""

    def __init__(self, channels: int, bin_width: float, width: int = 32) -> None:
        super().__init__()
        self.bin_width = bin_width
        self.body = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.SiLU(),
        )
        self.out = nn.Conv2d(width, 2 * channels, 3, padding=1)
        nn.init.zeros_(self.out.weight)
        assert self.out.bias is not None
        nn.init.zeros_(self.out.bias)

    def draw(self, x: Tensor, stream: Stream, step: int) -> tuple[Tensor, Tensor]:
        """Noise d, (B, *), and log q(d given x), (B,)."""
        e = (stream.uniform(x.shape[1:], step=step)[0, 0] + 2.0**-25).logit().to(x)
        centre, log_scale = self.out(self.body(x)).chunk(2, dim=1)
        place = centre + log_scale.exp() * e
        log_slope = F.logsigmoid(place) + F.logsigmoid(-place) + log_scale + math.log(self.bin_width)
        log_q = F.logsigmoid(e) + F.logsigmoid(-e) - log_slope
        return self.bin_width * (place.sigmoid() - 0.5), log_q.double().flatten(1).sum(1)


def dequantised(
    density: Callable[[Tensor], LogProb],
    x: Tensor,
    noise: Dequantisation,
    *,
    importance_samples: int = 1,
    seed: int = 0,
    ids: Tensor | None = None,
) -> LogProb:
    """The bound (1) on log P(x) in nats.

    Args:
        density: log p of items (B, *), for example `log_prob` with its options filled in.
        x: data on the grid, (B, *).
        noise: q.
        importance_samples: K.
        seed: of the noise; the k-th draw of an item is the same whatever K is.
        ids: the items' identities, (B,); 0 .. B - 1 if absent.
    """
    check_count("importance_samples", importance_samples, 1)
    ids = torch.arange(len(x), device=x.device) if ids is None else ids
    stream = Stream(subseed(seed, "dequantisation"), ids)
    parts, weights = [], []
    for k in range(importance_samples):
        with torch.no_grad():
            d, log_q = noise.draw(x, stream, k)
        parts.append(density(x + d))
        weights.append(parts[-1].value - log_q)
    logs = torch.stack(weights)
    value = logs.logsumexp(0) - math.log(importance_samples)
    # The draws share their probes, so their errors add up rather than average out.
    error = (logs.softmax(0) * torch.stack([part.standard_error for part in parts])).sum(0)
    return LogProb(value, error, sum(part.evaluations for part in parts), sum(part.products for part in parts))


def fit_noise(
    denoiser: Denoiser,
    x: Tensor,
    *,
    bin_width: float = 1 / 127.5,
    level: float | None = None,
    steps: int = 300,
    batch_size: int = 32,
    learning_rate: float = 3e-3,
    seed: int = 0,
    **cond: Any,
) -> VariationalNoise:
    """Fits q of pictures to a denoiser, by gradient steps on (1) with K = 1.

    Args:
        x: pictures on the grid, (N, C, H, W), that are not those to be judged.
        bin_width: w.
        level: sigma/alpha at which the score is asked for; half a bin if absent. Networks that saw little of so small
            noise are better asked at a few bins.
        steps, batch_size, learning_rate: of Adam, with a cosine decay.
        seed: of the pictures' order, the noise and the first weights.
        cond: conditions of the items, (N,) each, or the same for all.

    Raises:
        UserError: items that are no pictures.
    """
    if x.ndim != 4:
        raise UserError(f"noise is learned for pictures (N, C, H, W), got the shape {tuple(x.shape)}")
    process = gaussian_process(denoiser)
    level = bin_width / 2 if level is None else level
    t = process.schedule.time(torch.tensor(-2 * math.log(level), dtype=torch.float64))
    alpha = process.schedule.alpha(t).item()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(subseed(seed, "noise model") % (1 << 63))
        noise = VariationalNoise(x.shape[1], bin_width).to(x.device)
    optimizer = torch.optim.Adam(noise.parameters(), lr=learning_rate)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = learning_rate * 0.5 * (1 + math.cos(math.pi * step / steps))
        places = Stream.of(subseed(seed, "order"), range(batch_size)).uniform((), step=step)[0, 0]
        rows = (places * len(x)).long().to(x.device)
        given = {
            name: value[rows] if isinstance(value, Tensor) and len(value) == len(x) else value
            for name, value in cond.items()
        }
        batch = x[rows]
        d, log_q = noise.draw(batch, Stream(subseed(seed, "fitting"), rows), step)
        y = (batch + d).detach()
        with torch.no_grad():
            score = (denoiser(alpha * y, t, **given) - y) / level**2
        loss = (log_q - (score * d).flatten(1).sum(1)).mean() / batch[0].numel()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return noise.eval().requires_grad_(False)
