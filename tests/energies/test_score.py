"""The likelihood of an energy model whose law is known, in the data's own units."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pellucid import UserError
from pellucid.data.arrays import Dataset
from pellucid.data.codecs import ImageCodec, PointsCodec
from pellucid.energies.ebm import EnergyCard, EnergyLaw, EnergyModel, EnergySpec
from pellucid.energies.score import energy_scores
from pellucid.nn import NetworkSpec

CODEC = PointsCodec((3.0, -2.0), (2.0, 0.5))
SPEC = EnergySpec(NetworkSpec("mlp", (2,), width=8, blocks=1, energy=True), "nce", (0.0, 0.0), 1.5)


class Shifted(EnergyLaw):
    """phi = 0.4: a normal law with log Z = 0.4."""

    def tilt(self, x):
        return 0.4 + 0 * x.sum(1)


def model(codec=CODEC):
    law = Shifted(SPEC)
    law.log_z.data.fill_(0.4)
    return EnergyModel(law, EnergyCard(SPEC, codec))


def points(codec=CODEC):
    x = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    return Dataset(x, None, (), codec, "points")


def test_all_methods_give_the_density_in_the_datas_units():
    """N(mean, (1.5 std)^2): the learned normaliser exactly, the others within 4 of their errors, which a ladder of
    equal laws makes nothing."""
    data = points()
    exact = torch.distributions.Normal(torch.tensor(CODEC.mean), 1.5 * torch.tensor(CODEC.std))
    nats = -exact.log_prob(torch.from_numpy(data.items)).sum(1).mean().item()
    found = energy_scores(model(), data)
    assert [score.method.split()[0] for score in found] == ["annealed", "thermodynamic", "learned"]
    for score in found:
        assert score.nats == pytest.approx(nats, abs=1e-4)
        assert score.bits_per_dim == pytest.approx(nats / (2 * np.log(2)), abs=1e-4)


def test_what_has_no_density_is_told():
    with pytest.raises(UserError, match="pictures"):
        energy_scores(
            EnergyModel(Shifted(SPEC), EnergyCard(SPEC, ImageCodec(1, 2, 1))),
            Dataset(np.zeros((1, 2), np.float32), None, (), CODEC, "x"),
        )
    other = PointsCodec((0.0,), (1.0,))
    with pytest.raises(UserError, match="shape"):
        energy_scores(model(), Dataset(np.zeros((1, 1), np.float32), None, (), other, "x"))
