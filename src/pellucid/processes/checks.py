"""Whether a chain's end is its prior: what a sampler that starts at the prior gives away."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from ..foundations.errors import UserError
from .base import Process
from .gaussian import Gaussian
from .matrix import MatrixGaussian
from .paths import SimulatedSDE
from .product import Product
from .schedules import EDM, VE, VP, Betas, Rectified, Schedule, SubVP


@runtime_checkable
class HasEnd(Protocol):
    """A process that knows how far its end is from its prior."""

    def prior_bits_per_dim(self, second_moment: float = 1.0) -> float:
        """KL(q(x_1) to the prior) in bits per value, for data of the given second moment."""
        ...


def check_prior(
    process: Process, second_moment: float = 1.0, *, limit_bits: float = 0.01, force: bool = False
) -> float:
    """Refuses a process whose end is not its prior; returns KL(q(x_1) to the prior) in bits per value.

    A process that does not know the divergence (tokens that end masked, say) passes with 0.

    Args:
        second_moment: the data's mean square, as encoded.
        limit_bits: the largest divergence that passes.
        force: let it pass whatever it is.

    Raises:
        UserError: a divergence over the limit, or none (not a number).
    """
    if not isinstance(process, HasEnd):
        return 0.0
    bits = process.prior_bits_per_dim(second_moment)
    if not bits <= limit_bits and not force:
        raise UserError(
            f"this chain does not end at its prior: they differ by {bits:.4g} bits/dim, and at most {limit_bits:g} "
            f"is allowed: samples start from the prior. Remedy: {_remedy(process)}; or force it and accept the bias"
        )
    return bits


def _remedy(process: Process) -> str:
    if isinstance(process, SimulatedSDE):
        return "let g(t) grow, or let the part of f that is not linear fade towards t = 1, so that the end is Gaussian"
    if isinstance(process, MatrixGaussian):
        return "make f contract faster, or g(t) larger, so that x_1 forgets x_0"
    if isinstance(process, Product):
        return _remedy(next(field.process for field in process.fields if not field.symbols))
    assert isinstance(process, Gaussian)
    return _schedule_remedy(process.schedule)


def _schedule_remedy(schedule: Schedule) -> str:
    if isinstance(schedule, Betas):
        beta = max(schedule.betas)
        return f"a longer chain (num_steps is {schedule.num_steps}) or a larger beta_max (the largest is {beta:.4g})"
    if isinstance(schedule, VP | SubVP):
        return f"a larger beta_max (it is {schedule.beta_max:g})"
    if isinstance(schedule, VE | EDM):
        return f"a larger sigma_max (it is {schedule.sigma_max:g})"
    if isinstance(schedule, Rectified):
        return f"a smaller alpha_min (it is {schedule.alpha_min:g})"
    return "a schedule with less signal at t = 1"
