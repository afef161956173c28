r"""How much a chain's draws are worth: autocorrelation, effective sample size and the split R-hat.

With rho_k the autocorrelation at lag k, the mean of N draws has the variance of N/tau independent ones,

    tau = 1 + 2 sum_k rho_k                                                                                        (1)

summed over pairs of lags as long as the pairs' sums are positive, each at most the one before (Geyer, "Practical Markov
Chain Monte Carlo", 1992, section 3.3: the initial monotone sequence; over several chains as in Stan, Vehtari et al.,
"Rank-Normalization, Folding, and Localization: An Improved R-hat for Assessing Convergence of MCMC", 2021, eq. 10).
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..foundations.errors import UserError


def effective_size(values: Tensor) -> float:
    """N/tau of (1) for a number seen along chains: (draws, chains) -> how many independent draws tell as much.

    Raises:
        UserError: fewer than 4 draws.
    """
    count, chains = values.shape
    if count < 4:
        raise UserError(f"an effective sample size needs at least 4 draws of each chain, got {count}")
    x = values.double()
    within = x.var(0).mean()
    between = x.mean(0).var() if chains > 1 else x.new_zeros(())
    total = within * (count - 1) / count + between
    if total <= 0:
        return float("nan")  # a chain that never moved tells nothing of itself
    covariance = _autocovariance(x).mean(1)
    rho = 1 - (within * (count - 1) / count - covariance) / total
    rho[0] = 1.0
    pairs = rho[: count // 2 * 2].reshape(-1, 2).sum(1)
    positive = torch.cumprod((pairs > 0).to(pairs), 0)
    tau = -1 + 2 * (torch.cummin(pairs, 0).values * positive).sum()
    # Chains that alternate may tell more than as many independent draws, but not without bound (Vehtari et al. 2021).
    size = count * chains
    return float(size / torch.clamp(tau, min=1 / torch.log10(torch.tensor(float(max(size, 10))))))


def split_r_hat(values: Tensor) -> float:
    """The spread of all halves of chains over that within them: (draws, chains) -> a number that falls to 1.

    Source: Gelman et al., "Bayesian Data Analysis", 3rd edition, 2013, section 11.4.
    """
    half = len(values) // 2
    x = torch.cat([values[:half], values[len(values) - half :]], 1).double()
    within, between = x.var(0).mean(), x.mean(0).var()
    return float(((half - 1) / half + between / within).sqrt())


def mean_and_error(values: Tensor) -> tuple[float, float]:
    """The mean of a number seen along chains, (draws, chains), and its standard error, which knows of (1)."""
    size = effective_size(values)
    return values.double().mean().item(), float(values.double().std() / size**0.5)


def _autocovariance(x: Tensor) -> Tensor:
    """Each chain's autocovariances at all lags, (draws, chains), by the Fourier transform."""
    count = len(x)
    centred = x - x.mean(0)
    spectrum = torch.fft.rfft(centred, n=2 * count, dim=0)
    return torch.fft.irfft(spectrum.abs().square(), n=2 * count, dim=0)[:count] / count
