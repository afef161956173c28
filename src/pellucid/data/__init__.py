"""Layer 0: the data: from files and arrays to items, and from a position in training to an item."""

from .arrays import Dataset, split
from .builtin import BUILTIN
from .codecs import CODECS, Codec, ImageCodec, PointsCodec, SignalCodec, codec_from_json
from .column import Column
from .conditions import Part
from .folder import load_folder
from .grid import picture_grid
from .images import Rejected, read_picture
from .inspect import Inspection, contact_sheet, inspect
from .open import open_dataset
from .order import item_at
from .rows import Rows

__all__ = [
    "BUILTIN",
    "CODECS",
    "Codec",
    "Column",
    "Dataset",
    "ImageCodec",
    "Inspection",
    "Part",
    "PointsCodec",
    "Rejected",
    "Rows",
    "SignalCodec",
    "codec_from_json",
    "contact_sheet",
    "inspect",
    "item_at",
    "load_folder",
    "open_dataset",
    "picture_grid",
    "read_picture",
    "split",
]
