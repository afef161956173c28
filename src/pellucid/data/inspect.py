"""What a data set is, before any training: counts, sizes, labels, what is rejected and why, and a contact sheet."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..foundations.errors import UserError
from .arrays import Dataset, item_hashes, slices
from .codecs import SignalCodec
from .folder import Progress, load_folder
from .grid import picture_grid
from .images import Rejected
from .open import open_dataset
from .signal_sheet import signal_sheet
from .survey import Survey, survey_folder
from .table_codec import TableCodec
from .table_inspect import columns_in_words, table_of
from .table_looks import look_at
from .tokens import TokenCodec

_CAPTIONED = 96  # pixels: a picture over a caption is about so wide
_WIDEST = 16  # pictures in a row of a contact sheet with labels
_RANGES_LISTED = 32  # value ranges are listed column by column up to this many columns, else as one
_NOUNS = {
    "image": "pictures",
    "points": "points",
    "signal": "signals",
    "series": "series",
    "tokens": "texts",
    "table": "rows of a table",
}


@dataclass(frozen=True)
class Inspection:
    """What was found.

    Attributes:
        source: what was given.
        what: one line: "folder of pictures", ".npz file of points", ...
        count: items that will be used.
        shape: the shape of one item as a network sees it.
        sizes: for folders, {"width" | "height" | "shorter": (min, median, max)} in pixels, upright.
        formats: for folders, how many files of each format.
        modes: for folders, how many files of each of Pillow's modes.
        labels: how many items of each label; empty where there are none.
        conditions: what else items can be asked for by, in words, by name; of tables their columns.
        duplicates: items that equal an earlier one, byte by byte.
        value_range: (min, max) of all values, or of each column or channel where there are at most 32; () of texts.
        rejected: what was left out, and why.
        notes: a sentence each.
        dataset: the data set itself, for `contact_sheet` or for training.
    """

    source: str
    what: str
    count: int
    shape: tuple[int, ...]
    sizes: dict[str, tuple[float, float, float]]
    formats: dict[str, int]
    modes: dict[str, int]
    labels: dict[str, int]
    conditions: dict[str, str]
    duplicates: int
    value_range: tuple[tuple[float, float], ...]
    rejected: tuple[Rejected, ...]
    notes: tuple[str, ...]
    dataset: Dataset = field(repr=False, compare=False)

    def to_json(self) -> dict[str, Any]:
        """All but the data set, as values that `json.dumps` writes."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "dataset"}
        return values | {"rejected": [asdict(entry) for entry in self.rejected]}


def inspect(source: str | Path, *, progress: Progress | None = None, **options: Any) -> Inspection:
    """Opens a data set and describes it.

    Args:
        source: as for `open_dataset`.
        progress: called with (done, total) while a folder is decoded.
        options: size, channels, labels, kind, as for `open_dataset`, which checks them.

    Returns:
        The description; the open data set is its field `dataset`.

    Raises:
        UserError: as `open_dataset`.
    """
    path = Path(source).expanduser()
    survey: Survey | None = None
    if path.is_dir() and not set(options) - {"size", "channels", "labels"}:
        labels = options.get("labels")
        survey = survey_folder(path, labels_csv=labels)
        ds = load_folder(path, options.get("size"), options.get("channels"), labels, progress=progress, survey=survey)
    else:
        try:
            ds = open_dataset(source, progress=progress, **options)
        except UserError:
            table = None if options else table_of(source)  # not of points alone: then of columns of all kinds
            if table is None:
                raise
            ds = table
    return describe(ds, str(source), survey)


def describe(ds: Dataset, source: str, survey: Survey | None = None) -> Inspection:
    """The description of a data set that is already open."""
    noun = _NOUNS.get(ds.codec.kind, "items")
    path = Path(source).expanduser()
    if survey is not None:
        what = "folder of pictures"
    elif path.is_file():
        what = f"{path.suffix} file of {noun}"
    else:
        what = f"built-in {noun}"
    headers = survey.headers if survey else ()
    sizes = {}
    if headers:
        widths, heights = np.array([(header.width, header.height) for header in headers]).T
        named = {"width": widths, "height": heights, "shorter": np.minimum(widths, heights)}
        sizes = {key: (float(v.min()), float(np.median(v)), float(v.max())) for key, v in named.items()}
    counts = Counter(() if ds.labels is None else ds.labels.tolist())
    return Inspection(
        source=source,
        what=what,
        count=len(ds),
        shape=ds.shape,
        sizes=sizes,
        formats=dict(Counter(header.format for header in headers).most_common()),
        modes=dict(Counter(header.mode for header in headers).most_common()),
        labels={name: counts[i] for i, name in enumerate(ds.label_names)},
        conditions=columns_in_words(ds)
        if isinstance(ds.codec, TableCodec)
        else {column.part.name: column.part.sentence() for column in ds.columns},
        duplicates=len(ds) - len(np.unique(item_hashes(ds.items))),
        value_range=() if isinstance(ds.codec, TokenCodec | TableCodec) else _ranges(ds),
        rejected=ds.rejected,
        notes=(*ds.notes, *_of_texts(ds)),
        dataset=ds,
    )


def _of_texts(ds: Dataset) -> tuple[str, ...]:
    """The symbols, lengths and some items of a data set of texts, a sentence each."""
    if not isinstance(ds.codec, TokenCodec):
        return ()
    some = ds.codec.texts(np.asarray(ds.items[_spread(np.arange(len(ds)), 5)]))
    lengths = np.concatenate([(part != 0).sum(1) for part in slices(ds.items)])
    symbols = f"{ds.codec.sort}: {''.join(ds.codec.alphabet)!r}" if ds.codec.alphabet else ds.codec.sort
    return (
        f"{ds.codec.num_symbols - 1} {symbols}.",
        f"Texts have {lengths.min()} to {lengths.max()} {ds.codec.sort}, {lengths.mean():.1f} on average.",
        "For example " + ", ".join(repr(text if len(text) <= 60 else text[:57] + "...") for text in some) + ".",
    )


def _ranges(ds: Dataset) -> tuple[tuple[float, float], ...]:
    by_column = ds.codec.kind != "image" and ds.shape[0] <= _RANGES_LISTED
    lows, highs = [], []
    for part in slices(ds.items):
        flat = part.reshape(len(part), ds.shape[0], -1) if by_column else part.reshape(len(part), 1, -1)
        lows.append(np.fmin.reduce(flat, axis=(0, 2)))  # what is missing (NaN) has no say
        highs.append(np.fmax.reduce(flat, axis=(0, 2)))
    return tuple((float(a), float(b)) for a, b in zip(np.fmin.reduce(lows), np.fmax.reduce(highs), strict=True))


def contact_sheet(ds: Dataset, n: int = 64, *, captions: Sequence[str] | None = None) -> Image.Image:
    """About n items at one look: pictures in a grid, each over its caption where there are captions, else a row for
    each label where there are labels; points as a scatter plot of the first two columns (a histogram where there is
    one); signals as curves, a panel for each class or channel; tables column by column, all of their rows.

    The items are spread evenly over the data set, not taken from its start.

    Args:
        ds: the items.
        n: how many.
        captions: a text for each item; those of the first column of texts if absent.
    """
    if n < 1:
        raise ValueError(f"n must be >= 1, got {n}")
    if isinstance(ds.codec, TableCodec):
        return Image.open(io.BytesIO(look_at(ds.codec, {"rows": np.asarray(ds.items[:])}))).convert("RGB")
    if isinstance(ds.codec, TokenCodec):
        raise UserError("texts have no contact sheet: their description quotes some of them")
    if isinstance(ds.codec, SignalCodec):
        chosen = _spread(np.arange(len(ds)), n)
        return signal_sheet(
            np.asarray(ds.items[chosen]), None if ds.labels is None else ds.labels[chosen], ds.label_names
        )
    if ds.codec.kind != "image":
        return _plot(ds, n)
    if captions is None:
        captions = next((column.words.tolist() for column in ds.columns if column.words is not None), None)
    if captions is not None:
        chosen = _spread(np.arange(len(ds)), n)
        scale = max(1, _CAPTIONED // ds.shape[-1])
        columns = max(1, round(float(np.sqrt(1.5 * len(chosen)))))  # a caption is about half as high as its picture
        told = [captions[i] for i in chosen]
        return picture_grid(np.asarray(ds.items[chosen]), columns=columns, scale=scale, captions=told)
    scale = max(1, 56 // ds.shape[-1])
    if ds.labels is None:
        chosen = _spread(np.arange(len(ds)), n)
        columns = max(1, round(float(np.sqrt(len(chosen) * ds.shape[1] / ds.shape[2]))))
        return picture_grid(np.asarray(ds.items[chosen]), columns=columns, scale=scale)
    present = [label for label in range(len(ds.label_names)) if (ds.labels == label).any()]
    each = max(1, -(-n // len(present)))
    columns = min(each, _WIDEST)
    blank = np.full((1, *ds.shape), 255, np.uint8)
    pictures: list[NDArray[Any]] = []
    titles: list[str] = []
    for label in present:
        chosen = np.asarray(ds.items[_spread(np.flatnonzero(ds.labels == label), each)])
        rows = -(-len(chosen) // columns)
        pictures += [chosen, blank.repeat(rows * columns - len(chosen), axis=0)]
        titles += [ds.label_names[label], *[""] * (rows - 1)]
    return picture_grid(np.concatenate(pictures), columns=columns, scale=scale, row_titles=titles)


def _spread(indices: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    return indices[np.linspace(0, len(indices) - 1, min(n, len(indices))).astype(np.int64)]


def _plot(ds: Dataset, n: int) -> Image.Image:
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # here, as it takes a second
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 6), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    chosen = _spread(np.arange(len(ds)), max(n, 5000))
    items = np.asarray(ds.items[chosen])
    colours = "C0" if ds.labels is None else [f"C{label % 10}" for label in ds.labels[chosen]]
    if ds.shape[0] == 1:
        axes.hist(items[:, 0], bins=60)
    else:
        axes.scatter(items[:, 0], items[:, 1], s=4, c=colours, linewidths=0)
        axes.set_aspect("equal", adjustable="datalim")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return Image.open(io.BytesIO(buffer.getvalue())).convert("RGB")
