"""Energy models of points."""

from .base import Recipe

EBM = Recipe(
    name="ebm",
    summary="An energy model that stands alone, by contrastive divergence: points, or the built-in moons.",
    settings={
        "kind": "ebm",
        "data": {"source": "moons"},
        "training": {"budget": "2m", "batch_size": 256, "lr": 1e-3, "pictures": 4},
    },
)
