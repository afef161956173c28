"""constraints.txt pins all that `make test` installs, to the versions that these tests run with."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

GPU = ("nvidia-", "cuda-", "triton")  # what a CUDA build of torch pins by itself

CONSTRAINTS = Path(__file__).parents[2] / "constraints.txt"


def brought_in(name: str, extras: frozenset[str], seen: dict[str, set[str]]) -> dict[str, set[str]]:
    """All distributions that `name[extras]` needs on this machine, itself included, with the extras asked for."""
    name = canonicalize_name(name)
    if name in seen and extras <= seen[name]:
        return seen
    seen.setdefault(name, set()).update(extras)
    for text in requires(name) or []:
        need = Requirement(text)
        wanted = [need.marker is None or need.marker.evaluate({"extra": extra}) for extra in (extras or {""})]
        if any(wanted):
            brought_in(need.name, frozenset(need.extras), seen)
    return seen


def installed_alone() -> set[str]:
    """What .ci/environment installs for the data that it ships, without what it needs to run."""
    script = (CONSTRAINTS.parent / ".ci" / "environment").read_text("utf-8")
    return {canonicalize_name(name) for name in re.findall(r"install --no-deps ([a-z0-9_-]+)", script)}


def pinned() -> dict[str, str]:
    lines = [line for line in CONSTRAINTS.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    pairs = [line.split("==") for line in lines]
    return {canonicalize_name(name): exact for name, exact in pairs}


def test_every_package_is_pinned_to_what_is_installed() -> None:
    pins, wrong = pinned(), []
    for name in sorted(brought_in("pellucid", frozenset({"dev"}), {}).keys() - {"pellucid"}):
        try:
            found = version(name).split("+")[0]  # a build tag such as +cpu depends on where torch came from
        except PackageNotFoundError:
            found = "not installed"
        if pins.get(name) != found and not name.startswith(GPU):
            wrong.append(f"{name}: constraints.txt says {pins.get(name)}, the environment has {found}")
    assert not wrong, "\n".join(wrong)


def test_nothing_is_pinned_that_is_not_needed() -> None:
    needed = brought_in("pellucid", frozenset({"dev"}), {}).keys() | installed_alone()
    assert sorted(pinned().keys() - needed) == []
