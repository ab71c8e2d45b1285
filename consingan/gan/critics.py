"""What pictures are held against: the patch critic, and a critic that is told where it looks.

Source: Hinz et al., "Improved Techniques for Training Single-Image GANs" (WACV 2021), section 3 and figure 2.
In shape comments: B pictures, C picture channels, N features, (h, w) the size of a picture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from consingan.config import Network
from consingan.gan.layers import block, initialise
from consingan.gan.minibatch import Closeness
from consingan.grid.sizes import Size
from consingan.grid.windows import Window


class Critic(Protocol):
    """What an objective holds pictures against; what else it may have is between it and its objective."""

    def __call__(self, x: Tensor) -> Tensor:
        """``[B, C, h, w]`` in [-1, 1] -> scores of their patches ``[B, 1, h', w']``, or pictures ``[B, C, h, w]``."""


class PatchCritic(nn.Module):
    """Scores every patch of a picture; without padding, so with 3x3 kernels and 3 layers a patch is 11x11.

    Args:
        channels, features, kernel, layers, padding, activation, slope: as for the generator.
        kernels: of minibatch discrimination, whose numbers the last convolution sees beside the features; 0: none.
    """

    def __init__(
        self,
        channels: int = 3,
        features: int = 64,
        kernel: int = 3,
        layers: int = 3,
        padding: int = 0,
        activation: str = "lrelu",
        slope: float = 0.05,
        kernels: int = 0,
    ):
        super().__init__()
        blocks = [block(channels, features, kernel, padding, activation, slope)]
        blocks += [block(features, features, kernel, padding, activation, slope) for _ in range(layers)]
        self.blocks = nn.ModuleList(blocks)
        self.tail = nn.Conv2d(features + 2 * kernels, 1, kernel, padding=padding)
        self.apply(initialise)
        self.closeness = Closeness(features, kernels) if kernels else None

    def forward(self, x: Tensor) -> Tensor:
        """Pictures ``[B, C, h, w]`` -> scores ``[B, 1, h', w']``, one per patch."""
        for layer in self.blocks:
            x = layer(x)
        if self.closeness is not None:
            x = torch.cat([x, self.closeness(x).to(x.dtype)], dim=1)
        return self.tail(x)

    def features(self, x: Tensor) -> list[Tensor]:
        """What its layers make of pictures ``[B, C, h, w]``, first to last: ``[B, N, h', w']`` each."""
        made = []
        for layer in self.blocks:
            x = layer(x)
            made.append(x)
        return made

    @property
    def piecewise_linear(self) -> bool:
        """Whether ``input_gradient`` holds for these layers."""
        return self.closeness is None and all(
            isinstance(layer[-1], nn.LeakyReLU | nn.PReLU) for layer in self._sequences()
        )

    def input_gradient(self, x: Tensor) -> Tensor:
        """Gradient of the summed scores by the picture, as a forward pass through the transposed layers.

        A critic of convolutions and (parametric) leaky ReLUs is linear around each input: its gradient is the
        product of its transposed layers with the slopes that the forward pass met. Written so, a loss on the
        gradient needs an ordinary backward pass only; the slopes are constants by x, as they are almost everywhere.

        Args:
            x: ``[B, C, h, w]``.

        Returns:
            ``[B, C, h, w]``, differentiable by the critic's parameters.
        """
        met = []
        with torch.no_grad():
            for layer in self._sequences():
                x = layer(x)
                met.append(x)  # has the sign that the activation met, its slope being positive
            scores = self.tail(x)
        gradient = transposed(self.tail, torch.ones_like(scores))
        for layer, x in zip(reversed(list(self._sequences())), reversed(met), strict=True):
            gradient = transposed(layer[0], through(layer[1], x, gradient))
        return gradient

    def _sequences(self) -> Iterator[nn.Sequential]:
        for layer in self.blocks:
            assert isinstance(layer, nn.Sequential)
            yield layer


class ReadingCritic(nn.Module):
    """A critic with a head that reads codes off what it looks at: Q of InfoGAN (1606.03657), section 4.

    It shares all layers of the critic but the one that makes scores. What it reads is a mean over the patches.

    Args:
        body: the critic, with features as ``PatchCritic`` has them.
        width: channels N of its last features.
        codes: numbers K to read.
    """

    def __init__(self, body: Any, width: int, codes: int):
        super().__init__()
        self.body = body
        self.head = nn.Sequential(nn.Conv2d(width, width, 1), nn.LeakyReLU(0.1), nn.Conv2d(width, codes, 1))

    def forward(self, x: Tensor) -> Tensor:
        """As the critic, of pictures ``[B, C, h, w]``."""
        return self.body(x)

    def read(self, x: Tensor) -> Tensor:
        """Pictures ``[B, C, h, w]`` -> codes ``[B, K]``: what the continuous ones are, logits of the categories."""
        return self.head(self.body.features(x)[-1]).mean(dim=(2, 3))


@dataclass(frozen=True, eq=False)
class LocatedCritic:
    """A critic that is told where each patch lies: row and column are two more channels of what it looks at.

    A convolution knows what stands beside what, not where; with the two channels it does (Liu et al., "An Intriguing
    Failing of Convolutional Neural Networks and the CoordConv Solution", NeurIPS 2018). The generator is not told, so
    that it makes pictures of any size as before.

    Args:
        critic: of ``C + 2`` channels; with all that is asked of it here where it is a ``PatchCritic``.
        places: ``[1, 2, h, w]``, row and column of every pixel, from -w to w times the weight.
    """

    critic: Any
    places: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """As the critic, of pictures ``[B, C, h, w]``."""
        return self.critic(self._located(x))

    def features(self, x: Tensor) -> list[Tensor]:
        """As ``PatchCritic.features``."""
        return self.critic.features(self._located(x))

    @property
    def piecewise_linear(self) -> bool:
        """As ``PatchCritic.piecewise_linear``."""
        return self.critic.piecewise_linear

    def input_gradient(self, x: Tensor) -> Tensor:
        """As ``PatchCritic.input_gradient``, of the picture's channels: ``[B, C, h, w]``."""
        return self.critic.input_gradient(self._located(x))[:, : x.shape[1]]

    def _located(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.places.to(x.dtype).expand(len(x), -1, -1, -1)], dim=1)


def patch_critic(network: Network) -> PatchCritic:
    """The patch critic of a configuration, of two channels more where it is told where it looks."""
    return PatchCritic(
        channels=channels_seen(network),
        features=network.nfc,
        kernel=network.ker_size,
        layers=network.num_layer,
        padding=network.padd_size,
        activation=network.activation,
        slope=network.lrelu_alpha,
        kernels=network.minibatch_discrimination,
    )


def patch_side(network: Network) -> int:
    """The side of the patches that the patch critic of a configuration scores, in pixels."""
    return 1 + (network.num_layer + 2) * (network.ker_size - 1 - 2 * network.padd_size)


def channels_seen(network: Network) -> int:
    """The channels of what a critic looks at: the picture's, and row and column where it is told them."""
    return network.nc_im + (2 if network.positions else 0)


def located(critic: nn.Module, weight: float, size: Size, window: Window | None, device: torch.device) -> Critic:
    """The critic with the places of a window of a picture of ``(H, W)``; without a weight the critic itself.

    Args:
        critic: of two channels more than the picture where there is a weight.
        weight: of the places; 0 tells it none.
        size: of the whole picture, whose rows and columns run from -1 to 1.
        window: the part of it that is looked at; all of it if None.
        device: where the places are wanted.
    """
    if not weight:
        return critic
    spans = (window.rows, window.columns) if window else ((0, size[0]), (0, size[1]))
    rows, columns = (
        weight * torch.linspace(-1, 1, length, device=device)[slice(*span)]
        for length, span in zip(size, spans, strict=True)
    )
    places = torch.stack(torch.meshgrid(rows, columns, indexing="ij"))[None]
    return LocatedCritic(critic, places.contiguous(memory_format=torch.channels_last))


def within(critic: Any, part: Callable[[Any], Any]) -> Any:
    """Something in a critic, as it looks at pictures: told where it looks where the critic is.

    Args:
        critic: of pictures ``[B, C, h, w]``.
        part: the critic that is told nothing -> one in it, or another function of its pictures.
    """
    return replace(critic, critic=part(critic.critic)) if isinstance(critic, LocatedCritic) else part(critic)


def transposed(conv: nn.Module, x: Tensor) -> Tensor:
    """The transpose of a stride-1 convolution without its bias, itself as a convolution (the kernels are faster)."""
    assert isinstance(conv, nn.Conv2d)
    weight = conv.weight.flip(2, 3).transpose(0, 1)
    kernel, padding = conv.kernel_size[0], int(conv.padding[0])
    return F.conv2d(x, weight, padding=kernel - 1 - padding)


def through(activation: nn.Module, x: Tensor, gradient: Tensor) -> Tensor:
    """The gradient times the slopes that a leaky or parametric ReLU has where it met the signs of x."""
    if isinstance(activation, nn.PReLU):
        return torch.where(x > 0, gradient, gradient * activation.weight)
    assert isinstance(activation, nn.LeakyReLU)
    return torch.ops.aten.leaky_relu_backward(gradient, x, activation.negative_slope, False)
