"""Opens files made to run something, and watches that nothing does."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pellucid.config import resolve
from pellucid.data.open import open_dataset
from pellucid.foundations import yamlfile
from pellucid.foundations.errors import UserError
from pellucid.train import checkpoint

from ..data.pictures import png
from .payloads import CHECKPOINTS, CONFIGS, DATA, Make, pickled, pictures, resealed, written
from .table import Effort, Row, Tally
from .watched import watched

_SECONDS, _BYTES = 20.0, 200_000_000


def _config(path: Path) -> Any:
    return resolve([("file", yamlfile.read(path)[0])])


def _checkpoint(path: Path) -> Any:
    loaded = checkpoint.load(path)
    return [loaded.tensors, loaded.documents]


KINDS: dict[str, tuple[Callable[[Path], Any], dict[str, Make]]] = {
    "data": (open_dataset, DATA),
    "settings": (_config, CONFIGS),
    "checkpoint": (_checkpoint, CHECKPOINTS),
}


def rows(effort: Effort) -> Iterator[Row]:
    """The promises about malicious files."""
    _see_that_the_watch_works(effort.folder("watch"))
    ran, told, cheap = Tally(), Tally(), Tally()
    for kind, (opens, files) in KINDS.items():
        for k, (name, make) in enumerate(files.items()):
            if effort.quick and ("100 MB" in name or "256 MB" in name or "50 MB" in name):
                continue
            folder = effort.folder(f"malicious/{kind}-{k}")
            written(folder, "secret.png", png(8, 8, 8, 0, (b"\0" + bytes(8)) * 8))
            mark = folder / "ran"
            path = make(folder, f"touch {mark}")
            what = f"{kind}: {name}"
            outcome, seen, seconds, size = _opened(opens, path, folder / "secret.png")
            up = [p for p in (folder.parent / "up.npy", folder.parent.parent / "up.npy") if p.exists()]
            ran.add(not seen and not mark.exists() and not up, f"{what}: {seen}")
            told.add(outcome in ("refused", "read as plain data"), f"{what}: {outcome}")
            cheap.add(seconds < _SECONDS and size < _BYTES, f"{what}: {seconds:.1f} s, {size / 1e6:.0f} MB")
        effort.say(f"malicious files: {kind}")
    kinds = (
        "pickles under every extension, object arrays, poisoned settings and checkpoints, archive, alias and picture "
    )
    kinds += "bombs, formulas, paths that lead outside"
    yield ran.row(
        "Nothing that is read runs, imports, compiles, starts a process or reaches outside its folder",
        f"{ran.tries} malicious files ({kinds}), watched by an audit hook of the interpreter",
    )
    yield told.row("Each is refused with a sentence, or is plain data", "the same files")
    yield cheap.row(
        f"Each is done within {_SECONDS:.0f} s and {_BYTES / 1e6:.0f} MB", "the same files, by Python's own allocations"
    )


def _opened(opens: Callable[[Path], Any], path: Path, secret: Path) -> tuple[str, list[str], float, int]:
    """What came of opening a file: the outcome, what the watch saw, seconds, and bytes at the peak."""
    tracemalloc.start()
    began = time.perf_counter()
    with watched(secret) as seen:
        try:
            opens(path)
            outcome = "read as plain data"
        except UserError:
            outcome = "refused"
        except Exception as error:  # noqa: BLE001 (any other error is what is looked for)
            outcome = f"{type(error).__name__}: {error}"[:300]
    seconds, size = time.perf_counter() - began, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return outcome, seen, seconds, size


def _see_that_the_watch_works(folder: Path) -> None:
    """Opens a good file of each kind, so that all is imported that will be; and runs a payload, which must be seen."""
    import pickle

    secret = written(folder, "secret.png", b"")
    good = written(folder, "good.csv", "a,b\n1,2\n3,4\n")
    for opens, path in (
        (open_dataset, good),
        (open_dataset, pictures(folder)),
        (_config, written(folder, "good.yaml", "recipe: custom\n")),
        (_checkpoint, resealed(folder, {})),
    ):
        opens(path)
    with watched(secret) as seen:
        pickle.loads(pickled("true"))
        exec(compile("1 + 1", "<data>", "exec"))
        secret.read_bytes()
    for event in ("pickle.find_class", "os.system", "exec of <data>", "compile of <data>", "opened"):
        assert any(line.startswith(event) for line in seen), f"the watch does not see {event}: {seen}"
