"""Time series."""

from .base import Recipe

SIGNALS = Recipe(
    name="signals",
    summary="Time series of a .csv, .ts, .npy or .npz file or a folder of .npy, or days of power demand, by class.",
    settings={
        "data": {"source": "power", "kind": "series", "holdout": 0.2},
        "training": {"budget": "150s", "batch_size": 64, "lr": 2e-3, "weight_decay": 0.01, "pictures": 4},
        "sampling": {"solver": "dpmpp-2m", "steps": 30},
    },
)
