"""A run that learns its variance: in the card, in sampling, in the likelihood."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pellucid.foundations.errors import UserError
from pellucid.likelihood import vlb
from pellucid.model import load
from pellucid.sampling import settings_for, solver_for
from pellucid.solvers import DDPM
from pellucid.train import checkpoint
from pellucid.train.start import resume

from ..small import Watcher, trained


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(
        tmp_path_factory.mktemp("variance") / "run",
        process__learned_variance=True,
        process__schedule="linear_beta",
        process__density="importance",
        training__uncertainty=True,
        training__budget="2k-items",
    ).run.path


def test_the_model_knows_its_variance(run: Path) -> None:
    model = load(run)
    assert model.card.process.learned_variance
    assert model.card.network.output_multiplier == 2
    x, t = torch.randn(8, 1, 8, 8), torch.full((8,), 0.5)
    x0, v = model.denoiser.moments(x, t)
    assert torch.equal(x0, model.denoiser(x, t))
    assert v.shape == x.shape
    assert (v - 0.5).abs().max() > 0  # it begins at a half, and moved
    plain, _ = solver_for(model, settings_for(model, solver="ddpm", guidance=1.0))
    guided, _ = solver_for(model, settings_for(model, solver="ddpm", guidance=2.0))
    assert (plain, guided) == (DDPM(variance=None), DDPM())


def test_its_bound_uses_it(run: Path) -> None:
    model = load(run)
    x0 = torch.linspace(-1, 1, 4 * 64).reshape(4, 1, 8, 8)
    found = {name: vlb(model.denoiser, x0, variance=name, evaluations=4).value for name in ("lower", "learned")}
    assert torch.isfinite(found["learned"]).all()
    assert not torch.equal(found["lower"], found["learned"])


def test_a_plain_model_has_none(tmp_path: Path) -> None:
    model = load(trained(tmp_path / "run", training__budget="32-items").run.path)
    with pytest.raises(UserError, match="learned no variance"):
        model.denoiser.moments(torch.zeros(1, 1, 8, 8), torch.ones(1))


def test_a_resumed_run_goes_on_with_what_its_loss_learned(run: Path) -> None:
    def seen() -> float:
        newest = checkpoint.latest(run).folder
        assert newest is not None
        return checkpoint.load(newest).tensors["losses.safetensors"]["history/counts"].sum().item()

    before = seen()
    assert before >= 2000
    resume(run, more="320-items", observer=Watcher())
    assert seen() == before + 320
