"""One step of training: accumulation, the guard, and a state that a checkpoint holds in full."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pellucid.config import ProcessSettings, TrainingSettings
from pellucid.data.arrays import Dataset
from pellucid.data.codecs import ImageCodec
from pellucid.losses import Importance, LogNormal
from pellucid.model import make_denoiser, make_process
from pellucid.nn import NetworkSpec, build
from pellucid.train.batches import Batches
from pellucid.train.engine import Engine
from pellucid.train.trainee import Diverged, Trainee

PROCESS = ProcessSettings(sigma_data=0.6)


def batches(dtype: torch.dtype = torch.float32) -> Batches:
    random = np.random.default_rng(0)
    items = random.integers(0, 256, (64, 1, 8, 8), dtype=np.uint8)
    data = Dataset(items, np.arange(64) % 3, ("a", "b", "c"), ImageCodec(1, 8, 8), "noise")
    return Batches(data, make_process(PROCESS), LogNormal(), seed=0, label_dropout=0.1, null_label=3)


def trainee(*, dropout: float = 0.0, **changes: Any) -> Trainee:
    spec = NetworkSpec(
        "unet", (1, 8, 8), width=8, multipliers=(1,), attention=(0,), blocks=1, num_classes=3, dropout=dropout
    )
    torch.manual_seed(0)
    settings = TrainingSettings(**{"batch_size": 12, "lr": 1e-2, **changes})
    return Trainee(make_denoiser(build(spec), PROCESS), settings, Engine(torch.device("cpu")))


def steps(one: Trainee, num: int, *, start: int = 0) -> list[tuple[float, float]]:
    data = batches()
    size = one.settings.batch_size
    looks = [one.step(data, items=k * size, step=k + 1, lr=1e-2) for k in range(start, start + num)]
    return [(loss.item(), norm.item()) for loss, norm in looks]


def gradients(accumulate: int) -> tuple[float, list[Tensor]]:
    """The loss and the clipped gradient of the first step, caught at the optimiser's door."""
    one = trainee(accumulate=accumulate)
    caught: list[Tensor] = []
    one.optimizer.register_step_pre_hook(
        lambda *_: caught.extend(p.grad.clone() for p in one.parameters() if p.grad is not None)
    )
    ((loss, _),) = steps(one, 1)
    return loss, caught


@pytest.mark.parametrize("accumulate", [2, 4, 5])  # 5 does not divide 12: the last micro-batch is smaller
def test_accumulated_steps_have_the_gradient_of_whole_ones(accumulate: int) -> None:
    (loss, whole), (parts_loss, parts) = gradients(1), gradients(accumulate)
    assert parts_loss == pytest.approx(loss, rel=1e-6)
    assert len(whole) == len(parts) > 0
    scale = max(g.abs().max().item() for g in whole)
    for a, b in zip(whole, parts, strict=True):
        # float32 sums of some thousand terms in another order
        assert (a - b).abs().max().item() < 1e-5 * scale


def test_accumulated_training_ends_at_the_same_weights() -> None:
    whole, parts = trainee(), trainee(accumulate=4)
    losses, same = steps(whole, 5), steps(parts, 5)
    assert losses == [pytest.approx(pair, rel=1e-3) for pair in same]
    moved = 0.0
    torch.manual_seed(0)
    fresh = trainee()
    for a, b, c in zip(whole.parameters(), parts.parameters(), fresh.parameters(), strict=True):
        # Adam divides by the gradient's own size: where a gradient is as small as its round-off, a step of up to lr may
        # differ, in few places
        off = (a - b).abs()
        assert off.mean().item() < 1e-4
        moved = max(moved, (a - c).abs().max().item())
    assert moved > 1e-2


def test_the_state_is_whole() -> None:
    """Training, saving and restoring into a fresh trainee goes on bit for bit, dropout included."""
    one = trainee(dropout=0.3)
    steps(one, 3)
    kept = {file: {key: value.clone() for key, value in group.items()} for file, group in one.tensors().items()}
    torch.manual_seed(99)  # whatever else drew random numbers in between
    torch.rand(7)
    two = trainee(dropout=0.3)
    for weight in two.parameters():
        nn.init.normal_(weight)
    two.restore(kept)
    assert steps(one, 3, start=3) == steps(two, 3, start=3)
    for file, group in one.tensors().items():
        for key, value in group.items():
            assert torch.equal(value, two.tensors()[file][key]), (file, key)


def test_the_average_follows_its_rule_within_training() -> None:
    one = trainee(ema=0.1)
    steps(one, 1)
    for average, weight in zip(one.average.parameters(), one.parameters(), strict=True):
        assert torch.equal(average, weight)  # at step 1 the average is the weights
    before = [w.clone() for w in one.average.parameters()]
    steps(one, 1, start=1)
    beta = 0.5 ** (one.gamma + 1)
    for old, new, weight in zip(before, one.average.parameters(), one.parameters(), strict=True):
        assert torch.allclose(new, beta * old + (1 - beta) * weight, rtol=0, atol=1e-6)


def test_the_gradient_is_clipped_to_its_norm() -> None:
    one = trainee(clip=1e-3)
    norms: list[float] = []

    def look(*_: Any) -> None:
        norms.append(sum(p.grad.square().sum().item() for p in one.parameters() if p.grad is not None) ** 0.5)

    one.optimizer.register_step_pre_hook(look)
    ((_, told),) = steps(one, 1)
    assert told > 1e-3  # what is told is the norm before clipping
    assert norms == [pytest.approx(1e-3, rel=1e-4)]


def test_a_loss_that_is_no_number_leaves_everything_as_it_was() -> None:
    one = trainee()
    steps(one, 2)
    kept = {file: {key: value.clone() for key, value in group.items()} for file, group in one.tensors().items()}
    data = batches()

    class Poisoned(Batches):
        def at(self, start: int, count: int) -> Any:
            batch = super().at(start, count)
            batch.x0[0, 0, 0, 0] = float("nan")
            return batch

    bad = Poisoned(data.data, data.process, data.density, data.seed, 0.1, 3)
    with pytest.raises(Diverged, match=r"diverged at step 3: the loss is nan.*--set training\.lr=0\.005"):
        one.step(bad, items=24, step=3, lr=1e-2)
    for file, group in one.tensors().items():
        for key, value in group.items():
            assert torch.equal(value, kept[file][key]), (file, key)
    assert all(p.grad is None for p in one.parameters())  # and nothing of it waits in the gradients
    other = trainee()
    steps(other, 2)
    assert steps(one, 1, start=2) == steps(other, 1, start=2)


def learning() -> tuple[Trainee, Batches]:
    """A trainee whose loss has a state of its own: an uncertainty, and times drawn where the loss is large."""
    data = batches()
    return trainee(uncertainty=True), replace(data, density=Importance())


def test_what_the_loss_learned_is_in_the_checkpoint() -> None:
    one, data = learning()

    def go(who: Trainee, start: int, num: int) -> list[float]:
        return [who.step(data, items=12 * k, step=k + 1, lr=1e-2)[0].item() for k in range(start, start + num)]

    go(one, 0, 80)  # 15 losses for each of 64 bins: the times are no longer uniform
    kept = {file: {key: value.clone() for key, value in group.items()} for file, group in one.tensors().items()}
    assert set(kept["losses.safetensors"]) >= {"history/squares", "uncertainty/weight", "uncertainty/exp_avg"}
    assert one.history is not None
    assert one.history.shares().std() > 0
    other, _ = learning()
    other.restore(kept)
    assert go(one, 80, 4) == go(other, 80, 4)
    for file, group in one.tensors().items():
        for key, value in group.items():
            assert torch.equal(value, other.tensors()[file][key]), (file, key)
    # And without it the losses differ: the state is used.
    bare, _ = learning()
    bare.restore({file: group for file, group in kept.items() if file != "losses.safetensors"})
    assert go(bare, 80, 2) != go(other, 84, 2)
    assert bare.history is not None
    assert bare.history.counts.sum() == 24


def test_a_plain_run_has_no_file_for_its_loss() -> None:
    one = trainee()
    steps(one, 1)
    assert set(one.tensors()) == {"model.safetensors", "ema.safetensors", "optimizer.safetensors"}


def test_the_likelihood_loss_is_divided_by_the_density() -> None:
    settings = PROCESS.model_copy(update={"weighting": "likelihood"})
    data = replace(batches(), process=make_process(settings))
    batch = data.at(0, 12)
    expected = 1 / data.density.density(data.process.schedule, batch.t)
    assert batch.factor is not None
    torch.testing.assert_close(batch.factor, expected)
    assert batches().at(0, 12).factor is None
