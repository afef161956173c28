"""Critically damped Langevin dynamics: noise enters through velocities, so paths of positions are smooth.

    dq = beta v / M dt,    dv = -beta (q + Gamma v / M) dt + sqrt(2 Gamma beta) dw,    Gamma^2 = 4 M

(Dockhorn et al., "Score-Based Generative Modeling with Critically-Damped Langevin Diffusion", 2022, equation 5.) The
data are positions; velocities start from N(0, gamma M), a hidden part of the state that the process integrates out.
"""

from __future__ import annotations

import math

import torch
from points import petals, report

from pellucid.foundations.rng import Stream
from pellucid.losses import denoising_loss
from pellucid.nn import NetworkSpec, build
from pellucid.processes.checks import check_prior
from pellucid.processes.matrix import MatrixGaussian
from pellucid.processes.sde import SDE
from pellucid.sde_denoisers import MatrixDenoiser
from pellucid.solvers import Ancestral, sample
from pellucid.solvers.reverse import ReverseHeun
from pellucid.train.fit import fit

MASS, FRICTION, BETA, GAMMA = 0.25, 1.0, 4.0, 0.04


def drift(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """f of the state x = (q, v), (B, 2, 2)."""
    q, v = x.unbind(1)
    return BETA * torch.stack([v / MASS, -q - FRICTION * v / MASS], 1)


def diffusion(t: torch.Tensor) -> torch.Tensor:
    """Noise for the velocities alone, (4, 4)."""
    return math.sqrt(2 * FRICTION * BETA) * torch.diag(torch.tensor([0.0, 0.0, 1.0, 1.0], dtype=torch.float64))


def main(num_steps: int = 1500, num: int = 2000) -> dict[str, float]:
    """Trains and samples; returns distances in units of the noise floor."""
    sde = SDE(drift, diffusion, shape=(2, 2))
    hidden = torch.tensor([[0.0, 0.0], [GAMMA * MASS, GAMMA * MASS]])
    data = petals(20_000, seed=0)
    covariance = torch.eye(4, dtype=torch.float64)
    covariance[:2, :2] = data.double().T.cov()
    process = MatrixGaussian(sde, hidden=hidden, covariance=covariance)
    states = process.augment(data)
    print(f"structure: {sde.structure}; end and prior differ by {check_prior(process, 1.0):.1e} bits/dim")

    torch.manual_seed(0)
    denoiser = MatrixDenoiser(build(NetworkSpec("mlp", (2, 2), width=96, blocks=3, frequencies=2)), process)

    def loss(step: int) -> torch.Tensor:
        stream = Stream.of(1, range(512))
        pick, time = stream.uniform((2,), step=step)[0, 0].T
        noise = stream.normal((2, 2), step=step, num_draws=2)[0, 1]
        x0 = states[(pick * len(states)).long()]
        return denoising_loss(denoiser, x0, (0.01 + 0.99 * time) ** 2, noise).mean()

    denoiser = fit(denoiser, loss, num_steps=num_steps)

    stream = Stream.of(2, range(num))
    x = process.prior(process.draw(stream, (2, 2), step=0)[0, 0])
    grid = torch.linspace(1, 0, 101, dtype=torch.float64) ** 2
    found = {
        "ancestral, 100 steps": sample(denoiser, x, grid, Ancestral(), stream=stream),
        "reverse SDE, Heun, 100 steps": sample(denoiser, x, grid, ReverseHeun(), stream=stream),
    }
    return report("critically damped Langevin", {name: process.project(x) for name, x in found.items()})


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
