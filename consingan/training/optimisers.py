"""What networks learn by: the optimisers that an objective may name, and what their states look like."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def adam(groups: list[dict], beta1: float, recorded: bool = False) -> torch.optim.Optimizer:
    """Adam as the method has it, in one kernel where torch has one.

    Args:
        groups: parameters with their rates.
        beta1: of the first moment.
        recorded: whether its steps will be replayed from a recording; the rates are then tensors on the device.
    """
    fused = groups[0]["params"][0].device.type in ("cpu", "cuda")
    return torch.optim.Adam(rated(groups, recorded), betas=(beta1, 0.999), fused=fused, capturable=recorded)


def rmsprop(groups: list[dict], beta1: float, recorded: bool = False) -> torch.optim.Optimizer:
    """RMSprop without momentum, with a mean of squares over 100 steps; arguments as ``adam``, beta1 is not used."""
    return torch.optim.RMSprop(rated(groups, recorded), alpha=0.99, capturable=recorded)


OPTIMISERS: dict[str, Callable[[list[dict], float, bool], torch.optim.Optimizer]] = {
    "adam": adam,
    "rmsprop": rmsprop,
}
MOMENTS: dict[type, tuple[str, ...]] = {  # what they keep of each parameter, in its shape, beside the number of steps
    torch.optim.Adam: ("exp_avg", "exp_avg_sq"),
    torch.optim.RMSprop: ("square_avg",),
}


def rated(groups: list[dict], recorded: bool) -> list[dict]:
    """The groups with rates that a recording can read, where one is made."""
    device = groups[0]["params"][0].device
    return [{**group, "lr": torch.tensor(group["lr"], device=device)} for group in groups] if recorded else groups


def first_moment(optimiser: torch.optim.Optimizer) -> Tensor | None:
    """A tensor of its state that is another one after a state has been loaded; None before the first step."""
    first = next(iter(optimiser.state.values()), None)
    return None if first is None else first[MOMENTS[type(optimiser)][0]]
