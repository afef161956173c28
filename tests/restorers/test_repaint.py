"""RePaint: the known values are q(x_s given x_0) at every step and themselves at the end."""

from __future__ import annotations

import pytest
import torch
from restore_cases import F64, PROCESS, draws, mixture, normal, run

from pellucid.foundations.errors import UserError
from pellucid.operators import Box, Crop, Downsample, HalfPlane, Identity, Mask, Matrix
from pellucid.oracles import MixtureOracle
from pellucid.restorers import Observation, RePaint
from pellucid.restorers.repaint import known_values
from pellucid.solvers import SOLVERS

KEPT = torch.tensor([1, 1, 0, 1, 0, 0])


@pytest.mark.parametrize("solver", [name for name in SOLVERS if name != "dopri5"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_known_values_are_kept_bit_for_bit(solver, dtype):
    operator = Mask(KEPT).on((6,))
    y = operator(normal(3, 6, dtype=dtype))
    method = RePaint(travel_length=2, travel_repeats=1)
    x = run(method, mixture(6, dtype=dtype), Observation(operator, y), solver=solver, steps=4)
    assert torch.equal(operator(x), y)
    assert x[:, KEPT == 0].abs().max() > 0


def test_the_known_values_carry_the_noise_of_their_time():
    operator = Mask(KEPT).on((6,))
    y = operator(normal(3, 6))
    seen = []

    def follow(i, t, s, x):
        if s < t:  # going back, all values get the same noise
            alpha, sigma = PROCESS.scales(s, x)
            noise = draws((6,), 3, step=i + 1, num=2)[-1]
            torch.testing.assert_close(x[:, KEPT == 1], (alpha * y + sigma * noise)[:, KEPT == 1], rtol=0, atol=1e-14)
        seen.append(bool(s < t))

    run(RePaint(travel_length=2, travel_repeats=1), mixture(6), Observation(operator, y), steps=4, callback=follow)
    assert seen == [True, True, False, True, True] * 2


def test_going_back_lets_the_unknown_agree_with_the_known():
    """Two opposite points: a third of one is seen, and the rest must be its own."""
    law = MixtureOracle(PROCESS, torch.tensor([[1.0] * 6, [-1.0] * 6], dtype=F64), torch.full((2,), 0.05, dtype=F64))
    kept = torch.tensor([1, 1, 0, 0, 0, 0])
    operator, truth = Mask(kept).on((6,)), law.means.repeat(200, 1)

    def share(repeats):
        method = RePaint(travel_length=5, travel_repeats=repeats)
        x = run(method, law, Observation(operator, operator(truth)), steps=20)
        return (x * truth > 0).all(1).double().mean()

    # 0.97 and 0.84 of 400, whose standard errors are below 0.02.
    assert share(9) > 0.93
    assert share(0) < 0.90


@pytest.mark.parametrize(
    ("operator", "shape", "mask"),
    [
        (Mask(KEPT), (6,), True),
        (Box(), (1, 8, 8), True),
        (HalfPlane(), (3, 8, 8), True),
        (Identity(), (5,), True),
        (Crop((1, 2), (4, 5)), (1, 8, 8), True),
        (Downsample(2), (1, 8, 8), False),
        (Matrix(normal(3, 6)), (6,), False),
        (Matrix(torch.diag(torch.tensor([1.0, -1.0, 1.0, 0.5]))), (4,), False),
        # It shows the values, but elsewhere, which is a mask too; and their sums, which is none.
        (Matrix(torch.eye(4).flip(0)), (4,), True),
        (Matrix(torch.tensor([[1.0, 1.0, 0.0]])), (3,), False),
    ],
)
def test_masks_are_told_by_what_they_do(operator, shape, mask):
    known = known_values(operator.on(shape), torch.zeros(0, dtype=F64))
    assert (known is not None) == mask
    if known is not None:
        assert known.shape == shape


@pytest.mark.parametrize(
    ("operator", "noise", "says"), [(Mask(KEPT), 0.1, "noise is 0.1"), (Matrix(normal(3, 6)), 0.0, "mixes or scales")]
)
def test_what_it_cannot_serve_is_refused(operator, noise, says):
    operator = operator.on((6,))
    with pytest.raises(UserError, match=says):
        run(RePaint(), mixture(6), Observation(operator, operator(normal(2, 6)), noise))
