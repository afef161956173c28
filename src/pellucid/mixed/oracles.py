r"""The exact denoiser of a mixture on rows of numbers and categories.

In component k the numbers are normal with independent columns, N(m_k, V_k), the categories independent with
probabilities P_kf(c), so all dependence between columns is by the component. Under a product process

    r_k ~ w_k N(x; alpha m_k, alpha^2 V_k + sigma^2) prod over f of Z_kf,   Z_kf = sum over c of P_kf(c) q(x_f | c)  (1)
    E[x_0 | x_t] = sum of r_k (m_k + alpha V_k (x - alpha m_k)/(alpha^2 V_k + sigma^2))                            (2)
    p(c_f | x_t) = sum of r_k P_kf(c) q(x_f | c)/Z_kf                                                              (3)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..foundations.errors import UserError
from ..processes.gaussian import Gaussian
from ..processes.product import Product
from ..processes.symbols import Symbols, certain, pick


@dataclass(frozen=True, eq=False)
class MixedOracle:
    """The exact denoiser of a mixture of M components on N numbers and F categories.

    Attributes:
        process: a product of a Gaussian field of N columns and a field of F columns of K symbols, in this order.
        means, variances: (M, N), of the numbers.
        tables: (M, F, S), probabilities of the S first symbols, which data have.
        weights: (M,), positive; normalised here.

    Raises:
        UserError: a process of other fields, or parts that do not fit.
    """

    process: Product
    means: Tensor
    variances: Tensor
    tables: Tensor
    weights: Tensor

    def __post_init__(self) -> None:
        kinds = [type(field.process) for field in self.process.fields]
        if len(kinds) != 2 or kinds[0] is not Gaussian or not issubclass(kinds[1], Symbols):
            raise UserError("this law needs a product of a Gaussian field and a field of symbols, in this order")
        numbers, categories = (field.columns for field in self.process.fields)
        shape = (len(self.weights), numbers)
        if self.means.shape != shape or self.variances.shape != shape:
            raise UserError(f"means and variances have the shape {shape}, got {tuple(self.means.shape)}")
        symbols = self.process.fields[1].symbols
        assert symbols is not None
        if self.tables.shape[:2] != (shape[0], categories) or self.tables.shape[2] > symbols:
            raise UserError(
                f"the tables have the shape ({shape[0]}, {categories}, {symbols} at most), "
                f"got {tuple(self.tables.shape)}"
            )

    def __call__(self, x: Tensor, t: Tensor, *, known: Tensor | None = None) -> Tensor:
        """Equations (2) and (3) as a packed answer, (B, N + F K) float64; the categories as log-probabilities.

        Args:
            x: (B, N + F), packed.
            t: () or (B,).
            known: columns where x holds x_0 itself, bool (B, N + F): there alpha = 1 and sigma = 0, and what is
                returned is given these too.
        """
        numbers, categories = self.process.unpack(x.double())
        gaussian, symbols = (field.process for field in self.process.fields)
        assert isinstance(gaussian, Gaussian)
        assert isinstance(symbols, Symbols)
        alpha, sigma = gaussian.scales(t.double(), numbers)
        told = None if known is None else known.split([numbers.shape[1], categories.shape[1]], 1)
        if told is not None:
            alpha, sigma = torch.where(told[0], 1.0, alpha), torch.where(told[0], 0.0, sigma)
        alpha, sigma = (scale[..., None, :] if scale.ndim else scale for scale in (alpha, sigma))
        offset = numbers[:, None] - alpha * self.means  # (B, M, N)
        total = alpha.square() * self.variances + sigma.square()
        log_normal = -0.5 * (offset.square() / total + total.log()).sum(-1)
        reached = self._reached(symbols, categories, t)
        if told is not None:
            reached = torch.where(told[1][..., None], certain(categories, symbols.num_symbols).exp(), reached)
        joint = self._tables() * reached[:, None]  # (B, M, F, K)
        seen = joint.sum(-1)
        share = (self._log_weights() + log_normal + seen.log().sum(-1)).softmax(1)
        x0 = (share[..., None] * (self.means + alpha * self.variances / total * offset)).sum(1)
        law = (share[..., None, None] * joint / seen[..., None].clamp_min(1e-300)).sum(1)
        return self.process.pack_answers([x0, law.log()])

    def sample(self, pick_component: Tensor, noise: Tensor, picks: Tensor) -> Tensor:
        """Exact rows, packed, (B, N + F).

        Args:
            pick_component: uniform, (B,).
            noise: standard normal, (B, N).
            picks: uniform, (B, F).
        """
        component = pick(self._log_weights().exp().expand(len(noise), -1), pick_component)
        numbers = self.means[component] + self.variances[component].sqrt() * noise.double()
        return self.process.pack([numbers, pick(self.tables[component].double(), picks)])

    def table(self) -> Tensor:
        """The law of all categories together, (S, ..., S) with an axis for each."""
        letters = "abcdefgh"[: self.tables.shape[1]]
        parts = [self.tables[:, f].double() for f in range(self.tables.shape[1])]
        rule = ",".join(f"m{letter}" for letter in letters)
        return torch.einsum(f"m,{rule}->{letters}", self._log_weights().exp(), *parts)

    def cdf(self, x: Tensor, column: int) -> Tensor:
        """The distribution function of a column of numbers, of x's shape."""
        scaled = (x.double()[..., None] - self.means[:, column]) / self.variances[:, column].sqrt()
        return (self._log_weights().exp() * torch.special.ndtr(scaled)).sum(-1)

    def _tables(self) -> Tensor:
        """P_kf(c) on all K symbols, (M, F, K)."""
        symbols = self.process.fields[1].symbols
        assert symbols is not None
        return torch.nn.functional.pad(self.tables.double(), (0, symbols - self.tables.shape[2]))

    def _reached(self, symbols: Symbols, x: Tensor, t: Tensor) -> Tensor:
        """q(x_f given c) as a function of c, (B, F, K)."""
        count = symbols.num_symbols
        every = torch.arange(count).expand(len(x), -1)
        law = symbols.corrupt_law(every, t)  # (B, c, x)
        return law.gather(2, x[:, None].expand(-1, count, -1)).transpose(1, 2)

    def _log_weights(self) -> Tensor:
        weights = self.weights.double()
        return (weights / weights.sum()).log()
