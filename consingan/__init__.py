"""ConSinGAN: learn a generative model from one picture.

>>> import consingan
>>> model = consingan.train("photo.jpg", preset="quick")       # doctest: +SKIP
>>> pictures = model.sample(4, size=(200, 400), seed=1)         # doctest: +SKIP
"""

from __future__ import annotations

from typing import Any

from consingan import config
from consingan.gan.objectives import OBJECTIVES

__version__ = "0.1.0"
__all__ = ["SingleImageModel", "UserError", "train"]

config.TABLES["objective"] = OBJECTIVES


def __getattr__(name: str) -> Any:
    # Late, so that the command line answers --help without importing torch.
    if name == "train":
        from consingan.api import train

        return train
    if name == "SingleImageModel":
        from consingan.gan.model import SingleImageModel

        return SingleImageModel
    if name == "UserError":
        from consingan.errors import UserError

        return UserError
    raise AttributeError(f"module 'consingan' has no attribute {name!r}")
