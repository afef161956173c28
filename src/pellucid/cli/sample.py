"""`pellucid sample`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from .conditions import Several
from .kinds import ask, flags


def sample(
    run: Path,
    /,
    *,
    num: Annotated[int, Parameter(name=["--num", "-n"])] = 16,
    label: str | None = None,
    text: Several = None,
    where: Several = None,
    negative: Several = None,
    guidance: float | None = None,
    guidance_kind: str | None = None,
    guide: Path | None = None,
    solver: str | None = None,
    steps: int | Literal["auto"] | None = None,
    tolerance: float | None = None,
    grid: str | None = None,
    seed: int = 0,
    first: int = 0,
    batch_size: int | None = None,
    length: int | None = None,
    out: Path | None = None,
    force: Annotated[bool, Parameter(negative="")] = False,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Draw samples from a trained model: pictures, points, signals, rows of tables, or texts, which are printed too.

    Sample i depends on the model, the settings, the seed and i alone: not on how many are made, nor in what batches.

    Parameters
    ----------
    run
        A run folder, a checkpoint or a model folder.
    num
        How many.
    label
        A class, or several in turn (cat,dog); "none" for no class. All classes in turn where nothing is asked for.
    text
        What is to be seen, in words, for models that learned from captions; given again, texts take turns.
    where
        Any other condition by its name, as in age=3.5 (pellucid info RUN lists them); given again, values take turns.
        Of a table: what a column says, as in species=Adelie; the other columns follow given that.
    negative
        What guidance moves away from, as in text=blue; nothing in particular if absent.
    guidance
        How strongly it is asked for: 1 is the plain conditional model.
    guidance_kind
        How: classifier-free; rescaled, which keeps the contrast; or projected, which does not saturate.
    guide
        Another model to guide by: a weaker run of the same data, or a classifier (pellucid train classifier RUN).
    solver
        A name, such as asinh-adams, dpmpp-2m, heun, ddim or ancestral; fitted, for one that `tune` made. Of texts:
        ancestral, cached, first-hitting, remasking, confidence, corrected, euler or tau-leaping.
    steps
        Steps of the solver; auto for the fewest that end within the tolerance, found on 16 of the model's paths.
    tolerance
        Of --steps auto: median distance to the accurate solution, in the model's scale; 0.02 if absent.
    grid
        Where in time it stops: asinh, cosine, karras, log-snr, quadratic or uniform.
    seed
        Any integer.
    first
        The number of the first sample.
    batch_size
        How many are made at once.
    length
        Steps of each series, of a model of series with lengths of their own; drawn from those of the data if absent.
    out
        A new folder for the files; RUN/made-1, numbered, if absent.
    force
        Sample even where the model's chain does not end at its prior.
    json
        Print what was made as JSON.
    """
    return ask("sample", run, flags(sample, locals()))
