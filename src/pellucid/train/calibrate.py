"""Turning a time into a network and a number of items, by measuring this machine."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from ..config import Config
from ..foundations.group import ALONE
from ..nn import NetworkSpec, choose, training_flops
from ..nn.spec import ConditionSpec
from .budget import Budget, items_for
from .engine import Engine, choose_precision
from .trainee import Source, Trainee

_ASSUMED_RATE = 1e11  # operations a second where a length is given in items and the rate only sizes the network
_PICTURE_SHARE = 0.06  # of a time budget: sample grids, held-out losses and checkpoints


@dataclass(frozen=True)
class Calibration:
    """What was measured and what follows from it.

    Attributes:
        network: the network to train.
        precision: of its matrix products.
        items_per_second: measured training speed; None where the budget needed none.
        flops_per_second: operations a second in training; None likewise.
        total: items in the run.
        seconds: what the measurement cost.
    """

    network: Any
    precision: str
    items_per_second: float | None
    flops_per_second: float | None
    total: int
    seconds: float


MakeTrainee = Callable[[Any, Engine], Trainee[Any]]


def calibrate(
    config: Config,
    budget: Budget,
    batches: Source,
    *,
    shape: tuple[int, ...],
    num_classes: int,
    conditions: tuple[ConditionSpec, ...] = (),
    symbols: int = 0,
    engine: Engine,
    make: MakeTrainee,
    choose: Callable[[Callable[[float], float]], Any] | None = None,
    flops: Callable[[Any], int] = training_flops,
) -> Calibration:
    """Chooses the network by its documented rule and the run's length by the budget.

    A budget in items or epochs needs no clock: it gives the same run on every machine. Of several processes the lead
    alone measures, as if it were alone, and the others are told the numbers, so that all of them choose alike; what it
    costs to sum gradients is not in them, and is corrected under way.

    Args:
        config, budget, batches: of the run.
        shape, num_classes, conditions: of the items.
        symbols: how many the items consist of; 0 for numbers.
        engine: where it is trained.
        make: a trainee for a network's description.
        choose: another rule: from the operations that the budget affords a network of so many an item, to a network.
        flops: operations of one item's training by a network.
    """
    rule = choose or (lambda budget_flops: _network(config, shape, num_classes, conditions, symbols, budget_flops))
    started = time.perf_counter()
    num_items = len(batches.data)
    allowed = budget.seconds
    if allowed is None:
        total = items_for(budget, 1.0, num_items)
        spec = rule(lambda each: total * each)
        precision = config.training.precision
        if precision == "auto":
            precision = (
                "float32" if engine.device.type == "cpu" else choose_precision("auto", engine.device, lambda _: 0)
            )
        return Calibration(spec, precision, None, None, total, time.perf_counter() - started)

    def measured(spec: Any, precision: str, seconds: float) -> float:
        """Items a second of a throw-away trainee."""
        trainee = make(spec, replace(engine, precision=precision, group=ALONE))
        size = config.training.batch_size
        trainee.step(batches, items=0, step=1, lr=0.0)
        steps, start = 0, time.perf_counter()
        while time.perf_counter() - start < seconds:
            steps += 1
            trainee.step(batches, items=steps * size, step=steps + 1, lr=0.0)
        engine.synchronize()
        return steps * size / (time.perf_counter() - start)

    group = engine.group

    def speed(spec: Any, precision: str, seconds: float) -> float:
        """Items a second of all processes together."""
        return group.told(group.size * measured(spec, precision, seconds) if group.lead else 0.0)

    # Two looks: a middling network tells the machine's rate, which sizes the network, whose own speed tells the items.
    patience = min(2.0, max(0.2, allowed / 60))
    guess = rule(lambda _: allowed * _ASSUMED_RATE)
    precision = config.training.precision
    if group.lead:
        precision = choose_precision(precision, engine.device, lambda p: 1 / measured(guess, p, patience / 2))
    precision = group.told_text(precision)
    rate = speed(guess, precision, patience) * flops(guess)
    seconds = allowed * (1 - _PICTURE_SHARE)
    spec = rule(lambda _: seconds * rate)
    items_per_second = rate / flops(spec) if spec == guess else speed(spec, precision, patience)
    spent = group.told(time.perf_counter() - started)
    total = items_for(Budget(seconds=max(seconds - spent, 0.1 * seconds)), items_per_second, num_items)
    total = max(total, config.training.batch_size)
    return Calibration(spec, precision, items_per_second, items_per_second * flops(spec), total, spent)


def _network(
    config: Config,
    shape: tuple[int, ...],
    num_classes: int,
    conditions: tuple[ConditionSpec, ...],
    symbols: int,
    budget_flops: Callable[[float], float],
) -> NetworkSpec:
    """The rule's network with the user's own fields in place of the rule's.

    A length in items fixes operations only once the network is known, C = N F: the rule's F = ratio sqrt(C) is then
    solved for F by trying budgets upwards.
    """
    given: dict[str, Any] = {k: v for k, v in config.network.model_dump().items() if v is not None}
    known: dict[str, Any] = {"num_classes": num_classes, "symbols": symbols}
    known |= {"conditions": conditions} if conditions else {}
    probe = budget_flops(1.0)
    spec = choose(shape, probe, **known)
    if not math.isclose(budget_flops(2.0), probe):
        for exponent in range(24, 50):
            spec = choose(shape, 2.0**exponent, **known)
            if training_flops(spec) * probe >= 2.0**exponent:
                continue
            break
    # A learned variance is a second output for each value.
    return replace(spec, **given, output_multiplier=2 if config.process.learned_variance else 1)
