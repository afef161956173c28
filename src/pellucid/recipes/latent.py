"""Diffusion in the latent space of an autoencoder."""

from .base import Recipe

LATENT = Recipe(
    name="latent",
    summary="Diffusion in an autoencoder's latent space: give --autoencoder RUN, or both stages are trained.",
    settings={
        "kind": "latent",
        "data": {"source": "digits", "holdout": 0.2},
        # The first stage: a grid of codes, as many nats as they are worth (the bound on log p(x) itself).
        "autoencoder": {"flat": False, "latent": 4, "beta": 1.0},
        "training": {"budget": "10m", "batch_size": 32, "lr": 2e-3, "weight_decay": 0.01},
        "sampling": {"solver": "dpmpp-2m", "steps": 30},
    },
)
