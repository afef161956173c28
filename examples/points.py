"""What the SDE examples share: a law of points in the plane, and how close samples come to it."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pellucid.foundations.rng import Stream
from pellucid.metrics.transport import sliced_wasserstein


def petals(num: int, seed: int) -> Tensor:
    """Draws from a mixture of five thin Gaussians around the origin, (num, 2), of about unit variance."""
    stream = Stream.of(seed, range(num))
    angle = 2 * math.pi / 5 * (stream.uniform((1,), step=1)[0, 0, :, 0] * 5).floor()
    along, across = (torch.tensor([[1.3, 0.0]]) + stream.normal((2,), step=0)[0, 0] * torch.tensor([0.35, 0.12])).T
    return torch.stack([along * angle.cos() - across * angle.sin(), along * angle.sin() + across * angle.cos()], 1)


def noise_floor(num: int, *, repeats: int = 8) -> float:
    """The mean sliced Wasserstein distance between two independent samples of the law itself."""
    pairs = range(1000, 1000 + 2 * repeats, 2)
    return sum(sliced_wasserstein(petals(num, i), petals(num, i + 1)) for i in pairs) / repeats


def distance(samples: Tensor, *, repeats: int = 8) -> float:
    """The mean sliced Wasserstein distance of samples, (num, 2), to independent samples of the law."""
    return sum(sliced_wasserstein(samples, petals(len(samples), 2000 + i)) for i in range(repeats)) / repeats


def report(title: str, samples: dict[str, Tensor]) -> dict[str, float]:
    """Prints how far each sample is from the law in units of the noise floor, and returns those ratios."""
    num = len(next(iter(samples.values())))
    floor = noise_floor(num)
    ratios = {name: distance(x) / floor for name, x in samples.items()}
    print(f"{title}: {num:,} points; two samples of the law itself are {floor:.4f} apart")
    for name, ratio in ratios.items():
        print(f"  {name:<36} {ratio:.2f} x that")
    return ratios
