"""Every registered guidance keeps the contract: plain at w = 1, u + w (c - u) where that is exact, one batched call,
under every solver and inside every restoration."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from guided_laws import F64, Counting, plane, posterior
from torch import Tensor

from pellucid.foundations.errors import UserError
from pellucid.foundations.rng import Stream
from pellucid.guidance import GUIDANCES, PAIRS, Guidance, Pair
from pellucid.metrics.transport import sliced_wasserstein
from pellucid.operators import Mask
from pellucid.oracles import MixtureOracle
from pellucid.processes.gaussian import Gaussian
from pellucid.processes.schedules import EDM, VP
from pellucid.processes.times import GRIDS
from pellucid.restorers import DDNM, DPS, Observation
from pellucid.solvers import DDIM, SOLVERS, sample

NULL = {"label": -1}
LABEL = torch.tensor([0, 1, 1, 2, 0])
X = torch.randn(5, 2, dtype=F64, generator=torch.Generator().manual_seed(0))
T = torch.tensor(0.4, dtype=F64)
TIMES = [T, torch.linspace(0.1, 0.9, 5, dtype=F64)]
SCHEDULES = {"vp": VP, "edm": EDM}


def of(name: str, law: Any, scale: float, **options: Any) -> Guidance:
    """The guidance of that name, with what else it needs: each is then guided towards `label`."""
    more: dict[str, Any] = {
        # At w = 1 the strong one; a weaker one that ignores its label makes it classifier-free guidance.
        "auto": {"weaker": law},
        "classifier": {
            "classifier": lambda x, t, *, label: posterior(getattr(law, "denoiser", law), x, t, label=label)
        },
        "composed": {"parts": ({"label": LABEL},)},
        "projected": {"eta": 1.0},
        "rescaled": {"phi": 0.0},
    }.get(name, {})
    return GUIDANCES[name](law, scale, NULL, **{**more, **options})


def at_round_off(name: str) -> dict[str, float]:
    """The classifier goes by the score: at the largest noise of EDM, 80, sigma^2 makes 1e-10 of its round-off."""
    return {"rtol": 1e-9, "atol": 1e-9} if name == "classifier" else {"rtol": 1e-12, "atol": 1e-13}


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("t", TIMES, ids=["one time", "a time each"])
@pytest.mark.parametrize("name", GUIDANCES)
def test_scale_one_is_the_conditional_denoiser(name: str, t: Tensor, schedule: str) -> None:
    law = plane(Gaussian(SCHEDULES[schedule]()))
    got, expected = of(name, law, 1.0)(X, t, label=LABEL), law(X, t, label=LABEL)
    if name == "classifier":  # another way to the same number
        torch.testing.assert_close(got, expected, **at_round_off(name))
    else:
        assert torch.equal(got, expected)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("t", TIMES, ids=["one time", "a time each"])
@pytest.mark.parametrize("name", GUIDANCES)
def test_every_scale_is_u_plus_w_c_minus_u(name: str, t: Tensor, schedule: str) -> None:
    """For exact branches, without rescaling, and with the whole of the parallel part, all kinds are one."""
    law = plane(Gaussian(SCHEDULES[schedule]()))
    c, u = law(X, t, label=LABEL), law(X, t)
    for scale in (-0.5, 0.0, 0.5, 2.0, 7.5):
        got = of(name, law, scale)(X, t, label=LABEL)
        torch.testing.assert_close(got, u + scale * (c - u), **at_round_off(name))


@pytest.mark.parametrize("name", GUIDANCES)
def test_outside_the_interval_the_scale_is_one(name: str) -> None:
    law = plane(Gaussian(VP()))
    t = torch.tensor([0.05, 0.3, 0.5, 0.8, 1.0], dtype=F64)
    noise = law.process.schedule.sigma(t) / law.process.schedule.alpha(t)
    interval = {"noise_low": noise[1].item(), "noise_high": noise[3].item()}  # both included
    inside = torch.tensor([False, True, True, True, False])[:, None]
    c, u = law(X, t, label=LABEL), law(X, t)
    got = of(name, law, 3.1, **interval)(X, t, label=LABEL)
    torch.testing.assert_close(got, torch.where(inside, u + 3.1 * (c - u), c), **at_round_off(name))
    outside = of(name, law, 3.1, **interval)(X, t[0], label=LABEL)
    torch.testing.assert_close(outside, law(X, t[0], label=LABEL), **at_round_off(name))


@pytest.mark.parametrize("name", GUIDANCES)
def test_one_network_call_for_all_branches(name: str) -> None:
    counting = Counting(plane(Gaussian(VP())))
    guided = of(name, counting, 3.0)
    guided(X, T, label=LABEL)
    # Two networks are two calls, and a classifier needs one branch.
    assert counting.sizes == {"auto": [5, 5], "classifier": [5]}.get(name, [10])
    counting.sizes.clear()
    of(name, counting, 1.0)(X, T, label=LABEL)
    assert counting.sizes == [5]


@pytest.mark.parametrize("name", GUIDANCES)
def test_samples_at_scale_one_are_the_conditional_samplers(name: str) -> None:
    """Sample for sample; the classifier's round-off grows by the flow, and by less than a thousand here."""
    law = plane(Gaussian(VP()))
    times = GRIDS["log-snr"](law.process.schedule, 12)
    stream = Stream.of(3, range(5))
    for solver in ("heun", "dpmpp-2m", "ancestral"):
        got, expected = (
            sample(one, X, times, SOLVERS[solver](), stream=stream, label=LABEL) for one in (of(name, law, 1.0), law)
        )
        torch.testing.assert_close(got, expected, rtol=0, atol=1e-9 if name == "classifier" else 0)


@pytest.mark.parametrize("name", GUIDANCES)
@pytest.mark.parametrize("solver", SOLVERS)
def test_runs_under_every_solver(name: str, solver: str) -> None:
    """And, where branches are exact, samples do not know which kind guided them."""
    law = plane(Gaussian(VP()))
    times = GRIDS["log-snr"](law.process.schedule, 4)
    got, expected = (
        sample(of(kind, law, 2.0), X, times, SOLVERS[solver](), stream=Stream.of(3, range(5)), label=LABEL)
        for kind in (name, "classifier-free")
    )
    # An adaptive solver may turn round-off into another step, within its tolerance.
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-3 if solver == "dopri5" else 1e-7)


@pytest.mark.parametrize("method", [DDNM(), DPS()], ids=["ddnm", "dps"])
@pytest.mark.parametrize("name", GUIDANCES)
def test_runs_in_restoration(name: str, method: Any) -> None:
    """DPS differentiates the denoiser, so the classifier's gradient is itself differentiated."""
    law = plane(Gaussian(VP()))
    mask = Mask(torch.tensor([1.0, 0.0], dtype=F64)).on((2,))
    seen = Observation(mask, mask(X))
    times, stream = GRIDS["log-snr"](law.process.schedule, 6), Stream.of(3, range(5))
    got, expected = (
        method.run(of(kind, law, 2.0), seen, stream=stream, times=times, solver=DDIM(), label=LABEL)
        for kind in (name, "classifier-free")
    )
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-7)


@pytest.mark.parametrize("name", GUIDANCES)
def test_gradients_and_types(name: str) -> None:
    law = plane(Gaussian(VP()))
    x = X.clone().requires_grad_()
    c, u = law(x, T, label=LABEL), law(x, T)
    expected = torch.autograd.grad((u + 2 * (c - u)).square().sum(), x)[0]
    got = torch.autograd.grad(of(name, law, 2.0)(x, T, label=LABEL).square().sum(), x)[0]
    torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-9)
    single = of(name, law, 2.0)(X.float(), T.float(), label=LABEL)
    assert single.dtype == torch.float32
    assert not of(name, law, 2.0)(X, T, label=LABEL).requires_grad


@pytest.mark.parametrize("label", [0, 1, 2])
@pytest.mark.parametrize("name", GUIDANCES)
def test_scale_one_recovers_the_conditional_law(name: str, label: int) -> None:
    """To the noise floor: the distance of two exact samples of the class, of 2000 items each, up to four standard
    deviations of such distances."""
    law, count = plane(Gaussian(EDM())), 2000
    labels = torch.full((count,), label)

    def exact(seed: int) -> Tensor:
        own = law.labels == label
        only = MixtureOracle(law.process, law.means[own], law.variances[own], law.weights[own])
        stream = Stream.of(seed, range(count))
        return only.sample(stream.normal((2,), step=0)[0, 0].double(), stream.uniform((), step=1)[0, 0].double())

    x = law.process.prior(Stream.of(7, range(count)).normal((2,), step=0)[0, 0].double())
    guided = of(name, law, 1.0, **({"parts": ({"label": label},)} if name == "composed" else {}))
    got = sample(guided, x, GRIDS["karras"](law.process.schedule, 24), SOLVERS["heun"](), label=labels)
    floor = torch.tensor(
        [sliced_wasserstein(exact(2 * i), exact(2 * i + 1), num_projections=64) for i in range(10, 18)]
    )
    found = sliced_wasserstein(got, exact(8), num_projections=64)
    assert found < floor.mean() + 4 * floor.std(), (found, floor)


def test_the_kinds_that_need_only_a_model_are_the_pairs() -> None:
    assert list(PAIRS) == [
        name for name, kind in GUIDANCES.items() if isinstance(kind, type) and issubclass(kind, Pair)
    ]
    assert all(PAIRS[name] is GUIDANCES[name] for name in PAIRS)


@pytest.mark.parametrize("name", GUIDANCES)
def test_mistakes_are_told(name: str) -> None:
    law = plane(Gaussian(VP()))
    make: Callable[..., Guidance] = lambda *args, **more: of(name, law, *args, **more)  # noqa: E731
    with pytest.raises(UserError, match=r"interval is empty: from 2.0 to 1.0"):
        make(2.0, noise_low=2.0, noise_high=1.0)
    for scale in (math.nan, math.inf):
        with pytest.raises(UserError, match="must be a finite number"):
            make(scale)


def test_unknown_kind() -> None:
    with pytest.raises(UserError, match="did you mean 'rescaled'"):
        GUIDANCES["rescale"]
