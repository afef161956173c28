"""How probable a model thinks data are: the density by the probability-flow ODE, and the variational bound."""

from .bits import bits_per_dim
from .bound import Bound, vlb
from .classify import Classified, classify
from .decoders import DECODERS, Categorical, Discretised, Normal
from .dequantise import Dequantisation, UniformNoise, VariationalNoise, dequantised, fit_noise
from .ode import LogProb, log_prob
from .tokens import TokenBound, token_nelbo
from .trace import TRACES

__all__ = [
    "DECODERS",
    "TRACES",
    "Bound",
    "Categorical",
    "Classified",
    "Dequantisation",
    "Discretised",
    "LogProb",
    "Normal",
    "TokenBound",
    "UniformNoise",
    "VariationalNoise",
    "bits_per_dim",
    "classify",
    "dequantised",
    "fit_noise",
    "log_prob",
    "token_nelbo",
    "vlb",
]
