"""The run folder: settings, what happened, checkpoints and pictures of one training run.

    config.yaml                  settings, each with where it came from
    metrics.jsonl                one line per measurement or event
    checkpoints/step-00001234/   see `checkpoint`
    samples/                     pictures
    report.html, report.json, MODEL_CARD.md

A folder is created once and never overwritten. One process at a time may write (`lock`); of several that train one
network together, the others have the same run with `writes` false, whose methods leave the disk alone.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pellucid.foundations import yamlfile
from pellucid.foundations.durable import append_line, read_lines, rewrite_lines, write_atomic
from pellucid.foundations.errors import UserError, closest

CONFIG = "config.yaml"
METRICS = "metrics.jsonl"
LOCK = ".lock"
TABLE = "table"  # kind whose model is a denoiser of rows
TOKENS = ("tokens", "prior")  # kinds whose model is a denoiser of symbols
DENOISERS = ("diffusion", "latent")  # kinds whose model is a denoiser; a run that does not say its kind is the first


@dataclass(frozen=True)
class Run:
    """A run folder that exists; make one with `create` or `open`."""

    path: Path
    config: dict[str, Any]
    provenance: dict[str, str]
    writes: bool = True

    @classmethod
    def create(cls, path: Path | str, config: Mapping[str, Any], provenance: Mapping[str, str] | None = None) -> Run:
        """Makes a new run folder with its settings.

        Args:
            path: a folder that does not exist or is empty.
            config: nested plain values.
            provenance: dotted key -> where the value came from, for example `{"train.lr": "recipe digits"}`.

        Raises `UserError` where the folder is in use, with a free name and how to go on instead.
        """
        path = Path(path)
        if path.is_dir() and any(path.iterdir()):
            go_on = f", or go on with it: pellucid resume {path}" if (path / CONFIG).is_file() else ""
            raise UserError(f"{path} exists and is not empty: nothing is overwritten. Use {_free(path)}{go_on}")
        try:
            path.mkdir(parents=True, exist_ok=True)
            write_atomic(path / CONFIG, yamlfile.dump(config, provenance))
        except FileExistsError:
            raise UserError(f"{path} is a file, and a run needs a folder: use {_free(path)}") from None
        except OSError as error:
            raise UserError(f"cannot make the run folder {path}: {error.strerror or error}") from None
        return cls.open(path)

    @classmethod
    def open(cls, path: Path | str) -> Run:
        """Opens an existing run; `UserError` names the nearest sibling run, or says what is missing."""
        path = Path(path)
        if not path.is_dir():
            if path.exists():
                raise UserError(f"{path} is a file: give the run folder that holds {CONFIG}")
            raise UserError(f"there is no run {path}{_siblings(path)}")
        if not (path / CONFIG).is_file():
            inside = next((up for up in path.resolve().parents if (up / CONFIG).is_file()), None)
            if inside is not None:
                raise UserError(f"{path} lies inside the run {inside}: give that folder")
            raise UserError(f"{path} is no run folder: {CONFIG} is missing{_siblings(path)}")
        config, provenance = yamlfile.read(path / CONFIG)
        return cls(path, config, provenance)

    def changed(self, config: Mapping[str, Any], provenance: Mapping[str, str]) -> Run:
        """The run with other settings, written in place of the former at one stroke."""
        if not self.writes:
            return replace(self, config=dict(config), provenance=dict(provenance))
        write_atomic(self.path / CONFIG, yamlfile.dump(config, provenance))
        return Run.open(self.path)

    @property
    def kind(self) -> str:
        """What is trained, as in the settings."""
        return str(self.config.get("kind", DENOISERS[0]))

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def samples(self) -> Path:
        return self.path / "samples"

    # ------------------------------------------------------------ metrics and events

    def append(self, record: Mapping[str, Any]) -> None:
        """Adds one line to metrics.jsonl; non-finite numbers are written as null."""
        if self.writes:
            append_line(self.path / METRICS, record)

    def event(self, message: str, **facts: Any) -> None:
        """Records that something happened: an interruption, a resume, a damaged checkpoint."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self.append({"kind": "event", "message": message, "at": stamp, **facts})

    def lines(self, kind: str | None = None) -> list[dict[str, Any]]:
        """The records of one kind, or all, in the order they were written."""
        return [r for r in read_lines(self.path / METRICS) if kind is None or r.get("kind") == kind]

    def truncate(self, *, step: int, items: int) -> int:
        """Forgets measurements after a checkpoint, so that a resumed run records no step twice.

        Lines with a later `step` or more `items` go; events stay, for they did happen. Returns how many went.
        """
        if not self.writes:
            return 0
        lines = self.lines()
        kept = [
            line
            for line in lines
            if line.get("kind") == "event" or (line.get("step", 0) <= step and line.get("items", 0) <= items)
        ]
        if len(kept) < len(lines):
            rewrite_lines(self.path / METRICS, kept)
        return len(lines) - len(kept)

    # ------------------------------------------------------------ one writer at a time

    def inside(self, path: Path) -> str:
        """A file of the run as its pages name it."""
        return path.relative_to(self.path).as_posix()

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Holds the run for writing; a second owner gets a `UserError` that names the first.

        The kernel frees the lock when its process ends, however it ends, so a lock left by a kill is never in
        the way. The file tells who holds it: process id, host, start time. A lock from another host (a shared
        disk may not pass the kernel's lock on) is respected while its text is there.
        """
        if not self.writes:
            yield
            return
        path = self.path / LOCK
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            owner = _owner(handle)
            if not _claim(handle):
                raise UserError(f"{self.path} is in use{_who(owner)}: wait for it to end, or stop it")
            host = socket.gethostname()
            if owner and owner.get("host") != host:
                raise UserError(
                    f"{self.path} is in use{_who(owner)}, which is not this host ({host}): "
                    f"if that process is gone, delete {path}"
                )
            # The file stays after release: to unlink it would let two processes lock two files of one name.
            me = {"pid": os.getpid(), "host": host, "started": time.strftime("%Y-%m-%d %H:%M:%S %z")}
            _rewrite(handle, json.dumps(me).encode())
            try:
                yield
            finally:
                _rewrite(handle, b"")
        finally:
            os.close(handle)


def _claim(handle: int) -> bool:
    """Takes the kernel's lock on an open file, without waiting."""
    if sys.platform == "win32":
        import msvcrt

        try:
            os.lseek(handle, 1 << 20, os.SEEK_SET)  # a byte that is never written, so that the text stays readable
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _rewrite(handle: int, content: bytes) -> None:
    os.ftruncate(handle, 0)
    os.lseek(handle, 0, os.SEEK_SET)
    os.write(handle, content)


def _owner(handle: int) -> dict[str, Any]:
    """Who wrote the lock file; empty where it is free or its text was torn."""
    os.lseek(handle, 0, os.SEEK_SET)
    try:
        owner = json.loads(os.read(handle, 4096))
    except ValueError:
        return {}
    return owner if isinstance(owner, dict) else {}


def _who(owner: Mapping[str, Any]) -> str:
    if not owner:
        return " by another process"
    return f" by process {owner.get('pid')} on {owner.get('host')}, since {owner.get('started')}"


def _free(path: Path) -> Path:
    """The first free name beside one that is taken."""
    number = 2
    while (free := path.with_name(f"{path.name}-{number}")).exists():
        number += 1
    return free


def _siblings(path: Path) -> str:
    """What runs there are in a folder that is none, or beside it."""
    parent, names = path, _runs(path)
    if not names:
        parent, names = path.parent, _runs(path.parent)
    if not names:
        return ". Train one: pellucid train RECIPE"
    near = closest(path.name, names)
    hint = f"; did you mean {parent / near}?" if near else "."
    shown = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
    return f"{hint} Runs in {parent}: {shown}"


def _runs(parent: Path) -> list[str]:
    return sorted(p.name for p in parent.iterdir() if (p / CONFIG).is_file()) if parent.is_dir() else []
