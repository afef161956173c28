"""What sets one kind of model apart from another in training; all else of a run is the same for all."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Protocol

from ..config import Config, Resolved
from ..model import MODEL
from . import checkpoint
from .engine import Engine
from .prepare import Prepared
from .run import Run
from .trainee import Trainee


class Look(Protocol):
    """What is made along the way."""

    def make(self, run: Run, trainee: Trainee[Any], *, items: int) -> None:
        """Writes pictures and lines of metrics for where the run is."""
        ...


class Travelling(Protocol):
    """What is needed, beside the weights, to build and use a model: it travels in every checkpoint.

    Attributes:
        network: how the network is built.
        data: name, counts and hash of what it was trained on.
    """

    @property
    def network(self) -> Any: ...

    @property
    def data(self) -> dict[str, Any]: ...

    def to_json(self) -> dict[str, Any]:
        """The card as JSON values."""
        ...


class Kind(ABC):
    """A kind of model: diffusion, or an autoencoder."""

    second: ClassVar[bool] = False  # whether it builds on an autoencoder

    @abstractmethod
    def prepare(self, config: Config) -> Prepared:
        """The data that settings name, ready for training.

        Raises:
            UserError: names or data that this kind cannot use.
        """

    @abstractmethod
    def check(self, prepared: Prepared, *, force: bool) -> None:
        """Refuses a run that cannot end well, unless forced."""

    @abstractmethod
    def trainee(self, config: Config, network: Any, engine: Engine) -> Trainee[Any]:
        """What learns, its weights a function of the seed."""

    @abstractmethod
    def settings(self, network: Any) -> dict[str, Any]:
        """A network's description as settings, dotted key to value."""

    @abstractmethod
    def card(self, config: Config, network: Any, prepared: Prepared) -> Travelling:
        """What travels with the weights."""

    @abstractmethod
    def read_card(self, values: dict[str, Any]) -> Travelling:
        """The card from its JSON values."""

    @abstractmethod
    def look(self, card: Any, prepared: Prepared) -> Look:
        """What is made along the way."""

    def files(self, card: Any) -> checkpoint.Files:
        """What a checkpoint holds beside the training's state: the card, and what else the model works with."""
        return {MODEL: card.to_json()}

    def resumed(self, saved: checkpoint.Checkpoint) -> Kind:
        """This kind for a run that goes on: with what its checkpoint holds, where it works with more than the card."""
        return self

    def first_stage(self, resolved: Resolved) -> Resolved | None:
        """The settings of another run that must come first, its budget a share of this one's; None for most kinds."""
        return None

    def second_stage(self, resolved: Resolved, first: Run) -> Resolved:
        """The settings once the first stage is there."""
        return resolved

    def undivided(self, config: Config) -> str | None:
        """Why several processes cannot share a batch of this kind; None where they can."""
        return None

    @abstractmethod
    def describe(self, network: Any) -> str:
        """The network in a few words."""

    def rule(self, config: Config, prepared: Prepared) -> dict[str, Any]:
        """How the network is chosen and what it costs: `choose` and `flops` of `calibrate`, where they are not those of
        denoisers."""
        return {}
