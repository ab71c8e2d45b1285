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
    virtual: bool = False,
) -> nn.Sequential:
    """Convolution, normalisation where asked for, activation; a ``virtual`` one is by a reference as well."""
    layers: list[nn.Module] = [nn.Conv2d(channels, features, kernel, padding=padding, padding_mode=padding_mode)]
    if norm:
        # Batch norm over the one picture of a step, in training and in sampling, is instance norm; written as
        # such, pictures of one batch do not see each other.
        layers.append(nn.InstanceNorm2d(features, affine=True))
    if virtual:
        layers.append(VirtualNorm(features))
    return nn.Sequential(*layers, ACTIVATIONS[activation](slope))


class VirtualNorm(nn.Module):
    """Virtual batch norm: features are normalised by the statistics of their own picture and of a reference.

    Source: Salimans et al., "Improved Techniques for Training GANs" (1606.03498), section 3.5. The reference batch is
    the one training picture, as the generator makes it of its anchors; own and reference count half each, as in a batch
    of both. The reference itself is so normalised by its own statistics alone. It is not passed along with every
    picture: its statistics are kept here (``norms.refer`` takes them anew after each change of the weights), in a
    checkpoint and in the model file, and gradients do not go through them.

    Args:
        features: N.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, features: int):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(features)), nn.Parameter(torch.zeros(features))
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("variance", torch.ones(features))
        self.recording = False  # whether what passes is the reference

    def forward(self, x: Tensor) -> Tensor:
        """``[B, N, h, w]`` -> the same shape; the pictures of a batch do not see each other."""
        wide = widened(x)
        variance, mean = torch.var_mean(wide, dim=(2, 3), correction=0, keepdim=True)  # [B, N, 1, 1]
        if self.recording:
            self.mean.copy_(mean[0].flatten())
            self.variance.copy_(variance[0].flatten())
        other, spread = self.mean[:, None, None], self.variance[:, None, None]
        middle = (mean + other) / 2
        # of a mixture of two: the mean of their variances, and how far their means lie apart
        variance = (variance + spread) / 2 + ((mean - other) / 2).square()
        wide = (wide - middle) * (variance + EPSILON).rsqrt()
        return (wide * self.weight[:, None, None] + self.bias[:, None, None]).to(x.dtype)


EPSILON = 1e-5  # of a variance, as torch's norms have it
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
    elif isinstance(module, nn.InstanceNorm2d | VirtualNorm):
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
