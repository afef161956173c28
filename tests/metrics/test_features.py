"""Principal components against scikit-learn, and networks as features."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA as Theirs
from torch import nn

from pellucid.foundations.errors import UserError
from pellucid.metrics.features import FEATURES, PCA, Network, features_of

GENERATOR = torch.Generator().manual_seed(9)


@pytest.mark.parametrize(("count", "shape"), [(60, (2, 4)), (9, (3, 8))])
def test_components_are_those_of_scikit_learn(count: int, shape: tuple[int, ...]) -> None:
    real, new = (torch.randn(count, *shape, generator=GENERATOR, dtype=torch.float64) for _ in range(2))
    mine = PCA.fit(real, 4)
    theirs = Theirs(4, svd_solver="full").fit(real.flatten(1).numpy())
    expected = theirs.transform(new.flatten(1).numpy())
    found = mine(new).numpy()
    np.testing.assert_allclose(found * np.sign(found[0] * expected[0]), expected, atol=1e-9)
    assert mine.kept == pytest.approx(theirs.explained_variance_ratio_.sum(), rel=1e-9)


def test_no_more_components_than_dimensions_that_are_spanned() -> None:
    flat = torch.cat([torch.randn(40, 2, generator=GENERATOR), torch.zeros(40, 5)], 1)
    assert PCA.fit(flat, 6).axes.shape == (7, 2)
    assert PCA.fit(torch.ones(5, 3), 2).axes.shape[1] == 1
    with pytest.raises(UserError, match="fitted on 7 numbers"):
        PCA.fit(flat, 2)(torch.zeros(3, 4))
    with pytest.raises(UserError, match="at least one"):
        FEATURES["pca"] and PCA.fit(flat, 0)


def test_a_network_is_used_in_evaluation_mode_in_batches_and_left_as_it_was() -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.Dropout(0.9), nn.BatchNorm1d(5))
    x = torch.randn(23, 3, 4, generator=GENERATOR)
    features = Network(module, batch_size=7)(x)
    assert module.training
    module.eval()
    torch.testing.assert_close(features, module(x).detach(), rtol=1e-5, atol=1e-6)
    assert not features.requires_grad


def test_a_network_that_fails_is_named() -> None:
    class Wrong(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.flatten(1) / 0 * 0

        def pooled(self, x: torch.Tensor) -> torch.Tensor:
            return x.sum()[None]

    with pytest.raises(UserError, match="not finite for 4 of 4 items"):
        Network(Wrong())(torch.ones(4, 2))
    with pytest.raises(UserError, match="a row for each item"):
        Network(Wrong(), "pooled")(torch.ones(4, 2))


def test_the_choice_keeps_moments_known() -> None:
    assert features_of(torch.zeros(800, 10), 800)[0] == "raw"
    assert features_of(torch.randn(800, 28, 28, generator=GENERATOR), 400)[0] == "pca-50"
    assert features_of(torch.randn(800, 28, 28, generator=GENERATOR), 4000)[0] == "pca-64"
