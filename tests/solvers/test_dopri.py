"""The adaptive solver: its table, its tolerance, its memory, and the independence of its items."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from scipy.integrate import RK45, solve_ivp

from pellucid.foundations.errors import UserError
from pellucid.oracles import MixtureOracle
from pellucid.processes.gaussian import Gaussian
from pellucid.processes.schedules import SCHEDULES
from pellucid.processes.times import GRIDS
from pellucid.solvers import RK4, Dopri5, dopri, sample

F64 = torch.float64


def oracle(name, dtype=F64):
    means = torch.tensor([[-1.0, 0.5], [1.0, 0.0]], dtype=dtype)
    return MixtureOracle(Gaussian(SCHEDULES[name]()), means, torch.tensor([0.02, 0.05], dtype=dtype))


class Counted:
    def __init__(self, denoiser):
        self.denoiser, self.process, self.calls = denoiser, denoiser.process, 0

    def __call__(self, x, t):
        self.calls += 1
        return self.denoiser(x, t)


def test_table_is_scipy_s():
    """Its sixth row are the weights, and its error weights are the fifth-order ones minus the fourth."""
    for row, theirs in zip(dopri._A[:-1], RK45.A[1:], strict=True):
        assert row == pytest.approx(theirs[: len(row)], rel=1e-15)
    assert dopri._A[-1] == pytest.approx(RK45.B, rel=1e-15)
    assert dopri._C[:-1] == pytest.approx(RK45.C, rel=1e-15)
    # scipy's error estimate has the opposite sign.
    assert [-e for e in dopri._E] == pytest.approx(RK45.E, rel=1e-13)


@pytest.mark.parametrize("name", ["vp", "ve", "cosine", "rectified", "edm", "sub_vp"])
def test_against_scipy(name):
    denoiser = oracle(name)
    schedule = denoiser.process.schedule
    x = denoiser.process.prior(torch.randn(3, 2, dtype=F64, generator=torch.Generator().manual_seed(0)))
    t, s = torch.tensor([1.0, 0.3], dtype=F64)
    got, progress = Dopri5(rtol=1e-8, atol=1e-8)(denoiser, x, t, s, x[:0], None)

    def slope(rho, y):
        when = schedule.time(torch.tensor(-2 * math.log(rho), dtype=F64))
        alpha = schedule.alpha(when)
        y = torch.as_tensor(y).reshape(3, 2)
        return ((y - denoiser(alpha * y, when)) / rho).flatten().numpy()

    start, end = ((schedule.sigma(u) / schedule.alpha(u)).item() for u in (t, s))
    y = (x / schedule.alpha(t)).flatten().numpy()
    theirs = solve_ivp(slope, (start, end), y, method="DOP853", rtol=1e-11, atol=1e-11).y[:, -1]
    expected = schedule.alpha(s) * torch.as_tensor(theirs).reshape(3, 2)
    # The tolerance holds for each of about 50 substeps on states of up to 1e4 (ve, cosine), whose errors shrink with
    # the noise.
    torch.testing.assert_close(got, expected, rtol=1e-6, atol=1e-6)
    assert progress.evaluations < 1500


def test_ends_at_the_data():
    denoiser = oracle("vp")
    x = torch.randn(20, 2, dtype=F64, generator=torch.Generator().manual_seed(0))
    reference = sample(denoiser, x, GRIDS["log-snr"](denoiser.process.schedule, 400), RK4())
    for tolerance in (1e-4, 1e-6):
        solver = Dopri5(rtol=tolerance, atol=tolerance)
        got = sample(denoiser, x, torch.tensor([1.0, 0.0]), solver)
        torch.testing.assert_close(got, reference, rtol=0, atol=60 * tolerance)
        # Stops on the way change nothing but the last digits.
        stops = sample(denoiser, x, torch.linspace(1, 0, 6), solver)
        torch.testing.assert_close(stops, reference, rtol=0, atol=60 * tolerance)


def test_counts_and_keeps_its_last_slope():
    counted = Counted(oracle("vp"))
    x = torch.randn(4, 2, dtype=F64, generator=torch.Generator().manual_seed(0))
    times = torch.tensor([1.0, 0.6, 0.3, 0.0], dtype=F64).unbind()
    carry = None
    for t, s in pairwise(times):
        x, carry = Dopri5()(counted, x, t, s, x[:0], carry)
    assert carry.evaluations == counted.calls
    # One first slope, then six calls for each substep, over all three steps.
    assert carry.evaluations % 6 == 1


def test_item_does_not_depend_on_its_batch():
    denoiser = oracle("vp")
    x = torch.tensor([[0.1, 0.0], [3.0, -3.0], [-1.0, 2.0]], dtype=F64)
    everyone = sample(denoiser, x, torch.tensor([1.0, 0.0]), Dopri5())
    alone = sample(denoiser, x[1:2], torch.tensor([1.0, 0.0]), Dopri5())
    torch.testing.assert_close(alone, everyone[1:2], rtol=1e-12, atol=1e-12)


def test_float32():
    narrow, wide = oracle("vp", torch.float32), oracle("vp")
    x = torch.randn(10, 2, dtype=F64, generator=torch.Generator().manual_seed(0))
    got = sample(narrow, x.float(), torch.tensor([1.0, 0.0]), Dopri5(rtol=1e-4, atol=1e-4))
    assert got.dtype == torch.float32
    expected = sample(wide, x, torch.tensor([1.0, 0.0]), Dopri5(rtol=1e-7, atol=1e-7))
    torch.testing.assert_close(got.double(), expected, rtol=0, atol=5e-3)


def test_mistakes_are_told():
    for wrong in ({"rtol": -1.0}, {"atol": 0.0}, {"max_substeps": 0}):
        with pytest.raises(UserError, match="atol positive and max_substeps at least 1"):
            Dopri5(**wrong)
    with pytest.raises(UserError, match="did not reach the tolerance in 3 substeps"):
        sample(oracle("vp"), torch.randn(2, 2, dtype=F64), torch.tensor([1.0, 0.0]), Dopri5(max_substeps=3))
