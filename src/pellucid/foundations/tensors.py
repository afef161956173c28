"""Shapes: how a time of shape () or (B,) meets data of shape (B, *)."""

from __future__ import annotations

from torch import Tensor


def pad(t: Tensor, x: Tensor) -> Tensor:
    """Appends singleton axes to t, shape () or (B,), so that it broadcasts against x, shape (B, *).

    A t of shape () is left alone: a float64 scalar, also one on the CPU, then meets float32 data on any device without
    changing its type.
    """
    if t.ndim == 0:
        return t
    return t.reshape(t.shape + (1,) * (x.ndim - t.ndim))
