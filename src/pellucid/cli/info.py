"""`pellucid info`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def info(path: Path, /, *, json: Annotated[bool, Parameter(negative="")] = False) -> int:
    """Say what a run, a model or a sampled picture is; for a picture, the command that makes it again.

    Parameters
    ----------
    path
        A run folder, a checkpoint, a model folder, or a .png file that pellucid made.
    json
        Print as JSON.
    """
    from .console import say, say_json

    facts = _of_picture(path) if path.is_file() else _of_model(path)
    if json:
        say_json(facts)
        return 0
    width = max(len(name) for name in facts)
    for name, value in facts.items():
        say(f"{name:<{width}}  {value}")
    return 0


def _of_picture(path: Path) -> dict[str, object]:
    from ..foundations.errors import UserError
    from ..made import read_settings
    from ..train import checkpoint

    told = read_settings(path)
    facts: dict[str, object] = {"make it again": told.command(), "make it alone": told.command_alone()}
    try:
        newest = checkpoint.latest(Path(told.model)).folder
        weights = None if newest is None else checkpoint.verify(newest)["metadata"].get("weights")
    except UserError:
        weights = None
    if weights is not None and weights != told.weights:
        facts["note"] = (
            f"{told.model} has learned since: its weights are now {weights[:12]}, and it made this with others"
        )
    return {**facts, **told.to_json()}


def _of_model(path: Path) -> dict[str, object]:
    from ..classifiers.model import CLASSIFIER
    from ..energies.ebm import EBM
    from ..latents.codec import LatentCodec
    from ..latents.report import first_stage
    from ..model import MODEL, from_stored, is_of_tokens, read
    from ..train.run import CONFIG, DENOISERS, TOKENS, Run
    from .tokens import facts_of_tokens

    facts: dict[str, object] = {}
    if (path / CONFIG).is_file():
        run = Run.open(path)
        trained = run.lines("train")
        last = trained[-1] if trained else {}
        facts = {"run": str(path), "recipe": run.config.get("recipe"), "budget": run.config["training"]["budget"]}
        facts |= {name: last.get(name) for name in ("step", "items", "loss", "seconds")}
    if facts and run.kind not in (*DENOISERS, *TOKENS):
        return facts | {CLASSIFIER: _of_classifier, EBM: _of_energy}.get(run.kind, _of_autoencoder)(path)
    stored = read(path)
    if is_of_tokens(stored.saved.documents[MODEL]):
        return facts | facts_of_tokens(path)
    model = from_stored(stored, device="cpu")
    card = model.card
    parameters = sum(p.numel() for p in model.denoiser.parameters())
    return facts | {
        "weights": model.weights_hash,
        "network": f"{card.network.kind}, width {card.network.width}, {parameters:,} parameters",
        "shape": "x".join(map(str, model.item_shape)),
        **({"latents": first_stage(card.codec)} if isinstance(card.codec, LatentCodec) else {}),
        "process": f"{card.process.schedule} schedule, {card.process.target} target",
        "labels": ", ".join(card.label_names) or "none",
        **{f"condition {part.name}": part.sentence() for part in card.parts},
        "sampling": f"{card.sampling.solver}, {card.sampling.steps} steps, guidance {card.sampling.guidance:g}",
        "trained on": f"{card.data['train']:,} items of {card.data['name']} (sha256 {card.data['sha256'][:12]})",
    }


def _of_autoencoder(path: Path) -> dict[str, object]:
    from ..autoencoders.model import load_autoencoder

    model = load_autoencoder(path, device="cpu")
    card, spec = model.card, model.card.network
    parameters = sum(p.numel() for p in model.network.parameters())
    return {
        "weights": model.weights_hash,
        "autoencoder": f"{spec.kind}, code {'x'.join(map(str, model.latent_shape))}, {spec.law} law of items",
        "network": f"{spec.network.kind}, width {spec.network.width}, {parameters:,} parameters",
        "shape": "x".join(map(str, model.shape)),
        "labels": ", ".join(card.label_names) or "none",
        "trained on": f"{card.data['train']:,} items of {card.data['name']} (sha256 {card.data['sha256'][:12]})",
    }


def _of_classifier(path: Path) -> dict[str, object]:
    from ..classifiers.model import load_classifier

    model = load_classifier(path, device="cpu")
    card = model.card
    parameters = sum(p.numel() for p in model.network.parameters())
    return {
        "weights": model.weights_hash,
        "network": f"a classifier of noisy data, width {card.network.width}, {parameters:,} parameters",
        "shape": "x".join(map(str, card.network.shape)),
        "process": f"{card.process.schedule} schedule",
        "labels": ", ".join(card.label_names),
        "trained on": f"{card.data['train']:,} items of {card.data['name']} (sha256 {card.data['sha256'][:12]})",
    }


def _of_energy(path: Path) -> dict[str, object]:
    from ..energies.ebm import METHODS, load_ebm

    model = load_ebm(path, device="cpu")
    card, spec = model.card, model.card.network
    parameters = sum(p.numel() for p in model.law.parameters())
    return {
        "weights": model.weights_hash,
        "network": f"an energy, {spec.network.kind} of width {spec.network.width}, {parameters:,} parameters",
        "shape": "x".join(map(str, model.shape)),
        "learned by": METHODS[spec.method],
        "trained on": f"{card.data['train']:,} items of {card.data['name']} (sha256 {card.data['sha256'][:12]})",
    }
