"""The groups of symbols and of mixed rows pass, and every check of theirs fails when what it checks is broken."""

from __future__ import annotations

import time

import pytest
import torch

from pellucid.mixed.oracles import MixedOracle
from pellucid.processes import d3pm, symbols
from pellucid.processes.categorical import Categorical
from pellucid.processes.d3pm import D3PM
from pellucid.processes.product import Product
from pellucid.processes.symbols import Symbols
from pellucid.restorers.infill import Infill
from pellucid.solvers.ancestral import Ancestral
from pellucid.solvers.cached import CachedAncestral
from pellucid.solvers.confidence import Confidence
from pellucid.solvers.corrected import Corrected
from pellucid.solvers.first_hitting import FirstHitting
from pellucid.solvers.rates import TauLeaping, TokenEuler
from pellucid.solvers.remasking import Remasking
from pellucid.tokens.oracles import TableOracle
from pellucid.verify import mixed, run, token_samples, tokens


@pytest.mark.parametrize("group", ["tokens", "mixed"])
def test_the_group_passes_within_seconds(group):
    started = time.process_time()
    outcomes = list(run([group]))
    # The processor's time, not the clock's: 5 s on a core of its own.
    assert time.process_time() - started < 15
    assert [o.name for o in outcomes if not o.passed] == []
    assert len(outcomes) >= 16
    assert all(o.reason for o in outcomes)


def hotter(right):
    """A denoiser of a law that is flatter than it should be."""
    return lambda self, x, t, **cond: 0.7 * right(self, x, t, **cond)


def coarse(right):
    """Draws on a grid of 64 numbers."""
    return lambda law, u: right(law, (u * 64).floor() / 64)


def times(factor):
    return lambda right: lambda *arguments, **options: factor * right(*arguments, **options)


def kept_less(right):
    """Draws that lose one symbol in ten that should survive."""
    return lambda self, x, kept, u: right(self, x, 0.9 * kept, u)


def rooted(right):
    """Weights by the root of what they should be divided by."""
    return lambda x0, reached: right(x0, reached.sqrt())


def late(right):
    """A law for a time that is later than it should be."""
    return lambda self, x, t: right(self, x, (t * 1.01).clamp_max(1))


def early(right):
    """A bridge to a time that is later than it should be."""
    return lambda self, x, x0, t, s: right(self, x, x0, t, s + 0.02 * (t - s))


def shy(right):
    """A solver that, at its end, turns one symbol of the first place into another for a fifth of the items."""

    def wrong(self, denoiser, x, t, s, noise, carry):
        moved, memory = right(self, denoiser, x, t, s, noise, carry)
        hit = (noise[0][:, :1] * 1000) % 1 < 0.2
        first = torch.where((moved[:, :1] == 0) & hit & (s == 0), 1, moved[:, :1])
        return torch.cat([first, moved[:, 1:]], 1), memory

    return wrong


def forgetful(right):
    """A cache that never asks again."""

    def wrong(self, denoiser, x, t, s, noise, carry):
        moved, memory = right(self, denoiser, x, t, s, noise, carry if carry is None else (x, carry[1]))
        return moved, memory

    return wrong


def greedy(right):
    """A cache that asks at each step."""

    def wrong(self, denoiser, x, t, s, noise, carry):
        return right(self, denoiser, x, t, s, noise, None)

    return wrong


def blind(right):
    """Infilling that does not show what is known, only clamps it."""

    def wrong(self, x, t, **cond):
        logits = self.denoiser(x, t, **cond)
        given = (self.known != self.process.mask)[..., None]
        return torch.where(given, symbols.certain(self.known, self.process.num_symbols), logits)

    return wrong


def twins(right):
    """Fields that share their random numbers."""

    def wrong(self, stream, shape, **steps):
        drawn = right(self, stream, shape, **steps)
        return torch.cat([drawn[..., :2], torch.special.ndtr(drawn[..., :2])], -1)

    return wrong


def swapped(right):
    """A joint answer whose numbers belong to the next row."""

    def wrong(self, x, t, **cond):
        answer = right(self, x, t, **cond)
        return torch.cat([answer[:, :2].roll(1, 0), answer[:, 2:]], 1)

    return wrong


def unaware(right):
    """A joint denoiser whose categories do not know of the numbers."""

    def wrong(self, x, t, **cond):
        near = x.clone()
        near[:, :2] = 0
        return torch.cat([right(self, x, t, **cond)[:, :2], right(self, near, t, **cond)[:, 2:]], 1)

    return wrong


# the check, what is broken, and a part of the name of an outcome that must see it
BREAKS = [
    (tokens.corruption, Categorical, "corrupt_law", late, "mask, cosine: corrupting"),
    (tokens.corruption, Categorical, "_redrawn", kept_less, "uniform, linear: what is drawn"),
    (tokens.corruption, D3PM, "renoise_law", times(1.001), "gaussian matrices: corrupting"),
    (tokens.corruption, symbols, "pick", coarse, "band matrices: what is drawn"),
    (tokens.bridges, Categorical, "bridge_law", early, "mask, linear: the bridge"),
    (tokens.bridges, d3pm, "weighed", rooted, "neighbours matrices: the bridge"),
    (tokens.bounds, Categorical, "weight", times(1.05), "mask, linear: the bound against"),
    (tokens.bounds, Categorical, "expected_rates", times(1.05), "uniform, linear: the bound summed"),
    (tokens.bounds, Symbols, "step_divergence", times(1.001), "band matrices, one place"),
    (tokens.bounds, TableOracle, "__call__", hotter, "the bound less the entropy, over"),
    (token_samples.exact_laws, TableOracle, "__call__", hotter, "mask, ancestral"),
    (token_samples.one_at_a_time, Confidence, "__call__", shy, "confidence by law"),
    (token_samples.calls, CachedAncestral, "__call__", forgetful, "samples that differ"),
    (token_samples.calls, CachedAncestral, "__call__", greedy, "calls for each item"),
    (token_samples.infilling, Infill, "__call__", blind, "infilling, first-hitting"),
    (mixed.joint_answers, MixedOracle, "__call__", swapped, "categories all masked"),
    (mixed.joint_answers, MixedOracle, "__call__", hotter, "numbers that tell nothing"),
    (mixed.joint_answers, Product, "draw", twins, "largest correlation"),
    (mixed.joint_answers, Product, "loss", times(1.001), "loss of rows"),
    (mixed.samples, MixedOracle, "__call__", swapped, "number 1 against its law"),
    (mixed.samples, MixedOracle, "__call__", unaware, "numbers given each category"),
]


@pytest.mark.parametrize(
    ("check", "where", "name", "wrong", "seen"), BREAKS, ids=[f"{b[0].__name__}-{b[3].__name__}-{b[4]}" for b in BREAKS]
)
def test_a_break_is_seen(check, where, name, wrong, seen, monkeypatch):
    monkeypatch.setattr(where, name, wrong(getattr(where, name)))
    failed = [outcome.name for outcome in check() if not outcome.passed]
    assert any(seen in found for found in failed), failed


def test_every_solver_is_watched(monkeypatch):
    """Each solver broken on its own terms, all in one run: no line of the table passes."""
    for solver in (Ancestral, TokenEuler, TauLeaping, Corrected, FirstHitting, CachedAncestral, Remasking):
        monkeypatch.setattr(solver, "__call__", shy(solver.__call__))
    assert [outcome.name for outcome in token_samples.exact_laws() if outcome.passed] == []
