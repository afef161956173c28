"""Pipelines that diffusers itself saved: the same denoised estimates, and the same samples from the same noise."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from pellucid.diffusers_models import Diffusers, chain, from_diffusers
from pellucid.foundations.errors import UserError
from pellucid.foundations.rng import Stream
from pellucid.operators import Downsample
from pellucid.restoration.restore import restore
from pellucid.solvers import DDIM, DDPM, sample

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # deprecations inside its own imports
    diffusers = pytest.importorskip("diffusers")
    from diffusers.schedulers import scheduling_ddpm

# numpy 2 warns of how diffusers reads a tensor as an array.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

F64 = torch.float64
CHAINS: dict[str, dict[str, Any]] = {
    "linear": {"beta_schedule": "linear"},
    "scaled_linear": {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012},
    "squaredcos_cap_v2": {"beta_schedule": "squaredcos_cap_v2"},
    "sigmoid": {"beta_schedule": "sigmoid"},
    "trained": {"trained_betas": torch.linspace(1e-3, 0.3, 50).tolist(), "num_train_timesteps": 50},
    "zero end": {"beta_schedule": "linear", "rescale_betas_zero_snr": True},
}
PREDICTIONS = ["epsilon", "sample", "v_prediction"]
SHAPE = (3, 8, 8)
# (chain, prediction, whether estimates are clipped); clipping once for each prediction.
CASES = [
    (name, prediction, clip)
    for name in CHAINS
    for prediction in PREDICTIONS
    for clip in (False, True)
    if not clip or name == "linear"
]


def unet(**changes: Any) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        options = {
            "sample_size": 8,
            "block_out_channels": (8, 16),
            "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
            "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
            "layers_per_block": 1,
            "norm_num_groups": 4,
        }
        return diffusers.UNet2DModel(**{**options, **changes}).eval()


def saved(folder: Path, scheduler: Any, network: Any) -> Path:
    kind = diffusers.DDPMPipeline if isinstance(scheduler, diffusers.DDPMScheduler) else diffusers.DDIMPipeline
    kind(network, scheduler).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def network() -> Any:
    return unet()


@pytest.fixture(scope="module")
def pipeline(network: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Any], Diffusers]:
    """The denoiser of a pipeline on disk whose scheduler is the given one."""
    folder = saved(tmp_path_factory.mktemp("pipeline") / "saved", diffusers.DDPMScheduler(), network)

    def read(scheduler: Any) -> Diffusers:
        scheduler.save_pretrained(folder / "scheduler")
        return from_diffusers(folder)

    return read


def noise(seed: int = 0, batch: int = 2) -> Tensor:
    return Stream.of(seed, range(batch)).normal(SHAPE, step=0)[0, 0]


def when(index: Any, num_steps: int) -> Tensor:
    return torch.tensor((int(index) + 1) / num_steps, dtype=F64)


@torch.no_grad()
def theirs(scheduler: Any, network: Any, x: Tensor, index: int, **labels: Any) -> Tensor:
    """The clean estimate of their scheduler's step."""
    return scheduler.step(network(x, index, **labels).sample, index, x).pred_original_sample


@pytest.mark.parametrize(("name", "prediction", "clip"), CASES)
def test_denoised_estimates_are_theirs(name: str, prediction: str, clip: bool, network: Any, pipeline: Any) -> None:
    kind = diffusers.DDIMScheduler if name != "sigmoid" else diffusers.DDPMScheduler  # theirs has no sigmoid in DDIM
    scheduler = kind(prediction_type=prediction, clip_sample=clip, clip_sample_range=0.8, **CHAINS[name])
    denoiser = pipeline(scheduler)
    assert denoiser.shape == SHAPE
    num_steps = scheduler.config.num_train_timesteps
    scheduler.set_timesteps(num_steps)
    x = noise()
    for index in (0, 1, num_steps // 3, num_steps - 2):
        for t in (when(index, num_steps), when(index, num_steps).float(), when(index, num_steps).float().repeat(2)):
            # Their tables are products of float32, and x_0 of a predicted noise is a difference divided by alpha: what
            # it loses is the size of its terms, |x|/alpha, times the tables' relative round-off.
            size = 1 / float(scheduler.alphas_cumprod[index].sqrt())
            got = denoiser(x, t)
            torch.testing.assert_close(got, theirs(scheduler, network, x, index), rtol=1e-5, atol=1e-5 * max(1, size))


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("name", [name for name in CHAINS if name != "sigmoid"])
def test_ddim_reproduces_their_samples(name: str, prediction: str, network: Any, pipeline: Any) -> None:
    scheduler = diffusers.DDIMScheduler(prediction_type=prediction, clip_sample=False, **CHAINS[name])
    if name == "zero end" and prediction == "epsilon":
        pytest.skip("theirs divides by zero there")
    denoiser = pipeline(scheduler)
    scheduler.set_timesteps(10)
    num_steps = scheduler.config.num_train_timesteps
    start = x = noise()
    for index in scheduler.timesteps:
        with torch.no_grad():
            x = scheduler.step(network(x, index).sample, index, x).prev_sample
    times = torch.stack([*(when(index, num_steps) for index in scheduler.timesteps), torch.zeros((), dtype=F64)])
    got = sample(denoiser, start, times, DDIM())
    torch.testing.assert_close(got, x, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("name", "prediction", "clip"), CASES)
def test_ddpm_reproduces_their_samples(
    name: str, prediction: str, clip: bool, network: Any, pipeline: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheduler = diffusers.DDPMScheduler(prediction_type=prediction, clip_sample=clip, **CHAINS[name])
    if name == "zero end" and prediction == "epsilon":
        pytest.skip("theirs divides by zero there")
    denoiser = pipeline(scheduler)
    scheduler.set_timesteps(10)
    num_steps = scheduler.config.num_train_timesteps
    stream = Stream.of(1, range(2))
    start = x = noise()
    for i, index in enumerate(scheduler.timesteps):
        fresh = stream.normal(SHAPE, step=i + 1)[0, 0]
        monkeypatch.setattr(scheduling_ddpm, "randn_tensor", lambda *_, fresh=fresh, **__: fresh)
        with torch.no_grad():
            x = scheduler.step(network(x, index).sample, index, x).prev_sample
    times = torch.stack([*(when(index, num_steps) for index in scheduler.timesteps), torch.zeros((), dtype=F64)])
    got = sample(denoiser, start, times, DDPM(), stream=stream)
    torch.testing.assert_close(got, x, rtol=1e-4, atol=1e-4)


def test_between_steps_the_network_is_told_the_time_between(network: Any, pipeline: Any) -> None:
    denoiser = pipeline(diffusers.DDPMScheduler(prediction_type="sample", clip_sample=False))
    x = noise()
    with torch.no_grad():
        expected, nearest = network(x, torch.tensor(455.7)).sample, network(x, 456).sample
    torch.testing.assert_close(denoiser(x, torch.tensor(0.4567, dtype=F64)), expected, rtol=1e-5, atol=1e-5)
    assert (expected - nearest).abs().max() > 1e-4


def test_classes_and_learned_embeddings_and_variances(tmp_path: Path) -> None:
    network = unet(num_class_embeds=5, out_channels=6, time_embedding_type="learned", num_train_timesteps=1000)
    scheduler = diffusers.DDPMScheduler(variance_type="learned_range", clip_sample=False)
    denoiser = from_diffusers(saved(tmp_path, scheduler, network))
    assert denoiser.num_classes == 5
    x, label = noise(), torch.tensor([4, 1])
    x0, where = denoiser.moments(x, when(300, 1000), label=label)
    with torch.no_grad():
        output = network(x, 300, class_labels=label).sample
    torch.testing.assert_close(x0, theirs(scheduler, network, x, 300, class_labels=label), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(2 * where - 1, output[:, 3:])
    same = denoiser(x, when(300, 1000), label=torch.tensor(4))
    assert not torch.equal(same[1], x0[1])
    torch.testing.assert_close(same[0], x0[0], rtol=1e-5, atol=1e-5)
    # The embedding of a place between two steps is between theirs.
    table = denoiser.network.unet.time_proj
    torch.testing.assert_close(table(torch.tensor([7.25])), (0.75 * table.weight[7] + 0.25 * table.weight[8])[None])
    with pytest.raises(UserError, match="trained with 5 classes: pass label="):
        denoiser(x, when(300, 1000))


def test_it_is_for_use_not_for_training(pipeline: Any) -> None:
    denoiser = pipeline(diffusers.DDPMScheduler())
    assert not denoiser.training
    assert not any(weight.requires_grad for weight in denoiser.parameters())
    with pytest.raises(UserError, match="takes no label"):
        denoiser(noise(), torch.tensor(0.5), label=torch.tensor([0, 1]))


def test_it_restores_pictures_of_any_size(pipeline: Any) -> None:
    denoiser = pipeline(diffusers.DDPMScheduler())
    for side in (8, 20):
        y = noise()[:1, :, :4, :4].repeat(1, 1, 3, 3)[..., : side // 2, : side // 2] / 4
        got = restore(denoiser, Downsample(2), y, shape=(3, side, side), method="ddnm", steps=3)
        assert got.samples.shape == (1, 1, 3, side, side)
        assert got.residual.max() < 1e-6
        assert got.settings.tiled == (side > 8)


def test_only_safetensors_are_read(tmp_path: Path, network: Any) -> None:
    folder = saved(tmp_path / "p", diffusers.DDPMScheduler(), network)
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(UserError, match=r"diffusion_pytorch_model\.bin, and only safetensors are read"):
        from_diffusers(folder)


def test_a_damaged_file_is_named(tmp_path: Path, network: Any) -> None:
    folder = saved(tmp_path / "p", diffusers.DDPMScheduler(), network)
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(UserError, match="cannot be read"):
        from_diffusers(folder)
    (folder / "scheduler" / "scheduler_config.json").write_text("{")
    with pytest.raises(UserError, match=r"scheduler_config\.json cannot be read"):
        from_diffusers(folder)


@pytest.mark.parametrize(
    ("file", "changes", "told"),
    [
        ("unet/config.json", {"_class_name": "UNet2DConditionModel"}, "is a UNet2DConditionModel"),
        ("unet/config.json", {"time_embedding_type": "fourier"}, "trained with 'fourier' times"),
        ("unet/config.json", {"out_channels": 4}, "3 channels in and 4 out"),
        ("scheduler/scheduler_config.json", {"_class_name": "KarrasVeScheduler"}, "DDIMScheduler, DDPMScheduler"),
        ("scheduler/scheduler_config.json", {"beta_schedule": "linar"}, "did you mean 'linear'"),
        ("scheduler/scheduler_config.json", {"prediction_type": "flow"}, "Allowed: epsilon, sample, v_prediction"),
        ("scheduler/scheduler_config.json", {"trained_betas": [0.1, 1.5]}, "betas[1] = 1.5"),
    ],
)
def test_mistakes(tmp_path: Path, network: Any, file: str, changes: dict[str, Any], told: str) -> None:
    folder = saved(tmp_path / "p", diffusers.DDPMScheduler(), network)
    values = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps({**values, **changes}))
    with pytest.raises(UserError) as error:
        from_diffusers(folder)
    assert told in str(error.value)


def test_no_folder_and_no_pipeline(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no folder 'someone/some-model'"):
        from_diffusers("someone/some-model")
    with pytest.raises(UserError, match="has no unet/"):
        from_diffusers(tmp_path)


@pytest.mark.parametrize("name", CHAINS)
def test_chains_are_theirs(name: str) -> None:
    scheduler = diffusers.DDPMScheduler(**CHAINS[name])
    ours = chain({"_class_name": "DDPMScheduler", **CHAINS[name]})
    times = torch.arange(1, ours.num_steps + 1, dtype=F64) / ours.num_steps
    bar = ours.alpha(times).square()
    # A thousand products in float32. Where the last value is zero, ours is a little more.
    torch.testing.assert_close(bar, scheduler.alphas_cumprod.double(), rtol=2e-4, atol=1e-10)
