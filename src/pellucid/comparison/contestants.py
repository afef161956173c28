"""What is compared: a trained model of any kind, and the answers to what every kind is asked.

    bounds     how probable it thinks items are, by every method that its kind has
    draw       samples at the model's own settings, with what they cost
    networks   the modules whose calls are counted
    learned    the modules whose weights are

A kind of model takes part by registering its functions here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import singledispatch
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ..asked import Asked, conditions_for
from ..autoencoders import Quantised
from ..autoencoders.model import AutoencoderModel
from ..autoencoders.score import autoencoder_scores
from ..data.arrays import Dataset
from ..data.codecs import Codec
from ..energies.ebm import EnergyCard, EnergyModel
from ..energies.score import energy_scores
from ..foundations.errors import UserError
from ..generate import sample
from ..latents.codec import LatentCodec
from ..latents.codes import CodesCodec
from ..model import Model
from ..readers import load_any
from ..sampling import labels_for
from ..score import Score, scores
from ..tables.generate import sample_rows
from ..tables.model import TableCard, TableModel
from ..tables.score import table_scores
from ..tokens.generate import sample_tokens
from ..tokens.model import TokenModel
from ..tokens.score import token_scores
from ..train.run import CONFIG, Run

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Contestant:
    """A model with what is known of its training.

    Attributes:
        name: what to call it.
        model: of any kind.
        run: where it was trained; None for a model folder, a checkpoint or one of the shelf.
    """

    name: str
    model: Any
    run: Run | None

    @classmethod
    def read(cls, given: str | Path, name: str) -> Contestant:
        """From a run, a checkpoint, a model folder or a name of the shelf, and what to call it.

        Raises:
            UserError: nothing there that can be read, or a model of texts, whose unit is the character.
        """
        path = Path(given)
        run = Run.open(path) if (path / CONFIG).is_file() else None
        model = load_any(given)
        if isinstance(model, TokenModel) and model.is_text:
            raise UserError(f"{name} is a model of texts, which have no samples in common: see pellucid likelihood")
        return cls(name, model, run)

    @property
    def codec(self) -> Codec:
        """The codec of its items."""
        found: Codec = self.model.card.codec.items
        return found

    @property
    def facts(self) -> dict[str, Any]:
        """Name, counts and hash of what it was trained on."""
        found: dict[str, Any] = self.model.card.data
        return found

    @property
    def label_names(self) -> tuple[str, ...]:
        """Its classes."""
        card = self.model.card
        return () if isinstance(card, EnergyCard | TableCard) else tuple(card.label_names)

    @property
    def kind(self) -> str:
        """The recipe it was trained by, or the kind of its model."""
        recipe = None if self.run is None else self.run.config.get("recipe")
        return str(recipe or kind_of(self.model))

    @property
    def parameters(self) -> int:
        """How many numbers were learned."""
        return sum(p.numel() for module in learned(self.model) for p in module.parameters())

    @property
    def training(self) -> tuple[int, float] | None:
        """Items seen and seconds, as its run recorded them."""
        lines = [] if self.run is None else self.run.lines("train")
        return (int(lines[-1]["items"]), float(lines[-1]["seconds"])) if lines else None


@dataclass(frozen=True, eq=False)
class Drawn:
    """Samples and what they cost.

    Attributes:
        samples: in the data's own units, (N, *).
        labels: what each was asked for, (N,), or None.
        seconds: for all.
        calls: of a network, for one sample.
    """

    samples: Any
    labels: Tensor | None
    seconds: float
    calls: float


def draw(
    model: Any, num: int, *, seed: int = 0, first: int = 0, label: Sequence[str | int] | None = None, **settings: Any
) -> Drawn:
    """Samples of a model with the calls of its networks counted.

    Args:
        model: of any kind.
        num: how many.
        seed: any integer.
        first: the number of the first sample.
        label: classes that are taken in turn; all if absent.
        settings: what the sampler of its kind takes beside; the model's own if absent.

    Raises:
        UserError: a model that cannot be sampled; why, in one sentence.
    """
    rows = 0

    def count(module: nn.Module, given: tuple[Any, ...], made: Any) -> None:
        nonlocal rows
        rows += len(given[0])  # what comes out may be a part for each column of a table

    with ExitStack() as stack:
        for network in networks(model):
            stack.callback(network.register_forward_hook(count).remove)
        started = time.perf_counter()
        samples, labels = samples_of(model, num, seed, first, label, **settings)
        seconds = time.perf_counter() - started
    return Drawn(samples, labels, seconds, rows / num)


@singledispatch
def kind_of(model: Any) -> str:
    """A word for the kind of a model."""
    raise UserError(f"models of the type {type(model).__name__} cannot be compared")


@singledispatch
def networks(model: Any) -> list[nn.Module]:
    """The modules of a model that are called, none inside another."""
    raise UserError(f"models of the type {type(model).__name__} cannot be compared")


@singledispatch
def learned(model: Any) -> list[nn.Module]:
    """The modules that hold a model's weights, none inside another."""
    raise UserError(f"models of the type {type(model).__name__} cannot be compared")


@singledispatch
def bounds(model: Any, data: Dataset, *, k: int, seed: int, progress: Progress | None) -> list[Score]:
    """What each method of a model's kind says of items, each with its own label where both have labels."""
    raise UserError(f"models of the type {type(model).__name__} cannot be compared")


@singledispatch
def samples_of(
    model: Any, num: int, seed: int, first: int = 0, label: Sequence[str | int] | None = None, **settings: Any
) -> tuple[Any, Tensor | None]:
    """Samples in the data's own units, and the class that each was asked for.

    Args:
        model: of any kind.
        num: how many.
        seed: any integer.
        first: the number of the first sample.
        label: classes that are taken in turn; all if absent.
        settings: what the sampler of its kind takes beside.
    """
    raise UserError(f"models of the type {type(model).__name__} cannot be compared")


@kind_of.register
def _(model: Model) -> str:
    return "latent diffusion" if isinstance(model.card.codec, LatentCodec) else "diffusion"


@kind_of.register
def _(model: AutoencoderModel) -> str:
    return model.card.network.kind


@kind_of.register
def _(model: TokenModel) -> str:
    return "prior over codes"


@kind_of.register
def _(model: EnergyModel) -> str:
    return "energy model"


@kind_of.register
def _(model: TableModel) -> str:
    return "table"


@networks.register
def _(model: TableModel) -> list[nn.Module]:
    return [model.denoiser.network]


@learned.register
def _(model: TableModel) -> list[nn.Module]:
    return [model.denoiser]


@bounds.register
def _(model: TableModel, data: Dataset, *, k: int, seed: int, progress: Progress | None) -> list[Score]:
    return table_scores(model, data, seed=seed, progress=progress)


@samples_of.register
def _(
    model: TableModel, num: int, seed: int, first: int = 0, label: Sequence[str | int] | None = None, **settings: Any
) -> tuple[Any, Tensor | None]:
    return model.decode(sample_rows(model, num, seed=seed, first=first, **settings)), None


@networks.register
def _(model: EnergyModel) -> list[nn.Module]:
    return [model.law.potential.network]


@learned.register
def _(model: EnergyModel) -> list[nn.Module]:
    return [model.law]


@bounds.register
def _(model: EnergyModel, data: Dataset, *, k: int, seed: int, progress: Progress | None) -> list[Score]:
    return energy_scores(model, data, seed=seed, progress=progress)


@samples_of.register
def _(
    model: EnergyModel, num: int, seed: int, first: int = 0, label: Sequence[str | int] | None = None
) -> tuple[Any, Tensor | None]:
    return model.card.codec.decode(model.sample(num, seed=seed, first=first)), None


@networks.register
def _(model: TokenModel) -> list[nn.Module]:
    return [model.denoiser.network, *_coders(model.card.codec)]


@learned.register
def _(model: TokenModel) -> list[nn.Module]:
    codec = model.card.codec
    return [model.denoiser, *([codec.network] if isinstance(codec, CodesCodec) else [])]


@bounds.register
def _(model: TokenModel, data: Dataset, *, k: int, seed: int, progress: Progress | None) -> list[Score]:
    return token_scores(model, data, seed=seed, progress=progress)


@samples_of.register
def _(
    model: TokenModel, num: int, seed: int, first: int = 0, label: Sequence[str | int] | None = None, **settings: Any
) -> tuple[Any, Tensor | None]:
    labels = conditions_for(model, Asked(label)).at(range(first, first + num)).get("label")
    made = sample_tokens(model, num, seed=seed, first=first, label=label, **settings)
    return model.decode(made), _on_cpu(labels)


@networks.register
def _(model: Model) -> list[nn.Module]:
    return [model.denoiser.network, *_coders(model.card.codec)]


@learned.register
def _(model: Model) -> list[nn.Module]:
    codec = model.card.codec
    return [model.denoiser, *([codec.network] if isinstance(codec, LatentCodec) else [])]


@learned.register
def _(model: AutoencoderModel) -> list[nn.Module]:
    return [model.network]


@networks.register
def _(model: AutoencoderModel) -> list[nn.Module]:
    return [model.network.encoder, model.network.decoder]


@bounds.register
def _(model: Model, data: Dataset, *, k: int, seed: int, progress: Progress | None) -> list[Score]:
    return scores(model, data, seed=seed, progress=progress)


@bounds.register
def _(model: AutoencoderModel, data: Dataset, *, k: int, seed: int, progress: Progress | None) -> list[Score]:
    return autoencoder_scores(model, data, k=k, seed=seed, progress=progress)


@samples_of.register
def _(
    model: Model, num: int, seed: int, first: int = 0, label: Sequence[str | int] | None = None, **settings: Any
) -> tuple[Any, Tensor | None]:
    made = sample(model, num, seed=seed, first=first, label=label, force=True, **settings)
    return model.decode(made), _on_cpu(labels_for(model, range(first, first + num), label))


@samples_of.register
def _(
    model: AutoencoderModel, num: int, seed: int, first: int = 0, label: Sequence[str | int] | None = None
) -> tuple[Any, Tensor | None]:
    if isinstance(model.network, Quantised):
        raise UserError("a code book has no law of its codes, and cannot be sampled")
    labels = model.labels_for(range(first, first + num), label)
    return model.to_items(model.sample(num, seed=seed, first=first, label=label)), _on_cpu(labels)


def _coders(codec: Codec) -> list[nn.Module]:
    """The networks of an autoencoder in a codec's place."""
    if isinstance(codec, LatentCodec | CodesCodec):
        return [codec.network.encoder, codec.network.decoder]
    return []


def _on_cpu(labels: Tensor | None) -> Tensor | None:
    return None if labels is None else labels.cpu()
