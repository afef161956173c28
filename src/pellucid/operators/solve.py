"""Conjugate gradients, for operators whose singular system is not known.

Every item of a batch is a system of its own: it stops where its own residual is small, whatever the others do.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..foundations.tensors import pad

TOLERANCE = 1e-6  # of the residual, relative to the right side, in float32
FINE_TOLERANCE = 1e-12  # in float64
MAX_ITERATIONS = 500
_RUNAWAY = 100.0  # of the squared residual, at which a search for the best is given up

Map = Callable[[Tensor], Tensor]


def conjugate_gradients(
    apply: Map,
    b: Tensor,
    *,
    tolerance: float | None = None,
    max_iterations: int = MAX_ITERATIONS,
    precondition: Map | None = None,
    best: bool = False,
) -> Tensor:
    """w with M w = b for a symmetric positive semi-definite M, started at zero.

    Where b lies in the range of a singular M the result is the solution of least norm.

    Args:
        apply: M, (B, *) to (B, *).
        b: (B, *).
        tolerance: stops where |b - M w| <= tolerance |b|, for each item; by default `TOLERANCE`, and `FINE_TOLERANCE`
            in float64. With a preconditioner P the norm is that of r' P r.
        max_iterations: at most that many products.
        precondition: P, near M^-1, symmetric and positive semi-definite; the identity if None.
        best: return, for each item, the w of the least residual met, and stop where it grows tenfold: for an M that is
            only nearly symmetric, such as a network's Jacobian, on which the method comes near and then runs away.

    Source: Hestenes and Stiefel, "Methods of Conjugate Gradients for Solving Linear Systems", 1952, section 3.
    """
    w, residual = torch.zeros_like(b), b.clone()
    direction = residual if precondition is None else precondition(residual)
    square = _dot(residual, direction)
    target = _share(tolerance, b) * square
    kept, least = w, square
    for _ in range(max_iterations):
        active = square > target
        if not bool(active.any()):
            break
        image = apply(direction)
        curvature = _dot(direction, image)
        active = active & (curvature > 0)
        if best:
            active = active & (square < _RUNAWAY * least)
        if not bool(active.any()):
            break
        step = torch.where(active, square / curvature.where(active, torch.ones_like(curvature)), 0)
        w = w + pad(step, w) * direction
        residual = residual - pad(step, w) * image
        solved = residual if precondition is None else precondition(residual)
        new = _dot(residual, solved)
        ratio = torch.where(active, new / square.where(active, torch.ones_like(square)), 0)
        direction = solved + pad(ratio, w) * direction
        square = torch.where(active, new, torch.zeros_like(new))
        if best:
            nearer = active & (new < least)
            kept, least = torch.where(pad(nearer, w), w, kept), torch.where(nearer, new, least)
    return kept if best else w


def least_squares(
    forward: Map, adjoint: Map, y: Tensor, *, tolerance: float | None = None, max_iterations: int = MAX_ITERATIONS
) -> Tensor:
    """A+ y: of all x that come nearest to A x = y the one of least norm, by conjugate gradients on A' A x = A' y.

    The squared operator is never formed (the form that Paige and Saunders, "LSQR: An Algorithm for Sparse Linear
    Equations and Sparse Least Squares", 1982, section 7.1, call CGLS), so the condition number is that of A' A but
    round-off is nearer that of A.

    Args:
        forward, adjoint: A and A'.
        y: (B, *out).
        tolerance: stops where |A'(y - A x)| <= tolerance |A' y|, for each item; by default `TOLERANCE`, and
            `FINE_TOLERANCE` in float64.
    """
    residual = y.clone()
    gradient = adjoint(y)
    x = torch.zeros_like(gradient)
    direction, square = gradient, _dot(gradient, gradient)
    target = _share(tolerance, y) * square
    for _ in range(max_iterations):
        active = square > target
        if not bool(active.any()):
            break
        image = forward(direction)
        curvature = _dot(image, image)
        active = active & (curvature > 0)
        step = torch.where(active, square / curvature.where(active, torch.ones_like(curvature)), 0)
        x = x + pad(step, x) * direction
        residual = residual - pad(step, residual) * image
        gradient = adjoint(residual)
        new = _dot(gradient, gradient)
        ratio = torch.where(active, new / square.where(active, torch.ones_like(square)), 0)
        direction = gradient + pad(ratio, x) * direction
        square = torch.where(active, new, torch.zeros_like(new))
    return x


def _share(tolerance: float | None, like: Tensor) -> float:
    """The square of the tolerance, or of the default of a type."""
    if tolerance is None:
        tolerance = FINE_TOLERANCE if like.dtype == torch.float64 else TOLERANCE
    return tolerance**2


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """The inner product of each item, in float64: (B,)."""
    return (a.flatten(1).double() * b.flatten(1).double()).sum(1).to(a.dtype)
