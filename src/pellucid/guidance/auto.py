"""Autoguidance: away from what a weaker model would do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..denoisers import Denoiser
from ..foundations.errors import UserError
from ..foundations.tensors import pad
from ..processes.gaussian import Gaussian
from .base import Guidance
from .branches import filled


@dataclass(frozen=True)
class AutoGuided(Guidance):
    """weak + w (strong - weak), both under the same conditions: a smaller or less trained model errs where the strong
    one errs, only more, so that their difference points away from the errors. It needs no conditions at all.

    Two networks are two calls. `negative` changes the weaker one's conditions, for one that knows none, say.

    Attributes:
        weaker: of the same schedule and data.

    Raises:
        UserError: as `Guidance`; denoisers of different schedules.

    Source: Karras et al., "Guiding a Diffusion Model with a Bad Version of Itself", 2024, eq. 3 and section 3.
    """

    weaker: Denoiser = field(kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        ours, theirs = self.denoiser.process, self.weaker.process
        same = ours.schedule == theirs.schedule if isinstance(ours, Gaussian) and isinstance(theirs, Gaussian) else True
        if not same or type(ours) is not type(theirs):
            raise UserError(
                f"the two denoisers read time differently: {_describe(ours)} and {_describe(theirs)}; give a weaker "
                "one that was trained with the same schedule"
            )

    def __call__(self, x: Tensor, t: Tensor, **cond: Any) -> Tensor:
        strong = self.denoiser(x, t, **cond)
        acts = self.acts(t)
        if acts is False:
            return strong
        weak = self.weaker(x, t, **{**cond, **filled(x, self.negative)})
        guided = torch.lerp(weak, strong, self.scale)
        return guided if acts is True else torch.where(pad(acts, strong), guided, strong)


def _describe(process: Any) -> str:
    return repr(process.schedule) if isinstance(process, Gaussian) else type(process).__name__
