"""Recipes: settings that work, for a kind of data. Each is a file here and a line in `RECIPES`."""

from __future__ import annotations

from ..foundations.registry import Registry
from .autoencoders import FSQ, KL, VAE, VQ
from .base import Recipe
from .classifier import CLASSIFIER
from .digits import DIGITS, DIGITS8
from .ebm import EBM
from .emoji import EMOJI
from .images import IMAGES
from .latent import LATENT
from .photos import PHOTOS
from .points import POINTS
from .signals import SIGNALS
from .table import TABLE
from .texts import NAMES, PRIOR, TEXT, VERSES

RECIPES: Registry[Recipe] = Registry(
    "recipe",
    {
        recipe.name: recipe
        for recipe in (
            POINTS,
            SIGNALS,
            TABLE,
            DIGITS8,
            DIGITS,
            IMAGES,
            PHOTOS,
            EMOJI,
            LATENT,
            CLASSIFIER,
            EBM,
            VAE,
            KL,
            VQ,
            FSQ,
            NAMES,
            VERSES,
            TEXT,
            PRIOR,
        )
    },
)

__all__ = ["RECIPES", "Recipe"]
