"""The same numbers as torchmetrics and POT give for the same inputs."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch

from pellucid.metrics.diversity import class_score
from pellucid.metrics.features import Network
from pellucid.metrics.frechet import frechet_distance
from pellucid.metrics.image import psnr, ssim
from pellucid.metrics.kernel import mmd_squared
from pellucid.metrics.transport import assignment, sliced_wasserstein

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    torchmetrics = pytest.importorskip("torchmetrics")
    ot = pytest.importorskip("ot")
    from torchmetrics.image import PeakSignalNoiseRatio, StructuralSimilarityIndexMeasure
    from torchmetrics.image.fid import FrechetInceptionDistance
    from torchmetrics.image.inception import InceptionScore
    from torchmetrics.image.kid import KernelInceptionDistance


class Small(torch.nn.Module):
    """Six features of 8-bit pictures; the libraries take any module in Inception's place."""

    num_features = 6

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.weight = torch.nn.Parameter(torch.randn(6, 3, 4, 4, generator=generator) / 10)

    def forward(self, u: torch.Tensor) -> torch.Tensor:
        x = u.float() / 127.5 - 1
        return torch.nn.functional.conv2d(x, self.weight, stride=2).relu().mean((2, 3))


@pytest.fixture(scope="module")
def pictures() -> tuple[torch.Tensor, torch.Tensor]:
    random = np.random.RandomState(0)
    made, real = random.randint(0, 256, (90, 3, 12, 12)), random.randint(20, 220, (90, 3, 12, 12))
    return torch.from_numpy(made.astype(np.uint8)), torch.from_numpy(real.astype(np.uint8))


def theirs(metric: Any, made: torch.Tensor, real: torch.Tensor) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        metric.update(real, real=True)
        metric.update(made, real=False)
        return metric.compute()


def test_frechet_and_kid_of_a_network(pictures: tuple[torch.Tensor, torch.Tensor]) -> None:
    made, real = pictures
    network = Network(Small())
    x, y = network(made), network(real)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        frechet = FrechetInceptionDistance(feature=Small())
        kernel = KernelInceptionDistance(feature=Small(), subsets=1, subset_size=len(made))
    # Theirs sums float32 features, of whose moments, and so of whose difference, some four digits are left.
    assert frechet_distance(x, y) == pytest.approx(float(theirs(frechet, made, real)), rel=1e-4)
    kid = theirs(kernel, made, real)[0]
    # Theirs works in float32, in which sums of 90 x 90 kernel values near one keep about six digits.
    assert mmd_squared(x, y, kernel="polynomial").value == pytest.approx(float(kid), abs=3e-6)


def test_the_class_score(pictures: tuple[torch.Tensor, torch.Tensor]) -> None:
    made, _ = pictures
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        score = InceptionScore(feature=Small(), splits=1)
        score.update(made)
        expected = float(score.compute()[0])
    assert class_score(Network(Small())(made).softmax(1)) == pytest.approx(expected, rel=1e-5)  # theirs is float32


def test_psnr_and_ssim(pictures: tuple[torch.Tensor, torch.Tensor]) -> None:
    x, y = (each[:4].float() / 127.5 - 1 for each in pictures)
    peak = PeakSignalNoiseRatio(data_range=(-1.0, 1.0), reduction="none", dim=(1, 2, 3))
    torch.testing.assert_close(psnr(x, y), peak(x, y).double(), rtol=1e-5, atol=1e-5)
    likeness = StructuralSimilarityIndexMeasure(data_range=(-1.0, 1.0), reduction="none", return_full_image=True)
    # Theirs mirrors pictures at their edges; where the window lies inside, as ours always does, both are the same (in
    # float32 there).
    inside = likeness(x, y)[1][..., 5:-5, 5:-5].double().mean((1, 2, 3))
    torch.testing.assert_close(ssim(x, y), inside, rtol=1e-4, atol=1e-5)


def test_transport() -> None:
    random = np.random.RandomState(0)
    x, y = random.randn(40, 3), random.randn(40, 3) + 0.7
    weights = np.full(40, 1 / 40)
    exact = ot.emd2(weights, weights, ot.dist(x, y))  # a linear programme, which is found to its own 1e-9
    assert assignment(torch.from_numpy(x), torch.from_numpy(y)) == pytest.approx(exact, rel=1e-8)
    # Both are means over random directions of their own: 4,000 of them each, whose error is below 1 %.
    sliced = ot.sliced.sliced_wasserstein_distance(x, y, n_projections=4000, p=2, seed=0)
    ours = sliced_wasserstein(torch.from_numpy(x), torch.from_numpy(y), num_projections=4000, p=2)
    assert ours == pytest.approx(float(sliced), rel=0.03)
