r"""Transition matrices for symbols of different kinds (Austin et al., "Structured Denoising Diffusion Models in
Discrete State-Spaces", 2021, appendix A.2). Each gives (T, K, K) in float64 for T rates beta, and but for `absorbing`
has the uniform law as its stationary one, because its columns sum to 1 too.

    uniform        symbols without structure: drawn anew with probability beta
    absorbing      the last symbol is the mask, where a symbol goes with probability beta
    gaussian       ordered symbols, such as grey values: a discretised normal law around the symbol
    band           ordered symbols: a step to one of the nearest 2 width with probability beta, none beyond the ends
    neighbours     symbols with an embedding: jumps along the graph of nearest neighbours, exp(beta (A - degrees))
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..foundations.errors import UserError
from ..foundations.registry import Registry
from .d3pm import D3PM
from .survival import Survival


def betas_of(survival: Survival, num_steps: int) -> Tensor:
    """The rates 1 - alpha(i/T)/alpha((i-1)/T) by which a chain of T steps follows a survival, (T,) float64.

    The linear survival gives 1/(T - i + 1), the rates of Austin et al. for a mask.
    """
    if num_steps < 1:
        raise UserError(f"a chain needs at least 1 step, got {num_steps}")
    alpha = survival.alpha(torch.arange(num_steps + 1, dtype=torch.float64) / num_steps)
    return 1 - alpha[1:] / alpha[:-1]


def uniform(betas: Tensor, num_symbols: int) -> Tensor:
    """(1 - beta) I + beta/K."""
    beta = _rates(betas, 1.0)
    return (1 - beta) * _identity(num_symbols) + beta / num_symbols


def absorbing(betas: Tensor, num_symbols: int) -> Tensor:
    """(1 - beta) I + beta e_mask."""
    beta = _rates(betas, 1.0)
    end = torch.zeros(num_symbols, num_symbols, dtype=torch.float64)
    end[:, -1] = 1
    return (1 - beta) * _identity(num_symbols) + beta * end


def gaussian(betas: Tensor, num_symbols: int) -> Tensor:
    """Off the diagonal exp(-4 d^2/((K - 1)^2 beta)) over its sum for d = 1 - K ... K - 1, where d is the distance of
    the symbols; the diagonal takes what is left."""
    beta = _rates(betas, float("inf"))
    scale = 4 / ((num_symbols - 1) ** 2 * beta)
    reach = torch.arange(1 - num_symbols, num_symbols, dtype=torch.float64)
    total = (-scale * reach.square()).exp().sum(-1, keepdim=True)
    return _kept((-scale * _distances(num_symbols).square()).exp() / total)


def band(betas: Tensor, num_symbols: int, *, width: int = 1) -> Tensor:
    """beta/(2 width) to each symbol at most `width` away; the diagonal takes what is left."""
    if not 1 <= width < num_symbols:
        raise UserError(f"the band's width lies between 1 and {num_symbols - 1}, got {width}")
    near = _distances(num_symbols) <= width
    return _kept(_rates(betas, 1.0) / (2 * width) * near.double())


def neighbours(betas: Tensor, num_symbols: int, *, embedding: Tensor, count: int = 1) -> Tensor:
    """exp(beta (A - degrees)) of the symmetric graph A = (G + G^T)/(2 count), where G joins a symbol to its `count`
    nearest in the embedding, (K, D).

    Raises:
        UserError: an embedding of other symbols; a graph in pieces, between which no symbol would ever move.
    """
    if embedding.ndim != 2 or len(embedding) != num_symbols:
        raise UserError(f"the embedding has the shape ({num_symbols}, D), got {tuple(embedding.shape)}")
    if not 1 <= count < num_symbols:
        raise UserError(f"a symbol has between 1 and {num_symbols - 1} neighbours, got {count}")
    distances = torch.cdist(embedding.double(), embedding.double())
    distances.fill_diagonal_(float("inf"))
    nearest = distances.topk(count, largest=False).indices
    joined = torch.zeros_like(distances).scatter_(1, nearest, 1.0)
    graph = (joined + joined.T) / (2 * count)
    pieces = int((torch.linalg.eigvalsh(graph.sum(1).diag() - graph) < 1e-9).sum())
    if pieces > 1:
        raise UserError(
            f"the graph of {count} nearest neighbours falls into {pieces} pieces, so the chain never forgets in which "
            "one a symbol began: use more neighbours"
        )
    return torch.linalg.matrix_exp(_rates(betas, float("inf")) * (graph - graph.sum(1).diag()))


MATRICES: Registry[Callable[..., Tensor]] = Registry(
    "transition matrix",
    {"uniform": uniform, "absorbing": absorbing, "gaussian": gaussian, "band": band, "neighbours": neighbours},
)


def chain(name: str, betas: Tensor, num_symbols: int, **options: object) -> D3PM:
    """A chain of the matrices of a name among `MATRICES`, with the prior that they lead to.

    >>> chain("gaussian", torch.full((10,), 0.5), 4).num_steps
    10
    """
    steps = MATRICES[name](betas, num_symbols, **options)
    if name != "absorbing":
        return D3PM(steps)
    return D3PM(steps, _identity(num_symbols)[-1])


def _rates(betas: Tensor, most: float) -> Tensor:
    """The rates in float64, (T, 1, 1)."""
    if betas.ndim != 1 or not bool(((betas > 0) & (betas <= most)).all()):
        raise UserError(f"rates are a list of numbers over 0 and at most {most:g}, got {betas.tolist()[:5]}")
    return betas.double()[:, None, None]


def _identity(num_symbols: int) -> Tensor:
    return torch.eye(num_symbols, dtype=torch.float64)


def _distances(num_symbols: int) -> Tensor:
    place = torch.arange(num_symbols, dtype=torch.float64)
    return (place[:, None] - place).abs()


def _kept(moves: Tensor) -> Tensor:
    """Moves off the diagonal, and on it what is left of 1."""
    moves = moves - torch.diag_embed(moves.diagonal(dim1=1, dim2=2))
    return moves + torch.diag_embed(1 - moves.sum(-1))
