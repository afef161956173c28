"""How probable a trained model thinks a person's data are: models and data sets around `likelihood`."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from . import likelihood
from .data.arrays import Dataset
from .data.codecs import ImageCodec, PointsCodec, SeriesCodec, SignalCodec
from .denoisers import Denoiser
from .foundations.errors import UserError
from .generate import default_batch
from .latents.bound import Prior, latent_bound
from .latents.codec import LatentCodec
from .likelihood import Bound, Dequantisation, LogProb, UniformNoise, bits_per_dim
from .likelihood.present import Present, patterns
from .model import Model

_BIN = 1 / 127.5  # the spacing of `ImageCodec`
OWN = "own"
_FIT_LEVEL = 4 * _BIN  # where digits' networks of minutes of training gave the best noise
_CHECKED = 64


@dataclass(frozen=True)
class Score:
    """One method's mean over items.

    Attributes:
        method: its name.
        bits_per_dim: the mean. Of pictures the probability's, of other data the density's, in the data's own units.
            Where `unit` says so, for each character or row in place of each value.
        over_items: its standard error as a sample of items.
        of_estimator: the part of that which the method's random numbers make.
        nats: the mean of -log p of an item.
        items: how many.
        evaluations: denoiser calls for each item.
        products: vector-Jacobian products for each item.
        seconds: in all.
        unit: of `bits_per_dim`.
        each: nats of every item, (N,), for differences between models on the same items; no part of the JSON.
    """

    method: str
    bits_per_dim: float
    over_items: float
    of_estimator: float
    nats: float
    items: int
    evaluations: int
    products: int
    seconds: float
    unit: str = "bits/dim"
    each: Tensor | None = None

    def to_json(self) -> dict[str, Any]:
        """The score as JSON values."""
        values = asdict(replace(self, each=None))
        del values["each"]
        return values


def log_prob(
    model: Model | Denoiser, data: Tensor | Dataset, *, label: Tensor | str | int | None = None, **options: Any
) -> LogProb:
    """log p(x) in nats by the probability-flow ODE, shape (B,).

    Args:
        model: from `load`, or any denoiser of a Gaussian process.
        data: items in the model's scale, (B, *), or a data set, which is brought to that scale.
        label: for a model with classes: a class, (B,) class indices, or "own" for a data set's own labels; none if
            absent.
        options: of `likelihood.log_prob`.

    Raises:
        UserError: data or options that the model cannot serve.
    """
    denoiser, x, cond = _prepared(model, data, label)
    return _of_all(model, denoiser, x, cond, likelihood.log_prob, options)


def vlb(
    model: Model | Denoiser, data: Tensor | Dataset, *, label: Tensor | str | int | None = None, **options: Any
) -> Bound:
    """The variational bound on -log p(x) in nats, term by term, shape (B,) each.

    Arguments are those of `log_prob`; the options, of `likelihood.vlb`. A model of pictures has the discretised decoder
    unless told otherwise: its bound is on the probability of the 8-bit values.
    """
    denoiser, x, cond = _prepared(model, data, label)
    if isinstance(model, Model) and isinstance(model.card.codec, ImageCodec):
        options.setdefault("decoder", "discretised")
    return _of_all(model, denoiser, x, cond, likelihood.vlb, options)


def scores(
    model: Model,
    data: Dataset,
    *,
    label: str | int | None = None,
    trace: str = "auto",
    probes: int | None = None,
    steps: int = 64,
    evaluations: int = 64,
    importance_samples: int = 1,
    noise: Dequantisation | None = None,
    seed: int = 0,
    force: bool = False,
    batch_size: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Score]:
    """Both likelihoods of a model on a data set: by the ODE and by the continuous-time bound.

    Of a latent model, the bound through the latent (`latent_bound`) with the one and the other for the latent's law.

    Args:
        model: from `load`.
        data: the items, which the model should not have seen.
        label: a class, "own" for each item's own, "none"; "own" if absent and both have labels.
        trace, probes, steps: of the ODE, see `likelihood.log_prob`.
        evaluations: of the bound, see `likelihood.vlb`.
        importance_samples: noise draws in the bins of each picture, see `likelihood.dequantised`; of a latent model,
            draws of the latent, at least two.
        noise: a learned law of that noise; uniform if absent.
        seed: of all random numbers.
        force: go on where the data look unscaled or the process does not end in its prior.
        batch_size: items worked on together.
        progress: called with batches done and in all.

    Raises:
        UserError: no items, or data and options that the model cannot serve.
    """
    if not len(data):
        raise UserError("there are no items to judge")
    if isinstance(model.card.codec, SeriesCodec) and data.codec.kind != "series":
        raise UserError(
            f"the model knows series with ends of their own, and {data.name!r} holds {data.codec.kind} items"
        )
    if label is None and model.card.label_names and data.labels is not None:
        label = OWN
    size = batch_size or default_batch(model)
    codec = model.card.codec
    alike = [np.arange(len(data))]
    if isinstance(codec, SeriesCodec):
        alike = [rows.numpy() for _, rows in patterns(torch.from_numpy(np.asarray(data.items[:])))]
    batches = [rows[start : start + size] for rows in alike for start in range(0, len(rows), size)]
    picture = isinstance(codec, ImageCodec)
    through = "latent, " if isinstance(codec, LatentCodec) else ""
    ode, bound = _Tally(f"{through}probability-flow ODE"), _Tally(f"{through}variational bound")
    for done, rows in enumerate(batches):
        denoiser, x, cond = _prepared(model, data.subset(rows), label)
        if isinstance(codec, SeriesCodec):
            there = ~x[0].isnan()
            denoiser, x = Present(denoiser, there), x[:, there]
            ode.counted(there, codec, len(x))
            bound.counted(there, codec, len(x))
        ids = torch.from_numpy(rows).to(x.device)
        if isinstance(codec, LatentCodec):
            prior = Prior(denoiser, trace, probes, steps, evaluations, force, ids, cond)
            items = codec.items.encode(np.asarray(data.items[rows])).to(x.device)
            for k, (tally, of_latent) in enumerate(((ode, prior.ode), (bound, prior.variational))):
                with tally.clock():
                    part = latent_bound(codec, items, of_latent, draws=max(2, importance_samples), seed=seed, ids=ids)
                    tally.add(-part.value, part.standard_error, part.evaluations, part.products)
                if progress is not None:
                    progress(2 * done + k + 1, 2 * len(batches))
            continue
        shared: dict[str, Any] = {"seed": seed, "ids": ids, "force": force, **cond}

        def density(x: Tensor, shared: dict[str, Any] = shared, denoiser: Denoiser = denoiser) -> LogProb:
            return likelihood.log_prob(denoiser, x, trace=trace, probes=probes, steps=steps, **shared)

        with ode.clock():
            if picture:
                law: Dequantisation = noise or UniformNoise(_BIN)
                found = likelihood.dequantised(
                    density, x, law, importance_samples=importance_samples, seed=seed, ids=ids
                )
            else:
                found = density(x)
            ode.add(-found.value, found.standard_error, found.evaluations, found.products)
        if progress is not None:
            progress(2 * done + 1, 2 * len(batches))
        with bound.clock():
            decoder = "discretised" if picture else "normal"
            terms = likelihood.vlb(denoiser, x, continuous=True, evaluations=evaluations, decoder=decoder, **shared)
            bound.add(terms.value, terms.standard_error, terms.evaluations, 0)
        if progress is not None:
            progress(2 * done + 2, 2 * len(batches))
    return [tally.score(math.prod(codec.items.shape), scale_nats(codec.items)) for tally in (ode, bound)]


Found = TypeVar("Found", LogProb, Bound)


def _of_all(
    model: Model | Denoiser,
    denoiser: Denoiser,
    x: Tensor,
    cond: dict[str, Any],
    judge: Callable[..., Found],
    options: dict[str, Any],
) -> Found:
    """The likelihoods of items, of series with ends of their own or missing values those of what is there."""
    if not (isinstance(model, Model) and isinstance(model.card.codec, SeriesCodec) and bool(x.isnan().any())):
        return judge(denoiser, x, **cond, **options)
    parts: list[tuple[Tensor, Found]] = []
    ids = options.pop("ids", torch.arange(len(x), device=x.device))
    for there, rows in patterns(x):
        some = {name: value[rows] for name, value in cond.items()}
        found = judge(Present(denoiser, there), x[rows][:, there], ids=ids[rows], **some, **options)
        parts.append((rows, found))
    order = torch.cat([rows for rows, _ in parts]).argsort()
    whole: dict[str, Any] = {
        name: torch.cat([vars(part)[name] for _, part in parts])[order]
        for name, value in vars(parts[0][1]).items()
        if isinstance(value, Tensor)
    }
    return replace(parts[0][1], **whole)


def learn_noise(model: Model, data: Dataset, *, num: int = 2000, seed: int = 0, **options: Any) -> Dequantisation:
    """Fits the noise within the bins to a model, on pictures that are not those to be judged.

    It is kept if it tightens the bound on some of those pictures; where the model's density is flat over a bin, nothing
    can, and the uniform law is returned.

    Args:
        model: of pictures.
        data: training pictures; the first `num` are used, each with its own label where the model has classes.
        num: how many.
        seed: of the fit.
        options: of `likelihood.fit_noise`.

    Raises:
        UserError: a model of other data.
    """
    if not isinstance(model.card.codec, ImageCodec):
        raise UserError("only 8-bit pictures have bins to draw noise in: leave the learned noise out")
    some = data.subset(np.arange(min(num, len(data))))
    label = OWN if model.card.label_names and data.labels is not None else None
    denoiser, x, cond = _prepared(model, some, label)
    options = {"level": _FIT_LEVEL, **options}
    learned = likelihood.fit_noise(denoiser, x, bin_width=_BIN, seed=seed, **options, **cond)
    few = some.subset(np.arange(min(_CHECKED, len(some))))
    quick: dict[str, Any] = {"steps": 24, "evaluations": 2, "label": label, "seed": seed}
    with_learned, with_uniform = (scores(model, few, noise=law, **quick)[0] for law in (learned, None))
    return learned if with_learned.bits_per_dim < with_uniform.bits_per_dim else UniformNoise(_BIN)


class _Tally:
    """What one method found so far, and how long it took."""

    def __init__(self, method: str) -> None:
        self.method = method
        self.nats: list[Tensor] = []
        self.errors: list[Tensor] = []
        self.calls = (0, 0)
        self.seconds = 0.0
        self.sizes: list[Tensor] = []
        self.scales: list[Tensor] = []

    def counted(self, there: Tensor, codec: SeriesCodec, num: int) -> None:
        """Notes how many values the next items have, (C, L) bool, and what turns their nats into the data's units."""
        scale = (there.sum(1).double().cpu() * torch.tensor(codec.std, dtype=torch.float64).log()).sum()
        self.sizes.append(there.sum().cpu().expand(num))
        self.scales.append(scale.expand(num))

    def clock(self) -> _Tally:
        return self

    def __enter__(self) -> None:
        self._since = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.seconds += time.perf_counter() - self._since

    def add(self, nats: Tensor, errors: Tensor, evaluations: int, products: int) -> None:
        self.nats.append(nats.cpu())
        self.errors.append(errors.cpu())
        self.calls = (evaluations, products)

    def score(self, size: float, offset: float | Tensor) -> Score:
        if self.sizes:  # bits for each value that is there, all items together
            size, offset = torch.cat(self.sizes).double().mean().item(), torch.cat(self.scales)
        nats, errors = torch.cat(self.nats) + offset, torch.cat(self.errors)
        count = len(nats)
        spread = nats.std().item() / math.sqrt(count) if count > 1 else math.nan
        return Score(
            method=self.method,
            bits_per_dim=bits_per_dim(nats.mean().item(), size),
            over_items=bits_per_dim(spread, size),
            of_estimator=bits_per_dim(errors.square().sum().sqrt().item() / count, size),
            nats=nats.mean().item(),
            items=count,
            evaluations=self.calls[0],
            products=self.calls[1],
            seconds=self.seconds,
            each=nats,
        )


def scale_nats(codec: Any) -> float:
    """What turns nats in the model's scale into nats in the data's own: the sum of log std over an item's values.

    Args:
        codec: of the items.
    """
    if isinstance(codec, PointsCodec):
        return sum(math.log(std) for std in codec.std)
    if isinstance(codec, SignalCodec):
        return codec.length * sum(math.log(std) for std in codec.std)
    return 0.0


def _prepared(
    model: Model | Denoiser, data: Tensor | Dataset, label: Tensor | str | int | None
) -> tuple[Denoiser, Tensor, dict[str, Any]]:
    """The denoiser, the items in its scale, and its conditions."""
    if not isinstance(model, Model):
        if isinstance(data, Dataset):
            raise UserError("a data set needs a model, which knows its scale; give a denoiser items as a tensor")
        cond = {} if label is None else {"label": torch.as_tensor(label, device=data.device).expand(len(data))}
        return model, data, cond
    if isinstance(data, Dataset):
        own = model.card.codec.items
        if data.shape != own.shape or data.codec.kind != own.kind:
            raise UserError(
                f"the model knows {own.kind} items of the shape {own.shape}; the data {data.name!r} "
                f"hold {data.codec.kind} items of the shape {data.shape}"
            )
        x = model.card.codec.encode(np.asarray(data.items[:])).to(model.device)
        return model.denoiser, x, _labels(model, data, label, len(data))
    if tuple(data.shape[1:]) != model.shape:
        raise UserError(f"the model's items have the shape {model.shape}, got {tuple(data.shape[1:])}")
    if isinstance(model.card.codec, ImageCodec) and data.numel() and float(data.abs().max()) > 1 + _BIN:
        raise UserError(
            f"the values run from {float(data.min()):g} to {float(data.max()):g}, and the model's scale is [-1, 1]: "
            "encode pictures with model.card.codec.encode"
        )
    return model.denoiser, data.to(model.device), _labels(model, None, label, len(data))


def _labels(model: Model, data: Dataset | None, label: Tensor | str | int | None, count: int) -> dict[str, Any]:
    if isinstance(label, Tensor):
        ids = label.to(model.device, torch.int64)
        if ids.shape != (count,) or not bool(((ids >= 0) & (ids <= model.null_label)).all()):
            raise UserError(f"labels are {count} class indices from 0 to {model.null_label}, which means none")
        return {"label": ids}
    if label is None:
        return {}
    if label == OWN and OWN not in model.card.label_names:
        if data is None or data.labels is None:
            raise UserError("these items have no labels of their own: give a class, or leave label out")
        ids = torch.tensor(model.label_ids(list(data.label_names)))[torch.from_numpy(data.labels)]
        return {"label": ids.to(model.device)}
    return {"label": torch.full((count,), model.label_ids(label)[0], device=model.device)}
