"""Frozen text models: a local folder of the `transformers` library, whose last hidden states are what a network reads.

Nothing is downloaded, no code of the folder is run, and weights are read as safetensors only. A model that was trained
with one remembers a hash of its weights and takes no other.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..foundations.errors import MissingExtra, UserError
from .cache import cached, forget

_WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_TOGETHER = 64  # texts in one batch


def describe(folder: str | Path) -> dict[str, Any]:
    """What a condition remembers of a text model: path, width of its states, sha256 of its weights.

    Raises:
        UserError: no folder of a text model, or weights that are there as pickle only.
        MissingExtra: the package transformers is not installed.
    """
    path = Path(folder).expanduser().resolve()
    details = {"path": str(path), "sha256": _weights_hash(path)}
    return {**details, "width": int(_opened(details["path"], details["sha256"])[1].config.hidden_size)}


def lengths(details: Mapping[str, Any], texts: Sequence[str]) -> list[int]:
    """How many states each text has, those of the marks at its ends included."""
    tokenizer, _ = _checked(details)
    return [len(ids) for ids in tokenizer(list(texts))["input_ids"]]


def states(details: Mapping[str, Any], texts: Sequence[str], length: int) -> NDArray[np.float32]:
    """The last hidden states, (N, length, width), NaN behind a text's end; what is over the length is cut off."""
    tokenizer, model = _checked(details)
    found = np.full((len(texts), length, details["width"]), np.nan, np.float32)
    for start in range(0, len(texts), _TOGETHER):
        given = tokenizer(
            list(texts[start : start + _TOGETHER]),
            padding=True,
            truncation=True,
            max_length=length,
            return_tensors="pt",
        )
        with torch.no_grad():
            hidden = model(**given).last_hidden_state.float()
        hidden = hidden.masked_fill(given["attention_mask"][..., None] == 0, float("nan"))
        found[start : start + len(hidden), : hidden.shape[1]] = hidden.numpy()
    return found


def cached_states(details: Mapping[str, Any], texts: Sequence[str], length: int) -> NDArray[np.float32]:
    """`states`, made once and kept in the cache: memory-mapped where a cache can be written."""
    content = json.dumps([1, details["sha256"], length, list(texts)])
    name = f"states-{hashlib.sha256(content.encode()).hexdigest()[:24]}"

    def write(folder: Path) -> None:
        np.save(folder / "states.npy", states(details, texts, length), allow_pickle=False)

    shape = (len(texts), length, details["width"])
    for _ in range(2):  # a cache that someone damaged is made once more
        try:
            found: NDArray[np.float32] = np.load(cached(name, write) / "states.npy", mmap_mode="r", allow_pickle=False)
        except OSError:
            break
        except (ValueError, EOFError):
            forget(name)
            continue
        if found.shape == shape and found.dtype == np.float32:
            return found
        forget(name)
    return states(details, texts, length)


def _checked(details: Mapping[str, Any]) -> tuple[Any, Any]:
    """The tokenizer and the model that a condition was made with."""
    path = Path(details["path"])
    found = _weights_hash(path)
    if found != details["sha256"]:
        raise UserError(
            f"the text model in {path} has other weights (sha256 {found[:12]}) than the one this was trained with "
            f"({str(details['sha256'])[:12]}): put that one back"
        )
    return _opened(str(path), found)


def _weights_hash(path: Path) -> str:
    """The sha256 of the weights; a UserError says why there are none to be read."""
    if not (path / "config.json").is_file():
        raise UserError(f"there is no text model in {path}: give the folder of one, with its config.json")
    if not any((path / name).is_file() for name in _WEIGHTS):
        pickles = sorted(file.name for file in path.iterdir() if file.suffix in _PICKLES)
        if pickles:
            raise UserError(
                f"the text model in {path} has its weights as pickle only ({', '.join(pickles)}), and reading these "
                "can run code: save it with save_pretrained(..., safe_serialization=True)"
            )
        raise UserError(f"the text model in {path} has no weights: {' or '.join(_WEIGHTS)} is missing")
    files = sorted(path.glob("*.safetensors"))
    return _hash(tuple((str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files))


@lru_cache(maxsize=8)
def _hash(files: tuple[tuple[str, int, int], ...]) -> str:
    """Of the files' bytes; size and time of change are there so that a changed file is read again."""
    digest = hashlib.sha256()
    for file, _, _ in files:
        with open(file, "rb") as stream:
            while block := stream.read(1 << 22):
                digest.update(block)
    return digest.hexdigest()


@lru_cache(maxsize=2)
def _opened(path: str, sha256: str) -> tuple[Any, Any]:
    try:
        import transformers  # here, as it takes seconds
    except ImportError:
        raise MissingExtra("transformers", "text", "a frozen text model") from None
    plain = {"local_files_only": True, "trust_remote_code": False}
    try:
        with _silent(transformers):
            tokenizer = transformers.AutoTokenizer.from_pretrained(path, **plain)
            model = transformers.AutoModel.from_pretrained(path, use_safetensors=True, dtype=torch.float32, **plain)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise UserError(f"the text model in {path} cannot be read: {error}") from None
    if model.config.is_encoder_decoder:
        model = model.get_encoder()
    return tokenizer, model.eval().requires_grad_(False)


@contextlib.contextmanager
def _silent(transformers: Any) -> Iterator[None]:
    """Keeps the library's own remarks and bars off the terminal."""
    logging = transformers.utils.logging
    level = logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        logging.enable_progress_bar()
