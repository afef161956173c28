"""What the page of a model of signals shows beside its samples: their likeness to data, and forecasts."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..config import resolve
from ..foundations.errors import UserError
from ..foundations.measured import Measured
from ..generate import sample
from ..model import Model
from ..report import Evaluation, Shown, Verdict
from ..train.prepare import open_split
from ..train.run import Run
from .score import Forecasts, autocorrelation, discriminative, forecast, spectrum

MARK = "series-"
_SHOWN = 40
_FORECASTS = 6
_MOST = 512
_COVERED = (0.8, 0.97)  # what intervals of 90 % may cover: below, they are too sure; above, they say too little


def evaluate_series(run: Run, model: Model) -> Evaluation:
    """Measures a model of signals on its run's held-out series, and makes the pictures of its page.

    Args:
        run: where the data are named and the pictures go.
        model: its model.
    """
    started = time.perf_counter()
    try:
        train, held = open_split(resolve([("", run.config)]).config)
    except UserError as gone:  # the page is of use without them
        return Evaluation((), (Verdict(f"Nothing was measured, for the data are gone: {gone}", False),))
    data = held if len(held) >= 16 else train
    rows = np.linspace(0, len(data) - 1, min(_MOST, len(data))).astype(np.int64)
    real = data.fetch(rows)[0].to(model.device)
    made = sample(model, len(real), force=True)
    score = discriminative(made, real)
    middle = time.perf_counter()
    seen = model.item_shape[1] * 3 // 4
    ahead = forecast(model, data, seen=seen)
    usual = train.fetch(np.arange(min(len(train), 4096)))[0].mean(0).to(model.device)
    coverage, error, floor = ahead.coverage(), ahead.error(), ahead.error(usual)
    numbers = (
        score,
        coverage,
        Measured("forecast_error", error, count=len(ahead.real), label="Error of the forecasts' mean, model's scale"),
        Measured("usual_error", floor, count=len(ahead.real), label="Error of the mean of all series"),
    )
    steps = model.item_shape[1] - seen
    text = (
        f"The last {steps} of {model.item_shape[1]} steps are forecast with an error of {error:.2f}, the mean of all "
        f"series has {floor:.2f}; {100 * coverage.value:.0f} % of what came is within intervals of 90 %."
    )
    verdict = Verdict(text, error < floor and _COVERED[0] <= coverage.value <= _COVERED[1])
    pictures = _pictures(run, model, made, real, ahead)
    timings = {"samples": middle - started, "forecasts": time.perf_counter() - middle}
    return Evaluation(numbers, (verdict,), pictures, timings, weights=model.weights_hash)


def _pictures(run: Run, model: Model, made: Tensor, real: Tensor, ahead: Forecasts) -> tuple[Shown, ...]:
    folder = run.path / "samples"
    folder.mkdir(exist_ok=True)
    mark = model.weights_hash[:8]
    likeness, forecasts = (folder / f"{MARK}{what}-{mark}.png" for what in ("likeness", "forecasts"))
    _likeness(model, made, real, likeness)
    _forecasts(model, ahead, forecasts)
    return (
        Shown(
            f"samples/{likeness.name}",
            "Like the data?",
            "Samples beside data, and the autocorrelation and the spectrum of both",
            "Above, samples and data, of the first channel; below, both at once, averaged over items.",
        ),
        Shown(
            f"samples/{forecasts.name}",
            "Forecasts",
            "Forecasts of held-out series with intervals of 90 % and what came",
            "Black is what came; the band holds 90 % of the draws given what is left of the line. Not chosen.",
        ),
    )


def _likeness(model: Model, made: Tensor, real: Tensor, path: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # here, as it takes a second
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 2)
    shown = [(made, "samples", "C0"), (real, "data", "C1")]
    values = [np.asarray(model.decode(x[:_SHOWN]))[:, 0] for x, _, _ in shown]
    low, high = min(v.min() for v in values), max(v.max() for v in values)
    for place, (curves, (_, name, colour)) in enumerate(zip(values, shown, strict=True)):
        axes[0, place].plot(curves.T, color=colour, alpha=0.4, lw=0.8)
        axes[0, place].set(title=name, xlabel="step", ylim=(low, high))
    for x, name, colour in shown:
        axes[1, 0].plot(autocorrelation(x).mean(0).cpu().numpy(), color=colour, label=name)
        power = spectrum(x).mean(0).cpu().numpy()
        axes[1, 1].semilogy(
            power + 1e-6 * power.sum(), color=colour, label=name
        )  # of standardised series power[0] is 0
    axes[1, 0].set(title="autocorrelation", xlabel="steps apart")
    axes[1, 1].set(title="power spectrum, model's scale", xlabel="cycles in the length")
    axes[1, 0].legend()
    figure.savefig(path)


def _forecasts(model: Model, ahead: Forecasts, path: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, _FORECASTS // 2, sharey=True).flatten()
    rows = torch.linspace(0, len(ahead.real) - 1, min(_FORECASTS, len(ahead.real))).long()
    parts = (ahead.real, ahead.quantile(0.05), ahead.samples.mean(1), ahead.quantile(0.95))
    truth, low, middle, high = (np.asarray(model.decode(x[rows]))[:, 0] for x in parts)
    steps = np.arange(ahead.seen, truth.shape[1])
    for i, plot in enumerate(axes[: len(rows)]):
        plot.fill_between(steps, low[i, ahead.seen :], high[i, ahead.seen :], color="C0", alpha=0.3, lw=0)
        plot.plot(steps, middle[i, ahead.seen :], color="C0")
        plot.plot(truth[i], color="black", lw=1)
        plot.axvline(ahead.seen - 0.5, color="0.6", lw=0.8)
    figure.savefig(path)
