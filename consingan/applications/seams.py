"""Seams of parts that were moved or copied: what lies along them is made anew of the picture's own patches.

The middle of a part stays as sharp as it was moved. Its flat ground, such as the sky around a copied tree, takes the
colours of what it was laid on; the strip along its outline is laid out by the model and completed by patches of
everything else.

Sources: Perez, Gangnet and Blake, "Poisson Image Editing" (SIGGRAPH 2003), a difference at the outline that goes on
smoothly; Farbman et al., "Coordinates for Instant Image Cloning" (SIGGRAPH 2009), as a weighted mean of the outline's;
here pixels of like colour count.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from consingan.finish.completion import completed
from consingan.finish.hole import pushed
from consingan.finish.photo import REACH
from consingan.finish.scales import TRUST
from consingan.grid.noise import Draw
from consingan.grid.sizes import at_most, size_of
from consingan.pictures import masks
from consingan.pictures.transfer import window_mean

INWARDS, OUTWARDS = 8.0, 6.0  # px at 250 px, from a part's outline, that are made anew
STAYS = 0.4  # share of a part that is not made anew, at least
ACROSS = REACH  # px of the strip at the scale whose layout is believed
LIKE = 0.1  # difference of colour at which the outline's correction counts little, of values in [0, 1]
UNLIKE = 0.05  # share of the outline that asks for no change
FLAT, WINDOW = 1e-3, 3  # variance beyond which the outline asks for no change, in windows of such a radius, px
SAMPLES = 512  # pixels of the outline that are looked at
CHUNK = 2**14  # pixels that are corrected together


def mended(edited: Tensor, layout: Tensor, mask: Tensor, draw: Draw) -> tuple[Tensor, Tensor]:
    """An edited picture without the seams of its parts.

    Args:
        edited: ``[1, C, H, W]`` in [0, 1].
        layout: the same as a model sees it; only coarse things in it count.
        mask: ``[1, 1, H, W]``, above one half where parts were moved to.
        draw: of the proposal.

    Returns:
        The picture in [0, 1], and where it may differ, ``[1, 1, H, W]``, 0 or 1: beyond it is ``edited`` to the bit.
    """
    strip, parts = strip_of(mask), (mask > 0.5).float()
    ground = torch.where(parts > 0, recoloured(edited, parts), edited)
    made = completed(ground, strip, draw, layout, trust=believed(mask))
    return made, torch.maximum(strip, parts)


def believed(mask: Tensor) -> float:
    """The longer side in px at which the strip is so wide that a layout shows what lies in it."""
    return min(float(max(size_of(mask))), max(TRUST, ACROSS * masks.REFERENCE / OUTWARDS))


def strip_of(mask: Tensor) -> Tensor:
    """The strip along the outlines of parts, ``[1, 1, H, W]``, 0 or 1; of thin parts as much as leaves ``STAYS``."""
    size = at_most(size_of(mask), masks.WORKING_SIDE)
    parts, scale = F.adaptive_max_pool2d((mask > 0.5).float(), size), max(size) / masks.REFERENCE
    for width in (INWARDS, INWARDS / 2, INWARDS / 4, 0.0):
        inner = 1 - masks.dilated(1 - parts, width * scale)
        if inner.sum() >= STAYS * parts.sum():
            break
    return F.interpolate(masks.dilated(parts, OUTWARDS * scale) - inner, size=size_of(mask))


def recoloured(edited: Tensor, parts: Tensor) -> Tensor:
    """The picture whose parts have, where they are like their own outline, the colours that lie around it.

    Args:
        edited: ``[1, C, H, W]`` in [0, 1].
        parts: ``[1, 1, H, W]``, 0 or 1.
    """
    inner, around = (1 - masks.dilated(1 - parts, 2.0)), 1 - masks.dilated(parts, 2.0)
    outline = ((parts - inner)[0, 0] > 0).nonzero()
    if not len(outline) or not bool(inner.any()):
        return edited
    outline = outline[:: -(-len(outline) // SAMPLES)]
    at = (0, slice(None), outline[:, 0], outline[:, 1])
    own, wanted = (pushed(edited * known, known)[at].T for known in (inner, around))
    rough = torch.stack([pushed(roughness(edited, known), known)[at][0] for known in (inner, around)])
    flat = torch.exp(-rough.sum(0) / FLAT)  # where a rock ends at the sky, neither is to take the other's colour
    result = edited.clone()
    for places in (parts[0, 0] > 0).nonzero().split(CHUNK):
        at = (0, slice(None), places[:, 0], places[:, 1])
        near = 1 / (1 + torch.cdist(places.float(), outline.float()).square())
        like = near * flat * torch.exp(-(torch.cdist(edited[at].T, own) / LIKE).square())
        change = like @ (wanted - own) / (like.sum(1, keepdim=True) + UNLIKE * near.sum(1, keepdim=True))
        result[at] = (edited[at] + change.T).clamp(0, 1)
    return result


def roughness(picture: Tensor, known: Tensor) -> Tensor:
    """Variance of the known pixels around each, mean over channels, times ``known``: ``[1, 1, H, W]``."""
    share = window_mean(known, WINDOW).clamp_min(1e-6)
    mean, square = (window_mean(x * known, WINDOW) / share for x in (picture, picture.square()))
    return (square - mean.square()).mean(1, keepdim=True).clamp_min(0) * known
