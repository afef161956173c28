"""How times meet data."""

from __future__ import annotations

import torch

from pellucid.foundations.tensors import pad


def test_pad_matches_a_written_out_loop():
    x = torch.arange(24.0).reshape(2, 3, 4)
    t = torch.tensor([2.0, 5.0])
    assert torch.equal(pad(t, x) * x, torch.stack([2 * x[0], 5 * x[1]]))
    assert torch.equal(pad(torch.tensor(3.0), x) * x, 3 * x)
    assert pad(t, x).shape == (2, 1, 1)
