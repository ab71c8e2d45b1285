"""One training iteration.

The arithmetic is that of the method; what cannot change the result is done once: the fake serves all critic steps,
fake and reconstruction are one batch, frozen stages run without gradients, and where these are small the anchors pass
them once per stage.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from math import prod

import torch
from torch import Tensor

from consingan.devices import Products
from consingan.gan import guides, latent, schedule
from consingan.gan.critics import Critic
from consingan.gan.model import KEPT, channels_last
from consingan.gan.objectives.base import Estimating, Sight
from consingan.grid.noise import Source, as_source
from consingan.grid.sizes import Size
from consingan.grid.torus import halfway
from consingan.grid.windows import Part, Window
from consingan.tasks.terms import Made, Term
from consingan.training import rest
from consingan.training.branch import Branch
from consingan.training.optimisers import OPTIMISERS


@dataclass(frozen=True, eq=False)
class Drawn:
    """The random inputs of a branch's iteration.

    Args:
        inputs: by stage, what the generator makes the fake of (see ``GrowingGenerator.forward``).
        critic: by step of the critic, the objective's numbers by name.
        generator: the objective's numbers for the generator's step.
        window: the part of the picture that all losses are taken on; all of it if None.
        seen: ``[1, C, h, w]``, the picture that the generator sees, where its task is ``Guided``; whole.
        number: of the picture of this iteration, from 0, where the branch has several.
    """

    inputs: Sequence[Tensor]
    critic: Sequence[Mapping[str, Tensor]]
    generator: Mapping[str, Tensor]
    window: Window | None = None
    seen: Tensor | None = None
    number: int = 0

    def tensors(self) -> list[Tensor]:
        """All of them, in order."""
        seen = [] if self.seen is None else [self.seen]
        return [*self.inputs, *(x for numbers in (*self.critic, self.generator) for x in numbers.values()), *seen]

    def each(self, change: Callable[[Tensor], Tensor]) -> Drawn:
        """The same with every tensor changed."""
        critic, generator = (
            [{name: change(x) for name, x in numbers.items()} for numbers in every]
            for every in (self.critic, [self.generator])
        )
        inputs, seen = [change(x) for x in self.inputs], None if self.seen is None else change(self.seen)
        return Drawn(inputs, critic, generator[0], self.window, seen, self.number)


@dataclass(frozen=True, eq=False)
class Done:
    """One iteration that was done.

    Args:
        drawn: by branch, its random inputs.
        terms: loss terms by name, 0-dim, on the device.
    """

    drawn: Sequence[Drawn]
    terms: Mapping[str, Tensor]


class Step:
    """The iteration of one stage: a callable from the iteration's random inputs to its loss terms.

    Args:
        branches: just grown; the newest stages of their generators, and their critics, are trained in place.
        terms: losses that are added to the generators' own.
        known: ``[1, 1, h, w]``, 0 where the picture is not to be learned from; all of it is if None.
    """

    def __init__(self, branches: Sequence[Branch], terms: Sequence[Term] = (), known: Tensor | None = None):
        model = branches[0].model
        self.terms, self.generator_steps = terms, model.settings.optimisation.Gsteps
        self.recorded = model.settings.runtime.graphs == "on" and model.device.type == "cuda"
        self.precision = precision(model.settings.runtime.precision, model.device, model.size)
        self.learners: list[Learner] = []
        for branch in branches:
            taken = [p for learner in self.learners for p in learner.model.generator.parameters()]
            self.learners.append(Learner(branch, self.precision, self.recorded, known, taken))

    def __call__(self, *drawn: Drawn) -> dict[str, Tensor]:
        """Update critics and generators once.

        Args:
            drawn: by branch, its random inputs.

        Returns:
            Loss terms by name, and the objectives' figures and estimates, 0-dim, on the device.
        """
        learners = [learner.of[each.number] for learner, each in zip(self.learners, drawn, strict=True)]
        with self.precision:
            made = [learner.make(each) for learner, each in zip(learners, drawn, strict=True)]
            turns = list(zip(learners, drawn, made, strict=True))
            critics = [learner.update_critic(each, numbers.critic) for learner, numbers, each in turns]
            generators = [learner.generator_losses(each, numbers.generator) for learner, numbers, each in turns]
            by_branch = {learner.branch.name: each for learner, _, each in turns}
            between = {term.name: term.weight * term.loss(by_branch) for term in self.terms}
            self._update_generators([*generators, between])
            own = [critic | detached(generator) for critic, generator in zip(critics, generators, strict=True)]
            for learner, losses in zip(self.learners, own, strict=True):
                learner.objective.after_iteration(learner.branch.state, losses)
            told = [losses | learner.told(losses) for learner, losses in zip(self.learners, own, strict=True)]
        named = zip(self.learners, told, strict=True)
        of_all = {learner.branch.called(name): x for learner, values in named for name, x in values.items()}
        return of_all | detached(between)

    @property
    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """Those of all branches, by the names that checkpoints give them."""
        return {name: optimiser for learner in self.learners for name, optimiser in learner.optimisers.items()}

    def decay(self, factor: float) -> None:
        """Set the learning rates to their initial ones times ``factor``."""
        for optimiser in self.optimisers.values():
            for group in optimiser.param_groups:
                rate = factor * group["initial_lr"]
                group["lr"] = group["lr"].fill_(rate) if isinstance(group["lr"], Tensor) else rate

    def _update_generators(self, losses: Sequence[Mapping[str, Tensor]]) -> None:
        """One backward pass through all generators: terms may tie them together."""
        for learner in self.learners:
            learner.generator_optimiser.zero_grad()
        total([value for each in losses for value in each.values()]).backward()
        for learner in self.learners:
            for _ in range(self.generator_steps):  # one gradient, applied several times
                learner.generator_optimiser.step()
            learner.critic.requires_grad_(True)


class Learner:
    """A branch in one stage: its optimisers, and its share of an iteration.

    Args:
        branch: just grown.
        precision: the arithmetic of the stage.
        recorded: whether the iteration will be replayed from a recording.
        known: as for ``Step``.
        taken: parameters that the generator's optimiser leaves to those of other branches.
    """

    def __init__(
        self,
        branch: Branch,
        precision: AbstractContextManager,
        recorded: bool = False,
        known: Tensor | None = None,
        taken: Sequence[Tensor] = (),
    ):
        model, critic = branch.model, branch.critic
        config, optimisation = model.settings, model.settings.optimisation
        self.branch, self.model, self.critic, self.precision = branch, model, critic, precision
        self.real, self.alpha, self.objective = branch.reals[model.stages - 1], config.objective.alpha, branch.objective
        self.known, self.counts = known, None if known is None else rest.counts(known, config.network)
        self.frozen = schedule.first_learning(model.stages - 1, optimisation.train_depth)
        groups = schedule.parameter_groups(
            model.generator, optimisation.train_depth, optimisation.lr_g, optimisation.lr_scale
        )
        others = {id(parameter) for parameter in taken}
        for group in groups:
            group["params"] = [parameter for parameter in group["params"] if id(parameter) not in others]
        groups = [group for group in groups if group["params"]]
        optimiser = OPTIMISERS[branch.objective.optimiser]
        self.generator_optimiser = optimiser(groups, optimisation.beta1, recorded)
        rate = optimisation.lr_d
        critic_groups = [{"params": list(critic.parameters()), "lr": rate, "initial_lr": rate}]
        self.critic_optimiser = optimiser(critic_groups, optimisation.beta1, recorded)
        if config.runtime.compile:
            for part in (model.generator.head, *model.generator.stages, model.generator.tail, critic):
                part.compile()
        self.critic_of_all = branch.critic_at(None)
        self.anchors = self._resident_anchors() if recorded else model.anchors
        self.anchor_prefix = self._anchor_prefix()
        self.of = [self, *(self._turned(each) for each in branch.further)]

    def _turned(self, branch: Branch) -> Learner:
        """The same networks and optimisers, with a further picture of the branch."""
        made = copy.copy(self)
        made.branch, made.model, made.real = branch, branch.model, branch.reals[branch.model.stages - 1]
        made.critic_of_all, made.anchors = branch.critic_at(None), branch.model.anchors
        made.anchor_prefix = made._anchor_prefix()
        return made

    @property
    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """Both, by the names that checkpoints give them."""
        both = {"generator_optimiser": self.generator_optimiser, "critic_optimiser": self.critic_optimiser}
        return {self.branch.called(name): optimiser for name, optimiser in both.items()}

    def critic_at(self, window: Window | None) -> Critic:
        """As ``Branch.critic_at``; that of the whole picture is made once."""
        return self.critic_of_all if window is None else self.branch.critic_at(window)

    def make(self, drawn: Drawn) -> Made:
        """The fake and the reconstruction, computed as one batch.

        A fake that goes on at its other side is rolled by half, so that the critic judges across its border; its new
        border lies where it was the middle. Of a window that is not needed: every place of such a generator is alike.
        """
        window, model, sizes = drawn.window, self.model, self.model.sizes[: self.model.stages]
        parts = model.generator.parts(sizes, window)
        both = [
            channels_last(torch.cat([x, anchor(part.noise)]))
            for x, anchor, part in zip(drawn.inputs, self.anchors, parts, strict=True)
        ]
        below, start, coder = None, self.frozen, None
        passed: Callable[[Tensor], Tensor] = partial(guides.translated, model)
        if (noise := drawn.generator.get(latent.NOISE)) is not None:
            coder = latent.Coder(model, noise)
            passed, start = coder.passed, 1
            below = parts[0].needed.cut(latent.coarse(model.generator, both[0], noise[:2])[0])
        elif self.anchor_prefix is not None:
            prefix = self._frozen_features(drawn.inputs, parts)
            below = channels_last(torch.cat([prefix, parts[self.frozen - 1].needed.cut(self.anchor_prefix)]))
        elif self.frozen:
            below = self._frozen_features(both, parts)
        fake, reconstruction = model.generator(both, model.amplitudes, sizes, start, below, window).chunk(2)
        if window is None:
            fake = halfway(fake, model.wraps)
        real, seen = (window.cut(x) if window and x is not None else x for x in (self.real, drawn.seen))
        assert real is not None
        return Made(real, fake, reconstruction, window, model, seen, passed, drawn.generator, coder)

    def update_critic(self, made: Made, drawn: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """The critic's steps on one fake; the losses are those of the last."""
        critic, fake = self.critic_at(made.window), made.fake.detach()
        losses: dict[str, Tensor] = {}
        for numbers in drawn:
            losses = self.objective.critic_loss(critic, Sight(made.real, fake, numbers, self.branch.state, self.counts))
            self.critic_optimiser.zero_grad()
            total(losses.values()).backward()
            self.critic_optimiser.step()
            self.objective.after_critic(self.critic, self.branch.state)
        return detached(losses)

    def generator_losses(self, made: Made, drawn: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The objective's losses of the fake, and that of the reconstruction; the critic is not to learn from them."""
        self.critic.requires_grad_(False)
        sight = Sight(made.real, made.fake, drawn, self.branch.state)
        losses = self.objective.generator_loss(self.critic_at(made.window), sight)
        losses["reconstruction"] = self.alpha * rest.error(made.reconstruction, made.real, self.known)
        return losses

    def told(self, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What the objective tells of an iteration beside its losses, by name."""
        estimates = self.objective.estimates(self.branch.state) if isinstance(self.objective, Estimating) else {}
        return self.objective.figures(losses) | estimates

    def _resident_anchors(self) -> list[Source]:
        """The anchors in the device's memory, where a recording reads them."""
        parts = self.model.generator.parts(self.model.sizes[: self.model.stages])
        return [as_source(anchor(part.noise)) for anchor, part in zip(self.model.anchors, parts, strict=True)]

    def _anchor_prefix(self) -> Tensor | None:
        """The anchors' features after the frozen stages, where these are small; else each window computes its own."""
        sizes = self.model.sizes[: self.frozen]
        if not sizes or prod(sizes[-1]) > KEPT:
            return None
        parts = self.model.generator.parts(sizes)
        anchors = [anchor(part.noise) for anchor, part in zip(self.anchors[: self.frozen], parts, strict=True)]
        with self.precision:
            return self._frozen_features(anchors, parts)

    @torch.no_grad()
    def _frozen_features(self, inputs: Sequence[Tensor], parts: Sequence[Part]) -> Tensor:
        model = self.model
        sizes, wanted = model.sizes[: self.frozen], parts[: self.frozen]
        return model.generator.features(inputs[: self.frozen], model.amplitudes, sizes, wanted=wanted)


def total(losses: Iterable[Tensor]) -> Tensor:
    """Sum of scalars."""
    return torch.stack(list(losses)).sum()


def detached(losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The values without their graphs."""
    return {name: value.detach() for name, value in losses.items()}


def precision(wanted: str, device: torch.device, size: Size) -> AbstractContextManager:
    """The arithmetic of a stage, as a context that can be entered again and again.

    ``fp32``: float32 throughout. ``tf32``: float32 whose products CUDA rounds to 10 bits; on other devices float32.
    ``bf16``: convolutions in bfloat16 with float32 weights and losses. ``auto`` takes bfloat16 where it is faster: on
    CPUs with tile instructions (AMX) from stages of about 60 px up, on CUDA wherever the device has it. On a CPU that
    has bfloat16 without tiles it was measured to take 1.6 times as long as float32.
    """
    if wanted == "bf16" or (wanted == "auto" and gains_by_bf16(device, size)):
        # no cache: the weights change between two uses within one iteration
        return torch.autocast(device.type, dtype=torch.bfloat16, cache_enabled=False)
    return Products(tf32=wanted != "fp32") if device.type == "cuda" else nullcontext()


def gains_by_bf16(device: torch.device, size: Size) -> bool:
    """Whether bfloat16 is faster than float32 for a stage of this size."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    has_tiles = getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    return device.type == "cpu" and min(size) >= 60 and has_tiles()
