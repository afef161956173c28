"""How probable an energy model thinks data are: its energy, and a normaliser with its error."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np

from ..data.arrays import Dataset
from ..data.codecs import ImageCodec
from ..foundations.errors import UserError
from ..score import Score, scale_nats
from .ebm import EnergyModel


def energy_scores(
    model: EnergyModel, data: Dataset, *, seed: int = 0, progress: Callable[[int, int], None] | None = None
) -> list[Score]:
    """-log p of items with log Z by annealed importance sampling and by thermodynamic integration, and where the model
    learned by noise-contrastive estimation, with the one that it learned.

    Args:
        model: from `load_ebm`.
        data: items.
        seed: of the chains.
        progress: called with the estimates done and in all.

    Raises:
        UserError: items of another shape, pictures, or items too large for a normaliser.
    """
    if data.shape != model.shape:
        raise UserError(f"the model's items have the shape {model.shape}, these {data.shape}")
    if isinstance(model.card.codec, ImageCodec):
        raise UserError(
            "an energy of pictures has a density between their levels, where there is nothing to judge: train a "
            "diffusion model for their likelihood"
        )
    x = model.card.codec.encode(np.asarray(data.items[np.arange(len(data))]))  # by the model's scale, not the data's
    energy = model.energy(x).double() + scale_nats(model.card.codec)
    dims = math.prod(model.shape) * math.log(2)
    ways: list[tuple[str, str | None]] = [("annealed importance sampling", "annealed")]
    ways.append(("thermodynamic integration", "thermodynamic"))
    if model.card.network.method == "nce":
        ways.append(("learned normaliser", None))
    found = []
    for done, (name, way) in enumerate(ways):
        started = time.perf_counter()
        z = None if way is None else model.normaliser(method=way, seed=seed)
        log_z, error = (model.law.log_z.item(), 0.0) if z is None else (z.log_z, z.error)
        each = energy + log_z
        spread = each.std().item() / len(each) ** 0.5 if len(each) > 1 else float("nan")
        found.append(
            Score(
                name,
                each.mean().item() / dims,
                math.hypot(spread, error) / dims,
                error / dims,
                each.mean().item(),
                len(each),
                1,
                0,
                time.perf_counter() - started,
                each=each,
            )
        )
        if progress is not None:
            progress(done + 1, len(ways))
    return found
