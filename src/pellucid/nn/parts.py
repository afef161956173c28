"""How each kind of condition adds to the embedding of the noise level: nothing at all where an item has none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from pellucid.foundations.registry import Registry

from .spec import ConditionSpec


class Numbers(nn.Module):
    """Tags or a vector, (B, size), times a matrix: (B, width), zero where a row holds NaN."""

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(size, width)

    def forward(self, value: Tensor) -> Tensor:
        """The part's share of the embedding."""
        absent = value.isnan().any(dim=1, keepdim=True)
        return self.linear(value.nan_to_num()).masked_fill(absent, 0.0)


class Pooled(nn.Module):
    """The mean of states (B, L, size) over the positions that are there, times a matrix: (B, width), zero for none."""

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(size, width)

    def forward(self, states: Tensor) -> Tensor:
        """The part's share of the embedding."""
        there = there_in(states)
        count = there.sum(dim=1, keepdim=True)
        mean = states.nan_to_num().sum(dim=1) / count.clamp_min(1).to(states.dtype)
        return self.linear(mean).masked_fill(count == 0, 0.0)


def there_in(states: Tensor) -> Tensor:
    """Which positions of states (B, L, size) hold one: (B, L), false where there is NaN."""
    return ~states.isnan().any(dim=2)


# Made by (condition, width of its states, width of the embedding). What is not here reaches a network otherwise.
PARTS: Registry[Callable[[ConditionSpec, int, int], nn.Module]] = Registry(
    "part of the embedding",
    {
        "class": lambda condition, _, width: nn.Embedding(condition.size + 1, width),
        "tags": lambda condition, _, width: Numbers(condition.size, width),
        "vector": lambda condition, _, width: Numbers(condition.size, width),
        "text": lambda _, states, width: Pooled(states, width),
        "states": lambda condition, _, width: Pooled(condition.size, width),
    },
)


def embedders(conditions: tuple[ConditionSpec, ...], widest: int, width: int) -> dict[str, Any]:
    """The modules that add conditions to an embedding of a width, by the conditions' keys.

    Args:
        widest: channels of the network's widest level, which size a text's states.
    """
    return {
        condition.key: PARTS[condition.kind](condition, condition.states_width(widest), width)
        for condition in conditions
        if condition.kind in PARTS
    }
