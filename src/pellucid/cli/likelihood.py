"""`pellucid likelihood`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from .kinds import flags, opened

_OWN = ("data", "items", "json")  # what the verb itself looks after


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
    codes. All are upper bounds on the true number of pictures; lower is better. Of a table it is the bits to write down
    a row, to the digits of its columns.

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
    from ..foundations.errors import UserError
    from .console import say, say_json

    if items is not None and items < 1:
        raise UserError(f"ask for at least 1 item, got {items}")
    asked = {name: value for name, value in flags(likelihood, locals()).items() if name not in _OWN}
    model, serve = opened("likelihood", run, asked)
    chosen = _items(run, data, model.card.codec.items, items)
    found = serve(model, run, chosen, **asked)
    count = len(chosen)
    if json:
        facts = {"run": str(run), "weights": model.weights_hash, "data": chosen.name, "items": count}
        say_json({**facts, "scores": [score.to_json() for score in found]})
        return 0
    held = " held-out" if data is None else ""
    say(f"{count:,}{held} items of {chosen.name}, {'x'.join(map(str, chosen.shape))} values each")
    say(f"{'':<30}{found[0].unit:>10}{'over items':>13}{'estimator':>12}{'calls':>8}{'products':>10}{'seconds':>9}")
    for score in found:
        say(
            f"{score.method:<30}{score.bits_per_dim:>10.4f}{'± ' + format(score.over_items, '.4f'):>13}"
            f"{'± ' + format(score.of_estimator, '.4f'):>12}{score.evaluations:>8}{score.products:>10}"
            f"{score.seconds:>9.1f}"
        )
    return 0


def _items(run: Path, data: str | None, codec: Any, most: int | None) -> Any:
    """The items to judge: of the data, read in the model's own shape or columns; without any, those that the run held
    out.

    Raises:
        UserError: none.
    """
    import numpy as np

    from ..config import resolve
    from ..data.open import open_dataset
    from ..data.table_codec import TableCodec
    from ..data.tables import open_rows
    from ..foundations.errors import UserError
    from ..train.run import Run
    from ..train.start import open_split

    if data is None:
        _, chosen = open_split(resolve([("", Run.open(run).config)]).config)
    elif isinstance(codec, TableCodec) and Path(data).is_file():
        chosen = open_rows(data, codec)
    else:
        shape = codec.shape
        folder = Path(data).is_dir() and len(shape) == 3  # read pictures in the model's own size
        channels, side = shape[:2] if folder else (None, None)
        chosen = open_dataset(data, size=side, channels=channels)
    if not len(chosen):
        raise UserError("this run held out no items: name the data to judge, as in: pellucid likelihood RUN DATA")
    return chosen.subset(np.arange(len(chosen) if most is None else min(most, len(chosen))))
