"""What a latent model's page says of its first stage: what is left of items that went through it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..config import resolve
from ..data.arrays import Dataset
from ..data.grid import picture_grid
from ..train.run import Run
from ..train.start import open_split
from .codec import LatentCodec

_SHOWN = 16


def first_stage(codec: LatentCodec) -> str:
    """The autoencoder in a line: the latent's shape, its weights and its error."""
    shape = "x".join(map(str, codec.shape))
    return f"{shape} latents of the autoencoder {codec.weights_hash[:12]}, which keeps items to {codec.error:.3f} rms"


def write_kept(run: Run, codec: LatentCodec, path: Path) -> Path:
    """A picture of held-out items, where there are some, above what the decoder makes of their latents."""
    train, held = open_split(resolve([("", run.config)]).config)
    data: Dataset = held if len(held) else train
    rows = np.linspace(0, len(data) - 1, min(len(data), _SHOWN)).astype(np.int64)
    items = np.asarray(data.items[rows])
    shown = np.concatenate([items, codec.decode(codec.encode(items))])
    picture_grid(shown, columns=len(rows), scale=max(1, 48 // codec.items.shape[-1])).save(path)
    return path
