r"""Energy networks: the gradient of a scalar in place of a prediction, for any network in `NETWORKS`.

From a network f, whose output has its input's shape, comes the potential

    phi(x, c) = <x, f(x, c)>,   and in place of f its gradient   grad phi = f + (df/dx)^T x                        (1)

(one of the forms that Du et al. compare, "Reduce, Reuse, Recycle: Compositional Generation with Energy-Based Diffusion
Models and MCMC", 2023; another is -|x - f|^2/2, after Salimans and Ho, "Should EBMs Model the Energy or the Score?",
2021). The inner product is taken because a network that starts at zero, as ours do, starts at phi = 0: the denoiser's
own skip then stands for the best normal law, and phi learns only what it lacks.

A field that is a gradient has a symmetric Jacobian; a free network's prediction has one only as far as it has learned.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from pellucid.foundations.errors import UserError

from .spec import NetworkSpec


class EnergyNetwork(nn.Module):
    """A network whose output is the gradient of `potential`, equation (1).

    Called as the network it is made of, with the same shapes. Where gradients are recorded, its output can be
    differentiated again, in x and in the weights.

    Args:
        network: x of shape (B, *), c of shape (B,), conditions; returns (B, *).
        spec: its description.

    Raises:
        UserError: a network that returns a variance too, which has no place in a gradient.

    >>> from pellucid.nn import MLP
    >>> spec = NetworkSpec("mlp", (2,), width=8)
    >>> network = EnergyNetwork(MLP(spec), spec)
    >>> network(torch.randn(5, 2), torch.zeros(5)).shape
    torch.Size([5, 2])
    """

    def __init__(self, network: nn.Module, spec: NetworkSpec) -> None:
        super().__init__()
        if spec.output_multiplier != 1:
            raise UserError(
                "an energy network gives a gradient, which leaves no room for a learned variance: set "
                "process.learned_variance=false, or network.energy=false"
            )
        self.network = network

    def encoded(self, cond: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """As `Network.encoded`, of the network it is made of."""
        found: dict[str, Tensor] = self.network.encoded(cond)  # type: ignore[operator]
        return found

    def potential(self, x: Tensor, c_noise: Tensor, **cond: Any) -> Tensor:
        """phi(x, c) of equation (1), shape (B,): x of shape (B, *), c of shape (B,)."""
        # The fused attentions have no second derivative.
        with sdpa_kernel(SDPBackend.MATH):
            # A view, because torch's counter of operations refuses a leaf that is differentiated by itself.
            return (x * self.network(x.view_as(x), c_noise, **cond).to(x.dtype)).flatten(1).sum(1)

    def compile(self, *args: Any, **options: Any) -> None:
        """Refused: compiled networks have no second derivative.

        Raises:
            UserError: always.
        """
        raise UserError("an energy network is differentiated twice, which compilation forbids: training.compile=false")

    def forward(self, x: Tensor, c_noise: Tensor, **cond: Any) -> Tensor:
        """grad phi, (B, *)."""
        return slope(self.potential, x, c_noise, **cond)[1]


def slope(energy: Callable[..., Tensor], x: Tensor, *rest: Any, **cond: Any) -> tuple[Tensor, Tensor]:
    """(E, grad E), shapes (B,) and (B, *): a function's value and gradient at x of shape (B, *), by one backward pass.

    Where gradients are recorded, both can be differentiated again.

    Args:
        energy: called as energy(x, *rest, **cond); each item's value depends on that item alone.
    """
    outer = torch.is_grad_enabled()
    with torch.enable_grad():
        at = x if outer and x.requires_grad else x.detach().requires_grad_()
        value = energy(at, *rest, **cond)
        (gradient,) = torch.autograd.grad(value.sum(), at, create_graph=outer)
    return (value, gradient) if outer else (value.detach(), gradient)
