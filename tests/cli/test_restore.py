"""`pellucid restore` from outside: pictures, arrays, operators of one's own, what is written, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pellucid.cli.main import main
from pellucid.model import load
from pellucid.operators import Downsample
from pellucid.restoration.restore import restore

from ..small import trained

FAST = ["--steps", 3, "--method", "ddnm"]


def ended(*arguments: object) -> int:
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    assert isinstance(end.value.code, int)
    return end.value.code


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of grey pictures of 8 x 8 pixels."""
    return trained(tmp_path_factory.mktemp("restore") / "run").run.path


@pytest.fixture(scope="module")
def colour(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of colour pictures of 8 x 8 pixels."""
    folder = tmp_path_factory.mktemp("colour")
    np.save(folder / "x.npy", np.random.default_rng(0).integers(0, 255, (200, 8, 8, 3), dtype=np.uint8))
    return trained(folder / "run", data__source=str(folder / "x.npy"), sampling__guidance=1.0).run.path


@pytest.fixture(scope="module")
def signals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of signals of two channels, in units of their own."""
    folder = tmp_path_factory.mktemp("signals")
    wave = np.sin(np.linspace(0, 9, 16) + np.linspace(0, 6, 300)[:, None])
    np.save(folder / "x.npy", np.stack([100 + 20 * wave, -3 + 0.5 * wave], axis=1).astype(np.float32))
    return trained(
        folder / "run", data__source=str(folder / "x.npy"), network__multipliers=[1], sampling__guidance=1.0
    ).run.path


@pytest.fixture(scope="module")
def points(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of vectors of five values with units from 0.1 to 1000."""
    folder = tmp_path_factory.mktemp("points")
    rng = np.random.default_rng(0)
    mix = rng.standard_normal((5, 5)) * np.array([1000, 50, 1, 0.1, 10])
    np.save(folder / "x.npy", (rng.standard_normal((400, 5)) @ mix + 7).astype(np.float32))
    return trained(
        folder / "run", data__source=str(folder / "x.npy"), network__kind="mlp", sampling__guidance=1.0
    ).run.path


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a colour and a grey picture of 20 x 14 pixels, a mask for them, and the working folder."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(1)
    rgb = rng.integers(0, 255, (14, 20, 3), dtype=np.uint8)
    Image.fromarray(rgb).save("rgb.png")
    Image.fromarray(rgb[..., 0]).save("grey.png")
    Image.fromarray(rgb[:8, :8, 1]).save("exact.png")
    mask = np.zeros((14, 20), np.uint8)
    mask[4:9, 3:17] = 255
    Image.fromarray(mask).save("mask.png")
    Path("text.png").write_text("no picture")
    return tmp_path


def pixels(path: str | Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture).astype(int)


def told(folder: str) -> list[dict[str, Any]]:
    return json.loads((Path(folder) / "restored.json").read_text())["restored"]


def test_inpainting_keeps_what_is_not_marked_bit_for_bit(run: Path, files: Path, capsys: Any) -> None:
    assert ended("restore", run, "rgb.png", "grey.png", "--task", "inpaint", "--mask", "mask.png", *FAST) == 0
    out = capsys.readouterr().out
    assert "25.0 % is filled" in out
    assert "2 of 2 files restored in restored-1" in out
    kept = pixels("mask.png") == 0
    for name in ("rgb.png", "grey.png"):
        before, after = pixels(name), pixels(f"restored-1/{name}")
        assert before.shape == after.shape  # colour stays colour through a grey model
        assert np.array_equal(before[kept], after[kept])
        assert (before[~kept] != after[~kept]).mean() > 0.5
    assert pixels("restored-1/sheet.png").shape[1] > 600
    assert [one["residual"][0][0] < 1e-6 for one in told("restored-1")] == [True, True]
    # Inverted, the rest is filled.
    assert ended("restore", run, "grey.png", "--task", "inpaint", "--mask", "mask.png", "--invert", *FAST) == 0
    assert np.array_equal(pixels("grey.png")[~kept], pixels("restored-2/grey.png")[~kept])


def test_the_mask_is_widened_where_compression_smeared_the_scribble(run: Path, files: Path) -> None:
    with Image.open("grey.png") as picture:
        picture.save("grey.jpg", quality=90)
    mask = np.zeros((14, 20), np.uint8)
    mask[6, 9] = 255
    Image.fromarray(mask).save("dot.png")
    before = pixels("grey.jpg")
    for words, pixels_lost in (([], 2), (["--grow", 4], 4), (["--grow", 0], 0)):
        out = f"out-{len(words)}-{pixels_lost}"
        assert (
            ended("restore", run, "grey.jpg", "--task", "inpaint", "--mask", "dot.png", *words, *FAST, "--out", out)
            == 0
        )
        kept = np.ones((14, 20), bool)
        kept[6 - pixels_lost : 7 + pixels_lost, 9 - pixels_lost : 10 + pixels_lost] = False
        after = pixels(f"{out}/grey.png")
        assert np.array_equal(after[kept], before[kept])
        assert (after[~kept] != before[~kept]).any()


def test_the_command_is_the_call(run: Path, files: Path) -> None:
    """The file's pixels are those of `restore`, rounded; and a file gives the same alone or with others."""
    more = ["--task", "super-resolution", "--factor", 2, "--seed", 4, "-n", 2, *FAST]
    assert ended("restore", run, "exact.png", "grey.png", *more, "--out", "both") == 0
    y = torch.from_numpy(pixels("exact.png")).float()[None, None] / 127.5 - 1
    got = restore(load(run), Downsample(2), y, shape=(1, 16, 16), method="ddnm", steps=3, seed=4, samples=2)
    expected = load(run).decode(got.samples[0]).astype(int)[:, 0]
    assert np.abs(pixels("both/exact-1.png") - expected[0]).max() <= 1  # round-off at a level's edge
    assert np.abs(pixels("both/exact-2.png") - expected[1]).max() <= 1
    assert np.abs(pixels("both/exact.png") - load(run).decode(got.mean).astype(int)[0, 0]).max() <= 1
    white = told("both")[0]["std_white"]
    assert white == pytest.approx(float(got.std.max()), rel=1e-4)
    assert np.abs(pixels("both/exact-std.png") - (255 * got.std[0, 0] / white).round().int().numpy()).max() <= 1
    assert ended("restore", run, "grey.png", *more, "--out", "alone") == 0
    assert np.array_equal(pixels("alone/grey-2.png"), pixels("both/grey-2.png"))
    assert pixels("alone/grey.png").shape == (28, 40)


def test_channels_that_differ(colour: Path, files: Path) -> None:
    """Grey comes out grey, but for colourising and demosaicing."""
    assert ended("restore", colour, "grey.png", "rgb.png", "--task", "super-resolution", *FAST, "--out", "sr") == 0
    assert (pixels("sr/grey.png").shape, pixels("sr/rgb.png").shape) == ((56, 80), (56, 80, 3))
    assert ended("restore", colour, "grey.png", "rgb.png", "--task", "colorize", *FAST, "--out", "co") == 0
    for name in ("grey", "rgb"):
        with Image.open(f"{name}.png") as picture:
            grey = np.asarray(picture.convert("L")).astype(int)
        after = pixels(f"co/{name}.png")
        assert after.shape == (14, 20, 3)
        inside = (after > 0).all(-1) & (after < 255).all(-1)  # a colour out of range is cut off
        assert inside.sum() > 20
        assert np.abs(after @ [0.299, 0.587, 0.114] - grey)[inside].max() <= 1.5
    assert ended("restore", colour, "grey.png", "--task", "demosaic", "--pattern", "BGGR", *FAST, "--out", "de") == 0
    assert np.array_equal(pixels("de/grey.png")[::2, ::2, 2], pixels("grey.png")[::2, ::2])


@pytest.mark.parametrize(
    "task",
    [
        ["super-resolution", "--factor", 4],
        ["deblur", "--blur", 1.2, "--noise", 0.05],
        ["motion-deblur", "--length", 3, "--angle", 30, "--noise", 0.1],
        ["denoise", "--noise", 0.3],
        ["denoise", "--poisson", 30, "--noise", 0.01],
        ["demosaic"],
        ["colorize"],
        ["inpaint", "--mask", "mask.png"],
    ],
    ids=lambda words: " ".join(map(str, words[:2])),
)
def test_simulation_damages_and_judges(colour: Path, files: Path, task: list[Any], capsys: Any) -> None:
    assert ended("restore", colour, "rgb.png", "--simulate", "--task", *task, "--method", "tikhonov", "--json") == 0
    captured = capsys.readouterr()
    (one,) = json.loads(captured.out)["restored"]
    assert "PSNR" in captured.err
    truth = pixels("rgb.png")[:12] if task[0] == "super-resolution" else pixels("rgb.png")
    after = pixels("restored-1/rgb.png")
    error = 10 * np.log10(255**2 / np.square(truth - after).mean())
    assert one["psnr"] == pytest.approx(error, abs=0.1)  # of the file, whose values are rounded
    assert one["ssim"] <= 1
    if task[0] == "denoise" and "--poisson" not in task:
        # Noise of 0.3 in [-1, 1] is 16.5 dB, but what is beyond black and white is cut off.
        assert 16.3 < one["before"] < 18.5


def test_noise_is_estimated_where_nothing_is_said(run: Path, files: Path, capsys: Any) -> None:
    noisy = 128 + 12 * np.random.default_rng(0).standard_normal((64, 64))
    Image.fromarray(noisy.round().clip(0, 255).astype(np.uint8)).save("noisy.png")
    assert ended("restore", run, "noisy.png", "--task", "denoise", "--method", "tikhonov") == 0
    (one,) = told("restored-1")
    assert one["settings"]["noise_estimated"]
    assert one["noise"] == pytest.approx(12 / 127.5, rel=0.06)
    assert "(estimated)" in capsys.readouterr().out


def test_signals_in_their_own_units(signals: Path, files: Path) -> None:
    wave = np.sin(np.linspace(0, 9, 16) + 1)
    y = np.stack([100 + 20 * wave, -3 + 0.5 * wave]).astype(np.float32)
    mask = np.zeros(16, bool)
    mask[5:9] = True
    np.save("mask.npy", mask)
    np.save("y.npy", np.where(mask, np.nan, y).astype(np.float32))
    assert ended("restore", signals, "y.npy", "--task", "inpaint", "--mask", "mask.npy", *FAST, "-n", 2) == 0
    after = np.load("restored-1/y.npy")
    assert after.shape == y.shape
    np.testing.assert_allclose(after[:, ~mask], y[:, ~mask], rtol=1e-5)
    assert np.isfinite(after).all()
    assert np.load("restored-1/y-std.npy")[:, ~mask].max() < 1e-4
    assert 0.3 < np.load("restored-1/y-std.npy")[0, mask].max() < 200  # in the channel's own units, of 20
    # Noise has the file's units too, which differ between the channels: the operator then carries them.
    np.save("many.npy", np.stack([y, y, y]))
    assert ended("restore", signals, "many.npy", "--task", "denoise", "--noise", 0.1, "--method", "tikhonov") == 0
    after, (one,) = np.load("restored-2/many.npy"), told("restored-2")
    assert after.shape == (3, 2, 16)
    residual = np.sqrt(np.square(after - y).mean((1, 2)))
    np.testing.assert_allclose(residual, [row[0] for row in one["residual"]], rtol=1e-4)
    np.testing.assert_allclose(residual, 0.1, rtol=0.05)  # Morozov's principle, in the file's units


def test_a_vector_by_a_matrix_of_one_s_own(points: Path, files: Path) -> None:
    Path("damage.py").write_text(
        "import numpy as np\n"
        "rows = np.random.default_rng(3).standard_normal((2, 5))\n"
        "def sums(x):\n    return x[:, :2].sum(1, keepdim=True)\n"
        "def squares(x):\n    return x * x\n"
        "def crash(x):\n    raise KeyError('mine')\n"
    )
    x = np.array([900.0, -20.0, 7.5, 7.0, 12.0])
    rows = np.random.default_rng(3).standard_normal((2, 5))
    np.save("y.npy", rows @ x)
    np.save("sum.npy", x[:2].sum(keepdims=True))
    assert ended("restore", points, "y.npy", "--operator", "damage:rows", *FAST) == 0
    np.testing.assert_allclose(rows @ np.load("restored-1/y.npy"), rows @ x, rtol=1e-4)
    assert ended("restore", points, "sum.npy", "--operator", "damage.py:sums", *FAST) == 0
    np.testing.assert_allclose(np.load("restored-2/sum.npy")[:2].sum(), 880.0, rtol=1e-4)


def test_a_picture_by_an_operator_of_one_s_own(run: Path, files: Path) -> None:
    Path("mine.py").write_text(
        "from pellucid.operators import Mask, Operator\nimport torch\n"
        "class Half(Operator):\n    def forward(self, x):\n        return x[..., ::2]\n"
    )
    assert ended("restore", run, "exact.png", "--operator", "mine.py:Half", "--simulate", *FAST) == 0
    assert np.abs(pixels("restored-1/exact.png")[:, ::2] - pixels("exact.png")[:, ::2]).max() <= 1


def test_a_bad_file_does_not_stop_the_others(run: Path, files: Path, capsys: Any) -> None:
    code = ended("restore", run, "text.png", "exact.png", "nowhere.png", "--task", "denoise", "--noise", 0.1, *FAST)
    assert code == 1
    out = capsys.readouterr().out
    assert "1 of 3 files restored" in out
    assert "text.png: not restored: not a PNG" in out
    failed = json.loads(Path("restored-1/restored.json").read_text())["failed"]
    assert failed == {"text.png": failed["text.png"], "nowhere.png": "no such file"}
    assert ended("restore", run, "text.png", "nowhere.png", "--task", "denoise") == 2
    assert not Path("restored-2").exists()


def test_nothing_is_overwritten_and_names_do_not_collide(run: Path, files: Path, capsys: Any) -> None:
    Path("other").mkdir()
    Image.fromarray(np.zeros((8, 8), np.uint8)).save("other/exact.png")
    Image.fromarray(np.zeros((8, 8), np.uint8)).save("sheet.png")
    names = ["exact.png", "other/exact.png", "sheet.png"]
    assert ended("restore", run, *names, "--task", "denoise", "--noise", 0.1, *FAST, "--out", "out") == 0
    made = {path.name for path in Path("out").iterdir()}
    assert made == {"exact.png", "exact-2.png", "sheet-2.png", "sheet.png", "restored.json"}
    assert ended("restore", run, *names, "--task", "denoise", "--out", "out") == 2
    assert "nothing is overwritten" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["grey.png"], "--task or by --operator"),
        (["--task", "denoise"], "at least one file"),
        (["grey.png", "--task", "inpant"], "did you mean 'inpaint'"),
        (["grey.png", "--task", "inpaint"], "needs --mask"),
        (["exact.png", "--task", "inpaint", "--mask", "mask.png"], "a mask of size 14x20 does not fit"),
        (["grey.png", "--task", "inpaint", "--mask", "grey.png"], "has grey pixels"),
        (["grey.png", "--task", "inpaint", "--mask", "rgb.png"], "is a colour picture"),
        (["grey.png", "--task", "inpaint", "--mask", "text.png"], "mask text.png cannot be read: not a PNG"),
        (["grey.png", "--task", "inpaint", "--mask", "white.png"], "marks all as lost"),
        (["grey.png", "--task", "inpaint", "--mask", "three.npy"], "other values than 0 (kept) and 1 (lost)"),
        (["grey.png", "--task", "inpaint", "--mask", "mask.png", "--grow", "-1"], "--grow is a number of pixels"),
        (["grey.png", "--task", "deblur"], "one of --kernel FILE and --blur"),
        (["grey.png", "--task", "deblur", "--kernel", "half.npy", "--noise", "0.1"], "sum"),
        (["grey.png", "--task", "deblur", "--kernel", "black.png"], "is black"),
        (["grey.png", "--task", "deblur", "--blur", "-1"], "at least 0"),
        (["grey.png", "--task", "motion-deblur"], "needs --length"),
        (["grey.png", "--task", "super-resolution", "--factor", "0"], "at least 1"),
        (["grey.png", "--task", "denoise", "--mask", "mask.png"], "--mask is not for --task denoise"),
        (["grey.png", "--task", "colorize"], "is for colour pictures"),
        (["grey.png", "--task", "denoise", "--noise", "-0.1"], "at least 0 and finite; got -0.1"),
        (["grey.png", "--task", "denoise", "--noise", "nan"], "at least 0 and finite; got nan"),
        (["grey.png", "--task", "denoise", "--noise", "much"], "--noise"),
        (["grey.png", "--task", "denoise", "--method", "dnm"], "did you mean 'ddnm'"),
        (["grey.png", "--task", "denoise", "--solver", "hune"], "did you mean 'heun'"),
        (["grey.png", "--task", "denoise", "--label", "cat"], "unknown label 'cat'"),
        (["grey.png", "--task", "denoise", "-n", "0"], "samples must be at least 1"),
        (["nan.npy", "--task", "denoise", "--noise", "0.1"], "not finite"),
        (["cube.npy", "--task", "denoise", "--noise", "0.1"], "an array of shape (2, 2, 2, 2, 2)"),
        (["words.npy", "--task", "denoise"], "numbers are needed"),
        (["grey.png", "--operator", "mine"], "module:object"),
        (["grey.png", "--operator", "nowhere_at_all:x"], "No module named"),
        (["grey.png", "--operator", "mine.py:blurr"], "did you mean 'blur'"),
        (["grey.png", "--operator", "crash.py:x"], "fails while it is imported: RuntimeError: oh"),
        (["grey.png", "--operator", "mine.py:square"], "not linear"),
        (["grey.png", "--operator", "mine.py:blur"], "does not fit what the file holds, (1, 14, 20)"),
        (["grey.png", "--operator", "mine.py:blur", "--blur", "1"], "--blur goes with --task"),
        (["grey.png", "--task", "denoise", "--operator", "mine.py:blur"], "one of them"),
    ],
)
def test_mistakes(run: Path, files: Path, arguments: list[str], said: str, capsys: Any) -> None:
    Image.fromarray(np.full((14, 20), 255, np.uint8)).save("white.png")
    Image.fromarray(np.zeros((3, 3), np.uint8)).save("black.png")
    np.save("three.npy", np.full((14, 20), 3))
    np.save("half.npy", np.full((3, 3), 0.5 / 9))
    np.save("nan.npy", np.full((1, 8, 8), np.nan, np.float32))
    np.save("cube.npy", np.zeros((2, 2, 2, 2, 2), np.float32))
    np.save("words.npy", np.array(["a", "b"]))
    Path("mine.py").write_text("def square(x):\n    return x * x\ndef blur(x):\n    return x[:, :, :4]\n")
    Path("crash.py").write_text("raise RuntimeError('oh')\n")
    assert ended("restore", run, *arguments) == 2
    err = capsys.readouterr().err
    assert said in err
    assert "Traceback" not in err
    assert not Path("restored-1").exists()


def test_a_model_of_other_data_says_so(points: Path, signals: Path, files: Path, capsys: Any) -> None:
    for model, arguments, said in [
        (points, ["grey.png", "--task", "inpaint", "--mask", "mask.png"], "a picture, and this model restores items"),
        (points, ["grey.png", "--task", "denoise"], "is for signals or pictures"),
        (signals, ["grey.png", "--task", "colorize"], "is for colour pictures"),
        (signals, ["grey.png", "--task", "denoise", "--poisson", "9"], "that of pictures"),
    ]:
        assert ended("restore", model, *arguments) == 2
        assert said in capsys.readouterr().err
