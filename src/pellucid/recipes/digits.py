"""Handwritten digits, by class."""

from .base import Recipe

# Two things decide digits at a small budget, each measured on 20,000 items of 28x28 (label agreement at guidance 2):
# training times centred at high noise, where the strokes are decided (log-mean -0.8: 0.48, 0: 0.77, 0.5: 0.86),
# and many steps on small batches (128: 0.46 after twice the items, 64: 0.77, 32: 0.90). Attention cost 15 % of the time
# and gained nothing.
_PROCESS = {"density_options": {"mean": 0.3, "std": 1.2}}
_TRAINING = {"batch_size": 32, "lr": 3e-3, "weight_decay": 0.01}

DIGITS = Recipe(
    name="digits",
    summary="MNIST digits, 28x28, class-conditional.",
    settings={
        "data": {"source": "digits", "holdout": 0.2},
        "process": _PROCESS,
        "network": {"attention": []},
        "training": {"budget": "200s", **_TRAINING},
        # Guidance where the class is decided: full agreement at less cost in variety than everywhere.
        "sampling": {"solver": "dpmpp-2m", "steps": 20, "guidance": 2.0, "guidance_interval": (0.2, 4.0)},
    },
)

DIGITS8 = Recipe(
    name="digits8",
    summary="scikit-learn's digits, 8x8, class-conditional.",
    settings={
        "data": {"source": "digits8", "holdout": 0.2},
        "process": _PROCESS,
        "training": {"budget": "60s", **_TRAINING},
        "sampling": {"solver": "dpmpp-2m", "steps": 20, "guidance": 1.5},
    },
)
