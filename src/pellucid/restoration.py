r"""Restoration of a person's own observations: y = A x_0 + n, any linear A, one trained model.

    rebuilt = pl.restore(model, pl.operators.Downsample(4), y, noise=0.05, samples=8)

Sample k of item i depends on the model, the settings, the seed, i and k alone: not on how many are restored, nor in
what batches. Scales are the model's: pictures lie in [-1, 1], and `noise` is a standard deviation there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from .denoisers import Denoiser
from .foundations.errors import UserError
from .foundations.rng import Stream
from .generate import batch_for
from .model import Model
from .operators import Operator
from .operators.masks import Masked
from .processes.checks import check_prior
from .processes.gaussian import Gaussian
from .processes.times import GRIDS
from .restore import RESTORERS, Observation, Restorer
from .restore.base import Wrapper
from .sampling import guided, labels_for, settings_for, solver_for
from .solvers import SOLVERS, Solver
from .tiles import Tiled

AUTO = "auto"
SOLVER, STEPS, GRID = "ancestral", 50, "karras"  # where nothing else is asked for
_SAMPLES_BITS = 32  # a stream's id is the item's number above these bits and the sample's below

Matrix = Tensor
Operators = Operator | Matrix | Callable[[Tensor], Tensor]
Labels = Sequence[str | int] | str | int | None


@dataclass(frozen=True)
class Settings:
    """Everything that a restoration depends on, beside the weights and the observation.

    Attributes:
        method: its name, or the class of a method that was given.
        options: the method's own options.
        solver, steps, grid, guidance, seed: as of `sample`.
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


@dataclass(frozen=True)
class Restored:
    """Restorations of B observations, k for each.

    Attributes:
        samples: (B, k, *shape), in the model's scale.
        residual: (B, k), the root mean square of y - A x over an observation's values; about the noise where the method
            fits the observation.
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
    operator: Operators,
    observed: Tensor,
    *,
    method: str | Restorer = AUTO,
    noise: float | Literal["auto"] = 0.0,
    samples: int = 1,
    seed: int = 0,
    first: int = 0,
    steps: int | None = None,
    solver: str | Solver | None = None,
    grid: str | None = None,
    label: Labels | Tensor = None,
    guidance: float | None = None,
    shape: Sequence[int] | None = None,
    overlap: int | None = None,
    batch_size: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Restored:
    """Restores what an operator damaged: draws (or estimates) of x_0 given y = A x_0 + n, n ~ N(0, noise^2 I).

    Args:
        model: from `load`, or any denoiser of a Gaussian process.
        operator: an operator, a matrix (values of y, values of x), or a linear function of a batch; what is not
            pellucid's own is checked for linearity and its adjoint first.
        observed: y, (B, *out_shape), in the model's scale.
        method: "auto", a name among `RESTORERS`, or a method with options.
        noise: the standard deviation of n; "auto" estimates it.
        samples: how many restorations of each item.
        seed: any integer.
        first: the number of the first item.
        steps: of the time grid.
        solver: a name among `SOLVERS`, or a solver.
        grid: a name among `GRIDS`.
        label: a class of the items, or several in turn; none if absent. For a denoiser that is no `Model`, (B,) class
            indices.
        guidance: classifier-free scale; 1 is the plain conditional model.
        shape: of an item, where it is neither the operator's own nor the model's: a picture of another size.
        overlap: of the tiles of a picture larger than the model, in pixels.
        batch_size: how many items are restored at once; of larger pictures, how many tiles.
        progress: called after each step with steps done and in all.

    Raises:
        UserError: what does not fit together, with the reason.
    """
    if samples < 1:
        raise UserError(f"ask for at least 1 sample, got {samples}")
    if batch_size is not None and batch_size < 1:
        raise UserError(f"the batch size must be at least 1, got {batch_size}")
    if not len(observed):
        raise UserError("there is nothing to restore: the observation holds no item")
    use = _Use.of(model, solver, steps, grid, guidance, seed)
    bound = as_operator(operator, _item_shape(use, operator, shape))
    y = observed if use.device is None else observed.to(use.device, torch.float32)
    if isinstance(bound, Masked) and tuple(y.shape[1:]) == bound.out_shape:
        # What lies under the mask is no observation: a scribble of any colour, or NaN.
        y = torch.where(bound.kept.bool().to(y.device), y, 0)
    observation = Observation(bound, y, _level(noise))
    restorer, name, reason = _method(method)
    denoiser, tiled, rows = use.fitting(bound.bound_shape, overlap, batch_size)
    labels = _labels(model, label, len(y))
    pairs = [(i, k) for i in range(len(y)) for k in range(samples)]
    batches = [pairs[start : start + rows] for start in range(0, len(pairs), rows)]
    each = len(restorer.grid(use.times) if isinstance(restorer, Wrapper) else use.times) - 1
    parts = []
    for number, batch in enumerate(batches):

        def follow(i: int, t: Tensor, s: Tensor, x: Tensor, number: int = number) -> None:
            if progress is not None:
                progress(number * each + min(i + 1, each), len(batches) * each)

        items = torch.tensor([i for i, _ in batch], device=y.device)
        ids = [(first + i) << _SAMPLES_BITS | k for i, k in batch]
        parts.append(
            restorer.run(
                denoiser,
                Observation(bound, y[items], observation.noise),
                stream=Stream.of(seed, ids, device=y.device),
                times=use.times,
                solver=use.solver,
                callback=follow,
                **({} if labels is None else {"label": labels[items]}),
            )
        )
    x = torch.cat(parts)
    return Restored(
        samples=x.unflatten(0, (len(y), samples)),
        residual=_residual(bound, x, y.repeat_interleave(samples, 0)).reshape(len(y), samples),
        method=name,
        settings=Settings(
            method=name,
            options=dict(vars(restorer)),
            **use.named,
            seed=seed,
            noise=observation.noise,
            noise_estimated=noise == AUTO,
            tiled=tiled,
        ),
        reason=reason,
        posterior=restorer.posterior,
    )


def as_operator(operator: Operators, shape: Sequence[int]) -> Operator:
    """An operator for items of a shape, from an operator, a matrix or a linear function.

    Raises:
        UserError: it does not fit the shape, is not linear, or its adjoint is none.
    """
    if isinstance(operator, Operator):
        return operator.on(tuple(shape))
    raise UserError("give an operator")


@dataclass(frozen=True, eq=False)
class _Use:
    """How a model, or any denoiser, is used: with what is absent filled in.

    Attributes:
        shape: of the items the network was made for; None for a denoiser of any shape.
    """

    denoiser: Denoiser
    shape: tuple[int, ...] | None
    device: torch.device | None
    solver: Solver
    times: Tensor
    named: dict[str, Any]

    @classmethod
    def of(
        cls,
        model: Model | Denoiser,
        solver: str | Solver | None,
        steps: int | None,
        grid: str | None,
        guidance: float | None,
        seed: int,
    ) -> _Use:
        """The defaults are those of restoration, not those of sampling: see `SOLVER`."""
        named = solver if isinstance(solver, str) else SOLVER
        steps, grid = STEPS if steps is None else steps, grid or GRID
        if isinstance(model, Model):
            settings = settings_for(model, solver=named, steps=steps, grid=grid, guidance=guidance, seed=seed)
            check_prior(model.denoiser.process, (model.card.process.sigma_data or 1.0) ** 2)
            mover, times = solver_for(model, settings)
            denoiser, shape, device = guided(model, settings), model.shape, model.device
            scale = settings.guidance
        else:
            if guidance is not None:
                raise UserError("guidance needs a model with its labels: wrap the denoiser in pellucid.Guided instead")
            if not isinstance(model.process, Gaussian):
                raise UserError(f"restoration needs a Gaussian process, got {type(model.process).__name__}")
            mover, times = SOLVERS[named](), GRIDS[grid](model.process.schedule, steps)
            denoiser, shape, device, scale = model, None, None, 1.0
        if solver is not None and not isinstance(solver, str):
            mover, named = solver, type(solver).__name__
        return cls(
            denoiser,
            shape,
            device,
            mover,
            times,
            {"solver": named, "steps": steps, "grid": grid, "guidance": scale},
        )

    def fitting(
        self, shape: tuple[int, ...], overlap: int | None, batch_size: int | None
    ) -> tuple[Denoiser, bool, int]:
        """The denoiser for items of a shape, whether it works by tiles, and how many items are restored together."""
        if self.shape is None or shape == self.shape:
            return self.denoiser, False, batch_size or batch_for(shape)
        tiled = Tiled(self.denoiser, self.shape, overlap, batch_size or batch_for(self.shape))
        return tiled, True, 1


def _item_shape(use: _Use, operator: Operators, shape: Sequence[int] | None) -> tuple[int, ...]:
    """The shape that was given, the operator's own, or the model's."""
    if shape is not None:
        return tuple(shape)
    if isinstance(operator, Operator) and operator.shape is not None:
        return operator.shape
    if use.shape is None:
        raise UserError("this denoiser does not say what its items look like: give shape=, such as shape=(3, 64, 64)")
    return use.shape


def _level(noise: float | str) -> float:
    if isinstance(noise, str):
        raise UserError("noise")
    return float(noise)


def _method(method: str | Restorer) -> tuple[Restorer, str, str]:
    """The method, its name, and why it was chosen."""
    if isinstance(method, Restorer):
        return method, type(method).__name__, ""
    return RESTORERS[method](), method, ""


def _residual(operator: Operator, x: Tensor, y: Tensor) -> Tensor:
    """The root mean square of y - A x over the values that were seen, (B,)."""
    with torch.no_grad():
        square = (y - operator.forward(x)).flatten(1).square()
    seen = operator.kept.broadcast_to(operator.bound_shape) if isinstance(operator, Masked) else None
    return (square.sum(1) / (square.shape[1] if seen is None else seen.sum().clamp_min(1))).sqrt()


def _labels(model: Model | Denoiser, label: Labels | Tensor, num: int) -> Tensor | None:
    """The class of each item. Unlike a sample, an item that is restored has a class of its own, and where it is not
    told the model is asked without one."""
    if isinstance(label, Tensor):
        if label.shape != (num,):
            raise UserError(f"{num} items need as many labels, got a tensor of shape {tuple(label.shape)}")
        return label
    if isinstance(model, Model):
        if label is None and not model.card.label_names:
            return None
        return labels_for(model, range(num), "none" if label is None else label)
    if label is None:
        return None
    given = [label] if isinstance(label, str | int) else list(label)
    if not all(isinstance(each, int) for each in given):
        raise UserError("the classes of a denoiser that is no model have no names: give their indices")
    return torch.tensor([int(given[i % len(given)]) for i in range(num)])
