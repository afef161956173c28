"""Texts as symbols, by masked diffusion."""

from .base import Recipe

_TRAINING = {"lr": 3e-3, "weight_decay": 0.01, "batch_size": 128}

NAMES = Recipe(
    name="names",
    # 400,000 items at width 96: 3.76 bits per character on held-out names; a smoothed trigram model needs 3.81.
    summary="Names of people, character by character, by sex or as surnames; 84 % of samples are new and name-like.",
    settings={
        "kind": "tokens",
        "data": {"source": "names"},
        "process": {"kind": "absorbing", "schedule": "linear"},
        "training": {"budget": "10m", **_TRAINING},
        "sampling": {"solver": "cached", "steps": 32},
    },
)

VERSES = Recipe(
    name="verses",
    # 160,000 items at width 128: 1.89 bits per character on held-out verses; a smoothed 4-gram model needs 1.98.
    summary="Verses of the King James Bible by book, in pieces of words.",
    settings={
        "kind": "tokens",
        "data": {"source": "verses"},
        "process": {"kind": "absorbing", "schedule": "linear"},
        "training": {"budget": "20m", **_TRAINING, "batch_size": 32},
        "sampling": {"solver": "cached", "steps": 64},
    },
)

PRIOR = Recipe(
    name="prior",
    summary="Masked diffusion over the codes of a code book: give --autoencoder RUN, or both stages are trained.",
    settings={
        "kind": "prior",
        "data": {"source": "digits", "holdout": 0.2},
        "process": {"kind": "absorbing", "schedule": "linear"},
        "training": {"budget": "10m", **_TRAINING, "batch_size": 64},
        "sampling": {"solver": "ancestral", "steps": 49, "guidance": 2.0},
    },
)

TEXT = Recipe(
    name="text",
    summary="Your text file: a line an item, or cut into windows.",
    settings={
        "kind": "tokens",
        "process": {"kind": "absorbing", "schedule": "linear"},
        "training": {"budget": "20m", **_TRAINING, "batch_size": 32},
        "sampling": {"solver": "cached", "steps": 64},
    },
)
