"""Matched moments against the exact posterior mean: of any normal law for MMPS, of an uncorrelated one for TMPD."""

from __future__ import annotations

import pytest
import torch
from restore_cases import F64, PROCESS, Opaque, mixture, normal, run, spd, times
from test_pigdm import exact_mean

from pellucid.foundations.errors import UserError
from pellucid.operators import Mask, Matrix
from pellucid.oracles import gaussian_oracle
from pellucid.restorers import RESTORERS, Observation
from pellucid.restorers.krylov import lanczos


@pytest.mark.parametrize("operator", [Matrix(normal(3, 6, seed=1)), Opaque(normal(3, 6, seed=1))])
@pytest.mark.parametrize("t", [1e-3, 0.1, 0.5, 0.99])
@pytest.mark.parametrize("noise", [0.01, 0.5])
def test_any_normal_law_has_its_exact_posterior_mean(operator, t, noise):
    t = torch.tensor(t, dtype=F64)
    mean = normal(6, seed=4)
    law = gaussian_oracle(PROCESS, mean, spd(6))
    x, y = normal(4, 6, seed=6), normal(4, 3, seed=7)
    seen = Observation(operator.on((6,)), y, noise)
    found = RESTORERS["mmps"](tolerance=1e-12).wrap(law, seen)(x, t)
    exact = exact_mean(mean, spd(6), operator.matrix, x, y, t, noise)
    # Three equations are solved in at most three steps but for round-off times a condition number below 1e6.
    torch.testing.assert_close(found, exact, rtol=0, atol=1e-8)


def test_one_step_is_enough_for_a_round_law_whatever_the_operator():
    """The preconditioner is then the inverse itself."""
    mean, matrix = normal(6, seed=4), normal(3, 6, seed=1)
    law = gaussian_oracle(PROCESS, mean, torch.tensor(0.7, dtype=F64))
    x, y, t = normal(4, 6, seed=6), normal(4, 3, seed=7), torch.tensor(0.5, dtype=F64)
    found = RESTORERS["mmps"](iterations=1).wrap(law, Observation(Matrix(matrix).on((6,)), y, 0.01))(x, t)
    exact = exact_mean(mean, 0.7 * torch.eye(6, dtype=F64), matrix, x, y, t, 0.01)
    torch.testing.assert_close(found, exact, rtol=0, atol=1e-8)


def test_tmpd_is_exact_where_what_is_seen_is_uncorrelated():
    mean, variances = normal(6, seed=4), torch.linspace(0.1, 1, 6, dtype=F64)
    law = gaussian_oracle(PROCESS, mean, variances)
    kept = torch.tensor([True, False, True, True, False, False])
    x, t = normal(4, 6, seed=6), torch.tensor(0.5, dtype=F64)
    operator = Mask(kept).on((6,))
    y = operator(normal(4, 6, seed=7))
    found = RESTORERS["tmpd"]().wrap(law, Observation(operator, y, 0.3))(x, t)
    rows = torch.eye(6, dtype=F64)[kept]
    exact = exact_mean(
        mean, torch.diag(variances), rows, x, y.reshape(4, -1) @ rows.T if y.shape[1:] == (6,) else y, t, 0.3
    )
    torch.testing.assert_close(found, exact, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", ["mmps", "tmpd"])
def test_draws_of_a_normal_law_have_the_posteriors_moments(name):
    """Ancestral steps with the exact E[x_0 | x_t, y]; TMPD with one row, for which it is exact as well."""
    mean, count, noise = normal(4, seed=4), 2000, 0.2
    matrix = torch.tensor([[1.0, 0.5, 0.0, -0.5]], dtype=F64) if name == "tmpd" else normal(2, 4, seed=1)
    covariance = spd(4)
    y = normal(1, len(matrix), seed=7)
    gain = covariance @ matrix.T @ (matrix @ covariance @ matrix.T + noise**2 * torch.eye(len(matrix))).inverse()
    exact, spread = mean + (y[0] - matrix @ mean) @ gain.T, covariance - gain @ matrix @ covariance
    seen = Observation(Matrix(matrix).on((4,)), y.expand(count, -1), noise)
    x = run(RESTORERS[name](), gaussian_oracle(PROCESS, mean, covariance), seen, times=times(150))
    # Five standard errors, and 3 % of the standard deviation for 150 steps of first order.
    width = spread.diagonal().sqrt()
    assert bool(((x.mean(0) - exact).abs() < (5 / count**0.5 + 0.03) * width).all())
    assert bool(((x.T.cov() - spread).abs() < (5 * 1.5 / count**0.5 + 0.06) * width[:, None] * width).all())


def test_fewer_iterations_are_worse_on_a_mixture():
    law = mixture(6)
    seen = Observation(Matrix(normal(4, 6, seed=1)).on((6,)), normal(3, 4, seed=7), 0.05)
    x, t = normal(3, 6, seed=6), torch.tensor(0.6, dtype=F64)
    full, one = (RESTORERS["mmps"](iterations=n, tolerance=1e-12).wrap(law, seen)(x, t) for n in (8, 1))
    assert seen.residual(full).norm() < seen.residual(one).norm()


def test_lanczos_finds_the_spectrum_and_solves():
    basis = torch.linalg.qr(normal(12, 12, seed=3)).Q
    values = torch.tensor([0.2] * 9 + [3.0, 10.0, 40.0], dtype=F64)
    matrix = basis @ torch.diag(values) @ basis.T
    b = torch.cat([normal(2, 12, seed=5), basis[:, :1].T, torch.zeros(1, 12, dtype=F64)])
    # Four different values: four steps, after which the space is exhausted; one for an eigenvector; none for zero.
    found = lanczos(lambda x: x @ matrix, b, 8)
    assert found.live.sum(1).tolist() == [4, 4, 1, 0]
    torch.testing.assert_close(found.smallest()[:3], torch.full((3,), 0.2, dtype=F64), rtol=0, atol=1e-9)
    torch.testing.assert_close(found.largest()[:3], torch.tensor([40.0, 40.0, 0.2], dtype=F64), rtol=0, atol=1e-9)
    solved, square, log_det = found.solve(torch.zeros(4, dtype=F64))
    exact = b @ matrix.inverse()
    torch.testing.assert_close(solved, exact, rtol=0, atol=1e-9)
    torch.testing.assert_close(square, (b * exact).sum(1), rtol=0, atol=1e-9)
    assert log_det[0].item() == pytest.approx(float(values[8:].log().sum()), abs=1e-9)


def test_refusals():
    with pytest.raises(UserError, match="at least 1"):
        RESTORERS["mmps"](iterations=0)
    with pytest.raises(UserError, match="tolerance positive"):
        RESTORERS["mmps"](tolerance=0.0)
    with pytest.raises(UserError, match="signs"):
        RESTORERS["tmpd"](signs=0)
    quiet = Observation(Matrix(normal(3, 6)).on((6,)), normal(2, 3), 0.0)
    with pytest.raises(UserError, match=": use mmps"):
        RESTORERS["tmpd"]().check(quiet)
    RESTORERS["mmps"]().check(quiet)
    assert quiet.residual(run(RESTORERS["mmps"](), mixture(6), quiet)).abs().max().item() < 1e-9
