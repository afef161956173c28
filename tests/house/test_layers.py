"""Imports go strictly down the layers, and siblings do not import one another except inside one folder.

The table is that of the design. Where there is an order inside a layer (the data module raises the errors
of the foundations; oracles are denoisers), it stands here as lines of their own: a line may import the
lines above it and nothing else. A module that is on no line fails, so a new folder has to find its place
first.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SRC = Path(__file__).parents[2] / "src"
FACE = "the face"  # __init__.py and api.py hand out everything, lazily; only the command line imports them

LINES: list[set[str]] = [
    # folders whose files have a line each
    {"tokens", "mixed", "energies", "latents", "classifiers", "series", "restoration", "tables"},
    # L0
    {"foundations"},
    {"data"},
    # L1
    {"processes", "nn", "operators", "metrics"},
    {"tables.baselines"},
    {"tables.measures", "tables.masked"},
    {"tables.measure"},
    # L2
    {"denoisers"},
    {"oracles", "losses", "autoencoders", "sde_denoisers", "score_matching", "diffusers_models", "energies.denoisers"},
    {"tokens.denoisers", "tokens.oracles", "conditioned_oracle"},
    {"mixed.denoisers", "mixed.oracles", "mixed.known"},
    # L3
    {"solvers", "likelihood", "guidance", "restoration.tiles"},
    {"restorers", "mcmc"},
    {"energies.compose"},
    # L4; what a run leaves on disk is read by a model, and a run makes pictures with models
    {"config"},
    {"train.checkpoint", "train.run"},
    {"autoencoders.codec"},
    {"latents.codes"},
    {"latents.codec"},
    {"model"},
    {"autoencoders.model", "classifiers.model", "latents.bound", "tokens.model", "energies.ebm", "tables.model"},
    {"readers"},
    {"guides"},
    {"asked"},
    {"sampling"},
    {"auto"},
    {"generate"},
    {"tables.known"},
    {"tokens.generate", "tables.generate"},
    {"restoration.prepared"},
    {"restoration.restore"},
    {"restoration.damage_files", "restoration.data_units", "restoration.borders"},
    {"restoration.tasks", "restoration.observed_files", "series.forecast"},
    {"restoration.observe", "series.files", "series.fan"},
    {"made", "tune", "restoration.before_after"},
    {"tokens.made", "autoencoders.made", "series.made"},
    {"restoration.made"},
    {"train"},
    {"tables.impute"},
    {"tables.judge"},
    {"made_plain", "tables.made", "tables.filled"},
    {"energies.composed"},
    {"judging", "score"},
    {"autoencoders.score", "energies.score", "tokens.score", "series.score", "tables.score"},
    {"audit"},
    {"verify"},
    {"series.plots"},
    {"report"},
    {"audit.report"},
    {"tables.page", "evaluation.result"},
    {"evaluation.tables"},
    {"evaluation.page"},
    {"run_report"},
    {"verified_run", "autoencoders.report", "latents.report", "classifiers.report", "energies.report", "comparison"},
    {"series.report"},
    {"tokens.yardsticks"},
    {"evaluation"},
    {"audit.pictures"},
    {"audit.run"},
    {"tokens.report", "tokens.verified", "tables.report"},
    {"reporting"},
    {"recipes"},
    # The face and L5
    {FACE},
    {"cli", "web"},
]
RANK = {unit: rank for rank, line in enumerate(LINES) for unit in line}


def unit(module: str) -> str:
    """The folder or single file that a dotted module name belongs to: the longest name that has a line."""
    parts = module.split(".")[1:]
    names = [".".join(parts[:depth]) for depth in range(len(parts), 0, -1)]
    own = next((name for name in names if name in RANK), names[-1] if names else "")
    return {"": FACE, "api": FACE, "__main__": "cli"}.get(own, own)


def module_of(prefix: str, name: str) -> str:
    """The module that `from prefix import name` reads."""
    return f"{prefix}.{name}" if f"{prefix}.{name}".removeprefix("pellucid.") in RANK else prefix


def imports(path: Path, source: str) -> list[tuple[int, str]]:
    """(line, dotted name) of every import of pellucid in a file, those inside functions included."""
    parts = path.relative_to(SRC).with_suffix("").parts
    package = parts[:-1]  # what one leading dot means
    found: list[tuple[int, str]] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            prefix = ".".join([*base, *([node.module] if node.module else [])])
            # `from .. import oracles` names a module last; `from ..oracles import Mixture` does not
            found += [(node.lineno, module_of(prefix, alias.name)) for alias in node.names]
    return [(line, name) for line, name in found if name.split(".")[0] == "pellucid"]


def faults(path: Path, source: str) -> list[str]:
    """What one file imports against the rule, one sentence for each."""
    here = unit(".".join(path.relative_to(SRC).with_suffix("").parts).removesuffix(".__init__"))
    if here not in RANK:
        return [f"{path.name}: {here!r} has no layer yet; give it a line in LINES"]
    return [
        f"{path.relative_to(SRC)}:{line}: {here} may not import {name}"
        for line, name in imports(path, source)
        if unit(name) != here and RANK.get(unit(name), len(LINES)) >= RANK[here]
    ]


def test_imports_go_down() -> None:
    found = [fault for path in sorted(SRC.rglob("*.py")) for fault in faults(path, path.read_text("utf-8"))]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("file", "source", "allowed"),
    [
        ("solvers/ode.py", "from ..denoisers import Denoiser", True),
        ("solvers/ode.py", "from .base import Solver", True),
        ("solvers/ode.py", "from ..guidance import guide", False),  # a sibling
        ("denoisers.py", "from .solvers.base import sample", False),  # upward
        ("denoisers.py", "from . import oracles", False),
        ("denoisers.py", "def f():\n    import pellucid.train.loop", False),  # lazily is no excuse
        ("model.py", "from .train import checkpoint", True),
        ("model.py", "from .train.loop import train", False),
        ("train/loop.py", "from ..model import Model", True),
        ("train/loop.py", "from . import checkpoint", True),
        ("train/checkpoint.py", "from .loop import train", False),
        ("oracles.py", "from pellucid.denoisers import Denoiser", True),
        ("nn/blocks.py", "from pellucid import sample", False),  # through the face
        ("nn/blocks.py", "import torch", True),
        ("cli/main.py", "import pellucid as pl", True),
        ("cli/main.py", "from pellucid import sample", True),
        ("__init__.py", "from .solvers import SOLVERS", True),
        ("novelty/idea.py", "", False),  # no layer
    ],
)
def test_the_rule_itself(file: str, source: str, allowed: bool) -> None:
    assert (faults(SRC / "pellucid" / file, source) == []) == allowed
