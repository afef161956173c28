r"""Bits per dimension, the common currency of likelihoods.

A density p over x, at scale x, gives a bin of width w the probability p(x) w, so for data on a grid of spacing w

    discrete bits = -log2(p(x) w^D) / D = -log2 p(x) / D - log2 w.                                                 (1)

Eight-bit pictures scaled to [-1, 1] in 256 bins have w = 2/256 and the offset is 7 exactly; x = u/127.5 - 1, which is
pellucid's scale, has w = 1/127.5 and the offset 6.994 (Theis et al., "A Note on the Evaluation of Generative Models",
2016, section 3.1).
"""

from __future__ import annotations

import math
from typing import TypeVar

from torch import Tensor

from ..foundations.errors import UserError

Number = TypeVar("Number", float, Tensor)


def bits_per_dim(nats: Number, num_values: float, bin_width: float | None = None) -> Number:
    """Nats of -log p(x) for an item as bits for each of its values, equation (1).

    Args:
        nats: the negative log-density (or its bound), or the negative log-probability, of whole items.
        num_values: numbers in one item, D.
        bin_width: the spacing of the data's grid, in the scale that the density is over. None: `nats` is a probability
            already, or the data are continuous; no offset.

    Raises:
        UserError: no values, or a width that is not positive.

    >>> bits_per_dim(0.0, 784, bin_width=2 / 256)
    7.0
    """
    if num_values < 1:
        raise UserError(f"an item has at least 1 value, got num_values={num_values}")
    if bin_width is not None and not 0 < bin_width < math.inf:
        raise UserError(f"bin_width must be a positive number, got {bin_width}")
    offset = 0.0 if bin_width is None else -math.log2(bin_width)
    return nats / (num_values * math.log(2)) + offset
