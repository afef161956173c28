"""What each kind of guidance computes, by hand on small tensors and where its law is known."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from guided_laws import F64, Counting, Product, plane
from torch import Tensor

from pellucid.foundations.errors import UserError
from pellucid.foundations.rng import Stream
from pellucid.guidance import AutoGuided, ClassifierGuided, Composed, Guided, Projected, Rescaled
from pellucid.guidance.branches import together
from pellucid.metrics.transport import sliced_wasserstein
from pellucid.oracles import MixtureOracle, gaussian_oracle
from pellucid.processes.gaussian import Gaussian
from pellucid.processes.schedules import EDM, VP
from pellucid.processes.times import GRIDS
from pellucid.solvers import SOLVERS, sample

PROCESS = Gaussian(VP())
LAW = plane(PROCESS)
NULL = {"label": -1}
T = torch.tensor(0.4, dtype=F64)
C = torch.tensor([[3.0, 4.0]], dtype=F64)
U = torch.tensor([[3.0, 2.0]], dtype=F64)


def combine(kind: Any, scale: float, c: Tensor = C, u: Tensor = U, **options: Any) -> Tensor:
    return kind(LAW, scale, NULL, **options).combine(c, u)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=F64, generator=torch.Generator().manual_seed(seed))


def test_rescaled_by_hand() -> None:
    # g = (3, 2) + 3 (0, 2) = (3, 8); std(c) = 1/2, std(g) = 5/2, so the ratio is 1/5.
    g = torch.tensor([[3.0, 8.0]], dtype=F64)
    for phi, factor in ((0.0, 1.0), (1.0, 0.2), (0.7, 0.3 + 0.7 * 0.2)):
        torch.testing.assert_close(combine(Rescaled, 3.0, phi=phi), factor * g, rtol=1e-14, atol=0)
    # An item without contrast stays as it is.
    flat = torch.ones(1, 2, dtype=F64)
    assert torch.equal(combine(Rescaled, 3.0, flat, 0 * flat, phi=1.0), 3 * flat)


def test_rescaled_keeps_the_spread_of_each_item() -> None:
    c, u = random(4, 3, 5, 5), random(4, 3, 5, 5, seed=1)
    got = combine(Rescaled, 7.0, c, u, phi=1.0)
    torch.testing.assert_close(got.flatten(1).std(1), c.flatten(1).std(1), rtol=1e-13, atol=0)
    each = torch.cat([combine(Rescaled, 7.0, c[i : i + 1], u[i : i + 1], phi=1.0) for i in range(4)])
    torch.testing.assert_close(got, each, rtol=1e-13, atol=1e-14)
    torch.testing.assert_close(combine(Rescaled, 7.0, c, u, phi=0.0), combine(Guided, 7.0, c, u), rtol=0, atol=0)


def test_projected_by_hand() -> None:
    # d = (0, 2); along c/|c| = (0.6, 0.8) it is 1.6 (0.6, 0.8) = (0.96, 1.28), across it (-0.96, 0.72).
    along, across = torch.tensor([[0.96, 1.28]], dtype=F64), torch.tensor([[-0.96, 0.72]], dtype=F64)
    for eta in (-1.0, 0.0, 0.5, 1.0):
        got = combine(Projected, 3.0, eta=eta)
        torch.testing.assert_close(got, C + 2 * (across + eta * along), rtol=1e-14, atol=1e-15)
        # |d| = 2, cut to a half; a threshold above it does nothing.
        cut = combine(Projected, 3.0, eta=eta, norm_threshold=1.0)
        torch.testing.assert_close(cut, C + across + eta * along, rtol=1e-14, atol=1e-15)
        torch.testing.assert_close(combine(Projected, 3.0, eta=eta, norm_threshold=2.5), got, rtol=1e-14, atol=0)
    # No direction to project on, and nothing to add.
    assert torch.equal(combine(Projected, 3.0, 0 * C, U), -2 * U)
    assert torch.equal(combine(Projected, 3.0, C, C, norm_threshold=1.0), C)


def test_projected_invariances() -> None:
    c, u = random(4, 3, 5, 5), random(4, 3, 5, 5, seed=1)
    plain = combine(Guided, 5.0, c, u)
    torch.testing.assert_close(combine(Projected, 5.0, c, u, eta=1.0), plain, rtol=1e-12, atol=1e-12)
    got = combine(Projected, 5.0, c, u)
    # What is added is orthogonal to c, item by item, so no item shrinks.
    torch.testing.assert_close(((got - c) * c).flatten(1).sum(1), torch.zeros(4, dtype=F64), rtol=0, atol=1e-12)
    assert (got.flatten(1).norm(dim=1) > c.flatten(1).norm(dim=1)).all()
    # A part of the difference that lies along c does not matter; with the threshold the addition is no longer than it.
    torch.testing.assert_close(combine(Projected, 5.0, c, u - 0.3 * c), got, rtol=1e-12, atol=1e-12)
    cut = combine(Projected, 5.0, c, u, norm_threshold=2.0) - c
    assert (cut.flatten(1).norm(dim=1) <= 4 * 2.0 + 1e-12).all()


def test_composition_is_exact_for_independent_conditions() -> None:
    """Each condition speaks of one half of the item, and the halves are independent: at w = 1 the composed estimate is
    that of the law with both conditions, at every noise."""
    law = Counting(Product([LAW, plane(PROCESS)]))
    x, none = random(6, 4), torch.full((6,), -1)
    first, second = torch.tensor([0, 1, 2, 0, 1, 2]), torch.tensor([2, 2, 1, 1, 0, 0])
    both = Composed(law, 1.0, {"first": -1, "second": none}, parts=({"first": first}, {"second": second}))
    for t in (T, torch.linspace(0.1, 1.0, 6, dtype=F64)):
        law.sizes.clear()
        got = both(x, t)
        assert law.sizes == [18]
        torch.testing.assert_close(got, law(x, t, first=first, second=second), rtol=1e-12, atol=1e-13)
    # Where halves are independent, each is guided by its own weight.
    weighted = Composed(
        law, 2.0, {"first": -1, "second": -1}, parts=({"first": first}, {"second": second}), weights=(1.0, -0.5)
    )
    halves = [
        Guided(LAW, 2.0, NULL)(x[:, :2], T, label=first),
        Guided(LAW, -1.0, NULL)(x[:, 2:], T, label=second),
    ]
    torch.testing.assert_close(weighted(x, T), torch.cat(halves, 1), rtol=1e-12, atol=1e-12)


def test_composition_samples_the_joint_condition() -> None:
    """At the noise floor: the distance of two exact samples, up to four standard deviations of such distances."""
    count = 1500
    law = Product([plane(Gaussian(EDM())), plane(Gaussian(EDM()))])
    composed = Composed(law, 1.0, {"first": -1, "second": -1}, parts=({"first": 1}, {"second": 0}))

    def exact(seed: int) -> Tensor:
        out = []
        for half, label in enumerate((1, 0)):
            own = LAW.labels == label
            one = MixtureOracle(PROCESS, LAW.means[own], LAW.variances[own], LAW.weights[own])
            stream = Stream.of(100 * half + seed, range(count))
            out.append(
                one.sample(stream.normal((2,), step=0)[0, 0].double(), stream.uniform((), step=1)[0, 0].double())
            )
        return torch.cat(out, 1)

    x = law.process.prior(Stream.of(7, range(count)).normal((4,), step=0)[0, 0].double())
    got = sample(composed, x, GRIDS["karras"](law.process.schedule, 24), SOLVERS["heun"]())
    floor = torch.tensor([sliced_wasserstein(exact(2 * i), exact(2 * i + 1), num_projections=64) for i in range(8)])
    found = sliced_wasserstein(got, exact(20), num_projections=64)
    assert found < floor.mean() + 4 * floor.std(), (found, floor)


def test_autoguidance_leaves_what_a_blurred_law_adds() -> None:
    """Strong N(0, v) and weak N(0, r v): the guided denoiser is linear, and its samples have the variance
    v^w (r v)^(1 - w): for w > 1 narrower than the strong law, by the factor r^(1 - w)."""
    process = Gaussian(EDM())
    strong, weak = (gaussian_oracle(process, torch.zeros(1, dtype=F64), torch.tensor([v], dtype=F64)) for v in (0.5, 1))
    guided = AutoGuided(strong, 2.0, weaker=weak)
    x = torch.tensor([[1.0]], dtype=F64)
    end = sample(guided, x, GRIDS["karras"](process.schedule, 400), SOLVERS["heun"]())
    # The start's noise is 80, so the limit of infinite noise is off by 1/80^2 = 2e-4; the solver by less.
    assert abs((80 * end.item()) ** 2 / 0.25 - 1) < 1e-3


def test_classifier_adds_its_gradient() -> None:
    """log p = a.x: the estimate moves by w sigma^2/alpha a. The denoiser does not see what the classifier reads."""
    a = torch.tensor([0.3, -2.0], dtype=F64)
    counting = Counting(LAW)
    guided = ClassifierGuided(counting, 3.0, classifier=lambda x, t, *, word: x @ a * word, reads=("word",))
    x, word = random(4, 2), torch.tensor([1.0, 2.0, 0.0, -1.0], dtype=F64)
    alpha, sigma = PROCESS.scales(T, x)
    expected = LAW(x, T, label=torch.tensor([0, 1, 2, 0])) + 3 * sigma**2 / alpha * word[:, None] * a
    with torch.no_grad():
        got = guided(x, T, word=word, label=torch.tensor([0, 1, 2, 0]))
    torch.testing.assert_close(got, expected, rtol=1e-13, atol=1e-13)
    with pytest.raises(UserError, match="the classifier reads word; the call gave label"):
        guided(x, T, label=torch.tensor([0, 1, 2, 0]))
    with pytest.raises(UserError, match="one log-probability for each item"):
        ClassifierGuided(LAW, 2.0, classifier=lambda x, t, *, label: x)(x, T, label=torch.zeros(4).long())


def test_conditions_are_joined_in_type_and_shape() -> None:
    seen: dict[str, Any] = {}

    class Listening:
        process = PROCESS

        def __call__(self, x: Tensor, t: Tensor, **cond: Any) -> Tensor:
            seen.update(cond)
            return 0 * x

    x = random(3, 2)
    words = random(3, 5, 4).float()
    labels = torch.tensor([4, 5, 6], dtype=torch.int32)
    guided = Guided(Listening(), 2.0, {"words": torch.zeros(5, 4, dtype=F64), "label": 7})
    guided(x, T, words=words, label=labels, size=torch.tensor([1.0]), absent=None)
    assert seen["words"].dtype == torch.float32
    assert torch.equal(seen["words"], torch.cat([words, torch.zeros(3, 5, 4)]))
    assert seen["label"].dtype == torch.int32
    assert seen["label"].tolist() == [4, 5, 6, 7, 7, 7]
    assert seen["size"].tolist() == [1.0] * 6
    assert seen["absent"] is None
    guided(x.float().to("meta"), T, words=words.to("meta"), label=labels.to("meta"))
    assert seen["words"].device.type == seen["label"].device.type == "meta"


def test_bad_conditions_are_told() -> None:
    x, label = random(3, 2), torch.tensor([0, 1, 2])
    with pytest.raises(UserError, match="the call gave label, and `negative` names nothing"):
        Guided(LAW, 2.0)(x, T, label=label)
    with pytest.raises(UserError, match="the call gave label, and `negative` names lable"):
        Guided(LAW, 2.0, {"lable": -1})(x, T, label=label)
    with pytest.raises(UserError, match="labels are whole numbers"):
        Guided(LAW, 2.0, {"label": 0.5})(x, T, label=label)
    with pytest.raises(UserError, match="does not broadcast"):
        Guided(LAW, 2.0, {"label": torch.zeros(2)[:, None].long()})(x, T, label=label)
    with pytest.raises(UserError, match="is a str"):
        Guided(LAW, 2.0, {"label": "none"})(x, T, label=label)
    with pytest.raises(UserError, match="missing in another"):
        together(LAW, x, T, [{"label": label}, {}])
    with pytest.raises(UserError, match=r"phi must lie in \[0, 1\], got 1.5"):
        Rescaled(LAW, 2.0, NULL, phi=1.5)
    with pytest.raises(UserError, match="norm_threshold must be positive"):
        Projected(LAW, 2.0, NULL, norm_threshold=0.0)
    with pytest.raises(UserError, match="eta must be"):
        Projected(LAW, 2.0, NULL, eta=math.nan)
    with pytest.raises(UserError, match="needs conditions"):
        Composed(LAW, 2.0, NULL, parts=())
    with pytest.raises(UserError, match="2 parts need as many finite weights"):
        Composed(LAW, 2.0, NULL, parts=({"label": 0}, {"label": 1}), weights=(1.0,))
    with pytest.raises(UserError, match="name label in `negative`"):
        Composed(LAW, 2.0, parts=({"label": 0},))
    with pytest.raises(UserError, match="read time differently"):
        AutoGuided(LAW, 2.0, weaker=plane(Gaussian(EDM())))


def test_without_conditions_there_is_nothing_to_guide() -> None:
    x, counting = random(3, 2), Counting(LAW)
    assert torch.equal(Guided(counting, 3.0, NULL)(x, T), LAW(x, T))
    assert torch.equal(Guided(counting, 3.0, NULL)(x, T, label=None), LAW(x, T))
    assert counting.sizes == [3, 3]
