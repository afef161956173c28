"""Training behind an autoencoder: what a model of latents and a model of codes share."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

from ..config import Resolved
from ..foundations.devices import best_device
from ..latents.codec import WEIGHTS, read_codec
from ..model import MODEL, Card
from . import checkpoint
from .budget import Budget, parse_budget
from .kind import Kind
from .run import Run


@dataclass(frozen=True, eq=False)
class SecondStage(Kind):
    """A kind of model that learns what an autoencoder made of the items.

    Attributes:
        saved: the checkpoint that a run goes on from; its autoencoder is the one in use, whatever became of the run
            that it was first read from.
    """

    saved: checkpoint.Checkpoint | None = None
    second: ClassVar[bool] = True

    def read_card(self, values: dict[str, Any]) -> Card:
        assert self.saved is not None
        return Card.from_json(values, self.saved.tensors.get(WEIGHTS))

    def resumed(self, saved: checkpoint.Checkpoint) -> Self:
        return replace(self, saved=saved)

    def second_stage(self, resolved: Resolved, first: Run) -> Resolved:
        left = part_of_budget(resolved.config.training.budget, 1 - resolved.config.autoencoder.share)
        return resolved.with_values(
            "first stage", {"autoencoder.source": os.path.abspath(first.path), "training.budget": left}
        )

    def kept_codec(self) -> tuple[Any, str | None] | None:
        """The codec of the checkpoint that a run goes on from, on the best device, and where its autoencoder was first
        read from; None in a new run."""
        if self.saved is None:
            return None
        values = self.saved.documents[MODEL]
        codec: Any = read_codec(values["codec"], self.saved.tensors.get(WEIGHTS))
        return codec.to(best_device()), values["data"]["autoencoder"]["source"]


def part_of_budget(budget: str, share: float) -> str:
    """A share of a budget, as text."""
    whole = parse_budget(budget)
    return str(
        Budget(
            seconds=None if whole.seconds is None else share * whole.seconds,
            items=None if whole.items is None else max(1, round(share * whole.items)),
            epochs=None if whole.epochs is None else share * whole.epochs,
        )
    )
