"""Where decoded data are kept between runs: a folder that may be deleted at any time."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path


def cache_folder() -> Path:
    """$XDG_CACHE_HOME/pellucid, or ~/.cache/pellucid where that variable is not set."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "pellucid"


def cached(name: str, write: Callable[[Path], None]) -> Path:
    """The folder `name` of the cache; where it is missing, `write` fills a temporary one that is then renamed.

    So a folder that exists is whole, also after a crash or when two processes start together. Raises OSError where
    the cache cannot be written.
    """
    target = cache_folder() / name
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        write(temporary)
        try:
            temporary.rename(target)
        except OSError:  # another process was faster; its folder is as good as ours
            if not target.is_dir():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


def forget(name: str) -> None:
    """Removes the folder `name` from the cache, so that it is made again."""
    shutil.rmtree(cache_folder() / name, ignore_errors=True)
