"""What metrics compare: the numbers themselves, their principal components, or what a network makes of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..foundations.errors import UserError
from ..foundations.registry import Registry
from .base import two_samples

Features = Callable[[Tensor], Tensor]


def raw(x: Tensor) -> Tensor:
    """The items as rows: (N, *) to (N, D)."""
    return x.flatten(1)


def with_presence(x: Tensor) -> Tensor:
    """Series as rows, (N, C, L) to (N, 2 C L): their values, 0 where there is none (NaN), and which are there."""
    flat = x.flatten(1)
    return torch.cat([flat.nan_to_num(), (~flat.isnan()).to(flat)], dim=1)


@dataclass(frozen=True, eq=False)
class PCA:
    """The principal components of a real sample: (N, *) to (N, K), the data's units.

    Attributes:
        mean: (D,).
        axes: (D, K), orthonormal, the first ones with the greatest variance.
        kept: the share of the real sample's variance along the axes.
    """

    mean: Tensor
    axes: Tensor
    kept: float

    @classmethod
    def fit(cls, real: Tensor, components: int = 64) -> PCA:
        """Fitted on real items alone, (M, *): a generated sample must not choose where it is looked at.

        Args:
            real: the items.
            components: K; fewer where the items span fewer dimensions.

        Raises:
            UserError: as `two_samples`, or no components asked for.
        """
        if components < 1:
            raise UserError(f"at least one principal component is needed, got {components}")
        y, _ = two_samples(real, real)
        mean = y.mean(0)
        y = y - mean
        # The smaller of the two matrices of products has the same eigenvalues.
        wide = y.shape[1] > len(y)
        values, vectors = torch.linalg.eigh(y @ y.T if wide else y.T @ y)
        values, vectors = values.flip(0), vectors.flip(1)
        spanned = int((values > 1e-10 * values[0]).sum()) if float(values[0]) > 0 else 1
        vectors = vectors[:, : min(components, max(1, spanned))]
        axes = torch.nn.functional.normalize(y.T @ vectors, dim=0) if wide else vectors
        total = float(values.clamp_min(0).sum())
        kept = float(values[: axes.shape[1]].sum()) / total if total > 0 else 1.0
        return cls(mean, axes, kept)

    def __call__(self, x: Tensor) -> Tensor:
        """(N, *) to (N, K), float64."""
        rows = x.flatten(1).double()
        if rows.shape[1] != len(self.mean):
            raise UserError(f"the components were fitted on {len(self.mean):,} numbers an item, got {rows.shape[1]:,}")
        return (rows - self.mean.to(x.device)) @ self.axes.to(x.device)


@dataclass(frozen=True, eq=False)
class Network:
    """What a module makes of items, in batches, without gradients: (N, *) to (N, K).

    Attributes:
        module: any; used in evaluation mode, and left in the mode it was in.
        method: the function of it to call, such as "features"; None calls the module.
        batch_size: items at once.
    """

    module: nn.Module
    method: str | None = None
    batch_size: int = 256

    @torch.no_grad()
    def __call__(self, x: Tensor) -> Tensor:
        """Float32 rows on the CPU.

        Raises:
            UserError: the module returns no tensor of one row for each item, or numbers that are not finite.
        """
        function = self.module if self.method is None else getattr(self.module, self.method)
        parameter = next(self.module.parameters(), None)
        device = x.device if parameter is None else parameter.device
        training = self.module.training
        self.module.eval()
        try:
            rows = []
            for part in x.split(self.batch_size):
                found = function(part.to(device))
                if not isinstance(found, Tensor) or len(found) != len(part):
                    raise UserError("the feature network must return one tensor with a row for each item")
                rows.append(found.flatten(1).float().cpu())
        finally:
            self.module.train(training)
        features = torch.cat(rows)
        bad = int((~features.isfinite().all(1)).sum())
        if bad:
            raise UserError(f"the feature network returned numbers that are not finite for {bad:,} of {len(x):,} items")
        return features


def features_of(real: Tensor, count: int) -> tuple[str, Features]:
    """What to compare where nothing was asked for, and its name: the numbers, or 64 components where they are many.

    Args:
        real: the real items, (M, *).
        count: of generated items. No more components are used than an eighth of the smaller sample, so that moments
            are known.
    """
    size = real[0].numel()
    least = max(1, min(len(real), count) // 8)
    if size <= min(64, least):
        return "raw", raw
    components = min(64, least)
    return f"pca-{components}", PCA.fit(real, components)


FEATURES: Registry[Callable[[Tensor], Features]] = Registry("features", {"raw": lambda real: raw, "pca": PCA.fit})
