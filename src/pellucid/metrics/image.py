"""How near a restored picture is to the true one."""

from __future__ import annotations

import torch
from torch import Tensor

from ..foundations.errors import UserError


def psnr(x: Tensor, y: Tensor, *, data_range: float = 2.0) -> Tensor:
    """Peak signal-to-noise ratio 10 log10(range^2 / mean square difference), in decibels, of each item: (B,).

    Args:
        x, y: (B, *), in one scale.
        data_range: from the least to the greatest value possible: 2 for pictures in [-1, 1].

    Equal items give infinity.
    """
    _check(x, y)
    error = (x - y).double().square().flatten(1).mean(1)
    return 10 * torch.log10(data_range**2 / error)


def ssim(x: Tensor, y: Tensor, *, data_range: float = 2.0) -> Tensor:
    r"""Structural similarity of pictures, (B, C, H, W) to (B,), at most 1.

    The mean over pixels and channels of

        (2 m_x m_y + c1)(2 s_xy + c2) / ((m_x^2 + m_y^2 + c1)(s_x^2 + s_y^2 + c2)),  c1 = (0.01 R)^2, c2 = (0.03 R)^2

    with means and covariances under a Gaussian window of standard deviation 1.5 and 11 pixels, wherever that window
    lies inside the picture (Wang, Bovik, Sheikh and Simoncelli, "Image Quality Assessment: From Error Visibility to
    Structural Similarity", 2004, eq. 13 to 16).

    Raises:
        UserError: no pictures of one shape, or pictures smaller than the window.
    """
    _check(x, y)
    if x.ndim != 4 or min(x.shape[2:]) < 11:
        raise UserError(f"ssim needs pictures (B, C, H, W) of at least 11 x 11 pixels, got {tuple(x.shape)}")
    offsets = torch.arange(-5, 6, dtype=torch.float64, device=x.device)
    window = torch.exp(-0.5 * (offsets / 1.5).square())
    window = window / window.sum()

    def local(values: Tensor) -> Tensor:
        rows = torch.nn.functional.conv2d(values, window.reshape(1, 1, 11, 1))
        return torch.nn.functional.conv2d(rows, window.reshape(1, 1, 1, 11))

    a, b = (item.double().reshape(-1, 1, *item.shape[2:]) for item in (x, y))
    mean_a, mean_b = local(a), local(b)
    var_a, var_b = local(a * a) - mean_a**2, local(b * b) - mean_b**2
    joint = local(a * b) - mean_a * mean_b
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    value = (2 * mean_a * mean_b + c1) * (2 * joint + c2) / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))
    return value.reshape(len(x), -1).mean(1)


def _check(x: Tensor, y: Tensor) -> None:
    if x.shape != y.shape or x.ndim < 2:
        raise UserError(f"two batches of one shape are needed, got {tuple(x.shape)} and {tuple(y.shape)}")
