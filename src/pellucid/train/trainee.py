"""What is trained, and one step of training: everything whose state a checkpoint must hold."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from ..config import TrainingSettings
from ..denoisers import NetworkDenoiser
from ..foundations.errors import UserError
from ..foundations.rng import subseed
from ..losses import denoising_loss
from . import ema
from .batches import Batches
from .engine import Engine


class Diverged(UserError):
    """The loss or its gradient is no longer a number."""


class Trainee:
    """A denoiser with its average and its optimiser.

    Attributes:
        denoiser: what learns.
        average: its power-function average, which samples and is kept.
        optimizer: AdamW.
    """

    def __init__(self, denoiser: NetworkDenoiser, settings: TrainingSettings, engine: Engine) -> None:
        self.denoiser = denoiser.to(engine.device)
        self.average = copy.deepcopy(self.denoiser).eval().requires_grad_(False)
        self.settings = settings
        self.engine = engine
        self.gamma = ema.exponent(settings.ema) if settings.ema > 0 else float("inf")
        self.optimizer = torch.optim.AdamW(
            self.denoiser.parameters(),
            lr=settings.lr,
            betas=(0.9, settings.beta2),
            weight_decay=settings.weight_decay,
            fused=True,
        )
        if settings.compile:
            self.denoiser.network.compile()
        self._weights = list(self.denoiser.parameters())
        self._averages = list(self.average.parameters())

    def step(self, batches: Batches, *, items: int, step: int, lr: float) -> tuple[Tensor, Tensor]:
        """One optimiser step on the batch at position `items`; returns the mean loss and the gradient's norm, shape ().

        Args:
            batches: where the items come from.
            items: the position of the batch's first item.
            step: the step's number, from 1.
            lr: the learning rate.

        Raises:
            Diverged: the loss or the gradient is not finite; the weights are then left as they were.
        """
        settings = self.settings
        self.denoiser.train()
        # Dropout is the one thing that draws from torch's own generator: a function of (seed, step), like all else.
        torch.manual_seed(subseed(settings.seed, f"dropout/{step}") % (1 << 63))
        micro = -(-settings.batch_size // settings.accumulate)
        total = torch.zeros((), device=self.engine.device)
        for start in range(0, settings.batch_size, micro):
            count = min(micro, settings.batch_size - start)
            batch = batches.at(items + start, count)
            cond = {} if batch.label is None else {"label": batch.label}
            with self.engine.autocast():
                losses = denoising_loss(self.denoiser, batch.x0, batch.t, batch.noise, **cond)
            loss = losses.sum() / settings.batch_size
            loss.backward()
            total += loss.detach()
        norm = nn.utils.clip_grad_norm_(self._weights, settings.clip)
        if not bool(torch.isfinite(total + norm)):
            self.optimizer.zero_grad()
            raise Diverged(
                f"training diverged at step {step}: the loss is {total.item():.3g} and its gradient's norm "
                f"{norm.item():.3g}. Nothing of this step was kept; resume with a lower learning rate: "
                f"--set training.lr={settings.lr / 2:g}"
            )
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.optimizer.step()
        self.optimizer.zero_grad()
        ema.update(self._averages, self._weights, step, self.gamma)
        return total, norm

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """All tensors of the state, by file name: an explicit list of what a checkpoint holds."""
        names = [name for name, _ in self.denoiser.network.named_parameters()]
        moments = {
            f"{name}/{key}": value
            for name, weight in zip(names, self._weights, strict=True)
            for key, value in self.optimizer.state.get(weight, {}).items()
        }
        return {
            "model.safetensors": dict(self.denoiser.network.state_dict()),
            "ema.safetensors": dict(self.average.network.state_dict()),
            "optimizer.safetensors": moments,
        }

    def restore(self, tensors: dict[str, dict[str, Tensor]]) -> None:
        """Takes the state that `tensors` gave."""
        self.denoiser.network.load_state_dict(tensors["model.safetensors"])
        self.average.network.load_state_dict(tensors["ema.safetensors"])
        moments = tensors["optimizer.safetensors"]
        for (name, weight), _ in zip(self.denoiser.network.named_parameters(), self._weights, strict=True):
            state: dict[str, Any] = {}
            for key in ("step", "exp_avg", "exp_avg_sq"):
                if f"{name}/{key}" in moments:
                    value = moments[f"{name}/{key}"]
                    # The moments follow the weight's own memory order, as the optimiser made them.
                    state[key] = value if key == "step" else torch.empty_like(weight).copy_(value)
            if state:
                self.optimizer.state[weight] = state

    def parameters(self) -> Iterator[nn.Parameter]:
        """The learning weights."""
        return self.denoiser.parameters()
