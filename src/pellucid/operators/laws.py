r"""The laws that an operator must keep, each tried on a few random items; `check` makes a report of them.

No law that is broken survives random items except by a coincidence of measure zero, or where the breach is below the
tolerance. X is the pseudo-inverse A+ where it fulfils the four conditions

    A X A = A,    X A X = X,    (A X)' = A X,    (X A)' = X A                                                      (1)

(Penrose, "A Generalized Inverse for Matrices", 1955, theorem 1).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..foundations.errors import UserError
from ..foundations.rng import Stream
from .base import Operator

TOLERANCES = {torch.float32: 1e-5, torch.float64: 1e-10}
_ITEMS = 3
_POWER = 30  # steps of power iteration
_ITERATIVE = 100.0  # conjugate gradients stop at a residual; the error is that times an unknown condition number


@dataclass(frozen=True)
class Finding:
    """One law.

    Attributes:
        name: short.
        law: as a formula.
        observed: how far it is broken, relative to the size of the terms.
        tolerance: how far round-off and a stated tolerance may break it.
        advice: what it means where it is broken.
    """

    name: str
    law: str
    observed: float
    tolerance: float
    advice: str = ""

    @property
    def passed(self) -> bool:
        """Whether it holds; what is not a number does not."""
        return self.observed <= self.tolerance


@dataclass(frozen=True)
class Probes:
    """Random items x, z and observations y, w of a batch of three, and the tolerance of their type."""

    x: Tensor
    z: Tensor
    y: Tensor
    w: Tensor
    tolerance: float

    @classmethod
    def of(cls, op: Operator, dtype: torch.dtype, seed: int) -> Probes:
        """For a bound operator; a pure function of the seed."""
        stream = Stream.of(seed, range(_ITEMS))
        x, z = stream.normal(op.bound_shape, step=0, num_draws=2)[0].to(dtype)
        image = product(op, "A x", op.forward, x)
        y, w = stream.normal(tuple(image.shape[1:]), step=1, num_draws=2)[0].to(dtype)
        return cls(x, z, y, w, TOLERANCES[dtype])


def product(op: Operator, name: str, function: Callable[[Tensor], Tensor], given: Tensor) -> Tensor:
    """function(given) as a batch, or a UserError that says how it failed."""
    try:
        result: Any = function(given)
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"{type(op).__name__} fails at {name} for a tensor of shape {tuple(given.shape)}, {given.dtype}: "
            f"{type(error).__name__}: {error}"
        ) from error
    if not isinstance(result, Tensor) or len(result) != len(given):
        got = f"a tensor of shape {tuple(result.shape)}" if isinstance(result, Tensor) else type(result).__name__
        raise UserError(
            f"{type(op).__name__} gives {got} for {name} of a batch of {len(given)}; a batch of {len(given)} is needed"
        )
    return result


def usable(name: str, result: Tensor, shape: tuple[int, ...], given: Tensor) -> Finding:
    """Whether a product has the right shape and type, and finite values."""
    got = tuple(result.shape[1:])
    if got != shape:
        fault = f"{name} has the shape {got} where {shape} is due"
    elif result.dtype != given.dtype:
        fault = f"{name} is {result.dtype} where {given.dtype} went in"
    elif not bool(result.isfinite().all()):
        fault = f"{name} holds values that are not finite (NaN or infinity)"
    else:
        fault = ""
    return Finding(name, "right shape and type, finite", float(bool(fault)), 0, fault)


def linearity(op: Operator, probes: Probes) -> list[Finding]:
    """Linear, and each item by itself."""
    x, z, tolerance = probes.x, probes.z, probes.tolerance
    seen = product(op, "A x", op.forward, x)
    first = usable("A x", seen, op.out_shape, x)
    if not first.passed:
        return [first]
    other = op.forward(z)
    sums = relative(op.forward(2.5 * x - 1.75 * z) - (2.5 * seen - 1.75 * other), seen, other)
    # Far from and near to zero, where a function that saturates or rounds shows itself.
    scaled = (op.forward(size * x) / size for size in (1e3, 1e-3))
    grown = max(relative(image - seen, image, seen) for image in scaled)
    advice = "it is not linear, so y = A x + n does not describe it"
    offset = op.forward(torch.zeros_like(x))
    if bool(offset.any()):
        advice += f"; for x = 0 it gives values up to {float(offset.abs().max()):.3g}: take these from A and from y"
    together = Finding("linear", "A(ax + bz) = a Ax + b Az", max(sums, grown), tolerance, advice)
    alone = torch.cat([op.forward(item[None]) for item in x])
    apart = Finding(
        "items apart",
        "A(batch) = each A(item)",
        relative(alone - seen, seen),
        tolerance,
        "what it gives for an item depends on the others of the batch; the first axis is the batch's",
    )
    return [first, together, apart]


def adjointness(op: Operator, probes: Probes) -> list[Finding]:
    """The adjoint."""
    x, y = probes.x, probes.y
    seen, back = op.forward(x), product(op, "A' y", op.adjoint, y)
    first = usable("A' y", back, op.bound_shape, y)
    if not first.passed:
        return [first]
    left, right = _dot(seen, y), _dot(x, back)
    size = torch.maximum(_dot(seen, seen) * _dot(y, y), _dot(x, x) * _dot(back, back)).sqrt()
    law = Finding(
        "adjoint",
        "<A x, y> = <x, A' y>",
        float(((left - right).abs() / size.where(size > 0, torch.ones_like(size))).max()),
        probes.tolerance,
        f"its adjoint is wrong: <A x, y> = {float(left[0]):.4g} but <x, A' y> = {float(right[0]):.4g}; leave it out to "
        f"have it by automatic differentiation",
    )
    return [first, law]


def singular_system(op: Operator, probes: Probes) -> list[Finding]:
    """The singular system, where there is one."""
    system, tolerance, x, y = op.system, probes.tolerance, probes.x, probes.y
    if system is None:
        return []
    values, kept = system.values.to(x), system.kept.to(x.device)
    coefficients = probes.z.flatten(1)
    inside = coefficients * kept
    turned = product(op, "V' x", system.v, x)
    around = relative(product(op, "V c", system.v_inverse, turned) - x, x)
    lengths = relative(turned.norm(dim=1) - x.flatten(1).norm(dim=1), x)
    v = max(around, lengths, relative(system.v(system.v_inverse(coefficients)) - coefficients, coefficients))
    # U' U = I on what is kept, U' is the transpose of U, and what A loses is ignored
    image = product(op, "U c", system.u_inverse, inside)
    apart = (_dot(product(op, "U' y", system.u, y), inside) - _dot(y, image)).abs()
    size = (_dot(y, y) * _dot(inside, inside)).sqrt().clamp(min=1e-30)
    ignored = relative(system.u_inverse(coefficients * (values == 0)), coefficients)
    u = max(relative(system.u(image) * kept - inside, inside), float((apart / size).max()), ignored)
    whole = relative(system.u_inverse(values * turned) - op.forward(x), op.forward(x))
    return [
        Finding("V", "V' V = V V' = I", v, tolerance, "V of the singular system is not orthonormal"),
        Finding("U", "U' U = I where s > 0", u, tolerance, "U of the singular system is not orthonormal"),
        Finding("values", "least s >= 0", max(0.0, -float(values.min())), 0, "a singular value is negative"),
        Finding("A = U S V'", "A x = U (s V' x)", whole, tolerance, "the singular system is that of another operator"),
    ]


def penrose(op: Operator, probes: Probes) -> list[Finding]:
    """Equation (1)."""
    x, z, y, w = probes.x, probes.z, probes.y, probes.w
    tolerance, dropped = probes.tolerance, 0.0
    if op.iterative:
        tolerance *= _ITERATIVE
    elif op.system is not None:
        values, kept = op.system.values, op.system.kept
        if bool(kept.any()):
            condition = float(values.max() / values[kept].min())
            tolerance = max(tolerance, 8 * torch.finfo(x.dtype).eps * condition)
            dropped = float(torch.where(kept, 0, values).max() / values.max())  # small, and counted as zero
    seen, found = op.forward(x), product(op, "A+ y", op.pinv, y)
    valid = usable("A+ y", found, op.bound_shape, y)
    if not valid.passed:
        return [valid]
    advice = "this is not the pseudo-inverse"
    if op.iterative:
        advice += ", or conjugate gradients stop too far from it: the operator is ill conditioned"
    first = relative(op.forward(op.pinv(seen)) - seen, seen)
    second = relative(op.pinv(op.forward(found)) - found, found)

    def asymmetry(project: Callable[[Tensor], Tensor], a: Tensor, b: Tensor) -> float:
        apart = _dot(project(a), b) - _dot(a, project(b))
        return float((apart.abs() / (_dot(a, a) * _dot(b, b)).sqrt()).max())

    return [
        valid,
        Finding("Penrose 1", "A A+ A = A", first, max(tolerance, 2 * dropped), advice),
        Finding("Penrose 2", "A+ A A+ = A+", second, tolerance, advice),
        Finding("Penrose 3", "(A A+)' = A A+", asymmetry(lambda v: op.forward(op.pinv(v)), y, w), tolerance, advice),
        Finding("Penrose 4", "(A+ A)' = A+ A", asymmetry(lambda v: op.pinv(op.forward(v)), x, z), tolerance, advice),
    ]


def norm(op: Operator, probes: Probes) -> list[Finding]:
    """The norm against power iteration.

    After k steps from a random start it misses the largest eigenvalue by about 0.87 ln D / (k - 1) of it on average,
    whatever the spectrum, and mostly by far less (Kuczynski and Wozniakowski, "Estimating the Largest Eigenvalue by the
    Power and Lanczos Algorithms with a Random Start", 1992, theorem 3.1).
    """
    claimed = op.norm()
    direction, value = probes.z[:1] / probes.z[:1].norm(), 0.0
    for _ in range(_POWER):
        direction = op.adjoint(op.forward(direction))
        size = float(direction.norm())
        value = math.sqrt(size)
        if size == 0:
            break
        direction = direction / size
    apart = abs(value / claimed - 1) if claimed > 0 else value
    slack = max(math.log(max(op.size, 2)) / (_POWER - 1), 1e-3)
    advice = f"norm() is {claimed:.4g}, but power iteration gives {value:.4g}"
    return [Finding("norm", "norm() = largest |A x| / |x|", apart, slack, advice)]


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """The inner product of each item, in float64."""
    return (a.double().flatten(1) * b.double().flatten(1)).sum(1)


def relative(difference: Tensor, *terms: Tensor) -> float:
    """The largest |difference| of an item against the sum of the |terms|; against one where these are zero."""
    size = sum(term.double().reshape(len(term), -1).norm(dim=1) for term in terms)
    apart = difference.double().reshape(len(difference), -1).norm(dim=1)
    return float((apart / torch.where(torch.as_tensor(size) > 0, size, 1.0)).max())
