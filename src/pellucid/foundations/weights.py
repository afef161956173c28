"""Tensors from a file of weights that somebody else wrote, without executing anything that is in it.

A .pth file is a program for a stack machine (pickle) that can call any function of any library. The weights of a
network need seven harmless instructions of it: numbers, texts, tuples, lists, dictionaries, the name of a kind of
storage, and "a tensor of this shape lies there". The machine below knows these and no other: a name is only ever looked
up in a table of its own, so there is nothing that a file could call. What does not fit is refused by name.

Both layouts are read: the archive (zip) of today, and the stream that torch wrote before 1.6, in which three small
programs precede the weights' and the numbers follow.
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from .errors import UserError

_MAGIC = 0x1950A86A20F9469CFC6C  # at the beginning of the old layout
_STORAGES = {
    f"torch.{name}Storage": dtype
    for name, dtype in {
        "Float": torch.float32,
        "Half": torch.float16,
        "BFloat16": torch.bfloat16,
        "Double": torch.float64,
        "Long": torch.int64,
        "Int": torch.int32,
        "Short": torch.int16,
        "Byte": torch.uint8,
        "Bool": torch.bool,
    }.items()
}
_DICTIONARY = "collections.OrderedDict"
_TENSOR = "torch._utils._rebuild_tensor_v2"
_PARAMETER = "torch._utils._rebuild_parameter"
_KNOWN = {*_STORAGES, _DICTIONARY, _TENSOR, _PARAMETER}


def read_weights(path: Path) -> dict[str, Tensor]:
    """Named tensors of a .safetensors file, or of a .pth file that holds a plain dictionary of tensors.

    Args:
        path: the file.

    Raises:
        UserError: no such file, a TorchScript archive, or a file that holds anything but tensors by name.
    """
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load(path.read_bytes())
        if zipfile.is_zipfile(path):
            return _of_archive(path)
        return _of_stream(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    except _Odd as error:
        raise UserError(f"{path} is no plain file of weights: {error}. Convert it to .safetensors") from None
    except (
        safetensors.SafetensorError, zipfile.BadZipFile, struct.error, KeyError, IndexError, ValueError, TypeError,
        RuntimeError,
    ) as error:  # fmt: skip
        raise UserError(f"{path} is damaged or no file of weights ({type(error).__name__})") from None


class _Odd(Exception):
    """What a file holds beside tensors."""


@dataclass(frozen=True)
class _Named:
    """A name that a file refers to; it stands for itself and nothing is looked up."""

    name: str


@dataclass(frozen=True)
class _Placed:
    """A tensor that lies in a storage."""

    storage: str
    dtype: torch.dtype
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    def tensor(self, content: bytes) -> Tensor:
        """The tensor itself, from the storage's bytes."""
        if not self.size or 0 in self.size:
            count = 1 if not self.size else 0
        else:
            count = 1 + sum((n - 1) * step for n, step in zip(self.size, self.stride, strict=True))
        numbers = (
            torch.frombuffer(bytearray(content), dtype=self.dtype) if content else torch.empty(0, dtype=self.dtype)
        )
        if self.offset < 0 or min(self.stride, default=0) < 0 or self.offset + count > len(numbers):
            raise ValueError("a tensor reaches beyond its storage")
        return numbers.as_strided(self.size, self.stride, self.offset).clone()


def _of_archive(path: Path) -> dict[str, Tensor]:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        top = names[0].split("/")[0]
        if any(name.startswith(f"{top}/code/") for name in names):
            raise _Odd("it is a TorchScript archive, which holds a program, and nothing that is read is executed")
        machine = _Machine(archive.read(f"{top}/data.pkl"))
        placed = _named(machine.run())
        storages = {each.storage: archive.read(f"{top}/data/{each.storage}") for each in placed.values()}
    return {name: each.tensor(storages[each.storage]) for name, each in placed.items()}


def _of_stream(content: bytes) -> dict[str, Tensor]:
    machine = _Machine(content)
    if machine.run() != _MAGIC:
        raise _Odd("it does not begin as torch's files do")
    machine.run()  # the version of the layout
    machine.run()  # the machine that wrote it
    placed = _named(machine.run())
    keys = machine.run()
    widths = {each.storage: torch.empty(0, dtype=each.dtype).element_size() for each in placed.values()}
    storages = {}
    for key in keys:
        (count,) = struct.unpack("<q", machine.take(8))
        storages[key] = machine.take(count * widths[key])
    return {name: each.tensor(storages[each.storage]) for name, each in placed.items()}


def _named(found: Any) -> dict[str, _Placed]:
    """The tensors of the dictionary that a program left; one that holds it under "state_dict" is unwrapped."""
    if isinstance(found, dict) and isinstance(found.get("state_dict"), dict):
        found = found["state_dict"]
    if not isinstance(found, dict):
        raise _Odd(f"it holds a {type(found).__name__} where a dictionary of tensors is expected")
    odd = [str(name) for name, value in found.items() if not isinstance(value, _Placed) or not isinstance(name, str)]
    if odd:
        raise _Odd(f"{odd[0]!r} in it is no tensor")
    return found


@dataclass
class _Machine:
    """The stack machine, for the instructions that weights need."""

    content: bytes
    at: int = 0
    stack: list[Any] = field(default_factory=list)
    marks: list[int] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)

    def take(self, count: int) -> bytes:
        """The next bytes."""
        if count < 0 or self.at + count > len(self.content):
            raise ValueError("the file ends too early")
        self.at += count
        return self.content[self.at - count : self.at]

    def run(self) -> Any:
        """Runs one program to its end, and returns what it leaves."""
        self.stack, self.marks, self.memo = [], [], {}
        while True:
            code = self.take(1)[0]
            if code == ord("."):
                return self.stack.pop()
            step = _STEPS.get(code)
            if step is None:
                raise _Odd(f"it asks for the instruction {code:#04x}, which tensors do not need")
            step(self)

    def number(self, form: str) -> Any:
        """The next number, in `struct`'s words."""
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def line(self) -> str:
        """The next line."""
        end = self.content.index(b"\n", self.at)
        return self.take(end + 1 - self.at)[:-1].decode("ascii")

    def marked(self) -> list[Any]:
        """What was put down since the last mark."""
        start = self.marks.pop()
        found = self.stack[start:]
        del self.stack[start:]
        return found

    def last(self, count: int) -> None:
        """A tuple of the last things."""
        found = tuple(self.stack[-count:])
        del self.stack[-count:]
        self.stack.append(found)

    def refer(self) -> None:
        name = f"{self.line()}.{self.line()}"
        if name not in _KNOWN:
            raise _Odd(f"it refers to {name}, which is no part of a dictionary of tensors")
        self.stack.append(_Named(name))

    def store(self) -> None:
        """A storage, told by its kind and its key."""
        told = self.stack.pop()
        if told[0] != "storage" or not isinstance(told[1], _Named):
            raise _Odd("it holds something else than storages")
        self.stack.append((_STORAGES[told[1].name], str(told[2])))

    def build(self) -> None:
        """What a call would make: an empty dictionary, or a tensor that lies somewhere."""
        given, what = self.stack.pop(), self.stack.pop()
        if not isinstance(what, _Named) or what.name in _STORAGES:
            raise _Odd("it calls something")
        if what.name == _DICTIONARY:
            if given:
                raise _Odd("it fills a dictionary in a way that torch does not")
            self.stack.append({})
        elif what.name == _PARAMETER:
            self.stack.append(given[0])
        else:
            (dtype, key), offset, size, stride = given[:4]
            self.stack.append(_Placed(key, dtype, offset, tuple(size), tuple(stride)))

    def attributes(self) -> None:
        """Facts beside a dictionary, which weights do not need."""
        self.stack.pop()
        if not isinstance(self.stack[-1], dict):
            raise _Odd("it gives attributes to something")

    def items(self) -> None:
        found = self.marked()
        self.stack[-1].update(zip(found[::2], found[1::2], strict=True))

    def item(self) -> None:
        value, name = self.stack.pop(), self.stack.pop()
        self.stack[-1][name] = value

    def push(self, value: Any) -> None:
        self.stack.append(value)


def _remember(form: str) -> Callable[[_Machine], None]:
    def step(m: _Machine) -> None:
        m.memo[m.number(form)] = m.stack[-1]

    return step


_STEPS: Mapping[int, Callable[[_Machine], Any]] = {
    0x80: lambda m: m.number("<B"),
    ord("("): lambda m: m.marks.append(len(m.stack)),
    ord("c"): _Machine.refer,
    ord("Q"): _Machine.store,
    ord("R"): _Machine.build,
    ord("b"): _Machine.attributes,
    ord("u"): _Machine.items,
    ord("s"): _Machine.item,
    ord("e"): lambda m: (found := m.marked(), m.stack[-1].extend(found)),
    ord("a"): lambda m: (value := m.stack.pop(), m.stack[-1].append(value)),
    ord("q"): _remember("<B"),
    ord("r"): _remember("<I"),
    ord("h"): lambda m: m.push(m.memo[m.number("<B")]),
    ord("j"): lambda m: m.push(m.memo[m.number("<I")]),
    ord("X"): lambda m: m.push(m.take(m.number("<I")).decode("utf-8")),
    ord("J"): lambda m: m.push(m.number("<i")),
    ord("K"): lambda m: m.push(m.number("<B")),
    ord("M"): lambda m: m.push(m.number("<H")),
    0x8A: lambda m: m.push(int.from_bytes(m.take(m.number("<B")), "little", signed=True)),
    ord("G"): lambda m: m.push(m.number(">d")),
    ord("N"): lambda m: m.push(None),
    0x88: lambda m: m.push(True),
    0x89: lambda m: m.push(False),
    ord(")"): lambda m: m.push(()),
    ord("}"): lambda m: m.push({}),
    ord("]"): lambda m: m.push([]),
    ord("t"): lambda m: m.push(tuple(m.marked())),
    0x85: lambda m: m.last(1),
    0x86: lambda m: m.last(2),
    0x87: lambda m: m.last(3),
}
