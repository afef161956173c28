"""The checks of a trained model of symbols, on its own process and its own held-out data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from ..config import resolve
from ..foundations.errors import UserError
from ..processes.d3pm import D3PM
from ..processes.symbols import symbols
from ..train.run import Run
from ..train.start import open_split
from ..verify.outcome import Outcome, timed
from ..verify.token_model import calibrated, end_of_noise, markov, same_law
from .generate import sample_tokens
from .model import TokenModel
from .score import labels_of, symbols_of

_STEPS = 64  # of the solvers that step, at most: beyond, each step restores less than a symbol of a short text
_OF_MASKS = ("first-hitting", ("ancestral", "cached"))
_OF_OTHERS = ("ancestral", ("corrected",))


def verify_tokens(
    path: str | Path, model: TokenModel, *, num_items: int = 256, num_samples: int = 200
) -> Iterator[Outcome]:
    """The checks that make sense for a trained model of symbols.

    Args:
        path: the run folder.
        model: its model.
        num_items: held-out items to use.
        num_samples: of each solver that is compared.

    Raises:
        UserError: no such run, or one without held-out items.
    """
    run = Run.open(path)
    _, held = open_split(resolve([("", run.config)]).config)
    if not len(held):
        raise UserError(f"{run.path} held nothing out: train with data.holdout above 0 to verify it")
    chosen = held.subset(np.arange(min(num_items, len(held))))
    x0 = symbols_of(model, chosen)[0].to(model.device)
    label = labels_of(model, chosen, None)
    cond: dict[str, Any] = {} if label is None else {"label": label.to(model.device)}
    process = symbols(model.denoiser.process, "the verification of symbols")
    exact, others = _OF_OTHERS if process.mask is None else _OF_MASKS
    steps = min(_STEPS, 2 * x0[0].numel())

    def draw(solver: str) -> Tensor:
        return sample_tokens(model, num_samples, solver=solver, steps=steps, guidance=1.0, seed=sum(map(ord, solver)))

    yield from timed(lambda: end_of_noise(process, x0), "noise")
    yield from timed(lambda: markov(process, x0), "claims")
    yield from timed(lambda: calibrated(model.denoiser, x0, **cond), "calibration")
    if not isinstance(process, D3PM):  # a chain has one sampler, its own
        yield from timed(lambda: same_law(draw, exact, others, process.num_symbols), "solvers")
