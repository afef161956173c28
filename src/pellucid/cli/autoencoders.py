"""What verbs do with an autoencoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .conditions import labels_in
from .diffusion import trained_on


def sample(
    model: Any,
    num: int = 16,
    *,
    label: str | None = None,
    seed: int = 0,
    first: int = 0,
    batch_size: int | None = None,
    out: Path | None = None,
    json: bool = False,
) -> int:
    """Samples, printed and written."""
    from ..autoencoders.made import make_decoded
    from .console import say, say_json

    labels = None if label is None else labels_in(label, model.card.label_names)
    made = make_decoded(model, num, label=labels, seed=seed, first=first, batch_size=batch_size, out=out)
    if json:
        say_json(made.to_json())
    else:
        say(f"{num} samples in {made.folder} ({made.seconds:.1f} s); at one look: {made.sheet}")
    return 0


def likelihood(
    model: Any, run: Path, data: Any, *, importance_samples: int = 64, seed: int = 0, batch_size: int = 128
) -> list[Any]:
    """Scores of data by the ELBO and the importance-weighted bound, or by their codes."""
    from ..autoencoders.score import autoencoder_scores
    from .console import steps_view

    with steps_view("likelihood") as update:
        return autoencoder_scores(model, data, k=importance_samples, seed=seed, batch_size=batch_size, progress=update)


def info(model: Any) -> dict[str, object]:
    """What `pellucid info` says of it."""
    card, spec = model.card, model.card.network
    parameters = sum(p.numel() for p in model.network.parameters())
    return {
        "weights": model.weights_hash,
        "autoencoder": f"{spec.kind}, code {'x'.join(map(str, model.latent_shape))}, {spec.law} law of items",
        "network": f"{spec.network.kind}, width {spec.network.width}, {parameters:,} parameters",
        "shape": "x".join(map(str, model.shape)),
        "labels": ", ".join(card.label_names) or "none",
        "trained on": trained_on(card),
    }
