"""The page of an energy model's run: samples, the energy's map, the normaliser by two methods, held-out likelihood."""

from __future__ import annotations

import math
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..data.arrays import Dataset
from ..foundations.errors import UserError
from ..foundations.measured import Measured
from ..mcmc import Normaliser
from ..metrics.transport import sliced_wasserstein
from ..report import Evaluation, Shown, Verdict
from ..run_report import card_of, evaluated, held_or_train, write_page
from ..train.card import Card, write_card
from ..train.ebm import sheet
from ..train.run import Run
from .ebm import METHODS, EnergyModel, load_ebm

_JUDGED = 2000


def report_ebm(path: str | Path) -> Path:
    """Writes report.html, report.json and MODEL_CARD.md of an energy model's run, and returns the first.

    Raises:
        UserError: no such run, a run of another kind, or data that are gone.
    """
    run = Run.open(path)
    model = load_ebm(path)
    found = evaluated(run, model, lambda *parts: evaluate_ebm(run, model, *held_or_train(*parts)))
    page = write_page(run, model)
    write_card(run.path, _card(run, model, found.numbers))
    return page


def evaluate_ebm(run: Run, model: EnergyModel, data: Dataset, part: str) -> Evaluation:
    """Measures an energy model on items and makes the pictures of its page.

    Args:
        run: where the pictures go.
        model: its model.
        data: the items.
        part: what to call them.
    """
    started = time.perf_counter()
    x, _ = data.fetch(np.linspace(0, len(data) - 1, min(_JUDGED, len(data))).astype(np.int64))
    numbers, verdicts = [], []
    try:
        annealed, thermodynamic = (model.normaliser(method=each) for each in ("annealed", "thermodynamic"))
    except UserError as error:
        verdicts.append(Verdict(f"{error}.", False))
    else:
        numbers += [_measured("log_z_annealed", annealed, "log Z, annealed importance sampling")]
        numbers += [_measured("log_z_thermodynamic", thermodynamic, "log Z, thermodynamic integration")]
        numbers.append(_likelihood(model, x, annealed))
        gap = abs(annealed.log_z - thermodynamic.log_z) / math.hypot(annealed.error, thermodynamic.error)
        said = f"The two estimates of log Z are {gap:.1f} standard errors apart."
        if model.card.network.method == "nce":
            learned = float(model.law.log_z)
            numbers.append(Measured("log_z_learned", learned, unit="nats", label="log Z, learned with the weights"))
            said += f" Noise-contrastive estimation learned {learned:.3f}; by sampling it is {annealed.log_z:.3f}."
        verdicts.append(Verdict(said, gap < 4))
    middle = time.perf_counter()
    samples = model.sample(len(x)) if len(model.shape) == 1 else model.sample(64)
    if len(model.shape) == 1:
        distance = sliced_wasserstein(samples, x, seed=0)
        numbers.append(Measured("sliced_wasserstein", distance, count=len(x), label=f"Distance to {part} items"))
    pictures = _pictures(run, model, samples, x)
    timings = {"normaliser": middle - started, "samples": time.perf_counter() - middle}
    return Evaluation(tuple(numbers), tuple(verdicts), pictures, timings, weights=model.weights_hash)


def _measured(name: str, found: Normaliser, label: str) -> Measured:
    return Measured(name, found.log_z, found.low, found.high, found.chains, unit="nats", label=label)


def _likelihood(model: EnergyModel, x: Tensor, z: Normaliser) -> Measured:
    """-log p of items in nats for each, whose interval knows of the items and of Z."""
    each = -model.log_prob(x, z.log_z).double()
    half = 1.96 * math.hypot(each.std().item() / len(each) ** 0.5, z.error)
    mean = each.mean().item()
    return Measured("nats", mean, mean - half, mean + half, len(each), unit="nats", label="-log p(x), model's scale")


def _pictures(run: Run, model: EnergyModel, samples: Tensor, x: Tensor) -> tuple[Shown, ...]:
    folder = run.path / "samples"
    folder.mkdir(exist_ok=True)
    mark = model.weights_hash[:8]
    path = folder / f"final-{mark}.png"
    sheet(model.card, samples).save(path)
    shown = [Shown(run.inside(path), "Samples", "Samples of the energy model", "The first ones, not chosen.")]
    if model.shape == (2,):
        path = folder / f"energy-{mark}.png"
        _map(model, x, path)
        alt = "A map of the energy over the plane, with items as dots"
        shown.append(Shown(run.inside(path), "The energy", alt, "Dark is likely. Dots are items."))
    return tuple(shown)


def _map(model: EnergyModel, x: Tensor, path: Path) -> None:
    """The energy over the plane, in the data's own units, as a picture."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # here, as it takes a second
    from matplotlib.figure import Figure

    low, high = x.amin(0) - 0.5, x.amax(0) + 0.5
    axes = [torch.linspace(float(a), float(b), 160) for a, b in zip(low, high, strict=True)]
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 2)
    energy = model.energy(grid).reshape(160, 160)
    energy = (energy - energy.min()).clamp_max(12)
    corners = model.card.codec.decode(torch.stack([low, high]))
    items = model.card.codec.decode(x[:300])
    figure = Figure(figsize=(5, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    plot = figure.subplots()
    extent = (corners[0, 0], corners[1, 0], corners[0, 1], corners[1, 1])
    shown = plot.imshow(energy.T.numpy(), origin="lower", extent=extent, cmap="Blues_r", aspect="auto")
    plot.plot(items[:, 0], items[:, 1], ".", color="#d9480f", markersize=2)
    figure.colorbar(shown, label="E - min E, nats, at most 12")
    figure.savefig(path, dpi=110)


def _card(run: Run, model: EnergyModel, numbers: tuple[Measured, ...]) -> Card:
    data, spec = model.card.data, model.card.network
    return card_of(
        run,
        model,
        data,
        model.law,
        numbers,
        what="energy model",
        settings={
            "Learned by": METHODS[spec.method],
            "Normal law that is tilted": f"standard deviation {spec.std:g}",
            "Network": f"{spec.network.kind}, width {spec.network.width}",
            **({"Persistent chains": f"{spec.chains:,}"} if spec.chains else {}),
        },
    )
