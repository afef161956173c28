"""The peers of `nfe.py`: every diffusers scheduler that can run an exact denoiser on the linear-beta chain.

Each gets the chain's own table in float64, ends at zero noise, and is asked at the noise level that it believes to be
at, so that nothing but its method and its grid is measured. Schedulers whose state is x/alpha start from the same noise
divided by alpha. A method that calls the denoiser twice in a step gets as many steps as the calls allow.

Run by itself it lists them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from pellucid.oracles import MixtureOracle
from pellucid.processes.schedules import Schedule

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import diffusers

diffusers.utils.logging.set_verbosity_error()

CHAIN = {"num_train_timesteps": 1000, "beta_start": 1e-4, "beta_end": 0.02, "beta_schedule": "linear"}
GRIDS: dict[str, dict[str, Any]] = {
    "linspace": {"timestep_spacing": "linspace"},
    "trailing": {"timestep_spacing": "trailing"},
    "karras": {"use_karras_sigmas": True},
    "exponential": {"use_exponential_sigmas": True},
    "beta": {"use_beta_sigmas": True},
    "lu": {"use_lu_lambdas": True},
}
SCALED = ("Euler", "Heun", "LMS", "KDPM2")  # their state is x/alpha
LARGEST, SMALLEST = 157.4, 0.01  # sigma/alpha at the chain's two ends, for the scheduler that is given no chain


@dataclass(frozen=True)
class Peer:
    """A scheduler with its settings.

    Attributes:
        name: as the table shows it.
        kind: the class's name without "Scheduler".
        options: its settings beside the chain's.
        steps: how many steps make a number of calls.
        step_options: passed to each step.
    """

    name: str
    kind: str
    options: dict[str, Any]
    steps: Callable[[int], int] = lambda calls: calls
    step_options: dict[str, Any] = field(default_factory=dict)

    def make(self, calls: int, alphas_cumprod: Tensor) -> Any:
        """The scheduler, its grid set."""
        chain = {} if self.kind.startswith("EDM") else CHAIN
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scheduler = getattr(diffusers, f"{self.kind}Scheduler")(**chain, **self.options)
            if chain:
                scheduler.alphas_cumprod = alphas_cumprod
            scheduler.set_timesteps(self.steps(calls))
            scheduler.is_scale_input_called = True  # `run` scales by itself, in float64
        return scheduler


def run(peer: Peer, law: MixtureOracle, start: Tensor, calls: int, *, seed: int | None = None) -> tuple[Tensor, int]:
    """The peer's end from starts at t = 1, and how often it called the denoiser.

    Args:
        peer: the scheduler.
        law: the exact denoiser, on the linear-beta chain.
        start: (N, D), float64.
        calls: of the denoiser, at most.
        seed: of a stochastic one's noise.
    """
    schedule = law.process.schedule
    scheduler = peer.make(calls, schedule.alpha(torch.arange(1, 1001, dtype=torch.float64) / 1000).square())
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    options = {**peer.step_options, **({} if generator is None else {"generator": generator})}
    asked = _Asked(law, schedule)
    scaled = peer.kind.startswith(SCALED)
    x = start
    for i, t in enumerate(scheduler.timesteps):
        noise = _noise(scheduler, t, i)
        if i == 0 and (scaled or peer.kind.startswith("EDM")):
            x = start * (1 + noise**2) ** 0.5
        if scaled:
            x0 = asked(x / (1 + noise**2) ** 0.5, noise)
            output = (x - x0) / noise
        elif peer.kind.startswith("EDM"):
            x0 = asked(x / (1 + noise**2) ** 0.5, noise)
            # The network's output whose preconditioning gives this x_0, for the scheduler's sigma_data of 0.5.
            output = (x0 - 0.25 / (noise**2 + 0.25) * x) / (0.5 * noise / (noise**2 + 0.25) ** 0.5)
        else:
            x0 = asked(x, noise)
            alpha = (1 + noise**2) ** -0.5
            output = x0 if scheduler.config.prediction_type == "sample" else (x - alpha * x0) / (alpha * noise)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            x = scheduler.step(output, t, x, **options).prev_sample.double()
    return x, asked.count


class _Asked:
    """The denoiser by noise level, with a count of its calls."""

    def __init__(self, law: MixtureOracle, schedule: Schedule) -> None:
        self._law, self._schedule = law, schedule
        self.count = 0

    def __call__(self, x: Tensor, noise: float) -> Tensor:
        self.count += 1
        return self._law(x, self._schedule.time(-2 * torch.tensor(noise, dtype=torch.float64).log()))


def _noise(scheduler: Any, t: Tensor, i: int) -> float:
    """sigma/alpha where the scheduler believes to be."""
    if not hasattr(scheduler, "sigmas") or not hasattr(scheduler, "step_index"):
        kept = scheduler.alphas_cumprod[int(t)].item()
        return ((1 - kept) / kept) ** 0.5
    index = i if scheduler.step_index is None else scheduler.step_index
    table = scheduler.sigmas
    if hasattr(scheduler, "sigmas_interpol") and not scheduler.state_in_first_order:
        # The ancestral one keeps its half steps one place earlier.
        return float(scheduler.sigmas_interpol[index - hasattr(scheduler, "sigmas_down")])
    return float(table[index])


def _half(calls: int) -> int:
    """Steps of two calls each but the last, which takes one."""
    return (calls + 1) // 2


def _grids(*names: str) -> list[tuple[str, dict[str, Any]]]:
    return [(name, GRIDS[name]) for name in names]


def deterministic() -> list[Peer]:
    """All that solve the probability-flow ODE, on every grid each offers."""
    exact = {"prediction_type": "sample"}
    zero = {**exact, "final_sigmas_type": "zero"}
    peers = [
        *(Peer(f"DDIM {g}", "DDIM", {**exact, "clip_sample": False, **o}) for g, o in _grids("linspace", "trailing")),
        Peer("PNDM", "PNDM", {"skip_prk_steps": True, "timestep_spacing": "trailing"}, lambda calls: calls - 1),
    ]
    wide = _grids("linspace", "trailing", "karras", "exponential", "beta", "lu")
    for g, o in wide:
        for order, kind in ((2, "midpoint"), (2, "heun"), (3, "midpoint")):
            name = f"DPM++ {order}M{' heun' if kind == 'heun' else ''} {g}"
            peers.append(Peer(name, "DPMSolverMultistep", {**zero, "solver_order": order, "solver_type": kind, **o}))
    for g, o in wide[:-1]:
        peers += [
            Peer(f"UniPC-{order} {bh} {g}", "UniPCMultistep", {**zero, "solver_order": order, "solver_type": bh, **o})
            for order, bh in ((2, "bh2"), (3, "bh2"), (2, "bh1"))
        ]
        if g != "trailing":
            peers += [
                Peer(f"DPM++ {order}S {g}", "DPMSolverSinglestep",
                     {**zero, "solver_order": order, **({} if g == "linspace" else o)})
                for order in (2, 3)
            ]  # fmt: skip
        peers += [Peer(f"DEIS-{order} {g}", "DEISMultistep", {**exact, "solver_order": order, **o}) for order in (2, 3)]
        peers += [
            Peer(f"Euler {g}", "EulerDiscrete", o),
            Peer(f"Heun {g}", "HeunDiscrete", o, _half),
            Peer(f"LMS {g}", "LMSDiscrete", o),
            Peer(f"KDPM2 {g}", "KDPM2Discrete", o, _half),
        ]
    edm = {"sigma_min": SMALLEST, "sigma_max": LARGEST, "final_sigmas_type": "zero"}
    peers += [
        Peer(f"EDM DPM++ {order}M {g}", "EDMDPMSolverMultistep", {**edm, "solver_order": order, "sigma_schedule": g})
        for order in (2, 3)
        for g in ("karras", "exponential")
    ]
    return peers


def stochastic() -> list[Peer]:
    """All that solve a reverse SDE."""
    exact = {"prediction_type": "sample"}
    zero = {**exact, "final_sigmas_type": "zero"}
    plain = {**exact, "clip_sample": False, "timestep_spacing": "trailing"}
    peers = [
        Peer("DDPM trailing", "DDPM", plain),
        Peer("DDIM eta 1 trailing", "DDIM", plain, step_options={"eta": 1.0}),
    ]
    for g, o in _grids("linspace", "trailing", "karras", "exponential", "beta", "lu"):
        peers += [
            Peer(f"DPM++ {order}M SDE {g}", "DPMSolverMultistep",
                 {**zero, "algorithm_type": "sde-dpmsolver++", "solver_order": order, **o})
            for order in (2, 3)
        ]  # fmt: skip
        if g not in ("beta", "lu"):
            peers += [
                Peer(f"SA-Solver tau {tau:g} {g}", "SASolver", {**exact, "tau_func": _constant(tau), **o})
                for tau in (0.5, 1.0)
            ]
    for g in ("linspace", "trailing"):
        peers += [
            Peer(f"Euler ancestral {g}", "EulerAncestralDiscrete", GRIDS[g]),
            Peer(f"KDPM2 ancestral {g}", "KDPM2AncestralDiscrete", GRIDS[g], _half),
        ]
    edm = {"sigma_min": SMALLEST, "sigma_max": LARGEST, "final_sigmas_type": "zero"}
    options = {**edm, "algorithm_type": "sde-dpmsolver++"}
    return [*peers, Peer("EDM DPM++ 2M SDE karras", "EDMDPMSolverMultistep", options)]


def _constant(tau: float) -> Callable[[float], float]:
    return lambda _: tau


if __name__ == "__main__":
    print("\n".join(peer.name for peer in (*deterministic(), *stochastic())))
