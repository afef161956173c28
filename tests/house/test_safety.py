"""Nothing that is read from a file can run: no pickle, no loader that unpickles, no evaluation of text."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SRC = Path(__file__).parents[2] / "src"

MODULES = {
    "pickle",
    "cPickle",
    "_pickle",
    "dill",
    "cloudpickle",
    "joblib",
    "shelve",
    "marshal",
    "pickletools",
}
CALLS = {
    *(
        "eval",
        "exec",
        "compile",
        "__import__",
        "os.system",
        "os.popen",
        "pandas.read_pickle",
        "numpy.fromregex",
    ),
    *("torch.load", "torch.save", "torch.jit.load", "torch.hub.load", "torch.package.PackageImporter"),
    *(
        "yaml.load",
        "yaml.load_all",
        "yaml.unsafe_load",
        "yaml.unsafe_load_all",
        "yaml.full_load",
        "yaml.full_load_all",
    ),
}


def dotted(node: ast.expr, aliases: dict[str, str]) -> str:
    """`torch.load` for the expression `t.load` after `import torch as t`; empty where it is no plain name."""
    if isinstance(node, ast.Name):
        return aliases.get(node.id, node.id)
    if isinstance(node, ast.Attribute) and (owner := dotted(node.value, aliases)):
        return f"{owner}.{node.attr}"
    return ""


def safe_loaders(tree: ast.AST, aliases: dict[str, str]) -> set[str]:
    """yaml's safe loaders, and the classes of a file that derive from them."""
    safe = {"yaml.SafeLoader", "yaml.CSafeLoader"}
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and {dotted(base, aliases) for base in node.bases} & safe:
            safe.add(node.name)
    return safe


def faults(source: str) -> list[str]:
    """What a file contains against the rule, as "line: what"."""
    tree, aliases, found = ast.parse(source), {}, []
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
            aliases |= {alias.asname: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            aliases |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
        found += [f"{node.lineno}: imports {name}" for name in names if name.split(".")[0] in MODULES]
    safe = safe_loaders(tree, aliases)
    exempt = {
        node.func
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and dotted(node.func, aliases) in {"yaml.load", "yaml.load_all"}
        for keyword in node.keywords
        if keyword.arg == "Loader" and dotted(keyword.value, aliases) in safe
    }
    for node in ast.walk(tree):
        if node in exempt or not isinstance(getattr(node, "ctx", ast.Load()), ast.Load):
            continue
        if isinstance(node, ast.Name | ast.Attribute) and (name := dotted(node, aliases)) in CALLS:
            found.append(f"{node.lineno}: uses {name}")
        if isinstance(node, ast.keyword) and ast.unparse(node) in {"allow_pickle=True", "shell=True"}:
            found.append(f"{node.lineno}: passes {ast.unparse(node)}")
    return found


def test_nothing_read_is_executed() -> None:
    found = [
        f"{path.relative_to(SRC)}:{fault}"
        for path in sorted(SRC.rglob("*.py"))
        for fault in faults(path.read_text("utf-8"))
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("source", "allowed"),
    [
        ("import pickle", False),
        ("def f():\n    from joblib import load", False),
        ("import torch as t\nt.load('x')", False),
        ("from torch import load as get\nget('x')", False),
        ("import yaml\nyaml.load(text, yaml.Loader)", False),
        ("import yaml\nyaml.load(text, Loader=yaml.UnsafeLoader)", False),
        ("import yaml\nclass L(yaml.SafeLoader): ...\nyaml.load(text, Loader=L)", True),
        ("import yaml\nclass L(yaml.Loader): ...\nyaml.load(text, Loader=L)", False),
        ("eval('1')", False),
        ("import numpy as np\nnp.load(p, allow_pickle=True)", False),
        ("import torch\nnetwork.eval()\ntorch.compile(network)", True),
        ("import numpy as np\nnp.load(p, allow_pickle=False)", True),
        ("import yaml\nyaml.safe_load(text)", True),
        ("class Settings:\n    compile: bool = False", True),
        ("import re\nre.compile('a')", True),
    ],
)
def test_the_rule_itself(source: str, allowed: bool) -> None:
    assert (faults(source) == []) == allowed
