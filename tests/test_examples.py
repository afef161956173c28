"""The examples train from their own two functions to samples as good as data.

In full (marked slow) their samples lie within twice the noise floor, the sliced Wasserstein distance of two independent
samples of the law. The short form asks for less of fewer steps.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest
import torch

FOLDER = Path(__file__).parents[1] / "examples"
NAMES = ["anisotropic_ou", "critically_damped_langevin", "nonlinear_sde"]


@pytest.fixture(autouse=True)
def on_the_path(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    for name in [*NAMES, "points"]:
        sys.modules.pop(name, None)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_in_full(name):
    ratios = importlib.import_module(name).main()
    assert max(ratios.values()) < 2, ratios


@pytest.mark.parametrize("name", NAMES)
def test_in_short(name):
    """An untrained network gives the best affine denoiser, or the moments' score: samples of one normal law, 3 floors
    from five petals (of 500 points, whose floor is 0.064). A hundred steps must show in the samples."""
    points = importlib.import_module("points")
    data = points.petals(500, 7)
    root = torch.linalg.cholesky(data.T.cov())
    normal = torch.randn(500, 2, generator=torch.Generator().manual_seed(0)) @ root.T
    alike = points.distance(normal) / points.noise_floor(500)
    ratios = importlib.import_module(name).main(num_steps=120, num=500)
    assert next(iter(ratios.values())) < 0.75 * alike, (ratios, alike)
