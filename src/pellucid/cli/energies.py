"""What verbs do with an energy model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .diffusion import trained_on


def sample(
    model: Any,
    num: int = 16,
    *,
    seed: int = 0,
    first: int = 0,
    batch_size: int | None = None,
    out: Path | None = None,
    json: bool = False,
) -> int:
    """Samples, printed and written."""
    from ..made_plain import make_ebm
    from .console import say, say_json

    made = make_ebm(model, num, seed=seed, first=first, batch_size=batch_size, out=out)
    if json:
        say_json(made.to_json())
    else:
        say(f"{num} samples in {made.folder} ({made.seconds:.1f} s); at one look: {made.sheet}")
    return 0


def likelihood(model: Any, run: Path, data: Any, *, seed: int = 0) -> list[Any]:
    """Scores of data by their energy and normalisers."""
    from ..energies.score import energy_scores
    from .console import steps_view

    with steps_view("likelihood") as update:
        return energy_scores(model, data, seed=seed, progress=update)


def info(model: Any) -> dict[str, object]:
    """What `pellucid info` says of it."""
    from ..energies.ebm import METHODS

    card, spec = model.card, model.card.network
    parameters = sum(p.numel() for p in model.law.parameters())
    return {
        "weights": model.weights_hash,
        "network": f"an energy, {spec.network.kind} of width {spec.network.width}, {parameters:,} parameters",
        "shape": "x".join(map(str, model.shape)),
        "learned by": METHODS[spec.method],
        "trained on": trained_on(card),
    }
