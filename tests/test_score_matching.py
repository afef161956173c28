"""Sliced score matching against the law it is derived from."""

from __future__ import annotations

import pytest
import torch

from pellucid.score_matching import orthogonal_frames, sliced_score_matching_loss

F64 = torch.float64
PRECISION = torch.tensor([[2.0, 0.5], [0.5, 1.0]], dtype=F64)  # of the data N(0, P^-1), whose score is -P x


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=F64, generator=torch.Generator().manual_seed(seed))


def test_frames_are_orthogonal_and_of_length_sqrt_d():
    frames = orthogonal_frames(normal(7, 3, 3))
    gram = torch.einsum("pbi,qbi->bpq", frames, frames)
    torch.testing.assert_close(gram, 3 * torch.eye(3, dtype=F64).expand(7, 3, 3))


@pytest.mark.parametrize("weight", ["plain", "weighed"])
def test_its_value_is_half_the_score_error_up_to_a_constant(weight):
    """Equation (1) for models -Q x on data N(0, P^-1): E|V^1/2 (P - Q) x|^2 / 2 - E|V^1/2 P x|^2 / 2."""
    q = torch.tensor([[1.5, -0.2], [-0.2, 0.7]], dtype=F64)
    root = torch.tensor([[1.0, 0.0], [0.6, 0.5]], dtype=F64) if weight == "weighed" else torch.eye(2, dtype=F64)
    # Draws with the data's covariance exactly, so that the identity, quadratic in x, holds to round-off.
    x = normal(2000, 2)
    x = x @ torch.linalg.inv(torch.linalg.cholesky(x.T @ x / 2000)).T
    x = x @ torch.linalg.cholesky(torch.linalg.inv(PRECISION)).T
    # Axes times sqrt(2): a frame that every item shares, so that the mean over x is the exact moment.
    frames = (2**0.5 * torch.eye(2, dtype=F64))[:, None].expand(2, 2000, 2) @ root.T
    # Integration by parts holds for the law, whose moments the draws have; the divergence of -Q x is constant.
    loss = sliced_score_matching_loss(lambda x, t: -x @ q.T, x, torch.zeros(2000), frames).mean()

    def energy(matrix):
        return ((x @ matrix.T) @ root).square().sum(1).mean() / 2

    torch.testing.assert_close(loss, energy(PRECISION - q) - energy(PRECISION), rtol=0, atol=1e-10)


def test_its_minimum_is_the_score():
    """The loss of linear models is quadratic: one Newton step lands on the precision matrix of the draws themselves."""
    x = normal(500, 2) @ torch.tensor([[1.0, 0.4], [0.0, 0.7]], dtype=F64)
    frames = orthogonal_frames(normal(500, 2, 2, seed=1))

    def loss(flat):
        return sliced_score_matching_loss(lambda x, t: -x @ flat.reshape(2, 2).T, x, torch.zeros(500), frames).mean()

    start = torch.zeros(4, dtype=F64, requires_grad=True)
    (gradient,) = torch.autograd.grad(loss(start), start, create_graph=True)
    hessian = torch.autograd.functional.hessian(loss, start.detach())
    best = -torch.linalg.solve(hessian, gradient.detach()).reshape(2, 2)
    torch.testing.assert_close(best, torch.linalg.inv(x.T @ x / 500), rtol=1e-9, atol=1e-9)


def test_a_whole_frame_has_no_variance_from_directions():
    x, t = normal(20, 3), torch.zeros(20)
    matrix = normal(3, 3, seed=2)

    def score(x, t):
        return torch.tanh(x @ matrix.T)

    values = [
        sliced_score_matching_loss(score, x, t, orthogonal_frames(normal(20, 3, 3, seed=seed))) for seed in (3, 4)
    ]
    torch.testing.assert_close(values[0], values[1])
