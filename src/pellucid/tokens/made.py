"""Samples of a model of symbols as files: texts in one, or a picture each where symbols are codes of pictures."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from ..asked import Asked, Labels, conditions_for
from ..generate import batch_for, gallery
from ..made import Provenance, new_folder, write_items
from .generate import sample_tokens, template, token_settings
from .model import TokenModel


@dataclass(frozen=True)
class MadeTokens:
    """What was written: the folder, its files, the texts (none of pictures), and the seconds that sampling took."""

    folder: Path
    files: tuple[Path, ...]
    texts: tuple[str, ...]
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        files = [str(file) for file in self.files]
        return {"folder": str(self.folder), "files": files, "texts": list(self.texts), "seconds": self.seconds}


def make_tokens(
    model: TokenModel,
    num: int,
    *,
    out: Path | None = None,
    label: Labels = None,
    where: Mapping[str, Any] | None = None,
    guidance: float | None = None,
    solver: str | None = None,
    steps: int | None = None,
    seed: int = 0,
    first: int = 0,
    batch_size: int | None = None,
    text: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> MadeTokens:
    """Samples into files: samples.txt with a text a line (a line end within one written as \\n) and samples.json with
    what each was asked for; pictures and a sheet of them where symbols are codes.

    Args:
        model: from `load_tokens`.
        num: how many; see `sample_tokens` for this and the rest.
        out: a folder that does not exist or is empty; MODEL/made-1, numbered, if absent.
        text: a text with holes to fill, see `template`.

    Raises:
        UserError: settings that the model cannot serve, or a folder in use; nothing is then written.
    """
    asked = Asked(label, None, where or {})
    settings = token_settings(model, solver=solver, steps=steps, guidance=guidance, seed=seed)
    conditions = conditions_for(model, asked)
    known = None if text is None else template(model, text)
    base = Path(model.origin) if Path(model.origin).is_dir() else Path()
    folder = new_folder(out, base, "made" if text is None else "restored")
    started = time.perf_counter()
    samples = sample_tokens(
        model,
        num,
        label=label,
        where=where,
        solver=solver,
        steps=steps,
        guidance=guidance,
        seed=seed,
        first=first,
        batch_size=batch_size,
        known=known,
        progress=progress,
    )
    seconds = time.perf_counter() - started
    words = {i: conditions.words_at(i) for i in range(first, first + num)}
    folder.mkdir(parents=True, exist_ok=True)
    if model.is_text:
        texts = model.texts(samples)
        told = {"model": model.origin, "weights": model.weights_hash, "text": text, "settings": vars(settings)}
        rows = [{"id": i, "text": found, **words[i]} for i, found in zip(words, texts, strict=True)]
        plain, full = folder / "samples.txt", folder / "samples.json"
        plain.write_text("".join(line.replace("\n", "\\n") + "\n" for line in texts), encoding="utf-8")
        full.write_text(json.dumps({**told, "samples": rows}, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        return MadeTokens(folder, (plain, full), tuple(texts), seconds)
    files = _pictures(model, folder, samples, settings, words, asked, batch_size)
    sheet = folder / "sheet.png"
    gallery(model, samples, conditions.at(list(words)).get("label")).save(sheet)
    return MadeTokens(folder, (*files, sheet), (), seconds)


def _pictures(
    model: TokenModel,
    folder: Path,
    samples: Tensor,
    settings: Any,
    words: dict[int, dict[str, Any]],
    asked: Asked,
    batch_size: int | None,
) -> list[Path]:
    """A file for each item, with what it needs to be made again."""
    first, size, call = next(iter(words)), batch_size or batch_for(model.shape), asked.to_json()
    told = []
    for i, word in words.items():
        start = first + (i - first) // size * size
        batch = (start, min(size, first + len(words) - start))
        label = word.pop("label", None)
        asked_for = None if call["label"] is None else tuple(call["label"])
        told.append(
            Provenance(
                model.origin,
                model.weights_hash,
                settings,
                i,
                label,
                batch,
                asked_for,
                word,
                where=call["where"],
            )
        )
    return write_items(model.card.codec.items.kind, folder, model.decode(samples), told)
