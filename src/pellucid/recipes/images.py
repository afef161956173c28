"""Any folder of pictures."""

from .base import Recipe

IMAGES = Recipe(
    name="images",
    summary="Your folder of pictures: size and colour by the data's rule, labels by sub-folder or csv.",
    settings={
        "data": {"flip": True},
        "training": {"budget": "20m", "batch_size": 32, "lr": 2e-3},
        "sampling": {"solver": "dpmpp-2m", "steps": 30},
    },
)
