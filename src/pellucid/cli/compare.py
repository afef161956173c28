"""`pellucid compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def compare(
    runs: Annotated[list[Path], Parameter(negative="")],
    /,
    *,
    data: str | None = None,
    items: int = 200,
    samples: int = 500,
    k: int = 64,
    seed: int = 0,
    out: Path | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Put trained models of any kind side by side on the same held-out items: bounds, samples, costs.

    Bits for each value are taken by every method that a model's kind has: ELBO and IWAE(k) of a VAE, the variational
    bound and the ODE of a diffusion model, the bound of a code book. Where an order that theory proves is broken beyond
    the error bars, the exit code is 1.

    Parameters
    ----------
    runs
        Run folders, model folders or names of the shelf.
    data
        A folder of pictures, a .npz, .npy or .csv file, or a built-in set, what the models were trained on left out;
        their own held-out items, which must be the same, if absent.
    items
        How many of them the bounds are taken over.
    samples
        How many each model makes.
    k
        Draws of the importance-weighted bound.
    seed
        Any integer.
    out
        A new folder for the page; compare-1, numbered, if absent.
    json
        Print the result as JSON.
    """
    from ..comparison import axis_lines, tables, write_comparison
    from ..comparison import compare as compared
    from ..made import new_folder
    from .console import console, say, say_json, say_table, steps_view

    folder = new_folder(out, Path(), "compare")
    with steps_view("comparing") as update:
        found = compared(
            runs,
            data=data,
            items=items,
            samples=samples,
            k=k,
            seed=seed,
            progress=lambda what, done, total: update(done, total, what),
        )
    page = write_comparison(found, folder)
    if json:
        say_json({**found.to_json(), "page": str(page)})
        return 0 if found.passed else 1
    for part in tables(found):
        say_table(part.title, part.head, part.rows, words=2)
        say(part.below + "\n")
    for line in axis_lines(found):
        say(line)
    say()
    for check in found.checks:
        say(f"{'passed' if check.passed else 'FAILED'}: {check.text}")
    for note in (*found.notes, *(note for entry in found.entries for note in entry.notes)):
        say(note)
    console().print(f"{found.items:,} held-out items of {found.data}, {found.seconds:.0f} s")
    say(f"the page: {page}")
    return 0 if found.passed else 1
