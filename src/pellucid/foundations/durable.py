"""Files that survive a kill and a power cut: written aside, flushed to the disk, then renamed; and lines of
JSON.

A rename within one folder is atomic, so a reader sees the old file or the new one, never half of either. The
order matters: content is flushed before the rename (or the new name could point at nothing), and the folder
after it (or the rename itself could be lost).
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .errors import UserError


def fsync_folder(folder: Path) -> None:
    """Flushes the folder's list of names to the disk (where the system can: not on Windows)."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_flushed(path: Path, content: bytes) -> None:
    """Writes a new file and flushes it to the disk; on return the content is there, if the name is."""
    with open(path, "xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def write_atomic(path: Path, content: bytes | str) -> Path:
    """Writes or replaces one file so that no kill can leave half of it."""
    data = content.encode() if isinstance(content, str) else content
    aside = path.with_name(f".tmp-{path.name}-{os.getpid()}")
    aside.unlink(missing_ok=True)
    try:
        write_flushed(aside, data)
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)
    fsync_folder(path.parent)
    return path


def finite(value: Any) -> Any:
    """The same value with non-finite numbers turned to None, which JSON can hold and NaN it cannot."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return value


def _lines(records: Iterable[Mapping[str, Any]]) -> bytes:
    return b"".join(json.dumps(finite(record), ensure_ascii=False).encode() + b"\n" for record in records)


def append_line(path: Path, record: Mapping[str, Any]) -> None:
    """Appends one record as a line of JSON, in one write; a torn line left by a kill is cut off first."""
    with open(path, "ab+", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        if size:
            file.seek(size - 1)
            if file.read(1) != b"\n":
                file.seek(0)
                file.truncate(file.read().rfind(b"\n") + 1)
        file.write(_lines([record]))


def read_lines(path: Path) -> list[dict[str, Any]]:
    """All records of a file of JSON lines; a missing file has none, and a torn last line is skipped.

    Raises `UserError` where a line before the last is no JSON object: that is damage, not an interrupted
    write.
    """
    if not path.is_file():
        return []
    lines = path.read_bytes().split(b"\n")[:-1]  # what follows the last newline was never finished
    records = []
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
        except ValueError:  # UnicodeDecodeError and JSONDecodeError are both ValueErrors
            record = None
        if isinstance(record, dict):
            records.append(record)
        elif number < len(lines):
            raise UserError(f"line {number} of {path} is damaged: remove that line (the others stay readable)")
    return records


def rewrite_lines(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Replaces a file of JSON lines at one stroke."""
    write_atomic(path, _lines(records))
