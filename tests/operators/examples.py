"""At least one example of every registered operator: how to make it, and a random shape that it fits.

The contract tests run over all of these, and fail where a name of OPERATORS has no example here. Shapes differ in every
axis so that no mix-up of axes goes unseen; they are small because the tests build the dense matrix of each.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.operators import OPERATORS, Operator

Shape = tuple[int, ...]
_CHOICE = random.Random(4)


@dataclass(frozen=True)
class Example:
    """One operator on one shape.

    Attributes:
        make: gives the operator, not yet bound.
        shape: of an item.
        closed: whether it has its singular system in closed form (the contract demands it then).
        accuracy: of A+ in (float32, float64), relative; wider only with a reason beside it.
    """

    make: Callable[[], Operator]
    shape: Shape
    closed: bool = True
    accuracy: tuple[float, float] = (1e-5, 1e-10)


def vector(multiple: int = 1) -> Shape:
    """(D,), D a multiple of the given number."""
    return (multiple * _CHOICE.randint(max(2, 8 // multiple), max(3, 40 // multiple)),)


def signal(multiple: int = 1, channels: int = 2) -> Shape:
    """(C, L), L a multiple of the given number."""
    return (channels, *vector(multiple))


def picture(multiple: int = 1, channels: int = 3) -> Shape:
    """(C, H, W), H and W different multiples of the given number."""
    height, width = _CHOICE.sample(range(max(2, 6 // multiple), max(5, 14 // multiple)), 2)
    return (channels, multiple * height, multiple * width)


def normal(*shape: int, seed: int = 0) -> Tensor:
    """A matrix of standard normal numbers, float64."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def keeps(*shape: int, seed: int = 0) -> Tensor:
    """A mask that keeps about half."""
    return normal(*shape, seed=seed) > 0


def positive(*shape: int) -> Tensor:
    """A kernel of positive numbers that sums to one."""
    kernel = normal(*shape).square()
    return kernel / kernel.sum()


def centred(*shape: int) -> Tensor:
    """A kernel of positive numbers that sums to one, half of it at the centre."""
    kernel = positive(*shape)
    kernel[tuple(n // 2 for n in shape)] = 0
    kernel = kernel / (2 * kernel.sum())
    kernel[tuple(n // 2 for n in shape)] = 0.5
    return kernel


EXAMPLES: dict[str, list[Example]] = {
    "mask": [
        Example(lambda: OPERATORS["mask"](keeps(13)), (13,)),
        Example(lambda: OPERATORS["mask"](keeps(9)), (2, 9)),
        Example(lambda: OPERATORS["mask"](keeps(5, 7)), (3, 5, 7)),
        Example(lambda: OPERATORS["mask"](keeps(3, 1, 6).float()), (3, 5, 6)),
        Example(lambda: OPERATORS["mask"](torch.zeros(4)), (4,)),
    ],
    "box": [Example(OPERATORS["box"], shape) for shape in (vector(), signal(), picture())]
    + [Example(lambda: OPERATORS["box"](side=(0.2, 0.7), centre=(0.0, 0.9)), picture())],
    "random-mask": [Example(OPERATORS["random-mask"], shape) for shape in (vector(), signal(), picture())]
    + [Example(lambda: OPERATORS["random-mask"](keep=0.2, seed=3, per_channel=True), picture())],
    "brush": [Example(OPERATORS["brush"], shape) for shape in (vector(), signal(), picture())],
    "text": [Example(OPERATORS["text"], shape) for shape in (vector(), signal(), picture())],
    "half-plane": [Example(OPERATORS["half-plane"], shape) for shape in (vector(), signal())]
    + [Example(lambda: OPERATORS["half-plane"](keep=0.4, angle=30), picture())],
    "downsample": [Example(lambda f=f: OPERATORS["downsample"](f), vector(f)) for f in (1, 2, 5)]
    + [Example(lambda f=f: OPERATORS["downsample"](f), signal(f)) for f in (2, 3)]
    + [Example(lambda f=f: OPERATORS["downsample"](f), picture(f)) for f in (2, 3, 4)],
    "bicubic": [Example(lambda f=f: OPERATORS["bicubic"](f), vector(f)) for f in (1, 2, 5)]
    + [Example(lambda: OPERATORS["bicubic"](3), signal(3))]
    + [Example(lambda f=f: OPERATORS["bicubic"](f), picture(f)) for f in (2, 3, 4)],
    "separable": [
        Example(lambda: OPERATORS["separable"]((normal(5, 9), None)), (2, 9, 7)),
        Example(lambda: OPERATORS["separable"]((normal(2, 3), normal(11, 6), normal(4, 9, seed=1))), (3, 6, 9)),
        Example(lambda: OPERATORS["separable"]((normal(3, 8),)), (8,)),
    ],
    "decolorise": [
        Example(OPERATORS["decolorise"], picture()),
        Example(OPERATORS["decolorise"], signal(channels=3)),
        Example(lambda: OPERATORS["decolorise"](weights=None), picture(channels=4)),
    ],
    "channel-mix": [
        Example(lambda: OPERATORS["channel-mix"](normal(2, 3)), picture()),
        Example(lambda: OPERATORS["channel-mix"](normal(5, 3).float()), signal(channels=3)),
    ],
    "demosaic": [
        Example(OPERATORS["demosaic"], picture()),
        Example(lambda: OPERATORS["demosaic"]("GBRG"), (3, 5, 7)),
    ],
    "identity": [Example(OPERATORS["identity"], shape) for shape in (vector(), signal(), picture())],
    "quantise": [Example(lambda: OPERATORS["quantise"](16), shape) for shape in (vector(), signal(), picture())],
    "crop": [
        Example(lambda: OPERATORS["crop"]((3,), (5,)), (9,)),
        Example(lambda: OPERATORS["crop"]((0,), (4,)), (2, 9)),
        Example(lambda: OPERATORS["crop"]((1, 2), (4, 3)), (3, 7, 6)),
        Example(lambda: OPERATORS["crop"]((1, 1, 2), (2, 4, 3)), (3, 7, 6)),
    ],
    "matrix": [
        Example(lambda: OPERATORS["matrix"](normal(5, 24)), (24,)),
        Example(lambda: OPERATORS["matrix"](normal(9, 24)), (2, 3, 4)),
        Example(lambda: OPERATORS["matrix"](normal(40, 24)), (2, 12)),
        Example(lambda: OPERATORS["matrix"](normal(8, 3) @ normal(3, 24, seed=1)), (24,)),  # of rank 3
        Example(lambda: OPERATORS["matrix"](normal(30, 4) @ normal(4, 24, seed=1)), (24,)),  # of rank 4
    ],
    "custom": [
        Example(lambda: OPERATORS["custom"](lambda x: x[:, 1:] - 0.3 * x[:, :-1]), (11,), closed=False),
        Example(lambda: OPERATORS["custom"](lambda x: x.cumsum(-1)[..., ::4]), (2, 9), closed=False),
        Example(lambda: OPERATORS["custom"](lambda x: x.roll(1, -1) + 2 * x.flip(-2)), picture(), closed=False),
    ],
    "scale": [
        Example(lambda: OPERATORS["scale"](-2.5, OPERATORS["downsample"](2)), picture(2)),
        Example(lambda: OPERATORS["scale"](0.1, OPERATORS["custom"](lambda x: x[:, ::2] + x[:, 1::2])), (8,), False),
    ],
    "compose": [
        Example(
            lambda: OPERATORS["compose"]((OPERATORS["downsample"](2), OPERATORS["crop"]((1,), (8,)))), (2, 10), False
        ),
        Example(
            lambda: OPERATORS["compose"](
                (OPERATORS["random-mask"](0.7), OPERATORS["bicubic"](2), OPERATORS["decolorise"]())
            ),
            picture(2),
            closed=False,
        ),
    ],
    "stack": [
        Example(
            lambda: OPERATORS["stack"]((OPERATORS["downsample"](2), OPERATORS["mask"](keeps(6, 8)))),
            (3, 6, 8),
            closed=False,
        ),
    ],
    "circular-blur": [
        Example(lambda: OPERATORS["circular-blur"](positive(4)), vector()),
        Example(lambda: OPERATORS["circular-blur"](positive(5)), (2, 12)),
        Example(lambda: OPERATORS["circular-blur"](positive(3, 5)), (3, 7, 9)),
        Example(lambda: OPERATORS["circular-blur"](positive(4, 3)), (3, 8, 6)),
        Example(lambda: OPERATORS["circular-blur"](positive(5, 5), cutoff=0.2), picture()),
    ],
    "gaussian-blur": [
        Example(lambda s=s, b=b: OPERATORS["gaussian-blur"](s, b), shape)
        for b in ("reflect", "periodic")
        for s, shape in ((0.6, vector()), (1.6, signal()), (1.2, picture()), (3.0, (3, 9, 8)), (0.0, (2, 5)))
    ],
    "motion-blur": [
        Example(lambda: OPERATORS["motion-blur"](5, 30), picture()),
        Example(lambda: OPERATORS["motion-blur"](4.5, -70), (3, 8, 6)),
        Example(lambda: OPERATORS["motion-blur"](4), (1, 5, 8)),  # loses frequencies wholly
    ],
    # without a cutoff A+ needs kernels that lose no frequency nearly: half of the weight is at the centre
    "blur": [
        Example(lambda b=b, k=k: OPERATORS["blur"](centred(*k), b), shape, closed=False)
        for b in ("reflect", "zero")
        for k, shape in (((4,), vector()), ((5,), (2, 12)), ((3, 5), picture()), ((4, 3), (3, 8, 6)))
    ],
    "varying-blur": [
        Example(lambda: OPERATORS["varying-blur"](torch.linspace(0.0, 0.6, 15)), (15,), closed=False),
        Example(lambda: OPERATORS["varying-blur"](torch.linspace(0.4, 0.5, 9), levels=3), (2, 9), closed=False),
        Example(lambda: OPERATORS["varying-blur"](normal(7, 6).abs().clamp(max=0.5)), (3, 7, 6), closed=False),
    ],
    "gaussian-sensing": [
        Example(lambda r=r: OPERATORS["gaussian-sensing"](r, seed=2), shape)
        for r in (0.25, 1.0)
        for shape in (vector(), signal(), picture())
    ],
    "hadamard-sensing": [
        Example(lambda r=r: OPERATORS["hadamard-sensing"](r, seed=2), shape)
        for r in (0.25, 1.0)
        for shape in (vector(), signal(), picture(), (2, 16), (1, 8, 4), (1,))
    ],
    "block-sensing": [
        Example(lambda f=f, r=r: OPERATORS["block-sensing"](f, r, seed=2), shape)
        for r in (0.25, 0.6)
        for f, shape in ((5, vector(5)), (4, signal(4)), (3, picture(3)), (2, picture(2)), (1, picture()))
    ],
    "partial-fourier": [Example(OPERATORS["partial-fourier"], shape) for shape in (vector(), signal(), picture())]
    + [Example(lambda: OPERATORS["partial-fourier"](0.4, lines=False, seed=3), shape) for shape in ((2, 9, 8), (13,))]
    + [Example(lambda: OPERATORS["partial-fourier"](1.0, 0.0), picture())],
    "radial-fourier": [Example(lambda k=k: OPERATORS["radial-fourier"](k), picture()) for k in (1, 3, 8)],
    # few angles and narrow detectors: the least singular value is about a hundredth of the largest
    "tomography": [
        Example(lambda: OPERATORS["tomography"]((0, 45, 90, 30), 5), (2, 8, 5), closed=False),
        Example(lambda: OPERATORS["tomography"](3, 5), (1, 5, 6), closed=False),
        Example(lambda: OPERATORS["tomography"]((10, 100), 7), (3, 9, 8), closed=False),
    ],
}
