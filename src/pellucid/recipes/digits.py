"""Handwritten digits, by class."""

from .base import Recipe

DIGITS = Recipe(
    name="digits",
    summary="MNIST digits, 28x28, class-conditional.",
    settings={
        "data": {"source": "digits", "holdout": 0.2},
        "training": {"budget": "200s", "batch_size": 128, "lr": 3e-3},
        "sampling": {"solver": "dpmpp-2m", "steps": 20, "guidance": 2.0},
    },
)

DIGITS8 = Recipe(
    name="digits8",
    summary="scikit-learn's digits, 8x8, class-conditional.",
    settings={
        "data": {"source": "digits8", "holdout": 0.2},
        "training": {"budget": "60s", "batch_size": 128, "lr": 3e-3},
        "sampling": {"solver": "dpmpp-2m", "steps": 20, "guidance": 1.5},
    },
)
