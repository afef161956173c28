"""Several estimates of the same items under different conditions, by one network call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ..denoisers import Denoiser
from ..foundations.errors import UserError


def together(denoiser: Denoiser, x: Tensor, t: Tensor, conditions: Sequence[Mapping[str, Any]]) -> tuple[Tensor, ...]:
    """The estimates under each of n conditions, n tensors of shape (B, *), from one call on n B items.

    Args:
        denoiser: called once.
        x: (B, *).
        t: () or (B,).
        conditions: n mappings. A value is a number or a tensor that broadcasts to (B, *), and takes the type and device
            of the first tensor of its name; one that is None in all is passed on as it is.

    Raises:
        UserError: a condition that some branches have and others lack, or whose values do not fit one another.
    """
    names = dict.fromkeys(name for condition in conditions for name in condition)
    joined = {name: _join(name, [condition.get(name) for condition in conditions], x) for name in names}
    count = len(conditions)
    times = t if t.ndim == 0 else t.repeat(count)
    return denoiser(torch.cat([x] * count), times, **joined).chunk(count)


def filled(x: Tensor, condition: Mapping[str, Any]) -> dict[str, Any]:
    """The condition with each value spread over the items, (B, *), as a denoiser takes it."""
    return {name: _join(name, [value], x) for name, value in condition.items()}


def _join(name: str, values: Sequence[Any], x: Tensor) -> Tensor | None:
    """The values of one condition in all branches, (n B, *)."""
    if all(value is None for value in values):
        return None
    if any(value is None for value in values):
        raise UserError(
            f"the condition {name!r} is in one branch of the guidance and missing in another: give it at the call and "
            "in `negative`"
        )
    tensors = [_tensor(name, value, x) for value in values]
    like = next((v for v, given in zip(tensors, values, strict=True) if isinstance(given, Tensor)), tensors[0])
    tail = max((value.shape[1:] for value in tensors), key=len)
    parts = []
    for value in tensors:
        if value.is_floating_point() and not like.is_floating_point():
            raise UserError(
                f"the condition {name!r} is of type {like.dtype} in one branch and {value.dtype} in another: labels "
                "are whole numbers"
            )
        try:
            parts.append(value.to(like).expand(len(x), *tail))
        except RuntimeError:
            raise UserError(
                f"the condition {name!r} of shape {tuple(value.shape)} does not broadcast to {(len(x), *tail)}: the "
                "branches of a guidance need one shape"
            ) from None
    return torch.cat(parts)


def _tensor(name: str, value: Any, x: Tensor) -> Tensor:
    if isinstance(value, Tensor):
        return value
    try:
        return torch.as_tensor(value, device=x.device)
    except (TypeError, ValueError, RuntimeError):
        raise UserError(
            f"the condition {name!r} is a {type(value).__name__}: guidance joins numbers and tensors"
        ) from None
