"""`pellucid restore`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from .conditions import Several, assigned


def restore(
    run: Path,
    /,
    *files: Path,
    task: str | None = None,
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
    samples: Annotated[int, Parameter(name=["--samples", "-n"])] = 1,
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
    picture goes through a grey model channel by channel, a grey one through a colour model and back to grey. Ends with
    0 where all files were restored, 1 where some were, 2 where none.

    Parameters
    ----------
    run
        A run folder, a checkpoint, a model folder, or a model that comes with pellucid: digits, photos64.
    files
        The damaged files: pictures, or .npy files in the data's own units.
    task
        What happened to them: inpaint, super-resolution, deblur, motion-deblur, denoise, colorize or demosaic.
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
        The files are clean: damage them first, restore that, and compare.
    samples
        Restorations of each file, with their mean and an uncertainty map.
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
    from ..model import MODEL, from_stored, is_of_tokens, read
    from ..restoration.damage_files import user_operator
    from ..restoration.made import restore_files
    from ..restoration.observe import Request
    from ..restoration.tasks import Options
    from .console import say, say_json, steps_view, warn

    stored = read(run)
    if is_of_tokens(stored.saved.documents[MODEL]):
        from .tokens import fill_in, refuse

        odd = {"task": task, "operator": operator, "noise": noise, "guidance": guidance, "files": list(files) or None}
        refuse(**odd, method=None if method == "auto" else method, grid=grid)
        return fill_in(
            stored,
            text or [],
            samples,
            label=label,
            where=assigned("--where", where),
            json=json,
            solver=solver,
            steps=steps,
            seed=seed,
            batch_size=batch_size,
            out=out,
        )
    model = from_stored(stored)
    for note in model.notes:
        warn(note)
    more = {
        "method": method,
        "solver": solver,
        "steps": steps,
        "grid": grid,
        "label": label,
        "text": text,
        "where": assigned("--where", where) or None,
        "guidance": guidance,
        "guidance_kind": guidance_kind,
        "overlap": overlap,
        "batch_size": batch_size,
    }
    request = Request(
        task=task,
        options=Options(mask, invert, factor, kernel, blur, length, angle, pattern, grow),
        operator=None if operator is None else user_operator(operator),
        noise=noise,
        peak=poisson,
        simulate=simulate,
        samples=samples,
        seed=seed,
        more={name: value for name, value in more.items() if value is not None},
    )
    result = restore_files(model, files, request, out=out, view=steps_view, told=warn if json else say)
    if json:
        say_json(result.to_json())
        return 1 if result.failed else 0
    for one in result.done:
        for note in one.notes:
            say(f"{one.file}: {note}")
        if one.reason:
            say(f"{one.file}: {one.method}: {one.reason}")
    say(f"{len(result.done)} of {len(files)} files restored in {result.folder}; at one look: {result.sheet}")
    return 1 if result.failed else 0
