"""What verbs do with an autoencoder."""

from __future__ import annotations

from typing import Any


def sample_of_autoencoder(stored: Any, num: int, *, label: str | None, json: bool, **options: Any) -> int:
    """Samples of a stored autoencoder, printed and written."""
    from ..autoencoders.made import make_decoded
    from ..autoencoders.model import autoencoder_from_stored
    from .conditions import labels_in
    from .console import say, say_json, warn

    model = autoencoder_from_stored(stored)
    for note in model.notes:
        warn(note)
    made = make_decoded(
        model, num, label=None if label is None else labels_in(label, model.card.label_names), **options
    )
    if json:
        say_json(made.to_json())
    else:
        say(f"{num} samples in {made.folder} ({made.seconds:.1f} s); at one look: {made.sheet}")
    return 0
