"""What a network is, as plain values: enough to build it again from a checkpoint."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pellucid.data.conditions import KINDS
from pellucid.foundations.errors import UserError, unknown

PRESENCE = "presence"  # name and kind of the condition that says which values of a series are there
_TAKEN = ("x", "t", "c_noise", "label", "vector")  # by the faces of denoisers and networks


@dataclass(frozen=True)
class ConditionSpec:
    """What a network must know of one condition beyond `label` and `vector`, to be built for it.

    Args:
        name: the keyword by which the network is called.
        kind: `class`, `tags`, `vector`, `text`, `states` or `items`; what their tensors are, and how each says "none",
            stands in `pellucid.data.conditions`. Or `presence`, of a series (C, L): 1 where a value of it is there, 0
            where not.
        size: number of classes (none not counted), tags, components of the vector, pieces of the vocabulary (padding
            counted), or width of a state; items: 1; presence: channels.
        shape: shape of one value's tensor: (length,) of a text, (length, width) of states, that of the items.
        width: text: channels of its encoder; 0: the network's rule.
        blocks: text: blocks of its encoder.

    Raises:
        UserError: an unknown kind, a name that is no plain word or is taken, a size or shape that the kind cannot have.
    """

    name: str
    kind: str
    size: int
    shape: tuple[int, ...] = ()
    width: int = 0
    blocks: int = 2

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(self.shape))
        if self.kind not in (*KINDS, PRESENCE):
            raise unknown("kind of condition", self.kind, KINDS)
        if not self.name.isidentifier() or self.name in _TAKEN:
            taken = ", ".join(_TAKEN)
            raise UserError(f"a condition named {self.name!r}: give a plain word other than {taken}, which are taken")
        axes = {"text": (1,), "states": (2,), "items": (1, 2, 3), PRESENCE: (2,)}.get(self.kind)
        if axes is not None and (len(self.shape) not in axes or min(self.shape) < 1):
            raise UserError(
                f"the condition {self.name!r} of shape {self.shape}: give (length,) for text, (length, width) for "
                "states, a shape of 1 to 3 positive sizes for items, and (C, L) for presence"
            )
        if self.size < 1 or self.width < 0 or self.blocks < 1:
            raise UserError(
                f"the condition {self.name!r} has size {self.size}, width {self.width} and {self.blocks} blocks: give "
                "a size and blocks of at least 1, and a width of at least 0"
            )

    @property
    def key(self) -> str:
        """The name of its parameters in a module; a column may be called `keys` or `type`, which a module has."""
        return f"{self.kind}_{self.name}"

    def states_width(self, widest: int) -> int:
        """Channels of a text's states in a network whose widest level has `widest`: its own width, or the rule's.

        The rule: two thirds of the widest level, to the nearest 32, from 64 to 256. A caption has few pieces and the
        encoder few blocks, so it costs little beside a U-Net of that width.
        """
        return self.width or min(256, max(64, 32 * round(widest / 48)))

    def some(self, num: int) -> Tensor:
        """Some value for num items that is nowhere none, (num, *), on torch's default device."""
        if self.kind == "class":
            return torch.zeros(num, dtype=torch.int64)
        if self.kind == "text":
            return torch.ones(num, *self.shape, dtype=torch.int64)
        if self.kind == PRESENCE:
            return torch.ones(num, *self.shape)
        return torch.zeros(num, *((self.size,) if self.kind in ("tags", "vector") else self.shape))

    def check(self, value: Tensor) -> None:
        """Refuses a tensor that is not one of this condition, (B, *); a text may be shorter, or come as states."""
        ids, shape = not value.is_floating_point(), value.shape[1:]
        if self.kind == "class":
            fits = ids and len(shape) == 0
        elif self.kind in ("tags", "vector"):
            fits = not ids and shape == (self.size,)
        elif self.kind == "items":
            fits = not ids and shape == self.shape
        elif self.kind == PRESENCE:  # a series may be shorter, or longer
            fits = not ids and len(shape) == 2 and shape[0] == self.size
        elif self.kind == "text":
            fits = len(shape) == (1 if ids else 2) and shape[0] <= self.shape[0]
        else:
            fits = not ids and len(shape) == 2 and shape[0] <= self.shape[0] and shape[1] == self.size
        if not fits:
            raise UserError(
                f"the condition {self.name!r} is {value.dtype} of shape {tuple(value.shape)}, which is no condition of "
                f"kind {self.kind} with size {self.size} and shape {self.shape} for each item"
            )


@dataclass(frozen=True)
class NetworkSpec:
    """The description of a network, made by `choose` or by hand, turned into a module by `build`.

    Args:
        kind: name in `NETWORKS`: `unet`, `dit`, `mlp` or `sequence`.
        shape: shape of one item: (D,) points, (C, L) signals, (C, H, W) images, (L,) or (H, W) tokens.
        width: channels at the finest level (unet), of a token (dit, sequence), of a hidden layer (mlp).
        multipliers: unet: width of each level in units of `width`; the side halves between levels.
        blocks: residual blocks a level and direction (unet), or in all (the others).
        patch: side of the square of pixels folded into channels at the door (unet, dit); 1 is none.
        attention: unet: levels (0 is the finest) where every block is followed by self-attention.
        head_width: channels of one attention head; heads = channels / head_width, at least one.
        dropout: probability of dropping an activation inside a residual branch, in [0, 1).
        num_classes: labels 0..num_classes-1 are known, num_classes means "none"; 0: no labels.
        vector_dim: length of the conditioning vector; 0: none.
        output_multiplier: output channels per data channel; 2 where a variance is learned too.
        frequencies: mlp: Fourier frequencies per coordinate added to the input; 0: none.
        energy: the output is the gradient of an energy made of the network (`nn.energy`).
        symbols: sequence: how many there are, that of a mask included; 0: items are numbers.
        tied: sequence: one table gives the symbols' embeddings and their logits.
        conditions: what it knows beside label and vector, each under a name of its own.

    Raises:
        ValueError: naming the value given and what is allowed.

    >>> spec = NetworkSpec("unet", (1, 28, 28), width=32, num_classes=10)
    >>> NetworkSpec.from_json(spec.to_json()) == spec
    True
    """

    kind: str
    shape: tuple[int, ...]
    width: int = 64
    multipliers: tuple[int, ...] = (1, 2)
    blocks: int = 2
    patch: int = 1
    attention: tuple[int, ...] = ()
    head_width: int = 32
    dropout: float = 0.0
    num_classes: int = 0
    vector_dim: int = 0
    output_multiplier: int = 1
    frequencies: int = 0
    energy: bool = False
    symbols: int = 0
    tied: bool = False
    conditions: tuple[ConditionSpec, ...] = ()

    def __post_init__(self) -> None:
        conditions = tuple(c if isinstance(c, ConditionSpec) else ConditionSpec(**c) for c in self.conditions)
        object.__setattr__(self, "conditions", conditions)
        for name in ("shape", "multipliers", "attention"):  # lists, as JSON and YAML give them, are welcome
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if not 1 <= len(self.shape) <= 3 or min(self.shape) < 1:
            raise UserError(f"shape {self.shape}: give (D,), (C, L) or (C, H, W) with positive sizes")
        for name in ("width", "blocks", "patch", "head_width", "output_multiplier"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} {getattr(self, name)} is too small: give at least 1")
        for name in ("num_classes", "vector_dim", "frequencies", "symbols"):
            if getattr(self, name) < 0:
                raise UserError(f"{name} {getattr(self, name)} is negative: give 0 (none) or more")
        if not self.multipliers or min(self.multipliers) < 1:
            raise UserError(f"multipliers {self.multipliers}: give one positive integer for each level")
        if any(not 0 <= level < len(self.multipliers) for level in self.attention):
            raise UserError(f"attention levels {self.attention}: give levels from 0 to {len(self.multipliers) - 1}")
        if not 0 <= self.dropout < 1:
            raise UserError(f"dropout {self.dropout}: give a probability in [0, 1)")
        names = [condition.name for condition in conditions]
        if len(set(names)) < len(names):
            raise UserError(f"conditions {', '.join(names)}: give each a name of its own")

    def to_json(self) -> dict[str, Any]:
        """The fields as plain values that `json` writes and `from_json` reads back exactly."""
        fields = dataclasses.asdict(self)
        conditions = [{**condition, "shape": list(condition["shape"])} for condition in fields.pop("conditions")]
        plain = {name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()}
        return {**plain, "conditions": conditions}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> NetworkSpec:
        """The spec whose `to_json` is `fields`; a field that does not exist is an error, not ignored."""
        known = {field.name for field in dataclasses.fields(cls)}
        for name in fields:
            if name not in known:
                raise unknown("network field", name, known)
        return cls(**fields)
