"""Every registered operator keeps its laws: linear, with a right adjoint, pseudo-inverse and singular system."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from ..foundations.rng import Stream
from ..operators import OPERATORS, Operator, check
from .outcome import Outcome, below

_SHAPES = 2  # of each operator
_PENROSE = 1e-5


def _normal(*shape: int) -> Tensor:
    return Stream.of(21, range(1)).normal(shape, step=0)[0, 0, 0].double()


def _kernel(*shape: int) -> Tensor:
    """Positive, of sum one, with half of the weight in its middle: it loses no frequency."""
    around = _normal(*shape).abs()
    around[tuple(n // 2 for n in shape)] = 0
    kernel = 0.5 * around / around.sum()
    kernel[tuple(n // 2 for n in shape)] = 0.5
    return kernel


def _difference(x: Tensor) -> Tensor:
    return x.roll(1, -1) + 2 * x.flip(-1)


Make = Callable[[tuple[int, int, int]], Operator]

# One example of each on pictures of a shape (3, H, W), H and W multiples of 4; a name without one fails the check.
EXAMPLES: dict[str, Make] = {
    "separable": lambda shape: OPERATORS["separable"]((_normal(5, shape[1]), None)),
    "mask": lambda shape: OPERATORS["mask"](_normal(*shape[1:]) > 0),
    "box": lambda shape: OPERATORS["box"](),
    "random-mask": lambda shape: OPERATORS["random-mask"](),
    "brush": lambda shape: OPERATORS["brush"](),
    "text": lambda shape: OPERATORS["text"](),
    "half-plane": lambda shape: OPERATORS["half-plane"](keep=0.4, angle=30),
    "downsample": lambda shape: OPERATORS["downsample"](4),
    "bicubic": lambda shape: OPERATORS["bicubic"](2),
    "decolorise": lambda shape: OPERATORS["decolorise"](),
    "channel-mix": lambda shape: OPERATORS["channel-mix"](_normal(2, 3)),
    "demosaic": lambda shape: OPERATORS["demosaic"](),
    "identity": lambda shape: OPERATORS["identity"](),
    "crop": lambda shape: OPERATORS["crop"]((1, 2), (shape[1] - 3, shape[2] - 4)),
    "quantise": lambda shape: OPERATORS["quantise"](16),
    "compose": lambda shape: OPERATORS["compose"]((OPERATORS["downsample"](2), OPERATORS["decolorise"]())),
    "stack": lambda shape: OPERATORS["stack"]((OPERATORS["downsample"](2), OPERATORS["mask"](_normal(*shape[1:]) > 0))),
    "scale": lambda shape: OPERATORS["scale"](-2.5, OPERATORS["downsample"](2)),
    "matrix": lambda shape: OPERATORS["matrix"](_normal(20, shape[0] * shape[1] * shape[2])),
    "custom": lambda shape: OPERATORS["custom"](_difference),
    "circular-blur": lambda shape: OPERATORS["circular-blur"](_kernel(3, 5)),
    "gaussian-blur": lambda shape: OPERATORS["gaussian-blur"](1.2),
    "motion-blur": lambda shape: OPERATORS["motion-blur"](5, 30),
    "blur": lambda shape: OPERATORS["blur"](_kernel(3, 5)),
    "varying-blur": lambda shape: OPERATORS["varying-blur"](torch.linspace(0.1, 0.5, shape[2]).expand(shape[1:])),
    "gaussian-sensing": lambda shape: OPERATORS["gaussian-sensing"](0.25),
    "hadamard-sensing": lambda shape: OPERATORS["hadamard-sensing"](0.25),
    "block-sensing": lambda shape: OPERATORS["block-sensing"](4, 0.5),
    "partial-fourier": lambda shape: OPERATORS["partial-fourier"](),
    "radial-fourier": lambda shape: OPERATORS["radial-fourier"](5),
    "tomography": lambda shape: OPERATORS["tomography"]((10, 100), 7),
}


def shapes(name: str) -> list[tuple[int, int, int]]:
    """Random shapes for an operator, a function of its name."""
    seed = sum(ord(letter) * (i + 1) for i, letter in enumerate(name))
    drawn = 2 + Stream.of(seed, range(_SHAPES)).words(2, step=0)[0, 0] % 3
    return [(3, 4 * int(h), 4 * int(w)) for h, w in drawn.tolist()]


def laws() -> Iterator[Outcome]:
    """All laws of each operator in float32, the conditions of Penrose to 1e-5."""
    for name in OPERATORS:
        if name not in EXAMPLES:
            yield Outcome(f"{name}: laws", "an example to try", "none", "", "every operator is tried", False)
            continue
        worst, broken = 0.0, []
        for shape in shapes(name):
            report = check(EXAMPLES[name](shape), shape)
            broken += list(report.failed)
            found = [f.observed for f in report.findings if "Penrose" in f.name or "penrose" in f.name]
            worst = max([worst, *found]) if found else float("nan")
        tried = ", ".join("x".join(map(str, shape)) for shape in shapes(name))
        if broken:
            yield Outcome(f"{name} on {tried}: laws", "all hold", ", ".join(broken), "", "float32 round-off", False)
        yield below(f"{name} on {tried}: Penrose's conditions", worst, _PENROSE, "float32 round-off")
