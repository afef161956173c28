r"""Networks on SDEs of the user's own: a denoiser where the kernel is a matrix, a score where there is none.

In the frame of `processes.matrix`, y = W_t x_0 + z with white noise z, a network's output F means

    edm     x_0 = mean + R_t W_t^T (y - W_t mean) + R_t^1/2 F                                                      (1)
    eps     z = F, so x_0 = W_t^+ (y - F)                                                                          (2)
    score   z = -L_t^T F, so x_0 = W_t^+ (y + L_t^T F)                                                             (3)

(1) is the matrix form of Karras et al.'s preconditioning ("Elucidating the Design Space of Diffusion-Based Generative
Models", 2022, table 1): the best affine denoiser for data of the process's mean and covariance, plus an output of about
unit variance. W^+ is the pseudo-inverse over the observed values.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from .denoisers import Denoiser, score_from_x0
from .foundations.errors import UserError
from .foundations.registry import Registry
from .processes.gaussian import Gaussian
from .processes.matrix import MatrixGaussian
from .processes.paths import SimulatedSDE

_EARLIEST = 1e-7  # the time that stands for t = 0, where the white frame of the noise does not exist

Estimate = Callable[[MatrixGaussian, Tensor, Tensor, Tensor], Tensor]


def _edm(process: MatrixGaussian, y: Tensor, output: Tensor, t: Tensor) -> Tensor:
    gains, residual, mean = process.gains(t), process.residual(t), process.center()
    lost = torch.linalg.cholesky(residual + process.hidden_blocks())
    pull = residual @ (gains.mT @ (y - (gains @ mean[..., None])[..., 0])[..., None])
    return mean + (pull + lost @ output[..., None])[..., 0]


def _eps(process: MatrixGaussian, y: Tensor, output: Tensor, t: Tensor) -> Tensor:
    gains = process.gains(t)
    inner = gains.mT @ gains + process.hidden_blocks()
    return torch.linalg.solve(inner, gains.mT @ (y - output)[..., None])[..., 0]


def _score(process: MatrixGaussian, y: Tensor, output: Tensor, t: Tensor) -> Tensor:
    return _eps(process, y, -(process.roots(t)[2].mT @ output[..., None])[..., 0], t)


MATRIX_TARGETS: Registry[Estimate] = Registry("matrix target", {"edm": _edm, "eps": _eps, "score": _score})


class MatrixDenoiser(nn.Module):
    """A network as a denoiser of a `MatrixGaussian`; what it returns is zero in the state's hidden part.

    Attributes:
        network: called as network(x, c, **cond), x of unit variance and of the state's shape, c of shape (B,); returns
            the state's shape.
        process: what it undoes.
        target: a name among `MATRIX_TARGETS`.
    """

    def __init__(self, network: nn.Module, process: MatrixGaussian, target: str = "edm") -> None:
        super().__init__()
        self.network = network
        self.process = process
        self.target = target
        self._estimate = MATRIX_TARGETS[target]

    def forward(self, x: Tensor, t: Tensor, **cond: Any) -> Tensor:
        """E[x_0 given x_t], (B, *); t of shape () or (B,)."""
        process, t = self.process, t.clamp_min(_EARLIEST)
        level = process.noise_level(t).to(x).expand(len(x))
        output = self.network(process.standardise(x, t), level, **cond)
        y = process.whiten(x, t)
        # Gradients flow through the output, in float64 for the few matrix products that follow.
        found = process.state(self._estimate(process, y, output.double().cpu().reshape(y.shape), t), x)
        return found if process.hidden is None else process.augment(process.project(found))

    def score(self, x: Tensor, t: Tensor, **cond: Any) -> Tensor:
        """grad log p_t(x), (B, *)."""
        t = t.clamp_min(_EARLIEST)
        return self.process.score(x, self(x, t, **cond), t)


class ScoreDenoiser(nn.Module):
    """A network as the score of an SDE without a kernel.

    With mean and covariance L L^T of x_t over the simulated data and u = L^-1 (x - mean), the score is
    L^-T (F(u, c) - u): the moments' own Gaussian, corrected. It gives no denoised estimate; solvers that need the score
    alone serve it (reverse-em, reverse-heun, flow-heun).

    Attributes:
        network: called as network(u, c, **cond), c of shape (B,); returns u's shape.
        process: what it undoes.
    """

    def __init__(self, network: nn.Module, process: SimulatedSDE) -> None:
        super().__init__()
        self.network = network
        self.process = process

    def forward(self, x: Tensor, t: Tensor, **cond: Any) -> Tensor:
        """The score (`score`), so that wrappers of modules see it; it is no denoised estimate."""
        mean, root = (part.to(x) for part in self.process.moments(t))
        u = torch.linalg.solve_triangular(root, (x.flatten(1) - mean)[..., None], upper=False)[..., 0]
        level = (t.to(x) + 1e-3).log().expand(len(x)) / 4
        output = self.network(u.reshape(x.shape), level, **cond).flatten(1)
        return torch.linalg.solve_triangular(root.mT, (output - u)[..., None], upper=True)[..., 0].reshape(x.shape)

    def score(self, x: Tensor, t: Tensor, **cond: Any) -> Tensor:
        """grad log p_t(x), (B, *)."""
        return self(x, t, **cond)

    def directions(self, t: Tensor, frames: Tensor) -> Tensor:
        """Directions L v for v of shape (P, B, *): in them, errors of the score count alike at all times."""
        root = self.process.moments(t)[1].to(frames)
        return (root @ frames.flatten(2)[..., None])[..., 0].reshape(frames.shape)


@runtime_checkable
class HasScore(Protocol):
    """Anything that knows grad log p_t itself."""

    def score(self, x: Tensor, t: Tensor, **cond: Any) -> Tensor:
        """grad log p_t(x), (B, *)."""
        ...


def score_of(denoiser: Denoiser, x: Tensor, t: Tensor) -> Tensor:
    """The score that a denoiser implies, (B, *); t > 0.

    Raises:
        UserError: a denoiser from which none follows.
    """
    process = denoiser.process
    if isinstance(process, Gaussian):
        return score_from_x0(process, x, denoiser(x, t), t)
    if isinstance(process, MatrixGaussian):
        return process.score(x, denoiser(x, t), t)
    if isinstance(denoiser, HasScore):
        return denoiser.score(x, t)
    raise UserError(
        f"no score follows from {type(denoiser).__name__} on {type(process).__name__}: "
        "give a denoiser of a Gaussian or MatrixGaussian process, or an object with score(x, t)"
    )
