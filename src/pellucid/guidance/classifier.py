r"""Guidance by a classifier of noisy data, for a denoiser that knows no conditions.

By Bayes' rule grad log p(x_t given y) = grad log p(x_t) + grad log p(y given x_t), and by Tweedie's formula, with which
E[x_0 given x_t] = (x_t + sigma^2 grad log p(x_t))/alpha,

    E[x_0 given x_t, y] = E[x_0 given x_t] + sigma^2/alpha grad log p(y given x_t)                                 (1)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..foundations.errors import UserError
from ..processes.gaussian import Gaussian
from .base import Guidance
from .branches import filled


@dataclass(frozen=True)
class ClassifierGuided(Guidance):
    """u + w sigma^2/alpha grad log p(y given x_t): equation (1) at w = 1, where an exact classifier gives the exact
    conditional estimate. For the same law it is u + w (c - u) at every w.

    One call of the denoiser on B items, and one of the classifier with its gradient. The classifier must know noise:
    one of clean data has no meaningful gradient at x_t (`train_noisy_classifier` makes one).

    The denoiser gets the call's conditions without those that the classifier reads, and those of `negative`. To sharpen
    a conditional denoiser by a classifier too, give the condition in `negative`: c + w sigma^2/alpha grad log p.

    Attributes:
        classifier: classifier(x, t, **y) -> log p(y given x_t) in nats, (B,), differentiable in x; x of shape (B, *),
            t of shape () or (B,). An additive constant does not matter.
        reads: the names of the conditions y.

    Raises:
        UserError: as `Guidance`; a process that is not Gaussian; at a call, none of the conditions that the classifier
            reads, or log-probabilities that are not one for each item.

    Source: Dhariwal and Nichol, "Diffusion Models Beat GANs on Image Synthesis", 2021, section 4.2 and algorithm 2.
    """

    classifier: Callable[..., Tensor] = field(kw_only=True)
    reads: tuple[str, ...] = field(default=("label",), kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.process, Gaussian):
            raise UserError("classifier guidance follows a gradient, which only a Gaussian process's data have")

    def __call__(self, x: Tensor, t: Tensor, **cond: Any) -> Tensor:
        seen = {name: cond[name] for name in self.reads if cond.get(name) is not None}
        if not seen:
            raise UserError(
                f"the classifier reads {', '.join(self.reads)}; the call gave {', '.join(cond) or 'nothing'}"
            )
        rest = {name: value for name, value in cond.items() if name not in self.reads}
        u = self.denoiser(x, t, **{**rest, **filled(x, self.negative)})
        process, acts = self.process, self.acts(t)
        assert isinstance(process, Gaussian)
        alpha, sigma = process.scales(t, x)
        step = sigma.square() / alpha
        if not isinstance(acts, bool):
            step = step * torch.where(acts, x.new_tensor(self.scale), x.new_tensor(1.0)).reshape(step.shape)
        elif acts:
            step = step * self.scale
        return u + (step * self._gradient(x, t, seen)).to(u)

    def _gradient(self, x: Tensor, t: Tensor, seen: dict[str, Any]) -> Tensor:
        """grad log p(y given x_t), (B, *), itself differentiable where x already carries a graph."""
        outer = torch.is_grad_enabled() and x.requires_grad
        with torch.enable_grad():
            at = x if outer else x.detach().requires_grad_()
            log_prob = self.classifier(at, t, **seen)
            if log_prob.shape != (len(x),):
                raise UserError(f"a classifier gives one log-probability for each item, got {tuple(log_prob.shape)}")
            (gradient,) = torch.autograd.grad(log_prob.sum(), at, create_graph=outer)
        return gradient
