"""Small runs and models for the tests of training, sampling and the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from pellucid.config import ProcessSettings, Resolved, SamplingSettings, nested, resolve
from pellucid.data.codecs import ImageCodec
from pellucid.model import Card, Model, make_denoiser
from pellucid.nn import NetworkSpec, build
from pellucid.train import checkpoint
from pellucid.train.start import Finished, begin

TINY = {
    "recipe": "tiny",
    "data.source": "digits8",
    "data.holdout": 0.2,
    "network.kind": "unet",
    "network.width": 8,
    "network.multipliers": [1],
    "network.blocks": 1,
    "network.attention": [0],
    "training.budget": "320-items",
    "training.batch_size": 32,
    "training.pictures": 0,
    "sampling.steps": 4,
    "sampling.guidance": 1.5,
}
WEIGHTS = ("model.safetensors", "ema.safetensors", "optimizer.safetensors")


class Watcher:
    """An observer that keeps what it is told, and may act after each look."""

    def __init__(self, act: Callable[[int], None] | None = None) -> None:
        self.messages: list[str] = []
        self.items: list[int] = []
        self._act = act

    def progress(self, *, items: int, total: int, loss: float, rate: float) -> None:
        self.items.append(items)
        if self._act is not None:
            self._act(items)

    def message(self, text: str) -> None:
        self.messages.append(text)


def settings(**changes: Any) -> Resolved:
    """The tiny run's settings; `training__lr=1` changes training.lr."""
    dotted = {key.replace("__", "."): value for key, value in changes.items()}
    return resolve([("test", nested({**TINY, **dotted}))])


def trained(path: Path, watcher: Watcher | None = None, **changes: Any) -> Finished:
    """A tiny run, trained in a second or two."""
    return begin(settings(**changes), path, observer=watcher or Watcher())


def hashes(run: Path) -> dict[str, str]:
    """The sha256 of each file of weights in a run's newest checkpoint, which must be valid, and its step."""
    newest = checkpoint.latest(run)
    assert newest.folder is not None
    assert not newest.messages
    files = checkpoint.verify(newest.folder)["files"]
    return {"folder": newest.folder.name, **{name: files[name]["sha256"] for name in WEIGHTS}}


def untrained(shape: tuple[int, ...] = (3, 16, 16), *, classes: int = 3, width: int = 16, **sampling: Any) -> Model:
    """A convolutional model with attention and random weights everywhere: a worse case than a trained one, for its
    function is as rough as weights of this size make it."""
    spec = NetworkSpec("unet", shape, width=width, multipliers=(1, 2), attention=(1,), blocks=1, num_classes=classes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build(spec)
        for weight in network.parameters():
            if not weight.abs().max():
                torch.nn.init.normal_(weight, std=0.05)
    process = ProcessSettings(sigma_data=0.5)
    card = Card(
        spec,
        process,
        ImageCodec(*shape),
        tuple(f"class {k}" for k in range(classes)),
        SamplingSettings(steps=8, **sampling),
        {"name": "nothing", "train": 0, "held_out": 0, "rejected": [], "sha256": "0" * 64, "source": None},
    )
    denoiser = make_denoiser(network, process).eval().requires_grad_(False)
    return Model(denoiser, card, checkpoint.weights_hash(dict(network.state_dict())), "")
