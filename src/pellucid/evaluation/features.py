"""What an evaluation compares: which features of items, in words, and what they depend on.

Where nothing is asked for, the features of a classifier that is trained on the training items' own labels are taken; of
data without labels, and of items that are no pictures, principal components of the real items. Only the features of the
standard Inception network give a number that may be called FID.

Statistics of second moments need many more items than features: where a network gives more than an eighth as many as
the smaller sample has items, their principal components on the real items are taken in their place. (Not of Inception,
whose number would be another one.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
from torch import Tensor, nn

from ..data.arrays import Dataset, evenly
from ..foundations.durable import write_atomic
from ..foundations.errors import UserError
from ..foundations.registry import Registry
from ..metrics.classifier import Classifier, read_classifier, train_classifier
from ..metrics.efficientnet import efficientnet
from ..metrics.features import PCA, Features, Network, features_of, raw, with_presence
from ..metrics.inception import read_inception
from ..train.checkpoint import weights_hash
from .kept import key

_COMPONENTS = 64
_MOST_TRAINING = 20_000  # items that a classifier is trained on
INCEPTION = "inception"


@dataclass(frozen=True, eq=False)
class Look:
    """A way to look at items.

    Attributes:
        name: what it was asked for by.
        words: what it is.
        function: items in their codec's scale, (N, *), to rows (N, K).
        facts: what the rows depend on beside the items.
        costly: whether rows are worth keeping.
        classifier: of the items' labels, where there is one.
        as_it_is: whether its rows are to be compared without a change of scale or number.
        notes: what a reader should know, a sentence each.
    """

    name: str
    words: str
    function: Features
    facts: Mapping[str, Any] = field(default_factory=dict)
    costly: bool = False
    classifier: Classifier | None = None
    as_it_is: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Sight:
    """What a choice of features may draw on.

    Attributes:
        held: real items that the model has not seen.
        train: those that it has; None where they are gone.
        num: generated items there will be.
        seed: of what is trained.
        folder: where a trained classifier is kept; None keeps none.
        weights: a file of weights that the user gave.
    """

    held: Dataset
    train: Dataset | None
    num: int
    seed: int = 0
    folder: Path | None = None
    weights: Path | None = None

    @property
    def pictures(self) -> bool:
        """Whether the items are pictures."""
        return self.held.codec.kind == "image"


def look(asked: str | nn.Module | None, sight: Sight) -> Look:
    """The features that were asked for, or those that suit the data.

    Args:
        asked: a name of `LOOKS`, a module from pictures or items (B, *) to (B, K), or None to choose.
        sight: the data.

    Raises:
        UserError: an unknown name, or features that these data do not have: labels missing, items that are no pictures,
            a file that is missing or does not fit.
    """
    if isinstance(asked, nn.Module):
        facts = {"module": weights_hash(dict(asked.state_dict()))}
        return Look("module", f"features of {type(asked).__name__}", Network(asked), facts, costly=True)
    if asked is None:
        asked = "pca" if _no_classifier(sight) else "classifier"
    elif Path(asked).suffix:
        raise UserError(
            f"features are asked for by name ({', '.join(sorted(LOOKS))}), and {asked!r} is a file: nothing that is "
            "read is ever executed, so a file can give the weights of a network that is known here (--features "
            "inception --weights FILE), or in Python any module: pellucid.evaluate(..., features=module)"
        )
    made = LOOKS[asked](sight)
    if sight.weights is not None and asked not in (INCEPTION, "classifier"):
        raise UserError(f"{asked} features have no weights to be read: leave out --weights")
    return made


def compared(found: Look, real: Tensor, made: Tensor) -> tuple[str, Callable[[Tensor], Tensor]]:
    """How rows are brought to what the metrics see: words, and a function of rows (N, K).

    Args:
        found: what the rows are.
        real, made: rows of the two samples, (M, K) and (N, K).
    """
    if found.as_it_is:
        return found.words, lambda rows: rows.double()
    words, change = found.words, raw
    most = max(1, min(_COMPONENTS, min(len(real), len(made)) // 8))
    if real.shape[1] > most:
        pca = PCA.fit(real, most)
        words = f"{most} principal components of {words} ({100 * pca.kept:.0f} % of their variance)"
        change = pca
    scale = change(real).double().square().mean().sqrt().clamp_min(1e-12)
    return f"{words}, scaled to a root mean square of 1", lambda rows: change(rows).double() / scale


def _raw(sight: Sight) -> Look:
    if sight.held.codec.kind == "series":
        return Look("raw", "the numbers themselves and which are there", with_presence)
    return Look("raw", "the numbers themselves", raw, as_it_is=True)


def _pca(sight: Sight) -> Look:
    if sight.held.codec.kind == "series":  # `compared` takes the principal components
        return _raw(sight)
    real, _ = sight.held.fetch(np.arange(len(sight.held)))
    function = features_of(real, sight.num)[1]
    if not isinstance(function, PCA):
        return Look("pca", "the numbers themselves", function)
    count, kept = function.axes.shape[1], 100 * function.kept
    return Look("pca", f"{count} principal components of the items ({kept:.0f} % of their variance)", function)


def _no_classifier(sight: Sight) -> str:
    """Why there can be no classifier of the data's labels; empty where there can."""
    if not sight.pictures:
        return f"a classifier is trained on pictures, and these are {sight.held.codec.kind} items"
    if sight.weights is not None:
        return ""
    if sight.train is None:
        return "the training items, whose labels a classifier learns from, are gone"
    if sight.train.labels is None:
        return f"the training items ({sight.train.name}) have no labels for a classifier to learn"
    return ""


def _classifier(sight: Sight) -> Look:
    why = _no_classifier(sight)
    if why:
        raise UserError(f"{why}: ask for other features (pca), or give a kept classifier with --weights")
    if sight.weights is not None:
        network = read_classifier(sight.weights)
        channels, own = network.state_dict()["body.0.weight"].shape[1], sight.held.shape[0]
        if channels != own:
            raise UserError(f"{sight.weights} is a classifier of pictures with {channels} channels; these have {own}")
        words = f"the features of the classifier {sight.weights.name}"
        return Look("classifier", words, Network(network, "features"), _of(network), costly=True)
    assert sight.train is not None
    train = evenly(sight.train, _MOST_TRAINING)
    settings = {"data": train.fingerprint(), "seed": sight.seed}
    file = None if sight.folder is None else sight.folder / f"classifier-{key(settings)}.safetensors"
    if file is not None and file.is_file():
        network = read_classifier(file)
    else:
        x, labels = train.fetch(np.arange(len(train)))
        assert labels is not None
        network = train_classifier(x, labels, len(train.label_names), seed=sight.seed)
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(file, safetensors.torch.save(dict(network.state_dict())))
    words = f"the features of a classifier trained on the labels of {len(train):,} training items"
    return Look("classifier", words, Network(network, "features"), _of(network), costly=True, classifier=network)


def _of(network: nn.Module) -> dict[str, Any]:
    return {"weights": weights_hash(dict(network.state_dict()))}


def _efficientnet(sight: Sight) -> Look:
    network = efficientnet(max(_pictures_only("efficientnet", sight)))
    words = f"the features of EfficientNet-Lite0, trained on ImageNet, at {network.side} pixels"
    return Look("efficientnet", words, Network(network, batch_size=32), {"side": network.side}, costly=True)


def _inception(sight: Sight) -> Look:
    _pictures_only(INCEPTION, sight)
    if sight.weights is None:
        raise UserError(
            "inception features need the published weights, which pellucid does not bring: give --weights FILE "
            "(pt_inception-2015-12-05-6726825d.pth, or the same as .safetensors)"
        )
    network = read_inception(sight.weights)
    words = f"the features of the Inception network with the weights {sight.weights.name}"
    return Look(INCEPTION, words, Network(network, batch_size=32), _of(network), costly=True, as_it_is=True)


def _pictures_only(name: str, sight: Sight) -> tuple[int, ...]:
    """Height and width.

    Raises:
        UserError: items that are no pictures.
    """
    if not sight.pictures:
        raise UserError(f"{name} features are of pictures, and these are {sight.held.codec.kind} items: ask for pca")
    return sight.held.shape[1:]


LOOKS: Registry[Callable[[Sight], Look]] = Registry(
    "features",
    {"raw": _raw, "pca": _pca, "classifier": _classifier, "efficientnet": _efficientnet, INCEPTION: _inception},
)
