"""From a description to an autoencoder, freshly initialised from torch's global generator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from torch import nn

from ..foundations.errors import UserError
from ..foundations.registry import Registry
from ..nn.coder import CODERS
from .base import AutoencoderSpec
from .laws import Law, make_law
from .quantise import FiniteScalar, VectorQuantiser
from .vae import VAE
from .vq import Quantised


def _vae(spec: AutoencoderSpec) -> VAE:
    law = make_law(spec.law, spec.components)
    # On a grid each place would need its own, and a first stage for latent diffusion knows no labels.
    places = spec.network.num_classes if spec.flat else 0
    return VAE(_encoder(spec, 2 * spec.latent), _decoder(spec, law), law, spec.latent_shape, num_classes=places)


def _vq(spec: AutoencoderSpec) -> Quantised:
    return _quantised(spec, VectorQuantiser(spec.codes, spec.latent))


def _fsq(spec: AutoencoderSpec) -> Quantised:
    return _quantised(spec, FiniteScalar(spec.levels))


def _quantised(spec: AutoencoderSpec, quantiser: VectorQuantiser | FiniteScalar) -> Quantised:
    law = make_law(spec.law, spec.components)
    return Quantised(_encoder(spec, spec.latent), quantiser, _decoder(spec, law), law, spec.latent_shape)


def _encoder(spec: AutoencoderSpec, out: int) -> nn.Module:
    return CODERS[spec.network.kind].encoder(spec.network, out, flat=spec.flat)


def _decoder(spec: AutoencoderSpec, law: Law) -> nn.Module:
    network = replace(spec.network, output_multiplier=law.parameters)
    return CODERS[spec.network.kind].decoder(network, spec.latent, flat=spec.flat)


AUTOENCODERS: Registry[Callable[[AutoencoderSpec], VAE | Quantised]] = Registry(
    "autoencoder", {"vae": _vae, "vq": _vq, "fsq": _fsq}
)


def build_autoencoder(spec: AutoencoderSpec) -> VAE | Quantised:
    """The autoencoder that the spec describes.

    Raises:
        UserError: an unknown kind, coder or law, or a coder that does not fit the items.

    >>> from pellucid.nn.coder import choose_coder
    >>> vae = build_autoencoder(AutoencoderSpec("vae", choose_coder((1, 28, 28)), latent=16))
    >>> vae.latent_shape
    (16,)
    """
    maker = AUTOENCODERS[spec.kind]
    if spec.law == "logistic" and len(spec.network.shape) != 3:
        raise UserError("the logistic law is of 8-bit pictures: use the law 'normal' for points and signals")
    return maker(spec)
