"""A model, or any denoiser, made ready to restore: its solver and times, and how it serves pictures of another size."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from ..asked import Asked, conditions_for
from ..data.codecs import SeriesCodec
from ..data.encoding import NONE
from ..denoisers import Denoiser
from ..foundations.errors import UserError
from ..generate import batch_for
from ..model import Model
from ..operators import Operator
from ..operators.compose import Compose
from ..operators.simple import Crop
from ..processes.checks import check_prior
from ..processes.gaussian import Gaussian
from ..processes.times import GRIDS
from ..sampling import GUIDANCE_KIND, guided, settings_for, solver_for
from ..solvers import SOLVERS, Solver
from .tiles import Tiled

SOLVER, STEPS, GRID = "ancestral", 50, "asinh"  # of restorations, where nothing else is asked for


@runtime_checkable
class Shaped(Protocol):
    """Whatever knows what its items look like."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one item."""
        ...


@dataclass(frozen=True, eq=False)
class Prepared:
    """How a model is used, with what is absent filled in.

    Attributes:
        denoiser: under guidance, if any.
        shape: of the items it was made for; None for a denoiser of any shape.
        device: where observations go; None leaves them where they are, in their own precision.
        solver, times: what moves, and when.
        named: solver, steps, grid and guidance as one would ask for them.
        any_length: whether the items are series, of any length up to that of the shape.
    """

    denoiser: Denoiser
    shape: tuple[int, ...] | None
    device: torch.device | None
    solver: Solver
    times: Tensor
    named: dict[str, Any]
    any_length: bool = False

    def fitting(self, shape: tuple[int, ...], overlap: int | None, batch_size: int | None) -> Fit:
        """How items of a shape are restored.

        A larger picture goes through the network by tiles; a smaller one is the inside of a picture that the model
        knows, whose outside was not seen.

        Args:
            overlap, batch_size: as of `restore`.

        Raises:
            UserError: items of another kind than the model's.
        """
        rows = batch_size or batch_for(shape)
        if self.shape is None or shape == self.shape:
            return Fit(self.denoiser, shape, rows, False)
        if self.any_length and len(shape) == 2 and shape[0] == self.shape[0]:
            if shape[1] > self.shape[1]:
                raise UserError(
                    f"a series of {shape[1]} steps, and the model knows at most {self.shape[1]}: cut it to these"
                )
            return Fit(self.denoiser, shape, rows, False)
        if len(shape) != len(self.shape) or len(shape) < 2 or shape[0] != self.shape[0]:
            raise UserError(
                f"the operator is for items of shape {shape}, and the model's have the shape {self.shape}: pictures "
                "and signals may be of another size, but not of other channels, and vectors not of another length"
            )
        whole = (shape[0], *(max(pair) for pair in zip(shape[1:], self.shape[1:], strict=True)))
        if whole == self.shape:
            return Fit(self.denoiser, whole, rows, False)
        return Fit(Tiled(self.denoiser, self.shape, overlap, batch_size or batch_for(self.shape)), whole, 1, True)


@dataclass(frozen=True, eq=False)
class Fit:
    """How items of a shape are restored.

    Attributes:
        denoiser: of pictures of the shape `whole`.
        whole: the item's shape, or a larger one that holds the item in its middle.
        rows: how many items go together.
        tiled: whether the denoiser works by tiles.
    """

    denoiser: Denoiser
    whole: tuple[int, ...]
    rows: int
    tiled: bool

    def inside(self, shape: tuple[int, ...]) -> Crop:
        """The window of the whole that the item is."""
        margins = [large - small for large, small in zip(self.whole[1:], shape[1:], strict=True)]
        return Crop(tuple(margin // 2 for margin in margins), shape[1:]).on(self.whole)

    def operator(self, operator: Operator) -> Operator:
        """The operator on the whole: what was seen of the item is what was seen of the whole."""
        shape = operator.bound_shape
        return operator if shape == self.whole else Compose((operator, self.inside(shape))).on(self.whole)

    def item(self, x: Tensor, shape: tuple[int, ...]) -> Tensor:
        """The item within the whole, (B, *whole) to (B, *shape)."""
        return x if shape == self.whole else self.inside(shape).forward(x)


def shape_of(model: Model | Denoiser) -> tuple[int, ...] | None:
    """The shape of the items that a model was made for; None for a denoiser that does not say."""
    if isinstance(model, Model):
        return model.item_shape
    return model.shape if isinstance(model, Shaped) else None


def prepare(
    model: Model | Denoiser,
    *,
    solver: str | Solver | None = None,
    steps: int | None = None,
    grid: str | None = None,
    guidance: float | None = None,
    guidance_kind: str | None = None,
) -> Prepared:
    """A model with the settings of a restoration; the defaults are `SOLVER`, `STEPS` and `GRID`.

    Raises:
        UserError: names or numbers that the model cannot serve, or a process that is not Gaussian.
    """
    named = solver if isinstance(solver, str) else SOLVER
    steps, grid = STEPS if steps is None else steps, grid or GRID
    if isinstance(model, Model):
        # The model's own default of guidance is for samples that look typical, and would bias what was really there.
        scale = 1.0 if guidance is None else guidance
        settings = settings_for(
            model, solver=named, steps=steps, grid=grid, guidance=scale, guidance_kind=guidance_kind
        )
        check_prior(model.denoiser.process, (model.card.process.sigma_data or 1.0) ** 2)
        mover, times = solver_for(model, settings)
        denoiser, device, kind = guided(model, settings), model.device, settings.guidance_kind
    else:
        if guidance is not None or guidance_kind is not None:
            raise UserError("guidance needs a model with its labels: wrap a denoiser in pellucid.Guided instead")
        if not isinstance(model.process, Gaussian):
            raise UserError(f"restoration needs a Gaussian process, not {type(model.process).__name__}")
        mover, times = SOLVERS[named](), GRIDS[grid](model.process.schedule, steps)
        denoiser, device, scale, kind = model, None, 1.0, GUIDANCE_KIND
    if solver is not None and not isinstance(solver, str):
        mover, named = solver, type(solver).__name__
    return Prepared(
        denoiser,
        shape_of(model),
        device,
        mover,
        times,
        {"solver": named, "steps": steps, "grid": grid, "guidance": scale, "guidance_kind": kind},
        isinstance(model, Model) and isinstance(model.card.codec, SeriesCodec),
    )


def conditions_of_items(model: Model | Denoiser, asked: Asked, num: int) -> dict[str, Tensor]:
    """What each item is, (num, *): the given values in turn.

    Unlike a sample, an item that is restored is something already; where it is not told, the model is asked without.

    Raises:
        UserError: what the model does not understand; for a denoiser that is none, anything but indices of classes.
    """
    label = asked.label
    if isinstance(label, Tensor):
        if label.shape != (num,):
            raise UserError(f"{num} items need as many labels, got a tensor of shape {tuple(label.shape)}")
        others = conditions_of_items(model, replace(asked, label=None), num)
        return {**others, "label": label}
    if isinstance(model, Model):
        if asked.nothing:
            asked = Asked(label=NONE) if model.card.label_names else asked
        return conditions_for(model, asked).at(range(num))
    if asked.text is not None or asked.where:
        raise UserError("texts and other conditions need a model that was trained with them, not a bare denoiser")
    if label is None:
        return {}
    given = [label] if isinstance(label, str | int) else list(label)
    if not given or not all(isinstance(each, int) for each in given):
        raise UserError("the classes of a denoiser that is no model have no names: give their indices")
    return {"label": torch.tensor([int(given[i % len(given)]) for i in range(num)])}
