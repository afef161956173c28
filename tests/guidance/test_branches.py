"""Several branches in one call: what a network with conditions is given, and what comes back."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from pellucid.denoisers import wrap
from pellucid.foundations.errors import UserError
from pellucid.guidance import Guided
from pellucid.guidance.branches import together
from pellucid.nn import ConditionSpec, NetworkSpec, build
from pellucid.processes.gaussian import Gaussian
from pellucid.processes.schedules import VP

NUM = 3
T = torch.tensor(0.5)
PIECES = torch.tensor([[4, 2, 0, 0], [3, 0, 0, 0], [5, 6, 7, 8]])


def captioned() -> tuple[nn.Module, Tensor]:
    """A denoiser whose network knows a label, a caption and a vector, and its x."""
    conditions = (ConditionSpec("caption", "text", 9, (4,)), ConditionSpec("age", "vector", 1))
    torch.manual_seed(0)
    network = build(NetworkSpec("unet", (1, 8, 8), width=16, num_classes=3, conditions=conditions)).eval()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.1)
    return wrap(network, Gaussian(VP()), "eps"), torch.randn(NUM, 1, 8, 8)


@pytest.mark.parametrize("encoded", [False, True])
def test_pieces_and_states_are_joined_as_they_are(encoded: bool) -> None:
    denoiser, x = captioned()
    asked = {"label": torch.tensor([0, 1, 3]), "caption": PIECES, "age": torch.randn(NUM, 1)}
    none = {
        "label": torch.tensor([3]),
        "caption": torch.zeros(1, 4, dtype=torch.int64),
        "age": torch.full((1, 1), math.nan),
    }
    if encoded:
        asked, none = (denoiser.network.encoded(cond) for cond in (asked, none))
    with torch.no_grad():
        c, u = together(denoiser, x, T, [asked, none])
        guided = Guided(denoiser, 3.0, none)(x, T, **asked)
        # float32 sums in batches of another size
        torch.testing.assert_close(c, denoiser(x, T, **asked), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(u, denoiser(x, T), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(guided, u + 3 * (c - u), rtol=1e-4, atol=1e-5)
    assert (c - u).flatten(1).abs().amax(1).min() > 1e-3


def test_pieces_are_not_joined_with_states() -> None:
    denoiser, x = captioned()
    states = denoiser.network.encoded({"caption": PIECES})
    with pytest.raises(UserError, match=r"'caption' of shape .* does not broadcast"):
        together(denoiser, x, T, [{"caption": PIECES}, states])
