"""The grid of verbs and kinds of models: what each verb does with each kind, or why it refuses.

A verb hands on the flags that were given. What serves a kind says by its parameters which of them it knows; any other
is refused by name. A new kind of model is one entry here, with an answer to every verb.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

VERBS = ("sample", "restore", "likelihood", "verify", "info")


@dataclass(frozen=True)
class Family:
    """Models of one kind, to the command line.

    Attributes:
        what: one of them, in words.
        serves: verb to what does it, as module:function inside this folder; its first argument is the model.
        refuses: verb to why it cannot be.
    """

    what: str
    serves: Mapping[str, str]
    refuses: Mapping[str, str] = field(default_factory=dict)


def _served(module: str, *verbs: str) -> dict[str, str]:
    return {verb: f"{module}:{verb}" for verb in verbs}


FAMILIES: dict[str, Family] = {
    "diffusion": Family(
        "a diffusion model of numbers",
        _served("diffusion", "sample", "restore", "likelihood", "verify", "info"),
    ),
    "tokens": Family(
        "a model of symbols",
        _served("tokens", "sample", "restore", "likelihood", "verify", "info"),
    ),
    "table": Family(
        "a model of a table",
        _served("tables", "sample", "restore", "likelihood", "info"),
        {
            "verify": "its solvers and bound are checked on known laws (pellucid verify --only mixed), and its rows "
            "beside the data on its page: pellucid report",
        },
    ),
    "autoencoder": Family(
        "an autoencoder",
        _served("autoencoders", "sample", "likelihood", "info"),
        {
            "restore": "its law of items has no noise levels to go down; train a latent model on it: pellucid train "
            "latent --autoencoder RUN",
            "verify": "what can be checked of it stands on its page (pellucid report) and in pellucid compare",
        },
    ),
    "classifier": Family(
        "a classifier of noisy data",
        _served("classifiers", "info"),
        {
            "sample": "it makes nothing alone; it guides a diffusion model: pellucid sample MODEL --guide RUN",
            "restore": "it makes nothing alone; it guides a diffusion model",
            "likelihood": "it knows p(class given x), and no law of x",
            "verify": "its accuracy at each noise level stands on its page: pellucid report",
        },
    ),
    "ebm": Family(
        "an energy model",
        _served("energies", "sample", "likelihood", "info"),
        {
            "restore": "it knows clean data only, and restoration goes down noise levels; train a diffusion model with "
            "--set network.energy=true",
            "verify": "acceptance and normaliser with their errors stand on its page: pellucid report",
        },
    ),
}


def family_of(kind: str) -> Family:
    """The family of a kind of stored model; every kind of autoencoder is one."""
    return FAMILIES.get(kind, FAMILIES["autoencoder"])


def opened(verb: str, run: Any, given: Mapping[str, Any]) -> tuple[Any, Callable[..., Any]]:
    """The model that lies at a path, and what does a verb with models of its kind.

    Args:
        verb: a name among `VERBS`.
        run: a run folder, a checkpoint, a model folder or a name of the shelf.
        given: flags, as `flags` gives them.

    Raises:
        UserError: a verb that the model's kind refuses, with the reason, or flags that it does not know, by name.
    """
    from ..foundations.errors import UserError
    from ..model import read
    from ..readers import READERS
    from .console import warn

    stored = read(run)
    family = family_of(stored.kind)
    if verb in family.refuses:
        raise UserError(f"{stored.origin} is {family.what}, and pellucid {verb} refuses it: {family.refuses[verb]}")
    module, _, name = family.serves[verb].partition(":")
    serve: Callable[..., Any] = getattr(importlib.import_module(f".{module}", __package__), name)
    known = inspect.signature(serve).parameters.values()
    if not any(each.kind is each.VAR_KEYWORD for each in known):
        refuse_unknown(family.what, given, [each.name for each in known])
    model = READERS[stored.kind](stored)
    for note in model.notes:
        warn(note)
    return model, serve


def ask(verb: str, run: Any, given: Mapping[str, Any]) -> int:
    """Does a verb with whatever model lies at a path; arguments and errors are those of `opened`."""
    model, serve = opened(verb, run, given)
    return int(serve(model, **given))


def refuse_unknown(what: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Refuses flags that mean nothing to a kind of model, by their names.

    Raises:
        UserError: if there is one.
    """
    from ..foundations.errors import UserError

    odd = [name.upper() if name == "files" else f"--{name.replace('_', '-')}" for name in given if name not in known]
    if odd:
        raise UserError(f"{', '.join(odd)}: not for {what}; leave that out")


def flags(verb: Callable[..., Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a verb that differ from its defaults, the run itself left out.

    Args:
        verb: the function of the command line.
        given: its arguments by name.
    """
    usual = {name: each.default for name, each in inspect.signature(verb).parameters.items() if name != "run"}
    usual |= {name: () for name, each in inspect.signature(verb).parameters.items() if each.kind is each.VAR_POSITIONAL}
    return {name: given[name] for name, default in usual.items() if given[name] != default}
