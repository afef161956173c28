"""Autoencoders: a VAE with a likelihood, and code books."""

from .base import Recipe

_TRAINING = {"batch_size": 64, "lr": 2e-3, "weight_decay": 0.01}

VAE = Recipe(
    name="vae",
    summary="A variational autoencoder with a likelihood, class-conditional where there are labels.",
    settings={
        "kind": "vae",
        "data": {"source": "digits", "holdout": 0.2},
        "training": {"budget": "5m", **_TRAINING},
    },
)

KL = Recipe(
    name="kl",
    summary="A first stage for latent diffusion: a VAE on a grid, with little weight on the divergence.",
    settings={
        "kind": "vae",
        "data": {"source": "digits", "holdout": 0.2},
        "autoencoder": {"flat": False, "latent": 4, "beta": 0.1},
        "training": {"budget": "5m", **_TRAINING},
    },
)

VQ = Recipe(
    name="vq",
    summary="A code book learned by moving averages, with a code at each position of a grid.",
    settings={
        "kind": "vq",
        "data": {"source": "digits", "holdout": 0.2},
        "training": {"budget": "5m", **_TRAINING},
    },
)

FSQ = Recipe(
    name="fsq",
    summary="Codes by rounding a few channels to levels: no code book to learn.",
    settings={
        "kind": "fsq",
        "data": {"source": "digits", "holdout": 0.2},
        "training": {"budget": "5m", **_TRAINING},
    },
)
