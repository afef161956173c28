"""Shadow models: models like the audited one, each trained on half of the items, for the likelihood ratio."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..config import resolve
from ..data.arrays import Dataset, item_hashes
from ..foundations.errors import UserError
from ..readers import load_any
from ..train.loop import Observer
from ..train.prepare import open_split
from ..train.run import Run
from ..train.start import begin, resume
from .lira import lira
from .members import scored

LIRA = "lira"
FOLDER = "shadows"
_FEWEST = 20  # items that some shadow models saw and others did not


@dataclass(frozen=True, eq=False)
class Shadow:
    """A model of half of the items.

    Attributes:
        model: the model.
        seen: the hashes of the items that it was trained on, as `item_hashes` gives them.
    """

    model: Any
    seen: NDArray[np.uint64]

    @classmethod
    def read(cls, path: str | Path) -> Shadow:
        """From its run folder.

        Raises:
            UserError: no run there, or no model in it.
        """
        run = Run.open(path)
        train, _ = open_split(resolve([("", run.config)]).config)
        return cls(load_any(path), item_hashes(train.items))


def train_shadows(
    run: Run, num: int, *, budget: str | None = None, observer: Observer, told: Callable[[str], None]
) -> tuple[Path, ...]:
    """Trains shadow models of a run, or finishes those that an earlier audit began; each is a run of its own.

    Args:
        run: of the audited model.
        num: how many, an even number: every item is learned by half of them.
        budget: of each; if absent, as many items as cost a `num`-th of the run's own.
        observer: told of progress.
        told: called with a sentence for each.

    Raises:
        UserError: an odd number, or a run whose kind of data has no halves.
    """
    if num < 2 or num % 2:
        raise UserError(f"each item is in half of the shadow models: train an even number of them, not {num}")
    if budget is None:
        items = int((run.lines("train") or [{}])[-1].get("items", 0))
        budget = f"{max(items // num, 1)}-items"
    folders = []
    for k in range(num):
        folder = run.path / "audit" / FOLDER / f"{num}-{budget}" / str(k)
        told(f"shadow model {k + 1} of {num}: {folder}")
        if (folder / "config.yaml").is_file():
            _finished(folder, observer)
        else:
            shadow = resolve([("", run.config)]).with_values(
                "shadow model",
                {
                    "data.shadow": (k, num),
                    "data.canaries": 0,
                    "training.budget": budget,
                    "training.seed": k + 1,
                    "training.pictures": 0,
                    "training.keep": 2,
                },
            )
            if begin(shadow, folder, observer=observer, force=True).signal is not None:
                raise KeyboardInterrupt
        folders.append(folder)
    return tuple(folders)


def _finished(folder: Path, observer: Observer) -> None:
    """Goes on with a shadow model that was interrupted."""
    run = Run.open(folder)
    done, planned = (run.lines(kind) for kind in ("train", "calibration"))
    if done and planned and done[-1]["items"] >= planned[-1]["total"]:
        return
    if resume(folder, observer=observer).signal is not None:
        raise KeyboardInterrupt


def shadow_scores(
    errors: tuple[Tensor, Tensor],
    shadows: Sequence[Shadow],
    inside: Dataset,
    outside: Dataset,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Tensor, Tensor]:
    """The likelihood ratio of members and of others, (n,) and (m,); items that all shadows saw, or none, are left out.

    Args:
        errors: the loss score of both, as `members.scored` gives it.
        shadows: at least two.
        inside, outside: the items.
        progress: called with shadow models done and in all.

    Raises:
        UserError: too few items that some shadow models saw and others did not.
    """
    if len(shadows) < 2:
        raise UserError(f"a likelihood ratio takes at least 2 shadow models, got {len(shadows)}")
    hashes = np.concatenate([item_hashes(data.items) for data in (inside, outside)])
    included = torch.from_numpy(np.stack([np.isin(hashes, shadow.seen) for shadow in shadows]))
    usable = torch.nonzero(included.any(0) & ~included.all(0))[:, 0]
    if len(usable) < _FEWEST:
        raise UserError(
            f"of {len(hashes):,} items only {len(usable)} were in some shadow models and not in others: train them on "
            "halves of the same data (pellucid audit --shadow 8)"
        )
    rows = []
    for done, shadow in enumerate(shadows):
        rows.append(torch.cat([scored(shadow.model, data) for data in (inside, outside)]))
        if progress is not None:
            progress(done + 1, len(shadows))
    ours = torch.cat(errors)
    found = lira(-ours[usable], -torch.stack(rows)[:, usable], included[:, usable])
    member = usable < len(inside)
    return found[member], found[~member]
