"""Training on tables: rows as states, what counts in the loss, and what minimises it."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import kstest

from pellucid.config import nested, resolve
from pellucid.data.tables import open_table
from pellucid.foundations.errors import UserError
from pellucid.mixed.oracles import MixedOracle
from pellucid.processes.categorical import absorbing
from pellucid.processes.gaussian import Gaussian
from pellucid.processes.product import Field, Product
from pellucid.processes.schedules import Rectified
from pellucid.recipes import RECIPES
from pellucid.tables.model import load_table, make_product
from pellucid.train.start import KINDS, resume
from pellucid.train.table import TableBatch, TableBatches, describe, table_objective

from ..small import Watcher
from ..small_tables import SMALL, trained_table, write_table


def batches(path: Path, **options: float) -> TableBatches:
    data = open_table(path)
    config = resolve([("", RECIPES["table"].settings), ("", nested(SMALL))]).config
    return TableBatches(data, make_product(config.process, describe(config, data)), 5, **options)


def test_scores_are_normal_and_come_back_as_their_cells(tmp_path: Path) -> None:
    source = batches(write_table(tmp_path / "t.csv"))
    count = 400 * len(source.data)
    packed = source.at(0, count).x0.float()
    scores = packed[:, : len(source.codec.numbers)]
    # Whole passes over the rows: the law of the levels is uniform but for places in spans that are drawn, so the
    # distance stays below that of a sample of as many numbers that are all drawn, 1.95 over the root at 1 in 1,000.
    for column in scores.T.numpy():
        assert kstest(column, "norm").statistic < 1.95 / math.sqrt(count)
    rows = set(map(tuple, source.codec.rows(packed[:2000].numpy())))
    assert rows <= set(map(tuple, source.codec.rows(np.asarray(source.data.items))))


def test_the_blur_keeps_the_law_and_shrinks_correlations(tmp_path: Path) -> None:
    lines = [f"{i * 1.37:.2f},{-i * 2.11:.2f},{k}" for i in range(100) for k in "ab"]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["x,y,k", *lines]), encoding="utf-8")
    count, h = 40_000, 0.5
    scores = batches(path, blur=h).at(0, count).x0[:, :2].numpy()
    five = 5 / math.sqrt(count)
    assert kstest(scores[:, 0], "norm").statistic < 1.95 / math.sqrt(count)
    assert np.corrcoef(scores.T)[0, 1] == pytest.approx(-(1 - h**2), abs=five)


def test_batches_are_a_function_of_the_position(tmp_path: Path) -> None:
    source = batches(write_table(tmp_path / "t.csv"), told=0.5, blur=0.1)
    whole, parts = source.at(96, 12), [source.at(96, 5), source.at(101, 7)]
    for name in ("x0", "t", "noise", "known"):
        assert torch.equal(getattr(whole, name), torch.cat([getattr(part, name) for part in parts]))


def test_a_number_and_its_flag_are_known_together(tmp_path: Path) -> None:
    source = batches(write_table(tmp_path / "t.csv"), told=0.5)
    known = source.at(0, 4000).known
    numbers = len(source.codec.numbers)
    for score, flag in source.codec.flags:
        assert torch.equal(known[:, score], known[:, numbers + flag])
    # Of half of the rows, each column at a rate that is uniform: a quarter in all; with 3 of the first 3 known a rate
    # of E[r^3] / 2 = 1/8. Five standard errors.
    assert known[:, 0].double().mean().item() == pytest.approx(0.25, abs=0.035)
    assert known[:, :3].all(1).double().mean().item() == pytest.approx(0.125, abs=0.027)


class Exact:
    """The exact denoiser of a law of numbers and categories, off by some amount."""

    def __init__(self, oracle: MixedOracle, number: float, logit: float) -> None:
        self.oracle, self.number, self.logit = oracle, number, logit
        self.process = oracle.process
        self.numbers, self.symbols = (field.process for field in oracle.process.fields)
        self.flag = torch.zeros(0, dtype=torch.int64)

    def __call__(self, x, t, known, present):
        mean, law = self.process.answers(self.oracle(x, t, known=known))
        tilt = self.logit * torch.arange(law.shape[-1])
        return self.process.pack_answers([mean + self.number, law + tilt])


def test_the_exact_conditional_law_minimises_the_loss() -> None:
    process = Product((Field("numbers", Gaussian(Rectified()), 2), Field("categories", absorbing(3), 1)))
    means, variances = torch.tensor([[-1.0, 0.5], [0.8, -0.9]]), torch.tensor([[0.3, 0.2], [0.4, 0.1]])
    tables = torch.tensor([[[0.8, 0.2]], [[0.3, 0.7]]])
    oracle = MixedOracle(process, means.double(), variances.double(), tables.double(), torch.ones(2).double())
    generator, count = torch.Generator().manual_seed(0), 20_000
    draw = [torch.rand(count, generator=generator), torch.rand(count, 1, generator=generator)]
    x0 = oracle.sample(draw[0].double(), torch.randn(count, 2, generator=generator).double(), draw[1].double())
    noise = torch.cat([torch.randn(count, 2, generator=generator), torch.rand(count, 1, generator=generator)], 1)
    t = 1e-3 + 0.999 * torch.rand(count, generator=generator)
    batch = TableBatch(x0, t, noise.double(), torch.rand(count, 3, generator=generator) < 0.3)
    best = table_objective(Exact(oracle, 0.0, 0.0), batch)
    for number, logit in ((0.2, 0.0), (-0.2, 0.0), (0.0, 0.5), (0.0, -0.5)):
        more = table_objective(Exact(oracle, number, logit), batch) - best
        # On the same draws: five standard errors of the difference.
        assert more.mean() - 5 * more.std() / math.sqrt(count) > 0


def test_what_is_missing_or_known_counts_nothing(tmp_path: Path) -> None:
    source = batches(write_table(tmp_path / "t.csv"), told=0.5)
    batch = source.at(0, 300)
    process, (score, place) = source.process, source.codec.flags[0]
    numbers = len(source.codec.numbers)

    class Stub:
        numbers, symbols = (field.process for field in process.fields)
        flagged, flag = torch.tensor([score]), torch.tensor([place])

        def __init__(self, off):
            self.process, self.off = process, off

        def __call__(self, x, t, known, present):
            assert present
            count = process.fields[1].columns
            law = torch.zeros(len(x), count, process.fields[1].symbols)
            return process.pack_answers([self.off, law])

    there = torch.zeros(300, numbers)
    missing = batch.x0[:, numbers + place] == 1
    odd = there.clone()
    odd[missing, score] = 100.0
    odd[batch.known[:, :numbers]] = 100.0
    assert torch.equal(table_objective(Stub(odd), batch), table_objective(Stub(there), batch))
    free = ~missing & ~batch.known[:, score]
    odd = there.clone()
    odd[free, score] = 100.0
    assert (table_objective(Stub(odd), batch) > table_objective(Stub(there), batch))[free].all()


def test_a_run_reads_back_and_goes_on(tmp_path: Path) -> None:
    for name in ("once", "twice"):
        (tmp_path / name).mkdir()
    once = trained_table(tmp_path / "once", training__budget="512-items").run.path
    trained_table(tmp_path / "twice", training__budget="256-items")
    more = resume(tmp_path / "twice" / "run", more="256-items", observer=Watcher())
    assert more.state.items == 512
    whole, grown = load_table(once), load_table(more.run.path)
    assert whole.codec == grown.codec
    assert [one.name for one in whole.codec.fields] == ["kind", "size", "count", "day", "name", "unit", "grade"]
    # The same rows at the same positions; only the learning rate's plan differs.
    assert whole.card.network == grown.card.network
    assert (whole.denoiser.network.door.weight - grown.denoiser.network.door.weight).abs().max() < 0.1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"process.kind": "gaussian"}, "need a process for categories"),
        ({"network.kind": "unet"}, "a network of rows"),
        ({"network.patch": 2}, "network.patch is for other networks"),
        ({"training.uncertainty": True}, "uncertainty"),
        ({"data.columns": {"sise": "number"}}, "did you mean 'size'"),
        ({"data.columns": {"kind": "number"}}, "'kind' is no number"),
        ({"data.columns": {"kind": "categorie"}}, "did you mean 'category'"),
        ({"data.source": "moons"}, "'moons' is no table"),
    ],
)
def test_settings_that_do_not_fit(changes: dict[str, object], words: str, tmp_path: Path) -> None:
    source = {"data.source": str(write_table(tmp_path / "t.csv"))}
    config = resolve([("", RECIPES["table"].settings), ("", nested({**SMALL, **source, **changes}))]).config
    with pytest.raises(UserError, match=words):
        KINDS["table"].prepare(config)


def test_two_rows_are_too_few(tmp_path: Path) -> None:
    path = tmp_path / "two.csv"
    path.write_text("a,b\n1.5,2\n2.5,3\n", encoding="utf-8")
    config = resolve([("", RECIPES["table"].settings), ("", nested({**SMALL, "data.source": str(path)}))]).config
    with pytest.raises(UserError, match="2 rows"):
        KINDS["table"].prepare(replace_holdout(config))


def replace_holdout(config):
    return config.model_copy(update={"data": config.data.model_copy(update={"holdout": 0.0})})


def test_tables_of_numbers_or_of_categories_alone(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for name, lines in (
        ("numbers", [f"{a:.3f},{b:.3f}" for a, b in random.random((40, 2))]),
        ("words", [f"{random.choice(list('abc'))},{random.choice(list('xy'))}" for _ in range(40)]),
    ):
        path = tmp_path / f"{name}.csv"
        path.write_text("\n".join(["p,q", *lines]), encoding="utf-8")
        source = batches(path)
        x0 = source.at(0, 4000).x0
        idle = x0[:, -1] if name == "numbers" else x0[:, 0]
        if name == "numbers":
            assert (idle == 0).all()
        else:
            assert kstest(idle.numpy(), "norm").statistic < 1.95 / math.sqrt(4000)
