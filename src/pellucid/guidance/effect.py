r"""What guidance makes of a law, exactly, where it can be known: two normal laws on the line.

In z = x_t/alpha and nu = sigma/alpha the probability-flow ODE is dz/dnu = (z - D(z, nu))/nu. With c = N(m_c, v_c) and
u = N(m_u, v_u) the guided estimate gives

    dz/dnu = nu (w (z - m_c)/(v_c + nu^2) + (1 - w) (z - m_u)/(v_u + nu^2))                                        (1)

which is linear. Deviations shrink by I(nu)/I(0) from nu to 0, with I the integrating factor

    I(nu) = (v_c + nu^2)^(-w/2) (v_u + nu^2)^((w - 1)/2)                                                           (2)

so from infinite noise, where z ~ N(0, nu^2), the samples end with the variance

    v_c^w v_u^(1 - w)                                                                                              (3)

while the law proportional to c^w u^(1 - w), which guidance is often said to sample, has the precision
w/v_c + (1 - w)/v_u. The two agree at w = 0 and 1, and where v_c = v_u; otherwise guidance is not that law.
"""

from __future__ import annotations

import math

from ..foundations.errors import UserError

Normal = tuple[float, float]  # mean and variance


def guided_normal(conditional: Normal, unconditional: Normal, scale: float, *, start: float = math.inf) -> Normal:
    """Mean and variance of what classifier-free guidance samples, by equations (1) to (3).

    Args:
        conditional: mean and variance of c.
        unconditional: mean and variance of u.
        scale: w.
        start: the noise level sigma/alpha from which one samples, starting from z ~ N(0, 1 + start^2) as the Gaussian
            processes' priors do; infinity for the limit.

    Raises:
        UserError: a variance that is not positive.

    >>> guided_normal((1.0, 0.25), (0.0, 1.0), 2.0)[1]
    0.0625
    >>> tilted_normal((1.0, 0.25), (0.0, 1.0), 2.0)[1]  # the law that it is often taken for
    0.14285714285714285
    """
    from scipy.integrate import quad

    (m_c, v_c), (m_u, v_u) = _checked(conditional), _checked(unconditional)

    def log_factor(s: float) -> float:
        return -scale / 2 * math.log(v_c + s) + (scale - 1) / 2 * math.log(v_u + s)

    end = log_factor(0.0)

    # m = m_u + (m_c - m_u) k, with k from d(I m) = -I/2 (w m_c/(v_c + s) + (1 - w) m_u/(v_u + s)) ds in s = nu^2, and
    # with s = v_c (e^r - 1), which spreads the integrand evenly.
    def slope(r: float) -> float:
        s = v_c * math.expm1(r)
        return scale / 2 * math.exp(log_factor(s) - end)

    left = 0.0 if start == math.inf else math.exp(log_factor(start**2) - end)
    last = 80.0 if start == math.inf else math.log1p(start**2 / v_c)
    k = quad(slope, 0.0, last, epsabs=1e-12, epsrel=1e-12, limit=500)[0]
    # What (1) makes of the start's mean 0, seen from m_u.
    mean = m_u * (1 - left) + (m_c - m_u) * k
    variance = v_c**scale * v_u ** (1 - scale) if start == math.inf else left**2 * (1 + start**2)
    return mean, variance


def tilted_normal(conditional: Normal, unconditional: Normal, scale: float) -> Normal:
    """Mean and variance of the law proportional to c^w u^(1 - w).

    Raises:
        UserError: a variance that is not positive, or a scale at which the product cannot be normalised.
    """
    (m_c, v_c), (m_u, v_u) = _checked(conditional), _checked(unconditional)
    precision = scale / v_c + (1 - scale) / v_u
    if precision <= 0:
        raise UserError(f"at the scale {scale} the product of the two laws has no finite mass")
    return (scale * m_c / v_c + (1 - scale) * m_u / v_u) / precision, 1 / precision


def _checked(law: Normal) -> Normal:
    if not law[1] > 0 or not math.isfinite(law[0]):
        raise UserError(f"a normal law is a finite mean and a positive variance, got {law}")
    return law
