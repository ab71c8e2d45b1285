"""Training from Python: the same job as that of the command line."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from consingan import devices
from consingan.gan.model import SingleImageModel
from consingan.pictures import arrays
from consingan.training.job import Job
from consingan.training.order import Order
from consingan.training.plan import Plan
from consingan.watch import displays
from consingan.watch.displays import DisplayName
from consingan.watch.log import Observer

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    Picture = str | Path | np.ndarray | Tensor


def train(
    image: Picture | None = None,
    *,
    mode: str | None = None,
    preset: str | None = None,
    device: str = "auto",
    outdir: str | Path | None = None,
    resume: str | Path | None = None,
    stop: Callable[[], bool] = lambda: False,
    observers: Sequence[Observer] = (),
    display: DisplayName = "quiet",
    checkpoint_every: float = 60.0,
    **settings: Any,
) -> SingleImageModel:
    """Train a model on one picture, or go on with a training that was stopped.

    Args:
        image: a file; an array ``[H, W]`` or ``[H, W, 3]`` (uint8, uint16, or float in [0, 1]); or a tensor
            ``[C, H, W]`` in [-1, 1]. None where ``resume`` names a run, which goes on with its own.
        mode: a name in ``consingan.tasks.TASKS``; generation unless given.
        preset: a name in the task's recipes; fast unless given.
        device: auto, cpu, cuda:N or mps.
        outdir: where to make a run folder; nothing is written without one.
        resume: a run folder to go on with; or auto, to go on with the newest unfinished run below ``outdir`` of the
            same picture, mode and settings, and to begin where there is none.
        stop: asked after every iteration whether to stop; a run folder then holds all that is needed to go on.
        observers: functions that are given every record of ``consingan.watch.log``; one that raises is told nothing
            more, and a RuntimeWarning says so when the training is over.
        display: how progress is shown on stderr: rich, plain, json or quiet.
        checkpoint_every: seconds between two checkpoints within a stage, 1 or more.
        settings: any setting of ``consingan.config`` by name, such as ``niter=500``; ``naive_img=FILE`` for
            harmonization and editing. ``consingan.config.Naive`` has those with which a trained run learns on; it gives
            what is not named.

    Returns:
        The model; where ``stop`` ended the training with the stages that it has so far.

    Raises:
        UserError: the picture or a setting cannot be used, a file cannot be written, or the training went wrong.
    """
    job = _job(
        image,
        mode=mode,
        preset=preset,
        device=device,
        outdir=None if outdir is None else str(outdir),
        resume=None if resume is None else str(resume),
        checkpoint_every=checkpoint_every,
        settings=settings,
    )
    with closing(displays.display(display, sys.stderr)) as shown:
        ended = job.run([shown, *observers], stop)
    for fault in ended.faults:
        warnings.warn(fault, RuntimeWarning, stacklevel=2)
    if ended.model is None:
        assert ended.run is not None
        return SingleImageModel.load(ended.run.model, devices.pick(device))
    return ended.model


def estimate(
    image: Picture,
    *,
    mode: str | None = None,
    preset: str | None = None,
    device: str = "auto",
    outdir: str | Path | None = None,
    **settings: Any,
) -> Plan:
    """What a training would do and cost, from a few iterations that are tried; writes nothing.

    >>> print(consingan.estimate("photo.jpg"))                      # doctest: +SKIP

    Args and faults are those of ``train``.

    Returns:
        Settings with their origins, sizes and iterations by stage, ``seconds``, ``peak_mb``; printed, the report of
        ``--dry-run``.
    """
    place = None if outdir is None else str(outdir)
    return _job(image, mode=mode, preset=preset, device=device, outdir=place, settings=settings).plan()


def _job(image: Picture | None, **order: Any) -> Job:
    """The job of a picture in any of its forms."""
    if image is None or isinstance(image, str | Path):
        return Job(Order(picture=None if image is None else str(image), **order))
    return Job(Order(picture="array", **order), arrays.from_array(image, order["settings"].get("nc_im")))
