"""The table of adversarial objectives: one line each, one file for each paper.

An entry is a frozen dataclass of options: an ``Objective``, or a ``Composition`` that makes one of parts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from consingan.gan.objectives import fgan
from consingan.gan.objectives.base import Objective
from consingan.gan.objectives.began import Began
from consingan.gan.objectives.ebgan import Ebgan
from consingan.gan.objectives.gan import Gan, GanNs
from consingan.gan.objectives.hinge import Hinge
from consingan.gan.objectives.lsgan import Lsgan
from consingan.gan.objectives.scored import Composition
from consingan.gan.objectives.wgan import Wgan
from consingan.gan.objectives.wgan_gp import WganGp
from consingan.gan.objectives.zero_centred import GanZeroGp

if TYPE_CHECKING:
    from consingan import config

OBJECTIVES: dict[str, type[Objective] | type[Composition]] = {
    "wgan-gp": WganGp,
    "wgan": Wgan,
    "gan": Gan,
    "gan-ns": GanNs,
    "gan-zerogp": GanZeroGp,
    "lsgan": Lsgan,
    "hinge": Hinge,
    "fgan-kl": fgan.fgan(fgan.KL),
    "fgan-reverse-kl": fgan.fgan(fgan.REVERSE_KL),
    "fgan-pearson": fgan.fgan(fgan.PEARSON),
    "fgan-neyman": fgan.fgan(fgan.NEYMAN),
    "fgan-hellinger": fgan.fgan(fgan.HELLINGER),
    "fgan-js": fgan.fgan(fgan.JS),
    "fgan-gan": fgan.fgan(fgan.GAN),
    "fgan-tv": fgan.fgan(fgan.TV),
    "ebgan": Ebgan,
    "began": Began,
}


def played(settings: config.Objective) -> Objective:
    """The objective of a configuration: the chosen entry, or what it composes."""
    chosen = settings.chosen
    return chosen.composed() if isinstance(chosen, Composition) else chosen
