"""One picture's part of a training: its networks, its pyramid, and what its objective remembers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil
from pathlib import Path

import torch
from torch import Tensor, nn

from consingan.config import Train
from consingan.errors import UserError
from consingan.finish.photo import Photo
from consingan.finish.photo import stored as kept_pixels
from consingan.gan.album import page_of, seed_of
from consingan.gan.critics import Critic, located
from consingan.gan.layers import move
from consingan.gan.model import SingleImageModel, channels_last
from consingan.gan.objectives.base import Objective
from consingan.gan.objectives.informed import informed
from consingan.gan.sharing import tie
from consingan.gan.techniques import Technique, averaged, improved, remembered, techniques
from consingan.grid.kinds import Kind
from consingan.grid.noise import Draw
from consingan.grid.sizes import Size, size_of
from consingan.grid.windows import Window
from consingan.pictures import images, pyramid
from consingan.tasks import TASKS


@dataclass
class Branch:
    """A generator with its critic and its picture, trained beside other branches or alone.

    Args:
        name: of letters and digits; empty for the first branch.
        model, critic: the networks.
        reals: ``[1, C, H, W]`` in [-1, 1], the picture at each stage's size.
        state: what the objective remembers, by name; changed in place.
        further: of the same networks and the same memory, with further pictures of the kind (``training.album``).
        number: of its picture among these, from 0.
    """

    name: str
    model: SingleImageModel
    critic: nn.Module
    reals: list[Tensor]
    state: dict[str, Tensor]
    further: list[Branch] = field(default_factory=list)
    number: int = 0

    @classmethod
    def start(
        cls, settings: Train, picture: Tensor, device: torch.device | str, name: str = "", kind: Kind | None = None
    ) -> Branch:
        """The beginning: networks from the seed; arguments as ``Training.start``."""
        sizes = named_sizes(settings, settings.image, size_of(picture))
        reals = pyramid.build(picture.to(device), sizes)
        branch = cls.fresh(settings, sizes, device, name)
        branch.model.kind = kind or branch.model.kind
        branch.model.photo = Photo(kept_pixels(picture, kind), branch.model.device, kind)
        branch.reals = [channels_last(real) for real in reals]
        return branch

    @classmethod
    def fresh(
        cls, settings: Train, sizes: Sequence[Size], device: torch.device | str, name: str = "", start: int = 0
    ) -> Branch:
        """Networks from the seed, others at each further start, without pictures; ``sizes`` are the stages' (H, W)."""
        seed = settings.runtime.seed
        if start or name:
            address = ("networks", start, name) if name else ("networks", start)
            seed = Draw(seed, address).generator().initial_seed()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = SingleImageModel(settings, TASKS[settings.mode].border, sizes, device)
            critic = new_critic(settings, model.device)
        return cls(name, model, critic, [], new_state(model, critic))

    @property
    def objective(self) -> Objective:
        """What its critic and its generator learn by."""
        return learned_by(self.model, self.critic)

    @property
    def result(self) -> SingleImageModel:
        """The model as samples are made with it."""
        return averaged(self.model, self.state)

    def grow(self, anchor: Tensor) -> None:
        """Add a stage to the model; means over the iterations of a stage begin anew.

        Args:
            anchor: ``[1, C, h, w]``, that of stage 0; used there only.
        """
        self.model.grow(self.reals[self.model.stages], anchor, networks=not self.number)
        self.state |= remembered(techniques(self.model.settings, self.model, self.critic))

    @property
    def pictures(self) -> list[Branch]:
        """This one, and those of further pictures."""
        return [self, *self.further]

    @property
    def shares(self) -> list[tuple[Branch, float]]:
        """The same, each with its share of the iterations."""
        shares = self.model.settings.album.shares if self.further else (1.0,)
        return list(zip(self.pictures, shares, strict=True))

    @property
    def file(self) -> str:
        """What its files in a run folder are called after: its name, or the number of its picture from 2 on."""
        return str(self.number + 1) if self.number else self.name

    def file_of(self, stage: int) -> str:
        """The name of the file of its picture at a stage's size."""
        return f"{self.file}.{stage}.png" if self.file else f"{stage}.png"

    def beside(self, picture: Tensor, number: int) -> Branch:
        """The same networks with a further picture, ``[1, C, H, W]`` in [-1, 1], of the same kind."""
        settings, kind = self.model.settings, self.model.kind
        sizes = named_sizes(settings, settings.album.also[number - 1], size_of(picture))
        model = page_of(self.model, sizes, seed_of(settings.runtime.seed, number))
        model.photo = Photo(kept_pixels(picture, kind), model.device, kind)
        reals = [channels_last(real) for real in pyramid.build(picture.to(model.device), sizes)]
        return Branch(self.name, model, self.critic, reals, self.state, number=number)

    def called(self, name: str) -> str:
        """A name of this branch among those of all; the first branch's names stand alone."""
        return f"{self.name}.{name}" if self.name else name

    def at(self, draw: Draw) -> Draw:
        """Its own place below one of the training's."""
        return draw.at("branch", self.name) if self.name else draw

    def learned(self) -> dict[str, Tensor]:
        """Everything that an iteration changes but the optimisers, by name; not copied."""
        parts = {"generator": self.model.generator.state_dict(), "critic": self.critic.state_dict()}
        parts["objective"] = self.state
        return {self.called(f"{part}.{name}"): value for part, held in parts.items() for name, value in held.items()}

    def critic_at(self, window: Window | None) -> Critic:
        """The critic as it looks at a window: with the places of its pixels, where it is told them."""
        model = self.model
        return located(self.critic, model.settings.network.positions, model.size, window, model.device)


def every(branches: Sequence[Branch]) -> list[Branch]:
    """Branches, each followed by those of its further pictures."""
    return [each for branch in branches for each in branch.pictures]


def beside(settings: Train, files: Mapping[str, str | Path], device: torch.device | str) -> Iterator[Branch]:
    """The beginnings of the branches beside the first, by name and the file of their pictures.

    Raises:
        UserError: a picture cannot be read, or is too small.
    """
    for name, file in files.items():
        picture = images.load(file, channels=settings.network.nc_im).pixels
        try:
            begun = Branch.start(settings, picture, device, name)
        except UserError as error:
            raise UserError(f"{file}: {error}") from None
        yield begun


def tied(branches: list[Branch]) -> list[Branch]:
    """The branches, which share what their configuration says (see ``sharing.tie``)."""
    tie(branches[0].model.settings, [b.model.generator for b in branches], [b.critic for b in branches])
    return branches


def objective_of(settings: Train, bound: Sequence[Technique] = ()) -> Objective:
    """The objective of a configuration, with its techniques, and codes where it has any.

    Args:
        settings: the configuration.
        bound: the techniques, for networks; without any it makes critics.
    """
    return informed(improved(settings, bound), settings.codes, settings.objective.objective)


def new_critic(settings: Train, device: torch.device) -> nn.Module:
    """The critic of a configuration.

    Raises:
        UserError: a technique, or codes, do not go with the objective.
    """
    critic = objective_of(settings).critic(settings.network)
    move(critic, device)
    return critic


def learned_by(model: SingleImageModel, critic: nn.Module) -> Objective:
    """The objective of a model's configuration, with its techniques for these networks."""
    settings = model.settings
    return objective_of(settings, tuple(techniques(settings, model, critic)))


def new_state(model: SingleImageModel, critic: nn.Module) -> dict[str, Tensor]:
    """What the objective of a configuration remembers at the beginning; of a critic without memory only the shapes."""
    begun = learned_by(model, critic).begin()
    return {name: value if value.is_meta else value.to(model.device) for name, value in begun.items()}


def named_sizes(settings: Train, name: str, picture: Size) -> list[Size]:
    """As ``stage_sizes``; of several pictures an error names the one."""
    try:
        return stage_sizes(settings, picture)
    except UserError as error:
        raise UserError(f"{name}: {error}" if settings.album.also else f"{error}") from None


def stage_sizes(settings: Train, picture: Size) -> list[Size]:
    """Sizes ``(H, W)`` of the stages for a picture of size ``(H, W)``, by the task's law.

    Raises:
        UserError: the coarsest stage is smaller than a patch of the critic.
    """
    wanted = settings.pyramid
    law = TASKS[settings.mode].law
    sizes = pyramid.sizes(picture, wanted.train_stages, wanted.min_size, wanted.max_size, law)
    sizes = sizes[wanted.start_scale :]
    network = settings.network
    patch = objective_of(settings).smallest(network)
    if min(sizes[0]) < max(patch, network.ker_size):
        raise UserError(
            f"The coarsest stage would be {sizes[0][1]}x{sizes[0][0]} px, smaller than the critic's patch of "
            f"{patch} px; {larger(settings, picture)}."
        )
    return sizes


def larger(settings: Train, picture: Size) -> str:
    """What to give for a coarsest stage that is not smaller than a patch."""
    network, wanted, objective = settings.network, settings.pyramid, objective_of(settings)
    patch = max(objective.smallest(network), network.ker_size)
    if patch <= min(picture):
        flags = f"--min_size {patch}" if wanted.min_size < patch else ""
        longest = ceil(patch * max(picture) / min(picture))
        return "give " + (flags if wanted.max_size >= longest else f"{flags} --max_size {longest}".strip())
    for layers in range(network.num_layer - 1, 0, -1):
        if max(objective.smallest(replace(network, num_layer=layers)), network.ker_size) <= min(picture):
            return f"give --num_layer {layers}, or a larger picture"
    return "give a larger picture"
