"""Files that promise too much, are squeezed, or point outside their folder are refused with a sentence."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pellucid.data.cells import cells_of
from pellucid.data.open import open_dataset
from pellucid.foundations.errors import UserError


@pytest.mark.parametrize("name", ["data.csv", "times.csv"])
def test_a_cell_without_end_is_refused(tmp_path: Path, name: str) -> None:
    header = "a,b" if name == "data.csv" else "time,b"
    (tmp_path / name).write_text(f'{header}\n1,"{"9" * 200_000}"\n')
    with pytest.raises(UserError, match=r"line 2 cannot be read as csv: field larger"):
        open_dataset(tmp_path / name)
    assert cells_of('1; "a;"b;c" ;', ";", path="x", number=1) == ["1", '"a', "b;c", ""]


def test_an_npy_that_promises_more_than_it_holds(tmp_path: Path) -> None:
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000000,), }\n"
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(64))
    with pytest.raises(UserError, match=r"promises 1,000,000,000,000,000 values of float64, and 64 bytes follow"):
        open_dataset(tmp_path / "a.npy")


def test_a_squeezed_npz_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", bytes((1 << 28) + 1))
    with pytest.raises(UserError, match=r"'x.npy' would grow from .* to 268,435,457 bytes"):
        open_dataset(tmp_path / "a.npz")


@pytest.mark.parametrize("cell", ["../secret.png", "a/../../secret.png", "{secret}"])
def test_a_table_cannot_name_a_picture_outside_its_folder(tmp_path: Path, cell: str) -> None:
    folder, secret = tmp_path / "p", tmp_path / "secret.png"
    folder.mkdir()
    for path in (folder / "a.png", secret):
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(path)
    (folder / "metadata.csv").write_text(f"file_name,other\na.png,{cell.replace('{secret}', str(secret))}\n")
    with pytest.raises(UserError, match=r"lies outside .*put it into the folder"):
        open_dataset(folder)


def test_a_table_of_a_folder_with_a_cell_without_end(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "labels.csv").write_text(f"file,label\na.png,{'x' * 200_000}\n")
    with pytest.raises(UserError, match=r"cannot be read as csv: field larger"):
        open_dataset(tmp_path)
