"""The whole grid of verbs and structures: every verb works for every kind of data and model, or says why it does not.

A cell of the grid works, with exit code 0, or refuses with exit code 2, the words that stand here, and no traceback.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pellucid.cli.kinds import FAMILIES, VERBS
from pellucid.config import nested, resolve
from pellucid.recipes import RECIPES
from pellucid.train.start import KINDS, begin

from ..small import Watcher
from .test_verbs import ended

Damage = Callable[[Path], tuple[object, ...]]


def nothing(folder: Path) -> tuple[object, ...]:
    return ()


def picture(folder: Path) -> tuple[object, ...]:
    Image.fromarray(np.full((8, 8), 90, np.uint8)).save(folder / "damaged.png")
    return (folder / "damaged.png", "--task", "denoise", "--noise", 0.2, "--steps", 4)


def array(*shape: int) -> Damage:
    def make(folder: Path) -> tuple[object, ...]:
        np.save(folder / "damaged.npy", np.zeros(shape, np.float32))
        first = (np.arange(np.prod(shape)) == 0).reshape(shape)
        np.save(folder / "mask.npy", first.astype(np.float32))
        return (folder / "damaged.npy", "--task", "inpaint", "--mask", folder / "mask.npy", "--steps", 4)

    return make


def text(folder: Path) -> tuple[object, ...]:
    return ("--text", "J__n")


def holes(folder: Path) -> tuple[object, ...]:
    (folder / "holes.csv").write_text("species,body_mass_g\nAdelie,\n,4000\n")
    return (folder / "holes.csv",)


@dataclass(frozen=True)
class Structure:
    """A kind of data and model.

    Attributes:
        recipe: that trains it.
        settings: that make it small, dotted key to value.
        refused: verb to the words of its refusal; all other verbs work.
        damaged: makes a damaged file in a folder and gives what `pellucid restore RUN` is told of it.
    """

    recipe: str
    settings: dict[str, Any]
    refused: dict[str, str] = field(default_factory=dict)
    damaged: Damage = nothing


def no_denoiser(words: str) -> dict[str, str]:
    """What takes a denoiser of numbers refuses all others."""
    return dict.fromkeys(("tune", "compose"), words)


SMALL = {"training.budget": "256-items", "training.batch_size": 32, "training.pictures": 0, "sampling.steps": 4}
DIGITS = {"data.source": "digits8", "data.holdout": 0.2, "network.width": 8}
GRID = {
    "pictures": Structure("digits", {**DIGITS, "network.attention": [0]}, damaged=picture),
    "points": Structure("points", {"data.source": "moons", "network.width": 16}, damaged=array(2)),
    "signals": Structure("signals", {"data.source": "power", "network.width": 8}, damaged=array(1, 24)),
    "latents": Structure("latent", DIGITS, damaged=picture),
    "texts": Structure(
        "names",
        {"network.width": 16, "network.blocks": 1},
        no_denoiser("is a model of symbols") | {"compare": "texts, which have no samples in common"},
        text,
    ),
    "tables": Structure(
        "table",
        {"data.source": "penguins", "network.width": 16, "network.blocks": 1},
        no_denoiser("is a model of tables") | {"verify": "checked on known laws"},
        holes,
    ),
    "codes": Structure(
        "prior",
        {**DIGITS, "network.width": 16, "autoencoder.codes": 8},
        no_denoiser("is a model of symbols") | {"restore": "not for a model of symbols", "audit": "memory of either"},
        picture,
    ),
    "autoencoder": Structure(
        "vae",
        DIGITS,
        no_denoiser("is an autoencoder")
        | {"restore": "no noise levels to go down", "verify": "what can be checked", "audit": "errors of a denoiser"},
        picture,
    ),
    "classifier": Structure(
        "classifier",
        DIGITS,
        no_denoiser("is a classifier")
        | dict.fromkeys(("sample", "restore"), "makes nothing alone")
        | dict.fromkeys(("evaluate", "audit"), "makes no samples")
        | {"likelihood": "no law of x", "verify": "accuracy at each noise level", "compare": "cannot be compared"},
        picture,
    ),
    "energy": Structure(
        "ebm",
        {"data.source": "moons", "network.width": 16, "energy.chains": 64, "energy.moves": 3},
        no_denoiser("is an energy model")
        | {"restore": "knows clean data only", "verify": "acceptance", "audit": "errors of a denoiser"},
        array(2),
    ),
}
CALLS: dict[str, tuple[object, ...]] = {
    "sample": ("-n", 4),
    "restore": (),
    "likelihood": ("--items", 4),
    "verify": ("--items", 8),
    "info": ("--json",),
    "tune": ("--steps", "2", "--paths", 8, "--calls", 20),
    "compose": ("-n", 2, "--steps", 2, "--moves", 1),
    "compare": ("--items", 8, "--samples", 64, "--k", 2),
    "evaluate": ("-n", 100, "--items", 2),
    "audit": ("-n", 60, "--items", 40),
    "report": (),
}
SLOW = {(name, verb) for name in ("pictures", "signals") for verb in ("verify", "evaluate")} | {("energy", "evaluate")}
SLOW |= {(name, "report") for name in GRID}  # each writes a page
CELLS = [
    pytest.param(name, verb, marks=[pytest.mark.slow] if (name, verb) in SLOW else [])
    for name in GRID
    for verb in CALLS
]
OUT = ("sample", "restore", "compose", "compare", "evaluate", "audit")  # verbs with a folder of their own


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The run of each structure, trained when it is first asked for."""
    folder, done = tmp_path_factory.mktemp("grid"), dict[str, Path]()

    def run(name: str) -> Path:
        if name not in done:
            structure = GRID[name]
            layers = [
                ("recipe", {"recipe": structure.recipe, **RECIPES[structure.recipe].settings}),
                ("test", nested({**SMALL, **structure.settings})),
            ]
            done[name] = begin(resolve(layers), folder / name, observer=Watcher(), force=True).run.path
        return done[name]

    return run


def cell(run: Path, name: str, verb: str, folder: Path) -> tuple[object, ...]:
    """The command of a cell."""
    given: tuple[object, ...] = GRID[name].damaged(folder) if verb == "restore" else ()
    several = (run,) if verb == "compose" else ()
    return (verb, run, *several, *given, *CALLS[verb], *(("--out", folder / "out") if verb in OUT else ()))


@pytest.mark.parametrize(("name", "verb"), CELLS)
def test_a_verb_works_or_says_why_not(
    name: str, verb: str, runs: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = ended(*cell(runs(name), name, verb, tmp_path))
    told = capsys.readouterr()
    words = GRID[name].refused.get(verb)
    # A model of a moment's training may fail its checks and break an order of bounds: that is an answer too.
    assert code == 2 if words else code in ((0, 1) if verb in ("verify", "compare") else (0,)), told.err
    assert (words or "") in told.err
    if words is None:
        assert told.out
        if verb == "report":
            assert "</html>" in (runs(name) / "report.html").read_text("utf-8")
        if verb in OUT:
            assert any((tmp_path / "out").iterdir())


def test_the_grid_is_whole() -> None:
    """Every kind that can be trained stands in it, and every family of models answers every verb."""
    kinds = {RECIPES[each.recipe].settings.get("kind", "diffusion") for each in GRID.values()}
    assert kinds >= {*KINDS} - {"kl", "vq", "fsq"}  # which a vae stands for
    for family in FAMILIES.values():
        assert {*family.serves} | {*family.refuses} == {*VERBS}
        assert not {*family.serves} & {*family.refuses}
