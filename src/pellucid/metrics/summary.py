"""All metrics by name, and all of them at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from torch import Tensor

from ..foundations.errors import UserError
from ..foundations.registry import Registry
from .base import Scored, two_samples
from .c2st import c2st_knn, c2st_logistic, c2st_mlp
from .diversity import vendi
from .frechet import frechet
from .kernel import energy, kid, mmd_gaussian, mmd_laplace, mmd_rational
from .manifold import coverage, density, precision, recall
from .novelty import authenticity, feature_likelihood
from .transport import sliced, wasserstein


class Metric(Protocol):
    """A metric of two samples."""

    def __call__(self, generated: Tensor, real: Tensor, *, seed: int = 0) -> Scored:
        """(N, *) generated and (M, *) real items, or features of them."""


METRICS: Registry[Metric] = Registry(
    "metric",
    {
        "frechet": frechet,
        "kid": kid,
        "mmd_gaussian": mmd_gaussian,
        "mmd_laplace": mmd_laplace,
        "mmd_rational": mmd_rational,
        "energy": energy,
        "wasserstein": wasserstein,
        "sliced_wasserstein": sliced,
        "precision": precision,
        "recall": recall,
        "density": density,
        "coverage": coverage,
        "c2st_knn": c2st_knn,
        "c2st_logistic": c2st_logistic,
        "c2st_mlp": c2st_mlp,
        "vendi": vendi,
        "authenticity": authenticity,
        "feature_likelihood": feature_likelihood,
    },
)


def measure(
    generated: Tensor,
    real: Tensor,
    *,
    names: Iterable[str] | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[dict[str, Scored], dict[str, str]]:
    """Every metric that applies, and why the others do not.

    Args:
        generated: (N, *) items or features.
        real: (M, *).
        names: among `METRICS`; all if absent.
        seed: of whatever a metric chooses at random.
        progress: called with the metrics done and in all.

    Returns:
        The results by name, and the reasons of the metrics that refused, by name.

    Raises:
        UserError: samples that no metric could compare, as `two_samples`; an unknown name.
    """
    x, y = two_samples(generated, real)
    chosen = list(METRICS) if names is None else list(names)
    metrics = {name: METRICS[name] for name in chosen}
    results: dict[str, Scored] = {}
    refused: dict[str, str] = {}
    for done, (name, metric) in enumerate(metrics.items()):
        try:
            results[name] = metric(x, y, seed=seed)
        except UserError as error:
            refused[name] = str(error)
        if progress is not None:
            progress(done + 1, len(metrics))
    return results, refused
