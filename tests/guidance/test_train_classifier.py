"""The classifier of noisy data: it learns the exact posterior of a mixture, and guides to its classes."""

from __future__ import annotations

import pytest
import torch
from guided_laws import plane, posterior

from pellucid.foundations.errors import UserError
from pellucid.foundations.rng import Stream
from pellucid.guidance import ClassifierGuided, NoisyClassifier, train_noisy_classifier
from pellucid.processes.gaussian import Gaussian
from pellucid.processes.schedules import EDM

PROCESS = Gaussian(EDM())
LAW = plane(PROCESS)


def draw(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Items of the law and the classes of their components."""
    stream = Stream.of(seed, range(count))
    pick = stream.uniform((), step=1)[0, 0]
    part = torch.searchsorted(LAW.weights.cumsum(0).float(), pick, right=True).clamp_max(3)
    noise = stream.normal((2,), step=0)[0, 0]
    return (LAW.means[part] + LAW.variances[part].sqrt()[:, None] * noise).float(), LAW.labels[part]


def test_learns_the_posterior_and_guides_by_it() -> None:
    items, labels = draw(4000, 0)
    network = train_noisy_classifier(PROCESS, items, labels, 3, steps=400, seed=1)
    clean, truth = draw(2000, 5)
    for noise in (0.05, 0.3, 1.0, 5.0, 80.0):
        t = PROCESS.schedule.time(-2 * torch.tensor(noise).double().log()).float()
        x = PROCESS.corrupt(clean, t, Stream.of(6, range(2000)).normal((2,), step=0)[0, 0])
        exact = posterior(LAW, x.double(), t.double(), label=truth)
        learned = network(x, t, label=truth).double()
        # The mean of log p - log q over draws of (x, y) is the divergence of the posteriors. Three classes cost up to
        # 1.09 nats; some thousand items tell them to about (parameters that matter)/(2 items), a hundredth.
        assert abs((exact - learned).mean()) < 0.03, (noise, (exact - learned).mean())
        if 0.1 < noise < 10:
            # The gradient is learned less well than the value: of what the label tells of x_0 at least half arrives
            # (0.65, 0.73 and 0.75 were measured). Above, the label hardly shows in x_t, so the loss hardly asks for it.
            got = ClassifierGuided(LAW, 1.0, {"label": -1}, classifier=network)(x, t, label=truth)
            c, u = LAW(x, t, label=truth), LAW(x, t)
            assert (got - c).square().mean().sqrt() < 0.5 * (u - c).square().mean().sqrt(), noise


def test_is_a_function_of_its_arguments() -> None:
    items, labels = draw(200, 0)
    before = torch.get_rng_state()
    one, two, other = (train_noisy_classifier(PROCESS, items, labels, 3, steps=3, width=8, seed=s) for s in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(a, b)
    assert any(not torch.equal(a, c) for a, c in zip(one.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("shape", [(5,), (2, 13), (1, 9, 10)])
def test_probabilities_add_to_one_and_none_is_not_guided(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    network = NoisyClassifier(PROCESS, shape, 3, width=16)
    x, t = 5 * torch.randn(4, *shape), torch.tensor([0.1, 0.4, 0.7, 1.0])
    total = sum(network(x, t, label=torch.full((4,), k)).exp() for k in range(3))
    torch.testing.assert_close(total, torch.ones(4), rtol=1e-6, atol=0)  # round-off of float32
    assert torch.equal(network(x, t, label=torch.full((4,), 3)), torch.zeros(4))
    one = torch.cat([network(x[i : i + 1], t[i], label=torch.tensor([1])) for i in range(4)])
    torch.testing.assert_close(network(x, t, label=torch.ones(4).long()), one, rtol=1e-5, atol=1e-5)


def test_mistakes_are_told() -> None:
    items, labels = draw(20, 0)
    with pytest.raises(UserError, match=r"give .* items and .* whole numbers"):
        train_noisy_classifier(PROCESS, items, labels[:5], 3)
    with pytest.raises(UserError, match="labels run from 0 to 1, got 0 to 2"):
        train_noisy_classifier(PROCESS, items, torch.arange(20) % 3, 2)
    with pytest.raises(UserError, match=r"there are none of \[3\]"):
        train_noisy_classifier(PROCESS, items, torch.arange(20) % 3, 4)
    network = NoisyClassifier(PROCESS, (2,), 3, width=8)
    with pytest.raises(UserError, match="knows the labels 0 to 2, and 3 for none"):
        network(items, torch.tensor(0.5), label=torch.full((20,), 4))
