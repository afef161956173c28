"""What is public says what it is, and every example in a docstring does what it shows."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
from pathlib import Path

import pytest
import torch

import pellucid

SRC = Path(__file__).parents[2] / "src"
FILES = {
    ".".join(path.relative_to(SRC).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(SRC.rglob("*.py"))
    if path.stem != "__main__"
}


def undocumented(path: Path) -> list[str]:
    """The file itself and the public functions and classes at its top level that have no docstring."""
    tree = ast.parse(path.read_text("utf-8"))
    public = [
        node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
    ]
    file = path.relative_to(SRC)
    bare = [f"{file}:{node.lineno} {node.name}" for node in public if not ast.get_docstring(node)]
    return bare + ([] if ast.get_docstring(tree) else [f"{file} itself"])


def test_everything_public_has_a_docstring() -> None:
    assert not [name for path in FILES.values() for name in undocumented(path)]


def test_everything_on_the_face_exists_and_has_a_docstring() -> None:
    for name in getattr(pellucid, "__all__", []):
        thing = getattr(pellucid, name)
        if callable(thing) or inspect.ismodule(thing):
            assert inspect.getdoc(thing), f"pellucid.{name}"


@pytest.mark.parametrize("name", [name for name, path in FILES.items() if ">>> " in path.read_text("utf-8")])
def test_examples(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # An example may change torch's default type or draw numbers; the next test must not notice.
    monkeypatch.chdir(tmp_path)
    dtype, state = torch.get_default_dtype(), torch.get_rng_state()
    try:
        outcome = doctest.testmod(
            importlib.import_module(name), optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
        )
    finally:
        torch.set_default_dtype(dtype)
        torch.set_rng_state(state)
    assert outcome.attempted > 0
    assert outcome.failed == 0, "see the report above"
