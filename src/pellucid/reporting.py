"""The page of a run: everything that was made and measured, put where a person can see it."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor

from . import judging
from .autoencoders.report import report_autoencoder
from .classifiers.model import CLASSIFIER
from .classifiers.report import report_classifier
from .data.codecs import SignalCodec
from .data.grid import picture_grid
from .energies.ebm import EBM
from .energies.report import report_ebm
from .foundations.measured import Measured
from .generate import gallery, sample
from .latents.codec import LatentCodec
from .latents.report import first_stage, write_kept
from .model import Model, load
from .report import Evaluation, Shown, Verdict, read_evaluation, write_evaluation
from .run_report import card_of, write_page
from .sampling import labels_for
from .series.report import MARK, evaluate_series, series_sections
from .tables.report import report_table
from .tokens.report import report_tokens
from .train.card import Card, write_card
from .train.run import DENOISERS, TABLE, TOKENS, Run
from .verified_run import kept as verification

_AGREEMENT = 0.95  # below it, the page says so
_ACCURACY = 0.97


def report_run(path: str | Path, *, judgement: judging.Judgement | None = None) -> Path:
    """Writes report.html, report.json and MODEL_CARD.md from what is in the run folder, and returns the first.

    Pictures of the trained model are made where they are missing or older than its weights. Without a judgement, the
    one kept in the folder stands, as long as it is of the same weights; so do the checks of `pellucid verify`.
    """
    run = Run.open(path)
    if run.kind in TOKENS:
        return report_tokens(path)
    if run.kind not in DENOISERS:
        own = {CLASSIFIER: report_classifier, EBM: report_ebm, TABLE: report_table}
        return own.get(run.kind, report_autoencoder)(path)
    model = load(path)
    kept = read_evaluation(run.path)
    if judgement is not None:
        kept = _with_judgement(judgement)
    elif kept.weights != model.weights_hash:
        kept = evaluate_series(run, model) if isinstance(model.card.codec, SignalCodec) else Evaluation()
    series = tuple(shown for shown in kept.pictures if Path(shown.file).name.startswith(MARK))
    # Signals have their samples there already, beside data.
    pictures = series if series and judgement is None else (*_pictures(run, model, judgement), *series)
    evaluation = Evaluation(kept.numbers, kept.verdicts, pictures, kept.timings, weights=model.weights_hash)
    write_evaluation(run.path, evaluation)
    checked = verification(run.path, model.weights_hash)
    sections = (*series_sections(run, model), *(() if checked is None else (checked,)))
    page = write_page(run, model, sections)
    write_card(run.path, _card(run, model, evaluation.numbers))
    return page


def _with_judgement(judged: judging.Judgement) -> Evaluation:
    worst = min(judged.by_class.items(), key=lambda item: item[1].value)
    note = f"The weakest class is {worst[0]}: {100 * worst[1].value:.0f} % of {worst[1].count}."
    passed = judged.agreement.value >= _AGREEMENT and judged.accuracy.value >= _ACCURACY
    numbers = (judged.agreement, judged.accuracy, *judged.by_class.values())
    verdict = Verdict(f"{judged.sentence()} {note}", passed)
    return Evaluation(numbers[:2], (verdict,), (), judged.timings)


def _pictures(run: Run, model: Model, judged: judging.Judgement | None) -> tuple[Shown, ...]:
    """Samples by class and the way from noise to data."""
    folder = run.path / "samples"
    folder.mkdir(exist_ok=True)
    mark = model.weights_hash[:8]
    names = model.card.label_names
    shown = []
    grid = folder / f"final-{mark}.png"
    texts = next((line["texts"] for line in reversed(run.lines("samples")) if "texts" in line), None)
    if judged is not None or not grid.exists():
        if texts and judged is None:
            gallery(model, sample(model, len(texts), text=texts, force=True), None, texts).save(grid)
        else:
            gallery(model, *_final(model, judged)).save(grid)
    if texts and judged is None:
        caption = f"One of each text, not chosen, at guidance {model.card.sampling.guidance:g}."
        alt = f"Samples of the trained model, each over its text: {', '.join(texts[:20])}, ..."
        shown.append(Shown(run.inside(grid), "Samples by text", alt, caption))
    elif names:
        guidance = model.card.sampling.guidance
        alt = f"Samples of the trained model, a row for each of the classes {', '.join(names)}"
        caption = f"The first of each class, not chosen, at guidance {guidance:g}."
        shown.append(Shown(run.inside(grid), "Samples by class", alt, caption))
    else:
        shown.append(Shown(run.inside(grid), "Samples", "Samples of the trained model", "The first ones, not chosen."))
    if model.card.codec.items.kind == "image":
        strip = folder / f"strip-{mark}.png"
        if not strip.exists():
            _strip(model, strip)
        caption = "From noise (left) to data (right), each scaled to the data's range."
        alt = (
            "A strip of pictures for each class: noise at the left turns step by step into a clean sample at the right"
        )
        shown.append(Shown(run.inside(strip), "From noise to data", alt, caption))
    codec = model.card.codec
    if isinstance(codec, LatentCodec) and codec.items.kind == "image":
        kept = folder / f"kept-{codec.weights_hash[:8]}.png"
        if not kept.exists():
            write_kept(run, codec, kept)
        alt = "A row of items, and below each what the autoencoder's decoder makes of its latent"
        caption = "Items (above) and what is left of them in the latent space (below): no sample can be sharper."
        shown.append(Shown(run.inside(kept), "What the autoencoder keeps", alt, caption))
    return tuple(shown)


def _final(model: Model, judged: judging.Judgement | None) -> tuple[Tensor, Tensor | None]:
    classes = max(1, len(model.card.label_names))
    if judged is not None:
        order = torch.argsort(judged.labels, stable=True)
        each = 16
        first = torch.cat([order[judged.labels[order] == k][:each] for k in range(classes)])
        return judged.samples[first], judged.labels[first]
    num = classes * max(1, math.ceil(64 / classes))
    points = len(model.card.codec.items.shape) == 1
    num = 2000 if points else min(num, 256)
    return sample(model, num, force=True), labels_for(model, range(num), None)


def _strip(model: Model, path: Path) -> None:
    states = judging.denoising_strip(model)
    looks, rows = states.shape[:2]
    by_row = states.transpose(0, 1).reshape(rows * looks, *states.shape[2:])
    scale = max(1, 48 // model.card.codec.items.shape[-1])
    picture_grid(model.decode(by_row), columns=looks, scale=scale).save(path)


def _card(run: Run, model: Model, numbers: tuple[Measured, ...]) -> Card:
    data = model.card.data
    process = model.card.process
    return card_of(
        run,
        model,
        data,
        model.denoiser,
        numbers,
        labels=model.card.label_names,
        settings={
            "Process": f"{process.schedule} schedule, {process.target} target, sigma_data {process.sigma_data}",
            "Network": f"{model.card.network.kind}, width {model.card.network.width}",
            "Sampling": f"{model.card.sampling.solver}, {model.card.sampling.steps} steps",
            **({"Latents": first_stage(model.card.codec)} if isinstance(model.card.codec, LatentCodec) else {}),
        },
    )
