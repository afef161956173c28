"""Samples of an autoencoder as files, each carrying what is needed to make it again."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path

from PIL import Image
from torch import Tensor

from ..data.arrays import Dataset
from ..data.inspect import contact_sheet
from ..generate import batch_for
from ..made import DECODER, Made, Provenance, new_folder, write_items
from ..sampling import Settings
from .model import AutoencoderCard, AutoencoderModel


def make_decoded(
    model: AutoencoderModel,
    num: int,
    *,
    out: Path | None = None,
    label: Sequence[str | int] | str | int | None = None,
    seed: int = 0,
    first: int = 0,
    batch_size: int | None = None,
) -> Made:
    """Samples of a VAE into files: a picture each, or one csv or npy where samples are no pictures, and a sheet of all.

    Args:
        model: from `load_autoencoder`.
        num: how many; see `AutoencoderModel.sample` for this and the rest.
        out: a folder that does not exist or is empty; MODEL/made-1, numbered, if absent.

    Raises:
        UserError: a code book, which has no law of its codes, unknown labels, or a folder in use; nothing is written.
    """
    size = batch_size or batch_for(model.shape)
    folder = new_folder(out, Path(model.origin) if Path(model.origin).is_dir() else Path(), "made")
    started = time.perf_counter()
    samples = model.sample(num, label=label, seed=seed, first=first, batch_size=size)
    seconds = time.perf_counter() - started
    ids = range(first, first + num)
    labels = model.labels_for(ids, label)
    names = (*model.card.label_names, "none")
    asked = None if label is None else tuple(map(str, [label] if isinstance(label, str | int) else label))
    settings = Settings(DECODER, 1, "none", 1.0, None, seed)
    told = [
        Provenance(
            model.origin,
            model.weights_hash,
            settings,
            i,
            None if labels is None else names[int(labels[i - first])],
            (batch.start, len(batch)),
            asked,
        )
        for batch in (ids[start : start + size] for start in range(0, num, size))
        for i in batch
    ]
    folder.mkdir(parents=True, exist_ok=True)
    files = write_items(model.card.codec.kind, folder, model.to_items(samples), told)
    together = folder / "sheet.png"
    sheet(model.card, samples, labels).save(together)
    (folder / "made.json").write_text(json.dumps([p.to_json() for p in told], indent=1) + "\n", encoding="utf-8")
    return Made(folder, tuple(files), together, seconds)


def sheet(card: AutoencoderCard, x: Tensor, labels: Tensor | None) -> Image.Image:
    """Items at one look, by class where there are classes; a plot where they are no pictures."""
    names = (*card.label_names, "none")
    by_class = None if labels is None else labels.cpu().numpy()
    items = card.codec.decode(x)
    return contact_sheet(Dataset(items, by_class, () if labels is None else names, card.codec, "samples"), len(x))
