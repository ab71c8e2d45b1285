"""Training from Python."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from consingan import devices
from consingan.gan.model import SingleImageModel
from consingan.pictures import arrays, images
from consingan.training import finetune, plan
from consingan.training.loop import look_first, write_start
from consingan.training.loop import train as run_training
from consingan.training.state import Training
from consingan.watch.monitor import Monitor

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


def train(
    image: str | Path | np.ndarray | Tensor,
    *,
    mode: str = "generation",
    preset: str = plan.DEFAULT_PRESET,
    device: str = "auto",
    outdir: str | Path | None = None,
    display: Literal["rich", "plain", "json", "quiet"] = "quiet",
    **settings: Any,
) -> SingleImageModel:
    """Train a model on one picture.

    Args:
        image: a file; an array ``[H, W]`` or ``[H, W, 3]`` (uint8, uint16, or float in [0, 1]); or a tensor
            ``[C, H, W]`` in [-1, 1].
        mode: a name in ``consingan.tasks.TASKS``.
        preset: a name in the task's recipes.
        device: auto, cpu, cuda:N or mps.
        outdir: where to make a run folder; nothing is written without one.
        display: how progress is shown, on stderr.
        settings: any setting of ``consingan.config`` by name, such as ``niter=500``; fine-tuning is
            ``fine_tune=True, model_dir=RUN, naive_img=FILE`` and takes what is not named from the trained run.

    Raises:
        UserError: the picture or a setting cannot be used.
    """
    if isinstance(image, str | Path):
        name = str(image)
        picture = images.load(image, channels=settings.get("nc_im")).pixels
    else:
        name, picture = "array", arrays.from_array(image, settings.get("nc_im"))
    size = (picture.shape[2], picture.shape[3])
    resolved, _ = plan.resolve(mode, preset, name, picture.shape[1], settings, size)
    place = devices.pick(device)
    if resolved.naive.fine_tune:
        state = finetune.from_run(mode, name, picture, settings, place)
    else:
        state = Training.start(resolved, picture, place)
    run = plan.new_run(outdir, state.model.settings) if outdir is not None else None
    if run:
        write_start(state, run)
    with Monitor(run.log if run else None, display) as monitor, run.lock() if run else nullcontext():
        if run:
            look_first(state, run, monitor)
        return run_training(state, monitor, run)
