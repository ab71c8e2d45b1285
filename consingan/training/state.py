"""Everything that a training consists of at one moment, and its way to a checkpoint and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from consingan import config, devices
from consingan.config import SMALLEST_WINDOW, Train
from consingan.errors import UserError, out_of_memory
from consingan.gan.model import SingleImageModel, channels_last
from consingan.gan.objectives.base import Sight
from consingan.grid import windows
from consingan.grid.kinds import Kind
from consingan.grid.noise import Draw
from consingan.grid.sizes import Size
from consingan.grid.windows import Window
from consingan.storage.checkpoints import Checkpoints
from consingan.storage.run import Run
from consingan.tasks import TASKS
from consingan.tasks.base import Task
from consingan.training import checkpoint, convergence, lessons, watchdog
from consingan.training.branch import Branch, beside, every, tied
from consingan.training.checkpoint import Part
from consingan.training.convergence import Figures, Pace
from consingan.training.entering import Entered, entered
from consingan.training.given import given
from consingan.training.graphs import Captured, CudaRecorder
from consingan.training.lessons import Lesson, OfTask, known_of
from consingan.training.step import Done, Drawn, Step
from consingan.training.watchdog import Attempt, Good, Look

SNAPSHOTS = (0.1, 0.5)  # of a stage's iterations; its end has one too


@dataclass
class Training:
    """Everything that a training consists of at one moment.

    Args:
        branches: one for each picture, that of the picture which the person named first.
        lesson: what enters the coarsest stage, and further losses.
        stage: the stage in progress, or the next one.
        iteration: iterations done in it.
        step: the iteration of the stage in progress, with its optimisers.
        attempt: which one at this stage, see ``watchdog``.
        good: the state of this stage to go back to when it goes wrong.
        begun: the stage's beginning, from which it is begun anew; without tensors where they come from the seed.
        figures: those of this stage so far, oldest first, of all branches.
        widest: the largest side of a window, in pixels, since memory ran out; None while it has not.
    """

    branches: list[Branch]
    lesson: Lesson
    stage: int = 0
    iteration: int = 0
    step: Step | Captured | None = None
    attempt: Attempt = Attempt()
    good: Good = Good()
    begun: Good = Good()
    figures: list[Figures] = field(default_factory=list)
    widest: int | None = None

    @classmethod
    def start(
        cls,
        settings: Train,
        picture: Tensor,
        device: torch.device | str = "cpu",
        kind: Kind | None = None,
        files: Mapping[str, str] | None = None,
        also: Sequence[Tensor] = (),
    ) -> Training:
        """The beginning: networks from the seed.

        Args:
            settings: the resolved configuration.
            picture: ``[1, C, H, W]`` in [-1, 1], at the size it was loaded.
            device: where to train.
            kind: what the picture's channels are; 8-bit without alpha if None.
            also: the further pictures that the same model learns from, as ``picture``.
            files: by the names in the configuration the paths of further pictures, where they are others.

        Raises:
            UserError: the picture is too small, or a further one of the task cannot be read.
        """
        lesson = OfTask(settings)
        further = {name: (files or {}).get(str(file), file) for name, file in lesson.further().items()}
        branches = [Branch.start(settings, picture, device, kind=kind), *beside(settings, further, device)]
        branches[0].further = [branches[0].beside(each, number) for number, each in enumerate(also, 1)]
        branches[0].model.pages = [each.model for each in branches[0].further]
        return cls(tied(branches), lesson)

    @classmethod
    def restore(
        cls,
        tensors: dict[str, Tensor],
        header: dict[str, Any],
        where: str,
        device: torch.device | str = "cpu",
    ) -> Training:
        """What ``save`` wrote; ``where`` names the file in messages.

        Raises:
            UserError: a part is missing, unknown, or does not fit the others. Nothing in the file is executed, and
                no memory is taken before the parts are known to fit.
        """
        further = checkpoint.further_headers(header, where)
        parts = checkpoint.split(tensors, further, where)
        first = checkpoint.restored("", parts, header, where, device)
        stands = checkpoint.read_standing(header, first.model, where)
        if list(further) != list(OfTask(first.model.settings).further()):
            raise UserError(f"{where} is of other pictures than its task's; use a checkpoint that this program wrote.")
        branches = [first, *(checkpoint.restored(name, parts, each, where, device) for name, each in further.items())]
        if len({(branch.model.stages, len(branch.reals)) for branch in branches}) > 1:
            raise UserError(f"{where} has branches of different stages; use a checkpoint that this program wrote.")
        lesson = parts[checkpoint.LESSON]
        checkpoint.check_shapes(lesson, lessons.shapes(first.model, lesson), f"{where}, lesson")
        state = cls(
            tied(branches),
            lessons.restored(first.model, lesson),
            stands.stage,
            stands.iteration,
            attempt=stands.attempt,
            figures=stands.figures,
            widest=stands.widest,
        )
        for part in checkpoint.optimisers_of(state.enter_stage(), parts, stands.iteration):
            part.fill(parts, where)
        for part in state._memories(parts, stands.good, stands.begun):
            part.fill(parts, where)
        return state

    def _memories(self, parts: checkpoint.Parts, good: Good, begun: Good) -> list[Part]:
        """The states to go back to, as parts of a checkpoint."""
        networks = {name: value.shape for branch in self.branches for name, value in branch.learned().items()}
        # at iteration 0 the optimisers had no state yet
        of_good = {name: value.shape for name, value in self.learned().items()} if good.iteration else networks
        if not self.seeded and not parts[checkpoint.BEGUN]:  # of an earlier version: the oldest networks there are
            oldest = {name: value for name, value in parts[checkpoint.GOOD].items() if name in networks}
            parts[checkpoint.BEGUN].update(oldest)

        def take_good(tensors: dict[str, Tensor]) -> None:
            self.good = replace(good, tensors=checkpoint.on_device(tensors, self.model.device))

        def take_begun(tensors: dict[str, Tensor]) -> None:
            self.begun = replace(begun, tensors=checkpoint.on_device(tensors, self.model.device))

        return [
            Part(checkpoint.GOOD, of_good, take_good),
            Part(checkpoint.BEGUN, {} if self.seeded else networks, take_begun),
        ]

    @property
    def model(self) -> SingleImageModel:
        """The first branch's."""
        return self.branches[0].model

    @property
    def result(self) -> SingleImageModel:
        """The first branch's model as samples are made with it, with those of the others beside it."""
        first = self.branches[0].result
        first.others = {branch.name: branch.result for branch in self.branches[1:]}
        return first

    @property
    def critic(self) -> nn.Module:
        """The first branch's."""
        return self.branches[0].critic

    @property
    def reals(self) -> list[Tensor]:
        """The first branch's picture at each stage's size."""
        return self.branches[0].reals

    def trains_on(self, reals: Sequence[Tensor]) -> bool:
        """Whether this is the training of pictures (see ``every_real``), up to rounding."""
        own = self.every_real
        return len(reals) == len(own) and all(
            a.shape == b.shape and torch.allclose(a, b, atol=1e-3) for a, b in zip(reals, own, strict=True)
        )

    @property
    def every_real(self) -> list[Tensor]:
        """The first branch's pictures at each stage's size, one picture after the other."""
        return [real for each in self.branches[0].pictures for real in each.reals]

    def enter_stage(self) -> Step | Captured:
        """The iteration of the stage in progress; grows the models where the stage is new."""
        if self.step is None:
            for branch in every(self.branches):
                if branch.model.stages == self.stage:
                    draw = branch.at(Draw(branch.model.settings.runtime.seed, ("anchor", 0), branch.model.device))
                    anchor = channels_last(self.task.anchor(branch.reals[0], draw))
                    branch.grow(anchor)
            step = Step(self.branches, self.lesson.terms(), known_of(self.lesson, self.stage))
            self.step = Captured(step, CudaRecorder()) if step.recorded else step
            self.keep(self.good.spread)
            self.begun = Good() if self.seeded else self.good
        return self.step

    def leave_stage(self) -> None:
        """Go on to the next stage: its optimisers start fresh, at the full rates."""
        self.stage, self.iteration, self.step, self.attempt = self.stage + 1, 0, None, Attempt()
        self.figures = []

    def learned(self) -> dict[str, Tensor]:
        """Everything that an iteration changes, by name; not copied."""
        assert self.step is not None
        tensors = {name: value for branch in self.branches for name, value in branch.learned().items()}
        for name, optimiser in self.step.optimisers.items():
            tensors |= checkpoint.optimiser_tensors(name, optimiser)
        return tensors

    def keep(self, spread: float) -> None:
        """Remember this state as a good one; ``spread`` is that of a picture made in it (see ``Good``)."""
        copies = {name: value.clone() for name, value in self.learned().items()}
        largest = max(self.good.spread, spread) if spread == spread else self.good.spread  # NaN for flat pictures
        self.good = Good(self.iteration, largest, copies)

    def go_back(self, attempt: Attempt) -> None:
        """Return to the last good state, or for a new start to the stage's beginning.

        A beginning from the seed gets other networks, from the seed and the number of the start.
        """
        if attempt.start != self.attempt.start:
            self.good = self.begun
            if self.seeded:
                tensors: dict[str, Tensor] = {}
                for branch in self.branches:
                    model = branch.model
                    drawn = Branch.fresh(model.settings, model.sizes, model.device, branch.name, attempt.start)
                    tensors |= drawn.learned()
                self.good = replace(self.begun, tensors=tensors)
        self._return_to_good()
        self.attempt = attempt

    def take_smaller_window(self) -> int:
        """Return to the last good state, and look at windows of half the side from now on.

        Returns:
            The new side, in pixels.
        """
        self._return_to_good()
        for branch in self.branches:
            branch.critic.requires_grad_(True)  # the iteration that failed may have been in the midst of anything
        self.figures = []  # those of another window are no measure for the ones to come
        self.widest = max(max(self._sides()) // 2, SMALLEST_WINDOW)
        devices.release(self.model.device)
        return self.widest

    def _return_to_good(self) -> None:
        assert self.step is not None
        good = self.good.tensors
        for branch in self.branches:
            for name, value in branch.learned().items():
                value.copy_(good[name])
        for name, optimiser in self.step.optimisers.items():
            names = [each for each in checkpoint.optimiser_shapes(optimiser) if f"{name}.{each}" in good]
            checkpoint.load_optimiser(optimiser, {each: good[f"{name}.{each}"].clone() for each in names})
        self.iteration = self.good.iteration
        self.figures = [figures for figures in self.figures if figures.iteration < self.iteration]

    def iterate(self) -> Done | None:
        """Do the next iteration, without counting it; None where memory ran out and a smaller window may do.

        Raises:
            RuntimeError, MemoryError: memory ran out with the smallest window, or with batch norm, which has none.
        """
        assert self.step is not None
        settings = self.model.settings
        try:
            drawn = self.draw(settings.optimisation.Dsteps)
            return Done(drawn, self.step(*drawn))
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error) or settings.whole or max(self._sides()) <= SMALLEST_WINDOW:
                raise
            return None

    def look(self, done: Done) -> list[Look]:
        """What is to be seen of each branch after an iteration (see ``watchdog``)."""
        looks = []
        for first, drawn in zip(self.branches, done.drawn, strict=True):
            branch = first.pictures[drawn.number]
            model, real, window = branch.model, branch.reals[self.stage], drawn.window
            fake = model.generate(drawn.inputs, model.sizes[: model.stages], window)
            looks.append(watchdog.look(done.terms, self.learned(), fake, window.cut(real) if window else real))
        return looks

    def pace(self) -> Pace:
        """Iterations of the stage in progress and the factor on its rates, by its figures so far."""
        judged = self.branches[0].objective.judged
        return convergence.pace(self.figures, self.model.settings, self.stage, self.attempt.rate, judged)

    def length(self) -> int:
        """Iterations of the stage in progress: ``niter``, or fewer where ``--stop auto`` has seen it stand still."""
        return self.pace().iterations

    def measure(self, number: int = 0) -> Figures:
        """Figures of a branch after the iteration just done, always of the same noise and the same window."""
        return convergence.over(self.branches[number].shares, self._beside)

    def _beside(self, branch: Branch) -> Figures:
        model, real = branch.model, branch.reals[self.stage]
        sizes = model.sizes[: model.stages]
        now = self._entered(branch, branch.at(Draw(model.settings.runtime.seed, ("figures",), model.device)))
        window = now.window
        parts = model.generator.parts(sizes, window)
        anchors = [anchor(part.noise) for part, anchor in zip(parts, model.anchors, strict=True)]
        reconstruction, fake = (model.generate(each, sizes, window) for each in (anchors, now.inputs))
        sight = Sight(window.cut(real) if window else real, fake, {}, branch.state)
        critic = branch.critic_at(window)
        found = convergence.measure(self.iteration - 1, sight, reconstruction, critic, branch.objective)
        return replace(found, branch=branch.name)

    def draw(self, critic_steps: int) -> list[Drawn]:
        """The random inputs of the next iteration, by branch."""
        address = ("train", self.stage, self.iteration)
        begun = ("start", self.attempt.start) if self.attempt.start else ()
        again = ("attempt", self.attempt.number) if self.attempt.number else ()
        place = Draw(self.model.settings.runtime.seed, address + begun + again, self.model.device)
        drawn = []
        for first in self.branches:
            number = first.model.settings.album.chosen(place.at("album").numbers(1)[0]) if first.further else 0
            branch = first.pictures[number]
            draw, objective = branch.at(place), branch.objective
            now = self._entered(branch, draw)
            shape = (1, branch.model.generator.channels, *(now.window.size if now.window else branch.model.size))
            numbers = [objective.draw(draw, step, shape) for step in range(critic_steps)]
            more = objective.draw(draw, None, shape) | given(branch.model, self.stage, self.iteration, draw)
            drawn.append(Drawn(now.inputs, numbers, more, now.window, now.seen, number))
        return drawn

    def _entered(self, branch: Branch, draw: Draw) -> Entered:
        """What enters a branch's generator at a place of random numbers."""
        window = self.window_of(branch.model.sizes[self.stage], draw.at("window").numbers(2))
        return entered(self.lesson, branch, self.branches, self.stage, window, draw)

    def window_of(self, size: Size, where: Sequence[float]) -> Window | None:
        """The window that an iteration looks at in a picture of ``(H, W)``; None for all of it.

        ``where`` are two uniform numbers in [0, 1).
        """
        window = windows.at_random(size, self._side(size), where)
        return None if window == Window.whole(size) else window

    def _side(self, size: Size) -> int:
        longer = max(size)
        return min(longer, config.window_side(self.model.settings, size) or longer, self.widest or longer)

    def _sides(self) -> list[int]:
        """Of the windows of all branches, in pixels."""
        return [self._side(branch.model.size) for branch in every(self.branches)]

    def save(self, run: Run) -> None:
        """Write a checkpoint from which the training goes on as if it had not been stopped."""
        assert self.step is not None
        tensors = {name: value for branch in self.branches for name, value in checkpoint.written(branch).items()}
        for name, optimiser in self.step.optimisers.items():
            tensors |= checkpoint.optimiser_tensors(name, optimiser)
        memories = (checkpoint.GOOD, self.good.tensors), (checkpoint.BEGUN, self.begun.tensors)
        for part, held in (*memories, (checkpoint.LESSON, self.lesson.tensors())):
            tensors |= {f"{part}.{name}": value for name, value in held.items()}
        header = {
            "kind": "checkpoint",
            **self.model.header(),
            "stage": self.stage,
            "iteration": self.iteration,
            "attempt": asdict(self.attempt),
            "good": {"iteration": self.good.iteration, "spread": self.good.spread},
            "begun": {"spread": self.begun.spread},
            "figures": [astuple(figures) for figures in self.figures],
            "most": self.widest,
        }
        if self.branches[1:]:
            header["branches"] = {branch.name: branch.model.header() | {"config": None} for branch in self.branches[1:]}
        niter = self.model.settings.optimisation.niter
        done = sum(config.iterations(niter, stage) for stage in range(self.stage)) + self.iteration
        Checkpoints(run.checkpoints).save(done, tensors, header)

    def snapshot_due(self, iterations: int) -> bool:
        """Whether a picture of the result so far is wanted now, in a stage of so many iterations."""
        every = self.model.settings.naive.snapshot_every
        if every > 0:
            return self.iteration % every == 0
        return self.iteration in {round(share * iterations) for share in SNAPSHOTS}

    @property
    def seeded(self) -> bool:
        """Whether the stage in progress begins with networks from the seed."""
        return self.stage == 0 and self.lesson.seeded

    @property
    def task(self) -> Task:
        """The task that is trained for."""
        return TASKS[self.model.settings.mode]
