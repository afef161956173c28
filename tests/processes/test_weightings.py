"""Weightings in closed form; their meaning as errors of outputs is in the contracts."""

from __future__ import annotations

import pytest
import torch

from pellucid.processes.schedules import VP, Rectified
from pellucid.processes.weightings import EDM, WEIGHTINGS, MinSNR

T = torch.linspace(0.05, 1, 20, dtype=torch.float64)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("x0", torch.ones_like),
        ("eps", lambda snr: snr),
        ("v", lambda snr: 1 + snr),
        ("flow", lambda snr: (1 + snr.sqrt()) ** 2),
        ("min_snr", lambda snr: snr.clamp_max(5)),
        ("edm", lambda snr: snr + 4),
    ],
)
def test_formula_in_the_signal_to_noise_ratio(name, expected):
    alpha, sigma = VP().alpha(T), VP().sigma(T)
    torch.testing.assert_close(WEIGHTINGS[name](alpha, sigma), expected((alpha / sigma) ** 2), rtol=1e-12, atol=0)


@pytest.mark.parametrize("name", WEIGHTINGS)
def test_finite_on_data(name):
    for schedule in (VP(), Rectified()):
        zero = torch.zeros(())
        assert torch.isfinite(WEIGHTINGS[name](schedule.alpha(zero), schedule.sigma(zero)))


def test_parameters_are_used():
    alpha, sigma = VP().alpha(T), VP().sigma(T)
    snr = (alpha / sigma) ** 2
    torch.testing.assert_close(MinSNR(1.0)(alpha, sigma), snr.clamp_max(1.0))
    torch.testing.assert_close(EDM(2.0)(alpha, sigma), snr + 0.25)
