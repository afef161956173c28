"""A trained model: a denoiser together with what it needs to be used, and its reading from disk."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from .config import ProcessSettings, SamplingSettings
from .data.codecs import Codec
from .data.conditions import Part
from .denoisers import EDM, TARGETS, Denoiser, NetworkDenoiser
from .energies.denoisers import EnergyDenoiser
from .foundations.devices import best_device
from .foundations.errors import UserError, closest, unknown
from .latents.codec import WEIGHTS, LatentCodec, read_codec
from .nn import EnergyNetwork, NetworkSpec, build
from .processes import weightings
from .processes.gaussian import Gaussian
from .processes.schedules import SCHEDULES
from .solvers.fitted import Fitted
from .train import checkpoint
from .train.run import CONFIG, Run

MODEL = "model.json"
EMA = "ema.safetensors"
TUNED = "tuned.json"
GAUSSIAN = ProcessSettings().kind  # the process of numbers
SHELF = Path(__file__).parent / "shelf"

M = TypeVar("M", bound=torch.nn.Module)
DIFFUSION, SYMBOLS = "diffusion", "tokens"  # kinds of stored models whose card may not say so itself
_OTHERS = {  # what else a folder may hold, and what reads it
    SYMBOLS: ("a model of symbols", "load_tokens"),
    "table": ("a model of tables", "load_table"),
    "classifier": ("a classifier of noisy data", "load_classifier"),
    "ebm": ("an energy model", "load_ebm"),
}


@dataclass(frozen=True)
class Card:
    """What is needed, beside the weights, to build and use a model; plain values that travel in every checkpoint.

    Attributes:
        network: how the network is built.
        process: how data turned to noise; sigma_data is filled in.
        codec: how items became tensors; of a latent model, with its autoencoder.
        label_names: the classes, () for an unconditional model.
        sampling: the defaults of `sample`.
        data: name, counts and hash of what it was trained on.
        parts: what it can be asked for by, beside a label.
    """

    network: NetworkSpec
    process: ProcessSettings
    codec: Codec
    label_names: tuple[str, ...]
    sampling: SamplingSettings
    data: dict[str, Any] = field(default_factory=dict)
    parts: tuple[Part, ...] = ()

    @property
    def schema(self) -> tuple[Part, ...]:
        """All that it can be asked for by, the label first."""
        label = (Part("label", "class", self.label_names),) if self.label_names else ()
        return (*label, *self.parts)

    def to_json(self) -> dict[str, Any]:
        """The card as JSON values; `from_json` reads it back."""
        return {
            "network": self.network.to_json(),
            "process": self.process.model_dump(mode="json"),
            "codec": self.codec.to_json(),
            "label_names": list(self.label_names),
            "sampling": self.sampling.model_dump(mode="json"),
            "data": self.data,
            "parts": [part.to_json() for part in self.parts],
        }

    def files(self) -> checkpoint.Files:
        """What a checkpoint holds of the card: its JSON values, and the codec's weights where it has some."""
        weights = self.codec.tensors()
        return {MODEL: self.to_json(), **({WEIGHTS: weights} if weights else {})}

    @classmethod
    def from_json(cls, values: dict[str, Any], codec_weights: Mapping[str, Tensor] | None = None) -> Card:
        """The card that `to_json` wrote, with the weights that `files` gave beside it."""
        return cls(
            network=NetworkSpec.from_json(values["network"]),
            process=ProcessSettings.model_validate(values["process"]),
            codec=read_codec(values["codec"], codec_weights),
            label_names=tuple(values["label_names"]),
            sampling=SamplingSettings.model_validate(values["sampling"]),
            data=values["data"],
            parts=tuple(Part.from_json(part) for part in values.get("parts", ())),
        )


def make_process(settings: ProcessSettings) -> Gaussian:
    """The forward process that settings name.

    Raises:
        UserError: an unknown schedule, weighting or option.
    """
    schedule = option_checked("schedule", settings.schedule, SCHEDULES[settings.schedule], settings.schedule_options)
    weighting = weightings.WEIGHTINGS[settings.weighting]
    if isinstance(weighting, weightings.EDM) and settings.sigma_data is not None:
        weighting = weightings.EDM(settings.sigma_data)
    return Gaussian(schedule, weighting)


def option_checked(kind: str, name: str, maker: Any, options: dict[str, Any]) -> Any:
    """What a registry's maker makes of options that a user named; an unknown one is refused with the nearest."""
    allowed = list(inspect.signature(maker).parameters)
    for option in options:
        if option not in allowed:
            raise unknown(f"option of the {kind} {name!r}", option, allowed)
    return maker(**{key: tuple(value) if isinstance(value, list) else value for key, value in options.items()})


def make_denoiser(network: torch.nn.Module, settings: ProcessSettings) -> NetworkDenoiser:
    """The denoiser that settings describe around a network."""
    target = TARGETS[settings.target]()
    if isinstance(target, EDM) and settings.sigma_data is not None:
        target = EDM(settings.sigma_data)
    process = make_process(settings)
    if isinstance(network, EnergyNetwork):
        return EnergyDenoiser(network, process, target)
    return NetworkDenoiser(network, process, target, learned_variance=settings.learned_variance)


@dataclass(frozen=True)
class Guide:
    """Another model by which one is guided; `guides.with_guide` makes it.

    Attributes:
        kind: of the guidance, a name among `guidance.GUIDANCES`.
        origin: where it was read from.
        weights_hash: sha256 of its weights.
        around: around(denoiser, scale, low, high) is the guided denoiser.
    """

    kind: str
    origin: str
    weights_hash: str
    around: Callable[[Denoiser, float, float, float], Denoiser]


@dataclass(frozen=True)
class Model:
    """A denoiser with its card.

    Attributes:
        denoiser: E[x_0 given x_t], on its device, in evaluation mode.
        card: what it is and how it is used.
        weights_hash: sha256 of the weights, which names the model in everything it makes.
        origin: where it was read from.
        fitted: solvers that `tune` fitted to it, by their number of steps.
        notes: what a person should know of its reading: a damaged checkpoint that was passed over.
        guide: another model that guides this one.
    """

    denoiser: NetworkDenoiser
    card: Card
    weights_hash: str
    origin: str = ""
    fitted: Mapping[int, Fitted] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    guide: Guide | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one item."""
        return self.card.network.shape

    @property
    def item_shape(self) -> tuple[int, ...]:
        """The shape of one item as a person has it: that of a picture where `shape` is that of its latent."""
        return self.card.codec.items.shape

    @property
    def device(self) -> torch.device:
        """Where the weights live."""
        return next(self.denoiser.parameters()).device

    @property
    def null_label(self) -> int:
        """The label that means none."""
        return self.card.network.num_classes

    def label_ids(self, labels: Sequence[str | int] | str | int) -> list[int]:
        """Class indices of names or indices; "none" is the unconditional label.

        Raises:
            UserError: an unconditional model, or a label it does not know, with the nearest it does.
        """
        return label_ids(self.card.label_names, labels)

    def decode(self, x: Tensor) -> Any:
        """Samples in the data's own units, as numpy: uint8 pictures, points, signals."""
        return self.card.codec.decode(x)


def label_ids(names: Sequence[str], labels: Sequence[str | int] | str | int) -> list[int]:
    """`Model.label_ids` of classes by name."""
    given = [labels] if isinstance(labels, str | int) else list(labels)
    if not names:
        raise UserError("this model was trained without labels: sample it without --label")
    ids: list[int] = Part("label", "class", tuple(names)).encode(given).tolist()
    return ids


def shelf() -> tuple[str, ...]:
    """The names of the small trained models that come with pellucid; `load` takes them."""
    return tuple(sorted(folder.name for folder in SHELF.iterdir() if (folder / checkpoint.MANIFEST).is_file()))


def load(path: str | Path, *, device: str | torch.device | None = None) -> Model:
    """Reads a model from a run folder (its newest valid checkpoint), a checkpoint, an exported model folder or the
    shelf (`shelf()` gives the names). What exists as a path is taken as a path.

    The averaged weights are used. Every byte is checked against the manifest first. A damaged checkpoint of a run is
    passed over for the one before it, which the model's notes say.

    Args:
        path: the folder, or a name on the shelf.
        device: where to put it; the CUDA device if there is one, else the CPU.

    Raises:
        UserError: nothing there, no valid checkpoint, or a damaged one.
    """
    return from_stored(read(path), device=device)


def from_stored(found: Stored, *, device: str | torch.device | None = None) -> Model:
    """The diffusion model that `read` found; arguments and errors are those of `load`."""
    if found.kind != DIFFUSION:
        what, reader = _OTHERS.get(found.kind, (f"an autoencoder ({found.kind})", "load_autoencoder"))
        raise UserError(
            f"{found.origin} is {what}, not a diffusion model of numbers: its page shows what it does "
            f"(pellucid report {found.origin}), and pellucid.{reader} reads it in Python"
        )
    model = from_checkpoint(found.saved, origin=found.origin, device=device)
    if found.folder is None:
        return model
    return replace(model, fitted=_fitted(found.folder / TUNED, model.weights_hash), notes=found.notes)


@dataclass(frozen=True)
class Stored:
    """A model of any kind as it lies on the disk.

    Attributes:
        saved: its checkpoint, verified.
        origin: what it was asked for by.
        folder: where it was asked for; None on the shelf.
        notes: of damaged checkpoints that were passed over.
    """

    saved: checkpoint.Checkpoint
    origin: str
    folder: Path | None
    notes: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """What it is: what its card says, or where that says nothing, a diffusion model of numbers or of symbols."""
        document = self.saved.documents[MODEL]
        numbers = document.get("process", {}).get("kind", GAUSSIAN) == GAUSSIAN
        return str(document.get("kind", DIFFUSION if numbers else SYMBOLS))

    def loaded(self, network: M, device: str | torch.device | None) -> tuple[M, str]:
        """A network with the averaged weights, in evaluation mode on a device (the best one if None), and their sha256.

        Args:
            network: built as the card says.
            device: where to put it.
        """
        weights = self.saved.tensors[EMA]
        network.load_state_dict(weights)
        network.eval().requires_grad_(False)
        return network.to(best_device() if device is None else device), checkpoint.weights_hash(weights)


def read(path: str | Path) -> Stored:
    """Finds and verifies the checkpoint of a model; arguments and errors are those of `load`."""
    path = Path(path)
    if not path.exists() and str(path) in shelf():
        return Stored(checkpoint.load(SHELF / path), str(path), None)
    folder = path
    notes: tuple[str, ...] = ()
    if not path.exists() and closest(path.name, shelf()) and path.parent == Path():
        raise unknown("run, model folder or model on the shelf", str(path), shelf())
    if (path / CONFIG).is_file() or not (path / checkpoint.MANIFEST).is_file():
        Run.open(path)
        newest = checkpoint.latest(path)
        if newest.folder is None:
            damaged = "; ".join(newest.messages)
            raise UserError(f"the run {path} has no valid checkpoint yet{': ' + damaged if damaged else ''}")
        folder = newest.folder
        notes = tuple(f"passed over a damaged checkpoint, used {folder.name}: {each}" for each in newest.messages)
    saved = checkpoint.load(folder)
    if MODEL not in saved.documents or EMA not in saved.tensors:
        raise UserError(f"{folder} is no model: {MODEL} or {EMA} is missing")
    return Stored(saved, str(path), path, notes)


def _fitted(path: Path, weights: str) -> dict[int, Fitted]:
    """The fitted solvers kept beside a model; those of other weights are not its own, and are left aside."""
    if not path.is_file():
        return {}
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if values["weights"] != weights:
            return {}
        found = {int(steps): Fitted.from_json(solver) for steps, solver in values["solvers"].items()}
        if any(steps != len(solver.weights) for steps, solver in found.items()):
            raise ValueError("a solver has another number of steps than its name")
        return found
    except (ValueError, KeyError, TypeError, AttributeError, UserError) as error:
        raise UserError(f"{path} cannot be read ({error}): delete it and tune the model again") from None


def from_checkpoint(saved: checkpoint.Checkpoint, *, origin: str, device: str | torch.device | None = None) -> Model:
    """The model of a verified checkpoint."""
    card = Card.from_json(saved.documents[MODEL], saved.tensors.get(WEIGHTS))
    denoiser = make_denoiser(build(card.network), card.process)
    denoiser.network.load_state_dict(saved.tensors[EMA])
    denoiser.eval().requires_grad_(False)
    device = best_device() if device is None else device
    if isinstance(card.codec, LatentCodec):
        card = replace(card, codec=card.codec.to(device))
    return Model(denoiser.to(device), card, checkpoint.weights_hash(saved.tensors[EMA]), origin)


def save(model: Model, folder: str | Path, *, half: bool = False) -> Path:
    """Exports a model as a folder of its own: weights, card and manifest. Nothing is overwritten.

    Args:
        half: store the weights with 16 bits: half the size, each weight to three digits; they are used as float32.
    """
    weights = model.denoiser.network.state_dict()
    if half:
        weights = {name: value.half() if value.is_floating_point() else value for name, value in weights.items()}
    return checkpoint.save(Path(folder), {EMA: weights, **model.card.files()})
