"""Whether a text-to-image model of emoji knows which caption a picture has, by its own conditional likelihood.

    python benchmarks/emoji.py emoji32 [--concepts 200] [--levels 16]

The model is a run of the recipe `emoji`, or one on the shelf. One picture of each concept (a name without its skin
tones) is shown to the diffusion classifier (`pellucid.likelihood.classify`) with 16 captions: its own and 15 others.
The caption under which the denoiser errs least wins; chance is 1 in 16. The other captions come from the same side of
the split, so that for what was held out all 16 are captions never trained on: a strange picture is not given away by
the one strange caption. A second row of what was held out draws them from all captions instead.

Held-out concepts are of two kinds: new combinations, all of whose words were seen in training captions, and new words.
A share's error bar is Wilson's 95 % interval over concepts.

Goal: held-in pictures find their caption at least 80 times in 100, held-out concepts 35.
"""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
from common import Page, arguments, table

GOALS = {"held in": 0.80, "held out": 0.35}
CHOICES = 16
NOISE = (0.1, 20.0)  # sigma/alpha where pictures of this size take shape; the rest is alike under all captions


def main() -> None:
    """Prints the table and writes it to results/emoji.md."""
    parser = arguments(__doc__)
    parser.add_argument("model")
    parser.add_argument("--concepts", type=int, default=200)
    parser.add_argument("--levels", type=int, default=16)
    parser.add_argument("--precision", default="bfloat16", help="bfloat16 or float32")
    parser.set_defaults(threads=1)
    options = parser.parse_args()
    import torch

    torch.set_num_threads(options.threads)
    import pellucid as pl
    from pellucid.data.emoji import new_words

    model = pl.load(options.model)
    sides = dict(zip(("held in", "held out"), opened(model), strict=True))
    concepts, levels = (16, 4) if options.quick else (options.concepts, options.levels)
    size = sum(p.numel() for p in model.denoiser.parameters())
    page = Page("emoji", "Which caption is it?", quick=options.quick)
    page.say(
        f"{options.model}: {size:,} parameters; {len(sides['held in']):,} pictures trained on, "
        f"{len(sides['held out']):,} held out. Each picture with {CHOICES} captions, {levels} levels of noise from "
        f"{NOISE[0]:g} to {NOISE[1]:g}; one picture of each concept.\n"
    )
    everything = np.concatenate([captions(side) for side in sides.values()])
    rows, verdicts = [], []
    for name, side in sides.items():
        chosen = one_of_each(side, concepts)
        fresh = new_words(captions(side)[chosen].tolist(), captions(sides["held in"]).tolist())
        pools = {"the same side": captions(side), **({"all": everything} if name == "held out" else {})}
        for pool_name, pool in pools.items():
            start = time.process_time()
            right = found(model, side, chosen, pool, levels, options.precision)
            spent = time.process_time() - start
            kinds = {name: np.ones(len(right), bool)}
            if name == "held out":
                kinds |= {"  new combinations": ~fresh, "  new words": fresh}
            rows += [
                row(kind, pool_name, right[which], spent if kind == name else None) for kind, which in kinds.items()
            ]
            if pool_name == "the same side":
                met = "met" if right.mean() >= GOALS[name] else "not met"
                verdicts.append(f"{name} {100 * right.mean():.1f} % (goal {100 * GOALS[name]:.0f} %: {met})")
    page.say(table(["pictures", "other captions from", "concepts", "found", "95 % interval", "CPU s"], rows))
    page.say(f"\nChance is {100 / CHOICES:.1f} %. {'; '.join(verdicts)}.")
    page.end()


def opened(model: Any) -> tuple[Any, Any]:
    """The items that the model was trained on, and those held out: split as its recipe does, checked by their hash."""
    from pellucid.data import open_dataset, split
    from pellucid.recipes import RECIPES

    settings = RECIPES["emoji"].settings["data"]
    train, held = split(open_dataset(settings["source"], labels=settings["labels"]), settings["holdout"])
    if train.fingerprint() != model.card.data["sha256"]:
        raise SystemExit(
            "this model was trained on other items than the recipe's: there is no telling what it has seen"
        )
    return train, held


def captions(side: Any) -> np.ndarray:
    """(N,) the captions of a data set."""
    words: np.ndarray = side.columns[0].words
    return words


def one_of_each(side: Any, count: int) -> np.ndarray:
    """One item of each of so many groups at most, at random by a fixed seed."""
    random = np.random.default_rng(0)
    order = random.permutation(len(side))
    _, first = np.unique(side.groups[order], return_index=True)
    return np.sort(random.permutation(order[first])[:count])


def others(side: Any, item: int, pool: np.ndarray, random: np.random.Generator) -> list[str]:
    """A caption and 15 different ones, none of which names a picture like it."""
    own = captions(side)[item]
    alike = captions(side)[side.groups == side.groups[item]]
    free = pool[~np.isin(pool, alike)]
    return [own, *random.choice(free, CHOICES - 1, replace=False).tolist()]


def found(model: Any, side: Any, chosen: np.ndarray, pool: np.ndarray, levels: int, precision: str) -> np.ndarray:
    """(N,) whether each chosen item's own caption wins."""
    import torch

    from pellucid.likelihood import classify

    random = np.random.default_rng(1)
    asked = [others(side, item, pool, random) for item in chosen]
    (column,) = side.columns
    texts, place = np.unique(np.array(asked), return_inverse=True)
    x0 = side.fetch(chosen)[0]
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
        network = model.denoiser.network
        encoded = network.encoded({column.part.name: column.part.encode(texts.tolist())})
        given = {name: value[torch.from_numpy(place.reshape(-1, CHOICES))] for name, value in encoded.items()}
        low, high = NOISE
        judged = classify(
            model.denoiser, x0, given, levels=levels, noise_min=low, noise_max=high, ids=torch.from_numpy(chosen)
        )
    right: np.ndarray = (judged.best == 0).numpy()
    return right


def row(kind: str, pool: str, right: np.ndarray, seconds: float | None) -> list[str]:
    """One line of the table."""
    from pellucid.foundations.measured import wilson

    share = float(right.mean()) if len(right) else math.nan
    low, high = wilson(int(right.sum()), len(right)) if len(right) else (math.nan, math.nan)
    spent = "" if seconds is None else f"{seconds:.0f}"
    return [kind, pool, str(len(right)), f"{100 * share:.1f} %", f"{100 * low:.1f} to {100 * high:.1f} %", spent]


if __name__ == "__main__":
    main()
