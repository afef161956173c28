r"""What the methods measure, and the order in which theory puts what they find.

For a model with the law p, in nats of an item x,

    ELBO(x) <= IWAE(k, x) <= log p(x),                                                                             (1)

the first with any k, in expectation over the draws (Burda et al., "Importance Weighted Autoencoders", 2016, theorem 1).
The variational bound of a diffusion model lies below the log p of its stochastic sampler. The probability-flow ODE
gives log p of another law, that of the deterministic sampler, and of pictures through noise within their bins, which
costs a gap of its own: an estimate, which no theorem orders against the bound of the other. Where one denoiser were
perfect both laws were the data's, and the bound would lie below the ODE's value by what it is loose.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ..foundations.errors import UserError
from ..likelihood import bits_per_dim
from ..score import Score

_ERRORS = 3.0  # standard errors that a proven order may seem to be broken by


@dataclass(frozen=True)
class Quantity:
    """What a method's number is.

    Attributes:
        short: its name in tables and on axes.
        bound: whether it is an upper bound on -log p(x), or else an estimate.
        says: what it is, in one sentence.
    """

    short: str
    bound: bool
    says: str


QUANTITIES: dict[str, Quantity] = {
    "ELBO": Quantity("ELBO", True, "bound by one draw of the code: -log p(x) is at most this"),
    "IWAE": Quantity("IWAE", True, "bound by k weighted draws of the code, at least as tight as the ELBO"),
    "code bound": Quantity("codes", True, "bound by the one code that the encoder chose, all codes equally probable"),
    "bound, through the codes": Quantity(
        "code prior", True, "bound by the one code that the encoder chose, whose probability a learned prior bounds"
    ),
    "variational bound": Quantity(
        "VLB", True, "bound by the chain of denoising steps, on the law of the stochastic sampler"
    ),
    "probability-flow ODE": Quantity(
        "ODE", False, "estimate by the change of variables along the ODE, of the law of the deterministic sampler"
    ),
    "latent, variational bound": Quantity(
        "latent VLB", True, "bound by a draw of the latent, whose probability is bounded by its denoising steps"
    ),
    "latent, probability-flow ODE": Quantity(
        "latent ODE", True, "bound by a draw of the latent, whose density is taken along the ODE"
    ),
    "annealed importance sampling": Quantity(
        "AIS", False, "estimate by the energy and a normaliser found by annealed importance sampling"
    ),
    "thermodynamic integration": Quantity(
        "TI", False, "estimate by the energy and a normaliser found by thermodynamic integration"
    ),
    "learned normaliser": Quantity("NCE", False, "estimate by the energy and the normaliser that training found"),
}


def quantity(method: str) -> Quantity:
    """What the number of a method is; "IWAE(64)" keeps its number of draws in the short name.

    Raises:
        UserError: a method that nothing is known of.
    """
    name, bracket, rest = method.partition("(")
    found = QUANTITIES.get(name)
    if found is None:
        raise UserError(f"nothing is known of the method {method!r}; known are {', '.join(QUANTITIES)}")
    return Quantity(found.short + bracket + rest, found.bound, found.says)


def in_order(scores: Sequence[Score]) -> list[Score]:
    """Scores from the loosest kind of bound to the tightest kind of estimate, whatever their values."""
    return sorted(scores, key=lambda score: (list(QUANTITIES).index(score.method.partition("(")[0]), _draws(score)))


@dataclass(frozen=True)
class Check:
    """A proven order, and whether the numbers keep it.

    Attributes:
        text: what must hold, and what was found.
        passed: whether it does, within three standard errors of the methods' own random numbers.
    """

    text: str
    passed: bool


def checks(name: str, scores: Sequence[Score], num_values: int) -> Iterator[Check]:
    """Equation (1) for the scores of one model, over the same items.

    Args:
        name: of the model.
        scores: by any methods.
        num_values: numbers in an item.
    """
    chain = sorted((score for score in scores if _draws(score)), key=_draws)
    for loose, tight in pairwise(chain):
        gained = bits_per_dim(loose.nats - tight.nats, num_values)
        error = math.hypot(*(s.of_estimator for s in (loose, tight) if math.isfinite(s.of_estimator)))
        yield Check(
            f"{name}: {tight.method} is at least as tight as {loose.method}: by {gained:.4f} ± {error:.4f} bits/dim",
            gained >= -_ERRORS * error,
        )


def difference(a: Score, b: Score, num_values: int) -> tuple[float, float]:
    """How many bits/dim a lies above b, and its standard error, item by item where both know their items."""
    if a.each is not None and b.each is not None and len(a.each) == len(b.each) > 1:
        gaps = a.each - b.each
        error = gaps.std().item() / math.sqrt(len(gaps))
    else:
        error = math.log(2) * num_values * math.hypot(a.over_items, b.over_items)
    return bits_per_dim(a.nats - b.nats, num_values), bits_per_dim(error, num_values)


def tightest(scores: Sequence[Score]) -> Score:
    """The least upper bound among a model's scores; of a model without one, as an energy, its least estimate."""
    return min([s for s in scores if quantity(s.method).bound] or scores, key=lambda s: s.nats)


def _draws(score: Score) -> int:
    """k of IWAE(k); 1 for the ELBO, which is IWAE(1); 0 for what is no link of equation (1)."""
    if score.method == "ELBO":
        return 1
    name, _, rest = score.method.partition("(")
    return int(rest.rstrip(")")) if name == "IWAE" else 0
