"""How good a model is by what it did not see: samples, features and all metrics, each number with its error bar.

kept      samples and features in shards on the disk, so that an interrupted evaluation goes on where it stopped
features  what is compared: the numbers, components, a classifier's features, a network's
numbers   every metric that applies, for all and for each class
looks     which samples are worst, and which real items the model misses
evaluated all of it of one model, as values; `write` puts it on a page and into JSON
"""

from .evaluated import evaluated
from .page import FOLDER, kept_section, page, write
from .result import Evaluated

__all__ = ["FOLDER", "Evaluated", "evaluated", "kept_section", "page", "write"]
