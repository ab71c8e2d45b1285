"""Everything that a training consists of at one moment, and its way to a checkpoint and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from consingan import config, devices
from consingan.config import SMALLEST_WINDOW, Train
from consingan.errors import UserError, out_of_memory
from consingan.finish.photo import Photo
from consingan.finish.photo import stored as kept_pixels
from consingan.gan.model import SingleImageModel, channels_last
from consingan.gan.networks import PatchCritic, located
from consingan.grid import windows
from consingan.grid.noise import Draw, mixed
from consingan.grid.sizes import Size
from consingan.grid.windows import Window
from consingan.pictures import pyramid
from consingan.storage.checkpoints import Checkpoints
from consingan.storage.run import Run
from consingan.tasks import TASKS
from consingan.tasks.base import Task
from consingan.training import checkpoint, convergence
from consingan.training.convergence import Figures
from consingan.training.graphs import Captured, CudaRecorder
from consingan.training.step import Step
from consingan.training.watchdog import Attempt, Good

SNAPSHOTS = (0.1, 0.5)  # of a stage's iterations; its end has one too


@dataclass(frozen=True, eq=False)
class Done:
    """One iteration that was done.

    Args:
        inputs: by stage, what the generator's fake was made of.
        window: the part of the picture that it looked at; all of it if None.
        terms: loss terms by name, 0-dim, on the device.
    """

    inputs: Sequence[Tensor]
    window: Window | None
    terms: Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class Tuning:
    """What fine-tuning has and other training has not; pictures in [-1, 1].

    Args:
        entering: ``[1, C, h, w]``, the naive picture, what stage 0 gets in every iteration.
        result: ``[1, C, H, W]``, what the trained model made of it, whose structure is kept.
    """

    entering: Tensor
    result: Tensor


@dataclass
class Training:
    """Everything that a training consists of at one moment.

    Args:
        model, critic: the networks.
        reals: ``[1, C, H, W]`` in [-1, 1], the picture at each stage's size.
        stage: the stage in progress, or the next one.
        iteration: iterations done in it.
        step: the iteration of the stage in progress, with its optimisers.
        attempt: which one at this stage, see ``watchdog``.
        good: the state of this stage to go back to when it goes wrong.
        begun: the stage's beginning, from which it is begun anew; without tensors where they come from the seed.
        figures: those of this stage so far, oldest first.
        tuning: of fine-tuning only; elsewhere the task draws what stage 0 gets.
        most: the largest side of a window, in pixels, since memory ran out; None while it has not.
    """

    model: SingleImageModel
    critic: PatchCritic
    reals: list[Tensor]
    stage: int = 0
    iteration: int = 0
    step: Step | Captured | None = None
    attempt: Attempt = Attempt()
    good: Good = Good()
    begun: Good = Good()
    figures: list[Figures] = field(default_factory=list)
    tuning: Tuning | None = None
    most: int | None = None

    @classmethod
    def start(cls, settings: Train, picture: Tensor, device: torch.device | str = "cpu") -> Training:
        """The beginning: networks from the seed.

        Args:
            settings: the resolved configuration.
            picture: ``[1, C, H, W]`` in [-1, 1], at the size it was loaded.
            device: where to train.
        """
        sizes = stage_sizes(settings, (picture.shape[2], picture.shape[3]))
        reals = pyramid.build(picture.to(device), sizes)
        model, critic = networks(settings, sizes, device)
        model.photo = Photo(kept_pixels(picture), model.device)
        return cls(model, critic, [channels_last(real) for real in reals])

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
        parts = checkpoint.split_names(tensors, where)
        model = SingleImageModel.restore(parts["model"], header, where, device)
        stands = checkpoint.read_place(header, model, where)
        critic = checkpoint.restored_critic(model, parts["critic"], where)
        shapes = {str(i): (1, model.settings.network.nc_im, *size) for i, size in enumerate(model.sizes)}
        checkpoint.check_shapes(parts["real"], shapes, f"{where}, real")
        reals = [channels_last(parts["real"][str(i)].to(model.device)) for i in range(len(model.sizes))]
        fine_tune = model.settings.naive.fine_tune
        last = str(len(model.sizes) - 1)
        pictures = {"entering": shapes["0"], "result": shapes[last]} if fine_tune else {}
        checkpoint.check_shapes(parts["tuning"], pictures, f"{where}, tuning")
        given = {name: channels_last(picture.to(model.device)) for name, picture in parts["tuning"].items()}
        state = cls(
            model,
            critic,
            reals,
            stands.stage,
            stands.iteration,
            attempt=stands.attempt,
            figures=stands.figures,
            tuning=Tuning(**given) if fine_tune else None,
            most=stands.most,
        )
        step = state.enter_stage()
        for name, optimiser in step.optimisers.items():
            if stands.iteration or parts[name]:
                checkpoint.check_shapes(parts[name], checkpoint.optimiser_shapes(optimiser), f"{where}, {name}")
            checkpoint.load_optimiser(optimiser, parts[name])
        wanted = {name: tuple(value.shape) for name, value in state.learned().items()}
        first = {name: tuple(value.shape) for name, value in named(model, critic).items()}
        # at iteration 0 the optimisers had no state yet
        checkpoint.check_shapes(parts["good"], wanted if stands.good.iteration else first, f"{where}, good")
        state.good = replace(stands.good, tensors=checkpoint.on_device(parts["good"], model.device))
        if state.seeded:
            first = {}
        elif not parts["begun"]:  # of an earlier version: the oldest networks of the stage that there are
            parts["begun"] = {name: parts["good"][name] for name in first}
        checkpoint.check_shapes(parts["begun"], first, f"{where}, begun")
        state.begun = replace(stands.begun, tensors=checkpoint.on_device(parts["begun"], model.device))
        return state

    def trains_on(self, reals: Sequence[Tensor]) -> bool:
        """Whether this is the training of a picture, ``[1, C, H, W]`` at each stage's size, up to rounding."""
        return len(reals) == len(self.reals) and all(
            a.shape == b.shape and torch.allclose(a, b, atol=1e-3) for a, b in zip(reals, self.reals, strict=True)
        )

    def enter_stage(self) -> Step | Captured:
        """The iteration of the stage in progress; grows the model where the stage is new."""
        if self.step is None:
            real = self.reals[self.stage]
            if self.model.stages == self.stage:
                draw = Draw(self.model.settings.runtime.seed, ("anchor", 0), self.model.device)
                self.model.grow(real, channels_last(self.task.anchor(self.reals[0], draw)))
            step = Step(self.model, self.critic, real, self.tuning.result if self.tuning else None)
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
        tensors = named(self.model, self.critic)
        for name, optimiser in self.step.optimisers.items():
            tensors |= checkpoint.optimiser_tensors(name, optimiser)
        return tensors

    def keep(self, spread: float) -> None:
        """Remember this state as a good one; ``spread`` is that of a picture made in it (see ``Good``)."""
        copies = {name: value.clone() for name, value in self.learned().items()}
        most = max(self.good.spread, spread) if spread == spread else self.good.spread  # NaN for flat pictures
        self.good = Good(self.iteration, most, copies)

    def go_back(self, attempt: Attempt) -> None:
        """Return to the last good state, or for a new start to the stage's beginning.

        A beginning from the seed gets other networks, from the seed and the number of the start.
        """
        if attempt.start != self.attempt.start:
            self.good = self.begun
            if self.seeded:
                drawn = networks(self.model.settings, self.model.sizes, self.model.device, attempt.start)
                self.good = replace(self.begun, tensors=named(*drawn))
        self._return_to_good()
        self.attempt = attempt

    def take_smaller_window(self) -> int:
        """Return to the last good state, and look at windows of half the side from now on.

        Returns:
            The new side, in pixels.
        """
        self._return_to_good()
        self.critic.requires_grad_(True)  # the iteration that failed may have been in the midst of anything
        self.figures = []  # those of another window are no measure for the ones to come
        self.most = max(self._side(self.model.size) // 2, SMALLEST_WINDOW)
        devices.release(self.model.device)
        return self.most

    def _return_to_good(self) -> None:
        assert self.step is not None
        for name, value in self.learned().items():
            if "_optimiser." not in name:
                value.copy_(self.good.tensors[name])
        for name, optimiser in self.step.optimisers.items():
            kept = {n: v.clone() for n, v in self.good.tensors.items() if n.startswith(f"{name}.")}
            checkpoint.load_optimiser(optimiser, {n.removeprefix(f"{name}."): v for n, v in kept.items()})
        self.iteration = self.good.iteration
        self.figures = [figures for figures in self.figures if figures.iteration < self.iteration]

    def iterate(self) -> Done | None:
        """Do the next iteration, without counting it; None where memory ran out and a smaller window may do.

        Raises:
            RuntimeError, MemoryError: memory ran out with the smallest window, or with batch norm, which has none.
        """
        assert self.step is not None
        settings, size = self.model.settings, self.model.size
        try:
            inputs, uniforms, window = self.draw(settings.optimisation.Dsteps)
            return Done(inputs, window, self.step(inputs, uniforms, window))
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error) or settings.network.batch_norm or self._side(size) <= SMALLEST_WINDOW:
                raise
            return None

    def length(self) -> int:
        """Iterations of the stage in progress: ``niter``, or fewer where ``--stop auto`` has seen it stand still."""
        iterations = config.iterations(self.model.settings.optimisation.niter, self.stage)
        stopping = self.model.settings.stopping
        if stopping.stop == "niter":
            return iterations
        # a slower attempt changes less where it has not arrived
        return convergence.length(self.figures, iterations, stopping.stop_tolerance * self.attempt.rate)

    def measure(self) -> Figures:
        """Figures of the stage after the iteration just done, always of the same noise and the same window."""
        model, real = self.model, self.reals[self.stage]
        sizes = model.sizes[: model.stages]
        inputs, window = self._inputs(Draw(model.settings.runtime.seed, ("figures",), model.device))
        parts = model.generator.parts(sizes, window)
        anchors = [anchor(part.noise) for part, anchor in zip(parts, model.anchors, strict=True)]
        reconstruction, fake = (model.generate(each, sizes, window) for each in (anchors, inputs))
        part = window.cut(real) if window else real
        critic = located(self.critic, model.settings.network.positions, model.size, window, model.device)
        return convergence.measure(self.iteration - 1, part, reconstruction, fake, critic)

    def draw(self, critic_steps: int) -> tuple[list[Tensor], list[Tensor], Window | None]:
        """The random inputs of the next iteration.

        Returns:
            By stage the generator's, per critic step the penalty's, and the window that the iteration looks at.
        """
        address = ("train", self.stage, self.iteration)
        begun = ("start", self.attempt.start) if self.attempt.start else ()
        again = ("attempt", self.attempt.number) if self.attempt.number else ()
        draw = Draw(self.model.settings.runtime.seed, address + begun + again, self.model.device)
        inputs, window = self._inputs(draw)
        return inputs, [draw.at("penalty", k).uniform((1, 1, 1, 1)) for k in range(critic_steps)], window

    def _inputs(self, draw: Draw) -> tuple[list[Tensor], Window | None]:
        """The generator's random inputs at a place, by stage, and the window that they are for."""
        generator = self.model.generator
        window = self.window_of(self.model.size, draw.at("window").numbers(2))
        first = self.tuning.entering if self.tuning else self._first_input(draw.at(0))
        inputs = [channels_last(first)]
        for stage, part in enumerate(generator.parts(self.model.sizes[: self.stage + 1], window)[1:], 1):
            inputs.append(channels_last(draw.at(stage).normal((1, generator.width, *part.noise.size))))
        return inputs, window

    def _first_input(self, draw: Draw) -> Tensor:
        """What the task gives to stage 0, mixed with its anchor in a random share where the configuration says so."""
        drawn = self.task.first_input(self.reals[0], draw)
        if self.model.settings.objective.noise == "pure":
            return drawn
        return mixed(self.model.fixed[0], drawn, *draw.at("variation").numbers(1))

    def window_of(self, size: Size, where: Sequence[float]) -> Window | None:
        """The window that an iteration looks at in a picture of ``(H, W)``; None for all of it.

        ``where`` are two uniform numbers in [0, 1).
        """
        window = windows.at_random(size, self._side(size), where)
        return None if window == Window.whole(size) else window

    def _side(self, size: Size) -> int:
        longer = max(size)
        return min(longer, config.window_side(self.model.settings, size) or longer, self.most or longer)

    def save(self, run: Run) -> None:
        """Write a checkpoint from which the training goes on as if it had not been stopped."""
        tensors = {f"model.anchor.{stage}": anchor for stage, anchor in enumerate(self.model.fixed)}
        tensors |= {checkpoint.stored_name(name): value for name, value in self.learned().items()}
        tensors |= {f"real.{stage}": real for stage, real in enumerate(self.reals)}
        tensors |= {f"tuning.{name}": picture for name, picture in vars(self.tuning).items()} if self.tuning else {}
        tensors |= {f"good.{name}": value for name, value in self.good.tensors.items()}
        tensors |= {f"begun.{name}": value for name, value in self.begun.tensors.items()}
        header = {
            "kind": "checkpoint",
            **self.model.header(),
            "stage": self.stage,
            "iteration": self.iteration,
            "attempt": asdict(self.attempt),
            "good": {"iteration": self.good.iteration, "spread": self.good.spread},
            "begun": {"spread": self.begun.spread},
            "figures": [astuple(figures) for figures in self.figures],
            "most": self.most,
        }
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
        return self.stage == 0 and self.tuning is None

    @property
    def task(self) -> Task:
        """The task that is trained for."""
        return TASKS[self.model.settings.mode]


def networks(
    settings: Train, sizes: Sequence[Size], device: torch.device | str, start: int = 0
) -> tuple[SingleImageModel, PatchCritic]:
    """Networks from the seed, others at each further start; ``sizes`` are ``(H, W)`` of the stages."""
    seed = settings.runtime.seed
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(Draw(seed, ("networks", start)).generator().initial_seed() if start else seed)
        model = SingleImageModel(settings, TASKS[settings.mode].border, sizes, device)
        return model, checkpoint.new_critic(settings, model.device)


def named(model: SingleImageModel, critic: PatchCritic) -> dict[str, Tensor]:
    """The tensors of both networks by name; not copied."""
    tensors = {f"generator.{name}": value for name, value in model.generator.state_dict().items()}
    return tensors | {f"critic.{name}": value for name, value in critic.state_dict().items()}


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
    patch = 1 + (network.num_layer + 2) * (network.ker_size - 1 - 2 * network.padd_size)
    if min(sizes[0]) < max(patch, network.ker_size):
        raise UserError(
            f"The coarsest stage would be {sizes[0][1]}x{sizes[0][0]} px, smaller than the critic's patch of "
            f"{patch} px; raise --min_size, give a larger picture or lower --num_layer or --ker_size."
        )
    return sizes
