r"""Encoders and decoders: an item to the parameters of a latent, a latent to the parameters of an item's law.

    conv   a U-Net's way down, or its way up, without what a U-Net hands across; latents are grids (L, *grid) or vectors
    mlp    residual blocks on flattened items; latents are vectors

They are described by the `NetworkSpec` of the item, like denoisers, and know labels but no noise level. Their width
follows the budget by the rule of `choose`, equation (1), with a constant of their own (`RATIO`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from pellucid.foundations.errors import UserError
from pellucid.foundations.registry import Registry

from .blocks import (
    Embedding,
    convolution,
    crop,
    double,
    group_norm,
    halve,
    pad_to_multiple,
    patchify,
    unpatchify,
    zeroed,
)
from .choose import WIDTHS, structure
from .mlp import DenseBlock
from .spec import NetworkSpec
from .unet import Stage

T = TypeVar("T")

# Found once on 28x28 digits, an unconditional VAE with 57 seconds of one core each (C = 3e12 to 8e12): the held-out
# loss was 1.012 nats a value at width 16, 1.029 at 24, 1.034 at 32, 1.092 at 48 and 1.144 at 64. With 170 seconds it
# was 0.990 at 16, 0.987 at 24 and 0.990 at 32, all past their best: 4,001 digits are then learned by heart. Denoisers'
# ratio, 2.2, would take 32 and 48; a coder need not know an item at every noise level, and is sooner wide enough.
RATIO = 0.6
NARROWEST = 16  # that was measured


def sides(spec: NetworkSpec) -> list[tuple[int, ...]]:
    """The grid at each level of a `conv` coder, from the finest."""
    found = [tuple(math.ceil(size / spec.patch) for size in spec.shape[1:])]
    for _ in spec.multipliers[1:]:
        found.append(tuple(math.ceil(size / 2) for size in found[-1]))
    return found


class _Label(nn.Module):
    """The embedding of a label alone: (B,) integers, or None for none at all, to (B, width)."""

    def __init__(self, width: int, num_classes: int) -> None:
        super().__init__()
        self.embedding = Embedding(width, num_classes)

    def forward(self, x: Tensor, label: Tensor | None) -> Tensor:
        """The embedding for each item of x."""
        return self.embedding(x.new_zeros(len(x)), label, None)


class ConvEncoder(nn.Module):
    """Signals and pictures to a latent's parameters: (B, C, *side) -> (B, out, *grid), or (B, out) where flat.

    Args:
        spec: of the item; multipliers, one for each level, between which the side halves.
        out: parameters at each position of the grid, or in all where flat.
        flat: whether the latent is a vector.
    """

    def __init__(self, spec: NetworkSpec, out: int, *, flat: bool) -> None:
        super().__init__()
        dims = _dims(spec)
        self.patch, self.flat = spec.patch, flat
        widths = [spec.width * m for m in spec.multipliers]
        self.label = _Label(4 * spec.width, spec.num_classes)
        self.door = convolution(dims, spec.shape[0] * spec.patch**dims, widths[0])
        self.levels = _stages(spec, widths[0], list(enumerate(widths)))
        self.norm = group_norm(widths[-1])
        size = widths[-1] * math.prod(sides(spec)[-1])
        self.out = nn.Linear(size, out) if flat else convolution(dims, widths[-1], out, kernel=1)
        # A block is told of the label channel by channel; what depends on it and on the place needs a way of its own.
        self.by_label = zeroed(nn.Linear(4 * spec.width, out)) if flat and spec.num_classes else None

    def forward(self, x: Tensor, *, label: Tensor | None = None) -> Tensor:
        """The parameters for items x (B, C, *side), labels (B,) or None."""
        embedding = self.label(x, label)
        h = self.door(_laid(patchify(pad_to_multiple(x, self.patch), self.patch)))
        for level, stages in enumerate(self.levels):
            h = halve(h) if level else h
            for stage in cast(nn.ModuleList, stages):
                h = stage(h, embedding)
        h = F.silu(self.norm(h))
        out = self.out(h.flatten(1)) if self.flat else self.out(h)
        return out if self.by_label is None else out + self.by_label(embedding)


class ConvDecoder(nn.Module):
    """A latent to an item's parameters: (B, latent, *grid) or, flat, (B, latent) -> (B, C multiplier, *side).

    Args:
        spec: of the item; `output_multiplier` parameters are given for each of its values.
        latent: channels of the grid, or the vector's length.
        flat: whether the latent is a vector.
    """

    def __init__(self, spec: NetworkSpec, latent: int, *, flat: bool) -> None:
        super().__init__()
        dims = _dims(spec)
        self.patch, self.flat, self.side = spec.patch, flat, torch.Size(spec.shape[1:])
        self.sides = [torch.Size(side) for side in sides(spec)]
        widths = [spec.width * m for m in spec.multipliers]
        self.top = (widths[-1], *self.sides[-1])
        self.label = _Label(4 * spec.width, spec.num_classes)
        self.door = nn.Linear(latent, math.prod(self.top)) if flat else convolution(dims, latent, widths[-1])
        self.by_label = zeroed(nn.Linear(4 * spec.width, math.prod(self.top))) if flat and spec.num_classes else None
        self.levels = _stages(spec, widths[-1], list(reversed(list(enumerate(widths)))))
        self.norm = group_norm(widths[0])
        self.out = zeroed(convolution(dims, widths[0], spec.shape[0] * spec.output_multiplier * spec.patch**dims))

    def forward(self, z: Tensor, *, label: Tensor | None = None) -> Tensor:
        """The parameters for latents z, labels (B,) or None."""
        embedding = self.label(z, label)
        h = self.door(z)
        if self.by_label is not None:  # as in the encoder
            h = h + self.by_label(embedding)
        h = _laid(h.reshape(len(z), *self.top) if self.flat else h)
        for k, stages in enumerate(self.levels):
            h = double(h, self.sides[-1 - k]) if k else h
            for stage in cast(nn.ModuleList, stages):
                h = stage(h, embedding)
        h = self.out(F.silu(self.norm(h)))
        return crop(unpatchify(h, self.patch), self.side)


class DenseEncoder(nn.Module):
    """Items of any shape, flattened, to a vector's parameters: (B, *shape) -> (B, out)."""

    def __init__(self, spec: NetworkSpec, out: int, *, flat: bool) -> None:
        super().__init__()
        _only_flat(flat)
        self.label = _Label(spec.width, spec.num_classes)
        self.body = _Dense(spec, math.prod(spec.shape), out)

    def forward(self, x: Tensor, *, label: Tensor | None = None) -> Tensor:
        """The parameters for items x, labels (B,) or None."""
        return self.body(x.flatten(1), self.label(x, label))


class DenseDecoder(nn.Module):
    """A vector to an item's parameters: (B, latent) -> (B, shape[0] multiplier, *shape[1:])."""

    def __init__(self, spec: NetworkSpec, latent: int, *, flat: bool) -> None:
        super().__init__()
        _only_flat(flat)
        self.shape = (spec.shape[0] * spec.output_multiplier, *spec.shape[1:])
        self.label = _Label(spec.width, spec.num_classes)
        self.body = _Dense(spec, latent, math.prod(self.shape))
        zeroed(self.body.out)

    def forward(self, z: Tensor, *, label: Tensor | None = None) -> Tensor:
        """The parameters for latents z, labels (B,) or None."""
        return self.body(z, self.label(z, label)).reshape(len(z), *self.shape)


class _Dense(nn.Module):
    """`blocks` residual blocks between a first and a last layer: (B, size), (B, width) -> (B, out)."""

    def __init__(self, spec: NetworkSpec, size: int, out: int) -> None:
        super().__init__()
        self.door = nn.Linear(size, spec.width)
        self.blocks = nn.ModuleList(DenseBlock(spec.width, spec.width, spec.dropout) for _ in range(spec.blocks))
        self.norm = nn.LayerNorm(spec.width)
        self.out = nn.Linear(spec.width, out)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """The value at x under the condition."""
        h = self.door(x)
        for block in self.blocks:
            h = block(h, embedding)
        return self.out(F.silu(self.norm(h)))


@dataclass(frozen=True)
class Coder:
    """A pair of networks: each is made by (spec, number of parameters or latents, flat=...)."""

    encoder: Callable[..., nn.Module]
    decoder: Callable[..., nn.Module]


CODERS: Registry[Coder] = Registry(
    "coder", {"conv": Coder(ConvEncoder, ConvDecoder), "mlp": Coder(DenseEncoder, DenseDecoder)}
)


def coder_flops(spec: NetworkSpec, latent: int, out: int, *, flat: bool) -> int:
    """Operations of one item's way through encoder and decoder and back, by torch's counter, as `training_flops`.

    Args:
        spec: of the item.
        latent: of the decoder's latent, numbers at each position or in all.
        out: parameters that the encoder gives for it.
        flat: whether the latent is a vector.
    """
    made = CODERS[spec.kind]
    with torch.device("meta"):
        encoder, decoder = made.encoder(spec, out, flat=flat), made.decoder(spec, latent, flat=flat)
        x = torch.empty(1, *spec.shape)
        z = torch.empty(1, latent) if flat else torch.empty(1, latent, *sides(spec)[-1])
    with FlopCounterMode(display=False) as counter:
        encoder(x).sum().backward()
        decoder(z).sum().backward()
    return counter.get_total_flops()


def choose_coder(shape: tuple[int, ...], *, flat: bool = True, width: int = 32, num_classes: int = 0) -> NetworkSpec:
    """The coder for items of a shape.

    Points (D,) get an `mlp` of 3 blocks and four times the width. Signals and pictures get a `conv` with a level for
    each halving of the longest side down to 8 where the latent is a vector, and three levels (a quarter of the side)
    where it is a grid; pictures of 16 and more have squares of two by two pixels folded into channels at the door.
    """
    if len(shape) == 1:
        return NetworkSpec("mlp", shape, width=4 * width, blocks=3, num_classes=num_classes)
    patch = 2 if min(shape[1:]) >= 16 else 1
    levels = len(structure(shape, patch).multipliers)
    if not flat:
        levels = min(levels, 3 if patch == 1 else 2)
    multipliers = tuple(min(2**level, 4) for level in range(max(2, levels)))
    return replace(
        NetworkSpec("conv", shape), width=width, multipliers=multipliers, patch=patch, blocks=1, num_classes=num_classes
    )


def coder_within(make: Callable[[int], T], flops: Callable[[T], int], budget: Callable[[float], float], size: int) -> T:
    """The widest of `WIDTHS` within the rule, and no narrower than `NARROWEST`.

    Args:
        make: what is made of a width.
        flops: its operations for an item.
        budget: from operations for an item to those of the whole training.
        size: numbers in an item.
    """
    found = make(NARROWEST)
    for width in WIDTHS[WIDTHS.index(NARROWEST) + 1 :]:
        wider = make(width)
        cost = flops(wider)
        if cost > RATIO * math.sqrt(budget(cost) * size):
            break
        found = wider
    return found


def _stages(spec: NetworkSpec, channels: int, levels: list[tuple[int, int]]) -> nn.ModuleList:
    """The blocks of each (level, width), in the order given."""
    found = nn.ModuleList()
    for level, width in levels:
        stages = nn.ModuleList()
        for _ in range(spec.blocks):
            stages.append(Stage(spec, channels, width, level in spec.attention))
            channels = width
        found.append(stages)
    return found


def _laid(h: Tensor) -> Tensor:
    """Pictures with channels last, in which convolutions on processors are faster."""
    return h.contiguous(memory_format=torch.channels_last) if h.ndim == 4 else h


def _dims(spec: NetworkSpec) -> int:
    if len(spec.shape) not in (2, 3):
        raise UserError(f"a conv coder takes items of shape (C, L) or (C, H, W), not {spec.shape}; use an mlp")
    return len(spec.shape) - 1


def _only_flat(flat: bool) -> None:
    if not flat:
        raise UserError("an mlp coder has vectors for latents: ask for flat=True, or for a conv coder")
