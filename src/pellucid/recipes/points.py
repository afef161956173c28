"""Points in a few dimensions."""

from .base import Recipe

POINTS = Recipe(
    name="points",
    summary="Points of a csv or npy file, or the built-in moons.",
    settings={
        "data": {"source": "moons"},
        "training": {"budget": "60s", "batch_size": 512, "lr": 2e-3, "pictures": 4},
        "sampling": {"solver": "dpmpp-2m", "steps": 30},
    },
)
