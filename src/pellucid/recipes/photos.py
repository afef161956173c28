"""A prior for photographs, made to restore them."""

from .base import Recipe

PHOTOS = Recipe(
    name="photos",
    summary="64x64 patches of freely licensed photographs, unconditional: a prior for restoration.",
    settings={
        # Whole pictures are held out: patches of one overlap.
        "data": {"source": "photos", "holdout": 0.04, "flip": True},
        # Restoration spends its calls where the picture takes shape and its detail, so the training times reach lower
        # noise than those of a model that is only sampled.
        "process": {"density_options": {"mean": -1.0, "std": 1.6}},
        # Four pixels in one: the same network costs a third at every use, and a picture in tiles is many uses.
        "network": {"patch": 2, "width": 48, "multipliers": [1, 2, 2, 2], "attention": []},
        "training": {"budget": "60m", "batch_size": 16, "lr": 2e-3, "weight_decay": 0.01},
        "sampling": {"solver": "dpmpp-2m", "steps": 30},
    },
)
