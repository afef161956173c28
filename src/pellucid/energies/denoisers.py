r"""Energies of the noised laws, and the denoiser that an energy is by Tweedie's formula.

With p_t(x) = exp(-E(x, t)) / Z(t), the score is -grad E and

    E[x_0 given x_t] = (x - sigma^2 grad E(x, t)) / alpha                                                          (1)

Any network of any prediction target becomes such a denoiser when its output is a gradient. By equation (1) of
`denoisers`, x_0 = skip x + out F(in x); with F = grad phi (`nn.energy`),

    E(x, t) = (1 - alpha skip)/(2 sigma^2) |x|^2 - alpha out/(in sigma^2) phi(in x, c)                             (2)

has (1) for its denoiser, exactly. So the same recipes train it, by the same loss, which is denoising score matching
(Vincent, "A Connection Between Score Matching and Denoising Autoencoders", 2011), through a second backward pass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from ..denoisers import Denoiser, NetworkDenoiser, Target
from ..foundations.errors import UserError
from ..foundations.tensors import pad
from ..nn.energy import EnergyNetwork, slope
from ..processes.gaussian import Gaussian


@runtime_checkable
class HasEnergy(Protocol):
    """A denoiser that also knows the noised law up to a factor."""

    @property
    def process(self) -> Gaussian:
        """The forward process it undoes."""
        ...

    def __call__(self, x: Tensor, t: Tensor, *args: Any, **cond: Any) -> Tensor: ...

    def energy(self, x: Tensor, t: Tensor, **cond: Any) -> Tensor:
        """-log p_t(x) up to a number that depends on t and the conditions alone, (B,): x of shape (B, *), t of shape ()
        or (B,)."""
        ...


class EnergyDenoiser(NetworkDenoiser):
    """A denoiser whose network is an energy network: its forward is Tweedie's formula (1) of `energy`.

    Args:
        network: an `EnergyNetwork`.
        process, target: as for `NetworkDenoiser`.

    Raises:
        UserError: another network.
    """

    network: EnergyNetwork

    def __init__(self, network: EnergyNetwork, process: Gaussian, target: Target) -> None:
        if not isinstance(network, EnergyNetwork):
            raise UserError(f"an energy denoiser needs an EnergyNetwork, got {type(network).__name__}")
        super().__init__(network, process, target)

    def energy(self, x: Tensor, t: Tensor, **cond: Any) -> Tensor:
        """Equation (2), (B,): x of shape (B, *), t of shape () or (B,), above 0.

        Raises:
            UserError: t = 0, where the law has no noise and (2) divides by it.
        """
        # Coefficients in float64: at little noise 1 - alpha skip is a difference of near equals.
        t = t.double()
        schedule = self.process.schedule
        alpha, sigma = schedule.alpha(t), schedule.sigma(t)
        if not bool((sigma > 0).all()):
            raise UserError("an energy is known where there is noise: give times above 0")
        skip, out, scale = self.target.coefficients(self.process, t)
        quadratic = ((1 - alpha * skip) / (2 * sigma.square())).to(x)
        linear = (alpha * out / (scale * sigma.square())).to(x)
        inner = pad(scale.to(x), x) * x
        phi = self.network.potential(inner, self.noise_level(t).to(x).expand(len(x)), **cond)
        return quadratic * x.square().flatten(1).sum(1) - linear * phi


@dataclass(frozen=True)
class FromEnergy:
    """The denoiser of an energy that is given as a function: equation (1) by automatic differentiation.

    Attributes:
        process: the Gaussian process of the law's noise.
        function: E(x, t), called as function(x, t, **cond); x of shape (B, *) and t of shape () or (B,) to (B,).

    >>> import torch
    >>> from pellucid import SCHEDULES
    >>> normal = FromEnergy(Gaussian(SCHEDULES["edm"]()), lambda x, t: x.square().sum(1) / (2 + 2 * (80 * t**7) ** 2))
    >>> normal(torch.ones(1, 1), torch.tensor(1 / 80) ** (1 / 7)).detach()  # x_0 ~ N(0, 1) under noise of size 1
    tensor([[0.5000]])
    """

    process: Gaussian
    function: Callable[..., Tensor]

    def __call__(self, x: Tensor, t: Tensor, **cond: Any) -> Tensor:
        """E[x_0 given x_t] by (1), (B, *)."""
        alpha, sigma = self.process.scales(t, x)
        return (x - sigma.square() * slope(self.function, x, t, **cond)[1]) / alpha

    def energy(self, x: Tensor, t: Tensor, **cond: Any) -> Tensor:
        """The function itself, (B,)."""
        return self.function(x, t, **cond)


def energy_of(denoiser: Denoiser, what: str) -> HasEnergy:
    """The denoiser, if it knows its energy.

    Args:
        what: who asks, for the sentence.

    Raises:
        UserError: a denoiser that knows only its score.
    """
    if not isinstance(denoiser, HasEnergy):
        raise UserError(
            f"{what} needs the law's energy, and this model knows only its slope: train one with "
            "--set network.energy=true, or use unadjusted Langevin moves (ula), which need no energy"
        )
    return denoiser
