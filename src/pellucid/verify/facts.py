"""Numbers that are known to many digits, and the published answers of the random generator."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

from ..foundations.rng import philox4x32
from ..processes.gaussian import Gaussian
from ..processes.schedules import EDM, SCHEDULES, VP, Betas
from ..processes.times import karras
from .outcome import Outcome, near

_DIGITS = "the value is printed to this many digits"
_ONE = torch.ones((), dtype=torch.float64)


def known_answers() -> Iterator[Outcome]:
    """Philox4x32-10 on the counters and keys of its authors' own test vectors."""
    full, pi = 0xFFFFFFFF, (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344)
    vectors = {
        "zeros": ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        "ones": ((full,) * 4, (full,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        "digits of pi": (pi, (0xA4093822, 0x299F31D0), (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)),
    }
    for name, (counter, key, answer) in vectors.items():
        words = philox4x32(tuple(torch.tensor([c]) for c in counter), key)  # type: ignore[arg-type]
        found = tuple(int(w) for w in words)
        said, text = (" ".join(f"{word:08x}" for word in words) for words in (answer, found))
        yield Outcome(f"Philox4x32-10, {name}", said, text, "none", "integers", found == answer)


def table() -> Iterator[Outcome]:
    """The table of exact values that the documentation prints."""
    chains = {name: SCHEDULES[name]() for name in ("linear_beta", "cosine", "scaled_linear_beta")}
    linear, cosine, scaled = chains.values()
    yield _near("linear betas: alpha^2 at T", linear.alpha(_ONE).item() ** 2, 4.035830e-05, 1e-6)
    yield _near("linear betas: sigma/alpha at T", _noise(linear, 1.0), 157.4073, 1e-6)
    yield _near("cosine: alpha^2 at T", cosine.alpha(_ONE).item() ** 2, 2.428767e-09, 1e-6)
    yield _near("scaled linear betas: alpha^2 at T", scaled.alpha(_ONE).item() ** 2, 4.660099e-03, 1e-6)
    yield _near("scaled linear betas: sigma/alpha at step 1", _noise(scaled, 1e-3), 0.029167, 2e-5)
    yield _near("scaled linear betas: sigma/alpha at T", _noise(scaled, 1.0), 14.6146, 1e-5)
    bits = {"linear_beta": 2.9113e-05, "cosine": 1.7520e-09, "scaled_linear_beta": 3.3694e-03}
    for name, value in bits.items():
        yield _near(f"{name}: KL to the prior, bits/dim", Gaussian(chains[name]).prior_bits_per_dim(), value, 2e-5)
    assert isinstance(linear, Betas)
    for step, value in ((0, 0.0), (487, 0.0097916), (999, 0.0199999836)):
        yield near(f"linear betas: fixed-small variance at index {step}", _small(linear, step), value, 5e-8, _DIGITS)
    vp = VP()
    yield _near("VP-SDE at t = 1: alpha", vp.alpha(_ONE).item(), 6.571586e-03, 1e-6)
    yield _near("VP-SDE at t = 1: sigma/alpha", _noise(vp, 1.0), 152.1670, 1e-6)
    edm = EDM()
    grid = edm.sigma(karras(edm, 18).double())
    for i, value in enumerate((80.0, 57.58598, 40.78557, 28.37458, 19.35245)):
        yield _near(f"EDM grid of 18 steps: level {i}", grid[i].item(), value, 1e-6)
    entropy = 0.5 * math.log2(2 * math.pi * math.e)
    yield _near("N(0, I): entropy, bits/dim", entropy, 2.0470956, 1e-7)


def _near(name: str, observed: float, expected: float, tolerance: float) -> Outcome:
    return near(name, observed, expected, tolerance, _DIGITS, relative=True)


def _noise(schedule: object, t: float) -> float:
    when = torch.tensor(t, dtype=torch.float64)
    return (schedule.sigma(when) / schedule.alpha(when)).item()  # type: ignore[attr-defined]


def _small(chain: Betas, index: int) -> float:
    t, s = (torch.tensor(i / chain.num_steps, dtype=torch.float64) for i in (index + 1, index))
    zero = torch.zeros(1, 1, dtype=torch.float64)
    return Gaussian(chain).posterior(zero, zero, t, s)[1].item()
