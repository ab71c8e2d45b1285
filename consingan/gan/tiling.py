"""A trained model whose pictures repeat without a seam, whatever it was trained for."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING

from consingan.gan.wrapping import wrapping
from consingan.grid.sizes import WRAPS, Wraps

if TYPE_CHECKING:
    from consingan.gan.model import SingleImageModel


def tiling(model: SingleImageModel, tileable: str | None) -> SingleImageModel:
    """The model with its planes going on at their other sides; its weights are shared, nothing of it changes.

    Args:
        model: trained, of any border.
        tileable: a word of ``sizes.WRAPS``; as it was trained if None.
    """
    if tileable is None or wraps_with(model, tileable) == model.wraps:
        return model
    made = copy.copy(model)
    made.settings = replace(model.settings, network=replace(model.settings.network, tileable=tileable))
    made.generator = copy.copy(model.generator)
    made.generator.border = wrapping(model.generator.border, WRAPS[tileable])
    made.to(model.device)  # draws the anchors anew, whose planes are others
    made.photo = model.photo  # with what it has prepared
    for page, own in zip(made.pages, model.pages, strict=True):
        page.settings, page.photo = made.settings, own.photo
        page.to(model.device)
    return made


def wraps_with(model: SingleImageModel, tileable: str | None) -> Wraps:
    """Along which axes pictures of ``tiling`` go on at their other side."""
    return model.wraps if tileable is None else WRAPS[tileable]
