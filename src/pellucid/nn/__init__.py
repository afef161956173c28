"""Layer 1: networks. They see inputs of about unit variance and know nothing of processes or losses.

Every network has the same face, `network(x, c_noise, *, label=None, vector=None, **cond)`, is described by a
`NetworkSpec` and made by `build`; `choose` finds the spec for a data shape and a compute budget. `conditions` are those
beside label and vector, each a `ConditionSpec` with its name; `network.encoded(cond)` encodes their texts once.
"""

from .choose import NETWORKS, build, choose, training_flops
from .dit import DiT
from .energy import EnergyNetwork
from .mlp import MLP
from .spec import ConditionSpec, NetworkSpec
from .unet import UNet

__all__ = [
    "MLP",
    "NETWORKS",
    "ConditionSpec",
    "DiT",
    "EnergyNetwork",
    "NetworkSpec",
    "UNet",
    "build",
    "choose",
    "training_flops",
]
