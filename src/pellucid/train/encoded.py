r"""A data set as latents, encoded once and kept: the law q(z given x) of every item, by mean and standard deviation.

A draw of z is made anew for each position of training, z = m + s e with e a function of (seed, position): a denoiser of
the means alone would know a law that is narrower than that of the draws, and the bound through the latent, which is an
expectation over draws, would not hold for what it learned. The cache is named after the hashes of autoencoder and data.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..autoencoders import VAE, DiagonalNormal
from ..autoencoders.model import AutoencoderModel
from ..data.arrays import Dataset
from ..data.cache import cached, forget
from ..data.codecs import Codec
from ..data.order import item_at
from ..foundations.errors import UserError
from ..foundations.rng import Stream, subseed
from ..latents.codec import LatentCodec
from .batches import Batch, Batches, Warp

_ROWS = 256  # items encoded together
_MEASURED = 512  # items on which the reconstruction's error is measured


@dataclass(frozen=True, eq=False)
class Kept:
    """The codec of a data set whose items are means of latents, encoded already.

    Attributes:
        latent: the codec of the items that they stand for.
    """

    latent: LatentCodec
    kind: ClassVar[str] = LatentCodec.kind

    @property
    def shape(self) -> tuple[int, ...]:
        return self.latent.shape

    @property
    def items(self) -> Codec:
        return self.latent.items

    def encode(self, items: NDArray[Any]) -> Tensor:
        return self.latent.standardised(torch.from_numpy(np.ascontiguousarray(items)))

    def decode(self, x: Tensor) -> NDArray[Any]:
        return self.latent.decode(x)

    def outward(self, x: Tensor) -> Tensor:
        return self.latent.outward(x)

    def tensors(self) -> dict[str, Tensor]:
        return self.latent.tensors()

    def to_json(self) -> dict[str, Any]:
        return self.latent.to_json()


@dataclass(frozen=True)
class LatentBatches(Batches):
    """Batches of latents, drawn at each position.

    Attributes:
        spread: the standard deviation of each item's law, (N, *shape), in the autoencoder's scale.
    """

    spread: NDArray[np.float32] | None = None

    def at(self, start: int, count: int, warp: Warp | None = None) -> Batch:
        """The batch of positions start ... start + count - 1; arguments as of `Batches.at`."""
        batch = super().at(start, count, warp)
        assert self.spread is not None
        assert isinstance(self.data.codec, Kept)
        positions = np.arange(start, start + count, dtype=np.int64)
        rows = item_at(subseed(self.seed, "order"), positions, len(self.data))
        stream = Stream(subseed(self.seed, "posterior"), torch.from_numpy(positions).to(self.device))
        noise = stream.normal(self.data.shape, step=0)[0, 0]
        std = self.data.codec.latent.rescaled(torch.from_numpy(self.spread[rows])).to(noise)
        return replace(batch, x0=batch.x0 + std * noise)


def encoded(data: Dataset, codec: LatentCodec) -> tuple[Dataset, NDArray[np.float32]]:
    """The data set of the means of its items' latents, all else as it was, and their standard deviations, (N, *shape).

    Raises:
        UserError: the cache cannot be written or read.
    """
    means, spread = _stored(codec, data)
    return replace(data, items=means, codec=Kept(codec), groups=None), spread


def latent_codec(model: AutoencoderModel, data: Dataset) -> LatentCodec:
    """The codec of an autoencoder for data: its mean and deviation of each channel, and its error, measured on them.

    Args:
        model: from `load_autoencoder`.
        data: the training items.

    Raises:
        UserError: an autoencoder that does not match the data, knows labels, or has a code book.
    """
    name = model.origin or "the autoencoder"
    if not isinstance(model.network, VAE):
        raise UserError(
            f"{name} has a code book: its codes are numbers of categories, which need a prior of categories, not "
            "Gaussian noise: pellucid train prior. Latent diffusion needs a continuous first stage: pellucid train kl"
        )
    if model.card.label_names:
        raise UserError(
            f"{name} knows labels, and the code of an item would depend on what it is asked for by: train it with "
            "--set autoencoder.conditional=false"
        )
    own = model.card.codec
    if data.shape != own.shape or data.codec.kind != own.kind:
        raise UserError(
            f"{name} encodes {own.kind} items of the shape {own.shape}; the data {data.name!r} hold {data.codec.kind} "
            f"items of the shape {data.shape}: train an autoencoder on them, or leave --autoencoder out"
        )
    card = model.card.to_json()
    length = model.latent_shape[0]
    raw = LatentCodec(model.network, card, (0.0,) * length, (1.0,) * length, 0.0)
    means, spread = _stored(raw, data)
    axes = (0, *range(2, means.ndim))
    mean = means.mean(axis=axes, dtype=np.float64)
    # The variance of a draw: that of the means, and the mean of the variances.
    total = np.square(means - mean.reshape(-1, *(1,) * (means.ndim - 2)), dtype=np.float64).mean(axis=axes)
    total += np.square(spread, dtype=np.float64).mean(axis=axes)
    few = np.linspace(0, len(data) - 1, min(len(data), _MEASURED)).astype(np.int64)
    with torch.no_grad():
        x = raw.items.encode(np.asarray(data.items[few]))
        squares = [
            (part - raw.outward(raw.posterior(part).mean).to(part)).square().sum().item() for part in x.split(_ROWS)
        ]
    std = np.sqrt(total.clip(min=1e-12))
    error = float(np.sqrt(sum(squares) / x.numel()))
    return replace(raw, mean=tuple(mean.tolist()), std=tuple(std.tolist()), error=error)


def _stored(codec: LatentCodec, data: Dataset) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Means and deviations in the autoencoder's scale, (N, *shape) each, from the cache or made now."""
    name = f"latents-{codec.weights_hash[:16]}-{data.fingerprint()[:16]}"
    shape = (len(data), *codec.shape)
    if not len(data):
        return np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    try:
        for _ in range(2):  # a cache that someone damaged is made once more
            folder = cached(name, partial(_write, codec, data))
            try:
                found = tuple(np.load(folder / f"{what}.npy", mmap_mode="r") for what in ("mean", "std"))
                if all(each.shape == shape for each in found):
                    return found[0], found[1]
            except (OSError, ValueError, EOFError):
                pass
            forget(name)
    except OSError:  # no cache can be written here
        return _laws(codec, data)
    raise UserError(f"the cache {name!r} of latents cannot be read: free the disk, or delete it")


def _write(codec: LatentCodec, data: Dataset, folder: Path) -> None:
    for what, values in zip(("mean", "std"), _laws(codec, data), strict=True):
        np.save(folder / f"{what}.npy", values, allow_pickle=False)


@torch.no_grad()
def _laws(codec: LatentCodec, data: Dataset) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """q(e given x) of all items, in the autoencoder's scale."""
    means, stds = [], []
    for start in range(0, len(data), _ROWS):
        x = codec.items.encode(np.asarray(data.items[start : start + _ROWS]))
        q = codec.network.encode(x.to(next(codec.network.parameters())))
        assert isinstance(q, DiagonalNormal)
        means.append(q.mean.float().cpu().numpy())
        stds.append(q.log_std.exp().float().cpu().numpy())
    return np.concatenate(means), np.concatenate(stds)
