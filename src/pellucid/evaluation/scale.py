"""Whether real items have the scale that a model knows: numbers that differ by a unit are no worse samples."""

from __future__ import annotations

import numpy as np

from ..data.arrays import Dataset, evenly
from ..data.codecs import Codec
from ..foundations.errors import UserError

_LOOKED_AT = 1000
_DARKEST = 16  # a data set of pictures without any level above is scaled otherwise
_FAR = 10.0  # standard deviations of the training items


def same_scale(codec: Codec, data: Dataset) -> None:
    """Refuses data of another scale than the model's items have.

    Args:
        codec: the model's, of items.
        data: the real items.

    Raises:
        UserError: pictures whose levels stay below a sixteenth of the range; or points or signals whose mean lies ten
            of the training items' standard deviations off, or whose own is ten times theirs or a tenth of it.
    """
    some = evenly(data, _LOOKED_AT)
    items = np.asarray(some.items[np.arange(len(some))])
    if codec.kind == "image":
        if int(items.max()) < _DARKEST:
            raise UserError(
                f"the pictures of {data.name} have no level above {int(items.max())} of 255, and the model's go all "
                "the way: their values were scaled otherwise, so multiply them first"
            )
        return
    if codec.kind not in ("points", "signal"):
        return
    x = codec.encode(items).double()
    axes = tuple(axis for axis in range(x.ndim) if axis != 1)
    means, stds = x.mean(axes), x.std(axes)
    for column, (mean, std) in enumerate(zip(means.tolist(), stds.tolist(), strict=True)):
        if abs(mean) > _FAR or 0 < std < 1 / _FAR or std > _FAR:  # a constant column has 0
            raise UserError(
                f"{'channel' if codec.kind == 'signal' else 'column'} {column} of {data.name} has mean {mean:.3g} and "
                f"standard deviation {std:.3g} in the model's scale, in which its training items have 0 and 1: another "
                "unit or another column? Bring the data to the units of the training items"
            )
