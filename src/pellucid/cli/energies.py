"""What verbs do with an energy model."""

from __future__ import annotations

from typing import Any


def sample_of_energy(stored: Any, num: int, *, json: bool, **options: Any) -> int:
    """Samples of a stored energy model, printed and written."""
    from ..energies.ebm import ebm_from_stored
    from ..made_plain import make_ebm
    from .console import say, say_json, warn

    model = ebm_from_stored(stored)
    for note in model.notes:
        warn(note)
    made = make_ebm(model, num, **options)
    if json:
        say_json(made.to_json())
    else:
        say(f"{num} samples in {made.folder} ({made.seconds:.1f} s); at one look: {made.sheet}")
    return 0
