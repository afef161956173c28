"""Reading a model of whatever kind lies there; a new kind is one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import torch

from .autoencoders import AUTOENCODERS
from .autoencoders.model import autoencoder_from_stored
from .classifiers.model import CLASSIFIER, classifier_from_stored
from .energies.ebm import EBM, ebm_from_stored
from .foundations.registry import Registry
from .model import DIFFUSION, SYMBOLS, Stored, from_stored, read
from .tables.model import table_from_stored
from .tokens.model import tokens_from_stored
from .train.run import TABLE


class Reader(Protocol):
    """What makes a model of what lies on the disk."""

    def __call__(self, found: Stored, *, device: str | torch.device | None = None) -> Any: ...


READERS: Registry[Reader] = Registry(
    "kind of model",
    {
        DIFFUSION: from_stored,
        SYMBOLS: tokens_from_stored,
        CLASSIFIER: classifier_from_stored,
        EBM: ebm_from_stored,
        TABLE: table_from_stored,
        **dict.fromkeys(AUTOENCODERS, autoencoder_from_stored),
    },
)


def load_any(path: str | Path, *, device: str | torch.device | None = None) -> Any:
    """Reads a model of any kind, as `model.load` reads a diffusion model: arguments are the same, and so are errors.

    Its type says what it is: `Model`, `TokenModel`, `AutoencoderModel`, `ClassifierModel`, `EnergyModel` and so on.
    """
    found = read(path)
    return READERS[found.kind](found, device=device)
