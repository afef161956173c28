"""An Ornstein-Uhlenbeck process with a full matrix: forgetting that turns, and noise with its own axes.

    dx = -beta(t) A x dt + sqrt(beta(t)) G dw

A is not symmetric, so that the data turn while they shrink, and G is not diagonal: the kernel is a 2 x 2 matrix at each
time. pellucid finds this out from the two functions and derives it.
"""

from __future__ import annotations

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
from pellucid.solvers.reverse import FlowHeun, ReverseHeun
from pellucid.train.fit import fit

A = torch.tensor([[1.0, -0.8], [0.4, 0.6]], dtype=torch.float64)
G = torch.tensor([[1.1, 0.4], [0.4, 0.8]], dtype=torch.float64)


def beta(t: torch.Tensor) -> torch.Tensor:
    """The rate of time."""
    return 0.2 + 12 * t


def main(num_steps: int = 2000, num: int = 2000) -> dict[str, float]:
    """Trains and samples; returns distances in units of the noise floor."""
    sde = SDE(lambda x, t: -beta(t) * x @ A.T, lambda t: beta(t).sqrt() * G, shape=(2,))
    data = petals(20_000, seed=0)
    process = MatrixGaussian(sde, mean=data.mean(0), covariance=data.double().T.cov())
    print(f"structure: {sde.structure}; end and prior differ by {check_prior(process, 1.0):.1e} bits/dim")

    torch.manual_seed(0)
    denoiser = MatrixDenoiser(build(NetworkSpec("mlp", (2,), width=96, blocks=3, frequencies=2)), process)

    def loss(step: int) -> torch.Tensor:
        stream = Stream.of(1, range(512))
        pick, time = stream.uniform((2,), step=step)[0, 0].T
        noise = stream.normal((2,), step=step, num_draws=2)[0, 1]
        x0 = data[(pick * len(data)).long()]
        return denoising_loss(denoiser, x0, (1e-3 + (1 - 1e-3) * time) ** 2, noise).mean()

    denoiser = fit(denoiser, loss, num_steps=num_steps)

    stream = Stream.of(2, range(num))
    x = process.prior(process.draw(stream, (2,), step=0)[0, 0])
    grid = torch.linspace(1, 0, 61, dtype=torch.float64) ** 2
    found = {
        "ancestral, 60 steps": sample(denoiser, x, grid, Ancestral(), stream=stream),
        "reverse SDE, Heun, 60 steps": sample(denoiser, x, grid, ReverseHeun(), stream=stream),
        "flow ODE, Heun, 60 steps": sample(denoiser, x, grid, FlowHeun()),
    }
    return report("anisotropic Ornstein-Uhlenbeck", found)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
