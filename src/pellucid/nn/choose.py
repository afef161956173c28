r"""Which network: the table of kinds, `build`, and the one rule that sizes a network for a budget.

The rule. A training run of C floating-point operations sees N items at F operations each, C = N F. Larger
networks learn more from an item and see fewer of them; near the best split both grow like the root of C
(Hoffmann et al. 2022, "Training Compute-Optimal Large Language Models", section 3.3, table 2: exponents 0.49
and 0.51). An item of D values teaches more than one of few, yet less than D times as much, for its values are
related; the root again stands between the two:

    F = RATIO sqrt(C D),                                                                   (1)

with RATIO found once by experiment, on class-conditional 28×28 digits at C = 2e13. Of the candidates, which differ
in width and patch, the widest within (1) is taken, at the finest patch that affords a width of `COMFORT`.

A sequence of L tokens shares one network among all of them, and tokens are what the law was found for: of the best
split, about 20 tokens for each of P parameters (the same paper, table 3), at 6 P operations a token,

    F = 6 L P = L sqrt(6 C / 20).                                                          (2)
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from pellucid.foundations.errors import UserError
from pellucid.foundations.registry import Registry

from .dit import DiT
from .energy import EnergyNetwork
from .mlp import MLP
from .sequence import Sequence
from .spec import ConditionSpec, NetworkSpec
from .unet import UNet

NETWORKS: Registry[Callable[[NetworkSpec], nn.Module]] = Registry(
    "network", {"unet": UNet, "dit": DiT, "mlp": MLP, "sequence": Sequence}
)

RATIO = 2.2
TOKENS = 20
COMFORT = 32
WIDTHS = (8, 16, 24, 32, 40, 48, 64, 80, 96, 128, 160, 192, 256, 320, 384, 512, 640, 768, 1024)


def build(spec: NetworkSpec) -> nn.Module:
    """The network that the spec describes, freshly initialised from torch's global generator.

    Raises:
        ValueError: for a kind that is not in `NETWORKS`, with the nearest that is.
    """
    network = NETWORKS[spec.kind](spec)
    return EnergyNetwork(network, spec) if spec.energy else network


@cache
def training_flops(spec: NetworkSpec) -> int:
    """Floating-point operations of one item's forward and backward pass, by torch's counter.

    Counted on torch's meta device: nothing is computed and no memory used. Attention and elementwise work are
    small beside the products counted. Every condition is there, texts at their full length.
    """
    with torch.device("meta"):
        network = build(spec)
        x = torch.empty(1, *spec.shape, dtype=torch.int64 if spec.symbols else torch.float32)
        c_noise = torch.empty(1)
        cond = {condition.name: condition.some(1) for condition in spec.conditions}
    with FlopCounterMode(display=False) as counter:
        network(x, c_noise, **cond).sum().backward()
    return counter.get_total_flops()


def choose(
    shape: tuple[int, ...],
    budget: float,
    *,
    num_classes: int = 0,
    vector_dim: int = 0,
    output_multiplier: int = 1,
    symbols: int = 0,
    conditions: tuple[ConditionSpec, ...] = (),
) -> NetworkSpec:
    """The network for items of a shape when training may cost `budget` floating-point operations.

    - Points (D,): an `mlp` of 4 blocks, with 4 Fourier frequencies a coordinate up to 8 coordinates.
    - Signals and images: a `unet` with one level for each halving of the longest side down to 8 or less, of
      widths 1, 2, 2, ... times `width`; attention at the last two levels, where the grid has at most 64
      positions. The patch is the finest of 1, 2, 4, ... at which a width of 32 is within (1), as long as 8
      positions are left.
    - Tokens: a `sequence` of 4 blocks, its table tied above 256 symbols, where it is most of the network.
    - The width is the widest of `WIDTHS` with `training_flops` within equation (1) above (tokens: 2), or the narrowest.

    Every field can be changed after: `dataclasses.replace(choose(...), width=96)`.

    Args:
        shape: (D,), (C, L) or (C, H, W); of tokens (L,) or (H, W).
        budget: floating-point operations of the whole training, forward and backward.
        num_classes, vector_dim, output_multiplier, symbols, conditions: as in `NetworkSpec`.

    Raises:
        ValueError: for a budget that is not positive.

    >>> choose((1, 28, 28), 2e13, num_classes=10).kind
    'unet'
    """
    if not budget > 0 or math.isinf(budget):
        raise UserError(f"a compute budget of {budget} operations: give a positive, finite number")
    shape = tuple(shape)
    size = math.prod(shape)
    limit = size * math.sqrt(6 * budget / TOKENS) if symbols else RATIO * math.sqrt(budget * size)

    def candidate(width: int, patch: int) -> NetworkSpec:
        return replace(
            structure(shape, patch, symbols),
            width=width,
            num_classes=num_classes,
            vector_dim=vector_dim,
            output_multiplier=output_multiplier,
            conditions=conditions,
        )

    patch = 1
    while not symbols and max(shape[1:], default=0) >= 16 * patch and training_flops(candidate(COMFORT, patch)) > limit:
        patch *= 2
    above = bisect_right(WIDTHS, limit, key=lambda width: training_flops(candidate(width, patch)))
    return candidate(WIDTHS[max(0, above - 1)], patch)


def structure(shape: tuple[int, ...], patch: int, symbols: int = 0) -> NetworkSpec:
    """All that follows from the shape and the patch: everything of `choose` but the width."""
    if symbols:
        return NetworkSpec("sequence", shape, blocks=4, symbols=symbols, tied=symbols > 256)
    if len(shape) == 1:
        return NetworkSpec("mlp", shape, blocks=4, frequencies=4 if shape[0] <= 8 else 0)
    sides = [[math.ceil(size / patch) for size in shape[1:]]]
    while max(sides[-1]) > 8:
        sides.append([math.ceil(size / 2) for size in sides[-1]])
    coarse = range(max(0, len(sides) - 2), len(sides))
    attention = tuple(level for level in coarse if math.prod(sides[level]) <= 64)
    multipliers = tuple(1 if level == 0 else 2 for level in range(len(sides)))
    return NetworkSpec("unet", shape, multipliers=multipliers, patch=patch, attention=attention)
