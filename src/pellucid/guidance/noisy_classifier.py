r"""A small classifier of noisy data: log p(y given x_t) at every noise level.

For two laws of data with standard deviation d, the log-odds of x_t fall with its signal,

    h(t) = alpha d / sqrt(alpha^2 d^2 + sigma^2)                                                                   (1)

down to the log-odds of the classes alone. So the network's output is multiplied by h and added to these: right at large
noise from the start, where sigma^2/alpha would make much of any error in its gradient.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..foundations.errors import UserError
from ..nn.blocks import Embedding, ResidualBlock, convolution, halve
from ..nn.mlp import DenseBlock
from ..processes.gaussian import Gaussian

_LEVELS = 3  # of a grid, each of half the side


class NoisyClassifier(nn.Module):
    """log p(label given x_t, t), as `ClassifierGuided` reads it.

    Items are points (D,), signals (C, L) or pictures (C, H, W). A label of `num_classes` means none: log p = 0, so that
    such an item is not guided.

    Args:
        process: the Gaussian process that made the data noisy.
        shape: of one item.
        num_classes: K, of the labels 0..K-1.
        width: channels of the finest level.
        data_std: d of equation (1).
    """

    log_prior: Tensor

    def __init__(
        self, process: Gaussian, shape: Sequence[int], num_classes: int, *, width: int = 64, data_std: float = 1.0
    ) -> None:
        super().__init__()
        self.process, self.num_classes, self.data_std = process, num_classes, data_std
        self.embedding = Embedding(width)
        dims = len(shape) - 1
        if dims:
            sizes = [width * min(2**level, 2) for level in range(_LEVELS)]
            self.door: nn.Module = convolution(dims, shape[0], width)
            self.blocks = nn.ModuleList(
                ResidualBlock(dims, sizes[max(level - 1, 0)], sizes[level], width) for level in range(_LEVELS)
            )
        else:
            sizes = [width]
            self.door = nn.Linear(shape[0], width)
            self.blocks = nn.ModuleList(DenseBlock(width, width, 0.0) for _ in range(_LEVELS))
        self.head = nn.Linear(sizes[-1], num_classes)
        self.register_buffer("log_prior", torch.zeros(num_classes).log_softmax(0))

    def logits(self, x: Tensor, t: Tensor) -> Tensor:
        """log p(y given x_t) up to a constant, (B, K): x of shape (B, *), t of shape () or (B,)."""
        alpha, sigma = self.process.scales(t, x)
        scale = ((alpha * self.data_std).square() + sigma.square()).rsqrt()
        noise = (self.process.schedule.sigma(t) / self.process.schedule.alpha(t)).clamp_min(1e-3 * self.data_std)
        embedding = self.embedding((noise.log() / 4).to(x).expand(len(x)), None, None)
        h = self.door((scale * x).to(x.dtype))
        for level, block in enumerate(self.blocks):
            h = block(halve(h) if level and h.ndim > 2 else h, embedding)
        signal = (alpha * self.data_std * scale).to(x.dtype).reshape(-1, 1)
        h = F.silu(h).flatten(2).mean(2) if h.ndim > 2 else F.silu(h)
        return self.log_prior + signal * self.head(h)

    def forward(self, x: Tensor, t: Tensor, *, label: Tensor) -> Tensor:
        """log p(label given x_t) in nats, (B,): x of shape (B, *), t of shape () or (B,), label of shape (B,).

        Raises:
            UserError: a label outside 0..K.
        """
        if bool(((label < 0) | (label > self.num_classes)).any()):
            raise UserError(
                f"this classifier knows the labels 0 to {self.num_classes - 1}, and {self.num_classes} for none; got "
                f"{label.tolist()}"
            )
        log_probs = self.logits(x, t).log_softmax(1)
        return F.pad(log_probs, (0, 1)).gather(1, label[:, None])[:, 0]
