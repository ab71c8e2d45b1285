"""The reference of the generator's virtual norms, and the spectral norms of the critic's weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

from consingan.gan.layers import VirtualNorm
from consingan.grid.windows import Window

if TYPE_CHECKING:
    from consingan.gan.model import SingleImageModel

FIRST_ITERATIONS = 15  # of the power method, before a weight is used


@torch.no_grad()
def refer(model: SingleImageModel, anchors: Sequence[Tensor] = ()) -> None:
    """Give the virtual norms of a model's generator the statistics of its reference, the picture made of the anchors.

    They are those of its weights at this moment. A generator without such norms is left alone.

    Args:
        model: with a stage at least.
        anchors: by stage, whole, where they are at hand.
    """
    norms = [module for module in model.generator.modules() if isinstance(module, VirtualNorm)]
    if not norms:
        return
    anchors = anchors or whole_anchors(model)
    for norm in norms:
        norm.recording = True
    try:
        model.generator.features(anchors, model.amplitudes, model.sizes[: model.stages])
    finally:
        for norm in norms:
            norm.recording = False


def whole_anchors(model: SingleImageModel) -> list[Tensor]:
    """The anchors of a model's stages."""
    shapes = [model.generator.input_shape(stage, size)[2:] for stage, size in enumerate(model.sizes[: model.stages])]
    return [anchor(Window.whole(shape)) for anchor, shape in zip(model.anchors, shapes, strict=True)]


class Spectral(nn.Module):
    """A convolution's weight over its spectral norm, the largest singular value of it as a matrix [out, in * k * k].

    Source: Miyato et al., "Spectral Normalization for Generative Adversarial Networks" (1802.05957), equations 8 and 11
    and algorithm 1. The two singular vectors are kept with the critic; ``iterate`` brings them nearer once. A pass
    through the critic does not change them, so it can be done again with the same result.

    Args:
        weight: ``[out, in, k, k]``, as it is at the beginning.
    """

    u: Tensor
    v: Tensor

    def __init__(self, weight: Tensor):
        super().__init__()
        matrix = weight.detach().flatten(1)
        u, v = torch.randn_like(matrix[:, 0]), torch.randn_like(matrix[0])
        self.register_buffer("u", F.normalize(u, dim=0))
        self.register_buffer("v", F.normalize(v, dim=0))
        for _ in range(FIRST_ITERATIONS):
            self.iterate(weight)

    def forward(self, weight: Tensor) -> Tensor:
        """``[out, in, k, k]`` -> the same over its norm, which passes gradients on; the vectors are constants."""
        # sums of products, not matrix products: these would be rounded to half precision where convolutions are
        norm = (weight.flatten(1) * torch.outer(self.u, self.v)).sum()
        return weight / norm

    @torch.no_grad()
    def iterate(self, weight: Tensor) -> None:
        """One iteration of the power method for a weight, in place."""
        matrix = weight.detach().flatten(1)
        self.v.copy_(F.normalize((matrix * self.u[:, None]).sum(0), dim=0))
        self.u.copy_(F.normalize((matrix * self.v).sum(1), dim=0))


def normalise(critic: nn.Module) -> None:
    """Divide the weights of all convolutions of a critic by their spectral norms from now on."""
    for module in list(critic.modules()):
        if isinstance(module, nn.Conv2d):
            parametrize.register_parametrization(module, "weight", Spectral(module.weight))


def iterate(critic: nn.Module) -> None:
    """Bring the spectral norms of a critic nearer to what they are after its weights have changed."""
    for module in critic.modules():
        if isinstance(module, parametrize.ParametrizationList) and isinstance(module[0], Spectral):
            module[0].iterate(module.original)
