"""What a latent space buys: a latent and a pixel-space model of the same pictures, side by side.

    python benchmarks/latent.py LATENT PIXEL [--samples 128] [--items 16]

LATENT is a run of `pellucid train latent`, PIXEL one of a pixel-space recipe on the same data. The first table is
training speed alone, in this process and by turns: the latent run's network and the pixel run's, and for each patch
(the side of the squares of pixels that a network folds into channels at its door) the pixel-space network of the rule's
structure whose width gives it the nearest parameter count. Images a second are those of the processor's time,
which other work on the machine changes little. The second table is the two runs as they are: quality of samples
against held-out pictures, under the captions of these where the models know captions, and bits a value by every bound.
The autoencoder's own row is that of other held-out pictures that went through it: what the latent model could reach.
Both sets are spread evenly over a list whose neighbours are alike, so that equal laws come out below zero.

Floor: the latent run trains on at least 4 times as many images a second as the pixel-space network of equal parameter
count at the full resolution (patch 1).
"""

from __future__ import annotations

import dataclasses
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import Page, arguments, table

FLOOR = 4.0
TURNS = 4


def main() -> None:
    """Prints the tables and writes them to results/latent.md."""
    parser = arguments(__doc__)
    parser.add_argument("latent", type=Path)
    parser.add_argument("pixel", type=Path)
    parser.add_argument("--samples", type=int, default=128)
    parser.add_argument("--items", type=int, default=16)
    parser.set_defaults(threads=1)
    options = parser.parse_args()
    import torch

    torch.set_num_threads(options.threads)
    import pellucid as pl

    page = Page("latent", "Latent and pixel space, side by side", quick=options.quick)
    models = {"latent": pl.load(options.latent), "pixel": pl.load(options.pixel)}
    ratio = speed(page, options, models)
    used(page, options, models)
    page.say(f"\nFloor of {FLOOR:g} times the images a second: {'met' if ratio >= FLOOR else 'MISSED'} ({ratio:.1f}).")
    page.end()
    sys.exit(0 if ratio >= FLOOR or options.quick else 1)


def speed(page: Page, options: Any, models: dict[str, Any]) -> float:
    """The first table; images a second of the latent run's network over the equal one's at patch 1."""
    from pellucid.foundations.devices import best_device
    from pellucid.nn import training_flops
    from pellucid.train.engine import Engine
    from pellucid.train.start import KINDS
    from pellucid.train.trainee import Trainee

    spec, own = models["latent"].card.network, models["pixel"].card.network
    count = parameters(spec)
    rows = [("latent", "latent", spec)]
    rows += [(f"pixel, equal count, patch {patch}", "pixel", equal(own, patch, count)) for patch in (1, 2)]
    if own != rows[1][2]:
        rows.append(("pixel, its run's network", "pixel", own))
    ready = {}
    for kind, path in (("latent", options.latent), ("pixel", options.pixel)):
        config = settings(path)
        ready[kind] = (KINDS[config.kind], KINDS[config.kind].prepare(config))
    trainees: list[Trainee[Any]] = []
    for _, kind, network in rows:
        made, prepared = ready[kind]
        engine = Engine(best_device(), prepared.config.training.precision)
        trainees.append(made.trainee(prepared.config, network, engine))
        trainees[-1].step(prepared.batches, items=0, step=1, lr=0.0)
    spent, seen = [0.0] * len(rows), [0] * len(rows)
    for turn in range(1 if options.quick else TURNS):
        for i, (_, kind, _) in enumerate(rows):
            _, prepared = ready[kind]
            size = prepared.config.training.batch_size
            started = time.process_time()
            for step in range(1 if options.quick else 2):
                trainees[i].step(prepared.batches, items=(1 + turn + step) * size, step=2 + turn + step, lr=0.0)
                seen[i] += size
            spent[i] += time.process_time() - started
    rates = [number / seconds for number, seconds in zip(seen, spent, strict=True)]
    page.say(
        table(
            ("training", "width", "parameters", "MFLOP an image", "images/s", "latent is"),
            [
                (
                    name,
                    network.width,
                    f"{parameters(network):,}",
                    f"{training_flops(network) / 1e6:,.0f}",
                    f"{rate:.1f}",
                    f"{rates[0] / rate:.1f} x",
                )
                for (name, _, network), rate in zip(rows, rates, strict=True)
            ],
        )
    )
    return rates[0] / rates[1]


def used(page: Page, options: Any, models: dict[str, Any]) -> None:
    """The second table: samples against held-out pictures, and bits a value."""
    import torch

    from pellucid.latents.codec import LatentCodec
    from pellucid.latents.report import first_stage
    from pellucid.metrics import kernel
    from pellucid.metrics.features import PCA
    from pellucid.score import scores
    from pellucid.train.run import Run
    from pellucid.train.start import open_split

    train, held = open_split(settings(options.latent))
    count = min(8 if options.quick else options.samples, len(held))
    some = np.linspace(0, len(held) - 1, count).astype(np.int64)
    x = held.codec.encode(np.asarray(held.items[some]))
    few = train.codec.encode(np.asarray(train.items[np.linspace(0, len(train) - 1, min(2000, len(train))).astype(int)]))
    components = PCA.fit(few, 64)
    unit = components(few).std(0)
    rows = []
    for name, model in models.items():
        path = options.latent if name == "latent" else options.pixel
        started = time.process_time()
        made = sampled(model, held, some)
        seconds = time.process_time() - started
        last = Run.open(path).lines("train")[-1]
        judged = scores(model, held.subset(some[: 2 if options.quick else options.items]), evaluations=64, steps=32)
        distance = kernel.kid(components(made) / unit, components(x) / unit)
        rows.append(
            (
                f"{name} run",
                f"{last['items']:,}",
                interval(distance),
                *(f"{score.bits_per_dim:.3f} ± {score.over_items:.3f}" for score in judged),
                f"{1000 * seconds / count:.0f}",
            )
        )
    codec = models["latent"].card.codec
    assert isinstance(codec, LatentCodec)
    # Of other pictures than those they are compared with, as samples are: pairs would seem nearer than equal laws.
    others = np.setdiff1d(np.arange(len(held)), some)[:: max(1, len(held) // count - 1)][:count]
    with torch.no_grad():
        through = torch.cat([codec.outward(codec.encode(np.asarray(held.items[[i]]))) for i in others])
    distance = kernel.kid(components(through) / unit, components(x) / unit)
    rows.append(("autoencoder alone", "", interval(distance), "", "", ""))
    page.say(
        f"\n{count} samples against as many held-out pictures of {held.name}, by KID on 64 principal components of "
        f"training pictures, of unit variance each; bits a value on {min(options.items, count)} of them, ± as "
        "a sample of items. The latent run's bounds go through its latent.\n"
    )
    page.say(table(("model", "images seen", "KID (95 %)", "bits/dim, ODE", "bits/dim, bound", "CPU ms a sample"), rows))
    page.say(f"\nThe latent run has {first_stage(codec)}, of a range of 2.")


def sampled(model: Any, held: Any, rows: Any) -> Any:
    """Samples in the scale of pictures, asked for by the texts of held-out items where the model knows texts."""
    import torch

    import pellucid as pl

    texts = [column for column in held.columns if column.part.kind == "text"]
    asked = {"text": [str(word) for word in texts[0].words[rows]]} if texts and model.card.parts else {}
    made = pl.sample(model, len(rows), **asked)
    with torch.no_grad():
        return torch.cat([model.card.codec.outward(part) for part in made.split(32)])


def interval(scored: Any) -> str:
    """A distance with its interval."""
    return f"{scored.value:.4f} ({scored.low:.4f} to {scored.high:.4f})"


def settings(path: Path) -> Any:
    """A run's settings."""
    from pellucid.config import resolve
    from pellucid.train.run import Run

    return resolve([("", Run.open(path).config)]).config


def parameters(spec: Any) -> int:
    """Of the network that a spec describes."""
    import torch

    from pellucid.nn import build

    with torch.device("meta"):
        return sum(p.numel() for p in build(spec).parameters())


def equal(own: Any, patch: int, count: int) -> Any:
    """The pixel-space network of the rule's structure at a patch, whose width gives it the nearest parameter count."""
    from pellucid.nn.choose import structure

    found = structure(own.shape, patch)
    made = [
        dataclasses.replace(found, width=width, num_classes=own.num_classes, conditions=own.conditions)
        for width in range(8, 200, 8)
    ]
    return min(made, key=lambda spec: abs(parameters(spec) - count))


if __name__ == "__main__":
    main()
