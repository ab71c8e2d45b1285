"""Fine-tuning: the last stage of a trained model learns to take a naive picture for the training picture.

Source: Hinz et al. (WACV 2021), section 4.4. The stages below stay as they are to the bit, so that the layout which
they make of the naive picture is kept. The tail learns with the last stage, as it does in every stage's training: it
is what turns the stage's features into colours, and features that move need it to move along.

Beyond the paper: the critic learns faster than the generator, which calms the swings of an object's colours, the rates
fall to little, so that they end, and the structure of what the trained model made of the naive picture has a loss of
its own (``structure.difference``), so that the background does not swallow the object however long it takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from consingan import config
from consingan.config import Train
from consingan.errors import UserError
from consingan.gan.model import SingleImageModel, channels_last
from consingan.grid.resize import resize
from consingan.pictures import pyramid
from consingan.storage.checkpoints import Checkpoints
from consingan.storage.run import Run
from consingan.training import plan
from consingan.training.branch import Branch, new_critic, new_state, stage_sizes
from consingan.training.checkpoint import check_shapes, most_bytes, shapes_of
from consingan.training.lessons import OfOnePicture
from consingan.training.state import Training

OWN: dict[str, Any] = {
    "niter": (500,),
    "train_depth": 1,
    "decay": "linear",
    "gamma": 0.1,
    "snapshot_every": 100,
    "keep_structure": 1.0,
}
RATES = {"lr_g": 0.28, "lr_d": 2.8}  # of the trained run's; with 500 iterations, linear begins with 0.1 and 1 of it
FIXED = ("pyramid", "network")  # sections that the trained model has decided
SAME = 0.2  # root mean squared difference to the anchor, above which a picture is another one


@dataclass(frozen=True, eq=False)
class Base:
    """A trained run to start from.

    Args:
        model: with all of its stages; keeps its settings and its weights.
        critic: its critic's tensors, from its newest checkpoint; empty where that is gone.
    """

    model: SingleImageModel
    critic: Mapping[str, Tensor]

    @classmethod
    def open(cls, run: Run, device: torch.device | str) -> Base:
        """Read a run that was trained on any device."""
        model = SingleImageModel.load(run.model, device)
        if model.stages < len(model.sizes):
            raise UserError(
                f"--model_dir {run.folder} has {model.stages} of its {len(model.sizes)} stages; resume it first."
            )
        return cls(model, newest_critic(run))


def newest_critic(run: Run) -> dict[str, Tensor]:
    """The critic's tensors in a run's newest checkpoint, not checked; none where that is gone or broken."""
    with suppress(UserError):
        if saved := Checkpoints(run.checkpoints).newest(lambda note: None, lambda header: most_bytes(header, str(run))):
            return {k.removeprefix("critic."): v for k, v in saved[0].items() if k.startswith("critic.")}
    return {}


def resolve(base: Train, mode: str, image: str, given: Mapping[str, Any]) -> tuple[Train, dict[str, str]]:
    """The configuration: given > fine-tuning's own > that of the trained run.

    Raises:
        UserError: a flag contradicts the trained model, or the run is of another mode.
    """
    if base.mode != mode:
        raise UserError(f"--train_mode is {mode}, but --model_dir is a {base.mode} run; give --train_mode {base.mode}.")
    trained, given = config.flat(base), plan.decided(given)
    fixed = {s.name for s in config.settings() if s.section in FIXED}
    for name, value in given.items():
        if name in fixed and value != trained[name]:
            raise UserError(
                f"--{name} is {value}, but the model to fine-tune was trained with {trained[name]}; leave the flag out."
            )
    if base.naive.fine_tune:  # what its own fine-tuning had is no part of the model
        trained |= config.flat(Train(mode, image))
        trained |= {name: config.flat(base)[name] for name in trained if name in fixed | {"precision", "seed"}}
    rates = {rate: share * trained[rate] for rate, share in RATES.items()}
    layers = (("trained run", trained), ("fine-tuning", OWN | rates), ("flag", given))
    return config.resolve(mode, image, *layers)


def start(settings: Train, picture: Tensor, naive: Tensor, base: Base, device: torch.device | str) -> Training:
    """The beginning of fine-tuning: the last stage of the trained model at its iteration 0.

    Args:
        settings: from ``resolve``.
        picture: ``[1, C, H, W]`` in [-1, 1], the one that the model was trained on: stays the target.
        naive: ``[1, C, h, w]`` in [-1, 1], what stage 0 gets in every iteration, at that stage's size.
        base: the trained run, which stays as it is.
        device: where to train.

    Raises:
        UserError: the picture is not the one that the model was trained on.
    """
    trained = base.model
    sizes = stage_sizes(settings, (picture.shape[2], picture.shape[3]))
    reals = pyramid.build(picture.to(device), sizes)
    fits = sizes == trained.sizes and picture.shape[1] == trained.settings.network.nc_im
    if not fits or (reals[0] - trained.fixed[0]).square().mean().sqrt().item() > SAME:
        raise UserError(
            f"--input_name {settings.image} is not the picture that {settings.naive.model_dir} was trained on; "
            f"give that one ({Path(trained.settings.image).name})."
        )
    result = trained.transform(resize(naive, trained.size), noise_scale=0)
    entering = resize(naive.to(device), sizes[0]).clamp(-1, 1)
    lesson = OfOnePicture(channels_last(entering), channels_last(result), settings.naive.keep_structure)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.runtime.seed)
        critic = new_critic(settings, trained.device)
    with suppress(UserError):  # another objective may want another one
        check_shapes(base.critic, shapes_of(critic), "the critic of the trained run")
        if all(value.isfinite().all() for value in base.critic.values()):
            critic.load_state_dict(dict(base.critic))
    model = copied(trained, settings)
    branch = Branch("", model, critic, [channels_last(real) for real in reals], new_state(model, critic))
    return Training([branch], lesson, len(sizes) - 1)


def copied(model: SingleImageModel, settings: Train) -> SingleImageModel:
    """A copy of a trained model with other settings: its own weights, anchors and picture."""
    tensors = {name: value.clone() for name, value in model.tensors().items()}
    header = model.header() | {"config": config.to_json(settings)}
    return SingleImageModel.restore(tensors, header, "the trained model", model.device)
