r"""Random numbers as a pure function of (seed, item, step, draw).

A counter-based generator has no state: the number at any counter is a keyed bijection of that counter. So sample i
depends on (seed, i) alone, whatever the batch size, the device or the number of processes that share the work.

The bijection is Philox4x32-10 (Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011, section 3.3). One
round maps the four 32-bit words (c0, c1, c2, c3) under the key (k0, k1) to

    (hi(M1 c2) ^ c1 ^ k0,  lo(M1 c2),  hi(M0 c0) ^ c3 ^ k1,  lo(M0 c0))                                            (1)

and the key moves by the Weyl constants (W0, W1) after each of ten rounds. Here the key is the seed and the counter is
(block within the item, step and draw, item's low word, item's high word). Words travel in int64 tensors: the product of
two 32-bit words wraps modulo 2^64 and keeps every bit.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_M0, _M1 = 0xD2511F53, 0xCD9E8D57
_W0, _W1 = 0x9E3779B9, 0xBB67AE85
_WORD = 0xFFFFFFFF
_SPREADING = 4  # rounds after which every word depends on every counter word, and so has the broadcast shape
_DRAWS = 1 << 8  # draws within one step; the rest of the word counts steps
_STEPS = 1 << 24


def philox4x32(counter: tuple[Tensor, Tensor, Tensor, Tensor], key: tuple[int, int]) -> tuple[Tensor, ...]:
    """The ten-round bijection of equation (1).

    Args:
        counter: four int64 tensors of words in [0, 2^32), of shapes that broadcast together.
        key: two words in [0, 2^32).

    Returns:
        Four int64 tensors of words in [0, 2^32), of the broadcast shape.
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    # The low words c1 and c3 keep garbage above bit 31: only the xor reads them, and what it gives is masked.
    for i in range(10):
        if i < _SPREADING:
            p0, p1 = c0 * _M0, c2 * _M1
            c0, c1 = ((p1 >> 32) ^ (c1 ^ k0)) & _WORD, p1
            c2, c3 = ((p0 >> 32) ^ (c3 ^ k1)) & _WORD, p0
        else:
            # Each new word in the memory of an old one: asking the system for memory would cost more than the sums.
            p0, p1 = c0 * _M0, c2 * _M1
            torch.bitwise_right_shift(p1, 32, out=c0).bitwise_xor_(c1).bitwise_xor_(k0).bitwise_and_(_WORD)
            torch.bitwise_right_shift(p0, 32, out=c2).bitwise_xor_(c3).bitwise_xor_(k1).bitwise_and_(_WORD)
            c1, c3 = p1, p0
        k0, k1 = (k0 + _W0) & _WORD, (k1 + _W1) & _WORD
    return c0, c1 & _WORD, c2, c3 & _WORD


def subseed(seed: int, purpose: str) -> int:
    """A seed of its own for each purpose, so that, say, training times and training noise never share numbers."""
    digest = hashlib.sha256(f"{seed}/{purpose}".encode()).digest()
    return int.from_bytes(digest[:8], "little")


@dataclass(frozen=True)
class Stream:
    """The random numbers of a batch of items.

    Attributes:
        seed: any integer; taken modulo 2^64.
        ids: the items' identities, int64, shape (B,). Equal (seed, id) give equal numbers, in any batch.
    """

    seed: int
    ids: Tensor

    @classmethod
    def of(cls, seed: int, ids: Sequence[int] | range, device: torch.device | str = "cpu") -> Stream:
        """The stream of the given item identities."""
        return cls(seed, torch.tensor(list(ids), dtype=torch.int64, device=device))

    def words(self, count: int, *, step: int, num_steps: int = 1, draw: int = 0, num_draws: int = 1) -> Tensor:
        """Words in [0, 2^32), int64, shape (num_steps, num_draws, B, count).

        Raises:
            ValueError: a step outside [0, 2^24) or a draw outside [0, 256).
        """
        if not (step >= 0 and step + num_steps <= _STEPS and draw >= 0 and draw + num_draws <= _DRAWS):
            raise ValueError(f"steps run from 0 to {_STEPS - 1} and draws to {_DRAWS - 1}, got {step=}, {draw=}")
        device = self.ids.device
        steps = torch.arange(step, step + num_steps, device=device)[:, None, None, None]
        draws = torch.arange(draw, draw + num_draws, device=device)[:, None, None]
        block = torch.arange(-(-count // 4), device=device)
        ids = self.ids[:, None]
        seed = self.seed % (1 << 64)
        words = philox4x32(
            (block, steps * _DRAWS + draws, ids & _WORD, (ids >> 32) & _WORD), (seed & _WORD, seed >> 32)
        )
        # Word j of every block comes before word j + 1 of any: the order is free, and this one needs no transpose.
        return torch.cat(words, dim=-1)[..., :count]

    def uniform(
        self, shape: Sequence[int], *, step: int, num_steps: int = 1, draw: int = 0, num_draws: int = 1
    ) -> Tensor:
        """Uniform numbers in [0, 1) on a grid of 2^-24, float32, shape (num_steps, num_draws, B, *shape)."""
        count = math.prod(shape)
        words = self.words(count, step=step, num_steps=num_steps, draw=draw, num_draws=num_draws)
        return ((words >> 8).float() * 2.0**-24).reshape(num_steps, num_draws, len(self.ids), *shape)

    def fine_uniform(self, shape: Sequence[int], *, step: int, num_steps: int = 1, num_draws: int = 1) -> Tensor:
        """Uniform numbers in [0, 1) on a grid of 2^-53, float64, shape (num_steps, num_draws, B, *shape).

        For choosing among symbols: on the coarse grid of `uniform` a symbol of small probability comes too often or
        never."""
        count = math.prod(shape)
        words = self.words(2 * count, step=step, num_steps=num_steps, num_draws=num_draws)
        numbers = ((words[..., :count] >> 5) << 26 | words[..., count:] >> 6).double() * 2.0**-53
        return numbers.reshape(num_steps, num_draws, len(self.ids), *shape)

    def normal(
        self, shape: Sequence[int], *, step: int, num_steps: int = 1, draw: int = 0, num_draws: int = 1
    ) -> Tensor:
        """Standard normal numbers by Box and Muller's transform, float32, shape (num_steps, num_draws, B, *shape)."""
        count = math.prod(shape)
        half = -(-count // 2)
        words = self.words(2 * half, step=step, num_steps=num_steps, draw=draw, num_draws=num_draws)
        # (0, 1] in steps of 2^-32, so that the radius is finite and the tails reach 6.6 standard deviations.
        radius = (words[..., :half] + 1).float().mul_(2.0**-32).log_().mul_(-2.0).sqrt_()
        angle = words[..., half:].float().mul_(2.0 * math.pi * 2.0**-32)
        pairs = torch.cat([radius * angle.cos(), radius * angle.sin()], dim=-1)
        return pairs[..., :count].reshape(num_steps, num_draws, len(self.ids), *shape)
