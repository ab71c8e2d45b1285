"""ConSinGAN: learn a generative model from one picture.

>>> import consingan
>>> print(consingan.estimate("photo.jpg", preset="quick"))      # doctest: +SKIP
>>> model = consingan.train("photo.jpg", preset="quick")        # doctest: +SKIP
>>> pictures = model.sample(4, size=(200, 400), seed=1)         # doctest: +SKIP
>>> consingan.sample(model, num_samples=4).save("new pictures") # doctest: +SKIP
"""

from __future__ import annotations

from consingan import early

early.hold()  # before the imports that take time
# ruff: noqa: E402

import importlib
from typing import Any

from consingan import config
from consingan.gan.objectives import OBJECTIVES

__version__ = "0.1.0"
__all__ = [
    "Job",
    "Order",
    "SingleImageModel",
    "UserError",
    "enlarge",
    "estimate",
    "fill",
    "sample",
    "style",
    "train",
    "train_each",
    "uncrop",
]

WHERE = {
    "Job": "consingan.training.job",
    "Order": "consingan.training.order",
    "SingleImageModel": "consingan.gan.model",
    "UserError": "consingan.errors",
    "enlarge": "consingan.api",
    "estimate": "consingan.api",
    "fill": "consingan.api",
    "sample": "consingan.api",
    "style": "consingan.api",
    "train": "consingan.api",
    "train_each": "consingan.command.each",
    "uncrop": "consingan.api",
}

config.TABLES["objective"] = OBJECTIVES


def __getattr__(name: str) -> Any:
    # Late, so that the command line answers --help without importing torch.
    if name not in WHERE:
        raise AttributeError(f"module 'consingan' has no attribute {name!r}")
    return getattr(importlib.import_module(WHERE[name]), name)
