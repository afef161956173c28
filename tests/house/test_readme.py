"""The README tells the truth: its snippets run, in order, in one empty folder, and its links lead somewhere.

Every fenced `python`, `console` or `bash` snippet is run, except one that stands right under `<!-- not run:
the reason -->`. In a `console` snippet the lines that begin with `$ ` are run and the others are what they
print (not compared: times differ). `make` commands are not run: the Makefile must have their targets.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
FENCE = re.compile(
    r"(?:^<!--\s*not run:(?P<reason>[^\n]*?)-->\n+)?^```(?P<language>\w*)\n(?P<body>.*?)^```$", re.M | re.S
)


class Snippet(NamedTuple):
    line: int
    language: str
    body: str
    reason: str | None  # why it is not run


def snippets(text: str) -> list[Snippet]:
    return [
        Snippet(text.count("\n", 0, found.start("language")) + 1, *found.group("language", "body", "reason"))
        for found in FENCE.finditer(text)
    ]


def commands(snippet: Snippet) -> list[str]:
    """The shell lines of a snippet, with what a backslash continues joined."""
    lines = re.sub(r"\\\n\s*", "", snippet.body).splitlines()
    if snippet.language == "console":
        lines = [line[2:] for line in lines if line.startswith("$ ")]
    return [line for line in lines if line.strip() and not line.startswith("#")]


def run(snippet: Snippet, folder: Path) -> None:
    if snippet.language == "python":
        program = [sys.executable, "-W", "error", "-c", snippet.body]
    else:
        shell = [line for line in commands(snippet) if not line.startswith("make ")]
        program = ["bash", "-euo", "pipefail", "-c", "\n".join(shell)]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        program,
        cwd=folder,
        env={**os.environ, "PATH": path, "NO_COLOR": "1", "TERM": "dumb"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=420,
        check=False,
    )
    assert done.returncode == 0, (
        f"README.md:{snippet.line} fails:\n{snippet.body}\n{done.stdout[-1500:]}{done.stderr[-1500:]}"
    )


def test_snippets_run(tmp_path: Path) -> None:
    runnable = [s for s in snippets(README) if s.language in {"python", "console", "bash"} and s.reason is None]
    assert runnable
    for snippet in runnable:
        run(snippet, tmp_path)


def test_what_is_not_run_says_why() -> None:
    assert all(snippet.reason is None or snippet.reason.strip() for snippet in snippets(README))


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    named = set(re.findall(r"\bmake ([a-z][a-z-]*)", "\n".join(re.findall(r"`[^`]+`|^(?:\$ )?make .*$", README, re.M))))
    assert {"demo", "test"} <= named
    assert not [name for name in named if not re.search(rf"^{name}:", makefile, re.M)]


def test_links_lead_somewhere() -> None:
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        prose = re.sub(r"`[^`\n]*`", "", FENCE.sub("", (ROOT / name).read_text("utf-8")))
        targets = re.findall(r"\]\(([^)#\s]+)", prose)
        local = [target for target in targets if not re.match(r"[a-z]+:", target)]
        assert not [target for target in local if not (ROOT / target).exists()], name


def test_the_parser_itself() -> None:
    text = "a\n```python\nx = 1\n```\n"
    text += "<!-- not run: needs an hour -->\n```console\n$ make demo\nout\n$ a \\\n   b\n```\n"
    first, second = snippets(text)
    assert first == Snippet(2, "python", "x = 1\n", None)
    assert (second.line, second.reason) == (6, " needs an hour ")
    assert commands(second) == ["make demo", "a b"]
