"""One latent of two generators: both say in the same features what they see, and make a picture of such features.

Source: Liu, Breuel and Kautz, "Unsupervised Image-to-Image Translation Networks" (UNIT, 1703.00848). Each of two kinds
of pictures has an encoder and a decoder. The last layer of both encoders and the first of both decoders are the very
same, and a code is the encoder's mean plus noise from N(0, 1). Decoded by the own decoder it is to be the picture
again, by the other one the translation.

Here a generator is the encoder of the pictures that it sees and the decoder of its own manner, as far as its pictures
depend on stage 0: head and first layers are its encoder, the last two layers of stage 0 are shared, with the code
between the convolution of the one and what follows it, and later stages and tail are its decoder. Otherwise than in
UNIT, later stages see the picture as well, so the latent says what is where and not every detail. Samples are made
of means, without noise. In shape comments: B pictures, C picture channels, N features, (h, w) the size of a stage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from torch import Tensor, nn

from consingan.gan import guides
from consingan.gan.generator import GrowingGenerator
from consingan.grid.noise import Draw
from consingan.grid.sizes import Size, size_of

if TYPE_CHECKING:
    from consingan.gan.model import SingleImageModel

NOISE = "latent"  # the name of the noise among an iteration's numbers


@dataclass(frozen=True, eq=False)
class Coder:
    """A generator in two halves, in one iteration; pictures are ``[1, C, H, W]`` in [-1, 1], as for ``translated``.

    Args:
        model: whose generator.
        noise: ``[3, N, h', w']`` from ``drawn``.
    """

    model: SingleImageModel
    noise: Tensor

    def mean(self, picture: Tensor) -> Tensor:
        """The latent mean of a picture, ``[1, N, h', w']``."""
        return self._coarse(picture, self.noise[:1])[1]

    def code(self, picture: Tensor) -> Tensor:
        """What stage 0 makes of a picture, with the noise that its fake has: ``[1, N, h, w]``."""
        return self._coarse(picture, self.noise[:1])[0]

    def decoded(self, code: Tensor, picture: Tensor) -> Tensor:
        """What the later stages make of a code, of any coder's, that was made of a picture: a picture of its size."""
        model = self.model
        sizes = [size_of(code), *model.sizes_for(size_of(picture))[1:]]
        made: Tensor = model.generator(guides.inputs(model, picture, sizes), model.amplitudes, sizes, 1, code)
        return made

    def passed(self, picture: Tensor) -> Tensor:
        """What the generator makes of a picture, by noise of its own."""
        return self.decoded(self._coarse(picture, self.noise[2:])[0], picture)

    def _coarse(self, picture: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        generator = self.model.generator
        size = self.model.sizes_for(size_of(picture))[0]
        return coarse(generator, guides.entering(generator, 0, picture, size), noise)


def share(generators: Sequence[GrowingGenerator]) -> None:
    """Give all generators the last two layers of the first one's stage 0."""
    first, *others = (cast(nn.Sequential, generator.stages[0]) for generator in generators)
    for other in others:
        other[-2], other[-1] = first[-2], first[-1]


def drawn(generator: GrowingGenerator, size: Size, draw: Draw) -> Tensor:
    """The noise of an iteration, ``[3, N, h', w']``: of the fake, of the reconstruction, of the way back.

    Args:
        generator: whose latent.
        size: ``(h, w)`` of stage 0, whose margins the latent has as well.
        draw: the iteration's place.
    """
    height, width = (n + 2 * generator.border.margin for n in size)
    return draw.at("latent").normal((3, generator.width, height, width))


def coarse(generator: GrowingGenerator, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """What stage 0 makes of its input by way of a noisy code, and the means of the codes.

    Args:
        generator: whose stage 0.
        x: ``[B, C, h, w]``.
        noise: ``[B, N, H, W]``; repeated where the latent is larger.

    Returns:
        Features of stage 0, ``[B, N, h, w]``, and means ``[B, N, h', w']``.
    """
    *encoder, coding, decoder = cast(Any, generator.stages[0])
    means: list[Tensor] = []

    def through(features: Tensor) -> Tensor:
        for block in encoder:
            features = block(features)
        means.append(coding[0](features))
        code = means[0] + repeated(noise, size_of(means[0]))
        made: Tensor = decoder(coding[1:](code))
        return made

    border = generator.border
    features = border.coarsest(through, border.keeping(generator.head, x, generator.reach))
    return features, means[0]


def repeated(noise: Tensor, size: Size) -> Tensor:
    """The upper left part of ``(h, w)`` of noise ``[B, N, H, W]`` that is repeated without end."""
    height, width = size_of(noise)
    times = -(-size[0] // height), -(-size[1] // width)
    return noise.repeat(1, 1, *times)[:, :, : size[0], : size[1]]
