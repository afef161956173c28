"""The judge of conditional samples: its distortions by exact cases, its training on a task with a known answer."""

from __future__ import annotations

import math

import pytest
import torch

from pellucid.metrics.classifier import Classifier, distort, predict, train_classifier


def bars(num: int, seed: int):
    """Images 12×12 of a bright row (label 0) or column (label 1) at any place, in noise."""
    generator = torch.Generator().manual_seed(seed)
    x = 0.1 * torch.randn(num, 1, 12, 12, generator=generator) - 1
    labels = torch.randint(0, 2, (num,), generator=generator)
    places = torch.randint(1, 11, (num,), generator=generator)
    for image, label, place in zip(x, labels, places, strict=True):
        (image[0].T if label else image[0])[place] = 1
    return x, labels


def test_no_distortion_is_the_identity():
    x = torch.randn(3, 2, 9, 7)
    same = distort(x, torch.Generator().manual_seed(0), turn=0, zoom=0, shift=0)
    torch.testing.assert_close(same, x, rtol=1e-4, atol=1e-5)  # bilinear weights rounded in float32


def test_a_shift_moves_the_picture_by_whole_pixels(monkeypatch):
    x = torch.randn(1, 1, 10, 10, dtype=torch.float32)
    draws = torch.zeros(6, 1)
    draws[4] = 1.0  # the horizontal shift at its largest: 0.2 of a side of 10 pixels = 2 pixels
    monkeypatch.setattr(torch, "rand", lambda *_, **__: (draws + 1) / 2)
    moved = distort(x, torch.Generator(), shift=0.2)
    torch.testing.assert_close(moved[..., :8], x[..., 2:], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(moved[..., 8:], x[..., -1:].expand(-1, -1, -1, 2), rtol=1e-4, atol=1e-5)


def test_a_quarter_turn_is_rot90(monkeypatch):
    x = torch.randn(1, 1, 8, 8)
    draws = torch.zeros(6, 1)
    draws[0] = 1.0
    monkeypatch.setattr(torch, "rand", lambda *_, **__: (draws + 1) / 2)
    turned = distort(x, torch.Generator(), turn=math.pi / 2)
    either = [torch.rot90(x, k, dims=(2, 3)) for k in (1, 3)]
    assert min((turned - one).abs().max() for one in either) < 1e-4


def test_learns_rows_from_columns_and_repeats_itself_exactly():
    x, labels = bars(400, seed=0)
    state = torch.random.get_rng_state()
    network = train_classifier(x, labels, 2, seed=3, epochs=4, batch_size=32)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert not network.training
    new, truth = bars(300, seed=1)
    assert (predict(network, new, batch_size=70) == truth).float().mean() > 0.97  # a child tells them apart
    again = train_classifier(x, labels, 2, seed=3, epochs=4, batch_size=32)
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), again.parameters(), strict=True))
    other = train_classifier(x, labels, 2, seed=4, epochs=1, batch_size=32)
    assert not torch.equal(network.head.weight, other.head.weight)


def test_predict_does_not_depend_on_the_batch_size():
    torch.manual_seed(0)
    network = Classifier(1, 5).eval()
    x = torch.randn(23, 1, 9, 14)
    assert torch.equal(predict(network, x, batch_size=4), predict(network, x))


def test_time_limit_ends_the_training():
    x, labels = bars(100, seed=0)
    network = train_classifier(x, labels, 2, epochs=10**6, seconds=0.3, batch_size=32)
    assert not network.training


def test_labels_must_fit_the_images():
    with pytest.raises(ValueError, match="give \\(N, C, H, W\\) images"):
        train_classifier(torch.zeros(3, 8, 8), torch.zeros(3, dtype=torch.int64), 2)
    with pytest.raises(ValueError, match="labels of shape"):
        train_classifier(torch.zeros(3, 1, 8, 8), torch.zeros(4, dtype=torch.int64), 2)
