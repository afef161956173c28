"""Files of weights: what torch wrote is read as torch reads it, and nothing in a file runs."""

from __future__ import annotations

import collections
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from pellucid.foundations.errors import UserError
from pellucid.foundations.weights import read_weights

NETWORK = torch.nn.Sequential(torch.nn.Conv2d(3, 5, 3), torch.nn.BatchNorm2d(5), torch.nn.Linear(4, 2))


@pytest.mark.parametrize("layout", ["archive", "stream"])
def test_what_torch_wrote(tmp_path: Path, layout: str) -> None:
    weights: dict[str, Any] = dict(NETWORK.state_dict())
    shared = torch.arange(12.0)
    weights |= {
        "slice": shared[3:9].reshape(2, 3).T,
        "half": shared.half(),
        "flags": shared > 4,
        "one": torch.tensor(7),
    }
    file = tmp_path / "weights.pth"
    torch.save(collections.OrderedDict(weights), file, _use_new_zipfile_serialization=layout == "archive")
    found = read_weights(file)
    assert list(found) == list(weights)
    for name, tensor in weights.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor.detach()), name


def test_a_state_dict_with_its_parameters_inside(tmp_path: Path) -> None:
    torch.save({"state_dict": {"w": torch.nn.Parameter(torch.ones(3))}, "epoch": 4}, tmp_path / "w.pth")
    assert torch.equal(read_weights(tmp_path / "w.pth")["w"], torch.ones(3))


class Trap:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("layout", ["archive", "stream"])
def test_nothing_in_a_file_runs(tmp_path: Path, layout: str) -> None:
    mark, file = tmp_path / "it ran", tmp_path / "trap.pth"
    torch.save({"w": torch.ones(2), "x": Trap(mark)}, file, _use_new_zipfile_serialization=layout == "archive")
    with pytest.raises(UserError, match=r"refers to posix.mkdir|refers to nt.mkdir"):
        read_weights(file)
    assert not mark.exists()
    torch.load(file, weights_only=False)  # the same file in torch's own hands
    assert mark.exists()


def test_what_is_no_file_of_weights(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "script.pt", "w") as archive:  # as torch.jit.save lays it out
        archive.writestr("script/data.pkl", b"")
        archive.writestr("script/code/__torch__.py", "def forward(self): ...")
    for name, content, told in (
        ("list.pth", pickle.dumps([1, 2]), "does not begin as torch's files do|instruction"),
        ("text.pth", b"hello", "damaged|instruction"),
        ("empty.pth", b"", "damaged"),
        ("bad.safetensors", b"hello", "damaged"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=told):
            read_weights(tmp_path / name)
    with pytest.raises(UserError, match="TorchScript archive"):
        read_weights(tmp_path / "script.pt")
    with pytest.raises(UserError, match="No such file"):
        read_weights(tmp_path / "none.pth")
    torch.save({"w": torch.ones(3), "epoch": 3}, tmp_path / "epoch.pth")
    with pytest.raises(UserError, match="'epoch' in it is no tensor"):
        read_weights(tmp_path / "epoch.pth")


@pytest.mark.parametrize("layout", ["archive", "stream"])
def test_a_file_that_is_cut_short(tmp_path: Path, layout: str) -> None:
    file = tmp_path / "w.pth"
    torch.save({"w": torch.ones(100)}, file, _use_new_zipfile_serialization=layout == "archive")
    content = file.read_bytes()
    for size in range(0, len(content), 97):
        file.write_bytes(content[:size])
        with pytest.raises(UserError):
            read_weights(file)
