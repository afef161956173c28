"""SDEs of the user's own: what is found out about f and g, and the kernels derived from them."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.integrate import solve_ivp
from scipy.linalg import expm, solve_continuous_lyapunov

from pellucid.foundations.errors import UserError
from pellucid.foundations.rng import Stream
from pellucid.oracles import MixtureOracle
from pellucid.processes.gaussian import Gaussian
from pellucid.processes.kernels import ConstantKernel, Rates, TabulatedKernel
from pellucid.processes.paths import walk
from pellucid.processes.schedules import VE, VP, SubVP
from pellucid.processes.sde import SDE
from pellucid.solvers import SOLVERS, sample

F64 = torch.float64
A = torch.tensor([[-1.0, 0.5, 0.0], [-0.7, -2.0, 0.3], [0.2, 0.0, -0.4]], dtype=F64)
B = torch.tensor([0.3, -1.0, 0.5], dtype=F64)
G = torch.tensor([[1.0, 0.3, 0.0], [0.3, 0.8, 0.1], [0.0, 0.1, 0.5]], dtype=F64)
TIMES = torch.cat([torch.logspace(-8, -2, 13, dtype=F64), torch.linspace(0.02, 1, 23, dtype=F64)])


def rate(t):
    return 0.1 + 19.9 * t


def vp(shape=(2,)):
    return SDE(lambda x, t: -0.5 * rate(t) * x, lambda t: rate(t).sqrt(), shape)


def langevin(beta=4.0, mass=0.25, friction=1.0):
    def drift(x, t):
        q, v = x.unbind(1)
        return beta * torch.stack([v / mass, -q - friction * v / mass], 1)

    def diffusion(t):
        return math.sqrt(2 * friction * beta) * torch.diag(torch.tensor([0.0, 1.0], dtype=F64))

    return SDE(drift, diffusion, (2, 1))


# --- structure


@pytest.mark.parametrize(
    ("drift", "diffusion", "structure"),
    [
        (lambda x, t: -t * x, lambda t: 1.0, "scalar"),
        (lambda x, t: 0 * x, lambda t: t, "scalar"),
        (lambda x, t: -t * x + 3, lambda t: t * torch.eye(3), "scalar"),
        (lambda x, t: -x, lambda t: torch.tensor([1.0, 2.0, 1.0]), "diagonal"),
        (lambda x, t: -x * B.abs(), lambda t: t, "diagonal"),
        (lambda x, t: x @ A.T, lambda t: t, "matrix"),
        (lambda x, t: -x, lambda t: G, "matrix"),
        (lambda x, t: -x + 1e-6 * torch.sin(x), lambda t: t, "nonlinear"),
        (lambda x, t: x - x**3, lambda t: t, "nonlinear"),
        (lambda x, t: -x.clamp(-20, 20), lambda t: t, "nonlinear"),
        (lambda x, t: -x.abs(), lambda t: t, "nonlinear"),
        (lambda x, t: -x * x.mean(1, keepdim=True), lambda t: t, "nonlinear"),
    ],
)
def test_structure(drift, diffusion, structure):
    assert SDE(drift, diffusion, (3,)).structure == structure


def test_offset_is_reported():
    assert SDE(lambda x, t: -x + t, lambda t: 1.0, (2,)).has_offset
    assert not vp().has_offset


# --- refusals


@pytest.mark.parametrize(
    ("drift", "diffusion", "message"),
    [
        (lambda x, t: x[:, :1], lambda t: t, r"drift .* must return x's shape \(8, 3\)"),
        (lambda x, t: 1.0, lambda t: t, "must return x's shape .* got float"),
        (lambda x, t: x / (t - t), lambda t: t, "drift .* not finite at t = 0"),
        (lambda x, t: x @ torch.ones(2, 2, dtype=F64), lambda t: t, "drift .* failed"),
        (lambda x, t: x @ torch.ones(3, 3), lambda t: t, "drift .* failed .* float64"),
        (lambda x, t: -x, lambda t: torch.ones(2), r"must be a number, \(3,\) or \(3, 3\)"),
        (lambda x, t: -x, lambda t: t * math.nan, "diffusion .* not finite at t = 0"),
        (lambda x, t: -x, lambda t: 0.5 - t, "diffusion .* negative at t = 0.618"),
        (lambda x, t: -x, lambda t: torch.tensor([1.0, -1.0, 1.0]), "negative"),
        (lambda x, t: -x, lambda t: A, "not symmetric"),
        (lambda x, t: -x, lambda t: G - torch.eye(3), "not positive semi-definite"),
        (lambda x, t: -x, lambda t: None, "diffusion .* failed"),
    ],
)
def test_refuses_by_name(drift, diffusion, message):
    with pytest.raises(UserError, match=message):
        SDE(drift, diffusion, (3,))


def test_refuses_what_shows_later(monkeypatch):
    with pytest.raises(UserError, match="negative at t = 0\\.7"):  # between the places that are looked at first
        _ = SDE(lambda x, t: -x, lambda t: (t - 0.71).abs() - 0.009, (1,)).kernel
    with pytest.raises(UserError, match="looked scalar at some times"):
        _ = SDE(lambda x, t: -t * x - x**2 * ((t > 0.7) & (t < 0.8)), lambda t: t + 1, (1,)).kernel
    with pytest.raises(UserError, match="not affine"):
        _ = SDE(lambda x, t: x.sin(), lambda t: t, (1,)).kernel
    with pytest.raises(UserError, match="this SDE is matrix"):
        _ = SDE(lambda x, t: x @ A.T, lambda t: t, (3,)).schedule
    with pytest.raises(UserError, match="scalar with an offset"):
        _ = SDE(lambda x, t: 1 - x, lambda t: t, (3,)).schedule
    monkeypatch.setattr("pellucid.processes.kernels._MOST_PIECES", 60)  # sooner; a VP schedule takes 54
    with pytest.raises(UserError, match="too rough in time"):
        _ = SDE(lambda x, t: -x * (1 + (1e5 * t).sin().float()), lambda t: t, (1,)).kernel
    with pytest.raises(UserError, match="shape"):
        SDE(lambda x, t: -x, lambda t: t, ())


# --- kernels


def test_ornstein_uhlenbeck_equals_its_closed_form():
    sde = SDE(lambda x, t: x @ A.T + B, lambda t: G, (3,))
    assert isinstance(sde.kernel, ConstantKernel)
    phi, mean, covariance = sde.kernel.moments(TIMES)
    stationary = solve_continuous_lyapunov(A.numpy(), -(G @ G.T).numpy())
    fixed = -torch.linalg.solve(A, B)
    for i, t in enumerate(TIMES.tolist()):
        gain = torch.from_numpy(expm(A.numpy() * t))
        torch.testing.assert_close(phi[i, 0], gain, rtol=0, atol=1e-12)
        torch.testing.assert_close(mean[i, 0], fixed - gain @ fixed, rtol=0, atol=1e-12)
        closed = torch.from_numpy(stationary) - gain @ torch.from_numpy(stationary) @ gain.T
        torch.testing.assert_close(covariance[i, 0], closed, rtol=0, atol=1e-12)  # itself cancels near t = 0


def test_critically_damped_langevin_equals_its_closed_form():
    """Critical damping, Gamma^2 = 4 M: the drift has one double eigenvalue, -2 beta/Gamma, so that exp(A t) =
    e^(-k t) (I + (A + k) t), and the covariance is the stationary one, diag(1, M), less its image."""
    beta, mass, friction = 4.0, 0.25, 1.0
    sde = langevin(beta, mass, friction)
    assert sde.structure == "matrix"
    phi, _, covariance = sde.kernel.moments(TIMES)
    k = 2 * beta / friction
    nilpotent = torch.tensor([[k, beta / mass], [-beta, k - beta * friction / mass]], dtype=F64)
    assert float((nilpotent @ nilpotent).abs().max()) == 0
    gain = torch.exp(-k * TIMES)[:, None, None] * (torch.eye(2, dtype=F64) + nilpotent * TIMES[:, None, None])
    still = torch.diag(torch.tensor([1.0, mass], dtype=F64))
    torch.testing.assert_close(phi[:, 0], gain, rtol=0, atol=1e-12)
    torch.testing.assert_close(covariance[:, 0], still - gain @ still @ gain.mT, rtol=0, atol=1e-12)
    # Where the closed form cancels: noise reaches positions through velocities alone, as 2 Gamma beta^3 t^3 / (3 M^2).
    early = TIMES[:5]
    series = 2 * friction * beta**3 * early**3 / (3 * mass**2)
    # The next term is of relative size k t = 8e-6 at most.
    torch.testing.assert_close(covariance[:5, 0, 0, 0], series, rtol=1e-4, atol=0)


def test_tables_equal_the_matrix_exponential():
    sde = SDE(lambda x, t: x @ A.T + B, lambda t: G, (3,))
    one = sde.kernel.rates(torch.ones((), dtype=F64))
    table = TabulatedKernel(lambda t: Rates(*one))
    for name, a, b in zip("PmS", table.moments(TIMES), sde.kernel.moments(TIMES), strict=True):
        # Relative to each time's own size, also where the covariance is of size t.
        scale = b.abs().flatten(1).amax(1)
        assert ((a - b).abs().flatten(1).amax(1) / scale).max() < 1e-11, name


def test_tables_equal_an_adaptive_solver():
    """Coefficients that vary in time and do not commute, against scipy's Dormand-Prince method of order 8."""

    def linear(t):
        return A * (1 + 3 * t) + torch.tensor([[0, 1.0, 0], [-1.0, 0, 0], [0, 0, 0]], dtype=F64) * (6 * t).sin()

    sde = SDE(lambda x, t: x @ linear(t).T + B * (3 * t).cos(), lambda t: (0.2 + t) * G, (3,))

    def equations(t, state):
        t = torch.tensor(t, dtype=F64)
        phi, mean, cov = (torch.from_numpy(s) for s in (state[:9].reshape(3, 3), state[9:12], state[12:].reshape(3, 3)))
        a, g = linear(t), (0.2 + t) * G
        parts = a @ phi, a @ mean + B * (3 * t).cos(), a @ cov + cov @ a.T + g @ g.T
        return torch.cat([p.flatten() for p in parts]).numpy()

    start = torch.cat([torch.eye(3, dtype=F64).flatten(), torch.zeros(12, dtype=F64)]).numpy()
    at = [0.003, 0.1, 0.37, 0.8, 1.0]
    found = solve_ivp(equations, (0, 1), start, method="DOP853", t_eval=at, rtol=1e-12, atol=1e-13).y.T
    mine = sde.kernel.moments(torch.tensor(at, dtype=F64))
    both = torch.cat([m.flatten(1) for m in mine], 1)
    torch.testing.assert_close(both, torch.from_numpy(found), rtol=0, atol=1e-10)  # scipy's own tolerance, accumulated


def test_simulation_agrees():
    """Paths of 10,000 items against the kernel: within five standard errors of means and of covariances."""
    sde = SDE(lambda x, t: (1 + t) * (x @ A.T) + B, lambda t: (1 + t) * G, (3,))
    x0 = torch.tensor([1.0, -2.0, 0.5], dtype=F64)
    many, size = x0.expand(10_000, 3), 10_000
    *_, end = walk(sde, many, torch.linspace(0, 1, 51, dtype=F64), Stream.of(0, range(size)))
    phi, mean, covariance = (part[0] for part in sde.kernel.moments(torch.ones((), dtype=F64)))
    # Heun's method is of weak order 2: its bias at 50 steps is of relative size 1e-3, hidden by 1e-2 of sampling.
    spread = covariance.diagonal()
    assert (((end.mean(0) - phi @ x0 - mean).abs()) < 5 * (spread / size).sqrt()).all()
    error = (spread[:, None] * spread + covariance.square()).div(size).sqrt()
    assert ((end.T.cov() - covariance).abs() < 5 * error).all()


# --- scalar SDEs are schedules


def sub_vp_root(t):
    lost = torch.exp(-2 * (0.1 * t + 0.5 * 19.9 * t**2))
    return (rate(t) * (1 - lost)).sqrt()


@pytest.mark.parametrize(
    ("sde", "schedule"),
    [
        (vp(), VP()),
        (SDE(lambda x, t: -0.5 * rate(t) * x, sub_vp_root, (2,)), SubVP()),
        (
            SDE(lambda x, t: 0 * x, lambda t: 0.01 * 5000**t * math.sqrt(2 * math.log(5000)), (2,)),
            VE(sigma_min=0.01, sigma_max=50.0),
        ),
    ],
    ids=["vp", "sub-vp", "ve"],
)
def test_scalar_sde_reproduces_the_schedule(sde, schedule):
    assert sde.structure == "scalar"
    mine = sde.schedule
    torch.testing.assert_close(mine.alpha(TIMES), schedule.alpha(TIMES), rtol=1e-10, atol=0)
    torch.testing.assert_close(mine.sigma(TIMES), schedule.sigma(TIMES), rtol=1e-10, atol=1e-15)
    torch.testing.assert_close(mine.drift(TIMES), schedule.drift(TIMES), rtol=1e-8, atol=1e-10)
    torch.testing.assert_close(mine.diffusion(TIMES), schedule.diffusion(TIMES), rtol=1e-8, atol=1e-10)
    zero = torch.zeros((), dtype=F64)
    assert mine.alpha(zero) == 1
    assert mine.sigma(zero) == 0
    # alpha is differentiable in time, and its slope is the user's own drift.
    # Its round-off is eps over a piece's width, which is about t.
    later = TIMES[TIMES > 1e-3].clone().requires_grad_()
    (slope,) = torch.autograd.grad(mine.alpha(later).log().sum(), later)
    torch.testing.assert_close(slope, mine.drift(later.detach()), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("solver", ["dpmpp-2m", "heun", "ancestral"])
def test_vp_by_its_f_and_g_gives_the_same_samples(solver):
    results = []
    for schedule in (VP(), vp().schedule):
        process = Gaussian(schedule)
        oracle = MixtureOracle(process, torch.tensor([[1.0, 0.0], [-1.0, 0.5]]), torch.tensor([0.1, 0.2]))
        stream = Stream.of(0, range(16))
        x = process.prior(process.draw(stream, (2,), step=0)[0, 0].double())
        times = torch.linspace(1, 0, 21, dtype=F64)
        results.append(sample(oracle, x, times, SOLVERS[solver](), stream=stream))
    torch.testing.assert_close(results[0], results[1], rtol=0, atol=1e-8)
