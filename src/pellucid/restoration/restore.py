r"""Restoration of a person's own observations: y = A x_0 + n, any linear A, one trained model.

    restored = pl.restore(model, Downsample(4), y, noise=0.05, samples=8)

Sample k of item i depends on the model, the settings, the observation, the seed, i and k alone: not on how many are
restored, nor in what batches. (Only `smc` draws the samples of one item from one population.) Scales are the model's:
pictures lie in [-1, 1], and `noise` is a standard deviation there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from ..asked import Asked, Labels, Texts
from ..data.codecs import SeriesCodec
from ..denoisers import Denoiser
from ..foundations.errors import UserError, unknown
from ..foundations.rng import Stream
from ..latents.codec import LatentCodec
from ..model import Model
from ..operators import OPERATORS, Behind, Compose, Custom, Masked, Matrix, Operator, Scale, Stack, require_linear
from ..restorers import RESTORERS, SMC, Observation, Restorer, Wrapper
from ..restorers.auto import Choice, choose
from ..restorers.noise import noise_of, whiten
from ..sampling import GUIDANCE_KIND
from ..solvers import Solver
from .prepared import GRID, SOLVER, STEPS, conditions_of_items, prepare, shape_of

AUTO = "auto"
_PROBED = 4096  # values of white noise, whose image tells an operator's gain to a few percent
THROUGH = "dps"  # what "auto" is for a latent model
_SAMPLE_BITS = 32  # a stream's id is the item's number above these bits and the sample's below

_MADE_OF_OTHERS = (Custom, Compose, Stack, Scale)  # these may hold what a user wrote

Damage = Operator | Tensor | Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Settings:
    """Everything that a restoration depends on, beside the weights and the observation.

    Attributes:
        method: its name, or the class of a method that was given.
        options: the method's own options.
        solver, steps, grid, guidance, guidance_kind, seed: as of `sample`.
        noise: the standard deviation of the observation's noise that was reckoned with.
        noise_estimated: whether it was estimated from the observation.
        peak: of Poisson noise; None where the noise is Gaussian.
        tiled: whether the picture was larger than the model.
    """

    method: str
    options: dict[str, Any]
    solver: str
    steps: int
    grid: str
    guidance: float
    seed: int
    noise: float
    noise_estimated: bool = False
    peak: float | None = None
    tiled: bool = False
    guidance_kind: str = GUIDANCE_KIND


@dataclass(frozen=True)
class Restored:
    """Restorations of B observations, k for each.

    Attributes:
        samples: (B, k, *shape), in the model's scale.
        residual: (B, k), the root mean square of y - A x over the values that were seen; about the noise where the
            method fits the observation.
        method: the name of the method.
        settings: all that was used.
        reason: why the method was chosen, where "auto" chose it; else the empty text.
        posterior: whether the samples are meant as draws from p(x_0 given y); else each is a point estimate.
    """

    samples: Tensor
    residual: Tensor
    method: str
    settings: Settings
    reason: str
    posterior: bool

    @property
    def mean(self) -> Tensor:
        """The samples' mean, (B, *shape): of all estimates the one with the least expected square error."""
        return self.samples.mean(1)

    @property
    def std(self) -> Tensor:
        """The samples' standard deviation in each value, (B, *shape); zero where there is one sample."""
        if self.samples.shape[1] == 1:
            return torch.zeros_like(self.samples[:, 0])
        return self.samples.std(1)


def restore(
    model: Model | Denoiser,
    operator: Damage,
    observed: Tensor,
    *,
    method: str | Restorer = AUTO,
    noise: float | Literal["auto"] = 0.0,
    peak: float | None = None,
    samples: int = 1,
    seed: int = 0,
    first: int = 0,
    solver: str | Solver | None = None,
    steps: int | None = None,
    grid: str | None = None,
    label: Labels = None,
    text: Texts = None,
    where: Mapping[str, Any] | None = None,
    guidance: float | None = None,
    guidance_kind: str | None = None,
    shape: Sequence[int] | None = None,
    overlap: int | None = None,
    batch_size: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Restored:
    """Restores what an operator damaged: draws (or estimates) of x_0 given y = A x_0 + n, n ~ N(0, noise^2 I).

    A picture or signal of another size than the model's is named by `shape`, or by an operator that is bound to it
    (`operator.on(shape)`): a larger one is restored by tiles that agree (`tiles.Tiled`), a smaller one as the inside of
    one that the model knows.

    Args:
        model: from `load`, or any denoiser of a Gaussian process.
        operator: an operator, a matrix (m, D), or a linear function of a batch, which is checked first.
        observed: y, (B, *out_shape), in the model's scale. What lies under a mask is ignored, also NaN.
        method: "auto", a name among `RESTORERS`, or a method with options.
        noise: the standard deviation of n, at least 0; "auto" estimates one for all items.
        peak: for pictures with Poisson noise, the expected count at full white; `noise` is then what is added to it.
        samples: how many restorations of each item.
        seed: any integer.
        first: the number of the first item.
        solver: a name among `SOLVERS`, or a solver; "ancestral", or what "auto" chooses, if absent.
        steps: of the time grid.
        grid: a name among `GRIDS`.
        label: a class, or several for the items in turn; none if absent. For a denoiser that is no `Model`, indices.
        text: a text, or several for the items in turn, of a model that learned from captions.
        where: value, or several in turn, of any other condition by its name.
        guidance: scale w of u + w (c - u); 1 is the plain conditional model.
        guidance_kind: what becomes of that difference, as of `sample`.
        shape: of an item, where it is neither the operator's own nor the model's.
        overlap: of the tiles of a picture larger than the model, in pixels.
        batch_size: how many items go through the network at once; of larger pictures, how many tiles.
        progress: called after each step with steps done and in all.

    Raises:
        UserError: what does not fit together, with the reason.

    >>> from pellucid import SCHEDULES, Gaussian, gaussian_oracle
    >>> law = gaussian_oracle(Gaussian(SCHEDULES["vp"]()), torch.zeros(2), torch.tensor(1.0))
    >>> total, seen = torch.tensor([[1.0, 1.0]]), torch.tensor([[3.0]])
    >>> restored = restore(law, total, seen, shape=(2,), method="ddnm", samples=4)
    >>> restored.samples.sum(-1).round(decimals=3)
    tensor([[3., 3., 3., 3.]])
    """
    for value, least, name in ((samples, 1, "samples"), (batch_size, 1, "the batch size"), (first, 0, "first")):
        if value is not None and value < least:
            raise UserError(f"{name} must be at least {least}, got {value}")
    if not len(observed):
        raise UserError("there is nothing to restore: the observation holds no item")
    bound = as_operator(operator, _item_shape(model, operator, shape))
    item = bound.bound_shape
    y = observed if not isinstance(model, Model) else observed.to(model.device, torch.float32)
    if isinstance(bound, Masked) and tuple(y.shape[1:]) == item:
        y = torch.where(bound.kept.bool().to(y.device), y, 0)
    if isinstance(noise, str) and (noise != AUTO or peak is not None):
        raise UserError(
            f"noise is a number or {AUTO!r}, and with Poisson noise (peak) a number; got {noise!r} and peak {peak}"
        )
    level = noise_of(bound, y) if isinstance(noise, str) else float(noise)
    own = shape_of(model)
    series = isinstance(model, Model) and isinstance(model.card.codec, SeriesCodec)  # these know no tiles
    tiled = not series and own is not None and any(a > b for a, b in zip(item[1:], own[1:], strict=False))
    chosen = _method(model, method, Observation(bound, y, level), peak, samples, tiled)
    latent = _latent(model, item, chosen)
    ready = prepare(
        model,
        solver=solver or chosen.solver,
        steps=chosen.steps if steps is None else steps,
        grid=grid or chosen.grid,
        guidance=guidance,
        guidance_kind=guidance_kind,
    )
    restorer = chosen.method
    fit = ready.fitting(item, overlap, batch_size)
    seen = fit.operator(bound)
    cond = conditions_of_items(model, Asked(label, text, where or {}), len(y))
    pairs = [(i, k) for i in range(len(y)) for k in range(samples)]
    # The samples of one population are drawn together.
    together = samples if isinstance(restorer, SMC) else fit.rows
    batches = [pairs[start : start + together] for start in range(0, len(pairs), together)]
    each = len(restorer.grid(ready.times) if isinstance(restorer, Wrapper) else ready.times) - 1
    parts = []
    for number, batch in enumerate(batches):

        def follow(i: int, t: Tensor, s: Tensor, x: Tensor, number: int = number) -> None:
            if progress is not None:
                progress(number * each + min(i + 1, each), len(batches) * each)

        rows = torch.tensor([i for i, _ in batch], device=y.device)
        ids = [(first + i) << _SAMPLE_BITS | k for i, k in batch]
        part = Observation(seen, y[rows], level)
        part = part if peak is None else whiten(part, peak)
        x = restorer.run(
            fit.denoiser,
            part if latent is None else through(latent, part),
            stream=Stream.of(seed, ids, device=y.device),
            times=ready.times,
            solver=ready.solver,
            callback=follow,
            **{name: value[rows] for name, value in cond.items()},
        )
        with torch.no_grad():
            x = x if latent is None else latent.outward(x)
        parts.append(fit.item(x, item))
    x = torch.cat(parts)
    return Restored(
        samples=x.unflatten(0, (len(y), samples)),
        residual=residual(bound, x, y.repeat_interleave(samples, 0)).reshape(len(y), samples),
        method=chosen.name,
        settings=Settings(
            method=chosen.name,
            options=dict(vars(restorer)),
            **ready.named,
            seed=seed,
            noise=level,
            noise_estimated=isinstance(noise, str),
            peak=peak,
            tiled=fit.tiled,
        ),
        reason=chosen.reason,
        posterior=restorer.posterior,
    )


def as_operator(operator: Damage, shape: Sequence[int]) -> Operator:
    """An operator for items of a shape, from an operator, a matrix or a linear function.

    Raises:
        UserError: it does not fit the shape, is not linear, or its adjoint is none.
    """
    if isinstance(operator, Tensor):
        made: Operator = Matrix(operator if operator.is_floating_point() else operator.float())
    elif isinstance(operator, Operator):
        made = operator
    elif callable(operator):
        made = Custom(operator)
    else:
        raise UserError(
            f"an operator is one of pellucid.operators, a matrix or a function, not {type(operator).__name__}"
        )
    known = type(made) in OPERATORS.values() and not isinstance(made, _MADE_OF_OTHERS)
    return made.on(tuple(shape)) if known else require_linear(made, tuple(shape))


def _item_shape(model: Model | Denoiser, operator: Damage, shape: Sequence[int] | None) -> tuple[int, ...]:
    """The shape that was given, the operator's own, or the model's."""
    if shape is not None:
        return tuple(shape)
    if isinstance(operator, Operator) and operator.shape is not None:
        return operator.shape
    own = shape_of(model)
    if own is None:
        raise UserError("this denoiser does not say what its items look like: give shape=, such as shape=(3, 64, 64)")
    return own


def check_method(method: str | Restorer) -> None:
    """Raises a UserError for a name that is no method's."""
    if isinstance(method, str) and method != AUTO and method not in RESTORERS:
        raise unknown("restoration method", method, [*RESTORERS, AUTO])


def _method(
    model: Model | Denoiser, method: str | Restorer, seen: Observation, peak: float | None, samples: int, tiled: bool
) -> Choice:
    """The method, with the solver, times and reason of "auto" where it chose."""
    if isinstance(method, Restorer):
        return Choice(type(method).__name__, method, SOLVER, GRID, STEPS, "")
    check_method(method)
    if method != AUTO:
        return Choice(method, RESTORERS[method](), SOLVER, GRID, STEPS, "")
    if isinstance(model, Model) and isinstance(model.card.codec, LatentCodec):
        reason = (
            "few methods serve through a decoder, and this one takes one pass back through it and the network a step"
        )
        return Choice(THROUGH, RESTORERS[THROUGH](), SOLVER, GRID, STEPS, reason)
    if peak is not None:
        seen = whiten(seen, peak)
    return choose(seen.operator, seen.noise, samples=samples, tiled=tiled)


def _latent(model: Model | Denoiser, item: tuple[int, ...], chosen: Choice) -> LatentCodec | None:
    """The codec of a latent model, once it is known that model and method can serve the observation; else None."""
    if not isinstance(model, Model) or not isinstance(model.card.codec, LatentCodec):
        return None
    if item != model.item_shape:
        raise UserError(
            f"the operator is for items of shape {item}; a latent model restores items of its own shape alone, "
            f"{model.item_shape}: the decoder knows no other"
        )
    if not chosen.method.nonlinear:
        serving = ", ".join(name for name, method in RESTORERS.items() if _nonlinear(method))
        raise UserError(
            f"{chosen.name} needs an operator that is linear in what the model knows, and behind this model's decoder "
            f"none is; for a latent model use {serving}"
        )
    return model.card.codec


def _nonlinear(method: Callable[..., Restorer]) -> bool:
    return isinstance(method, type) and issubclass(method, Restorer) and method.nonlinear


def through(codec: LatentCodec, seen: Observation) -> Observation:
    """An observation of items as one of their latents, by A D.

    No latent decodes to an item exactly: the decoder's error on the training items counts as noise of the items, seen
    through A, beside the observation's own.
    """
    operator = Behind(seen.operator, codec.outward, shape=codec.shape)
    count = max(8, min(64, _PROBED // seen.operator.size))
    white = Stream.of(0, range(count), device=seen.y.device).normal(seen.operator.bound_shape, step=0)[0, 0]
    image = seen.operator.forward(white.to(seen.y)).flatten(1)
    shown = image.square().sum(0) > 0  # not what a mask lost
    gain = image[:, shown].square().mean().sqrt().item() if bool(shown.any()) else 0.0
    return Observation(operator, seen.y, math.hypot(seen.noise, codec.error * gain))


def residual(operator: Operator, x: Tensor, y: Tensor) -> Tensor:
    """The root mean square of y - A x over the values that were seen, (B,)."""
    with torch.no_grad():
        square = (y - operator.forward(x)).flatten(1).square()
    count = operator.kept.broadcast_to(operator.bound_shape).sum() if isinstance(operator, Masked) else square.shape[1]
    return (square.sum(1) / max(1, int(count))).sqrt()
