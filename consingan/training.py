"""Training: the loop over stages and the loop over iterations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any

import torch
from torch import Tensor

from consingan import checkpoint, config, images, pyramid, results, schedule
from consingan.config import Train
from consingan.engine import Step
from consingan.errors import UserError
from consingan.interrupt import StoppedError
from consingan.model import SingleImageModel, channels_last
from consingan.monitor import Monitor
from consingan.networks import PatchCritic, place
from consingan.noise import Draw
from consingan.pyramid import Size
from consingan.run import Run, environment
from consingan.tasks import TASKS


def train(
    state: Training,
    monitor: Monitor,
    run: Run | None = None,
    checkpoint_every: float = 60.0,
    stop: Callable[[], bool] = lambda: False,
) -> SingleImageModel:
    """Train on one picture, stage by stage.

    Args:
        state: where to begin, from ``Training.start`` or ``Training.restore``.
        monitor: is told of every iteration.
        run: where checkpoints, previews and the model are written; nothing is written without one.
        checkpoint_every: seconds between two checkpoints within a stage.
        stop: asked after every iteration whether to stop.

    Returns:
        The model with all its stages.

    Raises:
        StoppedError: ``stop`` said so; a checkpoint has been written.
    """
    optimisation = state.model.settings.optimisation
    while state.stage < len(state.reals):
        step = state.enter_stage()
        iterations = config.iterations(optimisation.niter, state.stage)
        monitor.begin_stage(
            state.stage, len(state.reals), iterations, state.iteration, size=list(state.model.size)
        )
        written = monotonic()
        while state.iteration < iterations:
            inputs, uniforms = state.draw(optimisation.Dsteps)
            step.decay(schedule.decay(state.iteration, iterations, optimisation.gamma))
            terms = step(inputs, uniforms)
            monitor.observe(state.iteration, terms)
            state.iteration += 1
            stopping = stop()
            if run and (stopping or monotonic() - written > checkpoint_every):
                with monitor.paused():
                    state.save(run)
                written = monotonic()
            if stopping:
                raise StoppedError
        monitor.end_stage()
        if run:
            with monitor.paused():
                finish_stage(state, run)
        state.leave_stage()
    return state.model


@dataclass
class Training:
    """Everything that a training consists of at one moment.

    Args:
        model, critic: the networks.
        reals: ``[1, C, H, W]`` in [-1, 1], the picture at each stage's size.
        stage: the stage in progress, or the next one.
        iteration: iterations done in it.
        step: the iteration of the stage in progress, with its optimisers.
    """

    model: SingleImageModel
    critic: PatchCritic
    reals: list[Tensor]
    stage: int = 0
    iteration: int = 0
    step: Step | None = None

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
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.runtime.seed)
            model = SingleImageModel(settings, TASKS[settings.mode].border, sizes, device)
            critic = new_critic(settings, model.device)
        return cls(model, critic, [channels_last(real) for real in reals])

    @classmethod
    def restore(
        cls,
        tensors: dict[str, Tensor],
        header: dict[str, Any],
        where: str,
        device: torch.device | str = "cpu",
    ) -> Training:
        """What ``save`` wrote; ``where`` names the file in messages."""
        parts = split_names(tensors)
        model = SingleImageModel.restore(parts["model"], header, where, device)
        critic = new_critic(model.settings, model.device)
        critic.load_state_dict(parts["critic"])
        reals = [channels_last(parts["real"][str(i)].to(model.device)) for i in range(len(model.sizes))]
        state = cls(model, critic, reals, int(header["stage"]), int(header["iteration"]))
        step = state.enter_stage()
        load_optimiser(step.generator_optimiser, parts["generator_optimiser"])
        load_optimiser(step.critic_optimiser, parts["critic_optimiser"])
        return state

    @classmethod
    def resume(cls, run: Run, device: torch.device | str, warn: Callable[[str], None]) -> Training:
        """The newest whole checkpoint of a run; ``warn`` is told of broken ones."""
        saved = checkpoint.Checkpoints(run.checkpoints).newest(warn)
        if saved is None:
            raise UserError(f"{run.folder} holds no checkpoint to go on from; start a new run.")
        return cls.restore(*saved, str(run.checkpoints), device)

    def enter_stage(self) -> Step:
        """The iteration of the stage in progress; grows the model where the stage is new."""
        if self.step is None:
            real = self.reals[self.stage]
            if self.model.stages == self.stage:
                draw = Draw(self.model.settings.runtime.seed, ("anchor", 0), self.model.device)
                self.model.grow(real, channels_last(self._task.anchor(self.reals[0], draw)))
            self.step = Step(self.model, self.critic, real)
        return self.step

    def leave_stage(self) -> None:
        """Go on to the next stage: its optimisers start fresh."""
        self.stage, self.iteration, self.step = self.stage + 1, 0, None

    def draw(self, critic_steps: int) -> tuple[list[Tensor], list[Tensor]]:
        """The random inputs of the next iteration: by stage the generator's, per critic step the penalty's."""
        model = self.model
        draw = Draw(model.settings.runtime.seed, ("train", self.stage, self.iteration), model.device)
        inputs = [channels_last(self._task.first_input(self.reals[0], draw.at(0)))]
        for stage in range(1, self.stage + 1):
            shape = model.generator.input_shape(stage, model.sizes[stage])
            inputs.append(channels_last(draw.at(stage).normal(shape)))
        return inputs, [draw.at("penalty", k).uniform((1, 1, 1, 1)) for k in range(critic_steps)]

    def save(self, run: Run) -> None:
        """Write a checkpoint from which the training goes on as if it had not been stopped."""
        assert self.step is not None
        tensors = {f"model.{name}": value for name, value in self.model.tensors().items()}
        tensors |= {f"critic.{name}": value for name, value in self.critic.state_dict().items()}
        tensors |= {f"real.{stage}": real for stage, real in enumerate(self.reals)}
        tensors |= optimiser_tensors("generator_optimiser", self.step.generator_optimiser)
        tensors |= optimiser_tensors("critic_optimiser", self.step.critic_optimiser)
        header = {
            "kind": "checkpoint",
            **self.model.header(),
            "stage": self.stage,
            "iteration": self.iteration,
        }
        niter = self.model.settings.optimisation.niter
        done = sum(config.iterations(niter, stage) for stage in range(self.stage)) + self.iteration
        checkpoint.Checkpoints(run.checkpoints).save(done, tensors, header)

    @property
    def _task(self) -> Any:
        return TASKS[self.model.settings.mode]


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


def new_critic(settings: Train, device: torch.device) -> PatchCritic:
    """The critic of a configuration."""
    network = settings.network
    critic = PatchCritic(
        channels=network.nc_im,
        features=network.nfc,
        kernel=network.ker_size,
        layers=network.num_layer,
        padding=network.padd_size,
        activation=network.activation,
        slope=network.lrelu_alpha,
    )
    place(critic, device)
    return critic


def write_start(state: Training, run: Run) -> None:
    """The files of a run that are known before it trains: configuration, environment, pyramid."""
    checkpoint.write_json(run.config, config.to_json(state.model.settings))
    checkpoint.write_json(run.environment, {**environment(), "device": str(state.model.device)})
    for stage, real in enumerate(state.reals):
        images.save(run.pyramid / f"{stage}.png", real)


def finish_stage(state: Training, run: Run) -> None:
    """Keep a finished stage: checkpoint, portable model, previews."""
    state.save(run)
    state.model.save(run.model)
    previews = state._task.sample(state.model, state._task.preview)
    for _ in results.write(previews, run.samples / f"stage_{state.stage}", {"stage": str(state.stage)}):
        pass


def split_names(tensors: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """``{"a.b.c": t}`` -> ``{"a": {"b.c": t}}``, with every part of a checkpoint present."""
    parts: dict[str, dict[str, Tensor]] = {
        part: {} for part in ("model", "critic", "real", "generator_optimiser", "critic_optimiser")
    }
    for name, value in tensors.items():
        part, _, rest = name.partition(".")
        parts.setdefault(part, {})[rest] = value
    return parts


def optimiser_tensors(name: str, optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Adam's state as named tensors."""
    state = optimiser.state_dict()["state"]
    return {
        f"{name}.{index}.{key}": value for index, values in state.items() for key, value in values.items()
    }


def load_optimiser(optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """The inverse of ``optimiser_tensors`` for a fresh optimiser of the same parameters."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        index, key = name.split(".")
        state.setdefault(int(index), {})[key] = channels_last(value) if value.dim() == 4 else value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
