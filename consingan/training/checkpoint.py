"""The parts of a checkpoint: their names, and what each must look like before it is taken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite
from typing import Any

import torch
from torch import Tensor

from consingan import config
from consingan.config import Train
from consingan.errors import UserError
from consingan.gan.model import SingleImageModel, channels_last, layers
from consingan.gan.networks import PatchCritic, move
from consingan.tasks import TASKS
from consingan.training import watchdog
from consingan.training.convergence import Figures
from consingan.training.watchdog import Attempt, Good

PARTS = ("model", "critic", "real", "generator_optimiser", "critic_optimiser", "good", "begun", "tuning")


@dataclass(frozen=True)
class Place:
    """Where a checkpoint stands; ``good`` and ``begun`` are without their tensors, ``figures`` are the stage's."""

    stage: int
    iteration: int
    attempt: Attempt
    good: Good
    begun: Good
    figures: list[Figures]
    most: int | None


def read_place(header: Mapping[str, Any], model: SingleImageModel, where: str) -> Place:
    """The place in a checkpoint's header, checked against its model.

    Raises:
        UserError: it is missing, of the wrong kind, or out of range; the mode is unknown.
    """
    settings = model.settings
    if settings.mode not in TASKS:
        raise UserError(f"{where} is of mode {settings.mode!r}, which this version lacks; choose another run.")
    try:
        place = Place(
            header["stage"],
            header["iteration"],
            Attempt(**header["attempt"]),
            Good(**header["good"]),
            Good(**header.get("begun", {"spread": header["good"]["spread"]})),  # earlier versions did not keep it
            [Figures(*row) for row in header.get("figures", [])],  # checkpoints of the first version have none
            header.get("most"),
        )
        iterations = config.iterations(settings.optimisation.niter, model.stages - 1)
        wholes = (place.stage, place.iteration, place.attempt.number, place.attempt.start, place.good.iteration)
        sound = (
            all(type(n) is int for n in wholes)
            and place.stage == model.stages - 1
            and 0 <= place.good.iteration <= place.iteration <= iterations
            and 0 <= place.attempt.number <= watchdog.ATTEMPTS
            and 0 < place.attempt.rate <= 1
            and 0 <= place.attempt.start < watchdog.STARTS
            and all(0 <= state.spread < float("inf") and not state.tensors for state in (place.good, place.begun))
            and place.begun.iteration == 0
            and all(type(figures.iteration) is int for figures in place.figures)
            and all(a.iteration < b.iteration for a, b in pairwise(place.figures))
            and all(0 <= figures.iteration < place.iteration for figures in place.figures)
            and all(isfinite(figures.convergence + figures.swd) for figures in place.figures)
            and (place.most is None or (type(place.most) is int and place.most >= config.SMALLEST_WINDOW))
        )
    except (KeyError, TypeError) as error:
        raise UserError(f"{where} lacks a valid {error}; use a checkpoint that this program wrote.") from None
    if not sound:
        raise UserError(f"{where} stands at no place of its training; use a checkpoint that this program wrote.")
    return place


def stored_name(name: str) -> str:
    """The name in a checkpoint of something in ``Training.learned``."""
    return f"model.{name}" if name.startswith("generator.") else name


def split_names(tensors: Mapping[str, Tensor], where: str) -> dict[str, dict[str, Tensor]]:
    """``{"a.b.c": t}`` -> ``{"a": {"b.c": t}}``, with every part of a checkpoint present.

    Raises:
        UserError: a name belongs to no part.
    """
    parts: dict[str, dict[str, Tensor]] = {part: {} for part in PARTS}
    for name, value in tensors.items():
        part, _, rest = name.partition(".")
        if part not in parts:
            raise UserError(f"{where} holds {name!r}, which is no part of a training; use another checkpoint.")
        parts[part][rest] = value
    return parts


def check_shapes(found: Mapping[str, Tensor], wanted: Mapping[str, Sequence[int]], where: str) -> None:
    """Refuse named tensors that are not exactly the wanted ones, in float32."""
    for name in sorted(found.keys() | wanted.keys()):
        fits = name in found and name in wanted and tuple(found[name].shape) == tuple(wanted[name])
        if not fits or found[name].dtype != torch.float32:
            raise UserError(
                f"{where}: {name!r} is missing, unknown or unfit; use a checkpoint that this program wrote."
            )


def restored_critic(model: SingleImageModel, tensors: dict[str, Tensor], where: str) -> PatchCritic:
    """The critic of a checkpoint; built without memory until its tensors are known to fit."""
    with torch.device("meta"):
        critic = new_critic(model.settings, torch.device("meta"))
    check_shapes(tensors, {name: value.shape for name, value in critic.state_dict().items()}, f"{where}, critic")
    critic.load_state_dict(tensors, assign=True)
    move(critic, model.device)
    return critic


def on_device(tensors: Mapping[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """Kept tensors where they are used; Adam's counters stay on the host."""
    return {name: value if value.dim() == 0 else value.to(device) for name, value in tensors.items()}


def optimiser_tensors(name: str, optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Adam's state as named tensors."""
    state = optimiser.state_dict()["state"]
    return {f"{name}.{index}.{key}": value for index, values in state.items() for key, value in values.items()}


def optimiser_shapes(optimiser: torch.optim.Optimizer) -> dict[str, Sequence[int]]:
    """The shapes of ``optimiser_tensors`` after a step, without the optimiser's name."""
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    shapes: dict[str, Sequence[int]] = {}
    for index, p in enumerate(parameters):
        shapes |= {f"{index}.step": (), f"{index}.exp_avg": p.shape, f"{index}.exp_avg_sq": p.shape}
    return shapes


def load_optimiser(optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """The inverse of ``optimiser_tensors`` for a fresh optimiser of the same parameters."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        index, key = name.split(".")
        state.setdefault(int(index), {})[key] = channels_last(value) if value.dim() == 4 else value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})


def new_critic(settings: Train, device: torch.device) -> PatchCritic:
    """The critic of a configuration."""
    network = settings.network
    told = {"channels": network.nc_im + 2} if network.positions else {}
    critic = PatchCritic(**(layers(network) | told))
    move(critic, device)
    return critic
