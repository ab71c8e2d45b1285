"""Training: the loop over stages and the loop over iterations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from time import monotonic
from typing import Any

import torch
from torch import Tensor

from consingan import checkpoint, config, images, pyramid, results, schedule, watchdog
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
from consingan.watchdog import Attempt, Good


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
        monitor.begin_stage(state.stage, len(state.reals), iterations, state.iteration, size=list(state.model.size))
        written = monotonic()
        while state.iteration < iterations:
            if run and state.snapshot_due():
                with monitor.paused():
                    take_snapshot(state, run)
            inputs, uniforms = state.draw(optimisation.Dsteps)
            step.decay(state.attempt.rate * schedule.decay(state.iteration, iterations, optimisation.gamma))
            terms = step(inputs, uniforms)
            monitor.observe(state.iteration, terms)
            state.iteration += 1
            if watchdog.due(state.iteration, iterations):
                keep_or_go_back(state, inputs, terms, monitor)
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
    if run:
        checkpoint.write_json(run.finished, {"stages": state.model.stages})
    return state.model


def keep_or_go_back(state: Training, inputs: Sequence[Tensor], terms: Mapping[str, Tensor], monitor: Monitor) -> None:
    """Let the watchdog look: keep a sound state to go back to, or go back to the last one.

    Args:
        state: after an iteration.
        inputs, terms: what entered that iteration and what it returned.
        monitor: is told when the training goes back.

    Raises:
        CollapsedError: the stage has gone back too often.
    """
    fake = state.model.generate(inputs, state.model.sizes)
    seen = watchdog.look(terms, state.learned(), fake, state.reals[state.stage])
    found = watchdog.trouble(seen, state.good.spread)
    if found is None:
        state.keep(seen.spread)
        return
    if state.attempt.number == watchdog.ATTEMPTS:
        raise watchdog.collapsed(found, state.stage, state.iteration)
    trouble = f"Stage {state.stage + 1}, iteration {state.iteration}: {found.what}."
    state.go_back()
    monitor.message(
        f"{trouble} Going back to iteration {state.iteration} with other draws and {state.attempt.rate:g} times "
        f"the learning rates, attempt {state.attempt.number} of {watchdog.ATTEMPTS}."
    )
    monitor.go_back(state.iteration)


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
        source: ``[1, C, h, w]`` in [-1, 1], what stage 0 gets in every iteration of fine-tuning; the task draws it
            where this is None.
    """

    model: SingleImageModel
    critic: PatchCritic
    reals: list[Tensor]
    stage: int = 0
    iteration: int = 0
    step: Step | None = None
    attempt: Attempt = Attempt()
    good: Good = Good()
    source: Tensor | None = None

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
        """What ``save`` wrote; ``where`` names the file in messages.

        Raises:
            UserError: a part is missing, unknown, or does not fit the others. Nothing in the file is executed, and
                no memory is taken before the parts are known to fit.
        """
        parts = split_names(tensors, where)
        model = SingleImageModel.restore(parts["model"], header, where, device)
        stands = read_place(header, model, where)
        critic = restored_critic(model, parts["critic"], where)
        shapes = {str(i): (1, model.settings.network.nc_im, *size) for i, size in enumerate(model.sizes)}
        check_shapes(parts["real"], shapes, f"{where}, real")
        reals = [channels_last(parts["real"][str(i)].to(model.device)) for i in range(len(model.sizes))]
        check_shapes(parts["source"], {"0": shapes["0"]} if model.settings.naive.fine_tune else {}, f"{where}, source")
        source = channels_last(parts["source"]["0"].to(model.device)) if parts["source"] else None
        state = cls(model, critic, reals, stands.stage, stands.iteration, attempt=stands.attempt, source=source)
        step = state.enter_stage()
        for name, optimiser in step.optimisers.items():
            if stands.iteration or parts[name]:
                check_shapes(parts[name], optimiser_shapes(optimiser), f"{where}, {name}")
            load_optimiser(optimiser, parts[name])
        wanted = {name: tuple(value.shape) for name, value in state.learned().items()}
        if stands.good.iteration == 0:  # the optimisers had no state yet
            wanted = {name: shape for name, shape in wanted.items() if "_optimiser." not in name}
        check_shapes(parts["good"], wanted, f"{where}, good")
        state.good = replace(stands.good, tensors=on_device(parts["good"], model.device))
        return state

    @classmethod
    def resume(cls, run: Run, device: torch.device | str, warn: Callable[[str], None]) -> Training:
        """The newest whole checkpoint of a run; ``warn`` is told of broken ones."""
        saved = checkpoint.Checkpoints(run.checkpoints).newest(warn)
        if saved is None:
            raise UserError(f"{run.folder} holds no checkpoint to go on from; start a new run.")
        state = cls.restore(*saved, str(run.checkpoints), device)
        own = config.from_json(checkpoint.read_json(run.config), str(run.config))
        config.check_same(own, state.model.settings, f"{run.config} and the checkpoint beside it")
        for change in machine_changes(run, state.model.device):
            warn(change)
        return state

    def trains_on(self, reals: Sequence[Tensor]) -> bool:
        """Whether this is the training of a picture, ``[1, C, H, W]`` at each stage's size, up to rounding."""
        return len(reals) == len(self.reals) and all(
            a.shape == b.shape and torch.allclose(a, b, atol=1e-3) for a, b in zip(reals, self.reals, strict=True)
        )

    def enter_stage(self) -> Step:
        """The iteration of the stage in progress; grows the model where the stage is new."""
        if self.step is None:
            real = self.reals[self.stage]
            if self.model.stages == self.stage:
                draw = Draw(self.model.settings.runtime.seed, ("anchor", 0), self.model.device)
                self.model.grow(real, channels_last(self._task.anchor(self.reals[0], draw)))
            self.step = Step(self.model, self.critic, real)
            self.keep(self.good.spread)
        return self.step

    def leave_stage(self) -> None:
        """Go on to the next stage: its optimisers start fresh, at the full rates."""
        self.stage, self.iteration, self.step, self.attempt = self.stage + 1, 0, None, Attempt()

    def learned(self) -> dict[str, Tensor]:
        """Everything that an iteration changes, by name; not copied."""
        assert self.step is not None
        tensors = {f"generator.{name}": value for name, value in self.model.generator.state_dict().items()}
        tensors |= {f"critic.{name}": value for name, value in self.critic.state_dict().items()}
        for name, optimiser in self.step.optimisers.items():
            tensors |= optimiser_tensors(name, optimiser)
        return tensors

    def keep(self, spread: float) -> None:
        """Remember this state as a good one; ``spread`` is that of a picture made in it (see ``Good``)."""
        copies = {name: value.clone() for name, value in self.learned().items()}
        most = max(self.good.spread, spread) if spread == spread else self.good.spread  # NaN for flat pictures
        self.good = Good(self.iteration, most, copies)

    def go_back(self) -> None:
        """Return to the last good state, for the next attempt."""
        assert self.step is not None
        for name, value in self.learned().items():
            if "_optimiser." not in name:
                value.copy_(self.good.tensors[name])
        for name, optimiser in self.step.optimisers.items():
            kept = {n: v.clone() for n, v in self.good.tensors.items() if n.startswith(f"{name}.")}
            load_optimiser(optimiser, {n.removeprefix(f"{name}."): v for n, v in kept.items()})
        self.iteration, self.attempt = self.good.iteration, self.attempt.next()

    def draw(self, critic_steps: int) -> tuple[list[Tensor], list[Tensor]]:
        """The random inputs of the next iteration: by stage the generator's, per critic step the penalty's."""
        model = self.model
        address: tuple[str | int, ...] = ("train", self.stage, self.iteration)
        if self.attempt.number:
            address += ("attempt", self.attempt.number)
        draw = Draw(model.settings.runtime.seed, address, model.device)
        first = self._task.first_input(self.reals[0], draw.at(0)) if self.source is None else self.source
        inputs = [channels_last(first)]
        for stage in range(1, self.stage + 1):
            shape = model.generator.input_shape(stage, model.sizes[stage])
            inputs.append(channels_last(draw.at(stage).normal(shape)))
        return inputs, [draw.at("penalty", k).uniform((1, 1, 1, 1)) for k in range(critic_steps)]

    def save(self, run: Run) -> None:
        """Write a checkpoint from which the training goes on as if it had not been stopped."""
        tensors = {f"model.anchor.{stage}": anchor for stage, anchor in enumerate(self.model.anchors)}
        tensors |= {stored_name(name): value for name, value in self.learned().items()}
        tensors |= {f"real.{stage}": real for stage, real in enumerate(self.reals)}
        tensors |= {} if self.source is None else {"source.0": self.source}
        tensors |= {f"good.{name}": value for name, value in self.good.tensors.items()}
        header = {
            "kind": "checkpoint",
            **self.model.header(),
            "stage": self.stage,
            "iteration": self.iteration,
            "attempt": asdict(self.attempt),
            "good": {"iteration": self.good.iteration, "spread": self.good.spread},
        }
        niter = self.model.settings.optimisation.niter
        done = sum(config.iterations(niter, stage) for stage in range(self.stage)) + self.iteration
        checkpoint.Checkpoints(run.checkpoints).save(done, tensors, header)

    def snapshot_due(self) -> bool:
        """Whether a picture of the result so far is wanted now."""
        every = self.model.settings.naive.snapshot_every
        return every > 0 and self.iteration % every == 0

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
    """What a run holds before it trains: configuration, environment, pyramid, and a checkpoint to go on from."""
    checkpoint.write_json(run.config, config.to_json(state.model.settings))
    checkpoint.write_json(run.environment, machine(state.model.device))
    for stage, real in enumerate(state.reals):
        images.save(run.pyramid / f"{stage}.png", real)
    state.enter_stage()
    state.save(run)


def machine(device: torch.device) -> dict[str, Any]:
    """What a training runs on, as JSON values."""
    deterministic = torch.are_deterministic_algorithms_enabled()
    return {**environment(), "device": str(device), "deterministic": deterministic}


def machine_changes(run: Run, device: torch.device) -> Iterator[str]:
    """A sentence for each thing that may differ in a resumed run but changes its last bits."""
    if not run.environment.is_file():
        return
    then, now = checkpoint.read_json(run.environment), machine(device)
    for name in ("device", "threads", "torch", "deterministic"):
        if isinstance(then, dict) and then.get(name) != now[name]:
            yield (
                f"This run began with {name} {then.get(name)} and goes on with {now[name]}: the result is as good "
                "but not the same to the bit."
            )


def finish_stage(state: Training, run: Run) -> None:
    """Keep a finished stage: checkpoint, portable model, previews."""
    state.save(run)
    state.model.save(run.model)
    if state.model.settings.naive.snapshot_every:
        take_snapshot(state, run)
    previews = state._task.sample(state.model, state._task.preview, run)
    for _ in results.write(previews, run.samples / f"stage_{state.stage}", {"stage": str(state.stage)}):
        pass


def take_snapshot(state: Training, run: Run) -> None:
    """A picture of the result so far, and all of them side by side."""
    made = next(iter(state._task.sample(state.model, state._task.preview, run)))
    results.snapshot(made, run.samples / f"stage_{state.stage}", state.iteration)


@dataclass(frozen=True)
class Place:
    """Where a checkpoint stands; ``good`` is without its tensors."""

    stage: int
    iteration: int
    attempt: Attempt
    good: Good


def read_place(header: Mapping[str, Any], model: SingleImageModel, where: str) -> Place:
    """The place in a checkpoint's header, checked against its model.

    Raises:
        UserError: it is missing, of the wrong kind, or out of range; the mode is unknown.
    """
    settings = model.settings
    if settings.mode not in TASKS:
        raise UserError(f"{where} is of mode {settings.mode!r}, which this version lacks; choose another run.")
    try:
        place = Place(header["stage"], header["iteration"], Attempt(**header["attempt"]), Good(**header["good"]))
        iterations = config.iterations(settings.optimisation.niter, model.stages - 1)
        wholes = (place.stage, place.iteration, place.attempt.number, place.good.iteration)
        sound = (
            all(type(n) is int for n in wholes)
            and place.stage == model.stages - 1
            and 0 <= place.good.iteration <= place.iteration <= iterations
            and 0 <= place.attempt.number <= watchdog.ATTEMPTS
            and 0 < place.attempt.rate <= 1
            and 0 <= place.good.spread < float("inf")
            and not place.good.tensors
        )
    except (KeyError, TypeError) as error:
        raise UserError(f"{where} lacks a valid {error}; use a checkpoint that this program wrote.") from None
    if not sound:
        raise UserError(f"{where} stands at no place of its training; use a checkpoint that this program wrote.")
    return place


PARTS = ("model", "critic", "real", "generator_optimiser", "critic_optimiser", "good", "source")


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
    place(critic, model.device)
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
