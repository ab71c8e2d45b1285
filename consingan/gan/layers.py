"""What the layers of generator and critic are made of.

Source: Hinz et al., "Improved Techniques for Training Single-Image GANs" (WACV 2021), section 3 and figure 2.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from consingan.config import Network
from consingan.gan.borders import Padding


def block(
    channels: int,
    features: int,
    kernel: int,
    padding: int,
    activation: str,
    slope: float,
    norm: bool = False,
    padding_mode: Padding = "zeros",
) -> nn.Sequential:
    """Convolution, normalisation where asked for, activation."""
    layers: list[nn.Module] = [nn.Conv2d(channels, features, kernel, padding=padding, padding_mode=padding_mode)]
    if norm:
        # Batch norm over the one picture of a step, in training and in sampling, is instance norm; written as
        # such, pictures of one batch do not see each other.
        layers.append(nn.InstanceNorm2d(features, affine=True))
    return nn.Sequential(*layers, ACTIVATIONS[activation](slope))


ACTIVATIONS = {
    "lrelu": lambda slope: nn.LeakyReLU(slope, inplace=True),
    "prelu": lambda slope: nn.PReLU(init=slope),
    "elu": lambda slope: nn.ELU(inplace=True),
    "selu": lambda slope: nn.SELU(inplace=True),
}


def widened(x: Tensor) -> Tensor:
    """At least float32: losses are not taken in half precision."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def move(module: nn.Module, device: torch.device) -> None:
    """Move a network to a device, in the memory format that convolutions are fastest in."""
    module.to(device)
    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def initialise(module: nn.Module) -> None:
    """Convolution weights from N(0, 0.02), norm weights from N(1, 0.02), norm biases 0."""
    if isinstance(module, nn.Conv2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.InstanceNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)


def layers(network: Network) -> dict[str, Any]:
    """What generator and critic have in common, as their keyword arguments."""
    return {
        "channels": network.nc_im,
        "features": network.nfc,
        "kernel": network.ker_size,
        "layers": network.num_layer,
        "padding": network.padd_size,
        "activation": network.activation,
        "slope": network.lrelu_alpha,
    }
