"""Files that other packages ship, found without importing these, which can take seconds."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from ..foundations.errors import MissingExtra, UserError


def shipped(module: str, package: str, purpose: str, inside: str) -> Path:
    """The path of a file that a package ships.

    Args:
        module: what the package is imported as.
        package: what it is installed as.
        purpose: what needs it, for the error.
        inside: the file's path within the module's folder.

    Raises:
        UserError: no such package, or none with such a file.
    """
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise MissingExtra(package, "data", purpose)
    file = Path(spec.origin).parent / inside
    if not file.is_file():
        raise UserError(f"{purpose} is read from {inside}, which this version of {package} does not ship; update it")
    return file
