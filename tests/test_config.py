"""Settings: the order of layers, where a value came from, and errors that name what was meant."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pellucid.config import Config, keys, nested, parse_setting, resolve
from pellucid.foundations import yamlfile
from pellucid.foundations.errors import UserError
from pellucid.recipes import RECIPES


def recipe(name: str) -> tuple[str, dict[str, Any]]:
    return f"recipe {name}", {"recipe": name, **RECIPES[name].settings}


def test_later_layers_win_and_each_value_says_where_it_came_from() -> None:
    flags = ("flag", nested({"training.lr": 0.25}))
    made = resolve([recipe("digits"), ("my.yaml", {"training": {"lr": 0.5, "clip": 2.0}}), flags])
    assert (made.config.training.lr, made.config.training.clip) == (0.25, 2.0)
    assert made.config.data.source == "digits"
    origin = {key: made.provenance[key] for key in ("training.lr", "training.clip", "data.source", "training.keep")}
    assert list(origin.values()) == ["flag", "my.yaml", "recipe digits", "default"]
    after = made.with_values("calibration", {"training.precision": "float32"})
    assert after.config.training.precision == "float32"
    assert after.provenance == {**made.provenance, "training.precision": "calibration"}


def test_every_key_has_an_origin() -> None:
    made = resolve([recipe("points")])
    assert set(made.provenance) == set(keys())


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_hold_what_the_schema_allows(name: str) -> None:
    assert resolve([recipe(name)]).config.recipe == name


def test_options_add_up_and_another_name_starts_them_anew() -> None:
    digits = RECIPES["digits"].settings["process"]["density_options"]
    both = resolve([recipe("digits"), ("flag", nested({"process.density_options.mean": 0.125}))])
    assert both.config.process.density_options == {**digits, "mean": 0.125}
    assert both.provenance["process.density_options.mean"] == "flag"
    assert both.provenance["process.density_options.std"] == "recipe digits"
    other = resolve([recipe("digits"), ("flag", nested({"process.density": "uniform"}))])
    assert other.config.process.density_options == {}
    same = resolve([recipe("digits"), ("flag", nested({"process.density": "log-normal"}))])
    assert same.config.process.density_options == digits
    own = nested({"process.density": "uniform", "process.density_options.smallest": 0.25})
    assert resolve([recipe("digits"), ("flag", own)]).config.process.density_options == {"smallest": 0.25}


def typos(word: str, random: np.random.Generator) -> list[str]:
    """One letter lost, doubled, changed, and two neighbours swapped, each somewhere in the word."""
    i = int(random.integers(0, len(word)))
    j = int(random.integers(0, len(word) - 1))
    letter = random.choice(list(string.ascii_lowercase))
    swapped = word[:j] + word[j + 1] + word[j] + word[j + 2 :]
    return [word[:i] + word[i + 1 :], word[:i] + word[i] + word[i:], word[:i] + letter + word[i + 1 :], swapped]


def test_a_misspelt_key_is_refused_with_the_right_one() -> None:
    random = np.random.default_rng(0)
    tried, right = 0, 0
    for key in keys():
        *section, name = key.split(".")
        for wrong in typos(name, random):
            if ".".join([*section, wrong]) in keys():
                continue
            with pytest.raises(UserError, match="unknown setting") as error:
                resolve([("flag", nested({".".join([*section, wrong]): 1}))])
            tried += 1
            right += f"did you mean {name!r}" in str(error.value)
    assert tried > 150
    assert right >= 0.95 * tried, f"{right} of {tried}"


def test_a_key_without_its_section_is_found() -> None:
    with pytest.raises(UserError, match=r"unknown setting 'lr'; did you mean 'training\.lr'\?"):
        resolve([("flag", {"lr": 1})])


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"training": {"lr": -1}}, r"training\.lr = -1 \(from flag\).*greater than 0"),
        ({"training": {"batch_size": "many"}}, r"training\.batch_size = 'many' \(from flag\).*integer"),
        ({"training": {"ema": 0.5}}, r"training\.ema = 0\.5.*0\.28"),  # no power profile is as wide
        ({"training": {"lr": {"x": 1}}}, r"training\.lr"),
        ({"training": {"lr": float("nan")}}, r"training\.lr = nan"),
        ({"process": {"density_options": {"mean": "high"}}}, r"density_options\.mean = 'high'"),
        ({"data": ["photos"]}, r"data is a section with the keys source"),
        ({1: 2}, r"unknown setting '1'"),
    ],
)
def test_a_wrong_value_is_named_with_its_source(values: dict[Any, Any], told: str) -> None:
    with pytest.raises(UserError, match=told) as error:
        resolve([("flag", values)])
    assert "\n" not in str(error.value)


def test_settings_survive_yaml(tmp_path: Path) -> None:
    lists = ("flag", nested({"network.multipliers": [1, 2, 4], "sampling.guidance_interval": [0.2, 5]}))
    made = resolve([recipe("digits"), lists])
    path = tmp_path / "config.yaml"
    path.write_text(yamlfile.dump(made.config.model_dump(mode="json"), made.provenance))
    values, origin = yamlfile.read(path)
    assert Config.model_validate(values) == made.config
    again = resolve([("", values)], provenance=origin)
    assert again == made


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("training.lr=1e-3", ("training.lr", 1e-3)),
        ("training.seed=7", ("training.seed", 7)),
        ("network.multipliers=[1, 2]", ("network.multipliers", [1, 2])),
        ("data.flip=true", ("data.flip", True)),
        ("network.width=null", ("network.width", None)),
        ("data.source=a=b", ("data.source", "a=b")),
        ("training.budget=10m", ("training.budget", "10m")),
    ],
)
def test_parse_setting(text: str, value: tuple[str, Any]) -> None:
    parsed = parse_setting(text)
    assert parsed == value
    assert type(parsed[1]) is type(value[1])


@pytest.mark.parametrize("text", ["training.lr", "=3", "", "x=[1", "x={", "x=" + "[" * 10_000, "x=[&a 1, *a]"])
def test_parse_setting_refuses(text: str) -> None:
    with pytest.raises(UserError, match="--set"):
        parse_setting(text)
