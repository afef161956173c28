"""Layer 2: autoencoders. A VAE with a real likelihood, code books by vector or scalar quantisation, their bounds."""

from .base import Autoencoder, AutoencoderSpec, Code
from .bounds import Elbo, code_bound, elbo, iwae, log_weights
from .build import AUTOENCODERS, build_autoencoder
from .health import Latents, Usage, latents, usage
from .laws import LAWS, Decoded, Law, Logistic, Normal, make_law
from .quantise import Codes, FiniteScalar, VectorQuantiser
from .vae import VAE, DiagonalNormal
from .vq import Quantised

__all__ = [
    "AUTOENCODERS",
    "LAWS",
    "VAE",
    "Autoencoder",
    "AutoencoderSpec",
    "Code",
    "Codes",
    "Decoded",
    "DiagonalNormal",
    "Elbo",
    "FiniteScalar",
    "Latents",
    "Law",
    "Logistic",
    "Normal",
    "Quantised",
    "Usage",
    "VectorQuantiser",
    "build_autoencoder",
    "code_bound",
    "elbo",
    "iwae",
    "latents",
    "log_weights",
    "make_law",
    "usage",
]
