"""Every setting of a training run, declared once.

- ``declarations``: default, range and meaning of every setting, in dataclasses by section. The flags, config.json and
  the header of a model file are made from them. A new setting is one field there, and one line in ``stored.LATER``.
- ``resolving``: layers of values (defaults, recipe, flags) -> a checked ``Train``; what contradicts what; what follows
  from a configuration, such as the iterations of a stage.
- ``stored``: a ``Train`` <-> JSON values, with what files of older versions lack.

No torch here: the command line answers ``--help`` from this room.
"""

from consingan.config.album import Shares, Words
from consingan.config.declarations import (
    MOST_STAGES,
    SECTIONS,
    SEED,
    TABLES,
    Album,
    Codes,
    Declared,
    Iterations,
    Naive,
    Network,
    Objective,
    Optimisation,
    Pyramid,
    Runtime,
    Sampling,
    Setting,
    Stopping,
    Techniques,
    Train,
    Translation,
    declared,
    flat,
    own,
    setting,
    settings,
    typed,
)
from consingan.config.resolving import (
    SMALLEST_WINDOW,
    check,
    check_same,
    is_whole,
    iterations,
    kept,
    resolve,
    window_side,
)
from consingan.config.stored import SCHEMA, UNKNOWN, Chosen, chosen_in, from_json, to_json

__all__ = [
    "MOST_STAGES",
    "SCHEMA",
    "SECTIONS",
    "SEED",
    "SMALLEST_WINDOW",
    "TABLES",
    "UNKNOWN",
    "Album",
    "Chosen",
    "Codes",
    "Declared",
    "Iterations",
    "Naive",
    "Network",
    "Objective",
    "Optimisation",
    "Pyramid",
    "Runtime",
    "Sampling",
    "Setting",
    "Shares",
    "Stopping",
    "Techniques",
    "Train",
    "Translation",
    "Words",
    "check",
    "check_same",
    "chosen_in",
    "declared",
    "flat",
    "from_json",
    "is_whole",
    "iterations",
    "kept",
    "own",
    "resolve",
    "setting",
    "settings",
    "to_json",
    "typed",
    "window_side",
]
