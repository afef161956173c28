"""Emoji by their names: text to image on one core."""

from .base import Recipe

EMOJI = Recipe(
    name="emoji",
    summary="3,655 emoji, 32x32, by caption.",
    settings={
        # Whole concepts are held out. The label is left out: it is a word for the group, which a caption implies.
        "data": {"source": "emoji", "labels": "none", "holdout": 0.1},
        "network": {"patch": 2, "width": 64, "multipliers": [1, 2, 3], "blocks": 1, "attention": [1, 2]},
        "training": {"budget": "60m", "batch_size": 32, "lr": 2e-3, "weight_decay": 0.01},
        "sampling": {"solver": "dpmpp-2m", "steps": 25, "guidance": 3.0},
    },
)
