r"""Pipelines that diffusers saved, as denoisers: a U-Net `UNet2DModel` with the chain that its scheduler describes.

Their chain counts its steps 0 ... T - 1, ours lives at t = 1/T ... 1: their step i is our t = (i + 1)/T, and the U-Net
is told T t - 1, also between steps, where its sinusoidal embedding is as smooth as ours is. What the U-Net predicts is
a target: "epsilon" is `Eps`, "sample" is `X0` and "v_prediction" is `V`.

The folder is read as data: JSON, and weights in safetensors. Nothing is fetched, and nothing in it is run.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .denoisers import TARGETS, NetworkDenoiser
from .foundations.errors import MissingExtra, UserError, unknown
from .foundations.registry import Registry
from .processes.gaussian import Gaussian
from .processes.schedules import Betas, cosine, linear_beta, scaled_linear_beta

PREDICTIONS = Registry("prediction type of diffusers", {"epsilon": "eps", "sample": "x0", "v_prediction": "v"})
_UNET, _SCHEDULER = "UNet2DModel", ("DDPMScheduler", "DDIMScheduler")
_LAST = 1e-3  # what a chain's last step leaves of alpha^2 where it was rescaled to leave nothing
_SNAP = 1e-3  # a step's number this near to a whole one is whole: float32 times are no multiples of 1/T


class Diffusers(NetworkDenoiser):
    """E[x_0 given x_t] by a U-Net of diffusers.

    Attributes:
        shape: of the items it was trained on, (C, H, W).
        num_classes: of labels; 0 where it takes none.
        clip: where its estimates are cut off, or None.
    """

    def __init__(
        self, unet: nn.Module, schedule: Betas, target: str, *, clip: float | None, learned_variance: bool
    ) -> None:
        super().__init__(
            _Network(unet),
            Gaussian(schedule),
            TARGETS[target](),
            learned_variance=learned_variance,
            told=lambda t: _step(t, schedule.num_steps),
        )
        config: Any = unet.config
        side = config.sample_size
        self.shape = (config.in_channels, *((side, side) if isinstance(side, int) else tuple(side or ())))
        self.num_classes = config.num_class_embeds or 0
        self.clip = clip

    def forward(self, x: Tensor, t: Tensor, **cond: Any) -> Tensor:
        """E[x_0 given x_t]: x of shape (B, C, H, W), t of shape () or (B,); `label` of (B,) where it was trained so."""
        return self._clipped(super().forward(x, t, **cond))

    def moments(self, x: Tensor, t: Tensor, **cond: Any) -> tuple[Tensor, Tensor]:
        x0, where = super().moments(x, t, **cond)
        return self._clipped(x0), where

    def _clipped(self, x0: Tensor) -> Tensor:
        return x0 if self.clip is None else x0.clamp(-self.clip, self.clip)


def from_diffusers(folder: str | Path, *, clip: bool | None = None) -> Diffusers:
    """The denoiser of a pipeline that diffusers saved to disk.

    Args:
        folder: what `pipeline.save_pretrained(folder)` made of a `DDPMPipeline` or `DDIMPipeline`: it holds unet/ and
            scheduler/, the weights in safetensors.
        clip: whether estimates are cut off at the scheduler's clip_sample_range; as the scheduler says if None. The
            estimate of an "epsilon" network has no other bound where there is almost no signal.

    Returns:
        A denoiser in evaluation mode, on the CPU, whose parameters ask for no gradient. Its time t = (i + 1)/T is
        diffusers' timestep i. Classes are passed as label=, a tensor (B,).

    Raises:
        MissingExtra: diffusers is not installed.
        UserError: no such folder, a pipeline of another kind, weights that are pickled or damaged, or a schedule or
            prediction type that is not known.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(
            f"there is no folder {str(folder)!r}: give a pipeline on this disk, such as pipeline.save_pretrained makes"
        )
    for part in ("unet", "scheduler"):
        if not (folder / part).is_dir():
            raise UserError(f"{folder} has no {part}/: it is not the folder of a whole pipeline")
    described = _json(folder / "scheduler" / "scheduler_config.json")
    network = _json(folder / "unet" / "config.json")
    if network.get("_class_name") != _UNET:
        raise UserError(f"{folder / 'unet'} is a {network.get('_class_name')}, and a {_UNET} is needed")
    if network.get("time_embedding_type", "positional") not in ("positional", "learned"):
        raise UserError(
            f"{folder / 'unet'} was trained with {network['time_embedding_type']!r} times, which no DDPM or DDIM chain "
            "has: 'positional' or 'learned' is needed"
        )
    schedule = chain(described)
    target = PREDICTIONS[str(described.get("prediction_type", "epsilon"))]
    outputs, inputs = int(network["out_channels"]), int(network["in_channels"])
    learned = described.get("variance_type") == "learned_range" and outputs == 2 * inputs
    if outputs != inputs and not learned:
        raise UserError(
            f"{folder / 'unet'} has {inputs} channels in and {outputs} out: they are equal, or twice as many out where "
            "the scheduler's variance_type is 'learned_range'"
        )
    cut = described.get("clip_sample", True) if clip is None else clip
    limit = float(described.get("clip_sample_range", 1.0)) if cut else None
    unet = _unet(folder / "unet")
    return Diffusers(unet, schedule, target, clip=limit, learned_variance=learned).eval().requires_grad_(False)


def chain(config: dict[str, Any]) -> Betas:
    """The chain that a scheduler's configuration describes, from its own numbers in float64.

    Raises:
        UserError: a scheduler that is neither DDPM's nor DDIM's, or an unknown schedule.
    """
    if config.get("_class_name") not in _SCHEDULER:
        raise unknown("scheduler of diffusers", str(config.get("_class_name")), _SCHEDULER)
    if config.get("trained_betas") is not None:
        schedule = Betas(tuple(float(beta) for beta in config["trained_betas"]))
    else:
        num_steps = int(config.get("num_train_timesteps", 1000))
        ends = float(config.get("beta_start", 1e-4)), float(config.get("beta_end", 0.02))
        schedule = CHAINS[str(config.get("beta_schedule", "linear"))](num_steps, *ends)
    return _without_end_signal(schedule) if config.get("rescale_betas_zero_snr") else schedule


def _sigmoid(num_steps: int, first: float, last: float) -> Betas:
    """Betas that rise from first to last as a sigmoid on [-6, 6] (the chain of Xu et al., "GeoDiff", 2022)."""
    rise = torch.linspace(-6, 6, num_steps, dtype=torch.float64).sigmoid()
    return Betas(tuple((first + rise * (last - first)).tolist()))


CHAINS: Registry[Callable[[int, float, float], Betas]] = Registry(
    "beta schedule of diffusers",
    {
        "linear": lambda n, first, last: linear_beta(num_steps=n, beta_min=first, beta_max=last),
        "scaled_linear": lambda n, first, last: scaled_linear_beta(num_steps=n, beta_min=first, beta_max=last),
        "squaredcos_cap_v2": lambda n, first, last: cosine(num_steps=n),
        "sigmoid": _sigmoid,
    },
)


def _without_end_signal(schedule: Betas) -> Betas:
    """alpha shifted and scaled to keep its first value and to end at zero, or rather a little above, as alpha(1) > 0
    must hold (Lin et al., "Common Diffusion Noise Schedules and Sample Steps are Flawed", 2023, algorithm 1)."""
    times = torch.arange(1, schedule.num_steps + 1, dtype=torch.float64) / schedule.num_steps
    alpha = schedule.alpha(times)
    alpha = (alpha - alpha[-1]) * alpha[0] / (alpha[0] - alpha[-1])
    bar = alpha.square()
    bar[-1] = _LAST * bar[-2]
    return Betas(tuple((1 - bar / torch.cat([bar.new_ones(1), bar[:-1]])).tolist()))


def _step(t: Tensor, num_steps: int) -> Tensor:
    """diffusers' number of the step at t."""
    place = (t * num_steps - 1).clamp_min(0)
    whole = place.round()
    return torch.where((place - whole).abs() < _SNAP, whole, place)


class _Network(nn.Module):
    """A U-Net called as network(x, c, label=...)."""

    def __init__(self, unet: nn.Module) -> None:
        super().__init__()
        self.unet = unet

    def forward(self, x: Tensor, c: Tensor, *, label: Tensor | None = None) -> Tensor:
        classes: Any = self.unet.config.num_class_embeds  # type: ignore[union-attr]
        if (label is None) != (self.unet.class_embedding is None):
            told = f"was trained with {classes or ''} classes: pass label=" if label is None else "takes no label"
            raise UserError(f"this U-Net {told}")
        if label is not None:
            label = label.expand(len(x)) if label.ndim == 0 else label
        output: Tensor = self.unet(x, c, class_labels=label, return_dict=False)[0]
        return output


class _Between(nn.Module):
    """A table of embeddings of whole steps, read between them by linear interpolation."""

    def __init__(self, table: nn.Embedding) -> None:
        super().__init__()
        self.weight = table.weight

    def forward(self, place: Tensor) -> Tensor:
        left = place.floor().long().clamp(0, len(self.weight) - 2)
        return torch.lerp(self.weight[left], self.weight[left + 1], (place - left)[:, None])


def _json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {error}") from None
    if not isinstance(values, dict):
        raise UserError(f"{path} is no configuration of diffusers")
    return values


def _unet(folder: Path) -> nn.Module:
    if not any(folder.glob("*.safetensors")):
        kept = ", ".join(sorted(path.name for path in folder.glob("*.bin"))) or "no weights"
        raise UserError(
            f"{folder} holds {kept}, and only safetensors are read (the others can run code): save the pipeline anew "
            "with save_pretrained(..., safe_serialization=True)"
        )
    try:
        diffusers = importlib.import_module("diffusers")
    except ImportError:
        raise MissingExtra("diffusers", "diffusers", "reading a diffusers pipeline") from None
    try:
        unet: Any = diffusers.UNet2DModel.from_pretrained(
            folder, use_safetensors=True, local_files_only=True, low_cpu_mem_usage=False
        )
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        reason = str(error).strip().splitlines()
        raise UserError(f"{folder} cannot be read: {reason[0] if reason else type(error).__name__}") from None
    if isinstance(unet.time_proj, nn.Embedding):
        unet.time_proj = _Between(unet.time_proj)
    module: nn.Module = unet
    return module
