r"""What is trained, and one step of training: everything whose state a checkpoint must hold.

Of several processes each takes its share of the positions of every micro-batch. The loss of a step is a sum over items
divided by the number of items in the whole batch, so its gradient is the plain sum of the processes' gradients, however
unequal their shares. That sum is formed once a step, after all micro-batches, in one flat buffer with the loss at its
end: exact, once however many micro-batches there are, at the price of a second copy of the gradients. (torch's
DistributedDataParallel would overlap it with the backward pass, but averages over processes instead of items.)
What is not finite in one process is so in the sum, so that all of them stop at the same step.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any, Generic, Protocol, TypeVar, cast

import torch
from torch import Tensor, nn

from ..config import TrainingSettings
from ..data.arrays import Dataset
from ..denoisers import NetworkDenoiser
from ..foundations.errors import UserError
from ..foundations.rng import subseed
from ..losses import LossHistory, Uncertainty
from . import ema
from .engine import Engine
from .objective import objective
from .shared_dropout import share_dropout

LOSSES = "losses.safetensors"  # what the loss has learned, where it learns
_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


class Diverged(UserError):
    """The loss or its gradient is no longer a number."""


L = TypeVar("L", bound=nn.Module)


class Source(Protocol):
    """Where batches come from; what is in one is between it and the loss."""

    @property
    def data(self) -> Dataset:
        """The items."""
        ...

    @property
    def adaptive(self) -> bool:
        """Whether the law of times follows the losses."""
        ...

    def at(self, *args: Any, **kwargs: Any) -> Any:
        """The batch of positions start ... start + count - 1, called as at(start, count)."""
        ...


class Trainee(Generic[L]):
    """What learns, with its average and its optimiser.

    Attributes:
        learner: what learns; its `network` is what a checkpoint keeps.
        average: its power-function average, which samples and is kept.
        optimizer: AdamW.
        uncertainty: u of `losses.Uncertainty`, where the settings ask for it.
        history: what an adaptive time density has seen, from the first step with one.
    """

    def __init__(
        self,
        learner: L,
        settings: TrainingSettings,
        engine: Engine,
        loss: Callable[[Any, Any], Tensor] = objective,
    ) -> None:
        self.learner = learner.to(engine.device)
        self.loss = loss
        self.average = copy.deepcopy(self.learner).eval().requires_grad_(False)
        self.settings = settings
        self.engine = engine
        self.gamma = ema.exponent(settings.ema) if settings.ema > 0 else float("inf")
        self.optimizer = torch.optim.AdamW(
            self.learner.parameters(),
            lr=settings.lr,
            betas=(0.9, settings.beta2),
            weight_decay=settings.weight_decay,
            fused=True,
        )
        self.uncertainty = Uncertainty().to(engine.device) if settings.uncertainty else None
        if self.uncertainty is not None:
            self.optimizer.add_param_group({"params": list(self.uncertainty.parameters()), "weight_decay": 0.0})
        self.history: LossHistory | None = None
        self._network, self._kept = (cast(nn.Module, each.network) for each in (self.learner, self.average))
        if settings.compile:
            self._network.compile()
        self._dropout = share_dropout(self.learner) if engine.group.size > 1 else None
        if self._micro < engine.group.size:
            raise UserError(
                f"{engine.group.size} processes cannot share {self._micro} items, a batch of {settings.batch_size} in "
                f"{settings.accumulate} parts: use fewer processes or parts, or a larger batch"
            )
        self._weights = list(self.learner.parameters())
        self._averages = list(self.average.parameters())
        # What a network keeps beside its weights (a code book) is no weight to average: the average has the newest.
        state, kept = self._network.state_dict(keep_vars=True), self._kept.state_dict(keep_vars=True)
        self._beside = [(kept[name], value) for name, value in state.items() if not isinstance(value, nn.Parameter)]

    def step(self, batches: Source, *, items: int, step: int, lr: float) -> tuple[Tensor, Tensor]:
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
        self.learner.train()
        # Dropout is the one thing that draws from torch's own generator: a function of (seed, step), like all else.
        torch.manual_seed(subseed(settings.seed, f"dropout/{step}") % (1 << 63))
        micro = self._micro
        total = torch.zeros((), device=self.engine.device)
        if batches.adaptive and self.history is None:
            self.history = LossHistory(device=self.engine.device)
        seen: list[tuple[int, Tensor, Tensor]] = []
        for start in range(0, settings.batch_size, micro):
            count = min(micro, settings.batch_size - start)
            first, share = self.engine.group.share(count)
            if not share:  # the last micro-batch can be smaller than the group
                continue
            if self._dropout is not None:
                self._dropout.first, self._dropout.count = first, count
            warp = {} if self.history is None else {"warp": self.history.warp}
            batch = batches.at(items + start + first, share, **warp)
            with self.engine.autocast():
                losses = self.loss(self.learner, batch)
            loss = losses.sum() / settings.batch_size
            total += loss.detach()
            if self.history is not None and batch.u is not None:
                seen.append((start + first, batch.u, losses.detach() / self.history.factors(batch.u)))
            if self.uncertainty is not None:
                level = cast(NetworkDenoiser, self.learner).noise_level(batch.t)
                loss = self.uncertainty.weigh(losses, level).sum() / settings.batch_size
            loss.backward()
        self._sum_gradients(total)
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
        for kept, value in self._beside:
            kept.copy_(value)
        if self.history is not None:
            self._remember(self.history, seen, micro)
        return total, norm

    @property
    def _micro(self) -> int:
        """Items of a micro-batch, in all processes together."""
        return -(-self.settings.batch_size // self.settings.accumulate)

    @torch.no_grad()
    def _sum_gradients(self, total: Tensor) -> None:
        """Sums the gradients and the loss over the processes, in place.

        What no process has a gradient of keeps none, as in a process alone, where the optimiser leaves it as it is.
        """
        group = self.engine.group
        if group.size == 1:
            return
        weights = [weight for each in self.optimizer.param_groups for weight in each["params"]]
        there = torch.tensor([float(weight.grad is not None) for weight in weights], device=total.device)
        gradients = [torch.zeros_like(weight) if weight.grad is None else weight.grad for weight in weights]
        flat = group.sum(torch.cat([*(gradient.flatten() for gradient in gradients), there, total.reshape(1)]))
        counts, total_sum = flat[-len(weights) - 1 : -1].tolist(), flat[-1]
        parts = flat[: -len(weights) - 1].split([weight.numel() for weight in weights])
        for weight, gradient, part, count in zip(weights, gradients, parts, counts, strict=True):
            weight.grad = gradient.copy_(part.view(weight.shape)) if count else None
        total.copy_(total_sum)

    def _remember(self, history: LossHistory, seen: list[tuple[int, Tensor, Tensor]], micro: int) -> None:
        """Takes in the losses of a step, of all processes, micro-batch by micro-batch."""
        size = self.settings.batch_size
        whole = torch.zeros(2, size, device=self.engine.device)
        for start, u, losses in seen:
            whole[0, start : start + len(u)], whole[1, start : start + len(u)] = u, losses
        u, losses = self.engine.group.sum(whole)
        for start in range(0, size, micro):
            history.update(u[start : start + micro], losses[start : start + micro])

    def level(self) -> None:
        """Gives every process the lead's weights, so that machines whose libraries differ begin alike."""
        for module in (self._network, self._kept):
            for value in module.state_dict().values():
                self.engine.group.level(value)

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """All tensors of the state, by file name: an explicit list of what a checkpoint holds."""
        names = [name for name, _ in self._network.named_parameters()]
        moments = {
            f"{name}/{key}": value
            for name, weight in zip(names, self._weights, strict=True)
            for key, value in self.optimizer.state.get(weight, {}).items()
        }
        found = {
            "model.safetensors": dict(self._network.state_dict()),
            "ema.safetensors": dict(self._kept.state_dict()),
            "optimizer.safetensors": moments,
        }
        beside = {} if self.history is None else self.history.tensors()
        if self.uncertainty is not None:
            weight = self.uncertainty.weight
            beside["uncertainty/weight"] = weight.detach()
            beside.update({f"uncertainty/{key}": value for key, value in self.optimizer.state.get(weight, {}).items()})
        return {**found, LOSSES: beside} if beside else found

    def restore(self, tensors: dict[str, dict[str, Tensor]]) -> None:
        """Takes the state that `tensors` gave."""
        self._network.load_state_dict(tensors["model.safetensors"])
        self._kept.load_state_dict(tensors["ema.safetensors"])
        moments = tensors["optimizer.safetensors"]
        for (name, weight), _ in zip(self._network.named_parameters(), self._weights, strict=True):
            state: dict[str, Any] = {}
            for key in _MOMENTS:
                if f"{name}/{key}" in moments:
                    value = moments[f"{name}/{key}"]
                    # The moments follow the weight's own memory order, as the optimiser made them.
                    state[key] = value if key == "step" else torch.empty_like(weight).copy_(value)
            if state:
                self.optimizer.state[weight] = state
        self._restore_beside(tensors.get(LOSSES, {}))

    def _restore_beside(self, tensors: dict[str, Tensor]) -> None:
        """What the loss itself has learned."""
        if "history/squares" in tensors:
            self.history = LossHistory(len(tensors["history/squares"]), device=self.engine.device)
            self.history.restore(tensors)
        if self.uncertainty is not None and "uncertainty/weight" in tensors:
            weight = self.uncertainty.weight
            weight.data.copy_(tensors["uncertainty/weight"])
            moments = {key: tensors[f"uncertainty/{key}"] for key in _MOMENTS if f"uncertainty/{key}" in tensors}
            if moments:
                self.optimizer.state[weight] = {
                    key: value if key == "step" else value.to(weight) for key, value in moments.items()
                }

    def parameters(self) -> Iterator[nn.Parameter]:
        """The learning weights."""
        return self.learner.parameters()
