"""Watches what the interpreter does while a file is read: nothing from the file may be compiled, run or imported."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pellucid

# An audit hook cannot be taken away again: there is one, and it looks only while there is a list to write to.
_seen: list[str] | None = None
_hooked = False
_OURS = tuple(
    str(Path(folder).resolve())
    for folder in {
        *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
        Path(pellucid.__file__).parent,
    }
)
_ALWAYS = (
    *("os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "pty.spawn"),
    *("pickle.find_class", "marshal.load", "code.__new__", "function.__new__", "ctypes.dlopen", "builtins.input"),
    *("socket.connect", "socket.bind", "urllib.Request", "webbrowser.open", "shutil.rmtree", "os.putenv"),
)


@contextmanager
def watched(secret: Path) -> Iterator[list[str]]:
    """Collects, as it happens, whatever must not: a process or a connection, an unpickled name, text or code from
    outside the installed packages compiled or run, a module imported from elsewhere, and the secret file opened.

    Modules that the library itself imports late are told from others by where they lie.
    """
    global _seen, _hooked
    if not _hooked:
        sys.addaudithook(_hook)
        _hooked = True
    found: list[str] = []
    _seen, before, path = found, set(sys.modules), list(sys.path)
    _secrets[:] = [os.path.realpath(secret)]
    try:
        yield found
    finally:
        _seen = None
        for name in set(sys.modules) - before:
            file = getattr(sys.modules[name], "__file__", None)
            if file and not file.startswith(_OURS):
                found.append(f"imported {name} from {file}")
        if sys.path != path:
            found.append("the search path of modules changed")


_secrets: list[str] = []


def _hook(event: str, given: tuple[Any, ...]) -> None:
    if _seen is None:
        return
    if event in _ALWAYS:
        _seen.append(f"{event} {given[:2]!r}")
    elif event == "exec":
        name = str(getattr(given[0], "co_filename", "?"))
        if not (name.startswith(_OURS) or name.startswith("<frozen")):
            _seen.append(f"exec of {name}")
    elif event == "compile":
        name = str(given[1])
        # Without text, a syntax tree is compiled, which `ast.parse` asks for and which runs nothing by itself.
        if not name.startswith(_OURS) and given[0] is not None and name != "<unknown>":
            _seen.append(f"compile of {name}: {given[0]!r}")
    elif event == "open" and isinstance(given[0], str | bytes | os.PathLike):
        path = os.fsdecode(given[0])
        if path.endswith("secret.png") and os.path.realpath(path) in _secrets:
            _seen.append(f"opened {path}, which lies outside the folder")
