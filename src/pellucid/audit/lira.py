r"""The likelihood-ratio attack: a model's error on an item beside that of models that did and that did not see it.

For each item, shadow models trained with it have errors of about N(mu_in, s_in^2), those without it N(mu_out, s_out^2);
the score of the audited model's error e is

    log N(e; mu_in, s_in^2) - log N(e; mu_out, s_out^2)                                                              (1)

(Carlini et al., "Membership Inference Attacks From First Principles", 2022, algorithm 1). An item that is hard for
every model is not taken for a stranger, nor one that is easy for all for a member. With few shadow models an item's own
variance is known badly: it is drawn towards that of all items as a sample of as many more would draw it.
"""

from __future__ import annotations

from torch import Tensor

from ..foundations.errors import UserError

_PRIOR = 4  # the weight of the common variance, in shadow models


def lira(errors: Tensor, shadow_errors: Tensor, included: Tensor) -> Tensor:
    """Equation (1) of each item, higher for members: (N,), float64.

    Args:
        errors: a statistic of the audited model, such as the logarithm of its loss, (N,).
        shadow_errors: the same of S shadow models, (S, N).
        included: whether each shadow model was trained on each item, (S, N).

    Raises:
        UserError: shapes that do not fit, or items that no shadow model saw, or that none left out.
    """
    if shadow_errors.shape != included.shape or shadow_errors.shape[1:] != errors.shape:
        raise UserError(
            f"{tuple(errors.shape)} errors need as many of each shadow model, got {tuple(shadow_errors.shape)} errors "
            f"and {tuple(included.shape)} inclusions"
        )
    seen = included.sum(0)
    lost = int(((seen == 0) | (seen == len(included))).sum())
    if lost:
        raise UserError(
            f"{lost:,} items were in all shadow models, or in none: with both, they can be judged; train more of them"
        )
    x = shadow_errors.double()
    inside, outside = (_law(x, mask) for mask in (included, ~included))
    return _log_normal(errors.double(), *inside) - _log_normal(errors.double(), *outside)


def _law(x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of each item's errors over the shadow models in the mask, (N,) each."""
    count = mask.sum(0).double()
    mean = (x * mask).sum(0) / count
    squares = ((x - mean).square() * mask).sum(0)
    common = squares.sum() / (count - 1).clamp_min(0).sum().clamp_min(1)
    variance = (squares + _PRIOR * common) / ((count - 1) + _PRIOR)
    return mean, variance.clamp_min(1e-12)


def _log_normal(x: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    return -0.5 * ((x - mean).square() / variance + variance.log())
