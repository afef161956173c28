"""A trained model of a table's rows: a joint denoiser of its columns with its card, and its reading from disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ..config import ProcessSettings, SamplingSettings
from ..data.codecs import codec_from_json
from ..data.table_codec import TableCodec
from ..denoisers import EDM, TARGETS
from ..foundations.errors import UserError
from ..mixed.denoisers import MixedDenoiser
from ..model import MODEL, Stored, make_process, read
from ..nn.rows import Rows, RowsSpec
from ..processes.categorical import CATEGORICALS
from ..processes.product import Field, Product
from ..train.run import TABLE


@dataclass(frozen=True)
class TableCard:
    """What is needed, beside the weights, to build and use a model of a table; it travels in every checkpoint.

    Attributes:
        network: how the network is built.
        process: `kind` is the noise of categories, all else that of the numbers' normal scores.
        codec: the columns.
        sampling: the defaults of sampling.
        data: name, counts and hash of what it was trained on.
    """

    network: RowsSpec
    process: ProcessSettings
    codec: TableCodec
    sampling: SamplingSettings
    data: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The card as JSON values; `from_json` reads it back."""
        return {
            "kind": TABLE,
            "network": self.network.to_json(),
            "process": self.process.model_dump(mode="json"),
            "codec": self.codec.to_json(),
            "sampling": self.sampling.model_dump(mode="json"),
            "data": self.data,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> TableCard:
        """The card that `to_json` wrote."""
        codec = codec_from_json(values["codec"])
        assert isinstance(codec, TableCodec)
        return cls(
            RowsSpec.from_json(values["network"]),
            ProcessSettings.model_validate(values["process"]),
            codec,
            SamplingSettings.model_validate(values["sampling"]),
            values["data"],
        )


@dataclass(frozen=True)
class Layout:
    """Where the columns of a table stand in the states of its process.

    A product has numbers and categories: where a table has none of the one, a column is added that says nothing, a
    number that is a standard normal variable (0 in `state`) or a category that is always the first.

    Attributes:
        scores, words: how many columns of the one and of the other the table has; the flags of numbers are categories.
    """

    scores: int
    words: int

    @classmethod
    def of(cls, codec: TableCodec) -> Layout:
        """The layout of a table's packed rows."""
        return cls(len(codec.numbers), len(codec.alphabets))

    @property
    def numbers(self) -> int:
        """Columns of numbers in a state."""
        return max(1, self.scores)

    @property
    def categories(self) -> int:
        """Columns of categories in a state."""
        return max(1, self.words)

    def state(self, packed: Tensor) -> Tensor:
        """Packed rows (B, P) as states (B, C) float64; bool stays bool."""
        scores, words = packed.split([self.scores, self.words], 1)
        more = (F.pad(scores, (0, self.numbers - self.scores)), F.pad(words, (0, self.categories - self.words)))
        both = torch.cat(more, 1)
        return both if both.dtype == torch.bool else both.double()

    def packed(self, state: Tensor) -> Tensor:
        """States (B, C) as packed rows (B, P) float32."""
        numbers, categories = state.split([self.numbers, self.categories], 1)
        return torch.cat([numbers[:, : self.scores], categories[:, : self.words]], 1).float()


def make_product(settings: ProcessSettings, spec: RowsSpec) -> Product:
    """The process on rows that settings name: normal noise on scores, that of `kind` on categories.

    Raises:
        UserError: an unknown process, schedule or option.
    """
    make = CATEGORICALS[settings.kind]
    masks = make(2).mask is not None
    symbols = max(spec.sizes) + masks
    return Product(
        (
            Field("numbers", make_process(settings), spec.numbers),
            Field("categories", make(max(2, symbols)), len(spec.sizes)),
        )
    )


def make_row_denoiser(spec: RowsSpec, settings: ProcessSettings) -> MixedDenoiser:
    """The joint denoiser of rows that settings describe, freshly initialised."""
    target = TARGETS[settings.target]()
    if isinstance(target, EDM):
        target = EDM(settings.sigma_data or 1.0)
    return MixedDenoiser(Rows(spec), make_product(settings, spec), target, spec.sizes, spec.flags)


@dataclass(frozen=True)
class TableModel:
    """A joint denoiser of a table's columns with its card.

    Attributes:
        denoiser: of packed states, on its device, in evaluation mode.
        card: what it is and how it is used.
        weights_hash: sha256 of the weights, which names the model in everything it makes.
        origin: where it was read from.
        notes: what a person should know of its reading.
    """

    denoiser: MixedDenoiser
    card: TableCard
    weights_hash: str
    origin: str = ""
    notes: tuple[str, ...] = ()

    @property
    def codec(self) -> TableCodec:
        """The columns."""
        return self.card.codec

    @property
    def layout(self) -> Layout:
        """Where the columns stand in a state."""
        return Layout.of(self.codec)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one packed row."""
        return self.codec.shape

    @property
    def device(self) -> torch.device:
        """Where the weights live."""
        return next(self.denoiser.parameters()).device

    def decode(self, x: Tensor) -> NDArray[np.float32]:
        """Samples (B, P) as packed rows, of which `codec.rows` makes cells."""
        return self.codec.decode(x)

    def rows(self, x: Tensor) -> list[list[str]]:
        """Samples (B, P) as the texts of the table's cells."""
        return self.codec.rows(self.decode(x))


def load_table(path: str | Path, *, device: str | torch.device | None = None) -> TableModel:
    """Reads a model of a table, as `model.load` reads a diffusion model: arguments are the same, and so are errors.

    Raises:
        UserError: also for a model of another kind.
    """
    return table_from_stored(read(path), device=device)


def table_from_stored(found: Stored, *, device: str | torch.device | None = None) -> TableModel:
    """The model of a table that `model.read` found; arguments and errors are those of `load_table`."""
    if found.kind != TABLE:
        raise UserError(f"{found.origin} is no model of a table: `pellucid info {found.origin}` says what it is")
    card = TableCard.from_json(found.saved.documents[MODEL])
    denoiser = make_row_denoiser(card.network, card.process)
    _, weights = found.loaded(denoiser.network, device)
    denoiser.to(next(denoiser.network.parameters()).device).eval()
    return TableModel(denoiser, card, weights, found.origin, found.notes)
