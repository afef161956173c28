"""Overlapping halves of a data set, for the shadow models of an audit: each item is in half of them, at random."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..foundations.errors import UserError

_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_STEP = np.uint64(0x9E3779B97F4A7C15)


def inclusions(num: int, hashes: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Which items each of so many models is trained on, (num, N): every item in half of them, equal ones together.

    Args:
        num: models, an even number.
        hashes: of the items, (N,), as `arrays.item_hashes` gives them.

    Raises:
        UserError: an odd number of models, or none.
    """
    if num < 2 or num % 2:
        raise UserError(f"each item is in half of the shadow models: train an even number of them, not {num}")
    with np.errstate(over="ignore"):
        keys = _mixed(hashes[None] + np.arange(1, num + 1, dtype=np.uint64)[:, None] * _STEP)
    rank: NDArray[np.int64] = keys.argsort(axis=0, kind="stable").argsort(axis=0)
    return rank < num // 2


def _mixed(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of SplitMix64 (Steele et al., "Fast Splittable Pseudorandom Number Generators", 2014)."""
    words = (words ^ (words >> np.uint64(30))) * _MIX[0]
    words = (words ^ (words >> np.uint64(27))) * _MIX[1]
    return words ^ (words >> np.uint64(31))
