"""A distance in a network's features: by hand, and in the order in which a person would put damages."""

from __future__ import annotations

import pytest
import torch

from pellucid.foundations.errors import UserError
from pellucid.metrics.classifier import Classifier
from pellucid.metrics.image import psnr
from pellucid.metrics.learned import classifier_stages, learned_distance, standard_stages


def test_by_hand() -> None:
    x = torch.tensor([[[[1.0, 0.0]], [[0.0, 2.0]]]])  # two positions, along the first and along the second channel
    y = torch.tensor([[[[0.0, 0.0]], [[3.0, 5.0]]]])  # both along the second
    found = learned_distance(x, y, lambda h: [h, 7 * h[..., 1:]])
    # At full resolution unit vectors at right angles (2) and equal ones (0); at the other resolution equal ones alone.
    assert found.tolist() == pytest.approx([0.5])
    assert learned_distance(x, 4 * x, lambda h: [h]).tolist() == pytest.approx([0.0])  # contrast counts for nothing
    assert learned_distance(x, -x, lambda h: [h]).tolist() == pytest.approx([4.0])  # the greatest there is
    with pytest.raises(UserError, match="of one shape"):
        learned_distance(x, y[0], lambda h: [h])


def test_batches_and_symmetry() -> None:
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        stages = classifier_stages(Classifier(1, 4, width=8).eval())
    x, y = (torch.rand(7, 1, 12, 12, generator=generator) * 2 - 1 for _ in range(2))
    whole = learned_distance(x, y, stages)
    # Sums in another order: float32 round-off of the network.
    torch.testing.assert_close(learned_distance(x, y, stages, batch_size=3), whole, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(learned_distance(y, x, stages), whole)
    assert len(stages(x)) == 3
    assert learned_distance(x, x, stages).abs().max() == 0


def test_blur_is_worse_than_a_shift_of_brightness_at_one_psnr() -> None:
    data = pytest.importorskip("skimage.data")
    stages = standard_stages(112)
    if stages is None:
        pytest.skip("the small network's weights are not installed")
    x = torch.from_numpy(data.chelsea()).permute(2, 0, 1)[None, :, 40:260, 100:320].float() / 127.5 - 1
    blurred = torch.nn.functional.avg_pool2d(x, 9, stride=1, padding=4, count_include_pad=False)
    brighter = x * (1 - (blurred - x).square().mean().sqrt())
    offset = (blurred - x).square().mean().sqrt() / (brighter - x).square().mean().sqrt()
    brighter = x + (brighter - x) * offset
    assert abs(float(psnr(blurred, x)) - float(psnr(brighter, x))) < 1e-3
    far, near = (float(learned_distance(each, x, stages)) for each in (blurred, brighter))
    assert far > 3 * near  # to an eye the first is spoilt, and the second a little pale
    more = torch.nn.functional.avg_pool2d(x, 21, stride=1, padding=10, count_include_pad=False)
    assert float(learned_distance(more, x, stages)) > far
