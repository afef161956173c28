r"""Blur kernels: what one bright point becomes. Each sums to one, and its centre is at index n // 2 of every axis."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..foundations.errors import UserError

_SUM_TOLERANCE = 1e-3
_REACH = 4.0  # standard deviations at which a Gaussian is cut


def gaussian_weights(sigma: float) -> Tensor:
    """exp(-j^2 / 2 sigma^2) for |j| <= 4 sigma + 1/2, made to sum to one: (2 r + 1,), float64.

    Raises:
        UserError: a sigma that is negative or not finite.
    """
    if not 0 <= sigma < math.inf:
        raise UserError(f"the sigma of a Gaussian blur is a number of pixels, at least 0 and finite; got {sigma}")
    reach = int(_REACH * sigma + 0.5)
    if reach == 0:
        return torch.ones(1, dtype=torch.float64)
    j = torch.arange(-reach, reach + 1, dtype=torch.float64)
    weights = (-0.5 * (j / sigma) ** 2).exp()
    return weights / weights.sum()


def gaussian_kernel(sigma: float, *, axes: int = 2) -> Tensor:
    """The Gaussian kernel of a picture (axes 2) or a signal (axes 1), float64.

    >>> gaussian_kernel(1.6).shape
    torch.Size([13, 13])
    """
    weights = gaussian_weights(sigma)
    kernel = weights
    for _ in range(axes - 1):
        kernel = kernel[..., None] * weights
    return kernel


def motion_kernel(length: float, angle: float = 0.0) -> Tensor:
    """The kernel of a camera that moves along a straight line: a pixel's weight is its share of the line's length.

    Args:
        length: of the line, in pixels.
        angle: in degrees against the horizontal, anticlockwise as one looks at the picture.

    Returns:
        (h, w), odd, float64.

    Raises:
        UserError: a length that is not above zero, or numbers that are not finite.

    >>> motion_kernel(3)
    tensor([[0.3333, 0.3333, 0.3333]], dtype=torch.float64)
    """
    if not (0 < length < math.inf and math.isfinite(angle)):
        raise UserError(
            f"a motion blur has a length above zero in pixels and an angle in degrees; got {length} and {angle}"
        )
    turn = math.radians(angle)
    down, across = round(-math.sin(turn), 12), round(math.cos(turn), 12)
    middles = torch.tensor([0.0], dtype=torch.float64)
    cuts = [torch.tensor([-length / 2, length / 2], dtype=torch.float64)]
    reach = math.ceil(length / 2 + 0.5)
    borders = torch.arange(-reach, reach, dtype=torch.float64) + 0.5  # between pixels
    for slope in (down, across):
        if slope != 0:
            crossed = borders / slope
            cuts.append(crossed[crossed.abs() < length / 2])
    places = torch.cat(cuts).sort().values
    middles, shares = (places[1:] + places[:-1]) / 2, places.diff() / length
    index = [(middles * slope).round().long() for slope in (down, across)]
    half = [int(i.abs().max()) for i in index]
    kernel = torch.zeros(2 * half[0] + 1, 2 * half[1] + 1, dtype=torch.float64)
    return kernel.index_put((index[0] + half[0], index[1] + half[1]), shares, accumulate=True)


def check_kernel(kernel: Tensor) -> None:
    """Raises a UserError where a kernel is no kernel: not finite, empty, not summing to one, not of one or two axes."""
    if kernel.ndim not in (1, 2) or kernel.numel() == 0:
        raise UserError(
            f"a blur kernel is (k,) for vectors and signals or (h, w) for pictures; got the shape {tuple(kernel.shape)}"
        )
    if not bool(kernel.isfinite().all()):
        raise UserError("the blur kernel holds values that are not finite (NaN or infinity)")
    total = float(kernel.double().sum())
    if abs(total - 1) > _SUM_TOLERANCE:
        cure = "use kernel / kernel.sum()" if total > 0 else "a kernel that darkens all to nothing cannot be normalised"
        raise UserError(f"a blur kernel sums to one, within {_SUM_TOLERANCE:g}, but this one sums to {total:g}; {cure}")


def check_size(kernel: Tensor, sizes: tuple[int, ...]) -> None:
    """Raises a UserError where a kernel does not fit items with these axes of places."""
    given = tuple(kernel.shape)
    if len(given) != len(sizes):
        raise UserError(
            f"a kernel with {len(given)} {'axis' if len(given) == 1 else 'axes'} does not fit items with "
            f"{len(sizes)}: pictures take a kernel (h, w), vectors and signals a kernel (k,)"
        )
    if any(k > n for k, n in zip(given, sizes, strict=True)):
        raise UserError(
            f"the kernel of {'x'.join(map(str, given))} is larger than the items of {'x'.join(map(str, sizes))}; "
            f"crop it, and divide by its sum"
        )
