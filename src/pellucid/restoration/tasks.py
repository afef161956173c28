"""What the command line can undo, by name: which operator it is, what it needs, and how large the picture was."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from ..foundations.errors import UserError
from ..foundations.registry import Registry
from ..operators import Decolorise, Demosaic, Downsample, Identity, Mask, Operator
from ..operators.blur import GaussianBlur
from ..operators.kernels import motion_kernel
from ..operators.local_blur import Blur
from .damage_files import read_kernel, read_mask

FACTOR = 4  # of super-resolution
LOSSY = 2  # pixels around a scribble that JPEG has coloured too, at half resolution of its colours
_PLACES = {1: "vectors", 2: "signals", 3: "pictures"}


@dataclass(frozen=True)
class Options:
    """What tasks are told; None where nothing was said.

    Attributes:
        mask: a file that marks what is lost: white pixels of a picture, values other than zero of a .npy.
        invert: whether the mask marks what is kept instead.
        factor: of super-resolution.
        kernel: a file with the blur's kernel: a picture, scaled to sum to one, or a .npy, which must.
        blur: the standard deviation of a Gaussian blur, in pixels.
        length, angle: of a motion, in pixels and in degrees.
        pattern: of a sensor's colours.
        grow: by how many pixels what the mask marks is widened; if None, by `LOSSY` for pictures whose compression
            smears what was drawn on them.
    """

    mask: Path | None = None
    invert: bool | None = None
    factor: int | None = None
    kernel: Path | None = None
    blur: float | None = None
    length: float | None = None
    angle: float | None = None
    pattern: str | None = None
    grow: int | None = None

    def given(self) -> list[str]:
        """The names of what was said."""
        return [name for name, value in vars(self).items() if value is not None and value is not False]


@dataclass(frozen=True)
class Task:
    """One kind of damage.

    Attributes:
        operator: made of the options.
        takes: the options it has.
        places: how many axes an item has; 0 for any.
        grey: whether one value is seen for each pixel of a colour picture.
        noise: what is reckoned with where nothing is said.
    """

    operator: Callable[[Options], Operator]
    takes: tuple[str, ...] = ()
    places: tuple[int, ...] = (2, 3)
    grey: bool = False
    noise: float | Literal["auto"] = 0.0

    def item_shape(self, seen: Sequence[int], options: Options) -> tuple[int, ...]:
        """The shape of an item of which an observation of a shape was made."""
        channels = 3 if self.grey else seen[0]
        if len(seen) == 1:
            return tuple(seen)
        return (channels, *(self.factor(options) * side for side in seen[1:]))

    def factor(self, options: Options) -> int:
        """By how much each side of an item is longer than what is seen of it."""
        return _factor(options) if "factor" in self.takes else 1

    def check(self, name: str, options: Options, shape: tuple[int, ...]) -> None:
        """Raises a UserError for options of other tasks, and for a model whose items it cannot serve."""
        for given in options.given():
            if given not in self.takes:
                own = ", ".join(f"--{option}" for option in self.takes) or "no option of its own"
                raise UserError(f"--{given} is not for --task {name}, which takes {own}")
        if len(shape) not in self.places or (self.grey and shape[0] != 3):
            needed = "colour pictures" if self.grey else " or ".join(_PLACES[n] for n in self.places)
            raise UserError(f"the task {name} is for {needed}, and the model's items have the shape {shape}")


def _factor(options: Options) -> int:
    return FACTOR if options.factor is None else options.factor


def _inpaint(options: Options) -> Operator:
    if options.mask is None:
        raise UserError("--task inpaint needs --mask FILE, a picture that is white where the other is to be filled")
    if options.grow is not None and options.grow < 0:
        raise UserError(f"--grow is a number of pixels, at least 0, got {options.grow}")
    return Mask(read_mask(options.mask, invert=bool(options.invert)))


def grown(mask: Mask, pixels: int) -> Mask:
    """The mask of a picture, (H, W), with what is lost widened by some pixels on all sides."""
    if pixels == 0 or mask.mask.ndim != 2:
        return mask
    lost = (1 - mask.mask.float())[None, None]
    return Mask(1 - torch.nn.functional.max_pool2d(lost, 2 * pixels + 1, stride=1, padding=pixels)[0, 0])


def _deblur(options: Options) -> Operator:
    if (options.kernel is None) == (options.blur is None):
        raise UserError("--task deblur needs one of --kernel FILE and --blur SIGMA (a Gaussian's, in pixels)")
    if options.blur is not None:
        return GaussianBlur(options.blur)
    assert options.kernel is not None
    return Blur(read_kernel(options.kernel))


def _motion(options: Options) -> Operator:
    if options.length is None:
        raise UserError("--task motion-deblur needs --length, of the motion in pixels, and may have --angle in degrees")
    return Blur(motion_kernel(options.length, options.angle or 0.0))


TASKS: Registry[Task] = Registry(
    "task",
    {
        "inpaint": Task(_inpaint, ("mask", "invert", "grow"), places=(1, 2, 3)),
        "super-resolution": Task(lambda o: Downsample(_factor(o)), ("factor",)),
        "deblur": Task(_deblur, ("kernel", "blur"), noise="auto"),
        "motion-deblur": Task(_motion, ("length", "angle"), places=(3,), noise="auto"),
        "denoise": Task(lambda o: Identity(), noise="auto"),
        "colorize": Task(lambda o: Decolorise(), places=(3,), grey=True),
        "demosaic": Task(lambda o: Demosaic(o.pattern or "RGGB"), ("pattern",), places=(3,), grey=True),
    },
)
