"""What a file shows: read, or damaged first where it is clean, as an observation in the file's own units."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from ..data.images import read_header
from ..foundations.rng import Stream, subseed
from ..model import Model
from ..operators import Mask, Masked, Operator
from ..restorers import Observation
from ..restorers.noise import noise_of
from .observed_files import Given, as_items, bind, read_given
from .restore import Damage, as_operator
from .tasks import LOSSY, TASKS, Options, Task, grown


@dataclass(frozen=True)
class Request:
    """What is asked for, for all files alike.

    Attributes:
        task: a name among `TASKS`, or None where there is an operator.
        options: of the task.
        operator: of the user's own.
        noise: the standard deviation, in the file's units ([-1, 1] for pictures); "auto" estimates it; None leaves it
            to the task.
        peak: of Poisson noise.
        simulate: whether the files are clean, and are damaged first.
        samples, seed: as of `restore`.
        more: the other arguments of `restore`.
    """

    task: str | None = None
    options: Options = field(default_factory=Options)
    operator: Damage | None = None
    noise: float | Literal["auto"] | None = None
    peak: float | None = None
    simulate: bool = False
    samples: int = 1
    seed: int = 0
    more: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Seen:
    """An observation in the file's units, and the truth where it is known."""

    given: Given
    observation: Observation
    estimated: bool
    truth: Tensor | None


def observe(model: Model, path: Path, damage: Damage, request: Request) -> Seen:
    """Reads a file; damages it where it is clean."""
    codec = model.card.codec.items
    task = None if request.task is None else TASKS[request.task]
    if isinstance(damage, Mask) and request.task == "inpaint":
        damage = grown(damage, _growth(path, request))
    grey = damage if task is not None and task.grey and not request.simulate else None
    given = read_given(path, codec, grey=grey if isinstance(grey, Operator) else None)
    truth = None
    noise = request.noise if request.noise is not None else (0.0 if task is None or request.simulate else task.noise)
    if request.simulate:
        given, operator = _clean(given, damage, task, request.options, model.item_shape)
        truth = given.values
        y = _damaged(operator, truth, 0.0 if isinstance(noise, str) else noise, request)
    elif task is None:
        operator, given = bind(damage, given, model.item_shape)
        y = given.values
    else:
        given = as_items(given, len(model.item_shape))
        assert isinstance(damage, Operator)
        operator = damage.on(task.item_shape(tuple(given.values.shape[1:]), request.options))
        y = given.values
    if isinstance(operator, Masked) and y.shape[1:] == operator.out_shape:
        y = torch.where(operator.kept.bool(), y, 0)
    estimated = isinstance(noise, str)
    level = noise_of(operator, y) if isinstance(noise, str) else float(noise)
    return Seen(given, Observation(operator, y, level), estimated, truth)


def _growth(path: Path, request: Request) -> int:
    """By how much the mask is widened: compression smears what was drawn on a picture over its surroundings."""
    if request.options.grow is not None:
        return request.options.grow
    if request.simulate or path.suffix.lower() == ".npy":
        return 0
    return LOSSY if read_header(path).format in ("JPEG", "WEBP") else 0


def _clean(
    given: Given, damage: Damage, task: Task | None, options: Options, model_shape: tuple[int, ...]
) -> tuple[Given, Operator]:
    """Clean items that the operator fits, cut at the right and below where the factor does not divide them."""
    given = as_items(given, len(model_shape))
    x = given.values
    factor = 1 if task is None else task.factor(options)
    for axis in range(2, x.ndim):
        x = x.narrow(axis, 0, x.shape[axis] // factor * factor)
    if task is not None and task.grey:
        x = x.expand(-1, 3, -1, -1)
    cut = Given(x, given.picture, given.split, given.merged and not (task and task.grey), given.single)
    return cut, as_operator(damage, x.shape[1:])


def _damaged(operator: Operator, x: Tensor, noise: float, request: Request) -> Tensor:
    """y = A x + n, the noise a function of the seed alone; with a peak, Poisson counts first."""
    y = operator.forward(x)
    seed = subseed(request.seed, "damage")
    if request.peak is not None:
        rate = (request.peak * (y + 1) / 2).clamp_min(0)
        counts = torch.poisson(rate, generator=torch.Generator().manual_seed(seed % (1 << 63)))
        y = 2 * counts / request.peak - 1
    if noise == 0:
        return y
    return y + noise * Stream.of(seed, range(len(y))).normal(y.shape[1:], step=0)[0, 0].to(y)
