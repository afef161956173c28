"""The peer's side: diffusers' `UNet2DModel` with the settings of its own unconditional training example.

Settings as in `examples/unconditional_image_generation/train_unconditional.py`: DDPM with 1,000 linear betas and the
noise as target; AdamW, lr 1e-4, betas (0.95, 0.999), weight decay 1e-6; gradient norm clipped at 1; cosine decay after
500 warm-up steps; EMA with inv_gamma 1, power 0.75, decay up to 0.9999; batches of 16. Pictures of 28x28 are padded to
32x32, which the network's three halvings need. The block types and their ratio of widths (1:2:3:4) are the class's
defaults; only the width is scaled. Made items come from DDIM in 50 steps, as `DDIMPipeline` does it.

Run by itself it prints the network nearest to 0.4M parameters.
"""

from __future__ import annotations

import copy
import warnings

import torch
import torch.nn.functional as F
from torch import Tensor, nn

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from diffusers import DDIMScheduler, DDPMScheduler, UNet2DModel
    from diffusers.optimization import get_scheduler
    from diffusers.training_utils import EMAModel

SIDE, PAD = 32, 2
BATCH_SIZE = 16
WARMUP_STEPS = 500
SAMPLING_STEPS = 50


def network(width: int) -> UNet2DModel:
    """The default network with its widths divided by 224 and multiplied by `width`, a multiple of 8."""
    # Groups: the default is 32 for a width of 224; a divisor of every level's width is needed.
    return UNet2DModel(
        sample_size=SIDE,
        in_channels=1,
        out_channels=1,
        block_out_channels=(width, 2 * width, 3 * width, 4 * width),
        norm_num_groups=min(32, width),
    )


def width_for(num_parameters: int) -> int:
    """The width whose parameter count is nearest, in ratio."""
    counts = {}
    with torch.device("meta"):
        for width in (8, 16, 32, 64):
            counts[width] = sum(p.numel() for p in network(width).parameters())
    return min(counts, key=lambda w: max(counts[w] / num_parameters, num_parameters / counts[w]))


def to_peer(x: Tensor) -> Tensor:
    """(B, 1, 28, 28) in [-1, 1] -> (B, 1, 32, 32), with black around."""
    return F.pad(x, (PAD, PAD, PAD, PAD), value=-1.0)


def from_peer(x: Tensor) -> Tensor:
    """The inverse of `to_peer`."""
    return x[..., PAD:-PAD, PAD:-PAD]


class Recipe:
    """The example's training step.

    Args:
        width: of the network.
        total_steps: over which the learning rate decays.
        seed: of the weights, order, times and noise.
    """

    def __init__(self, width: int, total_steps: int, seed: int = 0) -> None:
        torch.manual_seed(seed)
        self.network = network(width)
        self.chain = DDPMScheduler(num_train_timesteps=1000, beta_schedule="linear", prediction_type="epsilon")
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=1e-4, betas=(0.95, 0.999), weight_decay=1e-6, eps=1e-8
        )
        self.rate = get_scheduler(
            "cosine", self.optimizer, num_warmup_steps=WARMUP_STEPS, num_training_steps=total_steps
        )
        self.ema = EMAModel(self.network.parameters(), decay=0.9999, use_ema_warmup=True, inv_gamma=1.0, power=0.75)
        self._order = torch.Generator().manual_seed(seed)

    @property
    def num_parameters(self) -> int:
        """Of the network."""
        return sum(p.numel() for p in self.network.parameters())

    def batch(self, items: Tensor, size: int = BATCH_SIZE) -> Tensor:
        """A random batch of uint8 items (N, 1, 28, 28), scaled and padded, (size, 1, 32, 32)."""
        chosen = torch.randint(len(items), (size,), generator=self._order)
        return to_peer(items[chosen].float() / 127.5 - 1)

    def step(self, clean: Tensor) -> None:
        """One step on (B, 1, 32, 32)."""
        self.network.train()
        noise = torch.randn_like(clean)
        times = torch.randint(0, 1000, (len(clean),), dtype=torch.int64)
        noisy = self.chain.add_noise(clean, noise, times)
        loss = F.mse_loss(self.network(noisy, times).sample.float(), noise.float())
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self.rate.step()
        self.optimizer.zero_grad()
        self.ema.step(self.network.parameters())

    def averaged(self) -> UNet2DModel:
        """A copy of the network with the averaged weights."""
        kept = copy.deepcopy(self.network)
        self.ema.copy_to(kept.parameters())
        return kept.eval()


@torch.no_grad()
def sample(
    model: UNet2DModel, num: int, *, steps: int = SAMPLING_STEPS, batch_size: int = 100, seed: int = 0
) -> Tensor:
    """Items (num, 1, 28, 28) in [-1, 1] by DDIM."""
    generator = torch.Generator().manual_seed(seed)
    chain = DDIMScheduler(num_train_timesteps=1000, beta_schedule="linear", prediction_type="epsilon")
    parts = []
    for start in range(0, num, batch_size):
        x = torch.randn(min(batch_size, num - start), 1, SIDE, SIDE, generator=generator)
        chain.set_timesteps(steps)
        for t in chain.timesteps:
            x = chain.step(model(x, t).sample, t, x, eta=0.0).prev_sample
        parts.append(from_peer(x))
    return torch.cat(parts).clamp(-1, 1)


if __name__ == "__main__":
    nearest = network(width_for(400_000))
    count = sum(p.numel() for p in nearest.parameters())
    print(f"UNet2DModel {nearest.config.block_out_channels}: {count:,} parameters")
