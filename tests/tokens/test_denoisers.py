"""A network as a denoiser of symbols: the substitution rule, its gradients, and what the network is told."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from pellucid.foundations.errors import UserError
from pellucid.losses import token_loss, token_losses
from pellucid.processes.categorical import Categorical, absorbing, uniform
from pellucid.processes.gaussian import Gaussian
from pellucid.processes.matrices import betas_of, chain
from pellucid.processes.schedules import VP
from pellucid.processes.survival import Cosine, Linear
from pellucid.tokens.denoisers import TokenDenoiser
from pellucid.tokens.oracles import table_oracle

F64 = torch.float64


class Net(nn.Module):
    """A table of logits for each symbol seen, and what it was told."""

    def __init__(self, size, dtype=torch.float32):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.table = nn.Parameter(torch.randn(size, size, generator=generator, dtype=dtype))
        self.told = []

    def forward(self, x, c, **cond):
        self.told.append((c, cond))
        return self.table[x]


X = torch.tensor([[0, 3, 2], [3, 3, 1]])


def test_unmasked_stays_and_the_mask_is_never_data():
    net = Net(4)
    denoiser = TokenDenoiser(net, absorbing(4))
    law = denoiser(X, torch.tensor(0.5), label=7).softmax(-1)
    assert net.told == [(None, {"label": 7})]
    for i in range(2):
        for j in range(3):
            if X[i, j] == 3:
                expected = net.table[3, :3].softmax(-1)
                torch.testing.assert_close(law[i, j, :3], expected)
                assert law[i, j, 3] == 0
            else:
                assert law[i, j].tolist() == [float(k == X[i, j]) for k in range(4)]


def test_known_places_have_no_gradient():
    net = Net(4)
    x0 = torch.tensor([[0, 1, 2], [2, 0, 1]])
    process = absorbing(4)
    losses = process.integrand(TokenDenoiser(net, process)(X, torch.tensor(0.5)), x0, X, torch.tensor(0.5))
    losses.sum().backward()
    assert torch.isfinite(net.table.grad).all()
    assert net.table.grad[:3].abs().max() == 0  # rows of symbols that are known
    # Cross-entropy's own slope at the masked row: softmax less the symbols' counts, times the weight 2.
    law = net.table[3, :3].detach().softmax(-1)
    counts = torch.bincount(x0[X == 3], minlength=3).float()
    torch.testing.assert_close(net.table.grad[3, :3], 2 * (3 * law - counts), rtol=1e-5, atol=1e-6)


def test_what_the_network_is_told():
    net = Net(4)
    TokenDenoiser(net, uniform(4, Cosine()))(X, torch.tensor(0.5, dtype=F64))
    level = net.told[0][0]
    assert level.tolist() == pytest.approx([math.sin(math.pi / 4)] * 2)
    assert level.dtype == torch.float32
    steps = chain("uniform", betas_of(Linear(), 4), 4)
    TokenDenoiser(net, steps)(X, torch.tensor([0.25, 0.5]))
    assert net.told[1][0].tolist() == [0.25, 0.5]
    TokenDenoiser(net, absorbing(4), timed=True)(X, torch.tensor(0.25))
    assert net.told[2][0].tolist() == [0.25, 0.25]


def test_half_precision_is_widened():
    assert TokenDenoiser(Net(4, torch.bfloat16), absorbing(4))(X, torch.tensor(0.5)).dtype == torch.float32
    assert TokenDenoiser(Net(4, F64), absorbing(4))(X, torch.tensor(0.5)).dtype == F64


def test_the_loss_leaves_padding_out():
    process = absorbing(4)
    denoiser = TokenDenoiser(Net(4), process)
    x0 = torch.tensor([[0, 1, 2], [2, 0, 1]])
    t, noise = torch.tensor([0.5, 0.8]), torch.tensor([[0.9, 0.6, 0.1], [0.95, 0.3, 0.99]], dtype=F64)
    each = token_losses(denoiser, x0, t, noise)
    # By hand: place (0, 0) is masked, as 0.9 is above alpha = 0.5; the weight is 1/t.
    law = denoiser.network.table[3, :3].softmax(-1)
    assert each[0, 0].item() == pytest.approx(-math.log(law[0].item()) / 0.5, rel=1e-5)
    assert each[0, 2].item() == 0
    torch.testing.assert_close(token_loss(denoiser, x0, t, noise), each.mean(1))
    real = torch.tensor([[True, False, True], [True, True, True]])
    loss = token_loss(denoiser, x0, t, noise, real=real)
    torch.testing.assert_close(loss[0], (each[0, 0] + each[0, 2]) / 2)
    torch.testing.assert_close(loss[1], each[1].mean())


def test_a_process_on_numbers_is_refused():
    class Numbers:
        process = Gaussian(VP())

        def __call__(self, x, t, **cond):
            return x

    with pytest.raises(UserError, match="use a model of tokens"):
        token_loss(Numbers(), X, torch.tensor([0.5, 0.5]), torch.zeros(2, 3))


@pytest.mark.parametrize(
    "process", [uniform(3, Cosine()), Categorical((0.2, 0.5, 0.3)), chain("band", betas_of(Linear(), 4), 3)]
)
def test_what_a_place_shows_of_itself_is_not_learned(process):
    """Of places that know nothing of one another the network has p(x_0^i) alone to say, and (1) does the rest."""
    shares = torch.tensor([[0.5, 0.2, 0.3], [0.1, 0.1, 0.8]], dtype=F64)

    class Apart(Net):
        def forward(self, x, c, **cond):
            return shares.log().expand(len(x), 2, 3)

    exact = table_oracle(process, shares[0][:, None] * shares[1])
    x = torch.cartesian_prod(torch.arange(3), torch.arange(3))
    for t in (torch.tensor(0.25, dtype=F64), torch.tensor([0.25, 0.75, 1.0] * 3, dtype=F64)):
        made = TokenDenoiser(Apart(3, F64), process)(x, t).softmax(-1)
        torch.testing.assert_close(made, exact(x, t).softmax(-1), rtol=1e-9, atol=1e-12)
