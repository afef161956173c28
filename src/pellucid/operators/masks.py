r"""Masks: some values are kept, the others lost. In-painting, and missing parts of vectors and signals.

A = diag(m) with m in {0, 1}: what is lost is zero in A x, which keeps the shape of x. So A' = A+ = A, the singular
values are m and U = V = I.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from ..foundations.errors import UserError
from .base import Operator, SingularSystem
from .patterns import WORDS, Share, box_mask, brush_mask, half_plane_mask, places, random_mask, text_mask


@dataclass(frozen=True, eq=False)
class Masked(Operator):
    """An operator that keeps some values and sets the others to zero; a subclass says which."""

    @abstractmethod
    def pattern(self) -> Tensor:
        """Ones (kept) and zeros (lost), of a shape that broadcasts to that of the bound items."""

    @cached_property
    def kept(self) -> Tensor:
        """The pattern for the bound shape, made once."""
        return self.pattern()

    @cached_property
    def out_shape(self) -> tuple[int, ...]:
        return self.bound_shape

    def forward(self, x: Tensor) -> Tensor:
        return x * self.kept.to(x)

    def adjoint(self, y: Tensor) -> Tensor:
        return self.forward(y)

    def pinv(self, y: Tensor) -> Tensor:
        return self.forward(y)

    def gram_diagonal(self) -> Tensor:
        return self.kept

    def singular(self) -> SingularSystem:
        values = self.kept.broadcast_to(self.bound_shape).flatten()
        shape = self.bound_shape

        def restore(c: Tensor) -> Tensor:
            return c.reshape(-1, *shape)

        return SingularSystem(
            values=values,
            v=lambda x: x.flatten(1),
            v_inverse=restore,
            u=lambda y: self.forward(y).flatten(1),
            u_inverse=lambda c: self.forward(restore(c)),
        )


@dataclass(frozen=True, eq=False)
class Mask(Masked):
    """Keeps where a given mask is 1, loses where it is 0.

    Attributes:
        mask: of booleans, or of numbers that are all 0 or 1, in a shape that broadcasts to an item's: (H, W) serves
            pictures of any number of channels, (C, H, W) has a mask for each, (D,) serves vectors.

    Raises:
        UserError: values other than 0 and 1; at `on`, a mask of another size than the items.

    >>> import torch
    >>> Mask(torch.tensor([1, 0, 1]))(torch.tensor([[5.0, 6.0, 7.0]]))
    tensor([[5., 0., 7.]])
    """

    mask: Tensor

    def __post_init__(self) -> None:
        wrong = self.mask[(self.mask != 0) & (self.mask != 1)]
        if len(wrong):
            raise UserError(
                f"a mask holds 1 where values are kept and 0 where they are lost, but this one holds "
                f"{float(wrong[0]):g}, and values from {float(self.mask.min()):g} to {float(self.mask.max()):g}; a "
                f"mask of grey values becomes one by a threshold, such as mask > 127"
            )

    def fit(self) -> None:
        shape, given = self.bound_shape, tuple(self.mask.shape)
        tail = shape[len(shape) - len(given) :]
        if len(given) > len(shape) or any(m not in (1, n) for m, n in zip(given, tail, strict=True)):
            raise UserError(
                f"a mask of size {_size(given)} does not fit items of size {_size(shape)}: it has an item's own size, "
                f"or that of its places alone ({_size(places(shape))}), or 1 along an axis where all is alike"
            )

    def pattern(self) -> Tensor:
        return self.mask.float()


@dataclass(frozen=True, eq=False)
class Drawn(Masked):
    """A mask that is drawn to fit the items; `on` draws it, so that a wrong option shows early."""

    def fit(self) -> None:
        self.kept  # noqa: B018 - drawing raises where an option is wrong


@dataclass(frozen=True, eq=False)
class Box(Drawn):
    """Loses a box of a picture, or an interval of a vector or signal.

    Attributes:
        side, centre: as in `box_mask`.
    """

    side: Share = 0.5
    centre: Share = 0.5

    def pattern(self) -> Tensor:
        return box_mask(self.bound_shape, side=self.side, centre=self.centre)


@dataclass(frozen=True, eq=False)
class RandomMask(Drawn):
    """Keeps places at random, by default half of them and the same in all channels.

    Attributes:
        keep, seed, per_channel: as in `random_mask`.
    """

    keep: float = 0.5
    seed: int = 0
    per_channel: bool = False

    def pattern(self) -> Tensor:
        return random_mask(self.bound_shape, keep=self.keep, seed=self.seed, per_channel=self.per_channel)


@dataclass(frozen=True, eq=False)
class Brush(Drawn):
    """Loses what smooth random strokes cover.

    Attributes:
        strokes, width, seed: as in `brush_mask`.
    """

    strokes: int = 4
    width: float = 0.06
    seed: int = 0

    def pattern(self) -> Tensor:
        return brush_mask(self.bound_shape, strokes=self.strokes, width=self.width, seed=self.seed)


@dataclass(frozen=True, eq=False)
class Text(Drawn):
    """Loses what lines of writing cover.

    Attributes:
        text, height: as in `text_mask`.
    """

    text: str = WORDS
    height: float = 0.16

    def pattern(self) -> Tensor:
        return text_mask(self.bound_shape, text=self.text, height=self.height)


@dataclass(frozen=True, eq=False)
class HalfPlane(Drawn):
    """Keeps one side of a straight line.

    Attributes:
        keep, angle: as in `half_plane_mask`.
    """

    keep: float = 0.5
    angle: float = 0.0

    def pattern(self) -> Tensor:
        return half_plane_mask(self.bound_shape, keep=self.keep, angle=self.angle)


def _size(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "one number"
