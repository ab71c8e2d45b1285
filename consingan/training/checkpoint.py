"""The parts of a checkpoint: their names, what each must look like before it is taken, and how it is taken over.

A part is the tensors whose names begin with its own and a dot. Those of a branch beside the first have its name before
theirs. Nothing is believed that does not have the shape that the model's configuration wants.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from consingan import config
from consingan.errors import UserError
from consingan.gan import album
from consingan.gan.layers import move
from consingan.gan.model import SingleImageModel, channels_last
from consingan.gan.model_file import Header, network_bytes
from consingan.tasks import TASKS
from consingan.training import watchdog
from consingan.training.branch import Branch, new_critic, new_state
from consingan.training.convergence import Figures
from consingan.training.optimisers import MOMENTS
from consingan.training.watchdog import Attempt, Good

if TYPE_CHECKING:
    from consingan.training.graphs import Captured
    from consingan.training.step import Step

OF_BRANCH = ("model", "critic", "real", "objective", "generator_optimiser", "critic_optimiser")
GOOD, BEGUN, LESSON = "good", "begun", "tuning"  # the last as the first version named it
MOST = 1e300  # of a number in a header
OF_DAMAGED = 2**28  # bytes that are read of a checkpoint whose header is damaged
Parts = Mapping[str, dict[str, Tensor]]  # by the part's name its tensors, without it


@dataclass(frozen=True)
class Part:
    """A part of a checkpoint.

    Args:
        name: of the part.
        wanted: the shapes of its tensors, all float32, by name.
        take: takes them over, once they are known to fit.
    """

    name: str
    wanted: Mapping[str, Sequence[int]]
    take: Callable[[dict[str, Tensor]], None]

    def fill(self, parts: Parts, where: str) -> None:
        """Take it from the parts of a file.

        Raises:
            UserError: a tensor is missing, unknown or unfit.
        """
        check_shapes(parts[self.name], self.wanted, f"{where}, {self.name}")
        self.take(parts[self.name])


def most_bytes(header: dict[str, Any], where: str) -> int:
    """The bytes that the tensors of a checkpoint can have: networks, optimisers and states to go back to, pyramids.

    Those of a damaged header, which ``Training.restore`` refuses, have a limit of their own.
    """
    try:
        stands, further = Header.read(header, where), further_headers(header, where)
    except UserError:
        return OF_DAMAGED
    network = stands.settings.network
    with torch.device("meta"):
        critic = new_critic(stands.settings, torch.device("meta"))
    learned = network_bytes(stands) + 4 * sum(value.numel() for value in critic.state_dict().values())
    sizes = [*stands.sizes, *(size for page in stands.pages for size in page[0])]
    pyramid = sum(4 * network.nc_im * height * width for height, width in sizes)
    # Twice in the optimisers, all of that again in the state to go back to, once more in the stage's beginning: seven
    # times; each of the three with what techniques remember of the networks, twice at most. The pyramid is there once,
    # and a lesson holds two pictures. The rest is what an objective remembers.
    wanted = stands.settings.techniques
    means = (wanted.ema > 0) + (wanted.historical_averaging > 0)
    history = 4 * network.nc_im * (wanted.history + 1) * max(height * width for height, width in stands.sizes)
    each = (7 + 3 * means) * learned + 3 * pyramid + 3 * history * (wanted.history > 0) + 2**20
    return each * (1 + len(further))


def split(tensors: Mapping[str, Tensor], branches: Iterable[str], where: str) -> Parts:
    """``{"a.b.c": t}`` -> ``{"a": {"b.c": t}}``, with every part of a checkpoint of these branches present.

    Raises:
        UserError: a name belongs to no part.
    """
    called = [*OF_BRANCH, *(f"{branch}.{part}" for branch in branches for part in OF_BRANCH)]
    parts: dict[str, dict[str, Tensor]] = {part: {} for part in [*called, GOOD, BEGUN, LESSON]}
    for name, value in tensors.items():
        words = name.split(".")
        part = next((each for each in (words[0], ".".join(words[:2])) if each in parts), None)
        if part is None:
            raise UserError(f"{where} holds {name!r}, which is no part of a training; use another checkpoint.")
        parts[part][name[len(part) + 1 :]] = value
    return parts


def written(branch: Branch) -> dict[str, Tensor]:
    """The tensors of a branch as a checkpoint holds them, but its optimisers'."""
    held: dict[str, Mapping[str, Tensor]] = {
        "model.generator": branch.model.generator.state_dict(),
        "model.anchor": numbered(branch.model.fixed),
        "model": album.tensors(branch.model.pages, photos=False),
        "critic": branch.critic.state_dict(),
        "real": numbered(real for each in branch.pictures for real in each.reals),
        "objective": branch.state,
    }
    return {branch.called(f"{part}.{name}"): value for part, each in held.items() for name, value in each.items()}


def restored(name: str, parts: Parts, header: dict[str, Any], where: str, device: torch.device | str) -> Branch:
    """A branch of a checkpoint; built without memory until its tensors are known to fit.

    Args:
        name: of the branch.
        parts: from ``split``.
        header: of its model.
        where: names the file in messages.
        device: where to train.

    Raises:
        UserError: as ``SingleImageModel.restore`` and ``Part.fill``.
    """
    of_model = parts[f"{name}.model" if name else "model"]
    model = SingleImageModel.restore(of_model, header, where, device)
    with torch.device("meta"):
        critic = new_critic(model.settings, torch.device("meta"))
    branch = Branch(name, model, critic, [], new_state(model, critic))
    branch.further = [
        Branch(name, page, critic, [], branch.state, number=number) for number, page in enumerate(model.pages, 1)
    ]
    for part in parts_of(branch):
        part.fill(parts, where)
    return branch


def parts_of(branch: Branch) -> list[Part]:
    """What belongs to a branch beside its model, whatever the stage."""
    model, critic, state = branch.model, branch.critic, branch.state
    sizes = [size for each in branch.pictures for size in each.model.sizes]
    reals = {str(i): (1, model.settings.network.nc_im, *size) for i, size in enumerate(sizes)}

    def take_critic(tensors: dict[str, Tensor]) -> None:
        critic.load_state_dict(tensors, assign=True)
        move(critic, model.device)

    def take_reals(tensors: dict[str, Tensor]) -> None:
        found, stages = [channels_last(tensors[name].to(model.device)) for name in reals], len(model.sizes)
        for number, each in enumerate(branch.pictures):
            each.reals = found[number * stages : (number + 1) * stages]

    def take_state(tensors: dict[str, Tensor]) -> None:
        state.update({name: tensors[name].to(model.device) for name in state})

    return [
        Part(branch.called("critic"), shapes_of(critic), take_critic),
        Part(branch.called("real"), reals, take_reals),
        Part(branch.called("objective"), {name: value.shape for name, value in state.items()}, take_state),
    ]


def optimisers_of(step: Step | Captured, parts: Parts, iteration: int) -> list[Part]:
    """The optimisers of a stage; at iteration 0 they may be without a past."""
    return [
        Part(
            name,
            optimiser_shapes(optimiser) if iteration or parts[name] else {},
            partial(load_optimiser, optimiser),
        )
        for name, optimiser in step.optimisers.items()
    ]


@dataclass(frozen=True)
class Standing:
    """Where a checkpoint stands; ``good`` and ``begun`` are without their tensors, ``figures`` are the stage's."""

    stage: int
    iteration: int
    attempt: Attempt
    good: Good
    begun: Good
    figures: list[Figures]
    widest: int | None


def read_standing(header: Mapping[str, Any], model: SingleImageModel, where: str) -> Standing:
    """Where a checkpoint's header says that it stands, checked against its model.

    Raises:
        UserError: it is missing, of the wrong kind, or out of range; the mode is unknown.
    """
    settings = model.settings
    if settings.mode not in TASKS:
        raise UserError(f"{where} is of mode {settings.mode!r}, which this version lacks; choose another run.")
    try:
        stands = Standing(
            header["stage"],
            header["iteration"],
            Attempt(**header["attempt"]),
            Good(**header["good"]),
            Good(**header.get("begun", {"spread": header["good"]["spread"]})),  # earlier versions did not keep it
            [Figures(*row) for row in header.get("figures", [])],  # checkpoints of the first version have none
            header.get("most"),
        )
        iterations = config.iterations(settings.optimisation.niter, model.stages - 1)
        wholes = (stands.stage, stands.iteration, stands.attempt.number, stands.attempt.start, stands.good.iteration)
        sound = (
            all(type(n) is int for n in wholes)
            and stands.stage == model.stages - 1
            and 0 <= stands.good.iteration <= stands.iteration <= iterations
            and 0 <= stands.attempt.number <= watchdog.ATTEMPTS
            and sound_number(stands.attempt.rate)
            and 0 < stands.attempt.rate <= 1
            and 0 <= stands.attempt.start < watchdog.STARTS
            and all(sound_number(state.spread) and not state.tensors for state in (stands.good, stands.begun))
            and all(state.spread >= 0 for state in (stands.good, stands.begun))
            and stands.begun.iteration == 0
            and sound_figures(stands.figures, stands.iteration)
            and (
                stands.widest is None
                or (type(stands.widest) is int and config.SMALLEST_WINDOW <= stands.widest < 2**31)
            )
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise UserError(f"{where} lacks a valid {error}; use a checkpoint that this program wrote.") from None
    if not sound:
        raise UserError(f"{where} stands at no place of its training; use a checkpoint that this program wrote.")
    return stands


def sound_figures(figures: Sequence[Figures], iteration: int) -> bool:
    """Whether these can be a stage's figures before an iteration."""
    return (
        all(type(each.iteration) is int and type(each.branch) is str for each in figures)
        and all(a.iteration < b.iteration for a, b in pairwise(figures) if a.branch == b.branch)
        and all(a.iteration <= b.iteration for a, b in pairwise(figures))
        and all(0 <= each.iteration < iteration for each in figures)
        and all(sound_number(value) for each in figures for value in astuple(each)[1:-1])
    )


def sound_number(value: Any) -> bool:
    """Whether this is a number that can be computed with."""
    return type(value) in (int, float) and abs(value) < MOST


def further_headers(header: Mapping[str, Any], where: str) -> dict[str, dict[str, Any]]:
    """The headers of the models of further branches, by name, with what is the same in all.

    Raises:
        UserError: they are damaged.
    """
    found = header.get("branches", {})
    if not isinstance(found, Mapping) or not all(isinstance(each, Mapping) for each in found.values()):
        raise UserError(f"{where} has damaged 'branches' in its header; use a checkpoint that this program wrote.")
    return {name: {**each, "config": header.get("config")} for name, each in found.items()}


def check_shapes(found: Mapping[str, Tensor], wanted: Mapping[str, Sequence[int]], where: str) -> None:
    """Refuse named tensors that are not exactly the wanted ones, in float32."""
    for name in sorted(found.keys() | wanted.keys()):
        fits = name in found and name in wanted and tuple(found[name].shape) == tuple(wanted[name])
        if not fits or found[name].dtype != torch.float32:
            raise UserError(
                f"{where}: {name!r} is missing, unknown or unfit; use a checkpoint that this program wrote."
            )


def numbered(tensors: Iterable[Tensor]) -> dict[str, Tensor]:
    """Tensors by their number."""
    return {str(number): value for number, value in enumerate(tensors)}


def shapes_of(network: nn.Module) -> dict[str, Sequence[int]]:
    """The shapes of a network's tensors by name."""
    return {name: value.shape for name, value in network.state_dict().items()}


def on_device(tensors: Mapping[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """Copies of what learns where they are used; optimisers' counters stay on the host."""
    return {name: value if value.dim() == 0 else value.to(device) for name, value in tensors.items()}


def optimiser_tensors(name: str, optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """An optimiser's state as named tensors."""
    state = optimiser.state_dict()["state"]
    return {f"{name}.{index}.{key}": value for index, values in state.items() for key, value in values.items()}


def optimiser_shapes(optimiser: torch.optim.Optimizer) -> dict[str, Sequence[int]]:
    """The shapes of ``optimiser_tensors`` after a step, without the optimiser's name."""
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    shapes: dict[str, Sequence[int]] = {}
    for index, p in enumerate(parameters):
        shapes |= {f"{index}.step": ()} | {f"{index}.{moment}": p.shape for moment in MOMENTS[type(optimiser)]}
    return shapes


def load_optimiser(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """The inverse of ``optimiser_tensors`` for a fresh optimiser of the same parameters."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        index, key = name.split(".")
        state.setdefault(int(index), {})[key] = channels_last(value) if value.dim() == 4 else value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
