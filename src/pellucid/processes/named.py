"""Processes on symbols by the names that users type: closed forms in continuous time, and chains of matrices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from ..foundations.errors import UserError
from ..foundations.registry import Registry
from .categorical import CATEGORICALS, Categorical
from .matrices import MATRICES, betas_of, chain
from .survival import Survival
from .symbols import Symbols

MARGINAL = "marginal"
_CHAIN = "d3pm-"
STEPS = 64  # of a chain, where nothing is said


def marginal(num_symbols: int, survival: Survival, *, law: Sequence[float]) -> Categorical:
    """Symbols are replaced by draws from a law, best that of the data: K numbers over 0 that are scaled to sum to 1.

    Raises:
        UserError: a law of other symbols, or one that gives a symbol nothing.
    """
    if len(law) != num_symbols or not all(share > 0 for share in law):
        raise UserError(f"the law of {MARGINAL} noise is {num_symbols} numbers over 0, got {list(law)[:5]} ...")
    total = sum(law)
    return Categorical(tuple(share / total for share in law), survival)


def _closed(make: Callable[..., Categorical], num_symbols: int, survival: Survival) -> Categorical:
    return make(num_symbols, survival)


def _chained(name: str, num_symbols: int, survival: Survival, *, steps: int = STEPS) -> Symbols:
    return chain(name, betas_of(survival, steps), num_symbols)


def _banded(num_symbols: int, survival: Survival, *, steps: int = STEPS, width: int = 1) -> Symbols:
    return chain("band", betas_of(survival, steps), num_symbols, width=width)


# A chain of nearest neighbours needs an embedding, which no setting can hold: it is there in Python.
SYMBOL_PROCESSES: Registry[Callable[..., Symbols]] = Registry(
    "process on symbols",
    {
        **{name: partial(_closed, make) for name, make in CATEGORICALS.items()},
        MARGINAL: marginal,
        **{f"{_CHAIN}{name}": partial(_chained, name) for name in MATRICES if name not in ("band", "neighbours")},
        f"{_CHAIN}band": _banded,
    },
)


def masks(kind: str) -> bool:
    """Whether the process of a name hides symbols behind one more, the mask."""
    SYMBOL_PROCESSES[kind]
    return kind.removeprefix(_CHAIN) == "absorbing"
