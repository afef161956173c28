r"""Learning a score without a kernel: sliced score matching on simulated paths.

For a law p and a score model s, with directions v of E[v v^T] = V,

    J = E_x E_v [ v^T grad_x (v^T s(x)) + 1/2 (v^T s(x))^2 ]
      = 1/2 E |V^1/2 (s - grad log p)|^2 + const                                                                   (1)

(Song et al., "Sliced Score Matching: A Scalable Approach to Density and Score Estimation", 2019, equation 7). It needs
draws from p_t, which simulated paths are, and no density of anything.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def sliced_score_matching_loss(
    score: Callable[[Tensor, Tensor], Tensor], x: Tensor, t: Tensor, directions: Tensor
) -> Tensor:
    """Equation (1), averaged over directions, shape (B,). It is negative near the optimum.

    Args:
        score: the model, called as score(x, t).
        x: draws from p_t, (B, *).
        t: their times, (B,).
        directions: (P, B, *), such as normal numbers or `orthogonal_frames`, scaled to weigh the score's error.
    """
    x = x.detach().requires_grad_()
    with torch.enable_grad():
        found = score(x, t)
        losses = []
        for direction in directions:
            along = (found * direction).flatten(1).sum(1)
            (gradient,) = torch.autograd.grad(along.sum(), x, create_graph=True)
            losses.append((gradient * direction).flatten(1).sum(1) + 0.5 * along.square())
    return torch.stack(losses).mean(0)


def orthogonal_frames(noise: Tensor) -> Tensor:
    """Random orthonormal frames times sqrt(D), (D, B, D): over a whole frame (1) has its exact value, so that no
    variance comes from the directions.

    Args:
        noise: standard normal, (B, D, D).
    """
    frames, _ = torch.linalg.qr(noise)
    return frames.permute(2, 0, 1) * noise.shape[-1] ** 0.5
