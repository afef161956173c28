r"""Decoder laws: p(x given z) of an item, value by value, from the numbers a decoder gives for each value.

    normal     x ~ N(m, s^2)                                                            a density                  (1)
    logistic   P(k) = F((c_k + w/2 - m)/s) - F((c_k - w/2 - m)/s), F(u) = 1/(1 + e^-u)  a probability of levels    (2)

In (2) the levels c_k = -1 + k w, w = 1/127.5, k = 0 ... 255, are those of 8-bit pictures; the lowest takes all below it
and the highest all above, so that the 256 probabilities sum to one. With a > b the ends of a bin,

    log(F(a) - F(b)) = log F(a) + log F(-b) + log(1 - e^(b - a))                                                   (3)

where a - b = w/s does not depend on m: nothing cancels, however far the value lies in a tail. A mixture of logistics
has weights for its components, one set for each value.

Sources of (2): Kingma et al., "Improving Variational Inference with Inverse Autoregressive Flow", 2016, section 5;
Salimans et al., "PixelCNN++", 2017, eq. 1-2 (without the dependence of a pixel's colours on one another).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..foundations.errors import UserError
from ..foundations.registry import Registry
from ..foundations.rng import Stream

BIN = 1 / 127.5  # the spacing of 8-bit pictures in [-1, 1]
LEVELS = 256
_SMALLEST = -7.0  # log s: an eighth of a bin; below, a law on levels is as sharp as it can be


class Law(ABC):
    """A law of independent values, with `parameters` numbers for each.

    `discrete` says whether it is a probability of 8-bit levels, not a density.
    """

    discrete: bool = False

    @property
    @abstractmethod
    def parameters(self) -> int:
        """Numbers for each value, P."""

    @abstractmethod
    def log_prob(self, x: Tensor, given: Tensor) -> Tensor:
        """log p of each value in nats: x (B, *shape), given (B, P, *shape) -> (B, *shape)."""

    @abstractmethod
    def mean(self, given: Tensor) -> Tensor:
        """What to show for each value, the middle of its law: (B, P, *shape) -> (B, *shape)."""

    @abstractmethod
    def sample(self, given: Tensor, stream: Stream, *, step: int = 0) -> Tensor:
        """A draw of each value, (B, *shape), from the stream's numbers at a step."""

    def check(self, x: Tensor) -> None:
        """Refuses items that the law cannot have made; a density takes all that are numbers."""
        if not bool(torch.isfinite(x).all()):
            raise UserError("some values of these items are no numbers: leave those items out")


@dataclass(frozen=True)
class Normal(Law):
    """Equation (1), with mean and log s learned for each value."""

    @property
    def parameters(self) -> int:
        return 2

    def log_prob(self, x: Tensor, given: Tensor) -> Tensor:
        mean, log_scale = given[:, 0], _floored(given[:, 1])
        return -0.5 * ((x - mean) * (-log_scale).exp()).square() - log_scale - 0.5 * math.log(2 * math.pi)

    def mean(self, given: Tensor) -> Tensor:
        return given[:, 0]

    def sample(self, given: Tensor, stream: Stream, *, step: int = 0) -> Tensor:
        e = stream.normal(given.shape[2:], step=step)[0, 0].to(given)
        return given[:, 0] + _floored(given[:, 1]).exp() * e


@dataclass(frozen=True)
class Logistic(Law):
    """Equation (2), or a mixture of such laws.

    `components` is how many: parameters are means and log scales, and for two or more the weights' logits.

    Raises:
        UserError: less than one component.
    """

    components: int = 1
    discrete = True

    def __post_init__(self) -> None:
        if self.components < 1:
            raise UserError(f"a mixture has at least 1 component, got {self.components}")

    @property
    def parameters(self) -> int:
        return 2 if self.components == 1 else 3 * self.components

    def log_prob(self, x: Tensor, given: Tensor) -> Tensor:
        mean, log_scale, log_weight = self._parts(given)
        k = ((x[:, None] + 1) / BIN).round()
        inverse = (-log_scale).exp()
        centre = k * BIN - 1 - mean
        high, low = (centre + BIN / 2) * inverse, (centre - BIN / 2) * inverse
        lowest, highest = k <= 0, k >= LEVELS - 1
        below = torch.where(highest, 0.0, F.logsigmoid(high))
        above = torch.where(lowest, 0.0, F.logsigmoid(-low))
        width = torch.where(lowest | highest, 0.0, torch.log(-torch.expm1(-BIN * inverse)))  # equation 3
        each = below + above + width
        return each[:, 0] if self.components == 1 else torch.logsumexp(each + log_weight, dim=1)

    def mean(self, given: Tensor) -> Tensor:
        mean, _, log_weight = self._parts(given)
        middle = (log_weight.exp() * mean).sum(1)
        # What is restored through a decoder is pulled back from beyond the ends, too: the gradient passes them.
        return middle.clamp(-1.0, 1.0).detach() + (middle - middle.detach())

    def sample(self, given: Tensor, stream: Stream, *, step: int = 0) -> Tensor:
        mean, log_scale, log_weight = self._parts(given)
        u = stream.uniform((2, *given.shape[2:]), step=step)[0, 0].to(given) + 2.0**-25
        place, coin = u[:, 0], u[:, 1]
        chosen = (coin[:, None] > log_weight.exp().cumsum(1)).sum(1, keepdim=True).clamp(max=self.components - 1)
        mean, log_scale = mean.gather(1, chosen)[:, 0], log_scale.gather(1, chosen)[:, 0]
        value = mean + log_scale.exp() * place.logit()
        return ((value + 1) / BIN).round().clamp(0, LEVELS - 1) * BIN - 1

    def check(self, x: Tensor) -> None:
        place = (x + 1) / BIN
        k = place.round()
        if bool(((place - k).abs() > 0.05).any()) or bool((k < 0).any()) or bool((k > LEVELS - 1).any()):
            raise UserError(
                f"the logistic law is of 8-bit pictures, u / 127.5 - 1, and the values run from {float(x.min()):g} to "
                f"{float(x.max()):g}, or lie between the levels: encode pictures so, or use the law 'normal'"
            )

    def _parts(self, given: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Means, log scales and log weights, (B, components, *shape) each."""
        if self.components == 1:
            return given[:, :1], _floored(given[:, 1:]), torch.zeros_like(given[:, :1])
        mean, log_scale, logits = given.chunk(3, dim=1)
        # Components that begin equal would stay equal: their means begin spread over the data's range.
        spread = torch.linspace(-1, 1, self.components, dtype=given.dtype, device=given.device)
        return mean + spread.reshape(-1, *(1,) * (given.ndim - 2)), _floored(log_scale), logits.log_softmax(1)


def _floored(log_scale: Tensor) -> Tensor:
    return log_scale.clamp(min=_SMALLEST)


LAWS: Registry[Callable[[int], Law]] = Registry("decoder law", {"normal": lambda _: Normal(), "logistic": Logistic})


def make_law(name: str, components: int = 1) -> Law:
    """The law of a name.

    Raises:
        UserError: an unknown name, or a mixture where there is none.
    """
    if name == "normal" and components != 1:
        raise UserError(f"only the logistic law is a mixture: leave components at 1, got {components}")
    return LAWS[name](components)


@dataclass(frozen=True, eq=False)
class Decoded:
    """p(x given z) of a batch.

    Attributes:
        law: of which kind.
        given: what the decoder said, (B, P, *shape).
    """

    law: Law
    given: Tensor

    @classmethod
    def of(cls, law: Law, out: Tensor) -> Decoded:
        """From a decoder's output (B, P shape[0], *shape[1:]), in float32 at least."""
        out = out if out.dtype == torch.float64 else out.float()
        return cls(law, out.reshape(len(out), law.parameters, -1, *out.shape[2:]))

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x given z) of whole items in nats: (B, *shape) -> (B,)."""
        return self.law.log_prob(x, self.given).flatten(1).sum(1)

    @property
    def mean(self) -> Tensor:
        """The middle of each value's law, (B, *shape)."""
        return self.law.mean(self.given)

    def sample(self, stream: Stream, *, step: int = 0) -> Tensor:
        """A draw, (B, *shape)."""
        return self.law.sample(self.given, stream, step=step)
