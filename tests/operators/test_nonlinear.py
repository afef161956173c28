"""What is seen through a decoder: exact where that is linear, and never worse than its start where it is not."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pellucid.foundations.errors import UserError
from pellucid.foundations.rng import Stream
from pellucid.operators import Behind, Matrix

F64 = torch.float64
D, L, M, B = 7, 4, 3, 5


def draw(*shape: int, seed: int) -> Tensor:
    return Stream.of(seed, [0]).normal(shape, step=0)[0, 0, 0].double()


W, SHIFT, A = draw(D, L, seed=1), draw(D, seed=2), draw(M, D, seed=3)
X, Y = draw(B, L, seed=4), draw(B, M, seed=5)


def linear(z: Tensor) -> Tensor:
    return z @ W.T + SHIFT


def bent(z: Tensor) -> Tensor:
    return torch.tanh(z @ W.T + SHIFT)


@pytest.mark.parametrize("noise", [0.0, 0.3])
@pytest.mark.parametrize("prior", [0.2, "each"])
def test_behind_a_linear_decoder_the_step_is_the_composed_operators(noise: float, prior: float | str) -> None:
    variance = torch.linspace(0.1, 2.0, B, dtype=F64) if prior == "each" else prior
    behind = Behind(Matrix(A).on((D,)), linear, iterations=40, tolerance=1e-12, shape=(L,))
    composed = Matrix(A @ W).on((L,))
    found = behind.proximal(X, Y, noise_variance=noise, prior_variance=variance)
    exact = composed.proximal(X, Y - SHIFT @ A.T, noise_variance=noise, prior_variance=variance)
    # conjugate gradients to 1e-12 of the right side; the composed operator has its singular system
    torch.testing.assert_close(found, exact, rtol=1e-8, atol=1e-8)


def test_behind_a_bent_decoder_it_ends_where_the_objective_is_flat() -> None:
    behind = Behind(Matrix(A).on((D,)), bent, steps=60, iterations=40, tolerance=1e-12, shape=(L,))
    found = behind.proximal(X, Y, noise_variance=0.5, prior_variance=1.0).requires_grad_()
    objective = ((Y - bent(found) @ A.T).square().sum() / 0.5 + (found - X).square().sum()) / 2
    (gradient,) = torch.autograd.grad(objective, found)
    # The gradient at the start is of size 1; Gauss and Newton's method converges linearly where the residual is large.
    assert gradient.norm(dim=1).max() < 1e-4


def test_no_item_is_moved_to_a_worse_place() -> None:
    far = 8 * X  # where tanh is flat, and a whole step goes astray
    behind = Behind(Matrix(A).on((D,)), bent, shape=(L,))
    found = behind.proximal(far, Y, noise_variance=1e-4, prior_variance=100.0)

    def objective(z: Tensor) -> Tensor:
        return (Y - bent(z) @ A.T).square().sum(1) + 1e-6 * (z - far).square().sum(1)

    assert bool((objective(found) <= objective(far)).all())
    assert bool((objective(found) < objective(far)).any())


def test_an_item_depends_on_itself_alone() -> None:
    behind = Behind(Matrix(A).on((D,)), bent, shape=(L,))
    whole = behind.proximal(X, Y, noise_variance=0.1, prior_variance=1.0)
    alone = behind.proximal(X[2:3], Y[2:3], noise_variance=0.1, prior_variance=1.0)
    torch.testing.assert_close(whole[2:3], alone)


def test_what_it_has_not_is_refused() -> None:
    behind = Behind(Matrix(A).on((D,)), bent, shape=(L,))
    assert behind.out_shape == (M,)
    for call in (behind.adjoint, behind.pinv):
        with pytest.raises(UserError, match="no linear function of the latent"):
            call(Y)
