"""Restoration of files: each is read, restored and written by itself, and one that fails does not stop the others.

The folder holds the restorations (NAME.png or NAME.npy; of several samples NAME-1 ... NAME-k, their mean NAME and their
standard deviation NAME-std), sheet.png with before and after side by side, and restored.json with all settings.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..foundations.errors import UserError
from ..latents.codec import LatentCodec
from ..made import new_folder
from ..metrics.image import psnr, ssim
from ..metrics.learned import learned_distance, standard_stages
from ..model import Model
from ..operators import Masked, Operator
from .before_after import Row, sheet
from .borders import Framed, framed
from .data_units import from_model, in_model_scale
from .observe import Request, Seen, observe
from .observed_files import Given, write_array, write_picture
from .prepared import prepare
from .restore import AUTO, Damage, Restored, check_method, residual, restore
from .tasks import TASKS

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class FileRestored:
    """What became of one file.

    Attributes:
        file: its path; files: what was written.
        shape: of an item.
        method, reason, settings: as of `Restored`.
        noise: that was reckoned with, in the file's units.
        residual: of each item and sample, in the file's units.
        psnr, ssim, learned: of the mean of the samples against the truth, where it is known; the last by
            `metrics.learned` of the small ImageNet network, where that is installed; before: the psnr of what was seen.
        std_white: the standard deviation that is white on the uncertainty map.
        notes: what a person should know.
        seconds: that it took.
    """

    file: str
    files: list[str]
    shape: tuple[int, ...]
    method: str
    reason: str
    settings: dict[str, Any]
    noise: float
    residual: list[list[float]]
    seconds: float
    psnr: float | None = None
    ssim: float | None = None
    learned: float | None = None
    before: float | None = None
    std_white: float | None = None
    notes: list[str] = field(default_factory=list)

    def sentence(self) -> str:
        """The outcome in one line."""
        estimated = " (estimated)" if self.settings["noise_estimated"] else ""
        worst = max(max(row) for row in self.residual)
        judged = "" if self.psnr is None else f", PSNR {self.psnr:.2f} dB"
        judged += "" if self.before is None else f" (was {self.before:.2f})"
        judged += "" if self.learned is None else f", learned distance {self.learned:.3f}"
        return (
            f"{self.file}: {self.method}, noise {self.noise:.4g}{estimated}, residual {worst:.4g}{judged}, "
            f"{self.seconds:.1f} s: {self.files[0]}"
        )


@dataclass(frozen=True)
class RestoredFiles:
    """All files.

    Attributes:
        folder: where everything was written.
        sheet: before and after.
        done: those that were restored, in order.
        failed: those that were not, and why.
    """

    folder: Path
    sheet: Path
    done: list[FileRestored]
    failed: dict[str, str]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "folder": str(self.folder),
            "sheet": str(self.sheet),
            "restored": [asdict(one) for one in self.done],
            "failed": self.failed,
        }


def restore_files(
    model: Model,
    files: Sequence[Path],
    request: Request,
    *,
    out: Path | None = None,
    view: Callable[[str], AbstractContextManager[Progress]] | None = None,
    told: Callable[[str], None] = lambda text: None,
) -> RestoredFiles:
    """Restores files into a new folder.

    Args:
        model: from `load`.
        files: pictures, or .npy files with one item or several.
        request: what is asked for.
        out: a folder that does not exist or is empty; restored-1, numbered, if absent.
        view: makes a progress display of each file's name.
        told: is told what became of each file.

    Raises:
        UserError: what no file could be restored with, or none that could; nothing is then written.
    """
    if not files:
        raise UserError("name at least one file to restore")
    damage = _damage(model, request)
    folder = new_folder(out, Path(), "restored")
    done: list[FileRestored] = []
    rows: list[Row] = []
    failed: dict[str, str] = {}
    for path in files:
        try:
            with view(path.name) if view is not None else nullcontext(lambda done, total: None) as progress:
                outcome, row = _restore_file(model, path, damage, request, folder, progress)
        except (UserError, OSError) as error:
            failed[str(path)] = str(error)
            if len(files) > 1:
                told(f"{path}: not restored: {error}")
            continue
        done.append(outcome)
        rows.append(row)
        told(outcome.sentence())
    if not done:
        if len(files) == 1:
            raise UserError(f"{files[0]}: {failed[str(files[0])]}")
        raise UserError("none of the files could be restored: see above")
    result = RestoredFiles(folder, folder / "sheet.png", done, failed)
    sheet(rows).save(result.sheet)
    about = {"model": model.origin, "weights": model.weights_hash, "task": request.task, **result.to_json()}
    (folder / "restored.json").write_text(json.dumps(about, indent=1, default=str) + "\n", encoding="utf-8")
    return result


def _damage(model: Model, request: Request) -> Damage:
    """The operator, not bound yet, once all that does not depend on a file has been checked."""
    more = request.more
    prepare(
        model, **{name: more[name] for name in ("solver", "steps", "grid", "guidance", "guidance_kind") if name in more}
    )
    check_method(more.get("method", AUTO))
    if request.samples < 1:
        raise UserError(f"samples must be at least 1, got {request.samples}")
    if isinstance(request.noise, float | int) and not 0 <= request.noise < float("inf"):
        raise UserError(f"noise is a standard deviation, at least 0 and finite; got {request.noise}")
    if request.peak is not None and model.card.codec.items.kind != "image":
        raise UserError("Poisson noise is that of pictures, and this model's items are none")
    if (request.task is None) == (request.operator is None):
        raise UserError("say what happened to the files, by --task or by --operator module:object, one of them")
    if request.task is None:
        assert request.operator is not None
        if request.options.given():
            raise UserError(f"--{request.options.given()[0]} goes with --task, not with --operator")
        return request.operator
    task = TASKS[request.task]
    task.check(request.task, request.options, model.item_shape)
    return task.operator(request.options)


def _restore_file(
    model: Model, path: Path, damage: Damage, request: Request, folder: Path, progress: Progress
) -> tuple[FileRestored, Row]:
    started = time.perf_counter()
    seen = observe(model, path, damage, request)
    given, codec = seen.given, model.card.codec
    # A latent model knows pictures of one size only.
    frame = Framed(seen.observation) if isinstance(codec, LatentCodec) else framed(seen.observation)
    scaled = in_model_scale(codec, frame.observation)
    restored = restore(
        model,
        scaled.operator,
        scaled.y,
        noise=scaled.noise,
        peak=request.peak,
        samples=request.samples,
        seed=request.seed,
        progress=progress,
        **request.more,
    )
    samples = frame.cut(restored.samples)
    values = torch.from_numpy(from_model(codec, samples.flatten(0, 1))).unflatten(0, samples.shape[:2])
    operator, y = seen.observation.operator, seen.observation.y.cpu()
    flat = values.flatten(0, 1).to(y.dtype)
    misfit = residual(operator, flat, y.repeat_interleave(request.samples, 0)).reshape(len(y), request.samples)
    folder.mkdir(parents=True, exist_ok=True)
    joined = given.joined(values)
    judged = _judged(given, seen, values)
    written, white = _write(folder, _unused(folder, path.stem), given, joined)
    outcome = FileRestored(
        file=str(path),
        files=[str(file) for file in written],
        shape=operator.bound_shape,
        method=restored.method,
        reason=restored.reason,
        settings={**asdict(restored.settings), "noise_estimated": seen.estimated},
        noise=seen.observation.noise,
        residual=misfit.tolist(),
        seconds=time.perf_counter() - started,
        std_white=white,
        notes=_notes(restored, operator, request),
        **judged,
    )
    return outcome, _row(outcome, seen, joined)


def _judged(given: Given, seen: Seen, values: Tensor) -> dict[str, float | None]:
    """How near the mean of the samples, and what was seen, are to the truth."""
    if seen.truth is None or not given.picture:
        return {}
    truth = given.joined(seen.truth[:, None])
    mean = given.joined(values.mean(1, keepdim=True)).clamp(-1, 1)
    judged: dict[str, float | None] = {"psnr": float(psnr(mean, truth))}
    if min(truth.shape[2:]) >= 11:
        judged["ssim"] = float(ssim(mean, truth))
    stages = standard_stages(max(truth.shape[2:])) if truth.shape[1] in (1, 3) else None
    if stages is not None:
        judged["learned"] = float(learned_distance(mean.cpu(), truth.cpu(), stages))
    if seen.observation.y.shape == seen.truth.shape:
        judged["before"] = float(psnr(given.joined(seen.observation.y[:, None]).clamp(-1, 1), truth))
    return judged


def _unused(folder: Path, stem: str) -> str:
    """A name that no file of the folder has; "sheet" is the sheet's."""
    number, name = 1, stem
    while name == "sheet" or (folder / f"{name}.png").exists() or (folder / f"{name}.npy").exists():
        number += 1
        name = f"{stem}-{number}"
    return name


def _write(folder: Path, name: str, given: Given, x: Tensor) -> tuple[list[Path], float | None]:
    """The files of one restoration: x is (k, C, H, W) for a picture and (B, k, *) for an array."""
    axis = 0 if given.picture else 1
    k = x.shape[axis]
    suffix, write = (".png", write_picture) if given.picture else (".npy", _write_items(given))
    files = {folder / f"{name}{suffix}": x.mean(axis)}
    if k == 1:
        for path, value in files.items():
            write(path, value)
        return list(files), None
    files |= {folder / f"{name}-{i + 1}{suffix}": x.select(axis, i) for i in range(k)}
    std = x.std(axis)
    white = None
    if given.picture:
        std = std.mean(0, keepdim=True)
        white = float(std.max())
        std = 2 * std / max(white, 1e-12) - 1
    files[folder / f"{name}-std{suffix}"] = std
    for path, value in files.items():
        write(path, value)
    return list(files), white


def _write_items(given: Given) -> Callable[[Path, Tensor], None]:
    def write(path: Path, items: Tensor) -> None:
        write_array(path, (items[0] if given.single else items).cpu().float().numpy())

    return write


def _notes(restored: Restored, operator: Operator, request: Request) -> list[str]:
    notes = []
    if request.task == "inpaint" and isinstance(operator, Masked):
        lost = 1 - float(operator.kept.broadcast_to(operator.bound_shape).mean())
        notes.append(f"{100 * lost:.1f} % is filled" + ("; if white is to be kept, add --invert" if lost > 0.8 else ""))
    if request.samples > 1 and not restored.posterior:
        notes.append(f"{restored.method} gives estimates, so that the spread of its samples is no error bar")
    return notes


def _row(outcome: FileRestored, seen: Seen, x: Tensor) -> Row:
    """The file on the sheet: what was seen, the mean, a sample, the spread, the truth."""
    given, y = seen.given, seen.observation.y
    title = f"{Path(outcome.file).name}: {outcome.method}"
    if not given.picture:
        shown = [("restored", x.mean(1)[0])]
        if y.shape[1:] == x.shape[2:]:
            shown.insert(0, ("seen", y[0]))
        if seen.truth is not None:
            shown.append(("truth", seen.truth[0]))
        return Row(title, shown)
    pictures = []
    if y.ndim == 4 and (given.split or y.shape[1] in (1, 3)):
        before = given.joined(y[:, None])[0]
        pictures.append(("seen", before))
    pictures.append(("restored" if len(x) == 1 else f"mean of {len(x)}", x.mean(0)))
    if len(x) > 1:
        std = x.std(0).mean(0, keepdim=True)
        pictures.append(("a sample", x[0]))
        pictures.append((f"std, white = {float(std.max()):.3g}", 2 * std / std.max().clamp_min(1e-12) - 1))
    if seen.truth is not None:
        pictures.append(("truth", given.joined(seen.truth[:, None])[0]))
    return Row(title, pictures)
