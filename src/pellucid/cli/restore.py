"""`pellucid restore`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from .conditions import Several
from .kinds import ask, flags


def restore(
    run: Path,
    /,
    *files: Path,
    task: str | None = None,
    forecast: int | None = None,
    operator: str | None = None,
    mask: Path | None = None,
    invert: Annotated[bool, Parameter(negative="")] = False,
    grow: int | None = None,
    factor: int | None = None,
    kernel: Path | None = None,
    blur: float | None = None,
    length: float | None = None,
    angle: float | None = None,
    pattern: str | None = None,
    noise: float | Literal["auto"] | None = None,
    poisson: float | None = None,
    simulate: Annotated[bool, Parameter(negative="")] = False,
    samples: Annotated[int | None, Parameter(name=["--samples", "-n"])] = None,
    method: str = "auto",
    solver: str | None = None,
    steps: int | None = None,
    grid: str | None = None,
    label: str | None = None,
    text: Several = None,
    where: Several = None,
    guidance: float | None = None,
    guidance_kind: str | None = None,
    seed: int = 0,
    overlap: int | None = None,
    batch_size: int | None = None,
    out: Path | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Restore damaged files with a trained model.

    Pictures of any size and .npy arrays; a larger picture than the model's is restored by tiles that agree. A colour
    picture goes through a grey model channel by channel, a grey one through a colour model and back to grey. Of tables,
    the empty cells of csv files are filled: all else in them stays as it is, byte for byte. Ends with 0 where all files
    were restored, 1 where some were, 2 where none.

    Parameters
    ----------
    run
        A run folder, a checkpoint, a model folder, or a model that comes with pellucid: digits, photos64.
    files
        The damaged files: pictures, or .npy files in the data's own units; series also as .csv and .ts; tables as .csv.
    task
        What happened to them: inpaint, super-resolution, deblur, motion-deblur, denoise, colorize or demosaic.
    forecast
        Of a model of signals: so many steps beyond the end of each series. Without it and without a task, gaps are
        filled: empty cells, ? and NaN. Quantiles go into a csv, beside a fan chart.
    operator
        Instead of a task: module:object or file.py:object, your own operator, matrix or linear function.
    mask
        Of inpaint: a picture that is white where the other is to be filled and black elsewhere, or a .npy of 1 and 0.
    invert
        The mask is white where the picture is kept.
    grow
        Widen what the mask marks by so many pixels; 2 if absent for JPEG and WEBP, which smear a scribble, else 0.
    factor
        Of super-resolution; 4 if absent.
    kernel
        Of deblur: a picture of the kernel, or a .npy that sums to one.
    blur
        Of deblur: the standard deviation of a Gaussian blur, in pixels.
    length
        Of motion-deblur, in pixels.
    angle
        Of motion-deblur, in degrees, anticlockwise from the horizontal; 0 if absent.
    pattern
        Of demosaic: RGGB (if absent), BGGR, GRBG or GBRG.
    noise
        Standard deviation of the noise, in [-1, 1] units for pictures; auto estimates it. If absent: auto for denoise,
        deblur and motion-deblur, else 0.
    poisson
        The noise is that of counts, this many at full white.
    simulate
        The files are clean: damage them first, restore that, and compare; of a forecast, hold back the last steps, of
        held-out series of the run where no file is named.
    samples
        Restorations of each file, with their mean and an uncertainty map; 1 if absent. Of series: draws behind the
        quantiles; 100 if absent. Of tables: draws of each missing cell; 20 if absent.
    method
        auto, or a method: ddnm, ddnm+, ddrm, dps, diffpir, repaint, pnp, red, tikhonov, tv, wavelet and others.
    solver
        Of the methods that have one; ancestral if absent.
    steps
        Of the solver; 50 if absent.
    grid
        Where in time it stops; asinh if absent.
    label
        The files' class, of a model with classes; none if absent.
    text
        What the files show, in words, of a model that learned from captions; none if absent. Of a model of texts, a
        text to fill in: _ for each unknown symbol, ... at its end where it may go on, as in "J___n".
    where
        Any other condition by its name, as in age=3.5.
    guidance
        How strongly that is asked for.
    guidance_kind
        How: classifier-free; rescaled, which keeps the contrast; or projected, which does not saturate.
    seed
        Any integer.
    overlap
        Of neighbouring tiles, in pixels; a quarter of a tile if absent.
    batch_size
        Items, or tiles, that go through the network at once.
    out
        A new folder for the files; restored-1, numbered, if absent.
    json
        Print what was done as JSON.
    """
    return ask("restore", run, flags(restore, locals()))
