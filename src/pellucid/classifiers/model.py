"""A trained classifier of noisy data, with what it needs to guide a model, and its reading from disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from ..config import ProcessSettings
from ..data.codecs import Codec, codec_from_json
from ..foundations.errors import UserError
from ..guidance import NoisyClassifier
from ..model import MODEL, Model, Stored, make_process, read

CLASSIFIER = "classifier"


@dataclass(frozen=True)
class ClassifierSpec:
    """How a `NoisyClassifier` is built.

    Attributes:
        shape: of one item.
        log_prior: how often each class is in the data, in nats.
        width: channels of the finest level.
        data_std: the data's standard deviation.
    """

    shape: tuple[int, ...]
    log_prior: tuple[float, ...]
    width: int = 64
    data_std: float = 1.0

    def build(self, process: ProcessSettings) -> NoisyClassifier:
        """The classifier, freshly initialised from torch's global generator."""
        count = len(self.log_prior)
        network = NoisyClassifier(make_process(process), self.shape, count, width=self.width, data_std=self.data_std)
        network.log_prior.copy_(torch.tensor(self.log_prior))
        return network

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values; `from_json` reads them back."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> ClassifierSpec:
        """The spec that `to_json` wrote."""
        return cls(tuple(values["shape"]), tuple(values["log_prior"]), values["width"], values["data_std"])


@dataclass(frozen=True)
class ClassifierCard:
    """What is needed, beside the weights, to build and use a classifier; it travels in every checkpoint.

    Attributes:
        network: how it is built.
        process: how data turned to noise.
        codec: how items became tensors.
        label_names: the classes.
        data: name, counts and hash of what it was trained on.
    """

    network: ClassifierSpec
    process: ProcessSettings
    codec: Codec
    label_names: tuple[str, ...]
    data: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The card as JSON values; `from_json` reads it back."""
        return {
            "kind": CLASSIFIER,
            "network": self.network.to_json(),
            "noise": self.process.model_dump(mode="json"),
            "codec": self.codec.to_json(),
            "label_names": list(self.label_names),
            "data": self.data,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> ClassifierCard:
        """The card that `to_json` wrote."""
        return cls(
            network=ClassifierSpec.from_json(values["network"]),
            process=ProcessSettings.model_validate(values["noise"]),
            codec=codec_from_json(values["codec"]),
            label_names=tuple(values["label_names"]),
            data=values["data"],
        )


@dataclass(frozen=True)
class ClassifierModel:
    """A classifier with its card.

    Attributes:
        network: on its device, in evaluation mode.
        card: what it is.
        weights_hash: sha256 of the weights.
        origin: where it was read from.
        notes: what a person should know of the reading.
    """

    network: NoisyClassifier
    card: ClassifierCard
    weights_hash: str = ""
    origin: str = ""
    notes: tuple[str, ...] = ()

    def for_model(self, model: Model) -> NoisyClassifier:
        """The classifier, where it reads what the model makes.

        Raises:
            UserError: other items, another scale or schedule, or other classes.
        """
        ours, theirs = self.card, model.card
        if ours.codec.to_json() != theirs.codec.to_json():
            shapes = ["x".join(map(str, codec.shape)) for codec in (ours.codec, theirs.codec)]
            raise UserError(
                f"the classifier {self.origin} reads items of the shape {shapes[0]}, the model {model.origin} makes "
                f"{shapes[1]}, or they are scaled otherwise: train one on the model's data: "
                f"pellucid train classifier {model.origin}"
            )
        if self.network.process.schedule != model.denoiser.process.schedule:
            raise UserError(
                f"the classifier {self.origin} was trained with the schedule {ours.process.schedule}, the model "
                f"{model.origin} with {theirs.process.schedule}, in which a time is another noise: train one with "
                f"the model's: pellucid train classifier {model.origin}"
            )
        if theirs.label_names and theirs.label_names != ours.label_names:
            raise UserError(
                f"the classifier {self.origin} knows the classes {', '.join(ours.label_names)}, the model "
                f"{model.origin} {', '.join(theirs.label_names)}"
            )
        return self.network.to(model.device)


def load_classifier(path: str | Path, *, device: str | torch.device | None = None) -> ClassifierModel:
    """Reads a classifier of noisy data, as `model.load` reads a diffusion model: arguments are the same, and so are
    errors.

    Raises:
        UserError: also for a model of another kind.
    """
    return classifier_from_stored(read(path), device=device)


def classifier_from_stored(found: Stored, *, device: str | torch.device | None = None) -> ClassifierModel:
    """The classifier that `model.read` found; arguments and errors are those of `load_classifier`."""
    if found.kind != CLASSIFIER:
        raise UserError(f"{found.origin} is no classifier of noisy data; make one: pellucid train classifier RUN")
    card = ClassifierCard.from_json(found.saved.documents[MODEL])
    network, weights = found.loaded(card.network.build(card.process), device)
    return ClassifierModel(network, card, weights, found.origin, found.notes)
