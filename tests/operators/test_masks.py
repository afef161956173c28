"""What the makers of masks draw, against plain geometry and counting."""

from __future__ import annotations

import pytest
import torch
from PIL import Image, ImageDraw, ImageFont

from pellucid.foundations.errors import UserError
from pellucid.foundations.rng import Stream
from pellucid.operators import OPERATORS, Mask, box_mask, brush_mask, half_plane_mask, random_mask, text_mask

MAKERS = {"box": box_mask, "random": random_mask, "brush": brush_mask, "text": text_mask, "half-plane": half_plane_mask}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
@pytest.mark.parametrize(("shape", "expected"), [((40,), (40,)), ((2, 40), (1, 40)), ((3, 32, 40), (1, 32, 40))])
def test_every_maker_serves_vectors_signals_and_pictures(make, shape, expected):
    mask = make(shape)
    assert tuple(mask.shape) == expected
    assert set(mask.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(mask, make(shape))  # the same again


def test_a_box_has_its_size_and_place():
    mask = box_mask((3, 20, 30), side=(0.5, 0.2), centre=(0.5, 0.9))[0]
    expected = torch.ones(20, 30)
    expected[5:15, 24:30] = 0  # ten rows about the middle; six columns about 27
    assert torch.equal(mask, expected)
    pushed = box_mask((10,), side=0.4, centre=1.0)  # would leave the item: it is moved inside
    assert pushed.tolist() == [1.0] * 6 + [0.0] * 4


def test_a_random_mask_keeps_its_count_and_every_place_alike():
    masks = torch.stack([random_mask((3, 6, 7), keep=0.4, seed=seed) for seed in range(400)])
    assert set(masks.sum((1, 2, 3)).tolist()) == {17.0}  # round(0.4 * 42)
    share = masks.mean(0)
    # five standard deviations of the mean of 400 draws, over 42 places
    assert float((share - 17 / 42).abs().max()) < 5 * (17 / 42 * 25 / 42 / 400) ** 0.5
    own = random_mask((3, 6, 7), keep=0.4, per_channel=True)
    assert own.sum((1, 2)).tolist() == [17.0] * 3
    assert not torch.equal(own[0], own[1])


def test_strokes_cover_what_lies_near_their_curves():
    shape, width, strokes, seed = (1, 90, 120), 0.08, 3, 5
    lost = brush_mask(shape, strokes=strokes, width=width, seed=seed)[0] == 0
    control = Stream.of(seed, range(strokes)).uniform((4, 2), step=0)[0, 0] * torch.tensor([90, 120])
    points = []
    for t in torch.linspace(0, 1, 1000):  # de Casteljau's construction
        level = control
        while level.shape[1] > 1:
            level = torch.lerp(level[:, :-1], level[:, 1:], t)
        points.append(level[:, 0])
    curve = torch.cat(points)
    places = torch.stack(torch.meshgrid(torch.arange(90.0), torch.arange(120.0), indexing="ij"), dim=-1).reshape(-1, 2)
    far = torch.cdist(places, curve).amin(1).reshape(90, 120)
    radius = width * 90 / 2
    # a drawn edge is off by up to a pixel either way, and its coordinates name a pixel's corner or its centre
    assert bool(lost[far < radius - 1.5].all())
    assert not bool(lost[far > radius + 1.5].any())


def test_intervals_are_the_strokes_of_a_line():
    lost = brush_mask((1, 200), strokes=1, width=0.1, seed=2)[0] == 0
    assert int(lost.sum()) in (19, 20, 21)
    where = lost.nonzero().flatten()
    assert int(where[-1] - where[0]) == len(where) - 1
    assert bool(brush_mask((50,), strokes=0).all())


def test_text_is_written_in_pillows_font():
    mask = text_mask((1, 60, 200), text="glass ", height=0.2)[0]
    line = Image.new("1", (200, 12), 1)
    ImageDraw.Draw(line).text((0, 0), "glass " * 40, fill=0, font=ImageFont.load_default(12))
    expected = torch.tensor(list(line.get_flattened_data() if hasattr(line, "get_flattened_data") else line.getdata()))
    assert torch.equal(mask[:12], expected.reshape(12, 200).clamp(max=1).float())
    assert bool(mask[34:].min() == 0)  # further lines below


def test_half_planes_meet_along_their_line():
    shape = (1, 16, 24)
    left, right = half_plane_mask(shape, keep=0.25), half_plane_mask(shape, keep=0.75, angle=180)
    assert left[0, 0].tolist() == [1.0] * 6 + [0.0] * 18
    assert torch.equal(left + right, torch.ones(shape))
    top = half_plane_mask((1, 24, 16), keep=0.25, angle=90)
    assert torch.equal(top[0].T, left[0])
    slanted = half_plane_mask((1, 30, 30), keep=0.5, angle=45)[0]
    assert float(slanted.mean()) == pytest.approx(0.5, abs=1 / 30)  # but for the places on the line
    assert torch.equal(slanted, slanted.T)
    assert half_plane_mask((8,), keep=0.25).tolist() == [1.0] * 2 + [0.0] * 6


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (lambda: Mask(torch.tensor([0.0, 255.0])), "255.*threshold"),
        (lambda: Mask(torch.tensor([0.0, float("nan")])), "nan"),
        (lambda: Mask(torch.ones(8, 8)).on((3, 8, 9)), r"size 8x8 does not fit items of size 3x8x9.*\(8x9\)"),
        (lambda: Mask(torch.ones(1, 1, 8)).on((8,)), "1x1x8"),
        (lambda: box_mask((3, 8, 8), side=1.5), "side.*1.5"),
        (lambda: box_mask((3, 8, 8), centre=(0.5,)), "centre holds 1 shares.*2 axes"),
        (lambda: random_mask((8,), keep=-0.1), "keep"),
        (lambda: random_mask((8,), keep=float("nan")), "keep"),
        (lambda: OPERATORS["random-mask"](keep=50).on((3, 8, 8)), "from 0 to 1, got 50"),
        (lambda: brush_mask((8,), strokes=-1), "strokes"),
        (lambda: text_mask((3, 8, 8), text="  "), "empty"),
    ],
)
def test_mistakes_are_explained(mistake, message):
    with pytest.raises(UserError, match=message):
        mistake()
