"""Processes on symbols by name: each is what its name says, and its bound can be learned from."""

from __future__ import annotations

import pytest
import torch

from pellucid.foundations.errors import UserError
from pellucid.processes.named import SYMBOL_PROCESSES, marginal, masks
from pellucid.processes.survival import Linear

F64 = torch.float64
SIZES = {"d3pm-gaussian": 54}  # whose last and strongest matrix mixes few symbols less well
OPTIONS = {
    "d3pm-gaussian": {"steps": 300},
    "marginal": {"law": [1.0, 2.0, 3.0, 2.0, 2.0]},
    "d3pm-band": {"width": 3, "steps": 300},
}


@pytest.mark.parametrize("name", SYMBOL_PROCESSES)
def test_each_ends_at_its_prior_and_its_grid_is_its_own(name: str) -> None:
    size = SIZES.get(name, 5)
    process = SYMBOL_PROCESSES[name](size, Linear(), **OPTIONS.get(name, {}))
    x0 = torch.arange(size - masks(name))[None]
    assert process.prior_divergence(x0).max() < 0.002  # nats; 0 but for a chain's
    assert (process.mask is not None) == masks(name)
    times = process.grid(8)
    assert times[0] == 1
    assert times[-1] == 0
    law = process.corrupt_law(x0, times[3])
    assert torch.allclose(law.sum(-1), torch.ones(1, x0.shape[1], dtype=F64))


def test_marginal_noise_is_the_law_of_the_data() -> None:
    process = marginal(3, Linear(), law=[1, 1, 2])
    assert process.prior_law().tolist() == pytest.approx([0.25, 0.25, 0.5])
    with pytest.raises(UserError, match="3 numbers over 0"):
        marginal(3, Linear(), law=[1, 0, 2])


def test_the_slope_of_a_masked_chains_bound_is_that_of_a_weighed_cross_entropy() -> None:
    """At a masked place T KL = T (alpha_s - alpha_t)/(1 - alpha_t) (-log p(x_0)) (Austin et al., 2021, appendix A.3):
    its slope in the logits is that weight times softmax - one-hot; at a place that is known it is 0."""
    steps, mask = 10, 3
    process = SYMBOL_PROCESSES["d3pm-absorbing"](4, Linear(), steps=steps)
    logits = torch.randn(1, 3, 4, dtype=F64, generator=torch.Generator().manual_seed(0))
    logits[..., mask] = -torch.inf
    known = torch.tensor([[0.0, -torch.inf, -torch.inf, -torch.inf]], dtype=F64)
    logits[0, 2] = known
    logits.requires_grad_()
    x0, x = torch.tensor([[1, 2, 0]]), torch.tensor([[mask, mask, 0]])
    t = torch.tensor([0.6], dtype=F64)
    process.integrand(logits, x0, x, t).sum().backward()
    weight = steps * (0.5 - 0.4) / 0.6  # alpha = 1 - t
    expected = weight * (logits.detach().softmax(-1) - torch.nn.functional.one_hot(x0, 4))
    expected[0, 2] = 0
    assert logits.grad is not None
    assert torch.allclose(logits.grad, expected, atol=1e-12)


def test_a_chain_has_no_more_steps_than_its_own() -> None:
    process = SYMBOL_PROCESSES["d3pm-uniform"](4, Linear(), steps=6)
    assert (process.grid(6) * 6).tolist() == pytest.approx([6, 5, 4, 3, 2, 1, 0])
    assert (process.grid(3) * 6).tolist() == pytest.approx([6, 4, 2, 0])
    with pytest.raises(UserError, match="sampled in 1 to 6, got 7"):
        process.grid(7)
