"""Samples as files, each carrying what is needed to make it again."""

from __future__ import annotations

import csv
import json
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from .asked import Asked, Labels, Texts, conditions_for, text_part
from .auto import TOLERANCE, Chosen, auto_steps
from .foundations.errors import UserError
from .generate import batches_for, gallery, sample
from .model import Model
from .sampling import Settings, settings_for

DECODER = "decoder"  # the solver of what is decoded in one step, and has no other settings
_KEY = "pellucid"


@dataclass(frozen=True)
class Provenance:
    """Everything a sample depends on.

    Attributes:
        model: where the model was read from.
        weights: sha256 of its weights.
        settings: solver, steps, grid, guidance, seed.
        id: the sample's number.
        label: the class it was asked for, or None.
        batch: number of the first sample that was made together with it, and how many these were.
        asked: the classes asked for in turn; None where all were, or where there are none.
        conditions: what else this sample was asked for, by name.
        texts, where, negative: what else all samples were asked for, as `sample` takes it.
        length: steps of each series that were asked for; None where they were drawn, or are no series.
    """

    model: str
    weights: str
    settings: Settings
    id: int
    label: str | None
    batch: tuple[int, int]
    asked: tuple[str, ...] | None = None
    conditions: dict[str, Any] = field(default_factory=dict)
    texts: tuple[str, ...] | None = None
    where: dict[str, Any] = field(default_factory=dict)
    negative: dict[str, Any] = field(default_factory=dict)
    length: int | None = None

    def command(self) -> str:
        """The command that makes the sample again, bit for bit on the same machine: with all of its batch."""
        first, num = self.batch
        words: list[object] = [] if self.asked is None else ["--label", ",".join(self.asked)]
        for text in self.texts or ():
            words += ["--text", text]
        return self._command(num, first, [*words, *_flags("--where", self.where), "--batch-size", num])

    def command_alone(self) -> str:
        """The command that makes the sample alone: the same to round-off, so that a pixel may differ by one level."""
        words: list[object] = [] if self.label is None else ["--label", self.label]
        return self._command(1, self.id, [*words, *_flags("--where", self.conditions)])

    def _command(self, num: int, first: int, more: Sequence[object]) -> str:
        s = self.settings
        words: list[object] = ["pellucid", "sample", self.model, "-n", num, "--first", first, "--seed", s.seed]
        if s.solver == DECODER:
            return shlex.join(map(str, [*words, *more]))
        words += ["--solver", s.solver, "--steps", s.steps, "--grid", s.grid, "--guidance", repr(s.guidance)]
        if s.guide is None:
            words += ["--guidance-kind", s.guidance_kind]
        if s.guide is not None:
            words += ["--guide", s.guide]
        words += _flags("--negative", self.negative)
        words += [] if self.length is None else ["--length", self.length]
        return shlex.join(map(str, [*words, *more, *(["--force"] if s.force else [])]))

    def to_json(self) -> dict[str, Any]:
        """Plain values, as they are kept in the file."""
        return asdict(self)


def _flags(flag: str, values: Mapping[str, Any]) -> list[object]:
    """Conditions as the command line takes them: several values in turn by a flag each."""
    words: list[object] = []
    for name, value in values.items():
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, list):
                each = ("; " if isinstance(each[0], str) else ",").join(map(str, each)) if each else ""
            words += [flag, f"{name}={'' if each is None else each}"]
    return words


@dataclass(frozen=True)
class Made:
    """What was written: the folder, its files in order, a sheet of all, the seconds that sampling took, and how its
    steps were chosen where they were."""

    folder: Path
    files: tuple[Path, ...]
    sheet: Path
    seconds: float
    chosen: Chosen | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            **({} if self.chosen is None else {"chosen": asdict(self.chosen)}),
            "folder": str(self.folder),
            "files": [str(file) for file in self.files],
            "sheet": str(self.sheet),
            "seconds": self.seconds,
        }


def make(
    model: Model,
    num: int,
    *,
    out: Path | None = None,
    label: Labels = None,
    text: Texts = None,
    where: Mapping[str, Any] | None = None,
    negative: Mapping[str, Any] | None = None,
    guidance: float | None = None,
    guidance_kind: str | None = None,
    solver: str | None = None,
    steps: int | Literal["auto"] | None = None,
    tolerance: float = TOLERANCE,
    grid: str | None = None,
    seed: int = 0,
    first: int = 0,
    batch_size: int | None = None,
    length: int | None = None,
    force: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Made:
    """Samples into files: a picture each, or one csv or npy where samples are no pictures, and a sheet of all.

    Args:
        model: from `load`.
        num: how many; see `generate.sample` for this and the rest.
        out: a folder that does not exist or is empty; MODEL/made-1, numbered, if absent.

    Raises:
        UserError: settings that the model cannot serve, or a folder in use; nothing is then written.
    """
    asked = Asked(label, text, where or {}, negative or {})
    chosen = None
    if steps == "auto":
        chosen = auto_steps(
            model,
            tolerance=tolerance,
            asked=asked,
            guidance=guidance,
            guidance_kind=guidance_kind,
            solver=solver,
            grid=grid,
            force=force,
        )
        steps = chosen.steps
    settings = settings_for(
        model,
        solver=solver,
        steps=steps,
        grid=grid,
        guidance=guidance,
        guidance_kind=guidance_kind,
        seed=seed,
        force=force,
    )
    conditions = conditions_for(model, asked)
    folder = new_folder(out, Path(model.origin) if Path(model.origin).is_dir() else Path(), "made")
    started = time.perf_counter()
    samples = sample(
        model,
        num,
        label=label,
        text=text,
        where=where,
        negative=negative,
        guidance=guidance,
        guidance_kind=guidance_kind,
        solver=solver,
        steps=steps,
        grid=grid,
        seed=seed,
        first=first,
        batch_size=batch_size,
        length=length,
        force=force,
        progress=progress,
    )
    seconds = time.perf_counter() - started
    ids = range(first, first + num)
    words = {i: conditions.words_at(i) for i in ids}
    call = asked.to_json()
    told = [
        Provenance(
            model.origin,
            model.weights_hash,
            settings,
            i,
            _word(words[i].pop("label", None)),
            (batch.start, len(batch)),
            _tuple(call["label"]),
            words[i],
            _tuple(call["text"]),
            call["where"],
            call["negative"],
            length,
        )
        for batch in batches_for(model, num, first=first, batch_size=batch_size)
        for i in batch
    ]
    folder.mkdir(parents=True, exist_ok=True)
    files = write_items(model.card.codec.items.kind, folder, model.decode(samples), told)
    sheet = folder / "sheet.png"
    part = text_part(model.card.schema)
    captions = None if part is None or part.name not in words[first] else [words[i][part.name] or "" for i in ids]
    gallery(model, samples, conditions.at(ids).get("label"), captions).save(sheet)
    (folder / "made.json").write_text(json.dumps([p.to_json() for p in told], indent=1) + "\n", encoding="utf-8")
    return Made(folder, tuple(files), sheet, seconds, chosen)


def read_settings(path: Path) -> Provenance:
    """What a picture that pellucid made says of itself.

    Raises:
        UserError: no such file, no picture, or one without settings.
    """
    try:
        with Image.open(path, formats=["PNG"]) as picture:
            text = picture.info.get(_KEY)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):  # all that a damaged PNG can raise
        text = None
    try:
        values: Any = json.loads(text) if isinstance(text, str) else None
        interval = values["settings"]["guidance_interval"]
        settings = Settings(**{**values["settings"], "guidance_interval": interval and tuple(interval)})
        first, num = values["batch"]
        asked, texts = _tuple(values["asked"]), _tuple(values.get("texts"))
        return Provenance(**{**values, "settings": settings, "batch": (first, num), "asked": asked, "texts": texts})
    except (ValueError, TypeError, KeyError):
        raise UserError(
            f"{path} carries no settings: give a .png file that `pellucid sample` made, a run or a model"
        ) from None


def new_folder(out: Path | None, base: Path, name: str) -> Path:
    """A folder that holds nothing yet: `out`, or the first of base/name-1, base/name-2, ... that does not exist.

    Raises:
        UserError: `out` is in use.
    """
    if out is not None:
        if out.exists() and not (out.is_dir() and not any(out.iterdir())):
            raise UserError(f"{out} exists, and nothing is overwritten: give --out another name")
        return out
    number = 1
    while (base / f"{name}-{number}").exists():
        number += 1
    return base / f"{name}-{number}"


def _word(value: Any) -> str | None:
    return None if value is None else str(value)


def _tuple(values: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if values is None else tuple(values)


class Telling(Protocol):
    """What a file tells of the sample in it: its number, what it was asked for, and all else as JSON values."""

    @property
    def id(self) -> int: ...

    @property
    def label(self) -> str | None: ...

    @property
    def conditions(self) -> Mapping[str, Any]: ...

    def to_json(self) -> dict[str, Any]: ...


def write_items(kind: str, folder: Path, items: Any, told: Sequence[Telling]) -> list[Path]:
    """Items in the data's own units as files: a picture each, or one csv or npy; of series with ends of their own a csv
    with a row for each step (`data.timetable`), which can be read as data again.

    Args:
        kind: of the items' codec.
        folder: where they go.
        items: (N, *).
        told: what each depends on, N of them.
    """
    if kind == "image":
        return [_write_picture(folder, item, one) for item, one in zip(items, told, strict=True)]
    if kind == "series":
        return [_write_series(folder / "samples.csv", items, told)]
    if items.ndim == 2:
        path = folder / "samples.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            labelled, names = told[0].label is not None, list(told[0].conditions)
            writer.writerow([f"x{j}" for j in range(items.shape[1])] + (["label"] if labelled else []) + names)
            for item, one in zip(items, told, strict=True):
                asked = ([one.label] if labelled else []) + [one.conditions[name] for name in names]
                writer.writerow([repr(float(v)) for v in item] + asked)
        return [path]
    path = folder / "samples.npy"
    np.save(path, items, allow_pickle=False)
    return [path]


def _write_series(path: Path, items: Any, told: Sequence[Telling]) -> Path:
    channels = ["value"] if items.shape[1] == 1 else [f"channel{c}" for c in range(items.shape[1])]
    labelled, names = told[0].label is not None, list(told[0].conditions)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["series", *(["label"] if labelled else []), *names, "step", *channels])
        for item, one in zip(items, told, strict=True):
            asked = ([one.label] if labelled else []) + [one.conditions[name] for name in names]
            steps = int(np.flatnonzero((~np.isnan(item)).any(0)).max(initial=-1)) + 1  # behind its end it is NaN
            for step in range(steps):
                writer.writerow([one.id, *asked, step, *(repr(float(v)) for v in item[:, step])])
    return path


def _write_picture(folder: Path, item: Any, told: Telling) -> Path:
    path = folder / f"{told.id:06d}.png"
    text = PngInfo()
    text.add_text(_KEY, json.dumps(told.to_json()))
    pixels = item[0] if item.shape[0] == 1 else np.moveaxis(item, 0, -1)
    Image.fromarray(np.ascontiguousarray(pixels)).save(path, pnginfo=text)
    return path
