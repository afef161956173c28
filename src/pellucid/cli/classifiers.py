"""What verbs do with a classifier of noisy data."""

from __future__ import annotations

from typing import Any

from .diffusion import trained_on


def info(model: Any) -> dict[str, object]:
    """What `pellucid info` says of it."""
    card = model.card
    parameters = sum(p.numel() for p in model.network.parameters())
    return {
        "weights": model.weights_hash,
        "network": f"a classifier of noisy data, width {card.network.width}, {parameters:,} parameters",
        "shape": "x".join(map(str, card.network.shape)),
        "process": f"{card.process.schedule} schedule",
        "labels": ", ".join(card.label_names),
        "trained on": trained_on(card),
    }
