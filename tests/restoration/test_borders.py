"""Blur of pictures that are not periodic."""

from __future__ import annotations

import torch
from torch import Tensor

from pellucid.operators import Identity
from pellucid.operators.blur import CircularBlur
from pellucid.operators.kernels import motion_kernel
from pellucid.operators.local_blur import Blur
from pellucid.restoration.borders import extended, framed
from pellucid.restorers import Observation

F64 = torch.float64
KERNEL = motion_kernel(9, 30)


def ramp(rows: int = 48, columns: int = 60) -> Tensor:
    """A picture that is far from periodic: dark at one border, bright at the opposite."""
    down, across = torch.linspace(-0.8, 0.2, rows, dtype=F64), torch.linspace(-0.5, 0.5, columns, dtype=F64)
    return (down[:, None] + across)[None, None].expand(1, 3, -1, -1).contiguous()


def test_the_continuation_keeps_the_picture_and_has_no_jump() -> None:
    y = ramp()
    wide = extended(y, (7, 11))
    assert wide.shape == (1, 3, 48 + 14, 60 + 22)
    assert torch.equal(wide[..., 7:-7, 11:-11], y)
    step = y.diff(dim=-1).abs().max()
    around = (wide - wide.roll(1, -1)).abs().max()
    # From bright to dark over 22 pixels along a cosine, whose steepest step is pi/2 of the mean one.
    assert around < 1.6 * 1.0 / 22 + step
    assert (y[..., 0] - y[..., -1]).abs().max() > 0.9


def test_a_constant_stays_one_and_what_is_no_blur_stays_itself() -> None:
    y = torch.full((2, 1, 9, 8), 0.3, dtype=F64)
    assert torch.equal(extended(y, (20, 3)), torch.full((2, 1, 49, 14), 0.3, dtype=F64))
    seen = Observation(Identity().on((1, 9, 8)), y, 0.1)
    same = framed(seen)
    assert same.observation is seen
    assert same.cut(y) is y


def test_borders_do_not_ring() -> None:
    """A ramp blurred with mirrored borders, and undone with the same little regularisation. Taken as periodic, the jump
    at the borders rings through the picture."""
    x = ramp()
    blur = Blur(KERNEL).on((3, 48, 60))
    y = blur(x)

    def undone(observation: Observation) -> Tensor:
        zero = torch.zeros(1, *observation.operator.bound_shape, dtype=F64)
        return observation.operator.proximal(zero, observation.y, noise_variance=1e-3, prior_variance=1.0)

    seen = Observation(blur, y, 0.01)
    inside = framed(seen)
    mended = inside.cut(undone(inside.observation)) - x
    naive = undone(Observation(CircularBlur(KERNEL).on((3, 48, 60)), y)) - x
    assert mended.shape == x.shape
    assert naive.square().mean().sqrt() > 0.1
    assert mended.square().mean().sqrt() < 0.02
    assert inside.observation.noise == 0.01
