"""Pictures as networks of other people want them: levels 0 to 255, three channels, another size.

Sizes are changed in floating point with a filter that grows where a picture shrinks (bicubic, antialiased), and levels
are not rounded in between: libraries that round, or that shrink without a wider filter, give other Frechet distances
for the same pictures (Parmar, Zhang and Zhu, "On Aliased Resizing and Surprising Subtleties in GAN Evaluation", 2022).
"""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..foundations.errors import UserError


def levels(x: Tensor) -> Tensor:
    """Pictures (B, C, H, W) in [-1, 1] as levels from 0 to 255, in three channels, float32.

    Raises:
        UserError: items that are no pictures of one or three channels.
    """
    if x.ndim != 4 or x.shape[1] not in (1, 3):
        raise UserError(f"a network of pictures needs (B, 1 or 3, H, W), got {tuple(x.shape)}")
    u = (x.detach().float() + 1) * 127.5
    return u.expand(-1, 3, -1, -1) if u.shape[1] == 1 else u


def resized(u: Tensor, side: int) -> Tensor:
    """Levels (B, C, H, W) brought to (B, C, side, side) channel by channel, as the clean-fid library does it: Pillow's
    bicubic filter on floating-point channels, what overshoots cut off at 0 and 255."""
    made = [
        np.asarray(Image.fromarray(plane, mode="F").resize((side, side), Image.Resampling.BICUBIC))
        for plane in u.reshape(-1, *u.shape[2:]).cpu().numpy()
    ]
    return torch.from_numpy(np.stack(made)).clamp(0, 255).reshape(*u.shape[:2], side, side)
