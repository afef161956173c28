"""The model that is evaluated, and its samples, kept as they are made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import singledispatch
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..autoencoders import Quantised
from ..autoencoders.model import AutoencoderModel
from ..classifiers.model import ClassifierModel
from ..comparison.contestants import Contestant, draw, kind_of
from ..data.arrays import Dataset
from ..foundations.errors import UserError
from ..generate import batch_for
from ..model import Model
from ..readers import load_any
from ..sampling import settings_for
from ..tables.generate import table_settings
from ..tables.model import TableModel
from ..tokens.generate import token_settings
from ..tokens.model import TokenModel
from ..train.run import CONFIG, Run
from .kept import Progress, Shards

_SHARD = 256  # samples of a shard, at least
_UNEVEN = 1.5  # how much more frequent one class may be than another before they no longer take turns
_TURNS = 10_000


def subject(given: Any) -> Contestant:
    """The model to evaluate, from a path, a name of the shelf, or a model in memory.

    Raises:
        UserError: nothing there that can be read, or a model that makes nothing.
    """
    if not isinstance(given, str | Path):
        name, model, run = kind_of(given), given, None
    else:
        path = Path(given)
        run = Run.open(path) if (path / CONFIG).is_file() else None
        name, model = path.resolve().name if path.exists() else path.name, load_any(given)
    if isinstance(model, ClassifierModel):
        raise UserError(
            f"{name} is a classifier, which makes no samples to evaluate: its accuracy at each noise level stands on "
            "its page (pellucid report)"
        )
    if isinstance(model, AutoencoderModel) and isinstance(model.network, Quantised):
        raise UserError(
            f"{name} is an autoencoder with a code book and no law of its codes, so it makes no samples to evaluate: "
            f"train one (pellucid train prior --autoencoder {name}); what its codes keep stands on its page"
        )
    return Contestant(name, model, run)


@singledispatch
def settings_of(model: Any, asked: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Everything that samples of a model depend on beside its weights.

    Args:
        model: of any kind.
        asked: settings of its sampler.
        seed: of the samples.

    Raises:
        UserError: settings that the kind of model does not have.
    """
    if asked:
        raise UserError(f"samples of this kind of model have no {' and no '.join(asked)}: leave that out")
    return {"seed": seed}


@settings_of.register
def _(model: Model, asked: Mapping[str, Any], seed: int) -> dict[str, Any]:
    return asdict(settings_for(model, **asked, seed=seed, force=True))


@settings_of.register
def _(model: TokenModel, asked: Mapping[str, Any], seed: int) -> dict[str, Any]:
    return asdict(token_settings(model, **asked, seed=seed))


@settings_of.register
def _(model: TableModel, asked: Mapping[str, Any], seed: int) -> dict[str, Any]:
    if "guidance" in asked:
        raise UserError("a model of a table has no classes to guide by: leave guidance out")
    return asdict(table_settings(model, **asked, seed=seed))


@dataclass(frozen=True, eq=False)
class Samples:
    """Samples of a model.

    Attributes:
        items: in the data's own units, (N, *).
        labels: the class that each was asked for, (N,), or None.
        calls, seconds: of networks and of time, for one sample.
        settings: what they depend on.
    """

    items: Tensor
    labels: Tensor | None
    calls: float
    seconds: float
    settings: dict[str, Any]


@dataclass(frozen=True)
class Classes:
    """What samples are asked to be, so that their classes are as frequent as in the training items.

    Attributes:
        label: names of classes, taken in turn.
        shares: of each class by name.
    """

    label: tuple[str, ...]
    shares: Mapping[str, float]

    @classmethod
    def of(cls, train: Dataset | None, names: Sequence[str]) -> Classes | None:
        """Those of training items; None where there are no labels, or where all classes are about as frequent, so that
        they may simply take turns."""
        if train is None or train.labels is None or not names:
            return None
        place = {name: k for k, name in enumerate(names)}
        known = np.array([place.get(name, len(names)) for name in train.label_names])
        counts = np.bincount(known[train.labels], minlength=len(names))[: len(names)]
        if not counts.sum() or counts.min() > counts.max() / _UNEVEN:
            return None
        shares = counts / counts.sum()
        # Multiples of the golden ratio fill the line evenly, so that any number of samples has about these shares.
        places = np.modf(np.arange(1, _TURNS + 1) * ((5**0.5 - 1) / 2))[0]
        label = np.searchsorted(np.cumsum(shares), places, side="right").clip(max=len(names) - 1)
        # By name: a class may be called 1, which is not the first one's number.
        return cls(tuple(names[k] for k in label), dict(zip(names, shares.round(6).tolist(), strict=True)))


def samples(
    contestant: Contestant,
    num: int,
    *,
    asked: Mapping[str, Any],
    classes: Classes | None = None,
    seed: int = 0,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> Samples:
    """The first `num` samples, read where they are kept and made where not.

    Args:
        contestant: the model.
        num: how many.
        asked: settings of its sampler.
        classes: that they are asked to be; all in turn if absent.
        seed: any integer.
        folder: where they are kept; None keeps none.
        progress: called with samples done and in all.

    Raises:
        UserError: a model that cannot be sampled, and why; settings that it does not have.
    """
    model = contestant.model
    settings = {"weights": model.weights_hash, **settings_of(model, asked, seed)}
    if classes is not None:
        settings["classes"] = dict(classes.shares)
    label = None if classes is None else classes.label
    batch = batch_for(model.shape)

    def make(ids: range) -> tuple[dict[str, Tensor], dict[str, float]]:
        drawn = draw(model, len(ids), seed=seed, first=ids.start, label=label, **asked)
        tensors = {"items": torch.from_numpy(np.ascontiguousarray(drawn.samples))}
        if drawn.labels is not None:
            tensors["labels"] = drawn.labels
        return tensors, {"seconds": drawn.seconds, "calls": drawn.calls * len(ids)}

    # Whole batches to a shard: a sample is the same to the last bit however many are made.
    shards = Shards(folder, batch * -(-_SHARD // batch), settings, "samples")
    tensors, facts = shards.rows(num, make, progress=progress)
    return Samples(tensors["items"], tensors.get("labels"), facts["calls"] / num, facts["seconds"] / num, settings)
