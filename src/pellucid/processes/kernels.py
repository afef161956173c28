r"""The Gaussian kernel of an affine SDE dx = (A_t x + b_t) dt + G_t dw.

The law of x_t given x_0 is N(Phi_t x_0 + m_t, Sigma_t), where

    Phi' = A Phi,  m' = A m + b,  Sigma' = A Sigma + Sigma A^T + G G^T,   Phi_0 = I, m_0 = 0, Sigma_0 = 0          (1)

(Sarkka and Solin, "Applied Stochastic Differential Equations", 2019, section 6.2). From time a to t, with P' = A P and
P_a = I,

    Sigma_t = P (Sigma_a + int_a^t P_u^-1 G G^T P_u^-T du) P^T                                                     (2)

Constant coefficients are solved by the matrix exponential: Taylor series over t/2^k, then k doublings by (2). Others
are solved once, by spectral integration on short pieces, and tabulated as polynomials. The pieces halve towards t = 0,
so that a variance which vanishes there like any power of t keeps its relative accuracy.

A state of D values is K blocks of size d that do not interact: (K, d) = (1, 1) is one scalar for all values, (D, 1) is
diagonal, (1, D) a full matrix. Matrices have the shape (K, d, d).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from numpy.polynomial import chebyshev
from torch import Tensor

from ..foundations.errors import UserError


class Rates(NamedTuple):
    """The SDE's coefficients at some times of shape T: A (*T, K, d, d), b (*T, K, d) and G G^T (*T, K, d, d)."""

    linear: Tensor
    offset: Tensor
    noise: Tensor


class Moments(NamedTuple):
    """The kernel at some times of shape T: Phi (*T, K, d, d), m (*T, K, d) and Sigma (*T, K, d, d)."""

    phi: Tensor
    mean: Tensor
    covariance: Tensor


class Kernel(ABC):
    """Equation (1) solved: float64, for times of any shape, differentiable in time."""

    @abstractmethod
    def moments(self, t: Tensor) -> Moments:
        """Phi, m and Sigma."""

    @abstractmethod
    def rates(self, t: Tensor) -> Rates:
        """A, b and G G^T."""


_TERMS = 14  # of the Taylor series, whose argument has norm 1/4 at most: the next is 1e-18


class ConstantKernel(Kernel):
    """Constant coefficients, by the matrix exponential."""

    def __init__(self, rates: Rates) -> None:
        self._rates = rates
        linear, offset, noise = rates
        norm = linear.abs().sum(-1).max().item()
        self._doublings = max(0, math.ceil(math.log2(max(norm, 1e-300) * 4)))
        phi = torch.eye(linear.shape[-1], dtype=torch.float64).expand_as(linear)
        terms = [(phi, offset, noise)]
        for n in range(1, _TERMS):
            phi = linear @ phi / n
            offset = (linear @ offset[..., None])[..., 0] / (n + 1)
            noise = (linear @ noise + noise @ linear.mT) / (n + 1)
            terms.append((phi, offset, noise))
        self._phi, self._mean, self._covariance = (torch.stack(part) for part in zip(*terms, strict=True))

    def moments(self, t: Tensor) -> Moments:
        h = t.double().cpu() / 2**self._doublings
        powers = h[..., None] ** torch.arange(_TERMS)
        phi = torch.tensordot(powers, self._phi, 1)
        mean = torch.tensordot(powers * h[..., None], self._mean, 1)
        covariance = torch.tensordot(powers * h[..., None], self._covariance, 1)
        for _ in range(self._doublings):
            mean = mean + (phi @ mean[..., None])[..., 0]
            covariance = covariance + phi @ covariance @ phi.mT
            phi = phi @ phi
        return Moments(phi, mean, covariance)

    def rates(self, t: Tensor) -> Rates:
        linear, offset, noise = (part.expand(*t.shape, *part.shape) for part in self._rates)
        return Rates(linear, offset, noise)


_DEGREE = 10  # of the pieces' polynomials: low enough for the monomial basis to lose 3 digits at most
_HALVINGS = 40  # towards t = 0
_NARROWEST = 2.0**-34  # a jump of a coefficient in time is enclosed in a piece of this width
_MOST_PIECES = 800
# A piece is resolved where its last coefficients are below this share of its own size, or, so that cancellation inside
# the user's function does not count as roughness, below that share of the largest value at any time.
_ROUGH, _ROUGH_OVERALL = 1e-12, 1e-14


class TabulatedKernel(Kernel):
    """Coefficients that vary in time, by the moment equations.

    Args:
        rates: the coefficients at one time of shape ().

    Raises:
        UserError: coefficients that no few thousand polynomial pieces follow.
    """

    def __init__(self, rates: Callable[[Tensor], Rates]) -> None:
        starts: list[float] = []
        widths: list[float] = []
        pieces: list[list[Tensor]] = []
        edges = [0.0, *(2.0**-k for k in range(_HALVINGS, -1, -1))]
        waiting = list(pairwise(edges))[::-1]
        state: Moments | None = None
        looked = [rates(torch.tensor(i / 16, dtype=torch.float64)) for i in range(17)]
        floors = [_ROUGH_OVERALL * torch.stack(part).abs().max() for part in zip(*looked, strict=True)]
        while waiting:
            a, b = waiting.pop()
            found = [rates(torch.tensor(a + (b - a) * u, dtype=torch.float64)) for u in _NODES]
            on_nodes = Rates(*(torch.stack(part) for part in zip(*found, strict=True)))
            steep = on_nodes.linear.abs().sum(-1).max().item() * (b - a) > 0.5
            if b - a > _NARROWEST and (steep or not all(map(_resolved, on_nodes, floors))):
                waiting += [((a + b) / 2, b), (a, (a + b) / 2)]
                if len(waiting) + len(pieces) > _MOST_PIECES:
                    raise UserError(
                        f"the SDE's coefficients are too rough in time near t = {a:.6g}: make them smooth between a "
                        "few jumps, and compute them in the precision of t (float64)"
                    )
                continue
            moments = _advance(state, on_nodes, b - a)
            state = Moments(*(part[-1] for part in moments))
            starts.append(a)
            widths.append(b - a)
            pieces.append([torch.tensordot(_TO_POWERS, part, 1) for part in (*moments, *on_nodes)])
        self._starts = torch.tensor(starts, dtype=torch.float64)
        self._widths = torch.tensor(widths, dtype=torch.float64)
        self._tables = [torch.stack(part) for part in zip(*pieces, strict=True)]

    def moments(self, t: Tensor) -> Moments:
        return Moments(*self._at(t, self._tables[:3]))

    def rates(self, t: Tensor) -> Rates:
        return Rates(*self._at(t, self._tables[3:]))

    def _at(self, t: Tensor, tables: list[Tensor]) -> list[Tensor]:
        t = t.double().cpu()
        piece = (torch.searchsorted(self._starts, t.detach().contiguous(), right=True) - 1).clamp_min(0)
        u = 2 * (t - self._starts[piece]) / self._widths[piece] - 1
        powers = u[..., None] ** torch.arange(_DEGREE + 1)
        found = []
        for table in tables:
            rows = table[piece].flatten(t.ndim + 1)
            found.append((powers[..., None, :] @ rows)[..., 0, :].unflatten(-1, table.shape[2:]))
        return found


def _advance(start: Moments | None, rates: Rates, width: float) -> Moments:
    """The kernel at the nodes of a piece, from its value at the piece's start (None: t = 0, no noise yet)."""
    half = width / 2  # the nodes' integrals are over [-1, 1]
    identity = torch.eye(rates.linear.shape[-1], dtype=torch.float64).expand_as(rates.linear)
    transition = identity
    for _ in range(16):  # Picard's iteration: errors fall like 0.5^n / n!
        transition = identity + half * torch.tensordot(_INTEGRAL, rates.linear @ transition, 1)
    back = torch.linalg.inv(transition)
    gained = half * torch.tensordot(_INTEGRAL, back @ rates.noise @ back.mT, 1)
    moved = half * torch.tensordot(_INTEGRAL, back @ rates.offset[..., None], 1)
    phi = transition
    if start is not None:
        phi = transition @ start.phi
        gained, moved = gained + start.covariance, moved + start.mean[..., None]
    return Moments(phi, (transition @ moved)[..., 0], transition @ gained @ transition.mT)


def _resolved(values: Tensor, floor: Tensor) -> bool:
    """Whether the polynomial through values at the nodes has small last coefficients, for each entry by itself."""
    size = torch.tensordot(_TO_CHEBYSHEV, values, 1).flatten(1).abs()
    return bool((size[-2:].amax(0) <= (_ROUGH * size.amax(0)).clamp_min(floor)).all())


def _matrices() -> tuple[list[float], Tensor, Tensor, Tensor]:
    """Nodes in [0, 1]; values at them to Chebyshev coefficients, to integrals from the first node, to powers of u."""
    u = -np.cos(np.pi * np.arange(_DEGREE + 1) / _DEGREE)
    to_chebyshev = np.linalg.inv(chebyshev.chebvander(u, _DEGREE))
    units = np.eye(_DEGREE + 1)
    integrals = np.stack([chebyshev.chebval(u, chebyshev.chebint(unit, lbnd=-1)) for unit in units], axis=1)
    powers = np.stack([np.pad(p := chebyshev.cheb2poly(unit), (0, _DEGREE + 1 - len(p))) for unit in units], axis=1)
    to_integral = integrals @ to_chebyshev
    to_integral[0] = 0  # exactly
    tensors = (torch.from_numpy(m) for m in (to_chebyshev, to_integral, powers @ to_chebyshev))
    first, second, third = tensors
    return ((u + 1) / 2).tolist(), first, second, third


_NODES, _TO_CHEBYSHEV, _INTEGRAL, _TO_POWERS = _matrices()
