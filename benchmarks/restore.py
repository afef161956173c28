"""Restoration of photographs that no training saw: quality, calls and seconds, for every method and task.

    python benchmarks/restore.py [--model photos64] [--patches 2] [--samples 3] [--steps 40]

The patches (64 x 64, from scikit-image's chelsea and coffee, scikit-learn's china and flower, at their own size) are
damaged, and restored by every method through one call. PSNR (dB) and SSIM are those of the mean of the samples, and in
brackets of one sample: the mean is the better guess, the sample the better picture. Calls of the network are for each
sample; methods that differentiate through it pay about two more for each. Seconds are those of the processor on one
thread, for all patches and samples of a task.

Goal: the best method that uses the model beats total variation and bicubic interpolation on at least five of six tasks
by PSNR.
"""

from __future__ import annotations

import importlib.util
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import Page, arguments, table
from PIL import Image

SIDE = 64
LONG = ("smc", "latent-code")  # hundreds of particles, or thousands of calls, for each item
PICTURES = {
    "chelsea.png": ("skimage", "data"),
    "coffee.png": ("skimage", "data"),
    "china.jpg": ("sklearn", "datasets/images"),
    "flower.jpg": ("sklearn", "datasets/images"),
}


def main() -> None:
    """Prints the tables and writes them to results/restore.md."""
    parser = arguments(__doc__)
    parser.add_argument("--model", default="photos64")
    parser.add_argument("--patches", type=int, default=2, help="of each picture")
    parser.add_argument("--samples", type=int, default=3)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--methods", help=f"names separated by commas; all but {' and '.join(LONG)} if absent")
    parser.set_defaults(threads=1)
    options = parser.parse_args()
    import torch

    torch.set_num_threads(options.threads)
    import pellucid as pl
    from pellucid.foundations.errors import UserError
    from pellucid.foundations.rng import Stream
    from pellucid.metrics.image import psnr, ssim
    from pellucid.operators import OPERATORS
    from pellucid.restoration.restore import restore
    from pellucid.restorers import RESTORERS

    if options.quick:
        options.patches, options.samples, options.steps = 1, 2, 5
    model = pl.load(options.model)
    truth = torch.from_numpy(patches(options.patches)).float() / 127.5 - 1
    shape = tuple(truth.shape[1:])
    tasks: dict[str, tuple[Any, float]] = {
        "inpaint 50 % at random": (OPERATORS["random-mask"](0.5), 0.0),
        "inpaint a box of 24": (OPERATORS["box"](side=24 / SIDE), 0.0),
        "super-resolution x4": (OPERATORS["downsample"](4), 0.0),
        "deblur 1.6, noise 0.02": (OPERATORS["gaussian-blur"](1.6), 0.02),
        "denoise 0.1": (OPERATORS["identity"](), 0.1),
        "compressed sensing 25 %": (OPERATORS["hadamard-sensing"](0.25), 0.0),
    }
    methods = options.methods.split(",") if options.methods else [name for name in RESTORERS if name not in LONG]
    page = Page("restore", "Restoring photographs", quick=options.quick)
    page.say(
        f"{len(truth)} patches of 4 held-out pictures; model {options.model}, {options.steps} steps, {options.samples} "
        "samples. PSNR and SSIM of the samples' mean, in brackets of one sample. Left out for their cost: "
        f"{', '.join(LONG)}.\n"
    )
    verdicts = []
    for task, (operator, noise) in tasks.items():
        bound = operator.on(shape)
        clean = bound(truth)
        draw = Stream.of(1, range(len(truth))).normal(bound.out_shape, step=0)[0, 0]
        y = clean + noise * draw
        rows, scored = [], {}
        if task.startswith("super"):
            bicubic = torch.nn.functional.interpolate(y, size=shape[1:], mode="bicubic").clamp(-1, 1)
            scored["bicubic"] = float(psnr(bicubic, truth).mean())
            rows.append(["bicubic", f"{scored['bicubic']:.2f}", f"{ssim(bicubic, truth).mean():.3f}", "0", "0.0"])
        for method in methods:
            counted = Counting(model.denoiser)
            start = time.process_time()
            try:
                # Point estimates without randomness need no second sample, and no method is told to clip: all are here.
                many = options.samples if method == "auto" or RESTORERS[method]().learned else 1
                made = restore(
                    counted, bound, y, method=method, noise=noise, samples=many, steps=options.steps, shape=shape
                )
            except UserError as error:
                rows.append([method, "-", "-", "-", "-"])
                print(f"{task}: {method}: {error}", file=sys.stderr)
                continue
            seconds = time.process_time() - start
            mean, one = made.mean.clamp(-1, 1), made.samples[:, 0].clamp(-1, 1)
            scored[method] = float(psnr(mean, truth).mean())
            rows.append(
                [
                    f"auto ({made.method})" if method == "auto" else method,
                    f"{scored[method]:.2f} ({psnr(one, truth).mean():.2f})",
                    f"{ssim(mean, truth).mean():.3f} ({ssim(one, truth).mean():.3f})",
                    f"{counted.items / (len(truth) * many):.0f}",
                    f"{seconds:.1f}",
                ]
            )
            print(task, rows[-1], file=sys.stderr, flush=True)
        page.say(f"## {task}\n")
        page.say(table(["method", "PSNR", "SSIM", "calls", "CPU s"], rows) + "\n")
        learned = {name: value for name, value in scored.items() if name in RESTORERS and RESTORERS[name]().learned}
        classical = {name: value for name, value in scored.items() if name in ("tv", "bicubic")}
        if learned and classical:
            best, rival = max(learned, key=learned.__getitem__), max(classical, key=classical.__getitem__)
            won = learned[best] > classical[rival]
            verdicts.append(
                [task, best, f"{learned[best]:.2f}", rival, f"{classical[rival]:.2f}", "yes" if won else "no"]
            )
    page.say("## The best with the model against the classical\n")
    page.say(table(["task", "best method", "PSNR", "classical", "PSNR", "beaten"], verdicts))
    beaten = sum(row[-1] == "yes" for row in verdicts)
    page.say(f"\nGoal of five of six: {'reached' if beaten >= 5 else 'MISSED'} ({beaten} of {len(verdicts)}).")
    page.end()


class Counting:
    """A denoiser that counts the items it was called on."""

    def __init__(self, denoiser: Any) -> None:
        self._denoiser, self.process, self.items = denoiser, denoiser.process, 0

    def __call__(self, x: Any, t: Any, **cond: Any) -> Any:
        self.items += len(x)
        return self._denoiser(x, t, **cond)


def patches(count: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The patches of each picture with the most texture among 24 on a fixed grid, spread over them: (N, 3, 64, 64)."""
    found = []
    for name, (package, folder) in PICTURES.items():
        spec = importlib.util.find_spec(package)
        assert spec is not None
        assert spec.origin is not None
        pixels = np.asarray(Image.open(Path(spec.origin).parent / folder / name).convert("RGB"))
        tops = np.linspace(0, pixels.shape[0] - SIDE, 4).astype(int)
        lefts = np.linspace(0, pixels.shape[1] - SIDE, 6).astype(int)
        cut = [pixels[y : y + SIDE, x : x + SIDE].transpose(2, 0, 1) for y in tops for x in lefts]
        cut.sort(key=lambda patch: float(patch.std(axis=(1, 2)).mean()))
        half = cut[len(cut) // 2 :]  # a patch of plain sky is restored by anything
        found += [half[round(i)] for i in np.linspace(0, len(half) - 1, count + 2)[1:-1]]
    return np.stack(found)


if __name__ == "__main__":
    main()
