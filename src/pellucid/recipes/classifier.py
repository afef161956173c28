"""A classifier of noisy data, to guide a model that knows no classes."""

from .base import Recipe

CLASSIFIER = Recipe(
    name="classifier",
    summary="A classifier of noisy items, for guidance: give a run, whose data it takes, or data with labels.",
    settings={
        "kind": "classifier",
        "data": {"source": "digits", "holdout": 0.2},
        # Guidance needs it at every noise level, each factor of noise alike.
        "process": {"density": "log-uniform", "density_options": {"noise_min": 0.01}},
        "training": {"budget": "3m", "batch_size": 128, "lr": 2e-3, "weight_decay": 0.01},
    },
)
