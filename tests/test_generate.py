"""Sampling: sample i is a function of (weights, settings, seed, i), and names that do not exist are refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from pellucid.config import ProcessSettings
from pellucid.foundations.errors import UserError
from pellucid.foundations.rng import Stream
from pellucid.generate import batches_for, default_batch, gallery, sample
from pellucid.guidance import PAIRS
from pellucid.model import Model, make_denoiser
from pellucid.restoration.prepared import prepare
from pellucid.sampling import guided, labels_for, settings_for
from pellucid.solvers import SOLVERS

from .small import untrained

# one of each kind: one step, several stages, several steps, noise in each step
SOLVER_NAMES = [name for name in ("euler", "heun", "dpmpp-2m", "ddim", "ancestral", "ddpm") if name in SOLVERS]


@pytest.fixture(scope="module")
def model() -> Model:
    return untrained()


def first_states(model: Model, num: int, **given: Any) -> Tensor:
    """The initial noise of each sample, as the loop over time sees it."""
    seen: list[Tensor] = []

    class Spy(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(()))
            self.process = model.denoiser.process

        def forward(self, x: Tensor, t: Tensor, **cond: Any) -> Tensor:
            seen.append(x.clone())
            return torch.zeros_like(x)

    spy = Model(Spy(), model.card, "")  # type: ignore[arg-type]
    sample(spy, num, steps=1, solver="euler", guidance=1.0, **given)
    return torch.cat(seen)


def test_the_initial_noise_is_bit_for_bit_the_same_in_any_batch(model: Model) -> None:
    whole = first_states(model, 8)
    process = model.denoiser.process
    drawn = process.prior(process.draw(Stream.of(0, range(8)), model.shape, step=0)[0, 0])
    assert torch.equal(whole, drawn)
    assert torch.equal(first_states(model, 3), whole[:3])
    assert torch.equal(first_states(model, 8, batch_size=2), whole)
    assert torch.equal(first_states(model, 2, first=5), whole[5:7])
    assert not torch.equal(first_states(model, 8, seed=1), whole)


@pytest.mark.parametrize("guidance", [1.0, 2.0])
@pytest.mark.parametrize("solver", SOLVER_NAMES)
def test_a_sample_does_not_depend_on_its_batch(model: Model, solver: str, guidance: float) -> None:
    def made(num: int, **given: Any) -> Tensor:
        return sample(model, num, seed=0, solver=solver, guidance=guidance, **given)

    whole = made(8)
    assert whole.std() > 0.1
    # float32 sums in another order, carried through 8 steps of a random network: 1e-6 is seen
    tolerance = {"rtol": 0.0, "atol": 1e-5}
    assert torch.allclose(made(3), whole[:3], **tolerance)
    assert torch.allclose(made(8, batch_size=2), whole, **tolerance)
    assert torch.allclose(made(1, first=5), whole[5:6], **tolerance)
    label = [model.card.label_names[5 % 3]]
    assert torch.allclose(made(1, first=5, label=label), whole[5:6], **tolerance)
    assert torch.equal(made(8), whole)  # and the same call gives the same bits


def test_seeds_and_labels_matter(model: Model) -> None:
    one = sample(model, 2, label="class 0")
    assert not torch.allclose(one, sample(model, 2, label="class 1"), atol=1e-3)
    assert not torch.allclose(one, sample(model, 2, label="class 0", seed=1), atol=1e-1)
    assert not torch.allclose(one, sample(model, 2, label="class 0", guidance=3.0), atol=1e-3)


def test_guidance_is_u_plus_w_times_c_minus_u(model: Model) -> None:
    x = torch.randn(4, *model.shape, generator=torch.Generator().manual_seed(0))
    t, label, null = torch.tensor(0.7), torch.tensor([0, 1, 2, 0]), torch.full((4,), model.null_label)
    c, u = (model.denoiser(x, t, label=each) for each in (label, null))
    for w in (0.0, 2.5):
        got = guided(model, settings_for(model, guidance=w))(x, t, label=label)
        assert torch.allclose(got, u + w * (c - u), rtol=0, atol=2e-5)
    assert guided(model, settings_for(model, guidance=1.0)) is model.denoiser


@pytest.mark.parametrize("kind", PAIRS)
def test_guidance_kinds(model: Model, kind: str) -> None:
    settings = settings_for(model, guidance=2.5, guidance_kind=kind)
    assert settings.guidance_kind == kind
    denoiser = guided(model, settings)
    assert type(denoiser) is PAIRS[kind]
    given: dict[str, Any] = {"label": "class 1", "steps": 2, "guidance_kind": kind}
    plain = sample(model, 2, label="class 1", steps=2, guidance=2.5)
    assert torch.equal(sample(model, 2, guidance=2.5, **given), plain) == (kind == "classifier-free")
    assert torch.equal(sample(model, 2, guidance=1.0, **given), sample(model, 2, **{**given, "guidance_kind": None}))
    with pytest.raises(UserError, match="unknown guidance 'projektet'; did you mean 'projected'"):
        sample(model, 1, guidance_kind="projektet")
    # a model may come with a kind of its own, for samples and for restorations
    card = replace(model.card, sampling=model.card.sampling.model_copy(update={"guidance_kind": kind}))
    own = replace(model, card=card)
    assert torch.equal(sample(own, 2, guidance=2.5, label="class 1", steps=2), sample(model, 2, guidance=2.5, **given))
    assert type(prepare(own, guidance=2.5).denoiser) is PAIRS[kind]
    assert prepare(model, guidance=2.5, guidance_kind=kind).named["guidance_kind"] == kind


def test_labels_are_taken_in_turn_by_the_samples_own_numbers(model: Model) -> None:
    def ids(*args: Any) -> list[int]:
        labels = labels_for(model, *args)
        assert labels is not None
        return labels.tolist()

    assert ids(range(5), None) == [0, 1, 2, 0, 1]
    assert ids(range(4, 7), None) == [1, 2, 0]
    assert ids(range(4), ["class 2", "none"]) == [2, 3, 2, 3]
    assert ids([7], "class 1") == [1]
    assert labels_for(untrained(classes=0), range(4), None) is None


def test_batches_cover_each_number_once(model: Model) -> None:
    assert batches_for(model, 7, first=3, batch_size=3) == [range(3, 6), range(6, 9), range(9, 10)]
    assert 1 <= default_batch(model) <= 256
    assert default_batch(untrained((3, 512, 512), width=8)) == 1


def test_progress_counts_every_step(model: Model) -> None:
    seen: list[tuple[int, int]] = []
    sample(model, 5, steps=4, batch_size=2, solver="euler", progress=lambda done, total: seen.append((done, total)))
    assert seen == [(k, 12) for k in range(1, 13)]


def test_a_solver_of_ones_own_is_used(model: Model) -> None:
    assert torch.equal(sample(model, 2, solver=SOLVERS["heun"]()), sample(model, 2, solver="heun"))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"solver": "hune"}, "unknown solver 'hune'; did you mean 'heun'"),
        ({"grid": "karas"}, "'karas'; did you mean 'karras'"),
        ({"label": "clas 1"}, "unknown label 'clas 1'; did you mean 'class 1'"),
        ({"label": 7}, "unknown label '7'"),
        ({"steps": 0}, "at least 1 step"),
        ({"num": 0}, "at least 1 sample, got 0"),
        ({"batch_size": 0}, "batch size must be at least 1"),
        ({"first": -1}, "numbered from 0"),
    ],
)
def test_what_a_model_cannot_serve_is_refused(model: Model, given: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        sample(model, **{"num": 1, **given})


def test_a_model_without_labels_refuses_them() -> None:
    plain = untrained(classes=0)
    with pytest.raises(UserError, match="trained without labels: sample it without --label"):
        sample(plain, 1, label="cat")
    with pytest.raises(UserError, match="nothing to guide"):
        sample(plain, 1, guidance=2.0)
    assert sample(plain, 1, guidance=1.0, steps=2).shape == (1, 3, 16, 16)


def test_a_gallery_has_a_row_for_each_class(model: Model) -> None:
    samples = sample(model, 6, steps=1, solver="euler")
    image = gallery(model, samples, labels_for(model, range(6), None))
    assert image.width > 2 * 16
    assert image.height > 3 * 16


def test_a_chain_that_ends_off_its_prior_is_refused_unless_forced(model: Model) -> None:
    process = ProcessSettings(schedule="vp", schedule_options={"beta_max": 2.0}, sigma_data=0.5)
    denoiser = make_denoiser(model.denoiser.network, process).eval()
    short = replace(model, denoiser=denoiser, card=replace(model.card, process=process))
    # alpha^2 at t = 1 is exp(-1.05): KL in bits is (0.35 x 0.25 - 0.35 - log(1 - 0.35)) / (2 log 2) a value
    with pytest.raises(UserError, match=r"they differ by 0\.12.* bits/dim.*larger beta_max"):
        sample(short, 2, steps=2)
    assert sample(short, 2, steps=2, force=True).shape == (2, 3, 16, 16)
