"""A step of a product process: every field by its own solver, from one call of the joint denoiser."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ..denoisers import Denoiser
from ..foundations.errors import UserError
from ..processes.base import Process
from ..processes.product import Product
from .base import Solver
from .cached import CachedAncestral
from .first_hitting import FirstHitting


class _Answer:
    """What the joint denoiser said of one field, as a denoiser."""

    def __init__(self, process: Process, answer: Tensor) -> None:
        self.process, self._answer = process, answer

    def __call__(self, x: Tensor, t: Tensor, *args: Any, **cond: Any) -> Tensor:
        return self._answer


@dataclass(frozen=True)
class ProductSolver:
    """Steps each field with a solver of its own kind: one of `SOLVERS` for numbers, of `TOKEN_SOLVERS` for symbols.

    Attributes:
        solvers: one for each field of the process, in its order.

    Raises:
        UserError: a solver that asks for more than the denoiser's answer at the step's start: then the other fields
            would have to be where they are not yet. Of those with memory, multistep solvers serve.
    """

    solvers: Sequence[Solver]

    def __post_init__(self) -> None:
        for solver in self.solvers:
            # A cache that watches one field does not see that the others change.
            if solver.evaluations != 1 or isinstance(solver, (FirstHitting, CachedAncestral)):
                raise UserError(
                    f"a field is stepped from one joint call of the denoiser, and {type(solver).__name__} needs more: "
                    "use ddim, dpmpp-2m, ancestral or another solver of one evaluation"
                )

    @property
    def draws(self) -> int:
        """The most of any field."""
        return max(solver.draws for solver in self.solvers)

    @property
    def evaluations(self) -> int:
        """One joint call."""
        return 1

    @property
    def order(self) -> int:
        """The least of any field."""
        return min(solver.order for solver in self.solvers)

    def __call__(
        self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, noise: Tensor, carry: Any
    ) -> tuple[Tensor, Any]:
        process = denoiser.process
        if not isinstance(process, Product) or len(process.fields) != len(self.solvers):
            raise UserError(
                f"this solver steps a product of {len(self.solvers)} fields; the model's process is another"
            )
        answers = process.answers(denoiser(x, t))
        parts, noises = process.unpack(x), process.split(noise)
        carries = [None] * len(answers) if carry is None else carry
        moved, kept = [], []
        for i, (field, solver) in enumerate(zip(process.fields, self.solvers, strict=True)):
            own = _Answer(field.process, answers[i])
            part, memory = solver(own, parts[i], t, s, noises[i][: solver.draws], carries[i])
            moved.append(part)
            kept.append(memory)
        return process.pack(moved), kept
