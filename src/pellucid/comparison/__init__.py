"""Models of any kind side by side, on the same held-out items."""

from .compare import Comparison, Entry, compare
from .page import write_comparison
from .tables import axis_lines, tables

__all__ = ["Comparison", "Entry", "axis_lines", "compare", "tables", "write_comparison"]
