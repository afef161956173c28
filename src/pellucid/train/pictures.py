"""What is made along the way: the same samples at every look, of the same texts, and the loss on held-out items."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from ..denoisers import NetworkDenoiser
from ..generate import gallery, sample
from ..model import Card, Model
from ..sampling import labels_for
from .batches import Batches
from .objective import objective
from .run import Run
from .trainee import Trainee

_HELD_OUT = 512  # items whose loss is watched: enough to see overfitting, few enough to cost nothing


@dataclass(frozen=True)
class Pictures:
    """Fixed-seed samples and a fixed held-out loss.

    Attributes:
        card: for labels and sampling defaults.
        held: held-out batches, or None.
        num: samples in a grid.
        seed: of the samples.
        texts: what the samples are to show, of a model of texts; () where nothing is asked for.
    """

    card: Card
    held: Batches | None
    num: int
    seed: int = 0
    texts: tuple[str, ...] = ()

    def make(self, run: Run, trainee: Trainee[NetworkDenoiser], *, items: int) -> None:
        """Writes samples/items-*.png and a line of metrics for each."""
        started = time.perf_counter()
        model = Model(trainee.average, self.card, weights_hash="")
        name = f"items-{items:09d}.png"
        # Whether the chain may be sampled at all was decided when the run began.
        made = sample(model, self.num, text=self.texts or None, seed=self.seed, force=True)
        labels = None if self.texts else labels_for(model, range(self.num), None)
        path = run.samples / name
        path.parent.mkdir(exist_ok=True)
        gallery(model, made, labels, self.texts or None).save(path)
        told = {"texts": list(self.texts)} if self.texts else {}
        file, seconds = f"samples/{name}", time.perf_counter() - started
        run.append({"kind": "samples", "items": items, "file": file, **told, "seconds": seconds})
        if self.held is not None:
            started = time.perf_counter()
            loss = self.held_out_loss(trainee)
            run.append({"kind": "held_out", "items": items, "loss": loss, "seconds": time.perf_counter() - started})

    @torch.no_grad()
    def held_out_loss(self, trainee: Trainee[NetworkDenoiser]) -> float:
        """The averaged weights' loss on the same held-out items, times and noise at every look."""
        assert self.held is not None
        batch = self.held.at(0, min(_HELD_OUT, len(self.held.data)))
        with trainee.engine.autocast():
            return objective(trainee.average, batch).mean().item()
