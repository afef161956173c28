"""The suite: which checks there are, and their table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from ..foundations.registry import Registry
from . import (
    audit,
    claims,
    conditions,
    energy,
    facts,
    likelihood,
    losses,
    metrics,
    mixed,
    operators,
    restore,
    sde,
    solvers,
    targets,
    token_samples,
    tokens,
)
from .outcome import Check, Outcome, timed

GROUPS: Registry[tuple[Check, ...]] = Registry(
    "group of checks",
    {
        "noise": (facts.known_answers,),
        "facts": (facts.table,),
        "claims": (claims.markov, claims.forgets, claims.backwards, claims.agrees_with_its_sde),
        "targets": (targets.parameterisations,),
        "losses": (losses.minimum, losses.identities, losses.likelihood_weighting, losses.learned_variance),
        "sde": (sde.kernels, sde.variance_preserving, sde.simulated),
        "likelihood": (likelihood.densities, likelihood.bounds, likelihood.schedules_agree),
        "solvers": (solvers.orders,),
        "laws": (solvers.laws_in_two_dimensions,),
        "conditions": (
            conditions.bayes,
            conditions.conditional_laws,
            conditions.guidance_at_one,
            conditions.guidance_beyond_one,
        ),
        "metrics": (
            metrics.closed_forms,
            metrics.equal_laws,
            metrics.unequal_laws,
            metrics.intervals,
            metrics.overlaps,
            metrics.directions,
        ),
        "audit": (audit.memoriser, audit.exact_law, audit.power, audit.curves, audit.moves),
        "operators": (operators.laws,),
        "restore": (
            restore.closed_forms,
            restore.range_and_null_space,
            restore.normal_laws,
            restore.populations,
            restore.credible_regions,
        ),
        "energy": (energy.tweedie, energy.chains, energy.flow, energy.normalisers, energy.compositions),
        "tokens": (
            tokens.corruption,
            tokens.bridges,
            tokens.bounds,
            token_samples.exact_laws,
            token_samples.one_at_a_time,
            token_samples.calls,
            token_samples.infilling,
        ),
        "mixed": (mixed.joint_answers, mixed.samples),
    },
)


def run(
    groups: Iterable[str] | None = None, *, progress: Callable[[int, int], None] | None = None
) -> Iterator[Outcome]:
    """Runs groups of checks on exact laws, in order, and yields each outcome as it comes.

    Args:
        groups: names among `GROUPS`; all if absent.
        progress: called with the checks done and in all.

    Raises:
        UserError: an unknown group.
    """
    chosen = list(groups) if groups is not None else list(GROUPS)
    checks = [(name, check) for name in chosen for check in GROUPS[name]]
    for done, (name, check) in enumerate(checks):
        yield from timed(check, name)
        if progress is not None:
            progress(done + 1, len(checks))
