"""Recipes: settings that work, for a kind of data. Each is a file here and a line in `RECIPES`."""

from __future__ import annotations

from ..foundations.registry import Registry
from .autoencoders import FSQ, KL, VAE, VQ
from .base import Recipe
from .digits import DIGITS, DIGITS8
from .images import IMAGES
from .latent import LATENT
from .photos import PHOTOS
from .points import POINTS

RECIPES: Registry[Recipe] = Registry(
    "recipe", {recipe.name: recipe for recipe in (POINTS, DIGITS8, DIGITS, IMAGES, PHOTOS, VAE, KL, VQ, FSQ, LATENT)}
)

__all__ = ["RECIPES", "Recipe"]
