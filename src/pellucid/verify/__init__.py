"""Layer 4: the checks of every method against a law that is known exactly, for anyone to run."""

from .outcome import Outcome
from .solvers import SolverReport, check_solver
from .suite import GROUPS, run

__all__ = ["GROUPS", "Outcome", "SolverReport", "check_solver", "run"]
