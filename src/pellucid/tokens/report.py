"""The page of a run on symbols: texts or pictures that it makes, and its bound beside what general models reach."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from ..data.arrays import Dataset
from ..data.tokens import TokenCodec
from ..foundations.measured import Measured
from ..generate import gallery
from ..metrics.text import distinct, ngram_distance, novelty, valid_words, words_of
from ..report import Evaluation, Section, Shown, Table, Text, Verdict
from ..run_report import card_of, evaluated, held_or_train, write_page
from ..score import Score
from ..train.card import Card, write_card
from ..train.run import Run
from ..verified_run import kept
from .generate import sample_tokens
from .model import TokenModel, load_tokens
from .score import token_scores
from .yardsticks import Yardsticks, novel_and_plausible

_JUDGED = 1000  # held-out items of the bound, at most
_SAMPLES = 500  # at most
_SHOWN = 60
_EVALUATIONS = 16
_POSITIONS = 1 << 19  # symbols that the network sees for the one and for the other: half a minute of a small model
_LINE = "text_judgement"  # of the run's metrics


def report_tokens(path: str | Path) -> Path:
    """Writes report.html, report.json and MODEL_CARD.md of a run on symbols, and returns the first.

    Numbers, texts and pictures are made where they are missing or of other weights.

    Raises:
        UserError: no such run, a run of another kind, or data that are gone.
    """
    run = Run.open(path)
    model = load_tokens(path)
    found = evaluated(run, model, lambda train, held: evaluate_tokens(run, model, train, held_or_train(train, held)[0]))
    checked = kept(run.path, model.weights_hash)
    sections = (*_sections(run, model), *(() if checked is None else (checked,)))
    page = write_page(run, model, sections)
    write_card(run.path, _card(run, model, found.numbers))
    return page


def evaluate_tokens(run: Run, model: TokenModel, train: Dataset, held: Dataset) -> Evaluation:
    """Measures a model of symbols on held-out items and makes what its page shows.

    Args:
        run: where texts, pictures and tables go.
        model: its model.
        train, held: the items that it learned from and those that it did not.
    """
    started = time.perf_counter()
    few = max(32, min(_JUDGED, _POSITIONS // (_EVALUATIONS * math.prod(model.shape))))
    judged = held.subset(np.linspace(0, len(held) - 1, min(len(held), few)).astype(np.int64))
    # Without what an item is: general models are not told either.
    label = "none" if model.is_text and model.card.label_names else None
    score = token_scores(model, judged, label=label, evaluations=_EVALUATIONS)[0]
    middle = time.perf_counter()
    if model.is_text:
        numbers, verdicts = _texts(run, model, train, judged, score)
        shown: tuple[Shown, ...] = ()
    else:
        numbers, verdicts = [_measured(score, "bits_per_dim", "bits/dim", "-log p(x), bound through the codes")], ()
        shown = _pictures(run, model)
    timings = {"bound": middle - started, "samples": time.perf_counter() - middle}
    return Evaluation(tuple(numbers), verdicts, shown, timings, weights=model.weights_hash)


def _texts(
    run: Run, model: TokenModel, train: Dataset, judged: Dataset, score: Score
) -> tuple[list[Measured], tuple[Verdict, ...]]:
    """The numbers of texts; samples and yardsticks go into the run's metrics."""
    assert isinstance(train.codec, TokenCodec)
    known, fresh = (part.codec.texts(np.asarray(part.items[:])) for part in (train, judged))  # type: ignore[attr-defined]
    num = max(_SHOWN, min(_SAMPLES, _POSITIONS // (model.card.sampling.steps * model.shape[0])))
    made = model.texts(sample_tokens(model, num))
    sticks = Yardsticks.of(known, train.codec)
    table = sticks.table(fresh, known)
    new = novelty(made, known)
    numbers = [
        _measured(score, "bits_per_character", "bits/char", "-log p(text), bound"),
        new,
        novel_and_plausible(made, fresh, known, sticks),
        distinct(made),
    ]
    if len(words_of(known)) > 2 * len(known):  # of texts that are one word each it is the share that is not new
        numbers.append(valid_words(made, known))
    if min(len(made), len(known)) >= 10:
        numbers.append(ngram_distance(made, known))
    run.append(
        {
            "kind": _LINE,
            "weights": model.weights_hash,
            "yardsticks": table,
            "bound": score.bits_per_dim,
            "texts": made[:_SHOWN],
            "real": fresh[:: max(1, len(fresh) // 20)][:20],
        }
    )
    rank = {name: bits for name, bits in table.items() if name in ("bigram model", "trigram model")}
    verdicts = tuple(
        Verdict(
            f"Held-out texts cost {score.bits_per_dim:.3f} bits per character, "
            f"{'less' if score.bits_per_dim < bits else 'more'} than the {bits:.3f} of a smoothed {name}.",
            score.bits_per_dim < bits,
        )
        for name, bits in rank.items()
    )
    return numbers, verdicts


def _sections(run: Run, model: TokenModel) -> Iterator[Section]:
    """Texts, and the table of yardsticks."""
    for line in reversed(run.lines(_LINE)):
        if line["weights"] == model.weights_hash:
            text = "The first ones, not chosen."
            names = model.card.label_names
            if names:
                rows = tuple((names[i % len(names)], each) for i, each in enumerate(line["texts"]))
                yield Section("Texts", (Text(text), Table("", ("asked for", "text"), rows)))
            else:
                yield Section("Texts", (Text(text), Table("", ("text",), tuple((each,) for each in line["texts"]))))
            real = Table("Held-out texts", ("text",), tuple((each,) for each in line["real"]), folded=True)
            bits = {"this model (upper bound)": line["bound"], **line["yardsticks"]}
            order = tuple(sorted(((name, round(value, 3)) for name, value in bits.items()), key=lambda row: row[1]))
            told = (
                "All on the same held-out texts, their ends paid for. Lower is better; n-grams saw what this model saw."
            )
            table = Table("", ("model", "bits per character"), order)
            yield Section("Bits per character", (Text(told), table, real))
            break
    over = [line for line in run.lines("texts") if line["texts"]]
    if over:
        chosen = [over[round(k * (len(over) - 1) / max(1, min(4, len(over)) - 1))] for k in range(min(4, len(over)))]
        rows = tuple((f"{line['items']:,}", "; ".join(line["texts"][:6])) for line in chosen)
        yield Section("Texts over training", (Table("", ("items seen", "texts from the same noise"), rows),))


def _pictures(run: Run, model: TokenModel) -> tuple[Shown, ...]:
    names = model.card.label_names
    num = 8 * len(names) if 0 < len(names) <= 32 else 64
    path = run.samples / f"final-{model.weights_hash[:8]}.png"
    path.parent.mkdir(exist_ok=True)
    made = sample_tokens(model, num)
    labels = torch.arange(num) % len(names) if names else None
    gallery(model, made, labels).save(path)
    caption = "Codes from the prior, decoded to the middle of p(x given codes). The first ones, not chosen."
    alt = "Samples of the prior over codes, decoded"
    return (Shown(path.relative_to(run.path).as_posix(), "Samples", alt, caption),)


def _measured(score: Score, name: str, unit: str, label: str) -> Measured:
    half = 1.96 * score.over_items
    low, high = score.bits_per_dim - half, score.bits_per_dim + half
    return Measured(name, score.bits_per_dim, low, high, score.items, unit=unit, label=label)


def _card(run: Run, model: TokenModel, numbers: tuple[Measured, ...]) -> Card:
    card, data = model.card, model.card.data
    codec = card.codec
    what = f"{codec.sort}, at most {codec.length}" if isinstance(codec, TokenCodec) else "codes of an autoencoder"
    return card_of(
        run,
        model,
        data,
        model.denoiser,
        numbers,
        labels=card.label_names,
        what="diffusion model of symbols",
        settings={
            "Process": f"{card.process.kind}, {card.process.schedule} survival",
            "Symbols": what,
            "Network": f"{card.network.kind}, width {card.network.width}",
            "Sampling": f"{card.sampling.solver}, {card.sampling.steps} steps",
        },
    )
