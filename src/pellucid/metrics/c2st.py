r"""Whether a classifier tells generated items from real ones.

Half of each sample trains it, the other half tests it. Where both laws are equal no classifier does better than 1/2 on
what it has not seen; any accuracy above is a difference that exists, though one at 1/2 proves nothing (Lopez-Paz and
Oquab, "Revisiting Classifier Two-Sample Tests", 2017, section 3). Given the trained classifier the test items are
independent, so its accuracy has Wilson's interval.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .base import Scored, order, share, two_samples, with_floor
from .distances import nearest

Fit = Callable[[Tensor, Tensor, int], Callable[[Tensor], Tensor]]


def knn(x: Tensor, labels: Tensor, seed: int, *, k: int = 5) -> Callable[[Tensor], Tensor]:
    """The majority among the k nearest items: from (N, D) and labels (N,) to a rule (B, D) -> (B,) of true and false.

    Equal items cannot be told apart, and the rule then has no right to the order they stand in: where copies fill more
    than the k places, those of the sample that comes first would win. k is odd, so there are no ties of votes.
    """
    shuffled = order(len(x), seed, "c2st/knn", x.device)
    x, labels = x[shuffled], labels[shuffled]
    return lambda items: labels[nearest(items, x, min(k, len(x)))[1]].double().mean(1) > 0.5


def logistic(x: Tensor, labels: Tensor, seed: int, *, penalty: float = 1e-3) -> Callable[[Tensor], Tensor]:
    """Logistic regression on each number and its square, so that it sees means and variances; L2 penalty."""
    mean, scale = x.mean(0), x.std(0) + 1e-12

    def inputs(items: Tensor) -> Tensor:
        z = ((items - mean) / scale).clamp(-8, 8)
        return torch.cat([z, z * z - 1], dim=1)

    z, target = torch.nn.functional.pad(inputs(x), (0, 1), value=1.0), labels.double()
    ridge = 2 * penalty * torch.eye(z.shape[1], dtype=torch.float64, device=x.device)
    ridge[-1, -1] = 1e-9  # the constant is free
    weight = torch.zeros_like(z[0])

    def loss(weight: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(z @ weight, target) + weight @ ridge @ weight / 2

    # Newton's steps, halved while they overshoot: the loss is convex.
    for _ in range(25):
        p = torch.sigmoid(z @ weight)
        gradient = z.T @ (p - target) / len(z) + ridge @ weight
        step = torch.linalg.solve((z.T * (p * (1 - p))) @ z / len(z) + ridge, gradient)
        while loss(weight - step) > loss(weight) and step.abs().max() > 1e-9:
            step = step / 2
        weight = weight - step
        if step.abs().max() < 1e-6:
            break
    return lambda items: inputs(items) @ weight[:-1] + weight[-1] > 0


def perceptron(
    x: Tensor, labels: Tensor, seed: int, *, width: int = 64, steps: int = 300
) -> Callable[[Tensor], Tensor]:
    """A network of one hidden layer, 300 steps of AdamW on batches of 128."""
    mean, scale = x.mean(0), x.std(0) + 1e-12
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed % (1 << 63))
        network = nn.Sequential(nn.Linear(x.shape[1], width), nn.SiLU(), nn.Linear(width, 1)).to(x.device)
    z, target = ((x - mean) / scale).float(), labels.float()
    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-3, weight_decay=1e-2)
    batches: list[Tensor] = []
    with torch.enable_grad():
        for step in range(steps):
            if not batches:
                batches = list(order(len(z), seed, f"c2st/{step}", x.device).split(128))
            chosen = batches.pop()
            loss = F.binary_cross_entropy_with_logits(network(z[chosen])[:, 0], target[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    def rule(items: Tensor) -> Tensor:
        with torch.no_grad():
            return network(((items - mean) / scale).float())[:, 0] > 0

    return rule


def held_out_hits(fit: Fit, generated: Tensor, real: Tensor, seed: int) -> Tensor:
    """Which of the held-out items the classifier gets right, as many generated as real ones: (2 K,) of true, false."""
    count = min(len(generated), len(real))
    half = count // 2
    x = generated[order(len(generated), seed, "c2st/x", generated.device)[:count]]
    y = real[order(len(real), seed, "c2st/y", real.device)[:count]]
    rule = fit(torch.cat([x[:half], y[:half]]), torch.arange(2 * half, device=x.device) < half, seed)
    return torch.cat([rule(x[half:]), ~rule(y[half:])])


def _scored(name: str, fit: Fit, generated: Tensor, real: Tensor, seed: int) -> Scored:
    x, y = two_samples(generated, real, least=8)
    words = "Wilson's, over held-out items, given the classifier"
    scored = share(name, held_out_hits(fit, x, y, seed), len(x), len(y), interval=words, ideal=0.5)
    scored = replace(scored, better="nearer")
    return with_floor(scored, y, lambda a, b: float(held_out_hits(fit, a, b, seed).double().mean()), seed, least=8)


def c2st_knn(generated: Tensor, real: Tensor, *, seed: int = 0) -> Scored:
    """Held-out accuracy of the five nearest neighbours."""
    return _scored("c2st_knn", knn, generated, real, seed)


def c2st_logistic(generated: Tensor, real: Tensor, *, seed: int = 0) -> Scored:
    """Held-out accuracy of logistic regression on the numbers and their squares."""
    return _scored("c2st_logistic", logistic, generated, real, seed)


def c2st_mlp(generated: Tensor, real: Tensor, *, seed: int = 0) -> Scored:
    """Held-out accuracy of a small network."""
    return _scored("c2st_mlp", perceptron, generated, real, seed)
