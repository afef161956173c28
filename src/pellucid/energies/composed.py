"""Samples of trained models together: of their product, of their mixture, of one that avoids another."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..foundations.errors import UserError
from ..foundations.registry import Registry
from ..foundations.rng import Stream, subseed
from ..generate import batches_for, gallery
from ..made import Made, new_folder
from ..made_plain import write_made
from ..mcmc import MCMC, Corrected, Pilot, tuned_lengths
from ..model import Model
from ..processes.times import GRIDS
from ..sampling import settings_for, solver_for
from ..solvers import DDIM
from ..solvers.base import sample as integrate
from .compose import Product, given, negation, product, same_process
from .denoisers import HasEnergy

HOW: Registry[str] = Registry(
    "composition",
    {
        "product": "what is likely under all of the models",
        "mixture": "what is likely under any of the models",
        "negation": "what is likely under the first and unlikely under the second",
    },
)
_PILOT = 64


@dataclass(frozen=True)
class Together:
    """What a composition made.

    Attributes:
        samples: (num, *), in the models' common scale.
        chain: the name of the moves among `MCMC`; None for a mixture, which needs none.
        pilot: their lengths and acceptance, level by level; None likewise.
    """

    samples: Tensor
    chain: str | None = None
    pilot: Pilot | None = None

    def sentence(self) -> str:
        """How the moves fared, in words."""
        if self.pilot is None:
            return "each sample is one model's own"
        share = 100 * sum(self.pilot.acceptance) / len(self.pilot.acceptance)
        kept = "accepted" if self.chain != "ula" else "would have been accepted (the moves are unadjusted)"
        return f"{self.chain} moves at {len(self.pilot.acceptance)} levels of noise, {share:.0f} % {kept}"


def compose(
    models: Sequence[Model],
    num: int,
    *,
    how: str = "product",
    weights: Sequence[float] | None = None,
    labels: Sequence[str | int] | None = None,
    chain: str | None = None,
    steps: int = 40,
    moves: int = 8,
    seed: int = 0,
    first: int = 0,
    batch_size: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Together:
    """Draws samples of several models' composition. Sample i depends on the models, the settings, the seed and i alone.

    A product or negation follows the models' average from noise to data, with Markov moves at each level of noise that
    make it right (`compose.Product`). In a mixture each sample is drawn from one of the models, picked by its weight:
    that is the mixture, exactly as far as the models are.

    Args:
        models: from `load`, of one process, shape and scale; one model may come twice, with two labels.
        num: how many.
        how: a name among `HOW`.
        weights: one for each model: powers of a product (1 each if absent), shares of a mixture (equal), and for a
            negation (1, the power of the second, between 0 and 1; 0.5 if absent).
        labels: one for each model, "none" for no class; none if absent.
        chain: a name among `MCMC`; "mala" where all models know their energies, else "ula".
        steps: levels of noise.
        moves: at each level.
        seed: any integer.
        first: the number of the first sample.
        batch_size: how many are made together.
        progress: called after each step with network batches done and in all.

    Raises:
        UserError: models that do not go together, or settings that they cannot serve.
    """
    if num < 1 or first < 0:
        raise UserError(f"ask for at least 1 sample, numbered from 0: got num={num}, first={first}")
    HOW[how]
    cond = _checked(models, labels)
    given_weights = _weights(how, weights, len(models))
    batches = batches_for(models[0], num, first=first, batch_size=batch_size)
    if how == "mixture":
        return Together(_mixed(models, cond, given_weights, batches, seed, steps, progress))
    parts = [given(model.denoiser, **each) for model, each in zip(models, cond, strict=True)]
    negated = how == "negation"
    composed = negation(parts[0], parts[1], -given_weights[1]) if negated else product(parts, given_weights)
    chain = chain or ("mala" if isinstance(composed, HasEnergy) else "ula")
    kernel = MCMC[chain]()
    if kernel.exact and not isinstance(composed, HasEnergy):
        raise UserError(
            f"the moves {chain!r} need energies, which these models do not know: use --chain ula, or train them with "
            "--set network.energy=true"
        )
    return _multiplied(models[0], composed, chain, batches, seed, steps, moves, progress)


def _multiplied(
    model: Model,
    composed: Product,
    chain: str,
    batches: Sequence[range],
    seed: int,
    steps: int,
    moves: int,
    progress: Callable[[int, int], None] | None,
) -> Together:
    kernel, leader = MCMC[chain](), composed.average()
    times = GRIDS[model.card.sampling.grid](composed.process.schedule, steps)

    def start(stream: Stream) -> Tensor:
        return composed.start(composed.process.draw(stream, model.shape, step=0)[0, 0])

    trial = Stream.of(subseed(seed, "pilot"), range(_PILOT), device=model.device)
    pilot = tuned_lengths(composed, start(trial), times, DDIM(), kernel, stream=trial, leader=leader)
    solver = Corrected(DDIM(), kernel, moves, pilot.lengths, leader)
    done, made = 0, []
    for ids in batches:

        def follow(i: int, t: Tensor, s: Tensor, x: Tensor) -> None:
            nonlocal done
            done += 1
            if progress is not None:
                progress(done, len(batches) * steps)

        stream = Stream.of(seed, ids, device=model.device)
        made.append(integrate(composed, start(stream), times, solver, stream=stream, callback=follow))
    return Together(torch.cat(made), chain, pilot)


def _mixed(
    models: Sequence[Model],
    cond: Sequence[Mapping[str, Any]],
    weights: Sequence[float],
    batches: Sequence[range],
    seed: int,
    steps: int,
    progress: Callable[[int, int], None] | None,
) -> Tensor:
    shares = torch.tensor(weights, dtype=torch.float64).cumsum(0) / sum(weights)
    made = []
    for done, ids in enumerate(batches):
        numbers = torch.tensor(list(ids))
        coin = Stream(subseed(seed, "mixture"), numbers).uniform((), step=0)[0, 0].double()
        pick = torch.searchsorted(shares, coin, right=True).clamp_max(len(models) - 1)
        x = torch.zeros(len(ids), *models[0].shape, device=models[0].device)
        for k, (model, each) in enumerate(zip(models, cond, strict=True)):
            own = (pick == k).nonzero().flatten()
            if not len(own):
                continue
            solver, times = solver_for(model, settings_for(model, steps=steps, guidance=1.0))
            stream = Stream.of(seed, numbers[own].tolist(), device=model.device)
            process = model.denoiser.process
            start = process.prior(process.draw(stream, model.shape, step=0)[0, 0])
            x[own] = integrate(given(model.denoiser, **each), start, times, solver, stream=stream).to(x.device)
        made.append(x)
        if progress is not None:
            progress(done + 1, len(batches))
    return torch.cat(made)


def make_together(
    models: Sequence[Model], num: int, *, how: str = "product", out: Path | None = None, first: int = 0, **settings: Any
) -> tuple[Made, Together]:
    """`compose` into files, as `pellucid sample` writes them; arguments are those of `compose`.

    Args:
        out: a folder that does not exist or is empty; composed-1, numbered, if absent.

    Raises:
        UserError: as `compose`, or a folder in use; nothing is then written.
    """
    folder = new_folder(out, Path(), "composed")
    started = time.perf_counter()
    found = compose(models, num, how=how, first=first, **settings)
    seconds = time.perf_counter() - started
    told = {
        "how": how,
        "models": [model.origin for model in models],
        "weights": [model.weights_hash for model in models],
        **{key: value for key, value in settings.items() if key != "progress" and value is not None},
    }
    model = models[0]
    items, look = model.decode(found.samples), gallery(model, found.samples, None)
    made = write_made(folder, model.card.codec.items.kind, items, look, told, first=first, seconds=seconds)
    return made, found


def _checked(models: Sequence[Model], labels: Sequence[str | int] | None) -> list[dict[str, Any]]:
    """The models' conditions, once they are known to go together."""
    if len(models) < 2:
        raise UserError("a composition needs at least 2 models: name them one after another")
    first = models[0]
    same_process([model.denoiser for model in models])
    for model in models[1:]:
        if model.shape != first.shape:
            shapes = ["x".join(map(str, each.shape)) for each in (first, model)]
            raise UserError(
                f"{first.origin} makes items of the shape {shapes[0]} and {model.origin} of {shapes[1]}: laws are "
                "composed of one shape"
            )
        if model.card.codec.to_json() != first.card.codec.to_json():
            raise UserError(
                f"{first.origin} and {model.origin} scale their data differently, so that one number is not the same "
                "thing to both: train them on one data set, with a label for each part, and compose the labels"
            )
    if labels is None:
        return [{} for _ in models]
    if len(labels) != len(models):
        raise UserError(f"{len(models)} models need as many labels, got {len(labels)}: {', '.join(map(str, labels))}")
    return [{"label": model.label_ids(label)[0]} for model, label in zip(models, labels, strict=True)]


def _weights(how: str, weights: Sequence[float] | None, count: int) -> tuple[float, ...]:
    if how == "negation":
        if count != 2:
            raise UserError(f"a negation has 2 models, what is kept and what is avoided; got {count}")
        power = 0.5 if weights is None else weights[-1]
        if weights is not None and (len(weights) != 2 or weights[0] != 1):
            raise UserError(f"a negation's weights are 1 and the power of what is avoided, got {tuple(weights)}")
        return 1.0, -power
    found = (1.0,) * count if weights is None else tuple(weights)
    if len(found) != count or not all(math.isfinite(w) for w in found):
        raise UserError(f"{count} models need as many finite weights, got {found}")
    if how == "mixture" and not all(w > 0 for w in found):
        raise UserError(f"a mixture's weights are shares: give positive ones, got {found}")
    return found
