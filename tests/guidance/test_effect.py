"""What guidance makes of normal laws, against the sampler itself: the mean and the variance, without any draws."""

from __future__ import annotations

import math

import pytest
import torch
from guided_laws import F64

from pellucid.foundations.errors import UserError
from pellucid.guidance import Guided, guided_normal, tilted_normal
from pellucid.oracles import MixtureOracle
from pellucid.processes.gaussian import Gaussian
from pellucid.processes.schedules import EDM, VP
from pellucid.solvers import Dopri5, sample

PAIRS = [((1.0, 0.25), (0.0, 1.0)), ((-0.5, 0.8), (0.4, 0.3)), ((1.0, 0.25), (0.5, 0.25))]


class Normals:
    """The exact denoiser of c for the label 1 and of u for -1, which need not be a mixture that holds c."""

    def __init__(self, process: Gaussian, conditional: tuple[float, float], unconditional: tuple[float, float]) -> None:
        self.process = process
        self.laws = [
            MixtureOracle(process, torch.tensor([[m]], dtype=F64), torch.tensor([v], dtype=F64))
            for m, v in (conditional, unconditional)
        ]

    def __call__(self, x, t, *, label):
        c, u = (law(x, t) for law in self.laws)
        return torch.where(label[:, None] >= 0, c, u)


@pytest.mark.parametrize("schedule", [VP(), EDM()])
@pytest.mark.parametrize("scale", [0.0, 0.5, 1.0, 2.0, 4.0])
@pytest.mark.parametrize(("conditional", "unconditional"), PAIRS)
def test_the_sampler_ends_where_the_closed_form_says(conditional, unconditional, scale, schedule):
    """The guided denoiser of two normal laws is affine in x, so the sampler is: two points tell its mean and gain."""
    process = Gaussian(schedule)
    one = torch.ones((), dtype=F64)
    alpha, sigma = process.schedule.alpha(one).item(), process.schedule.sigma(one).item()
    x = torch.tensor([[0.0], [process.prior_std()]], dtype=F64)
    guided = Guided(Normals(process, conditional, unconditional), scale, {"label": -1})
    times = torch.tensor([1.0, 0.5, 0.0], dtype=F64)
    zero, deviation = sample(guided, x, times, Dopri5(rtol=1e-7, atol=1e-9), label=torch.ones(2).long())[:, 0].tolist()
    mean, variance = guided_normal(conditional, unconditional, scale, start=sigma / alpha)
    # An adaptive solver errs by its tolerance a few times over; the errors of the deviation are squared and relative.
    assert abs(zero - mean) < 1e-4
    assert abs((deviation - zero) ** 2 / variance - 1) < 1e-3


@pytest.mark.parametrize(("conditional", "unconditional"), PAIRS)
def test_limits(conditional, unconditional):
    """Scale 1 is c, scale 0 is u; of one variance, guided and tilted law agree; a finite start tends to the limit."""
    assert guided_normal(conditional, unconditional, 1.0) == pytest.approx(conditional, rel=1e-9)
    assert guided_normal(conditional, unconditional, 0.0) == pytest.approx(unconditional, rel=1e-9)
    assert tilted_normal(conditional, unconditional, 1.0) == pytest.approx(conditional, rel=1e-12)
    near = guided_normal(conditional, unconditional, 3.0, start=1e7)
    assert near == pytest.approx(guided_normal(conditional, unconditional, 3.0), rel=1e-6)
    same = (unconditional[0], conditional[1])
    mean, variance = guided_normal(conditional, same, 3.0)
    assert (mean, variance) == pytest.approx(tilted_normal(conditional, same, 3.0), rel=1e-9)
    assert mean == pytest.approx(same[0] + 3 * (conditional[0] - same[0]), rel=1e-9)


def test_guided_samples_are_not_the_tilted_law():
    """Without a shift: variances v_c^w v_u^(1-w) and 1/(w/v_c + (1-w)/v_u), which has no finite mass for a wide c."""
    narrow, wide = (0.0, 0.25), (0.0, 1.0)
    assert guided_normal(narrow, wide, 2.0) == pytest.approx((0.0, 0.0625))
    assert tilted_normal(narrow, wide, 2.0) == pytest.approx((0.0, 1 / 7))
    assert guided_normal(wide, narrow, 2.0) == pytest.approx((0.0, 4.0))
    with pytest.raises(UserError, match="no finite mass"):
        tilted_normal(wide, narrow, 2.0)
    for law in ((0.0, 0.0), (math.nan, 1.0)):
        with pytest.raises(UserError, match="positive variance"):
            guided_normal(law, wide, 2.0)
