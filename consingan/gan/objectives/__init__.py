"""The table of adversarial objectives: one file and one line each."""

from __future__ import annotations

from consingan.gan.objectives.base import Objective
from consingan.gan.objectives.began import Began
from consingan.gan.objectives.ebgan import Ebgan
from consingan.gan.objectives.wgan_gp import WganGp

OBJECTIVES: dict[str, type[Objective]] = {"wgan_gp": WganGp, "ebgan": Ebgan, "began": Began}
