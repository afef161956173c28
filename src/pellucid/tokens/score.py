"""How probable a model of symbols thinks a person's data are: texts in bits per character, codes in bits per value."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..data.arrays import Dataset
from ..data.tokens import TokenCodec
from ..foundations.errors import UserError
from ..generate import batch_for
from ..latents.codes import CodesCodec
from ..likelihood import token_nelbo
from ..model import label_ids
from ..score import OWN, Score
from .model import TokenModel

TEXT_UNIT = "bits per character"


def token_scores(
    model: TokenModel,
    data: Dataset,
    *,
    label: str | int | None = None,
    evaluations: int = 64,
    seed: int = 0,
    batch_size: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Score]:
    r"""The bound of a model of symbols on a data set.

    Of texts, the bound on -log p(text), the end of the text included, in bits over the number of its characters. Of
    codes c(x) of pictures, -log p(x given c(x)) and the bound on -log P(c(x)) together,

        -log p(x) <= -log p(x given c(x)) + bound(c(x)),                                                            (1)

    because p(x) is a sum over codes of which this is one term: in bits for each value of the picture.

    Args:
        model: from `load_tokens`.
        data: the items, which the model should not have seen; texts of any reading.
        label: a class, "own" for each item's own, "none"; "own" if absent and both have labels.
        evaluations: times drawn for each item.
        seed: of times and noise.
        batch_size: items worked on together.
        progress: called with batches done and in all.

    Raises:
        UserError: no items, or items that the model cannot read.
    """
    if not len(data):
        raise UserError("there are no items to judge")
    started = time.perf_counter()
    items, counts = symbols_of(model, data)
    classes = labels_of(model, data, label)
    size = batch_size or batch_for(model.shape)
    nats, errors = [], []
    starts = range(0, len(data), size)
    for done, start in enumerate(starts):
        rows = slice(start, start + size)
        x = items[rows].to(model.device)
        cond: dict[str, Any] = {} if classes is None else {"label": classes[rows].to(model.device)}
        ids = torch.arange(start, start + len(x))
        bound = token_nelbo(model.denoiser, x, evaluations=evaluations, seed=seed, ids=ids, **cond)
        nats.append(bound.value.cpu() + _given_codes(model, data, rows, x))
        errors.append(bound.standard_error.cpu())
        if progress is not None:
            progress(done + 1, len(starts))
    each, spread = torch.cat(nats), torch.cat(errors)
    total, log2 = counts.sum().item(), math.log(2)
    ratio = each.sum().item() / total
    over_items = (each - ratio * counts).std().item() * math.sqrt(len(each)) / total if len(each) > 1 else math.nan
    return [
        Score(
            method=f"bound, {TEXT_UNIT if model.is_text else 'through the codes'}",
            bits_per_dim=ratio / log2,
            over_items=over_items / log2,
            of_estimator=spread.square().sum().sqrt().item() / total / log2,
            nats=each.mean().item(),
            items=len(each),
            evaluations=evaluations,
            products=0,
            seconds=time.perf_counter() - started,
            unit="bits/char" if model.is_text else "bits/dim",
            each=each,
        )
    ]


def symbols_of(model: TokenModel, data: Dataset) -> tuple[Tensor, Tensor]:
    """The items as the model's symbols, (N, *shape), and what their bits are shared among, (N,)."""
    codec = model.card.codec
    if isinstance(codec, TokenCodec):
        if not isinstance(data.codec, TokenCodec):
            raise UserError(f"the model knows texts, and the data {data.name!r} hold {data.codec.kind} items")
        texts = data.codec.texts(np.asarray(data.items[np.arange(len(data))]))
        return codec.encode(codec.rows(texts)), torch.tensor([len(text) for text in texts], dtype=torch.float64)
    own = codec.items
    if data.codec.kind != own.kind or data.shape != own.shape:
        raise UserError(
            f"the model knows {own.kind} items of the shape {own.shape}; the data {data.name!r} hold {data.codec.kind} "
            f"items of the shape {data.shape}"
        )
    values = torch.full((len(data),), float(math.prod(own.shape)), dtype=torch.float64)
    return codec.encode(np.asarray(data.items[np.arange(len(data))])), values


@torch.no_grad()
def _given_codes(model: TokenModel, data: Dataset, rows: slice, codes: Tensor) -> Tensor:
    """-log p(x given codes) in nats, (B,); 0 of texts, which are their symbols."""
    codec = model.card.codec
    if not isinstance(codec, CodesCodec):
        return torch.zeros(len(codes), dtype=torch.float64)
    x = codec.items.encode(np.asarray(data.items[np.arange(len(data))[rows]])).to(codes.device)
    return -codec.given(codes).log_prob(x).double().cpu()


def labels_of(model: TokenModel, data: Dataset, label: str | int | None) -> Tensor | None:
    """The class that each item is judged with, (N,), as `token_scores` reads `label`; None for none.

    Raises:
        UserError: a class that the model does not know, or "own" of data without labels.
    """
    names = model.card.label_names
    if label is None and names and data.labels is not None:
        label = OWN
    if label is None:
        return None
    if label != OWN:
        return torch.tensor(label_ids(names, label) * len(data))
    if data.labels is None:
        raise UserError(f"the data {data.name!r} have no labels of their own: name a class, or none")
    return torch.tensor(label_ids(names, data.label_names))[torch.from_numpy(data.labels)]
