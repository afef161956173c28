"""`pellucid train` and `pellucid resume`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

Set = Annotated[list[str] | None, Parameter(name="--set", negative="", consume_multiple=False)]
AUDITED = ("diffusion", "latent", "tokens", "table")  # kinds that an audit knows


def train(
    recipe: str,
    /,
    data: str | None = None,
    *,
    autoencoder: Path | None = None,
    budget: str | None = None,
    out: Path | None = None,
    seed: int | None = None,
    canaries: int | None = None,
    config: Path | None = None,
    settings: Set = None,
    force: Annotated[bool, Parameter(negative="")] = False,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Train a model on your data, then write its report.

    Ctrl-C finishes the step, saves, and says how to go on. Several processes share the work when torchrun starts them:
    torchrun --nproc-per-node 2 -m pellucid train RECIPE ...

    Parameters
    ----------
    recipe
        Diffusion: points, signals, digits8, digits, images, photos or emoji, or latent, in an autoencoder's space.
        Autoencoders: vae, kl, vq or fsq. Rows of a csv file: table. Symbols: names, verses, text, or prior, over the
        codes of vq or fsq. To guide: classifier.
    data
        A folder of pictures, a .npz, .npy, .csv or .txt file, or a built-in set (pellucid data builtin lists them); for
        a classifier also a run.
    autoencoder
        Of latent and prior: the run or model folder of its first stage, as pellucid train kl or vq makes; if absent it
        is trained too.
    budget
        How long: a time (10m, 90s, 1h30m), items (200k-items) or passes (40-epochs).
    out
        The new run folder; runs/RECIPE, numbered, if absent.
    seed
        Everything random follows from it.
    canaries
        Put so many marked items into the training data, 1, 10 and 100 times in turn, for pellucid audit to look for.
    config
        A YAML file of settings, as in a run's config.yaml.
    settings
        One setting, as in training.lr=0.001; can be given again.
    force
        Train even where the chain does not end at its prior.
    json
        Print where the run stands as JSON.
    """
    from ..config import nested, parse_setting, resolve
    from ..foundations.errors import UserError
    from ..foundations.group import joined
    from ..recipes import RECIPES
    from ..train.start import begin
    from .console import training_view

    chosen = RECIPES[recipe]
    layers: list[tuple[str, Any]] = [(f"recipe {recipe}", {"recipe": recipe, **chosen.settings})]
    if config is not None:
        layers.append((str(config), _yaml(config)))
    first = None if autoencoder is None else str(autoencoder)
    flags: dict[str, Any] = {
        "data.source": data,
        "autoencoder.source": first,
        "training.budget": budget,
        "training.seed": seed,
    }
    flags |= {"data.canaries": canaries}
    layers.append(("flag", nested({key: value for key, value in flags.items() if value is not None})))
    layers.append(("flag", nested(dict(parse_setting(text) for text in settings or []))))
    resolved = resolve(layers)
    if resolved.config.data.canaries and resolved.config.kind not in AUDITED:
        raise UserError(
            f"canaries are for an audit, and a model of the kind {resolved.config.kind!r} has none: leave them out. "
            f"These have one: {', '.join(AUDITED)}"
        )
    with joined() as group:
        path = Path(group.told_text(str(out or _free(Path("runs") / recipe))))
        with training_view(shown=group.lead) as view:
            finished = begin(resolved, path, observer=view, force=force, group=group)
    return _closing(finished, json)


def resume(
    run: Path,
    /,
    *,
    more: str | None = None,
    settings: Set = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Go on with a run that was stopped, bit for bit, or give a finished one more.

    Parameters
    ----------
    run
        The run folder.
    more
        A further budget: 10m, 200k-items, 40-epochs.
    settings
        A training setting to change, as in training.lr=0.001; can be given again.
    json
        Print where the run stands as JSON.
    """
    from ..config import parse_setting
    from ..foundations.group import joined
    from ..train.start import resume as go_on
    from .console import training_view

    changes = dict(parse_setting(text) for text in settings or [])
    with joined() as group, training_view(shown=group.lead) as view:
        finished = go_on(run, more=more, changes=changes, observer=view, group=group)
    return _closing(finished, json)


def _closing(finished: Any, as_json: bool) -> int:
    """The report, the next step, and the exit code."""
    from ..report import read_evaluation
    from ..reporting import report_run
    from ..train.run import DENOISERS, TABLE, TOKENS
    from .console import say, say_json

    path = finished.run.path
    state = finished.state
    if not finished.run.writes:  # the lead says it
        return 0 if finished.signal is None else 128 + int(finished.signal)
    if finished.signal is not None:
        if as_json:
            say_json({"run": str(path), "signal": int(finished.signal), **state.to_json()})
        else:
            say(f"stopped at {state.items:,} of {state.plan.total:,} items and saved. Go on: {_resume(path)}")
        return 128 + int(finished.signal)
    page = report_run(path)
    if as_json:
        say_json({"run": str(path), "report": str(page), **state.to_json()})
    else:
        say(f"trained on {state.items:,} items in {state.seconds:.0f} s. Report: {page}")
        if finished.run.kind in (*DENOISERS, *TOKENS, TABLE):
            say(f"Sample it: {shlex.join(['pellucid', 'sample', str(path)])}")
        else:
            for verdict in read_evaluation(path).verdicts:
                say(verdict.text)
    return 0


def _resume(path: Path) -> str:
    return shlex.join(["pellucid", "resume", str(path)])


def _free(path: Path) -> Path:
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.name}-{number}")
    return free


def _yaml(path: Path) -> dict[str, Any]:
    from ..foundations import yamlfile
    from ..foundations.errors import UserError

    if not path.is_file():
        raise UserError(f"there is no settings file {path}")
    values, _ = yamlfile.read(path)
    return values
