"""`pellucid likelihood`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter


def likelihood(
    run: Path,
    data: str | None = None,
    /,
    *,
    items: int | None = None,
    label: str | None = None,
    trace: str = "auto",
    probes: int | None = None,
    steps: int = 64,
    evaluations: int = 64,
    importance_samples: int = 1,
    learned_noise: Annotated[bool, Parameter(negative="")] = False,
    seed: int = 0,
    batch_size: int | None = None,
    force: Annotated[bool, Parameter(negative="")] = False,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Say how probable the model thinks data are: in bits for each value, by two methods.

    A diffusion model is judged by its ODE and its variational bound, a latent one by the bound through its latent with
    the one or the other for the latent's law, an autoencoder by its ELBO and its importance-weighted bound, or by its
    codes. All are upper bounds on the true number of pictures; lower is better.

    Parameters
    ----------
    run
        A run folder, a checkpoint or a model folder.
    data
        A folder of pictures, a .npz, .npy or .csv file, or a built-in set; the run's own held-out items if absent.
    items
        How many of them, the first; all if absent.
    label
        A class, "own" for each item's own (the default where there are labels), or "none".
    trace
        auto, exact, hutchinson or hutch++: how the ODE's divergence is found.
    probes
        Random vectors for it at each step.
    steps
        Steps of the ODE.
    evaluations
        Noise levels drawn for each item in the variational bound.
    importance_samples
        Draws within each picture's bins, of a latent (2, if 1), or of a VAE's code (64, if 1): more are tighter, and
        cost as much again.
    learned_noise
        First learn how to draw within the bins, on the run's training pictures: tighter.
    seed
        Any integer.
    batch_size
        Items worked on together.
    force
        Go on where the data look unscaled or the process does not end in its prior.
    json
        Print the result as JSON.
    """
    import numpy as np

    from ..autoencoders.model import AutoencoderModel, load_any
    from ..autoencoders.score import autoencoder_scores
    from ..config import resolve
    from ..data.open import open_dataset
    from ..energies.ebm import EnergyModel, ebm_from_stored, is_ebm
    from ..energies.score import energy_scores
    from ..foundations.errors import UserError
    from ..likelihood import UniformNoise
    from ..model import MODEL, Model, is_of_tokens, read
    from ..score import learn_noise, scores
    from ..tokens.model import TokenModel, tokens_from_stored
    from ..tokens.score import TEXT_UNIT, token_scores
    from ..train.run import Run
    from ..train.start import open_split
    from .console import console, say, say_json, steps_view
    from .tokens import refuse

    if items is not None and items < 1:
        raise UserError(f"ask for at least 1 item, got {items}")
    stored = read(run)
    model: Model | AutoencoderModel | TokenModel | EnergyModel
    if is_ebm(stored):
        model = ebm_from_stored(stored)
    else:
        model = tokens_from_stored(stored) if is_of_tokens(stored.saved.documents[MODEL]) else load_any(run)
    if isinstance(model, AutoencoderModel) and (learned_noise or label is not None):
        raise UserError("--label and --learned-noise are for diffusion models: leave them out")
    train_set = chosen = None
    if data is None or learned_noise:
        train_set, chosen = open_split(resolve([("", Run.open(run).config)]).config)
    if data is not None:
        shape = model.card.codec.items.shape
        folder = Path(data).is_dir() and len(shape) == 3  # read pictures in the model's own size
        channels, side = shape[:2] if folder else (None, None)
        chosen = open_dataset(data, size=side, channels=channels)
    assert chosen is not None
    if not len(chosen):
        raise UserError("this run held out no items: name the data to judge, as in: pellucid likelihood RUN DATA")
    count = len(chosen) if items is None else min(items, len(chosen))
    chosen = chosen.subset(np.arange(count))
    noise = None
    if isinstance(model, TokenModel):
        refuse(learned_noise=learned_noise, probes=probes, trace=None if trace == "auto" else trace)
    elif isinstance(model, EnergyModel):
        refuse("of diffusion models, and this is an energy model", label=label, learned_noise=learned_noise)
    elif learned_noise:
        assert train_set is not None
        assert not isinstance(model, AutoencoderModel)
        console().print("learning the noise within the bins")
        noise = learn_noise(model, train_set, seed=seed)
        if isinstance(noise, UniformNoise):
            console().print("it is no better than uniform noise on training items: uniform noise is used")
    with steps_view("likelihood") as update:
        if isinstance(model, AutoencoderModel):
            k = importance_samples if importance_samples > 1 else 64
            found = autoencoder_scores(model, chosen, k=k, seed=seed, batch_size=batch_size or 128, progress=update)
        elif isinstance(model, TokenModel):
            options: dict[str, Any] = {"label": label, "evaluations": evaluations, "seed": seed}
            found = token_scores(model, chosen, batch_size=batch_size, progress=update, **options)
        elif isinstance(model, EnergyModel):
            found = energy_scores(model, chosen, seed=seed, progress=update)
        else:
            found = scores(
                model,
                chosen,
                label=label,
                trace=trace,
                probes=probes,
                steps=steps,
                evaluations=evaluations,
                importance_samples=importance_samples,
                noise=noise,
                seed=seed,
                force=force,
                batch_size=batch_size,
                progress=update,
            )
    if json:
        facts = {"run": str(run), "weights": model.weights_hash, "data": chosen.name, "items": count}
        say_json({**facts, "scores": [score.to_json() for score in found]})
        return 0
    held = " held-out" if data is None else ""
    say(f"{count:,}{held} items of {chosen.name}, {'x'.join(map(str, chosen.shape))} values each")
    unit = "bits/char" if any(TEXT_UNIT in score.method for score in found) else "bits/dim"
    say(f"{'':<30}{unit:>10}{'over items':>13}{'estimator':>12}{'calls':>8}{'products':>10}{'seconds':>9}")
    for score in found:
        say(
            f"{score.method:<30}{score.bits_per_dim:>10.4f}{'± ' + format(score.over_items, '.4f'):>13}"
            f"{'± ' + format(score.of_estimator, '.4f'):>12}{score.evaluations:>8}{score.products:>10}"
            f"{score.seconds:>9.1f}"
        )
    return 0
