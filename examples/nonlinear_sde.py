"""An SDE that no formula solves: data pulled into the wells of a lattice while noise grows.

    dx = [-beta(t)/2 x + 2 (1 - t)^2 sin(3 x)] dt + sqrt(beta(t)) dw

The sine makes it non-affine: there is no q(x_t given x_0). So paths are simulated, their states are draws from p_t, and
sliced score matching learns its score from them. The reverse SDE then comes from the same two functions.
"""

from __future__ import annotations

import torch
from points import petals, report

from pellucid.foundations.rng import Stream
from pellucid.nn import NetworkSpec, build
from pellucid.processes.checks import check_prior
from pellucid.processes.paths import paths, simulate
from pellucid.processes.sde import SDE
from pellucid.score_matching import orthogonal_frames, sliced_score_matching_loss
from pellucid.sde_denoisers import ScoreDenoiser
from pellucid.solvers import sample
from pellucid.solvers.reverse import FlowHeun, ReverseHeun
from pellucid.train.fit import fit


def beta(t: torch.Tensor) -> torch.Tensor:
    """The rate of the linear part."""
    return 0.2 + 12 * t


def main(num_steps: int = 1600, num: int = 2000) -> dict[str, float]:
    """Trains and samples; returns distances in units of the noise floor."""
    sde = SDE(
        lambda x, t: -0.5 * beta(t) * x + 2 * (1 - t) ** 2 * torch.sin(3 * x), lambda t: beta(t).sqrt(), shape=(2,)
    )
    data = petals(20_000, seed=0)
    process = simulate(sde, data, num_steps=200)
    print(f"structure: {sde.structure}; end and prior differ by {check_prior(process):.1e} bits/dim")
    states = paths(sde, data, process.times, Stream.of(1, range(len(data))))

    torch.manual_seed(0)
    denoiser = ScoreDenoiser(build(NetworkSpec("mlp", (2,), width=96, blocks=3, frequencies=2)), process)

    def loss(step: int) -> torch.Tensor:
        stream = Stream.of(3, range(512))
        when, pick = stream.uniform((2,), step=step)[0, 0].T
        n, i = (when**1.5 * len(states)).long(), (pick * len(data)).long()
        t = process.times[n].float()
        frames = orthogonal_frames(stream.normal((2, 2), step=step, num_draws=2)[0, 1])
        return sliced_score_matching_loss(denoiser.score, states[n, i], t, denoiser.directions(t, frames)).mean()

    denoiser = fit(denoiser, loss, num_steps=num_steps)

    stream = Stream.of(2, range(num))
    x = process.prior(process.draw(stream, (2,), step=0)[0, 0])
    grid = torch.linspace(1, 0, 101, dtype=torch.float64) ** 1.5
    found = {
        "reverse SDE, Heun, 100 steps": sample(denoiser, x, grid, ReverseHeun(), stream=stream),
        "flow ODE, Heun, 100 steps": sample(denoiser, x, grid, FlowHeun()),
    }
    return report("non-affine SDE", found)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
