r"""Whether an operator is what it claims to be: linear, with a right adjoint, pseudo-inverse and singular system."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..foundations.errors import UserError
from .base import Operator
from .laws import TOLERANCES, Finding, Probes, adjointness, linearity, norm, penrose, singular_system


@dataclass(frozen=True)
class CheckReport:
    """All laws of one operator.

    Attributes:
        operator: its class.
        shape, out_shape: of an item, and of what is seen of it.
        dtype: in which it was tried.
        findings: one for each law.
    """

    operator: str
    shape: tuple[int, ...]
    out_shape: tuple[int, ...]
    dtype: torch.dtype
    findings: tuple[Finding, ...]

    @property
    def passed(self) -> bool:
        """Whether all laws hold."""
        return all(finding.passed for finding in self.findings)

    @property
    def failed(self) -> tuple[str, ...]:
        """The names of the laws that do not hold."""
        return tuple(finding.name for finding in self.findings if not finding.passed)

    def __str__(self) -> str:
        head = f"{self.operator}: {self.shape} to {self.out_shape}, {str(self.dtype).removeprefix('torch.')}"
        rows = [("law", "", "observed", "allowed", "")]
        for f in self.findings:
            rows.append((f.name, f.law, f"{f.observed:.1e}", f"{f.tolerance:.1e}", "holds" if f.passed else "BROKEN"))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        lines += [f"{f.name}: {f.advice}" for f in self.findings if not f.passed and f.advice]
        return "\n".join([head, *lines])


def check(
    op: Operator, shape: tuple[int, ...] | None = None, *, dtype: torch.dtype = torch.float32, seed: int = 0
) -> CheckReport:
    """Tries all laws that an operator must keep; works for any subclass of `Operator`, also a user's own.

    The tolerances are 1e-5 in float32 and 1e-10 in float64; for A+ more where the smallest singular value that is kept
    lets round-off grow, and a hundred times more where A+ is found by conjugate gradients. In float64 fewer breaches
    hide below them.

    Where it is not linear, or its adjoint is wrong, the report ends there, for all other laws presume these.

    Args:
        op: the operator.
        shape: of an item; may be left out where the operator is bound.
        dtype: float32 or float64.
        seed: of the random items; the report is a pure function of it.

    Raises:
        UserError: no shape, one that does not fit, or an operator that fails on a batch of that shape.

    >>> from .resample import Downsample
    >>> check(Downsample(2), (3, 8, 8)).passed
    True
    """
    bound, probes = _start(op, shape, dtype, seed)
    findings = linearity(bound, probes)
    if all(finding.passed for finding in findings):
        findings += adjointness(bound, probes)
    if all(finding.passed for finding in findings):
        findings += [*singular_system(bound, probes), *penrose(bound, probes), *norm(bound, probes)]
    return CheckReport(type(bound).__name__, bound.bound_shape, bound.out_shape, dtype, tuple(findings))


def require_linear(
    op: Operator, shape: tuple[int, ...] | None = None, *, dtype: torch.dtype = torch.float32, seed: int = 0
) -> Operator:
    """The operator bound to a shape, after a few products that show that restoration can work with it.

    Of the laws of `check` it tries those that all methods rely on: shapes, finite values, linear, items apart, adjoint.

    Raises:
        UserError: one of them is broken; says which, by how much, and what to do.
    """
    bound, probes = _start(op, shape, dtype, seed)
    for laws in (linearity, adjointness):
        for finding in laws(bound, probes):
            if not finding.passed:
                raise UserError(
                    f"{type(bound).__name__} on items of shape {bound.bound_shape} cannot be used to restore: "
                    f"{finding.advice} ({finding.law}: off by {finding.observed:.2g}, allowed {finding.tolerance:.2g})"
                )
    return bound


def _start(op: Operator, shape: tuple[int, ...] | None, dtype: torch.dtype, seed: int) -> tuple[Operator, Probes]:
    if dtype not in TOLERANCES:
        raise UserError(f"an operator is checked in torch.float32 or torch.float64, got {dtype}")
    bound = op.on(op.bound_shape if shape is None else shape)
    return bound, Probes.of(bound, dtype, seed)
