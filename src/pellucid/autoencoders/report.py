"""The page of an autoencoder's run: samples, reconstructions, ways between items, bounds, and what the codes carry."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..data.arrays import Dataset, evenly
from ..data.codecs import ImageCodec
from ..data.grid import picture_grid
from ..foundations.measured import Measured
from ..report import Evaluation, Section, Shown, Table, Verdict
from ..run_report import card_of, evaluated, held_or_train, write_page
from ..score import Score
from ..train.card import Card, write_card
from ..train.run import Run
from . import Latents, Quantised
from .made import sheet
from .model import AutoencoderModel, load_autoencoder
from .score import autoencoder_scores, what_codes_carry

_JUDGED = 500  # held-out items: 64 draws of each are as many calls of the decoder as 32,000 samples
_CARRIED = 2000
_PAIRS = 16
_WAYS = 8


def report_autoencoder(path: str | Path) -> Path:
    """Writes report.html, report.json and MODEL_CARD.md of an autoencoder's run, and returns the first.

    Numbers and pictures are made where they are missing or of other weights.

    Raises:
        UserError: no such run, a run of another kind, or data that are gone.
    """
    run = Run.open(path)
    model = load_autoencoder(path)
    found = evaluated(run, model, lambda *parts: evaluate_autoencoder(run, model, *held_or_train(*parts)))
    page = write_page(run, model, tuple(_divergences(run, model)))
    write_card(run.path, _card(run, model, found.numbers))
    return page


def evaluate_autoencoder(run: Run, model: AutoencoderModel, data: Dataset, part: str) -> Evaluation:
    """Measures an autoencoder on items and makes the pictures of its page.

    Args:
        run: where the pictures go.
        model: its model.
        data: the items.
        part: what to call them.
    """
    started = time.perf_counter()
    judged = evenly(data, _JUDGED)
    scores = autoencoder_scores(model, judged)
    carried = what_codes_carry(model, evenly(data, _CARRIED))
    numbers = [*map(_measured, scores), _error(model, judged)]
    if isinstance(carried, Latents):
        numbers.append(Measured("active_latents", carried.active, count=min(_CARRIED, len(data))))
        numbers.append(Measured("divergence", sum(carried.kl), unit="nats", label="KL(q || p) of an item"))
        verdict = Verdict(carried.sentence(), not carried.collapsed)
        run.append({"kind": "latents", "weights": model.weights_hash, "kl": list(carried.kl)})
    else:
        numbers.append(Measured("code_usage", carried.share, count=carried.count, share=True))
        numbers.append(Measured("code_perplexity", carried.perplexity, count=carried.count))
        verdict = Verdict(carried.sentence(), carried.share >= 0.5)
    middle = time.perf_counter()
    pictures = _pictures(run, model, data, part)
    timings = {"bounds": middle - started, "pictures": time.perf_counter() - middle}
    return Evaluation(tuple(numbers), (verdict,), pictures, timings, weights=model.weights_hash)


def _divergences(run: Run, model: AutoencoderModel) -> Iterator[Section]:
    """The mean divergence of each latent value, the largest first."""
    for line in reversed(run.lines("latents")):
        if line["weights"] == model.weights_hash:
            rows = tuple((place + 1, float(value)) for place, value in enumerate(line["kl"]))
            table = Table("KL(q || p) of each latent value", ("value", "nats"), rows, folded=True)
            yield Section("What each latent value carries", (table,))
            return


def _measured(score: Score) -> Measured:
    """A score as a number of a page, with a 95 % interval over items and draws."""
    half = 1.96 * score.over_items
    name = {"ELBO": "elbo_bits_per_dim", "code bound": "code_bound_bits_per_dim"}.get(score.method, "iwae_bits_per_dim")
    label = f"-{score.method}" if score.method != "code bound" else "-log p(x), code bound, uniform prior"
    low, high = score.bits_per_dim - half, score.bits_per_dim + half
    return Measured(name, score.bits_per_dim, low, high, score.items, unit="bits/dim", label=label)


def _error(model: AutoencoderModel, data: Dataset) -> Measured:
    """The root mean squared error of reconstructions, in the model's scale, with a 95 % interval over items."""
    x, labels = _encoded(model, data, len(data))
    each = (model.reconstruct(x, label=labels) - x).double().square().flatten(1).mean(1)
    mean, half = each.mean().item(), 1.96 * each.std().item() / len(each) ** 0.5
    low, high = max(mean - half, 0.0) ** 0.5, (mean + half) ** 0.5
    return Measured("reconstruction_error", mean**0.5, low, high, len(each), label="Root mean squared error")


def _pictures(run: Run, model: AutoencoderModel, data: Dataset, part: str) -> tuple[Shown, ...]:
    folder = run.path / "samples"
    folder.mkdir(exist_ok=True)
    mark = model.weights_hash[:8]
    shown = []
    if not isinstance(model.network, Quantised):
        classes = len(model.card.label_names)
        num = 8 * classes if classes and len(model.shape) > 1 else 64 if len(model.shape) > 1 else 2000
        samples = model.sample(min(num, 256) if len(model.shape) > 1 else num)
        path = folder / f"final-{mark}.png"
        sheet(model.card, samples, model.labels_for(range(len(samples)), None)).save(path)
        caption = "z from N(0, I), decoded to the middle of p(x given z). The first ones, not chosen."
        shown.append(Shown(run.inside(path), "Samples", "Samples of the autoencoder", caption))
    x, labels = _encoded(model, data, _PAIRS)
    if isinstance(model.card.codec, ImageCodec):
        pairs = torch.cat([x, model.reconstruct(x, label=labels)])
        path = folder / f"reconstructions-{mark}.png"
        titles = ("item", "decoded")
        picture_grid(model.to_items(pairs), columns=len(x), scale=_scale(model), row_titles=titles).save(path)
        alt = f"Above {part} items, below their reconstructions"
        shown.append(Shown(run.inside(path), "Reconstructions", alt, f"Above, {part} items; below, what comes back."))
        if len(x) > 1:
            ways = min(_WAYS, len(x) // 2)
            a, b = x[:ways], x[-ways:]
            between = model.interpolate(a, b, 9, label=None if labels is None else labels[:ways])
            rows = torch.cat([a[None], between, b[None]]).transpose(0, 1).flatten(0, 1)
            path = folder / f"interpolations-{mark}.png"
            picture_grid(model.to_items(rows), columns=11, scale=_scale(model)).save(path)
            caption = "First and last, items; between them, decoded points of the straight way from code to code."
            shown.append(Shown(run.inside(path), "Interpolations", "Items turn into one another row by row", caption))
    else:
        path = folder / f"reconstructions-{mark}.png"
        x, labels = _encoded(model, data, 2000 if len(model.shape) == 1 else _PAIRS)
        sheet(model.card, model.reconstruct(x, label=labels), labels).save(path)
        shown.append(Shown(run.inside(path), "Reconstructions", f"Reconstructions of {part} items"))
    return tuple(shown)


def _encoded(model: AutoencoderModel, data: Dataset, num: int) -> tuple[Tensor, Tensor | None]:
    x, labels = evenly(data, num).fetch(np.arange(min(num, len(data))))
    known = labels is not None and bool(model.card.label_names)
    return x.to(model.device), labels.to(model.device) if known and labels is not None else None


def _scale(model: AutoencoderModel) -> int:
    return max(1, 48 // model.shape[-1])


def _card(run: Run, model: AutoencoderModel, numbers: tuple[Measured, ...]) -> Card:
    data, spec = model.card.data, model.card.network
    weights = ", ".join(f"{name} {value:g}" for name, value in model.card.objective.items())
    return card_of(
        run,
        model,
        data,
        model.network,
        numbers,
        labels=model.card.label_names,
        what="autoencoder",
        settings={
            "Code": f"{spec.kind}, {'x'.join(map(str, spec.latent_shape))}",
            "Law of x given its code": spec.law,
            "Network": f"{spec.network.kind}, width {spec.network.width}",
            **({"Loss": weights} if weights else {}),
        },
    )
