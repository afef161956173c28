r"""What is not seen of a series, drawn given what is: forecasts and gaps.

With m the mask of what is seen, draws of

    p(x_0 | m x_0)                                                                                                 (1)

are a restoration (`restoration.restore`) by a mask on time. A forecast sees the first steps, a gap may be anywhere and
in each channel for itself. Of k draws the quantile is that of definition 6: where the truth is one more of them, it is
below the quantile q with the chance q exactly at q = i / (k + 1) (Hyndman and Fan, "Sample Quantiles in Statistical
Packages", 1996).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from ..asked import Asked, Labels
from ..data.codecs import SeriesCodec
from ..foundations.errors import UserError
from ..model import Model
from ..operators import Mask
from ..restoration.data_units import from_model, to_model
from ..restoration.restore import restore

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)

# On white noise, whose spread is known, 20 steps of second order keep it to 2 %; 50 ancestral ones lose 8 % of it.
# On days of power demand mmps errs by 0.29, pigdm by 0.32 and ddnm by 0.37.
SETTINGS: dict[str, Any] = {"method": "mmps", "solver": "dpmpp-2m", "steps": 20}


@dataclass(frozen=True, eq=False)
class Draws:
    """Draws of series of which something was seen, in the data's own units.

    Attributes:
        seen: (B, C, L), NaN where nothing was seen.
        samples: (B, k, C, L); what was seen is the same in all of them.
    """

    seen: Tensor
    samples: Tensor

    @property
    def mean(self) -> Tensor:
        """(B, C, L)."""
        return self.samples.mean(1)

    def quantile(self, share: float) -> Tensor:
        """The quantile of the draws in each place, (B, C, L).

        Raises:
            UserError: a share that is not in [0, 1].
        """
        return quantile(self.samples, share)

    def last(self, steps: int) -> Draws:
        """The last steps alone."""
        return Draws(self.seen[..., -steps:], self.samples[..., -steps:])


def quantile(samples: Tensor, share: float) -> Tensor:
    """The quantile of definition 6 (above) over axis 1: (B, k, *) -> (B, *).

    Raises:
        UserError: a share that is not in [0, 1].

    >>> quantile(torch.tensor([[1.0, 2.0, 3.0]]), 0.25)
    tensor([1.])
    """
    if not 0 <= share <= 1:
        raise UserError(f"a quantile is of a share from 0 to 1, got {share}")
    count = samples.shape[1]
    place = min(max(share * (count + 1) - 1, 0.0), count - 1.0)
    ordered = samples.sort(1).values
    low = math.floor(place)
    return torch.lerp(ordered[:, low], ordered[:, min(low + 1, count - 1)], place - low)


def forecast(
    model: Model,
    past: Tensor | NDArray[Any],
    horizon: int,
    *,
    samples: int = 100,
    seed: int = 0,
    label: Labels = None,
    where: Mapping[str, Any] | None = None,
    progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> Draws:
    """Draws of what comes after the beginnings of series.

    Args:
        model: of signals, from `load`.
        past: the beginnings in the data's own units, (B, C, T), or (C, T) of one; NaN where a value is missing.
        horizon: steps ahead, H; T + H is at most the length that the model knows.
        samples: draws of each.
        seed: any integer.
        label: a class, or several for the series in turn; none if absent.
        where: any other condition by its name, one value or several in turn.
        progress: called with steps done and in all.
        options: of `restore`, such as method or steps, where they are not to be `SETTINGS`.

    Returns:
        The steps ahead alone: samples (B, samples, C, H).

    Raises:
        UserError: a model of other items; a past of other channels, without any value, or too long.
    """
    x = series_batch(model, past)
    length, known = x.shape[2], series_shape(model)[1]
    if horizon < 1:
        raise UserError(f"a forecast is of at least 1 step, got a horizon of {horizon}")
    if length + horizon > known:
        most = known - length
        ways = f"a horizon of at most {most}" if most > 0 else f"the last {known - horizon} steps" * (horizon < known)
        raise UserError(
            f"{length} steps and {horizon} ahead are {length + horizon}, and the model knows series of {known}: "
            f"give {ways or f'a horizon below {known}'}"
        )
    ahead = torch.full((*x.shape[:2], horizon), math.nan, dtype=x.dtype)
    whole = torch.cat([x, ahead], 2)
    drawn = fill(model, whole, samples=samples, seed=seed, label=label, where=where, progress=progress, **options)
    return drawn.last(horizon)


def fill(
    model: Model,
    series: Tensor | NDArray[Any],
    *,
    samples: int = 100,
    seed: int = 0,
    label: Labels = None,
    where: Mapping[str, Any] | None = None,
    progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> Draws:
    """Draws of what is missing in series, equation (1); what is there is kept.

    Args:
        model: of signals, from `load`.
        series: in the data's own units, (B, C, L), or (C, L) of one; NaN where a value is missing.
        samples, seed, label, where, progress, options: as of `forecast`.

    Raises:
        UserError: a model of other items; series of other channels, without any value, or too long.
    """
    x = series_batch(model, series)
    known = series_shape(model)[1]
    length = x.shape[2]
    if length > known:
        raise UserError(f"a series of {length} steps, and the model knows {known}: give {known} of them at a time")
    asked = Asked(label, None, where or {}).by_name(model.card.schema)
    there = ~x.isnan()
    for i, empty in enumerate((~there).flatten(1).all(1).tolist()):
        if empty:
            raise UserError(f"series {i} (counted from 0) has no value at all: there is nothing to go by")
    # A model of series with ends of their own knows one of this length; another sees the rest of its own as missing.
    more = 0 if isinstance(model.card.codec, SeriesCodec) else known - length
    whole = torch.nn.functional.pad(to_model(model.card.codec, x), (0, more), value=math.nan)
    found = x[:, None].expand(-1, samples, -1, -1).clone()
    groups = list(_alike(there))
    for number, (first, last) in enumerate(groups):
        seen = torch.nn.functional.pad(there[first], (0, more))
        if bool(seen[:, :length].all()):
            continue

        def follow(done: int, total: int, number: int = number) -> None:
            if progress is not None:
                progress(number * total + done, len(groups) * total)

        made = restore(
            model,
            Mask(seen.float()).on(tuple(seen.shape)),
            whole[first:last],
            samples=samples,
            seed=seed,
            first=first,
            where={name: [each[i % len(each)] for i in range(first, last)] for name, each in asked.items()},
            progress=follow,
            **{**SETTINGS, **options},
        ).samples[..., :length]
        values = torch.from_numpy(from_model(model.card.codec, made.flatten(0, 1))).unflatten(0, made.shape[:2])
        part = x[first:last, None]
        found[first:last] = torch.where(part.isnan(), values, part)
    return Draws(x, found)


def series_shape(model: Model) -> tuple[int, int]:
    """Channels and steps of a model's series.

    Raises:
        UserError: a model of other items.
    """
    shape = model.item_shape
    if len(shape) != 2:
        raise UserError(f"forecasts are of signals (C, L), and the model's items have the shape {shape}")
    return shape[0], shape[1]


def series_batch(model: Model, series: Tensor | NDArray[Any]) -> Tensor:
    """Series (B, C, T), or one (C, T), as a float32 batch.

    Raises:
        UserError: another number of axes or channels than the model's, or an infinite value.
    """
    channels, _ = series_shape(model)
    x = torch.as_tensor(series).detach().cpu().float()
    x = x[None] if x.ndim == 2 else x
    if x.ndim != 3 or x.shape[1] != channels or not x.numel():
        raise UserError(
            f"series of shape {tuple(torch.as_tensor(series).shape)}, and the model's have {channels} "
            f"channel{'s' * (channels > 1)}: give (B, {channels}, T), or ({channels}, T) of one"
        )
    if bool(x.isinf().any()):
        place = tuple(x.isinf().nonzero()[0].tolist())
        raise UserError(f"an infinite value at {place} (series, channel, step, counted from 0): NaN means missing")
    return x


def _alike(there: Tensor) -> Iterator[tuple[int, int]]:
    """Runs of neighbours of which the same is there, as (first, last + 1)."""
    first = 0
    for i in range(1, len(there) + 1):
        if i == len(there) or not torch.equal(there[i], there[first]):
            yield first, i
            first = i
