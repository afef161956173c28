"""A length becomes a network and a number of items: the same ones everywhere for items, measured ones for a time."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch

from pellucid.config import nested, resolve
from pellucid.nn import training_flops
from pellucid.nn.choose import RATIO
from pellucid.train import calibrate as module
from pellucid.train.budget import parse_budget
from pellucid.train.calibrate import calibrate
from pellucid.train.diffusion import Diffusion
from pellucid.train.engine import Engine
from pellucid.train.start import resume
from pellucid.train.trainee import Trainee

from ..small import Watcher, hashes, settings, trained


def measured(budget: str, **changes: object) -> module.Calibration:
    given = {key.replace("__", "."): value for key, value in changes.items()}
    config = resolve([("test", nested({"data.source": "digits8", "training.batch_size": 32, **given}))]).config
    prepared = Diffusion().prepare(config)
    return calibrate(
        prepared.config,
        parse_budget(budget),
        prepared.batches,
        shape=(1, 8, 8),
        num_classes=10,
        engine=Engine(torch.device("cpu")),
        make=lambda spec, engine: Diffusion().trainee(prepared.config, spec, engine),
    )


def test_items_need_no_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("a length in items must not be measured")

    monkeypatch.setattr(Trainee, "step", never)
    found = measured("2k-items")
    assert (found.total, found.items_per_second, found.precision) == (2000, None, "float32")
    passes = measured("3-epochs")
    assert 3 * 1500 < passes.total < 3 * 1797  # a tenth is held out


def test_more_items_never_buy_a_smaller_network() -> None:
    flops = [training_flops(measured(f"{n}-items").network) for n in (1000, 100_000, 10_000_000)]
    assert flops == sorted(flops)
    assert flops[0] < flops[-1]


@pytest.mark.parametrize("items", [100_000, 10_000_000])
def test_the_rule_is_met_by_the_run_that_the_items_make(items: int) -> None:
    """F <= RATIO sqrt(C D) with C = items F, to the factor 2 in which budgets are tried."""
    flops = training_flops(measured(f"{items}-items").network)
    assert flops <= RATIO * (2 * items * flops * 64) ** 0.5


def test_what_a_person_fixes_stands() -> None:
    found = measured("100k-items", network__width=24, network__blocks=1)
    assert (found.network.width, found.network.blocks) == (24, 1)


def test_a_time_is_measured_and_written_into_the_run(tmp_path: Path) -> None:
    started = time.monotonic()
    done = trained(tmp_path / "run", training__budget="4s")
    took = time.monotonic() - started
    # all of it, reading and the last pictures included; the bounds are for a machine that others use too
    assert 2.0 < took < 12.0
    assert 2.5 < done.state.seconds < 9.0
    (line,) = done.run.lines("calibration")
    assert line["items_per_second"] > 0
    assert line["flops_per_second"] == pytest.approx(line["items_per_second"] * training_flops(_spec(line)))
    assert 0 < line["seconds"] < 4.0
    assert line["threads"] == torch.get_num_threads()
    assert done.run.provenance["training.precision"] == "calibration"


def _spec(line: dict[str, object]) -> object:
    from pellucid.nn import NetworkSpec

    return NetworkSpec.from_json(line["network"])  # type: ignore[arg-type]


def test_a_seed_gives_the_same_weights_and_another_seed_others(tmp_path: Path) -> None:
    one, same = trained(tmp_path / "1"), trained(tmp_path / "2")
    other = trained(tmp_path / "3", training__seed=1)
    assert hashes(one.run.path) == hashes(same.run.path)
    assert hashes(one.run.path)["model.safetensors"] != hashes(other.run.path)["model.safetensors"]
    (first,), (second,) = one.run.lines("calibration"), same.run.lines("calibration")
    assert first["network"] == second["network"]
    assert settings().config.training.seed == 0


def test_calibration_leaves_no_trace_in_the_weights(tmp_path: Path) -> None:
    """A length in time trains throw-away networks first; the run begins as if it had not."""
    trained(tmp_path / "1", training__budget="1s")
    trained(tmp_path / "2")
    folders = [sorted((tmp_path / name / "checkpoints").iterdir())[0] for name in ("1", "2")]
    assert [f.name for f in folders] == ["step-00000000"] * 2
    assert (folders[0] / "model.safetensors").read_bytes() == (folders[1] / "model.safetensors").read_bytes()


def test_a_time_can_be_added(tmp_path: Path) -> None:
    done = trained(tmp_path / "run")
    more = resume(tmp_path / "run", more="2s", observer=Watcher())
    assert more.state.items > done.state.items
    assert 1.0 < more.state.seconds - done.state.seconds < 6.0
