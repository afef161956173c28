"""How probable a trained autoencoder thinks data are, in the units in which diffusion models are measured."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ..data.arrays import Dataset
from ..data.codecs import PointsCodec, SignalCodec
from ..foundations.errors import UserError
from ..likelihood import bits_per_dim
from ..model import label_ids
from ..score import Score
from . import VAE, Latents, Quantised, Usage, code_bound, elbo, latents, log_weights, usage
from .model import AutoencoderModel
from .quantise import Codes

_CHUNK = 16  # draws of z between two looks at the clock


def autoencoder_scores(
    model: AutoencoderModel,
    data: Dataset,
    *,
    k: int = 64,
    draws: int = 4,
    label: Tensor | None = None,
    seed: int = 0,
    batch_size: int = 128,
    progress: Callable[[int, int], None] | None = None,
) -> list[Score]:
    """The bounds of an autoencoder on a data set: ELBO and IWAE(k) of a VAE; of a code book, the code bound.

    Args:
        model: from `load_autoencoder`.
        data: items that it should not have seen.
        k: draws of the importance-weighted bound.
        draws: of the ELBO's reconstruction.
        label: (N,) class indices; each item's own if absent and both have labels, as of the diffusion model's scores.
        seed: of all draws.
        batch_size: items worked on together.
        progress: called with batches done and in all.

    Raises:
        UserError: no items, items of another shape, or fewer than one draw.
    """
    if k < 1 or draws < 1:
        raise UserError(f"k and draws must be at least 1, got {k} and {draws}")
    batches = list(_batches(model, data, label, batch_size))
    network = model.network
    if isinstance(network, Quantised):
        started = time.perf_counter()
        nats = torch.cat([-code_bound(network, x, label=y) for x, y, _ in batches])
        zero = torch.zeros_like(nats)
        return [_score(model, "code bound", nats, zero, 1, time.perf_counter() - started)]
    parts: dict[str, list[tuple[Tensor, Tensor]]] = {"ELBO": [], f"IWAE({k})": []}
    seconds = dict.fromkeys(parts, 0.0)
    for done, (x, y, ids) in enumerate(batches):
        started = time.perf_counter()
        found = elbo(network, x, draws=draws, label=y, seed=seed, ids=ids)
        parts["ELBO"].append((-found.value, found.standard_error))
        middle = time.perf_counter()
        parts[f"IWAE({k})"].append(_iwae(network, x, k, y, seed, ids))
        seconds["ELBO"] += middle - started
        seconds[f"IWAE({k})"] += time.perf_counter() - middle
        if progress is not None:
            progress(done + 1, len(batches))
    calls = {"ELBO": draws, f"IWAE({k})": k}
    return [
        _score(
            model, name, torch.cat([n for n, _ in each]), torch.cat([e for _, e in each]), calls[name], seconds[name]
        )
        for name, each in parts.items()
    ]


def what_codes_carry(
    model: AutoencoderModel, data: Dataset, *, label: Tensor | None = None, batch_size: int = 256
) -> Latents | Usage:
    """The divergence of each latent value of a VAE, or the use of a code book, over a data set."""
    found = [model.encode(x, label=y) for x, y, _ in _batches(model, data, label, batch_size)]
    if isinstance(model.network, Quantised):
        return usage(torch.cat([code.indices for code in found if isinstance(code, Codes)]), model.network.num_codes)
    return latents(torch.cat([code.kl() for code in found if not isinstance(code, Codes)]))  # type: ignore[attr-defined]


def _iwae(network: VAE, x: Tensor, k: int, y: Tensor | None, seed: int, ids: Tensor) -> tuple[Tensor, Tensor]:
    """-IWAE(k) of items and its standard error by the weights' spread (the delta method)."""
    logs = torch.cat(
        [
            log_weights(network, x, min(_CHUNK, k - first), label=y, seed=seed, ids=ids, first=first)
            for first in range(0, k, _CHUNK)
        ]
    )
    squares = logs.softmax(0).square().sum(0)
    return math.log(k) - logs.logsumexp(0), (squares - 1 / k).clamp(min=0).sqrt()


def _batches(
    model: AutoencoderModel, data: Dataset, label: Tensor | None, size: int
) -> list[tuple[Tensor, Tensor | None, Tensor]]:
    if not len(data):
        raise UserError("there are no items to judge")
    if data.shape != model.shape or data.codec.kind != model.card.codec.kind:
        raise UserError(
            f"the autoencoder knows {model.card.codec.kind} items of the shape {model.shape}; the data {data.name!r} "
            f"hold {data.codec.kind} items of the shape {data.shape}"
        )
    if label is None and model.card.label_names and data.labels is not None:
        own = label_ids(model.card.label_names, list(data.label_names))
        label = torch.tensor(own)[torch.from_numpy(data.labels)]
    found = []
    for start in range(0, len(data), size):
        rows = np.arange(start, min(start + size, len(data)))
        x = model.card.codec.encode(np.asarray(data.items[rows])).to(model.device)
        y = None if label is None else label[start : start + size].to(model.device)
        found.append((x, y, torch.from_numpy(rows).to(model.device)))
    return found


def _score(model: AutoencoderModel, name: str, nats: Tensor, errors: Tensor, calls: int, seconds: float) -> Score:
    codec, size, count = model.card.codec, math.prod(model.shape), len(nats)
    nats = nats.cpu()
    if isinstance(codec, PointsCodec):
        nats = nats + sum(math.log(std) for std in codec.std)
    if isinstance(codec, SignalCodec):
        nats = nats + codec.length * sum(math.log(std) for std in codec.std)
    spread = nats.std().item() / math.sqrt(count) if count > 1 else math.nan
    return Score(
        method=name,
        bits_per_dim=bits_per_dim(nats.mean().item(), size),
        over_items=bits_per_dim(spread, size),
        of_estimator=bits_per_dim(errors.square().sum().sqrt().item() / count, size),
        nats=nats.mean().item(),
        items=count,
        evaluations=calls,
        products=0,
        seconds=seconds,
        each=nats,
    )
