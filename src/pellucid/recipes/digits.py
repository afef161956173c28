"""Handwritten digits, by class."""

from .base import Recipe

DIGITS = Recipe(
    name="digits",
    summary="MNIST digits, 28x28, class-conditional.",
    settings={
        "data": {"source": "digits", "holdout": 0.2},
        # The strokes of a digit are decided at high noise: training times centred there (EDM's own centre for photographs,
        # -1.2, halves the label agreement at equal time).
        "process": {"density_options": {"mean": 0.4, "std": 1.2}},
        "training": {"budget": "200s", "batch_size": 64, "lr": 4e-3, "weight_decay": 0.01},
        "sampling": {"solver": "dpmpp-2m", "steps": 20, "guidance": 2.0},
    },
)

DIGITS8 = Recipe(
    name="digits8",
    summary="scikit-learn's digits, 8x8, class-conditional.",
    settings={
        "data": {"source": "digits8", "holdout": 0.2},
        "process": {"density_options": {"mean": 0.0, "std": 1.2}},
        "training": {"budget": "60s", "batch_size": 64, "lr": 4e-3, "weight_decay": 0.01},
        "sampling": {"solver": "dpmpp-2m", "steps": 20, "guidance": 1.5},
    },
)
