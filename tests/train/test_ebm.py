"""Energy models: what their losses are least at, what their chains keep, and a run from beginning to page."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from pellucid import Stream, UserError
from pellucid.config import EnergySettings, nested, resolve
from pellucid.data.builtin import moons
from pellucid.energies.ebm import EnergyCard, EnergyLaw, EnergyModel, EnergySpec, load_ebm
from pellucid.model import load
from pellucid.nn import NetworkSpec
from pellucid.reporting import report_run
from pellucid.train.ebm import EnergyBatch, EnergyBatches, advance, contrast
from pellucid.train.start import begin, resume

from ..small import Watcher

TINY = {
    "kind": "ebm",
    "data.source": "moons",
    "network.width": 16,
    "network.blocks": 1,
    "energy.chains": 64,
    "energy.moves": 3,
    "training.budget": "512-items",
    "training.batch_size": 64,
    "training.pictures": 0,
    "training.lr": 0.01,
}
SPEC = EnergySpec(NetworkSpec("mlp", (2,), width=16, blocks=1, energy=True), "cd", (0.5, -1.0), 1.5, 200)


def run(path, **changes):
    dotted = {key.replace("__", "."): value for key, value in changes.items()}
    return begin(resolve([("test", nested({**TINY, **dotted}))]), path, observer=Watcher())


class Known(EnergyLaw):
    """N(m, s^2 I) tilted to N(m, I): phi = log N(m, I) - log N(m, s^2 I) + 0.7, so log Z = 0.7."""

    def tilt(self, x):
        flat = x - self.mean
        return -0.5 * flat.square().sum(1) * (1 - 1 / self.std**2) + 2 * np.log(self.std) + 0.7


def test_contrast_is_least_at_the_true_normaliser():
    """On exact data, the slope of (2) in log Z is 0 at 0.7 within 4 standard errors, and not at 0.5 or 0.9."""
    law = Known(SPEC)
    stream = Stream.of(0, range(40000))
    x = law.mean + stream.normal((2,), step=0)[0, 0]

    def slope(log_z):
        each = []
        for part in range(20):
            rows = slice(2000 * part, 2000 * (part + 1))
            batch = EnergyBatch(x[rows], Stream(0, stream.ids[rows]))
            law.log_z.data.fill_(log_z)
            (found,) = torch.autograd.grad(contrast(law, batch, 4).mean(), law.log_z)
            each.append(found)
        slopes = torch.stack(each)
        return slopes.mean().item(), slopes.std().item() / 20**0.5

    for log_z, sign in ((0.5, -1), (0.9, 1)):
        mean, error = slope(log_z)
        assert sign * mean > 6 * error
    mean, error = slope(0.7)
    assert abs(mean) < 4 * error


def test_chains_keep_the_law_and_their_length_follows():
    """Of a potential at zero the law is the normal one: chains drawn from it keep its moments within 4 standard errors,
    the moves' length grows from where all are accepted, and every chain has its turn."""
    law = EnergyLaw(SPEC)
    law.chains.copy_(law.base.draws(Stream.of(3, range(200))))
    before, first = law.chains.clone(), float(law.length)
    settings = EnergySettings(moves=5, restart=0.0)
    for start in range(0, 800, 50):
        advance(law, Stream.of(1, range(start, start + 50)), settings)
    assert bool((law.chains != before).any(1).all())
    assert float(law.length) > 1.05 * first
    z = (law.chains - law.mean) / law.std
    assert z.mean(0).abs().max() < 4 / 200**0.5
    assert (z.var(0) - 1).abs().max() < 4 * (2 / 200) ** 0.5


def test_batches_are_functions_of_their_position():
    batches = EnergyBatches(moons(), 5)
    whole, part = batches.at(0, 8), batches.at(3, 2)
    torch.testing.assert_close(whole.x0[3:5], part.x0)
    assert part.stream.ids.tolist() == [3, 4]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ebm")
    return {method: run(folder / method, energy__method=method).run.path for method in ("cd", "nce")}


def test_a_run_that_is_resumed_is_the_run(tmp_path, finished):
    """Weights and chains, bit for bit: the chains travel in the checkpoint. (A plan in two parts has other learning
    rates, so the same parts are compared.)"""
    paths = [tmp_path / name for name in ("a", "b")]
    for path in paths:
        run(path, training__budget="256-items")
        resume(path, more="256-items", observer=Watcher())
    first, second = (load_ebm(path) for path in paths)
    assert first.weights_hash == second.weights_hash
    begun = EnergyLaw(first.card.network).chains
    assert bool((first.law.chains != begun).any(1).all())


def test_a_sample_depends_on_its_number_alone(finished):
    for path in finished.values():
        model = load_ebm(path)
        many, one = model.sample(5, moves=5), model.sample(1, first=3, moves=5)
        torch.testing.assert_close(many[3:4], one, rtol=1e-4, atol=1e-5)


def test_its_page_and_its_card(finished):
    for method, path in finished.items():
        page = report_run(path).read_text("utf-8")
        assert "log Z" in page
        assert "energy model" in (path / "MODEL_CARD.md").read_text("utf-8")
        model = load_ebm(path)
        assert EnergyCard.from_json(json.loads(json.dumps(model.card.to_json()))) == model.card
        x = moons().fetch(np.arange(4))[0]
        if method == "nce":
            torch.testing.assert_close(model.log_prob(x), -model.energy(x) - model.law.log_z)
        else:
            with pytest.raises(UserError, match="learns no normaliser"):
                model.log_prob(x)


def test_the_normaliser_of_a_known_tilt():
    """0.7 by construction; within 4 standard errors by both methods."""
    model = EnergyModel(Known(SPEC), EnergyCard(SPEC, None))  # type: ignore[arg-type]
    for method in ("annealed", "thermodynamic"):
        found = model.normaliser(method=method, rungs=6, chains=200)
        assert abs(found.log_z - 0.7) < 4 * found.error < 0.4
    with pytest.raises(UserError, match="did you mean 'annealed'"):
        model.normaliser(method="anealed")


def test_what_it_cannot_do_is_told(tmp_path, finished):
    with pytest.raises(UserError, match=r"energy\.method=cd"):
        run(tmp_path / "x", data__source="digits", energy__method="nce")
    with pytest.raises(UserError, match="did you mean 'nce'"):
        run(tmp_path / "y", energy__method="nec")
    with pytest.raises(UserError, match="energy model"):
        load(finished["cd"])
    with pytest.raises(UserError, match="no energy model"):
        load_ebm("digits")
