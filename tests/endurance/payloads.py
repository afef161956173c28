"""Files made to run something, to reach outside their folder or to exhaust whoever reads them.

Pickles are written by hand in the protocol's own text form, so that nothing here has to import a pickler:
`c` names a function, `(S'...'t` its arguments, `R` calls it, `.` ends.
"""

from __future__ import annotations

import hashlib
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from pellucid.train import checkpoint

from ..data.pictures import chunk, huge_png, png

Make = Callable[[Path, str], Path]  # (folder, command) -> what is opened


def pickled(command: str) -> bytes:
    """A pickle that runs a command as it is read."""
    return b"cos\nsystem\n(S'" + command.encode() + b"'\ntR."


def npy(header: str, body: bytes = b"") -> bytes:
    """A .npy file with any header."""
    text = header.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + body


def whole_npy(values: np.ndarray) -> bytes:
    """A .npy file as it should be."""
    buffer = io.BytesIO()
    np.save(buffer, values, allow_pickle=False)
    return buffer.getvalue()


def zipped(folder: Path, entries: dict[str, bytes]) -> Path:
    """A .npz with any entries, squeezed."""
    path = folder / "data.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


def written(folder: Path, name: str, content: bytes | str) -> Path:
    """One file, and the path to it."""
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def resealed(folder: Path, changes: dict[str, bytes], names: dict[str, str] | None = None) -> Path:
    """A checkpoint whose files were exchanged and whose manifest was made to fit again, as its attacker can."""
    path = folder / "step-00000001"
    checkpoint.save(path, {"model.safetensors": {}, "state.json": {"step": 1}})
    manifest = json.loads((path / checkpoint.MANIFEST).read_bytes())
    manifest.pop("sha256")
    for name, content in changes.items():
        (path / name).write_bytes(content)
        manifest["files"][name] = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    for name, other in (names or {}).items():
        manifest["files"][other] = manifest["files"].pop(name)
    manifest["sha256"] = hashlib.sha256(checkpoint._json(manifest)).hexdigest()
    (path / checkpoint.MANIFEST).write_bytes(checkpoint._json(manifest))
    return path


def pictures(folder: Path, **files: bytes) -> Path:
    """A folder with one good picture and others; `a__png` is a.png."""
    inner = folder / "pictures"
    inner.mkdir()
    written(inner, "good.png", png(8, 8, 8, 0, (b"\0" + bytes(range(8))) * 8))
    for name, content in files.items():
        written(inner, name.replace("__", "."), content)
    return inner


_OBJECTS = "{'descr': '|O', 'fortran_order': False, 'shape': (3,), }"
_POINTS = whole_npy(np.arange(12.0).reshape(6, 2))
_BILLION = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"{new}: &{new} [{', '.join(['*' + old] * 9)}]\n" for old, new in zip("abcdefghi", "bcdefghij", strict=True)
)
_MAPS = "a: &a {x: 1}\n" + "".join(
    f"{new}: &{new} {{{', '.join(f'k{i}: *{old}' for i in range(9))}}}\n"
    for old, new in zip("abcdefghi", "bcdefghij", strict=True)
)

DATA: dict[str, Make] = {
    **{
        f"a pickle called data{suffix}": (lambda f, c, suffix=suffix: written(f, f"data{suffix}", pickled(c)))
        for suffix in (".npy", ".npz", ".csv", ".tsv", ".txt", ".ts", ".pt", ".pkl", ".bin", ".safetensors", ".h5")
    },
    "npy of objects": lambda f, c: written(f, "data.npy", npy(_OBJECTS, pickled(c))),
    "npy of records with an object": lambda f, c: written(
        f, "data.npy", npy("{'descr': [('x', '|O')], 'fortran_order': False, 'shape': (3,), }", pickled(c))
    ),
    "npy whose header is an expression": lambda f, c: written(
        f, "data.npy", npy(f"__import__('os').system({c!r})", bytes(64))
    ),
    "npy that claims 10^15 values": lambda f, c: written(
        f, "data.npy", npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000000,), }", bytes(64))
    ),
    "npy whose header is a thousand brackets deep": lambda f, c: written(
        f, "data.npy", npy("(" * 9000 + ")" * 9000, bytes(64))
    ),
    "npz with an array of objects": lambda f, c: zipped(f, {"x.npy": npy(_OBJECTS, pickled(c))}),
    "npz with objects as labels": lambda f, c: zipped(f, {"x.npy": _POINTS, "y.npy": npy(_OBJECTS, pickled(c))}),
    "npz with a pickle as an entry": lambda f, c: zipped(
        f, {"x.npy": _POINTS, "y": pickled(c), "label.pkl": pickled(c)}
    ),
    "npz with entries that point up": lambda f, c: zipped(f, {"x.npy": _POINTS, "../../up.npy": _POINTS}),
    "npz with absolute entries": lambda f, c: zipped(f, {"x.npy": _POINTS, "/tmp/absolute.npy": _POINTS}),
    "npz bomb: 256 MB in 250 KB": lambda f, c: zipped(
        f,
        {"x.npy": npy("{'descr': '<f8', 'fortran_order': False, 'shape': (9999999999999,), }", bytes(1 << 28))},
    ),
    "csv of spreadsheet formulas": lambda f, c: written(
        f, "data.csv", f"a,b,label\n1,2,\"=cmd|'/C {c}'!A0\"\n3,4,@SUM(1+1)*cmd|x\n5,6,+1\n"
    ),
    "csv of expressions": lambda f, c: written(f, "data.csv", f"a,b\n__import__('os').system('{c}'),2\n1,2\n"),
    "csv with zero bytes": lambda f, c: written(f, "data.csv", b"a,b\n1,2\n\0\0,\0\n"),
    "csv with a cell of 10 MB": lambda f, c: written(f, "data.csv", 'a,b\n1,"' + "9" * 10_000_000 + '"\n'),
    "csv that is not UTF-8": lambda f, c: written(f, "data.csv", b"a,b\n\xff\xfe,2\n"),
    "csv with a quote never closed": lambda f, c: written(f, "data.csv", 'a,b\n1,"2\n3,4\n'),
    "a folder with pickles called pictures": lambda f, c: pictures(f, a__png=pickled(c), b__jpg=pickled(c)),
    "PostScript, SVG and a script called pictures": lambda f, c: pictures(
        f,
        a__png=f"%!PS-Adobe-3.0 EPSF-3.0\n(%pipe%{c}) (w) file".encode(),
        b__jpg=f'<svg xmlns="http://www.w3.org/2000/svg"><script>{c}</script></svg>'.encode(),
        c__gif=f"#!/bin/sh\n{c}\n".encode(),
    ),
    "a picture of 400 megapixels in 50 KB": lambda f, c: pictures(f, a__png=huge_png(20_000, 20_000)),
    "a picture with a text of 100 MB squeezed in": lambda f, c: pictures(
        f,
        a__png=png(8, 8, 8, 0, bytes(72), extra=chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(100_000_000), 9))),
    ),
    "a colour profile of 100 MB squeezed in": lambda f, c: pictures(
        f, a__png=png(8, 8, 8, 0, bytes(72), extra=chunk(b"iCCP", b"p\0\0" + zlib.compress(bytes(100_000_000), 9)))
    ),
    "a labels.csv that names files above": lambda f, c: _told(
        f, "labels.csv", "file,label\n{good},a\n../secret.png,b\n"
    ),
    "a metadata.csv whose column names a picture above": lambda f, c: _told(
        f, "metadata.csv", "file_name,other\n{good},../secret.png\n"
    ),
    "a metadata.csv whose column names an absolute path": lambda f, c: _told(
        f, "metadata.csv", "file_name,other\n{good},{secret}\n"
    ),
}


def _told(folder: Path, name: str, text: str) -> Path:
    inner = pictures(folder)
    written(inner, name, text.replace("{good}", "good.png").replace("{secret}", str(folder / "secret.png")))
    return inner


def _yaml(text: str) -> Make:
    return lambda f, c: written(f, "config.yaml", text.replace("COMMAND", c))


CONFIGS: dict[str, Make] = {
    "yaml that calls a function": _yaml('recipe: !!python/object/apply:os.system ["COMMAND"]\n'),
    "yaml that makes an object": _yaml('recipe: !!python/object/new:os.system ["COMMAND"]\n'),
    "yaml that names a module": _yaml("recipe: !!python/module:antigravity\n"),
    "yaml that names a function": _yaml("recipe: !!python/name:os.system\n"),
    "yaml with a tag of its own": _yaml("recipe: !run COMMAND\n"),
    "yaml of two documents": _yaml("recipe: a\n---\nrecipe: !!python/object/apply:os.system ['COMMAND']\n"),
    "yaml with a key that stands twice": _yaml("training: {lr: 1.0e-3}\ntraining: {lr: 1.0}\n"),
    "yaml with a key twice by merging": _yaml("a: &a {lr: 1.0}\ntraining:\n  <<: *a\n  lr: 2.0\n"),
    "yaml of 9^9 aliases": _yaml(_BILLION),
    "yaml of 9^9 aliases of mappings": _yaml(_MAPS),
    "yaml that contains itself": _yaml("a: &a [*a]\nb: &b {c: *b}\n"),
    "yaml 100,000 brackets deep": _yaml("a: " + "[" * 100_000 + "]" * 100_000),
    "yaml 5,000 mappings deep": _yaml("".join(f"{' ' * k}a:\n" for k in range(5000))),
    "yaml of 50 MB": _yaml("a: " + "x" * 50_000_000 + "\n"),
    "yaml with a list as a key": _yaml("? [a, b]\n: c\n"),
    "a pickle called config.yaml": lambda f, c: written(f, "config.yaml", pickled(c)),
    "json with a command as the kind": lambda f, c: written(
        f, "config.yaml", json.dumps({"kind": f"__import__('os').system('{c}')", "recipe": "os.system"})
    ),
}

CHECKPOINTS: dict[str, Make] = {
    "a pickle called model.safetensors": lambda f, c: resealed(f, {"model.safetensors": pickled(c)}),
    "a pickle called state.json": lambda f, c: resealed(f, {"state.json": pickled(c)}),
    "a pickle called manifest.json": lambda f, c: written(resealed(f, {}), checkpoint.MANIFEST, pickled(c)).parent,
    "a json 100,000 brackets deep": lambda f, c: resealed(f, {"state.json": b"[" * 100_000 + b"]" * 100_000}),
    "a manifest 100,000 brackets deep": lambda f, c: (
        written(resealed(f, {}), checkpoint.MANIFEST, b"[" * 100_000).parent
    ),
    "a header of weights of 10^15 bytes": lambda f, c: resealed(
        f, {"model.safetensors": struct.pack("<Q", 10**15) + b"{}"}
    ),
    "weights whose offsets overlap": lambda f, c: resealed(f, {"model.safetensors": _overlapping()}),
    "a manifest that names a file above": lambda f, c: resealed(f, {}, {"state.json": "../secret.png"}),
    "a manifest that names an absolute path": lambda f, c: resealed(f, {}, {"state.json": str(f / "secret.png")}),
    "a further file that is a pickle": lambda f, c: resealed(f, {"extra.pt": pickled(c)}),
}


def _overlapping() -> bytes:
    header = json.dumps({name: {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]} for name in ("a", "b")}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(16)
