"""Tiles that agree: exact where the law allows it, everywhere alike, and with a bound on what gradients keep."""

from __future__ import annotations

import weakref
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from pellucid.foundations.errors import UserError
from pellucid.foundations.rng import Stream
from pellucid.oracles import gaussian_oracle
from pellucid.processes.gaussian import Gaussian
from pellucid.processes.schedules import EDM
from pellucid.restoration.tiles import Tiled
from pellucid.solvers import DDIM, sample

F64 = torch.float64
PROCESS = Gaussian(EDM())
TILE = (2, 8, 8)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return Stream.of(seed, range(shape[0])).normal(shape[1:], step=0)[0, 0].double()


def independent(shape: tuple[int, ...]) -> Any:
    """The exact denoiser of pixels that are independent and alike."""
    return gaussian_oracle(PROCESS, torch.full(shape, 0.3, dtype=F64), torch.tensor(0.2, dtype=F64))


class Blur:
    """A denoiser that sees only its tile: the mean over a neighbourhood, with the tile's edge repeated. Near a tile's
    edge it is wrong, as a network is that does not see what lies beyond."""

    process = PROCESS

    def __init__(self) -> None:
        self.calls: list[int] = []

    def __call__(self, x: Tensor, t: Tensor, **cond: Any) -> Tensor:
        self.calls.append(len(x))
        padded = torch.nn.functional.pad(x, (2, 2, 2, 2), mode="replicate")
        return torch.nn.functional.avg_pool2d(padded, 5, stride=1)


@pytest.mark.parametrize("sides", [(8, 8), (9, 8), (8, 23), (30, 17)])
@pytest.mark.parametrize("overlap", [0, 2, 7])
@pytest.mark.parametrize("batch_size", [1, 7])  # 7: two tiles of each of three pictures together
def test_equals_the_exact_denoiser_of_independent_pixels(sides: tuple[int, int], overlap: int, batch_size: int) -> None:
    tiled = Tiled(independent(TILE), TILE, overlap, batch_size)
    whole = independent((2, *sides))
    x = noise(3, 2, *sides)
    for t in (torch.tensor(0.4, dtype=F64), torch.tensor([0.1, 0.5, 1.0], dtype=F64)):
        # A weighted mean of numbers that are equal: only its round-off is left.
        torch.testing.assert_close(tiled(x, t), whole(x, t), rtol=1e-12, atol=1e-12)


def test_signals_have_tiles_too() -> None:
    tiled, whole = Tiled(independent((3, 16)), (3, 16)), independent((3, 50))
    x, t = noise(2, 3, 50), torch.tensor(0.3, dtype=F64)
    torch.testing.assert_close(tiled(x, t), whole(x, t), rtol=1e-12, atol=1e-12)


def test_each_picture_keeps_its_own_condition() -> None:
    class Labelled:
        process = PROCESS

        def __call__(self, x: Tensor, t: Tensor, *, label: Tensor) -> Tensor:
            assert len(label) == len(x)
            return torch.zeros_like(x) + label.reshape(-1, 1, 1, 1)

    label = torch.tensor([3.0, 5.0, 7.0], dtype=F64)
    got = Tiled(Labelled(), TILE, batch_size=6)(noise(3, 2, 20, 20), torch.tensor(0.5), label=label)
    torch.testing.assert_close(got, label.reshape(-1, 1, 1, 1).expand(got.shape))


def test_tiles_cover_stay_inside_overlap_and_shift_with_time_alone() -> None:
    tiled = Tiled(Blur(), (1, 8, 8), overlap=3)
    seen = set()
    for i in range(50):
        t = torch.tensor((i + 1) / 50, dtype=F64)
        rows, columns = tiled.places((30, 8), t)
        assert columns == [0]
        assert (rows[0], rows[-1]) == (0, 22)
        assert all(b - a <= 5 for a, b in pairwise(rows))
        assert tiled.places((30, 8), t.clone()) == [rows, columns]
        seen.add(tuple(rows))
    assert len(seen) == 5  # all shifts of a step of 5 come up
    still = Tiled(Blur(), (1, 8, 8), overlap=3, shifting=False)
    assert still.places((30, 30), torch.tensor(0.1)) == still.places((30, 30), torch.tensor(0.9))


def test_no_seams() -> None:
    """A stationary noise denoised by tiles has the same energy of differences at every place: averaged over times, a
    seam would be a column where neighbours differ more. Blur's own errors at tile edges make one where tiles are laid
    side by side (the control)."""

    def profile(**options: Any) -> Tensor:
        tiled = Tiled(Blur(), (1, 16, 16), **options)
        x = noise(4, 1, 16, 160, seed=3)
        total = torch.zeros(159, dtype=F64)
        for i in range(40):
            shifted = x.roll(7 * i, -1)  # so that the noise's own roughness averages out
            clean = tiled(shifted, torch.tensor((i + 1) / 40, dtype=F64))
            total += clean.diff(dim=-1).square().mean((0, 1, 2))
        return total[16:-16] / total[16:-16].mean()

    # 40 shifts of 4 x 16 rows leave a statistical scatter of some 5 % in a column.
    assert profile(overlap=0, shifting=False).max() > 1.5
    assert profile().max() < 1.2


def test_sampling_the_whole_by_tiles_equals_sampling_it_at_once() -> None:
    """The whole loop, from one noise: independent pixels again, where tiling must change nothing."""
    times, x = torch.linspace(1, 0, 9, dtype=F64), 80 * noise(2, 2, 20, 13)
    tiled, whole = Tiled(independent(TILE), TILE), independent((2, 20, 13))
    torch.testing.assert_close(sample(tiled, x, times, DDIM()), sample(whole, x, times, DDIM()), rtol=1e-10, atol=1e-10)


def test_gradients_are_exact_and_keep_one_batch_of_tiles() -> None:
    alive: list[weakref.ref[Tensor]] = []
    most = 0

    class Square:
        """Nonlinear, and it tells how many of its inner tensors are kept."""

        process = PROCESS

        def __call__(self, x: Tensor, t: Tensor, **cond: Any) -> Tensor:
            nonlocal most
            inner = x.sin()
            alive.append(weakref.ref(inner))
            most = max(most, sum(each() is not None for each in alive))
            return inner * inner

    x, t = noise(1, 2, 40, 40).requires_grad_(), torch.tensor(0.5)
    weights = noise(1, 2, 40, 40, seed=1)
    (Tiled(Square(), TILE, batch_size=4)(x, t) * weights).sum().backward()
    # Of independent pixels, the gradient too.
    torch.testing.assert_close(x.grad, (2 * x.sin() * x.cos() * weights).detach(), rtol=1e-10, atol=1e-12)
    assert len(alive) > 20
    assert most <= 2


def test_batches_are_bounded() -> None:
    blur = Blur()
    Tiled(blur, (1, 8, 8), batch_size=6)(noise(2, 1, 40, 40), torch.tensor(0.5))
    assert max(blur.calls) == 6
    assert len(blur.calls) > 10


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Tiled(Blur(), (5,)), "have none"),
        (lambda: Tiled(Blur(), (1, 8, 8), overlap=8), "overlap by 0 to 7"),
        (lambda: Tiled(Blur(), (1, 8, 8), batch_size=0), "at least 1"),
        (lambda: Tiled(Blur(), (1, 8, 8))(torch.zeros(1, 1, 7, 20), torch.tensor(0.5)), "smaller than the model"),
        (lambda: Tiled(Blur(), (1, 8, 8))(torch.zeros(1, 3, 20, 20), torch.tensor(0.5)), "(3, 20, 20)"),
    ],
)
def test_mistakes(make: Any, told: str) -> None:
    with pytest.raises(UserError) as error:
        make()
    assert told in str(error.value)
