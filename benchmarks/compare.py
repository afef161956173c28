"""A VAE and a diffusion model side by side on the same held-out digits: bounds on one axis, samples, costs.

    python benchmarks/compare.py [RUN ...] [--items 200] [--samples 500]

The tables are those of `pellucid compare RUN ... digits`, where `digits` is the model on the shelf; without a run, a
VAE is trained first by its recipe. Times are those of the wall, on a machine that others may be using; calls of
networks are exact.

Claim: ELBO <= IWAE(64) as bounds on log p, which the product checks, and the diffusion model's variational bound below
its ODE's estimate, which no theorem says of two different laws and which is shown.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from common import Page, arguments, table


def main() -> None:
    """Prints the tables and writes them to results/compare.md."""
    parser = arguments(__doc__)
    parser.add_argument("runs", type=Path, nargs="*")
    parser.add_argument("--items", type=int, default=200)
    parser.add_argument("--samples", type=int, default=500)
    parser.set_defaults(threads=1)
    options = parser.parse_args()
    import torch

    torch.set_num_threads(options.threads)
    from pellucid.comparison import axis_lines, compare, tables

    items, samples, k = (8, 40, 4) if options.quick else (options.items, options.samples, 64)
    with tempfile.TemporaryDirectory() as folder:
        runs = options.runs or [trained(Path(folder) / "vae", quick=options.quick)]
        found = compare(
            [*runs, "digits"],
            items=items,
            samples=samples,
            k=k,
            progress=lambda what, done, total: print(what, done, total, file=sys.stderr, flush=True),
        )
        page = Page("compare", "A VAE and a diffusion model on digits", quick=options.quick)
        names = " ".join(entry.name for entry in found.entries)
        page.say(f"`pellucid compare {names}`, {found.seconds:.0f} s on one thread.\n")
        page.say("```\n" + "\n".join(axis_lines(found)) + "\n```\n")
        for part in tables(found):
            page.say(f"## {part.title}\n")
            page.say(table(part.head, part.rows))
            page.say(f"\n{part.below}\n")
        for check in found.checks:
            page.say(f"- {'passed' if check.passed else 'FAILED'}: {check.text}")
        for note in (*found.notes, *(note for entry in found.entries for note in entry.notes)):
            page.say(f"- {note}")
        page.end()
    if not found.passed:
        sys.exit("a proven order is broken")


def trained(path: Path, *, quick: bool) -> Path:
    """A VAE on digits by its recipe."""
    from pellucid.config import nested, resolve
    from pellucid.recipes import RECIPES
    from pellucid.train.start import begin

    changes = nested({"training.budget": "640-items", "training.pictures": 0}) if quick else {}
    resolved = resolve([("recipe", {"recipe": "vae", **RECIPES["vae"].settings}), ("benchmark", changes)])
    return begin(resolved, path, observer=Silent()).run.path


class Silent:
    """An observer that says little."""

    def progress(self, *, items: int, total: int, loss: float, rate: float) -> None:
        """Nothing."""

    def message(self, text: str) -> None:
        """One line on standard error."""
        print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
