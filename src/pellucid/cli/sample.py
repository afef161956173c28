"""`pellucid sample`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from .conditions import Several, assigned, labels_in


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
    out: Path | None = None,
    force: Annotated[bool, Parameter(negative="")] = False,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Draw samples from a trained model: pictures, points, signals or texts, which are printed too.

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
    out
        A new folder for the files; RUN/made-1, numbered, if absent.
    force
        Sample even where the model's chain does not end at its prior.
    json
        Print what was made as JSON.
    """
    from ..auto import TOLERANCE
    from ..autoencoders.model import is_autoencoder
    from ..energies.ebm import is_ebm
    from ..foundations.errors import UserError
    from ..made import make
    from ..model import MODEL, from_stored, is_of_tokens, read
    from .autoencoders import sample_of_autoencoder
    from .console import say, say_json, steps_view, warn
    from .energies import sample_of_energy
    from .tokens import refuse, sample_of_tokens

    if tolerance is not None and steps != "auto":
        raise UserError("--tolerance is for --steps auto: give both, or neither")
    stored = read(run)
    if is_of_tokens(stored.saved.documents[MODEL]):
        odd = grid if grid != "even" else None
        automatic = steps if isinstance(steps, str) else None
        refuse(text=text, negative=negative, guidance_kind=guidance_kind, guide=guide, steps=automatic, grid=odd)
        return sample_of_tokens(
            stored,
            num,
            label=label,
            json=json,
            out=out,
            where=assigned("--where", where),
            guidance=guidance,
            solver=solver,
            steps=None if isinstance(steps, str) else steps,
            seed=seed,
            first=first,
            batch_size=batch_size,
        )
    # What only a denoiser can be told.
    asked = {"text": text, "where": where, "negative": negative}
    ways = {"guidance": guidance, "guidance_kind": guidance_kind, "guide": guide}
    beyond = {**asked, **ways, "solver": solver, "steps": steps, "grid": grid}
    if is_autoencoder(stored):
        refuse("of diffusion models, and this is an autoencoder", **beyond)
        return sample_of_autoencoder(
            stored, num, label=label, json=json, out=out, seed=seed, first=first, batch_size=batch_size
        )
    if is_ebm(stored):
        refuse("of diffusion models, and this is an energy model", label=label, **beyond)
        return sample_of_energy(stored, num, json=json, out=out, seed=seed, first=first, batch_size=batch_size)
    model = from_stored(stored)
    for note in model.notes:
        warn(note)
    if guide is not None:
        from ..guides import with_guide

        model = with_guide(model, guide)
    labels = None if label is None else labels_in(label, model.card.label_names)
    with steps_view("sampling") as update:
        made = make(
            model,
            num,
            out=out,
            label=labels,
            text=text,
            where=assigned("--where", where),
            negative=assigned("--negative", negative),
            guidance=guidance,
            guidance_kind=guidance_kind,
            solver=solver,
            steps=steps,
            tolerance=TOLERANCE if tolerance is None else tolerance,
            grid=grid,
            seed=seed,
            first=first,
            batch_size=batch_size,
            force=force,
            progress=update,
        )
    if json:
        say_json(made.to_json())
    else:
        if made.chosen is not None:
            say(made.chosen.sentence())
        say(f"{num} samples in {made.folder} ({made.seconds:.1f} s); at one look: {made.sheet}")
    return 0
