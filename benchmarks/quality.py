"""How far made digits are from real ones: two distances between features of a classifier trained on the real digits.

    KID      the unbiased estimate of MMD^2 with the kernel k(a, b) = (a . b / d + 1)^3           (1)
    Frechet  |m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2))                                    (2)

(1): Binkowski et al., "Demystifying MMD GANs", 2018, section 4; unbiased at any number of items, so the main figure.
(2): Heusel et al., "GANs Trained by a Two Time-Scale Update Rule", 2017, section 3; biased upwards by a finite number
of items, so it is comparable only at equal numbers, and needs more items than features.

Features are scaled by one number, to a root mean square of 1 on the training digits. They are not Inception's: neither
figure is comparable with a published KID or FID.

Run by itself it prints the floor: real training digits against held-out ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import ours
import torch
from torch import Tensor

from pellucid.metrics.classifier import Classifier, train_classifier


def kid(a: Tensor, b: Tensor) -> float:
    """Equation (1) of features (N, d) and (M, d)."""
    a, b = a.double(), b.double()

    def kernel(x: Tensor, y: Tensor) -> Tensor:
        return (x @ y.T / x.shape[1] + 1) ** 3

    def within(x: Tensor) -> Tensor:
        values = kernel(x, x)
        return (values.sum() - values.diagonal().sum()) / (len(x) * (len(x) - 1))

    return (within(a) + within(b) - 2 * kernel(a, b).mean()).item()


def kid_error(a: Tensor, b: Tensor, parts: int = 10) -> float:
    """Standard error of `kid` by the jackknife over so many parts of both sides. Where both laws are equal it is up to
    1.4 times too large (the estimate is then quadratic in the samples' deviations)."""
    left_out = list(zip(a.chunk(parts), b.chunk(parts), strict=True))
    values = torch.tensor(
        [kid(*(torch.cat(side[:i] + side[i + 1 :]) for side in zip(*left_out, strict=True))) for i in range(parts)]
    )
    return ((parts - 1) / parts * (values - values.mean()).square().sum()).sqrt().item()


def frechet(a: Tensor, b: Tensor) -> float:
    """Equation (2) of features (N, d) and (M, d), with N and M above d."""
    if min(len(a), len(b)) <= a.shape[1]:
        return float("nan")
    a, b = a.double(), b.double()
    c_a, c_b = torch.cov(a.T), torch.cov(b.T)
    values, vectors = torch.linalg.eigh(c_a)
    root = (vectors * values.clamp_min(0).sqrt()) @ vectors.T
    # The trace of (C_a C_b)^(1/2) is that of the symmetric (C_a^(1/2) C_b C_a^(1/2))^(1/2).
    cross = torch.linalg.eigvalsh(root @ c_b @ root).clamp_min(0).sqrt().sum()
    return ((a.mean(0) - b.mean(0)).square().sum() + c_a.trace() + c_b.trace() - 2 * cross).item()


def shuffled(x: Tensor) -> Tensor:
    """The items in a fixed random order: data and samples come sorted by class, and parts of them must be alike."""
    return x[torch.randperm(len(x), generator=torch.Generator().manual_seed(0))]


@dataclass(frozen=True)
class Quality:
    """Distances to the held-out digits."""

    kid: float
    error: float
    frechet: float

    def cells(self) -> list[str]:
        """Of a table, KID in thousandths."""
        return [f"{1e3 * self.kid:.2f} ± {1e3 * self.error:.2f}", f"{self.frechet:.2f}"]


class Judge:
    """Features trained on the training digits, and the held-out digits to compare with.

    Args:
        quick: one short pass of training: enough to run, not to judge.
    """

    def __init__(self, *, quick: bool = False) -> None:
        train, held = ours.real_digits()
        self.real, labels = ours.tensors(train)
        x, truth = ours.tensors(held)
        count = 256 if quick else len(self.real)
        self.classifier: Classifier = train_classifier(self.real[:count], labels[:count], 10, epochs=1 if quick else 12)
        self._scale = 1.0
        self._scale = 1 / self.features(self.real).square().mean().sqrt().item()
        self._held = shuffled(self.features(x))
        with torch.no_grad():
            seen = torch.cat([self.classifier(part).argmax(1) for part in x.split(250)])
        self.accuracy = (seen == truth).double().mean().item()

    @torch.no_grad()
    def features(self, x: Tensor) -> Tensor:
        """(N, 1, 28, 28) in [-1, 1], rounded to the 256 grey levels of a picture -> (N, 256)."""
        levels = (x.clamp(-1, 1) * 127.5 + 127.5).round() / 127.5 - 1
        raw = torch.cat([self.classifier.features(part) for part in levels.split(250)])
        return self._scale * raw

    def __call__(self, x: Tensor) -> Quality:
        """The quality of items (N, 1, 28, 28)."""
        made = shuffled(self.features(x))
        return Quality(kid(made, self._held), kid_error(made, self._held), frechet(made, self._held))

    def floor(self, num: int) -> Quality:
        """The same number of real training digits."""
        return self(shuffled(self.real)[:num])


if __name__ == "__main__":
    judge = Judge()
    print(f"classifier {100 * judge.accuracy:.1f} % right; floor (KID x 1000, Frechet):", *judge.floor(1000).cells())
