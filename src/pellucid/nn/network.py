"""What all networks share: their face, and the way of the conditions into them.

    class, tags, vector    added to the embedding of the noise level
    text, states           their mean added to the embedding; their states attended to
    items of x's sides     laid beside x as further channels, with one that says where they are known
    other items            attended to, patch by patch

    presence               which values of a series are there: the others are zero to the network, and steps behind a
                           series' end are not seen at all

An `mlp` attends to nothing: it lays items of any shape beside x, and takes a text by its mean.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from pellucid.foundations.errors import UserError, unknown

from .attend import Context, Seen, with_mask
from .blocks import Embedding
from .parts import embedders
from .spec import PRESENCE, ConditionSpec, NetworkSpec
from .text import TextEncoder


def steps_of(there: Tensor) -> Tensor:
    """1 up to the last step of which any channel is there, 0 behind it: (B, C, L) -> (B, 1, L).

    A hole within a series stays a step of it: what is on its sides belongs together.
    """
    return there.amax(1, keepdim=True).flip(-1).cummax(-1).values.flip(-1)


class Network(nn.Module, ABC):
    """A network with conditions; a subclass is what it does with x once they are prepared.

    Args:
        spec: its description.
        width: of the embedding.
        widest: channels of its widest level, which size text encoders and the context.
        attends: whether it has cross-attention.
    """

    masks: ClassVar[bool] = False  # whether it can leave out what is behind the end of a series

    def __init__(self, spec: NetworkSpec, width: int, widest: int, *, attends: bool = True) -> None:
        super().__init__()
        self.conditions = {condition.name: condition for condition in spec.conditions}
        self.presence = next((c for c in spec.conditions if c.kind == PRESENCE), None)
        if self.presence is not None and (not self.masks or len(spec.shape) != 2):
            raise UserError(
                f"series of lengths of their own, or with missing values, are for a unet or a dit of signals (C, L), "
                f"not for {spec.kind} of items {spec.shape}"
            )
        self.embedding = Embedding(width, spec.num_classes, spec.vector_dim, embedders(spec.conditions, widest, width))
        texts = [condition for condition in spec.conditions if condition.kind == "text"]
        self.texts = nn.ModuleDict(
            {c.key: TextEncoder(c.size, c.shape[0], c.states_width(widest), c.blocks) for c in texts}
        )
        items = [c for c in spec.conditions if c.kind == "items"]
        self.beside = tuple(c for c in items if not attends or _same_sides(c, spec))
        attended = tuple(
            c for c in spec.conditions if attends and c.kind in ("text", "states", "items") and c not in self.beside
        )
        widths = {c.name: c.states_width(widest) for c in attended}
        self.context_width = max(widths.values(), default=0)
        self.context = Context(attended, self.context_width, widths) if attended else None

    def encoded(self, cond: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The conditions with every text of pieces replaced by its states, which the network takes in its place.

        A sampler calls it once, so that no step of it encodes a text.

        Raises:
            UserError: a condition that the network does not know, or whose shape or type is not its own.
        """
        return {**cond, **self._prepared({name: v for name, v in cond.items() if name not in ("label", "vector")})}

    def forward(
        self,
        x: Tensor,
        c_noise: Tensor,
        *,
        label: Tensor | None = None,
        vector: Tensor | None = None,
        **cond: Tensor | None,
    ) -> Tensor:
        """Items of about unit variance and noise levels to predictions.

        Args:
            x: (B, *shape), of the spec.
            c_noise: (B,), about log(sigma / alpha) / 4.
            label: (B,) integers 0..num_classes, num_classes for "none"; None: none for all.
            vector: (B, vector_dim); None, or a row of NaN: none.
            cond: the spec's other conditions by name, as `pellucid.data.conditions` lays them out, texts as pieces or
                as `encoded`; one that is None or left out is none for all.

        Returns:
            (B, shape[0] output_multiplier, *shape[1:]).

        Raises:
            UserError: a condition that the network does not know, or whose shape or type is not its own.
        """
        given = self._prepared({name: value for name, value in cond.items() if value is not None})
        values = {c.key: given[name] for name, c in self.conditions.items() if name in given}
        for c in self.conditions.values():
            if c.kind == "class" and c.name not in given:
                values[c.key] = torch.full_like(c_noise, c.size, dtype=torch.int64)
        embedding = self.embedding(c_noise, label, vector, values)
        beside = [self._laid(c, given, x) for c in self.beside]
        context = None if self.context is None else self.context(given, len(x))
        if self.presence is None:
            return self.body(x, embedding, beside, context)
        there = given[self.presence.name].to(x.dtype) if self.presence.name in given else torch.ones_like(x)
        return self.body(x * there, embedding, [there, *beside], context, steps_of(there))

    @abstractmethod
    def body(
        self,
        x: Tensor,
        embedding: Tensor,
        beside: list[Tensor],
        context: Seen | None,
        steps: Tensor | None = None,
    ) -> Tensor:
        """The prediction at x (B, *shape) under an embedding (B, E).

        Args:
            beside: the items laid beside x, (B, C + 1, *side) each, in the spec's order, behind the presence of x.
            context: what is attended to; None where there is no attended condition.
            steps: of networks with `masks`, (B, 1, L): 1 up to the end of each series, 0 behind it; None: no ends.
        """

    def _prepared(self, cond: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The conditions, checked, texts as states."""
        found = {}
        for name, value in cond.items():
            if name not in self.conditions:
                raise unknown("condition", name, self.conditions)
            condition = self.conditions[name]
            condition.check(value)
            if condition.kind == "text" and not value.is_floating_point():
                value = cast(TextEncoder, self.texts[condition.key])(value)
            found[name] = value
        return found

    def _laid(self, condition: ConditionSpec, given: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """One item's channels beside x: zeros where it is none."""
        if condition.name in given:
            return with_mask(given[condition.name]).to(x.dtype)
        channels, *side = condition.shape
        return x.new_zeros(len(x), channels + 1, *side)


def channels_beside(network: Network) -> int:
    """How many channels stand beside x: items with their masks, and the presence of x."""
    own = 0 if network.presence is None else network.presence.size
    return own + sum(condition.shape[0] + 1 for condition in network.beside)


def _same_sides(condition: ConditionSpec, spec: NetworkSpec) -> bool:
    return len(condition.shape) == len(spec.shape) and condition.shape[1:] == spec.shape[1:]
