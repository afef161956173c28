"""YAML that a person may read and edit: each value on its own line, where it came from in a comment behind
it.

Reading builds plain values only (nothing in the file can name a class), refuses a key that stands twice, and
takes `3e-4` for a number, which YAML 1.1 by itself takes for a word. Size and depth have limits, and aliases are
refused: nine lines of them can stand for a billion values.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from .errors import UserError

_COMMENT = re.compile(r"[ \t,\]}]*[ \t]#[ \t]*(.*\S)")
_FLOAT = re.compile(r"^[-+]?(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)[eE][-+]?\d+$")
_PLAIN = re.compile(r"^[\w./][\w ./+-]*$")
MAX_CHARACTERS, MAX_DEPTH = 1_000_000, 32
Provenance = dict[str, str]
"""Where each value came from: dotted key -> origin, as in `{"train.budget": "flag --budget"}`."""


class _Loader(yaml.SafeLoader):
    """The safe loader, with two corrections."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: dict[Hashable, int] = {}
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            line = key_node.start_mark.line + 1
            if isinstance(key, Hashable) and key in seen:
                raise UserError(f"key {key!r} stands twice, on lines {seen[key]} and {line}: keep one of them")
            if isinstance(key, Hashable):
                seen[key] = line
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    """The safe dumper, which quotes a word where `_Loader` would read a number."""

    def ignore_aliases(self, data: Any) -> bool:
        """What occurs twice is written twice, for reading refuses aliases."""
        return True


_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+.0123456789"))
_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+.0123456789"))


def _scalar(value: Any) -> str:
    """One value on one line."""
    quoted = isinstance(value, str) and not _PLAIN.match(value)
    text = yaml.dump(
        value,
        Dumper=_Dumper,
        default_flow_style=True,
        width=2**31,
        allow_unicode=True,
        sort_keys=False,
        default_style='"' if quoted else None,
    )
    return text.removesuffix("\n").removesuffix("\n...")


def _emit(values: Mapping[str, Any], provenance: Mapping[str, str], prefix: str, indent: str) -> Iterator[str]:
    for key, value in values.items():
        dotted = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            yield f"{indent}{_scalar(str(key))}:"
            yield from _emit(value, provenance, f"{dotted}.", indent + "  ")
            continue
        origin = " ".join(provenance.get(dotted, "").split())
        plain = list(value) if isinstance(value, tuple) else value
        yield f"{indent}{_scalar(str(key))}: {_scalar(plain)}" + (f"  # {origin}" if origin else "")


def dump(values: Mapping[str, Any], provenance: Mapping[str, str] | None = None) -> str:
    """The text of nested plain values, with the origin of each as a comment on its line.

    >>> print(dump({"train": {"lr": 3e-4}}, {"train.lr": "recipe digits"}), end="")
    train:
      lr: 0.0003  # recipe digits
    """
    return "".join(line + "\n" for line in _emit(values, provenance or {}, "", ""))


def _origins(node: yaml.Node, lines: list[str], prefix: str, found: Provenance) -> None:
    if not isinstance(node, yaml.MappingNode):
        return
    for key, value in node.value:
        dotted = f"{prefix}{key.value}"
        if isinstance(value, yaml.MappingNode) and value.value:
            _origins(value, lines, f"{dotted}.", found)
            continue
        end = value.end_mark
        rest = lines[end.line][end.column :] if end.line < len(lines) else ""
        if comment := _COMMENT.match(rest):
            found[dotted] = comment.group(1)


def check(text: str) -> None:
    """Refuses YAML that is too long, too deep or has aliases, before anything is built from it.

    Raises:
        UserError: with the line.
        yaml.YAMLError: where it is no YAML at all.
    """
    if len(text) > MAX_CHARACTERS:
        raise UserError(f"{len(text):,} characters, more than the {MAX_CHARACTERS:,} that settings may have")
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        line = event.start_mark.line + 1 if event.start_mark else 0
        if isinstance(event, yaml.AliasEvent):
            raise UserError(f"line {line}: the alias *{event.anchor} is not read; write the value out")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise UserError(f"line {line}: nested more than {MAX_DEPTH} deep")


def parse(text: str, name: str = "the text") -> tuple[dict[str, Any], Provenance]:
    """The values and their origins; `UserError` names the file and the line of what is wrong."""
    try:
        check(text)
        values = yaml.load(text, Loader=_Loader)
        root = yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark is not None else ""
        raise UserError(f"{name}{where}: not readable as YAML ({getattr(error, 'problem', None) or error})") from None
    except UserError as error:
        raise UserError(f"{name}: {error}") from None
    if values is None:
        return {}, {}
    if not isinstance(values, dict):
        raise UserError(f"{name}: need keys with values (`key: value`), got a {type(values).__name__}")
    found: Provenance = {}
    if root is not None:
        _origins(root, text.split("\n"), "", found)
    return values, found


def read(path: Path) -> tuple[dict[str, Any], Provenance]:
    """Reads a YAML file of settings; see `parse`."""
    try:
        if path.stat().st_size > 4 * MAX_CHARACTERS:  # a character has at most four bytes
            raise UserError(f"{path} has {path.stat().st_size:,} bytes, more than settings ever have")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path} does not exist") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as text: {error}") from None
    return parse(text, str(path))
