"""What verbs do with a diffusion model of numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from .conditions import assigned, labels_in


def sample(
    model: Any,
    num: int = 16,
    *,
    label: str | None = None,
    where: list[str] | None = None,
    negative: list[str] | None = None,
    guide: Path | None = None,
    steps: Any = None,
    tolerance: float | None = None,
    json: bool = False,
    **settings: Any,
) -> int:
    """Samples, written."""
    from ..auto import TOLERANCE
    from ..foundations.errors import UserError
    from ..guides import with_guide
    from ..made import make
    from .console import say, say_json, steps_view

    if tolerance is not None and steps != "auto":
        raise UserError("--tolerance is for --steps auto: give both, or neither")
    if guide is not None:
        model = with_guide(model, guide)
    with steps_view("sampling") as update:
        made = make(
            model,
            num,
            label=None if label is None else labels_in(label, model.card.label_names),
            where=assigned("--where", where),
            negative=assigned("--negative", negative),
            steps=steps,
            tolerance=TOLERANCE if tolerance is None else tolerance,
            progress=update,
            **settings,
        )
    if json:
        say_json(made.to_json())
        return 0
    if made.chosen is not None:
        say(made.chosen.sentence())
    say(f"{num} samples in {made.folder} ({made.seconds:.1f} s); at one look: {made.sheet}")
    return 0


def restore(model: Any, **given: Any) -> int:
    """Files, each restored; series of which nothing else is said are carried on, or their gaps filled."""
    from .signals import carries_on, restore_signals

    return restore_signals(model, **given) if carries_on(model, given) else restore_damaged(model, **given)


def restore_damaged(
    model: Any,
    *,
    files: tuple[Path, ...] = (),
    task: str | None = None,
    operator: str | None = None,
    noise: Any = None,
    poisson: float | None = None,
    simulate: bool = False,
    samples: int = 1,
    where: list[str] | None = None,
    seed: int = 0,
    out: Path | None = None,
    json: bool = False,
    **settings: Any,
) -> int:
    """Files, each restored from what a task or an operator did to them."""
    from ..restoration.damage_files import user_operator
    from ..restoration.made import restore_files
    from ..restoration.observe import Request
    from ..restoration.tasks import Options
    from .console import say, say_json, steps_view, warn

    options = {each.name: settings.pop(each.name) for each in fields(Options) if each.name in settings}
    if where is not None:
        settings["where"] = assigned("--where", where)
    request = Request(
        task=task,
        options=Options(**options),
        operator=None if operator is None else user_operator(operator),
        noise=noise,
        peak=poisson,
        simulate=simulate,
        samples=samples,
        seed=seed,
        more=settings,
    )
    result = restore_files(model, files, request, out=out, view=steps_view, told=warn if json else say)
    if json:
        say_json(result.to_json())
        return 1 if result.failed else 0
    for one in result.done:
        for note in one.notes:
            say(f"{one.file}: {note}")
        if one.reason:
            say(f"{one.file}: {one.method}: {one.reason}")
    say(f"{len(result.done)} of {len(files)} files restored in {result.folder}; at one look: {result.sheet}")
    return 1 if result.failed else 0


def likelihood(model: Any, run: Path, data: Any, *, learned_noise: bool = False, **settings: Any) -> list[Any]:
    """Scores of data by the ODE and by the bound."""
    from ..config import resolve
    from ..likelihood import UniformNoise
    from ..score import learn_noise, scores
    from ..train.run import Run
    from ..train.start import open_split
    from .console import console, steps_view

    noise = None
    if learned_noise:
        console().print("learning the noise within the bins")
        train_set, _ = open_split(resolve([("", Run.open(run).config)]).config)
        noise = learn_noise(model, train_set, seed=settings.get("seed", 0))
        if isinstance(noise, UniformNoise):
            console().print("it is no better than uniform noise on training items: uniform noise is used")
    with steps_view("likelihood") as update:
        return scores(model, data, noise=noise, progress=update, **settings)


def verify(model: Any, run: Path, items: int) -> Iterator[Any]:
    """The checks of a run's model on its held-out data; they are kept beside it."""
    from ..verified_run import cost_table, keep, verify_run

    outcomes = []
    for outcome in verify_run(run, num_items=items):
        outcomes.append(outcome)
        yield outcome
    keep(run, model.weights_hash, outcomes, cost_table(model, num_paths=24))


def info(model: Any) -> dict[str, object]:
    """What `pellucid info` says of it."""
    from ..latents.codec import LatentCodec
    from ..latents.report import first_stage

    card = model.card
    parameters = sum(p.numel() for p in model.denoiser.parameters())
    return {
        "weights": model.weights_hash,
        "network": f"{card.network.kind}, width {card.network.width}, {parameters:,} parameters",
        "shape": "x".join(map(str, model.item_shape)),
        **({"lengths": f"{min(ends)} to {max(ends)} steps"} if (ends := getattr(card.codec, "lengths", ())) else {}),
        **({"latents": first_stage(card.codec)} if isinstance(card.codec, LatentCodec) else {}),
        "process": f"{card.process.schedule} schedule, {card.process.target} target",
        "labels": ", ".join(card.label_names) or "none",
        **{f"condition {part.name}": part.sentence() for part in card.parts},
        "sampling": f"{card.sampling.solver}, {card.sampling.steps} steps, guidance {card.sampling.guidance:g}",
        "trained on": trained_on(card),
    }


def trained_on(card: Any) -> str:
    """What a model's card says of its data, in a line."""
    return f"{card.data['train']:,} items of {card.data['name']} (sha256 {card.data['sha256'][:12]})"
