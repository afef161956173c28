"""The uncertainty learns how large the loss is at each noise level."""

from __future__ import annotations

import torch

from pellucid.losses import Uncertainty


def test_u_is_the_logarithm_of_the_expected_loss() -> None:
    generator = torch.Generator().manual_seed(0)
    uncertainty = Uncertainty()
    steps = torch.optim.Adam(uncertainty.parameters(), lr=0.05)
    for k in range(800):
        for group in steps.param_groups:
            group["lr"] = 0.05 * (1 - k / 800)
        c = 3 * torch.rand(512, generator=generator) - 1.5
        # A loss of mean exp(-2c) that varies as chi-squared of one degree does.
        losses = (-2 * c).exp() * torch.randn(512, generator=generator).square()
        steps.zero_grad()
        uncertainty.weigh(losses, c).mean().backward()
        steps.step()
    c = torch.linspace(-1.4, 1.4, 15)
    # 16 numbers from the last few thousand losses, each with a relative spread of 1.4: about 0.05.
    torch.testing.assert_close(uncertainty(c).detach(), -2 * c, rtol=0, atol=0.15)


def test_it_changes_nothing_before_it_has_learned() -> None:
    losses, c = torch.rand(7), torch.linspace(-9, 9, 7)
    assert torch.equal(Uncertainty().weigh(losses, c), losses)
