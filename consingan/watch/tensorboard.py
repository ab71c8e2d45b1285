"""Event files for TensorBoard: losses, figures and pictures of a training, as its log tells of them.

Needs the extra ``consingan[tensorboard]``. Steps are iterations over all stages. A training that goes back, or is
resumed, makes TensorBoard forget the steps that it trains again.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from consingan import config
from consingan.errors import UserError
from consingan.grid.ranges import unit
from consingan.storage import results
from consingan.storage.files import read_json
from consingan.storage.results import Role
from consingan.storage.run import Run
from consingan.watch.monitor import RESERVED

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

FLUSH_S = 20  # between two writings to the disk
TAGS = {Role.SNAPSHOT: "over_time", Role.GRID: "samples"}  # of the others their file's name
COST = ("seconds_per_iteration", "peak_memory_mb")


def check_installed() -> None:
    """Refuse in a sentence where the package is missing."""
    if importlib.util.find_spec("tensorboard") is None:
        raise UserError(
            "--tensorboard needs the package tensorboard, which is not installed; "
            "install it with: pip install 'consingan[tensorboard]'"
        )


class EventFiles:
    """A watcher of the monitor that writes event files into ``RUN/tensorboard``.

    Args:
        run: its folder and configuration; read when the training begins.

    Raises:
        UserError: the package is not installed.
    """

    def __init__(self, run: Run):
        check_installed()
        self._run = run
        self._writer: SummaryWriter | None = None
        self._starts: list[int] = []
        self._step = 0  # of the last iteration or figures

    def __call__(self, record: Mapping[str, Any]) -> None:
        """Write what a record of the log holds."""
        event = record["event"]
        if event == "begin_stage":
            self._begin(self._start_of(record["stage"]) + record["start_iteration"])
        if self._writer is None or event in ("begin_stage", "message"):
            return
        if event == "stage":
            self._scalars("cost", {name: record.get(name) for name in COST})
            return
        step = self._start_of(record["stage"]) + record["iteration"]
        if event == "pictures":
            self._pictures(record["files"], step)
        else:
            self._step = step
            group = "losses" if event == "iteration" else event
            self._scalars(group, {name: value for name, value in record.items() if name not in RESERVED})

    def close(self) -> None:
        """Write what is pending."""
        if self._writer is not None:
            self._writer.close()

    def _start_of(self, stage: int) -> int:
        """Iterations before a stage, as planned."""
        if not self._starts:
            settings = config.from_json(read_json(self._run.config), str(self._run.config))
            niter, stages = settings.optimisation.niter, settings.pyramid.train_stages
            self._starts = [0, *accumulate(config.iterations(niter, number) for number in range(stages))]
        return self._starts[stage]

    def _begin(self, step: int) -> None:
        """Go on from a step; what was written from there on no longer counts."""
        from torch.utils.tensorboard import SummaryWriter

        if self._writer is not None and step > self._step:
            return
        self.close()
        purge = step if step > 0 or self._writer is not None else None
        self._writer = SummaryWriter(str(self._run.tensorboard), purge_step=purge, flush_secs=FLUSH_S)
        self._step = step

    def _scalars(self, group: str, values: Mapping[str, Any]) -> None:
        assert self._writer is not None
        for name, value in values.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                self._writer.add_scalar(f"{group}/{name}", value, self._step)

    def _pictures(self, files: list[str], step: int) -> None:
        """Every picture but the single ones of a grid, by the roles in the index beside them."""
        from consingan.pictures import images

        assert self._writer is not None
        for each in results.overview([results.of(self._run.folder / file, self._run.folder) for file in files]):
            try:
                pixels = images.load(each.path).pixels
            except UserError:  # gone since
                continue
            tag = TAGS.get(each.role, each.path.stem)
            self._writer.add_image(f"pictures/{tag}", unit(pixels[0]).clamp(0, 1), step)
