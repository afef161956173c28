"""What damages data, read from files that a user names: masks, blur kernels, and operators of the user's own code."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..data.files import read_array
from ..data.images import Unreadable, read_picture
from ..foundations.errors import UserError, closest

_SURE = 32  # levels: a mask's pixels are this near to black or white, as JPEG may leave them


def read_mask(path: Path, *, invert: bool = False) -> Tensor:
    """A mask's file as what `operators.Mask` wants: 1 where values are kept.

    Raises:
        UserError: no file, or one that is not black and white.
    """
    if path.suffix.lower() == ".npy":
        marks = read_array(path)
        if marks.dtype.kind not in "biuf" or not np.isin(marks, (0, 1)).all():
            raise UserError(f"the mask {path} holds other values than 0 (kept) and 1 (lost)")
        lost = torch.from_numpy(marks.astype(bool))
    else:
        levels = torch.from_numpy(_grey(path, "mask"))
        if bool(((levels > _SURE) & (levels < 255 - _SURE)).any()):
            raise UserError(
                f"the mask {path} has grey pixels: it must be black where the picture is kept and white where it is to "
                "be filled"
            )
        lost = levels > 127
    if invert:
        lost = ~lost
    if bool(lost.all()):
        raise UserError(f"the mask {path} marks all as lost, and nothing is left to restore from; see --invert")
    return (~lost).float()


def read_kernel(path: Path) -> Tensor:
    """A blur kernel's file: a grey picture, whose levels are scaled to sum to one, or a .npy, taken as it is.

    Raises:
        UserError: no file, a picture that is colour or black.
    """
    if path.suffix.lower() == ".npy":
        values = read_array(path)
        if values.dtype.kind not in "iuf":
            raise UserError(f"the kernel {path} holds {values.dtype}, and numbers are needed")
        return torch.from_numpy(values.astype(np.float64))
    levels = torch.from_numpy(_grey(path, "kernel")).double()
    if not bool(levels.any()):
        raise UserError(f"the kernel {path} is black: it is bright where a bright point is spread to")
    return levels / levels.sum()


def _grey(path: Path, what: str) -> Any:
    try:
        picture = read_picture(path)
    except Unreadable as error:
        raise UserError(f"the {what} {path} cannot be read: {error}") from None
    if picture.mode != "L":
        raise UserError(f"the {what} {path} is a colour picture, and a grey one is needed")
    return np.array(picture, dtype=np.uint8)


def user_operator(named: str) -> Any:
    """What `module:object` names: an operator, a matrix or a linear function. Only what the user typed is imported.

    The module is one that Python finds, also in the working folder, or a file that ends in .py. A class is called
    without arguments.

    Raises:
        UserError: no such module or object, or an error while it is imported.
    """
    where, _, name = named.rpartition(":")
    if not where or not name:
        raise UserError(f"--operator is module:object or file.py:object, such as my_damage:blur, not {named!r}")
    try:
        if where.endswith(".py"):
            described = importlib.util.spec_from_file_location(Path(where).stem, where)
            if described is None or described.loader is None:
                raise UserError(f"{where!r} is no Python file")
            module = importlib.util.module_from_spec(described)
            described.loader.exec_module(module)
        else:
            if "" not in sys.path:
                sys.path.insert(0, "")
            module = importlib.import_module(where)
    except UserError:
        raise
    except (ModuleNotFoundError, FileNotFoundError) as error:
        raise UserError(f"--operator {named}: {error}") from None
    except Exception as error:
        raise UserError(f"--operator {named} fails while it is imported: {type(error).__name__}: {error}") from error
    found: Any = module
    for part in name.split("."):
        if part not in dir(found):
            near = closest(part, [each for each in dir(found) if not each.startswith("_")])
            hint = f"; did you mean {near!r}?" if near else ""
            raise UserError(f"{where} has no {part!r}{hint}")
        found = getattr(found, part)
    if isinstance(found, type):
        try:
            found = found()
        except Exception as error:
            raise UserError(f"--operator {named} fails when it is made: {type(error).__name__}: {error}") from error
    return torch.from_numpy(found) if isinstance(found, np.ndarray) else found
