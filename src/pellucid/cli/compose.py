"""`pellucid compose`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def compose(
    *runs: Path,
    num: Annotated[int, Parameter(name=["--num", "-n"])] = 16,
    how: str = "product",
    weights: str | None = None,
    labels: str | None = None,
    chain: str | None = None,
    steps: int = 40,
    moves: int = 8,
    seed: int = 0,
    first: int = 0,
    batch_size: int | None = None,
    out: Path | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Draw samples of several models together: their product, their mixture, or one that avoids another.

    The models share one process, shape and scale; one model may come twice, with two labels. Models trained with
    --set network.energy=true know their energies, and are composed by adjusted moves, which are exact.

    Parameters
    ----------
    runs
        Two or more run folders, checkpoints or model folders.
    num
        How many.
    how
        product, mixture or negation.
    weights
        Parted by commas, one for each model: powers of a product, shares of a mixture, or 1 and a power below 1.
    labels
        Parted by commas, one for each model; "none" for no class.
    chain
        The moves at each level of noise: ula, mala or hmc; mala where all models know their energies, else ula.
    steps
        Levels of noise.
    moves
        At each level.
    seed
        Any integer.
    first
        The number of the first sample.
    batch_size
        How many are made at once.
    out
        A new folder for the files; composed-1, numbered, if absent.
    json
        Print what was made as JSON.
    """
    from ..energies.composed import make_together
    from ..foundations.errors import UserError
    from ..model import load
    from .console import say, say_json, steps_view, warn

    try:
        numbers = None if weights is None else [float(part) for part in weights.split(",")]
    except ValueError:
        raise UserError(f"--weights takes numbers parted by commas, got {weights!r}; for example 1,0.5") from None
    models = [load(run) for run in runs]
    for model in models:
        for note in model.notes:
            warn(note)
    with steps_view("composing") as update:
        made, found = make_together(
            models,
            num,
            how=how,
            out=out,
            weights=numbers,
            labels=None if labels is None else [part.strip() for part in labels.split(",")],
            chain=chain,
            steps=steps,
            moves=moves,
            seed=seed,
            first=first,
            batch_size=batch_size,
            progress=update,
        )
    if json:
        acceptance = None if found.pilot is None else list(found.pilot.acceptance)
        say_json({**made.to_json(), "chain": found.chain, "acceptance": acceptance})
        return 0
    say(f"{num} samples in {made.folder} ({made.seconds:.1f} s); at one look: {made.sheet}")
    say(found.sentence())
    return 0
