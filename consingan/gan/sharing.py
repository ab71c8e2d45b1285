"""Networks of two branches that share layers: the very same tensors.

Source: Liu and Tuzel, "Coupled Generative Adversarial Networks" (1606.07536): the first layers of the generators, where
a picture's layout is decided, and the last layers of the critics are one. Liu, Breuel and Kautz, "Unsupervised
Image-to-Image Translation Networks" (1703.00848): see ``latent``.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from consingan.config import Train
from consingan.errors import UserError
from consingan.gan import latent
from consingan.gan.critics import PatchCritic
from consingan.gan.generator import GrowingGenerator


def tie(settings: Train, generators: Sequence[GrowingGenerator], critics: Sequence[nn.Module] = ()) -> None:
    """Give all networks the first one's layers where the configuration says that they share some.

    Layers of generators are the head and stage 0, of critics the last two. A latent is that of ``latent``: the last two
    layers of stage 0, and none of critics.

    Raises:
        UserError: the critics have no layers to share.
    """
    if settings.translation.share == "none":
        return
    if settings.translation.share == "latent":
        latent.share(generators)
        return
    for generator in generators[1:]:
        generator.head, generator.stages[0] = generators[0].head, generators[0].stages[0]
    first, *others = critics or (None,)
    for other in others:
        if not isinstance(first, PatchCritic) or not isinstance(other, PatchCritic):
            raise UserError(
                f"--share {settings.translation.share} is for a critic that scores patches, which that of --objective "
                f"{settings.objective.objective} does not; leave it out or choose another objective."
            )
        other.blocks[-1], other.tail = first.blocks[-1], first.tail
