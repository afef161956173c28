"""Checkpoints as folders that are either whole or absent, and that know when they were damaged.

A save writes into a temporary sibling, flushes every file, writes `manifest.json` last (format, size and
sha256 of each file), renames the folder and flushes its parent. So a kill at any moment leaves the former
checkpoints as they were. A load compares every byte with the manifest before it uses one: no weights format
notices a flipped bit by itself. The manifest carries a sha256 of its own content. Weights are safetensors,
state is JSON: nothing in a checkpoint can run code.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from pellucid.foundations.durable import fsync_folder, write_flushed
from pellucid.foundations.errors import UserError

FORMAT = 1
MANIFEST = "manifest.json"
_STEP = re.compile(r"^step-(\d+)$")
_ASIDE = ".tmp-"
Tensors: TypeAlias = Mapping[str, Tensor]
Files: TypeAlias = Mapping[str, "Tensors | Mapping[str, Any]"]


class Damaged(UserError):
    """The checkpoint is not what was saved."""


class UnknownFormat(UserError):
    """The checkpoint is whole, and written in a format that this version does not know."""


@dataclass(frozen=True)
class Checkpoint:
    """A verified checkpoint: tensors and documents by file name."""

    folder: Path
    tensors: dict[str, dict[str, Tensor]]
    documents: dict[str, dict[str, Any]]
    metadata: dict[str, Any]


@dataclass(frozen=True)
class Latest:
    """The newest valid checkpoint, or None, and a message for each damaged one that was passed over."""

    folder: Path | None
    messages: list[str] = field(default_factory=list)


def step_folder(run: Path, step: int) -> Path:
    """Where the checkpoint of a step lives: `checkpoints/step-00001234`."""
    return Path(run) / "checkpoints" / f"step-{step:08d}"


def steps(run: Path) -> list[Path]:
    """The checkpoints of a run, newest first, valid or not."""
    return _ordered(Path(run) / "checkpoints")


# ---------------------------------------------------------------- writing


def save(folder: Path, files: Files, *, metadata: Mapping[str, Any] | None = None) -> Path:
    """Saves a checkpoint; on return it is on the disk, whole.

    Args:
        folder: where it shall be; it must not hold a valid checkpoint. A damaged one there is moved aside.
        files: `*.safetensors` names map to dicts of tensors, `*.json` names to dicts of plain values.
        metadata: plain values for the manifest.

    One process at a time may save beside `folder` (see `Run.lock`): temporary folders left by a kill are
    removed.
    Raises `UserError` where the folder is taken or the disk refuses; what was saved before is untouched.
    """
    folder = Path(folder)
    contents = {name: _encode(name, value) for name, value in files.items()}
    aside = folder.parent / f"{_ASIDE}{folder.name}-{os.getpid()}"
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        clean(folder.parent)
        aside.mkdir()
        for name, content in contents.items():
            write_flushed(aside / name, content)
        write_flushed(aside / MANIFEST, _manifest(contents, dict(metadata or {})))
        fsync_folder(aside)
        if folder.exists():
            _step_aside(folder)
        os.rename(aside, folder)
        fsync_folder(folder.parent)
    except OSError as error:
        shutil.rmtree(aside, ignore_errors=True)
        raise UserError(
            f"could not save {folder}: {error.strerror or error}. Earlier checkpoints are untouched; "
            "free some space or check the permissions, then resume"
        ) from error
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    return folder


def _step_aside(folder: Path) -> None:
    """Frees the name of a damaged checkpoint without deleting it; refuses for a valid one."""
    try:
        verify(folder)
    except Damaged:
        number = 1
        while (moved := folder.with_name(f"{folder.name}.damaged-{number}")).exists():
            number += 1
        os.rename(folder, moved)
    else:
        raise UserError(f"{folder} holds a valid checkpoint and is never overwritten: save under another name")


def clean(parent: Path) -> None:
    """Removes what a killed save or prune left behind."""
    for stale in Path(parent).glob(f"{_ASIDE}*"):
        shutil.rmtree(stale, ignore_errors=True)


def prune(run: Path, keep: int) -> list[Path]:
    """Deletes checkpoints older than the newest `keep` valid ones (never fewer than two), and returns them.

    Call it after `save` has returned. A folder is renamed before its files go, so a kill half-way leaves no
    half.
    """
    valid, removed = 0, []
    for folder in steps(run):
        if valid >= max(keep, 2):
            gone = folder.with_name(f"{_ASIDE}prune-{folder.name}")
            os.rename(folder, gone)
            shutil.rmtree(gone, ignore_errors=True)
            removed.append(folder)
        else:
            valid += _problem(folder) is None
    return removed


def _encode(name: str, value: Tensors | Mapping[str, Any]) -> bytes:
    if Path(name).name != name or name == MANIFEST or name.startswith("."):
        raise ValueError(f"a checkpoint's file needs a plain name, got {name!r}")
    if name.endswith(".safetensors"):
        seen: set[int] = set()
        tensors = {}
        for key, tensor in value.items():
            tensor = tensor.detach().to("cpu").contiguous()
            if tensor.numel() and tensor.untyped_storage().data_ptr() in seen:
                tensor = tensor.clone()  # safetensors refuses tensors that share memory (tied weights do)
            seen.add(tensor.untyped_storage().data_ptr())
            tensors[key] = tensor
        return safetensors.torch.save(tensors)
    if name.endswith(".json"):
        return _json(dict(value))
    raise ValueError(f"a checkpoint holds *.safetensors and *.json, got {name!r}")


def _json(value: Any) -> bytes:
    """Canonical JSON: one text for one value, so that it can be hashed and compared byte for byte."""
    return json.dumps(value, indent=1, sort_keys=True, allow_nan=False).encode() + b"\n"


def _manifest(contents: Mapping[str, bytes], metadata: dict[str, Any]) -> bytes:
    files = {name: {"size": len(c), "sha256": hashlib.sha256(c).hexdigest()} for name, c in contents.items()}
    body = {"format": FORMAT, "files": files, "metadata": metadata}
    return _json({**body, "sha256": hashlib.sha256(_json(body)).hexdigest()})


# ---------------------------------------------------------------- reading


def load(folder: Path) -> Checkpoint:
    """Reads a checkpoint after every size and sha256 was found right.

    Raises `UserError` that names the damaged file and the checkpoint to use in its place, or the unknown
    format.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"there is no checkpoint {folder}")
    tensors, documents = {}, {}
    try:
        manifest = _read_manifest(folder)
        # The bytes that were checked are the bytes that are used: the file is read once.
        for name, content in _checked(folder, manifest):
            if name.endswith(".safetensors"):
                tensors[name] = safetensors.torch.load(content)
            else:
                documents[name] = json.loads(content)
    except Damaged as error:
        raise Damaged(f"{error}. {_instead(folder)}") from None
    except (safetensors.SafetensorError, ValueError, RecursionError) as error:
        if isinstance(error, UserError):
            raise
        raise Damaged(f"{folder}: a file cannot be read ({error}). {_instead(folder)}") from error
    return Checkpoint(folder, tensors, documents, manifest["metadata"])


def verify(folder: Path) -> dict[str, Any]:
    """Checks every file of a checkpoint and returns the manifest; raises as `load` does."""
    manifest = _read_manifest(Path(folder))
    for _ in _checked(Path(folder), manifest):
        pass
    return manifest


def latest(run: Path) -> Latest:
    """The newest checkpoint that is whole, found by checking from the newest down.

    A checkpoint in an unknown format is not passed over, but raised: going on from an older one would lose
    work.
    """
    messages: list[str] = []
    for folder in steps(run):
        problem = _problem(folder)
        if problem is None:
            return Latest(folder, messages)
        messages.append(problem)
    return Latest(None, messages)


def weights_hash(tensors: Tensors) -> str:
    """A sha256 of names, types, shapes and bits, whatever the order, the device or the file they came in."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().to("cpu").contiguous()
        digest.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode() + b"\n")
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _ordered(parent: Path) -> list[Path]:
    if not parent.is_dir():
        return []
    found = [(int(match.group(1)), path) for path in parent.iterdir() if (match := _STEP.match(path.name))]
    return [path for _, path in sorted(found, reverse=True)]


def _problem(folder: Path) -> str | None:
    try:
        verify(folder)
    except Damaged as error:
        return str(error)
    return None


def _instead(folder: Path) -> str:
    """What to do about a damaged checkpoint: the nearest older valid one, else the nearest newer."""
    others = [path for path in _ordered(folder.parent) if path.name != folder.name]
    step = _STEP.match(folder.name)
    if step is not None:
        older = [path for path in others if int(path.name[5:]) < int(step.group(1))]
        others = older + [path for path in reversed(others) if path not in older]
    for other in others:
        try:
            verify(other)
        except UserError:
            continue
        return f"Use the previous checkpoint: {other}" if other.name < folder.name else f"Use {other}"
    return f"There is no other valid checkpoint in {folder.parent}: restore a copy, or train again"


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise Damaged(f"{path} is missing or unreadable ({error.strerror})") from None
    try:
        manifest = json.loads(raw)
        body = {key: value for key, value in manifest.items() if key != "sha256"}
        whole = raw == _json(manifest) and manifest["sha256"] == hashlib.sha256(_json(body)).hexdigest()
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError):
        whole = False
    if not whole:
        raise Damaged(f"{path} is damaged: its content does not match its own sha256")
    if manifest.get("format") != FORMAT:
        raise UnknownFormat(
            f"{path} has format {manifest.get('format')!r}, and this pellucid reads format {FORMAT}: "
            "use the version that wrote it, or a newer one"
        )
    return manifest


def _checked(folder: Path, manifest: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    """Yields each file's content once it is known to be right."""
    for name, expected in manifest["files"].items():
        path = folder / name
        if Path(name).name != name:
            raise Damaged(f"{folder / MANIFEST} names {name!r}, which is outside the checkpoint")
        try:
            content = path.read_bytes()
        except OSError as error:
            raise Damaged(f"{path} is missing or unreadable ({error.strerror})") from None
        if len(content) != expected["size"]:
            kind = "truncated" if len(content) < expected["size"] else "too long"
            raise Damaged(f"{path} is {kind}: {len(content):,} bytes where {expected['size']:,} were saved")
        if hashlib.sha256(content).hexdigest() != expected["sha256"]:
            raise Damaged(f"{path} is altered: its sha256 is not that of what was saved")
        yield name, content
