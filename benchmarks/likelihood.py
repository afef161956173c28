"""What the likelihood of digits costs: bits a value, error bars, calls of the network and seconds, for each method.

    python benchmarks/likelihood.py RUN [--items 1000]

RUN is a run on digits; its held-out items are judged, with their own labels, and where it held out fewer than asked for
the table says how many there were. Every method judges the same items. "Off by" is the mean over items of the
difference to the reference of the same kind and same draws: for the ODE, 256 steps; for the bound, 1,024 noise levels.
"±" is the standard error of the mean that the method's own random numbers make; that of the items as a sample is the
same for all rows and stands below the table.

Goal: off by at most 0.01 bits a value.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from common import Page, arguments, table


def main() -> None:
    """Prints the table and writes it to results/likelihood.md."""
    parser = arguments(__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--items", type=int, default=1000)
    options = parser.parse_args()
    import torch

    torch.set_num_threads(options.threads)
    import pellucid as pl
    from pellucid.config import resolve
    from pellucid.likelihood import VariationalNoise
    from pellucid.score import learn_noise, scores
    from pellucid.train.run import Run
    from pellucid.train.start import open_split

    model = pl.load(options.run)
    train_set, held = open_split(resolve([("", Run.open(options.run).config)]).config)
    count = min(options.items, len(held), 32 if options.quick else len(held))
    data = held.subset(np.arange(count))
    size = math.prod(model.shape)
    parameters = sum(p.numel() for p in model.denoiser.parameters())
    page = Page("likelihood", "The likelihood of digits", quick=options.quick)
    page.say(f"{count:,} held-out items of {data.name}, {size} values each; a network of {parameters:,} parameters.\n")

    ode = {
        "ODE, 16 steps, 2 probes": {"steps": 16},
        "ODE, 24 steps, 2 probes": {"steps": 24},
        "ODE, 32 steps, 2 probes": {"steps": 32},
        "ODE, 64 steps, 2 probes": {"steps": 64},
        "ODE, 64 steps, hutch++ (6)": {"steps": 64, "trace": "hutch++"},
        "ODE, 32 steps, 4 draws in the bin": {"steps": 32, "importance_samples": 4},
    }
    bound = {f"bound, {n} noise levels": {"evaluations": n} for n in (8, 16, 32, 64)}
    # What is not looked at is done as cheaply as can be.
    cheap, least = {"steps": 4}, {"evaluations": 2}
    reference = scores(model, data, steps=256, probes=2, evaluations=1024 if not options.quick else 64)
    rows = []
    for name, chosen in ode.items():
        rows.append(row(name, scores(model, data, **{**least, **chosen})[0], reference[0]))
    noise = learn_noise(model, train_set, seed=0)
    rows.append(
        row(
            "ODE, 32 steps, learned noise"
            if isinstance(noise, VariationalNoise)
            else "ODE, 32 steps, learned noise refused",
            scores(model, data, noise=noise, steps=32, **least)[0],
            reference[0],
        )
    )
    rows.append(row("ODE, reference", reference[0], reference[0]))
    for name, chosen in bound.items():
        rows.append(row(name, scores(model, data, **{**cheap, **chosen})[1], reference[1]))
    rows.append(row("bound, reference", reference[1], reference[1]))
    page.say(table(["method", "bits/dim", "off by", "±", "calls", "products", "seconds"], rows))
    page.say(
        f"\nAs a sample of digits the items give ± {reference[0].over_items:.4f} (ODE) and "
        f"± {reference[1].over_items:.4f} (bound). Calls and products are for each item; seconds for all."
    )
    page.end()


def row(name: str, score, reference) -> list[str]:  # type: ignore[no-untyped-def]
    """One line of the table."""
    return [
        name,
        f"{score.bits_per_dim:.4f}",
        f"{score.bits_per_dim - reference.bits_per_dim:+.4f}",
        f"{score.of_estimator:.4f}",
        f"{score.evaluations}",
        f"{score.products}",
        f"{score.seconds:.1f}",
    ]


if __name__ == "__main__":
    main()
