"""An evaluation of samples of which it is known what is wrong with them, and of a trained run end to end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pellucid.cli.main import main
from pellucid.data.arrays import Dataset, evenly
from pellucid.evaluation.evaluated import evaluate
from pellucid.evaluation.looks import Found
from pellucid.evaluation.numbers import Rows, measured, within_floor
from pellucid.evaluation.page import kept_section, write
from pellucid.evaluation.place import place
from pellucid.evaluation.result import Evaluated, read
from pellucid.foundations.errors import UserError
from pellucid.metrics.frechet import frechet, frechet_distance

METRICS = ("kid", "precision", "recall", "coverage", "c2st_knn", "authenticity")


def whole(data: Dataset) -> tuple[Any, Any]:
    return np.asarray(data.items[np.arange(len(data))]), data.labels


def numbers(found: Evaluated) -> dict[str, float]:
    return {scored.name: scored.value for scored in found.numbers}


def test_real_items_cannot_be_told_from_real_ones(small_run: Path, parts: Any, choose: Any) -> None:
    train, held = parts
    order = np.random.RandomState(0).permutation(len(train))  # a training set is a sample of the law too
    items, labels = whole(train.subset(order[:350]))
    choose(items, labels)
    found = evaluate(small_run, num=350, features="pca", metrics=METRICS, items=0)
    # Each of five intervals holds its floor or ideal with 95 % or so: two failures have a chance of 2 %.
    reached = [within_floor(s) for s in found.numbers if s.name != "authenticity"]
    assert sum(bool(each) for each in reached) >= len(reached) - 1, reached
    assert numbers(found)["authenticity"] == 0.0  # as they are copies, every one
    authentic = found.number("authenticity")
    assert authentic is not None
    assert authentic.floor is not None
    assert 0.35 < authentic.floor < 0.75  # fresh draws: the binomial error of 359 items is 0.026
    assert authentic.num_real == len(train)
    assert found.cost == {"calls": 3.0, "seconds": 0.5}
    assert (found.num, found.num_real) == (350, len(held))


def test_dropped_classes_are_seen(small_run: Path, parts: Any, choose: Any) -> None:
    train, held = parts
    items, labels = whole(train)
    few = labels < 5
    choose(items[few], labels[few])
    found = evaluate(small_run, num=300, features="pca", metrics=METRICS, items=0)
    values = numbers(found)
    half = float((held.labels < 5).mean())
    # Items of the classes that are there are covered, the others are not; some digits lie near those of other classes.
    assert half - 0.1 < values["coverage"] < half + 0.15
    assert values["precision"] > 0.9  # and what is made is real
    assert values["kid"] > 0.1
    assert set(found.by_class) == {"0", "1", "2", "3", "4"}
    assert len([note for note in found.notes if "too few" in note]) == 5


def test_numbers_of_labels_by_the_classifier(small_run: Path, parts: Any, choose: Any, tmp_path: Path) -> None:
    items, labels = whole(parts[1])
    wrong = labels.copy()
    wrong[: len(wrong) // 2] = (wrong[: len(wrong) // 2] + 1) % 10  # half of them are asked to be another class
    choose(items, wrong)
    found = evaluate(small_run, num=len(items), features="classifier", folder=tmp_path, items=0)
    agreement = found.number("label_agreement")
    assert agreement is not None
    assert agreement.floor is not None
    assert agreement.floor > 0.9  # its accuracy on these items
    # Where it is right it denies the wrong half; where it errs, one in nine errors is the class asked for.
    assert agreement.value == pytest.approx(agreement.floor / 2, abs=0.04)
    score = found.number("class_score")
    assert score is not None
    assert score.value == pytest.approx(score.floor, rel=1e-9)  # the same items on both sides
    assert list(tmp_path.glob("classifier-*.safetensors"))
    kept = next(tmp_path.glob("classifier-*.safetensors"))
    again = evaluate(small_run, num=len(items), features="classifier", weights=kept, metrics=["kid"], items=0)
    assert numbers(again)["kid"] == pytest.approx(numbers(found)["kid"], abs=1e-6)  # weights in, weights out


def test_worst_samples_and_gaps_are_found() -> None:
    generator = torch.Generator().manual_seed(0)
    real = torch.randn(200, 3, generator=generator, dtype=torch.float64)
    # Six items far off without a sample: all reach one another, so one picture stands for them.
    far = set(range(7, 13))
    real[7:13] = 40 + 0.1 * torch.randn(6, 3, generator=generator, dtype=torch.float64)
    made = torch.randn(300, 3, generator=generator, dtype=torch.float64)
    made[11] += 100
    found = Found.of(Rows(made, real))
    assert int(found.realism.argmin()) == 11
    assert float(found.realism[11]) < 0.05
    assert set(torch.argsort(found.gap, descending=True)[:6].tolist()) == far
    regions = found.regions(real, 5)
    assert regions[0] in far
    assert len(far & set(regions)) == 1


def test_a_sample_is_as_real_as_its_surroundings_are_dense() -> None:
    generator = torch.Generator().manual_seed(0)
    dense = 0.01 * torch.randn(60, 2, generator=generator, dtype=torch.float64)
    sparse = 20 + torch.randn(60, 2, generator=generator, dtype=torch.float64)
    made = torch.tensor([[0.2, 0.0], [20.3, 20.0]], dtype=torch.float64)
    realism = Found.of(Rows(made, torch.cat([dense, sparse]))).realism
    # The first lies some 0.17 from items whose neighbours are a thirtieth of that away, the second amid its like.
    assert float(realism[0]) < 0.3
    assert float(realism[1]) > 1


def test_a_run_end_to_end(small_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["evaluate", str(small_run), "-n", "64", "--items", "8", "--json"])
    assert stopped.value.code == 0
    told = json.loads(capsys.readouterr().out)
    folder = small_run / "evaluation"
    found = read(folder / "evaluation.json")
    assert found is not None
    assert found.to_json() == {key: value for key, value in told.items() if key != "page"}
    assert {score.method for score in found.likelihood} == {"probability-flow ODE", "variational bound"}
    assert found.cost["calls"] >= 4  # steps, some with a second call for the guidance
    for scored in found.numbers:
        assert scored.num_generated > 0
        assert scored.num_real > 0
        if scored.low is not None:
            assert scored.high is not None
            assert scored.low <= scored.value <= scored.high
    page = (folder / "evaluation.html").read_text()
    assert "<script" not in page
    for shown in found.pictures:
        assert shown.alt.replace("&", "&amp;") in page
        with Image.open(folder / shown.file) as picture:
            assert min(picture.size) > 20
    section = kept_section(small_run, found.weights)
    assert section[0].title == "Evaluated against held-out items"
    assert kept_section(small_run, "other weights") == ()


def test_what_was_made_is_used_again(small_run: Path, tmp_path: Path, choose: Any, parts: Any) -> None:
    first = evaluate(small_run, num=300, features="pca", metrics=["kid"], items=0, folder=tmp_path)
    choose(*whole(parts[0]))  # from now on other samples would be made
    again = evaluate(small_run, num=300, features="pca", metrics=["kid"], items=0, folder=tmp_path)
    assert again.numbers == first.numbers
    assert again.cost == first.cost
    other = evaluate(small_run, num=300, features="pca", metrics=["kid"], items=0, folder=tmp_path, seed=1)
    assert other.numbers != first.numbers


def test_writing_and_reading(small_run: Path, tmp_path: Path) -> None:
    found = evaluate(small_run, num=64, features="raw", metrics=["frechet", "kid"], items=4, folder=tmp_path)
    write(found, tmp_path)
    again = read(tmp_path / "evaluation.json")
    assert again is not None
    assert again.numbers == found.numbers
    assert again.pictures == found.pictures
    assert "needs more than 64 items" in found.refused["frechet"]  # 64 numbers to a picture, and 64 samples
    (tmp_path / "evaluation.json").write_text("{}")
    with pytest.raises(UserError, match="cannot be read"):
        read(tmp_path / "evaluation.json")


class Broken(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1)[:, :2] / 0.0


def test_bad_input_is_told_by_name(small_run: Path, parts: Any, tmp_path: Path) -> None:
    train, held = parts
    images, labels = whole(held)
    few = {"num": 32, "items": 0, "features": "pca", "metrics": ["kid"]}
    with pytest.raises(UserError, match="at least 16 samples, got 8"):
        evaluate(small_run, num=8)
    with pytest.raises(UserError, match="did you mean 'kid'"):
        evaluate(small_run, num=32, metrics=["kit"])
    with pytest.raises(UserError, match="did you mean 'pca'"):
        evaluate(small_run, num=32, features="pcs")
    with pytest.raises(UserError, match="not finite for 32 of 32 items"):
        evaluate(small_run, num=32, features=Broken(), items=0)
    with pytest.raises(UserError, match="nothing that is read is ever executed"):
        evaluate(small_run, num=32, features="network.pt")
    dark = Dataset(images // 17, labels, held.label_names, held.codec, "dark")
    with pytest.raises(UserError, match="no level above 15 of 255"):
        evaluate(small_run, dark, **few)
    np.save(tmp_path / "wide.npy", np.zeros((40, 9, 9), np.uint8))
    with pytest.raises(UserError, match=r"shape \(1, 8, 8\).*shape \(1, 9, 9\)"):
        evaluate(small_run, str(tmp_path / "wide.npy"), **few)
    with pytest.raises(UserError, match="10 items to judge by"):
        evaluate(small_run, evenly(held, 10), **few)
    bare = Dataset(images, None, (), held.codec, "bare")
    found = evaluate(small_run, bare, **few)
    assert "bare has no labels, so nothing is told of each class." in found.notes
    with pytest.raises(UserError, match="are training items of these models"):
        evaluate(small_run, train, **few)


def test_only_inception_gives_an_fid(small_run: Path, parts: Any, choose: Any) -> None:
    generator = torch.Generator().manual_seed(0)
    made, real = (torch.randn(n, 4, generator=generator, dtype=torch.float64) for n in (160, 180))
    names = ["fid", "fid_infinity", "frechet"]
    plain, refused = measured(Rows(made, real), names)
    assert [scored.name for scored in plain] == ["frechet"]
    assert set(refused) == {"fid", "fid_infinity"}
    assert all("Inception" in why for why in refused.values())
    found, _ = measured(Rows(made, real, inception=True), names)
    assert [scored.name for scored in found] == names  # asked for by name, all three are told
    assert found[1].value == frechet(made, real).value  # 160 items are enough for the line at 4 features
    assert found[0].name == "fid"
    assert found[0].value == pytest.approx(frechet_distance(made, real), rel=1e-12)  # with its bias, as published ones
    every, refused = measured(Rows(made[:5], real, inception=True), None)
    assert "needs more than 4 items" not in refused.get("fid", "")  # 5 items are enough for 4 features
    assert "frechet" not in {scored.name for scored in every} | set(refused)
    _, refused = measured(Rows(made[:4], real, inception=True), ["fid"])
    assert "needs more than 4 items in each sample" in refused["fid"]
    with pytest.raises(UserError, match="does not bring: give --weights FILE"):
        evaluate(small_run, num=32, features="inception", items=0)


def test_mistakes_on_the_command_line(
    small_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "mine.txt").write_text("mine")
    run = str(small_run)
    for arguments, told in (
        ([run, "-n", "32", "--metrics", "kit"], "did you mean 'kid'"),
        ([run, "-n", "32", "--out", str(tmp_path / "used")], "holds something else than an evaluation"),
        ([run, "-n", "32", "--features", "inception"], "give --weights FILE"),
        ([run, "-n", "32", "--features", "pca", "--weights", "w.pth"], "leave out --weights"),
        ([run, "-n", "32", "--against", "digit8"], "did you mean 'digits8'"),
        ([run, "-n", "32", "--solver", "huen"], "did you mean 'heun'"),
    ):
        with pytest.raises(SystemExit) as stopped:
            main(["evaluate", *arguments])
        assert stopped.value.code == 2
        assert told in capsys.readouterr().err
    monkeypatch.chdir(tmp_path)
    assert place(small_run) == small_run / "evaluation"
    assert place(Path("digits")) == Path("evaluation-digits")
    assert place(small_run, tmp_path / "new") == tmp_path / "new"
