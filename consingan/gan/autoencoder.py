"""A critic that makes a picture of a picture: how far the two are apart says how well it knows such pictures.

Source: Zhao et al., "Energy-based Generative Adversarial Network" (1609.03126), section 2.3, and Berthelot et al.,
"BEGAN" (1703.10717), section 3.5.1. In shape comments: B pictures, C picture channels, S channels seen (C, or C + 2
with row and column), N features, K numbers of a code, (h, w) the size of a picture.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from consingan.config import Network
from consingan.gan.critics import channels_seen
from consingan.gan.layers import block, initialise

STRIDE = 4  # px from one code to the next
# Numbers of a code: a sixth of those of its 4x4 pixels. Trained alone on three photos of 25 px, codes of 4 to 32
# numbers know the photo about equally well, and those of 8 err 6 times as much where the photo is moved and 13 times
# where its pixels are shuffled. Codes of 8 numbers for 2x2 px err 2 and 6 times as much.
CODE = 8


class Autoencoder(nn.Module):
    """Convolutions to codes, each of a few numbers for 4x4 pixels, and convolutions from these to a picture.

    Without this bottleneck the identity would make every picture of itself, and none would be told from another. A code
    is made of a patch, as the scores of a patch critic are, so windows and pictures of any size pass. Every convolution
    is padded with zeros.

    Args:
        seen: channels of what goes in.
        channels: of the picture that comes out.
        features, kernel, activation, slope: as for the patch critic.
        layers: convolutions to features on either side of the codes.
    """

    def __init__(
        self,
        seen: int = 3,
        channels: int = 3,
        features: int = 64,
        kernel: int = 3,
        layers: int = 2,
        activation: str = "lrelu",
        slope: float = 0.05,
    ):
        super().__init__()
        half = kernel // 2

        def blocks(first: int) -> nn.ModuleList:
            widths = [first] + [features] * (layers - 1)
            return nn.ModuleList(block(width, features, kernel, half, activation, slope) for width in widths)

        self.encoder, self.decoder = blocks(seen), blocks(CODE)
        self.into_code = nn.Conv2d(features, CODE, STRIDE + 1, stride=STRIDE, padding=STRIDE // 2)
        self.tail = nn.Conv2d(features, channels, kernel, padding=half)
        self.apply(initialise)

    def forward(self, x: Tensor) -> Tensor:
        """Pictures ``[B, S, h, w]`` in [-1, 1] -> what it makes of them, ``[B, C, h, w]`` of any values."""
        made = F.interpolate(self.features(x)[-1], scale_factor=STRIDE, mode="nearest")
        made = made[..., : x.shape[2], : x.shape[3]]
        for layer in self.decoder:
            made = layer(made)
        return self.tail(made)

    def features(self, x: Tensor) -> list[Tensor]:
        """What its encoder makes of pictures ``[B, S, h, w]``: ``[B, N, h, w]`` by layer, then the codes.

        Codes are ``[B, K, h / 4, w / 4]``, rounded up.
        """
        made = []
        for layer in self.encoder:
            x = layer(x)
            made.append(x)
        return [*made, self.into_code(x)]


def autoencoder(network: Network) -> Autoencoder:
    """The autoencoder of a configuration, of two channels more where it is told where it looks.

    The paddings inside a patch critic's convolutions (``--padd_size``) are not its.
    """
    return Autoencoder(
        channels_seen(network),
        network.nc_im,
        network.nfc,
        network.ker_size,
        layers_of(network),
        network.activation,
        network.lrelu_alpha,
    )


def layers_of(network: Network) -> int:
    """Convolutions on either side of the codes, so that both together are about as many as a patch critic's."""
    return (network.num_layer + 1) // 2


def code_side(network: Network) -> int:
    """The side of the patches that the codes are made of, in pixels."""
    return 1 + layers_of(network) * (network.ker_size - 1) + STRIDE
