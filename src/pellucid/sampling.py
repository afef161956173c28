"""What a sampling run is made of: its settings, solver, time grid, labels and guidance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .asked import Asked, Conditions, conditions_for, encoded
from .denoisers import Denoiser
from .foundations.errors import UserError, unknown
from .guidance import PAIRS
from .model import Model
from .processes.times import GRIDS
from .solvers import DDPM, SOLVERS, Solver

GUIDANCE_KIND = "classifier-free"
_BY_ANOTHER = ("auto", "classifier")
FITTED = "fitted"  # the name under which a model's own solvers go


@dataclass(frozen=True)
class Settings:
    """Everything that a sample depends on, beside the weights; what is absent is the model's default."""

    solver: str
    steps: int
    grid: str
    guidance: float
    guidance_interval: tuple[float, float] | None
    seed: int
    force: bool = False
    guidance_kind: str = GUIDANCE_KIND
    guide: str | None = None
    guide_weights: str | None = None


def settings_for(
    model: Model,
    *,
    solver: str | None = None,
    steps: int | None = None,
    grid: str | None = None,
    guidance: float | None = None,
    guidance_kind: str | None = None,
    seed: int = 0,
    force: bool = False,
) -> Settings:
    """The settings of a sampling run, with the model's defaults filled in.

    Raises:
        UserError: an unknown solver, grid or guidance, steps below 1, guidance of an unconditional model, or one that
            is not the guide's.
    """
    default, guide = model.card.sampling, model.guide
    chosen = Settings(
        solver=solver or default.solver,
        steps=default.steps if steps is None else steps,
        grid=grid or default.grid,
        guidance=default.guidance if guidance is None else guidance,
        guidance_interval=default.guidance_interval,
        seed=seed,
        force=force,
        guidance_kind=guidance_kind or (default.guidance_kind if guide is None else guide.kind),
        guide=None if guide is None else guide.origin,
        guide_weights=None if guide is None else guide.weights_hash,
    )
    if chosen.steps < 1:
        raise UserError(f"a sampler needs at least 1 step, got {chosen.steps}")
    solver_for(model, chosen)
    _kind_checked(model, chosen)
    if guidance not in (None, 1.0) and not model.card.schema and guide is None:
        raise UserError("this model was trained without labels, so there is nothing to guide: leave guidance out")
    return chosen


def _kind_checked(model: Model, settings: Settings) -> None:
    """Refuses a kind of guidance that is unknown, that needs a guide where there is none, or is not the guide's."""
    kind, guide = settings.guidance_kind, model.guide
    if guide is not None and kind != guide.kind:
        raise UserError(f"{guide.origin} guides by {guide.kind} guidance, not {kind}: leave out one of the two")
    if guide is None and kind in _BY_ANOTHER:
        raise UserError(f"{kind} guidance needs more than the model itself: give --guide, a weaker run or a classifier")
    if guide is None:
        _ = PAIRS[kind]  # an unknown name is told here
    if kind == "auto" and settings.guidance == 1:
        raise UserError("autoguidance at 1 is the model itself: give --guidance above 1")


def solver_for(model: Model, settings: Settings) -> tuple[Solver, Tensor]:
    """The solver and the time grid that settings name; "ddpm" with the model's own variance where it learned one.

    Raises:
        UserError: an unknown name, or a fitted solver for a number of steps that the model was not tuned for.
    """
    if settings.solver == FITTED:
        if settings.steps not in model.fitted:
            known = ", ".join(map(str, sorted(model.fitted))) or "none"
            raise UserError(
                f"no fitted solver of {settings.steps} steps; there are: {known}. Fit one: "
                f"pellucid tune {model.origin} --steps {settings.steps}"
            )
        fitted = model.fitted[settings.steps]
        return fitted, fitted.grid
    if settings.solver not in SOLVERS:
        raise unknown("solver", settings.solver, [*SOLVERS, FITTED])
    solver: Solver = SOLVERS[settings.solver]()
    # A guided estimate has no variance of its own.
    plain = model.guide is None and (settings.guidance == 1 or not model.card.schema)
    if isinstance(solver, DDPM) and model.denoiser.learned_variance and plain:
        solver = DDPM(variance=None)
    return solver, GRIDS[settings.grid](model.denoiser.process.schedule, settings.steps)


def labels_for(model: Model, ids: Sequence[int], label: Sequence[str | int] | str | int | None) -> Tensor | None:
    """The label of each sample id: the given ones in turn, or all classes in turn; None for an unconditional model."""
    if label is None and not model.card.label_names:
        return None
    choices = list(range(len(model.card.label_names))) if label is None else model.label_ids(label)
    return torch.tensor([choices[i % len(choices)] for i in ids], device=model.device)


def asked_for(model: Model, asked: Asked, settings: Settings, *, guidance: float | None = None) -> Conditions:
    """What samples are asked for, checked against the guidance that is to act on it.

    Args:
        guidance: the scale that the user gave, if any.

    Raises:
        UserError: as `conditions_for`; a guidance that nothing is given for, or a negative value that no guidance uses.
    """
    found = conditions_for(model, asked)
    if model.guide is not None and asked.negative:
        raise UserError("a negative value acts through classifier-free guidance: leave out the guide, or the negative")
    if guidance not in (None, 1.0) and not found.given and model.guide is None:
        known = ", ".join(part.name for part in model.card.schema)
        raise UserError(f"guidance acts on what is asked for, and nothing is: give one of {known}, or no guidance")
    if asked.negative and settings.guidance == 1:
        raise UserError("a negative value acts through guidance, which is 1 here: give --guidance above 1")
    return found


def guided(model: Model, settings: Settings, away: Mapping[str, Tensor] | None = None) -> Denoiser:
    """The model's denoiser under the settings' guidance.

    Args:
        away: the conditions to move away from, (1, *); "none" of everything that the model understands if absent.
    """
    low, high = settings.guidance_interval or (0.0, float("inf"))
    if model.guide is not None:
        return model.guide.around(model.denoiser, settings.guidance, low, high)
    if settings.guidance == 1 or not model.card.schema:
        return model.denoiser
    if away is None:
        away = encoded(model, {part.name: part.absent(1) for part in model.card.schema})
    return PAIRS[settings.guidance_kind](model.denoiser, settings.guidance, away, low, high)
