"""Restoration through a decoder: where that is linear, it is restoration of the latent by the composed operator."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from pellucid.foundations.rng import Stream
from pellucid.operators import Behind, Matrix
from pellucid.processes.times import GRIDS
from pellucid.restoration.restore import through
from pellucid.restorers import DPS, RESTORERS, DiffPIR, Observation, Restorer
from pellucid.solvers import SOLVERS

from ..linear_latent import F64, D, L, LinearLatent


@pytest.mark.parametrize("noise", [0.0, 0.2])
@pytest.mark.parametrize("method", [DPS(), DPS(zeta=0.5, capped=False), DiffPIR(), DiffPIR(zeta=0.3)])
def test_a_linear_decoder_composes(method: Restorer, noise: float) -> None:
    exact = LinearLatent()
    codec, denoiser = exact.codec, exact.denoiser
    a = Stream.of(1, [0]).normal((2, D), step=0)[0, 0, 0].double()
    seen = exact.x[:4] @ a.T
    std, mean = torch.tensor(exact.std, dtype=F64), torch.tensor(exact.mean, dtype=F64)
    behind = through(codec, Observation(Matrix(a).on((D,)), seen, noise))
    assert behind.noise == noise  # the codec's error is 0
    assert isinstance(behind.operator, Behind)
    behind = replace(behind, operator=replace(behind.operator, iterations=20, tolerance=1e-12))
    # y = A (W (std z + mean) + m): of rank 2 like A, so that both see the same of y.
    composed = Matrix(a @ exact.w * std).on((L,))
    plain = Observation(composed, seen - (exact.w @ mean + exact.m) @ a.T, noise)
    ends = [
        method.run(
            denoiser,
            each,
            stream=Stream.of(0, range(4)),
            times=GRIDS["asinh"](denoiser.process.schedule, 20),
            solver=SOLVERS["ancestral"](),
        )
        for each in (behind, plain)
    ]
    # conjugate gradients to 1e-12 and a singular system, through 20 steps; the projection on A's range likewise
    torch.testing.assert_close(*ends, rtol=1e-6, atol=1e-6)


def test_the_decoders_error_counts_as_noise_seen_through_the_operator() -> None:
    """Of white errors of size e, a mean over four values shows e/2, and a mask all that it keeps."""
    codec = replace(LinearLatent().codec, error=0.4)
    mean = torch.zeros(1, D, dtype=F64)
    mean[0, :4] = 0.25
    found = through(codec, Observation(Matrix(mean).on((D,)), torch.zeros(1, 1, dtype=F64), 0.1)).noise
    # The gain is measured on 64 probes of one value: to a relative 1/sqrt(2 * 64), of which three.
    assert found == pytest.approx((0.1**2 + 0.2**2) ** 0.5, rel=3 / (2 * 64) ** 0.5)
    kept = torch.eye(D, dtype=F64)
    kept[3:] = 0
    found = through(codec, Observation(Matrix(kept).on((D,)), torch.zeros(1, D, dtype=F64), 0.0)).noise
    assert found == pytest.approx(0.4, rel=3 / (2 * 64 * 3) ** 0.5)


def test_which_methods_serve() -> None:
    serving = {name for name, method in RESTORERS.items() if isinstance(method, type) and method.nonlinear}  # type: ignore[attr-defined]
    assert serving == {"dps", "diffpir"}
