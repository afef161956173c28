r"""The parts that networks share, for signals (B, C, L) and images (B, C, H, W) by one code.

Conditions reach a block through one embedding e, shape (B, E), which scales and shifts its normalised
activations channel by channel:

    h = (1 + a(e)) * norm(h) + b(e).                                                       (1)

Source of (1): Dhariwal and Nichol 2021, "Diffusion Models Beat GANs on Image Synthesis", section 3.1
(adaptive group normalisation), after Perez et al. 2018, "FiLM: Visual Reasoning with a General Conditioning
Layer".
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .rotary import rotate


def convolution(dims: int, channels: int, out: int, kernel: int = 3) -> nn.Module:
    """A convolution over `dims` axes that keeps the size: (B, channels, *side) -> (B, out, *side)."""
    kind = nn.Conv1d if dims == 1 else nn.Conv2d
    return kind(channels, out, kernel, padding=kernel // 2)


def zeroed(layer: nn.Module) -> nn.Module:
    """The layer with all parameters set to zero, so that its branch starts as nothing."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


def patchify(x: Tensor, patch: int) -> Tensor:
    """Folds patches into channels: (B, C, *n) -> (B, C patch^d, *(n / patch)), n a multiple of patch.

    In two dimensions this is `pixel_unshuffle` (Shi et al. 2016, "Real-Time Single Image and Video
    Super-Resolution Using an Efficient Sub-Pixel Convolutional Neural Network", eq. 4, inverted).
    """
    if patch == 1:
        return x
    if x.ndim == 4:
        return F.pixel_unshuffle(x, patch)
    batch, channels, length = x.shape
    folded = x.reshape(batch, channels, length // patch, patch).transpose(2, 3)
    return folded.reshape(batch, channels * patch, length // patch)


def unpatchify(x: Tensor, patch: int) -> Tensor:
    """The inverse of `patchify`: (B, C patch^d, *n) -> (B, C, *(n patch))."""
    if patch == 1:
        return x
    if x.ndim == 4:
        return F.pixel_shuffle(x, patch)
    batch, channels, length = x.shape
    unfolded = x.reshape(batch, channels // patch, patch, length).transpose(2, 3)
    return unfolded.reshape(batch, channels // patch, length * patch)


def pad_to_multiple(x: Tensor, multiple: int, *, mode: str = "replicate") -> Tensor:
    """Repeats the last row and column of (B, C, *n) until every side is a multiple; `crop` undoes it.

    With mode "constant" zeros are added instead, as behind the end of a series.
    """
    missing = [-size % multiple for size in reversed(x.shape[2:])]
    if not any(missing):
        return x
    return F.pad(x, [side for m in missing for side in (0, m)], mode=mode)


def crop(x: Tensor, side: torch.Size) -> Tensor:
    """The first entries of every axis after the channels: (B, C, *n) -> (B, C, *side), side <= n."""
    for axis, size in enumerate(side, start=2):
        x = x.narrow(axis, 0, size) if x.shape[axis] != size else x
    return x


def halve(x: Tensor, keep: Tensor | None = None) -> Tensor:
    """Means of pairs (2×2 squares), at an odd edge of what is there: (B, C, *n) -> (B, C, *ceil(n / 2)).

    Args:
        x: (B, C, *n).
        keep: (B, 1, n), 1 where a step is there and 0 where not: means are of what is there.
    """
    pool = F.avg_pool1d if x.ndim == 3 else F.avg_pool2d
    if keep is None:
        return pool(x, 2, ceil_mode=True)
    return pool(x * keep, 2, ceil_mode=True) / pool(keep, 2, ceil_mode=True).clamp_min(0.5)


def kept(x: Tensor, keep: Tensor | None) -> Tensor:
    """x (B, C, n) with zeros where a step is not there, of keep (B, 1, n); as it is where keep is None."""
    return x if keep is None else x * keep


def normalised(norm: nn.GroupNorm, x: Tensor, keep: Tensor | None) -> Tensor:
    """The normalisation of x (B, C, n), with the mean and variance of the steps that are there, of keep (B, 1, n)."""
    if keep is None:
        return cast(Tensor, norm(x))
    h = x.float().unflatten(1, (norm.num_groups, -1))
    there = keep[:, None].float()
    count = there.sum((2, 3), keepdim=True) * h.shape[2]
    mean = (h * there).sum((2, 3), keepdim=True) / count
    centred = h - mean
    variance = (centred.square() * there).sum((2, 3), keepdim=True) / count
    return (centred * (variance + norm.eps).rsqrt()).flatten(1, 2).to(x.dtype)


def double(x: Tensor, side: torch.Size) -> Tensor:
    """Every entry repeated along every axis, then cropped: (B, C, *ceil(side / 2)) -> (B, C, *side)."""
    return crop(F.interpolate(x, scale_factor=2, mode="nearest"), side)


def group_norm(channels: int) -> nn.GroupNorm:
    """Group normalisation without gain in groups of about 16 channels (its gain is equation 1's)."""
    groups = max(1, channels // 16)
    while channels % groups:
        groups -= 1
    return nn.GroupNorm(groups, channels, eps=1e-5, affine=False)


def sine_positions(grid: tuple[int, ...], width: int) -> Tensor:
    """Sines and cosines of every position, (N, width): each axis has its share of the channels."""
    share = width // len(grid)
    parts = []
    for axis, size in enumerate(grid):
        half = (share + 1) // 2
        frequencies = torch.exp(-math.log(10_000.0) * torch.arange(half) / half)
        angle = torch.arange(size)[:, None] * frequencies
        waves = torch.cat([angle.sin(), angle.cos()], dim=1)[:, :share]
        view = [1] * len(grid)
        view[axis] = size
        parts.append(waves.reshape(*view, share).expand(*grid, share))
    positions = torch.cat(parts, dim=-1).reshape(-1, share * len(grid))
    return F.pad(positions, (0, width - positions.shape[1]))


class Embedding(nn.Module):
    """Noise level, label and vector together as one vector: the sum of their embeddings, then an MLP.

    Args:
        width: length E of the result.
        num_classes: labels 0..num_classes-1, and num_classes for "none"; 0: labels are not known.
        vector_dim: length V of the conditioning vector; 0: vectors are not known.
        parts: further conditions' shares by their keys, each a module from its value to (B, E) (`parts.embedders`).
    """

    frequencies: Tensor

    def __init__(
        self, width: int, num_classes: int = 0, vector_dim: int = 0, parts: Mapping[str, nn.Module] | None = None
    ) -> None:
        super().__init__()
        self.num_classes, self.vector_dim = num_classes, vector_dim
        half = max(4, min(width, 128) // 2)
        # c_noise spans about -2..2 and what depends on it is smooth: short waves would only slow learning
        frequencies = math.pi * torch.logspace(-3, 1, half, base=2.0)
        self.register_buffer("frequencies", frequencies, persistent=False)
        self.noise = nn.Linear(2 * half, width)
        self.label = nn.Embedding(num_classes + 1, width) if num_classes else None
        self.vector = nn.Linear(vector_dim, width) if vector_dim else None
        self.mix = nn.Linear(width, width)
        self.parts = nn.ModuleDict(parts)

    def forward(
        self,
        c_noise: Tensor,
        label: Tensor | None,
        vector: Tensor | None,
        values: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        """(B,) noise levels, (B,) labels or None, (B, V) vectors or None, values of the parts -> (B, E).

        Label None is the null label for all. Vector None, or a row of it that holds NaN, is no vector. A part without a
        value adds nothing.
        """
        angle = c_noise.float()[:, None] * self.frequencies
        total = self.noise(torch.cat([angle.cos(), angle.sin()], dim=1))
        if self.label is not None:
            if label is None:
                label = torch.full_like(c_noise, self.num_classes, dtype=torch.int64)
            total = total + self.label(label)
        elif label is not None:
            raise ValueError("a label was given, but the network was built with num_classes=0")
        if self.vector is not None:
            if vector is not None:
                absent = vector.isnan().any(dim=1, keepdim=True)
                total = total + self.vector(vector.nan_to_num()).masked_fill(absent, 0.0)
        elif vector is not None:
            raise ValueError("a vector was given, but the network was built with vector_dim=0")
        for key, value in (values or {}).items():
            if key in self.parts:
                total = total + self.parts[key](value)
        return F.silu(self.mix(F.silu(total)))


class ResidualBlock(nn.Module):
    """x + convolutions of x, the second under the condition: (B, channels, *n), (B, E) -> (B, out, *n)."""

    def __init__(self, dims: int, channels: int, out: int, embedding: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.norm_in, self.norm = group_norm(channels), group_norm(out)
        self.gain = nn.Parameter(torch.ones(channels, *(1,) * dims))
        self.bias = nn.Parameter(torch.zeros(channels, *(1,) * dims))
        self.convolve_in = convolution(dims, channels, out)
        self.modulate = zeroed(nn.Linear(embedding, 2 * out))
        self.dropout = nn.Dropout(dropout)
        self.convolve = zeroed(convolution(dims, out, out))
        self.skip = convolution(dims, channels, out, kernel=1) if channels != out else nn.Identity()

    def forward(self, x: Tensor, embedding: Tensor, keep: Tensor | None = None) -> Tensor:
        """The block's value at x under the condition; with keep (B, 1, n), of the steps that are there alone."""
        h = F.silu(torch.addcmul(self.bias, self.gain, normalised(self.norm_in, x, keep)))
        h = self.convolve_in(kept(h, keep))
        scale, shift = self.modulate(embedding).reshape(len(x), -1, *(1,) * (x.ndim - 2)).chunk(2, dim=1)
        h = F.silu(torch.addcmul(shift, 1 + scale, normalised(self.norm, h, keep)))  # equation 1
        return kept(self.skip(x) + self.convolve(kept(self.dropout(h), keep)), keep)


def num_heads(channels: int, head_width: int) -> int:
    """How many heads of about `head_width` channels share `channels` evenly."""
    heads = max(1, channels // head_width)
    while channels % heads:
        heads -= 1
    return heads


def attention(query: Tensor, key: Tensor, value: Tensor, keep: Tensor | None = None) -> Tensor:
    """softmax(q k^T / sqrt(d)) v of every head, the heads then side by side: (B, N, heads d).

    Args:
        query: (B, heads, N, d).
        key, value: (B, heads, S, d).
        keep: (B, S), true where a position may be looked at; all if None.
    """
    mask = None if keep is None else keep[:, None, None]
    kind = query.dtype
    if query.device.type == "cpu" and kind in (torch.bfloat16, torch.float16):
        # The fused attention's backward pass on processors is many times slower in half precision than in single.
        with torch.autocast("cpu", enabled=False):
            query, key, value = query.float(), key.float(), value.float()
            mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask).to(kind)
    else:
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    return mixed.transpose(1, 2).flatten(2)


class Attention(nn.Module):
    """Self-attention over positions: tokens (B, N, channels) -> (B, N, channels).

    softmax(q k^T / sqrt(d)) v in heads of d channels (Vaswani et al. 2017, "Attention Is All You Need",
    eq. 1).
    """

    def __init__(self, channels: int, head_width: int) -> None:
        super().__init__()
        self.heads = num_heads(channels, head_width)
        self.project = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)

    def forward(self, tokens: Tensor, *, rotation: Tensor | None = None, keep: Tensor | None = None) -> Tensor:
        """The attention's value, without the residual sum.

        Args:
            tokens: (B, N, channels).
            rotation: of the places, from `rotary.rotations`.
            keep: (B, N), true where a position may be looked at; all if absent.
        """
        batch, length, channels = tokens.shape
        qkv = self.project(tokens).reshape(batch, length, 3, self.heads, channels // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        if rotation is not None:
            query, key = rotate(query, rotation), rotate(key, rotation)
        return self.out(attention(query, key, value, keep))


class AttentionBlock(nn.Module):
    """x + attention over all positions of a grid: (B, channels, *n) -> (B, channels, *n)."""

    def __init__(self, channels: int, head_width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.attend = Attention(channels, head_width)
        zeroed(self.attend.out)

    def forward(self, x: Tensor, keep: Tensor | None = None) -> Tensor:
        """The block's value at x; with keep (B, 1, n), only steps that are there are looked at."""
        tokens = x.flatten(2).transpose(1, 2)
        seen = None if keep is None else keep[:, 0] > 0
        return kept(x + self.attend(self.norm(tokens), keep=seen).transpose(1, 2).reshape(x.shape), keep)
