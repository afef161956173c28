"""YAML with origins: round trip, no surprises, nothing executed."""

from __future__ import annotations

from pathlib import Path

import pytest

from pellucid.foundations import yamlfile
from pellucid.foundations.errors import UserError

VALUES = {
    "text": "plain words",
    "looks like": {"a": "3e-4", "b": "yes", "c": "null", "d": "# no comment", "e": "a: b", "f": ""},
    "lines": "one\ntwo\n",
    "numbers": [1, 2.5, 1e-7, -0.0, 1e30],
    "nothing": None,
    "flags": [True, False],
    "empty": {},
    "deep": {"er": {"est": ["a # b", "ünï", "x\ny"]}},
    "on": "1",
}


def test_round_trip_with_origins() -> None:
    origins = {"text": "flag --text", "deep.er.est": "recipe # 3", "lines": "a\nbreak", "empty": "default"}
    values, found = yamlfile.parse(yamlfile.dump(VALUES, origins))
    assert values == VALUES
    assert found == {**origins, "lines": "a break"}
    assert yamlfile.parse(yamlfile.dump(VALUES)) == (VALUES, {})


def test_exponents_are_numbers() -> None:
    assert yamlfile.parse("a: 3e-4\nb: 1E5\nc: 1.e3\nd: .5e1\ne: e5\nf: 1e\n")[0] == {
        "a": 3e-4, "b": 1e5, "c": 1e3, "d": 5.0, "e": "e5", "f": "1e",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: {c: 1, c: 2}\n", r"x.yaml: key 'c' stands twice, on lines 2 and 2"),
        ("lr: 1\nb: 2\nlr: 3\n", r"key 'lr' stands twice, on lines 1 and 3"),
        ("a: [1\n", r"x.yaml, line 2: not readable as YAML"),
        ("- 1\n", "need keys with values"),
        ("a: &x [1]\nb: *x\n", r"x.yaml: line 2: the alias \*x is not read; write the value out"),
        ("a: &x {k: *x}\n", r"x.yaml: line 1: the alias \*x"),
        ("a: " + "[" * 10_000, r"x.yaml: line 1: nested more than 32 deep"),
        ("a: " + "x" * 1_000_000, r"x.yaml: 1,000,003 characters, more than"),
        ("a: " + "x" * 5_000_000, r"x.yaml has 5,000,003 bytes, more than"),
        ("a: !!python/object/apply:os.system [echo]\n", "not readable as YAML"),
    ],
)
def test_errors_name_the_place(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        yamlfile.read(path)


def test_what_occurs_twice_is_written_twice() -> None:
    same = [1, [2, 3]]
    text = yamlfile.dump({"a": [same, same], "b": same})
    assert "&" not in text
    assert yamlfile.parse(text)[0] == {"a": [same, same], "b": same}


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        yamlfile.read(tmp_path / "no.yaml")
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="cannot be read as text"):
        yamlfile.read(tmp_path / "b.yaml")
    assert yamlfile.parse("") == ({}, {})
