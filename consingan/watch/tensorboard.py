"""Event files for TensorBoard: losses, figures and pictures of a training, as its log tells of them.

Needs the extra ``consingan[tensorboard]``. Steps are iterations over all stages. A training that goes back, or is
resumed, makes TensorBoard forget the steps that it trains again.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from consingan.errors import UserError, not_installed
from consingan.grid.ranges import unit
from consingan.storage import results
from consingan.storage.results import Role
from consingan.storage.run import Run
from consingan.watch.log import RESERVED, Record

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

FLUSH_S = 20  # between two writings to the disk
TAGS = {Role.SNAPSHOT: "over_time", Role.GRID: "samples"}  # of the others their file's name
COST = ("seconds_per_iteration", "peak_memory_mb")


def check_installed() -> None:
    """Refuse in a sentence where the package is missing."""
    if importlib.util.find_spec("tensorboard") is None:
        raise UserError(not_installed("tensorboard"))


class EventFiles:
    """An observer that writes event files into ``RUN/tensorboard``, of the run that the record "started" names.

    A training without a run folder has none.

    Raises:
        UserError: the package is not installed.
    """

    def __init__(self) -> None:
        check_installed()
        self._run: Run | None = None
        self._writer: SummaryWriter | None = None
        self._starts: list[int] = []  # iterations before each stage, as planned
        self._step = 0  # of the last iteration or figures

    def __call__(self, record: Record) -> None:
        """Write what a record holds."""
        event = record["event"]
        if event == "started" and record["run"] is not None:
            self._run = Run(Path(record["run"]))
            self._starts = [0, *accumulate(record["iterations"])]
        if self._run is None:
            return
        if event == "begin_stage":
            self._begin(self._run, self._starts[record["stage"]] + record["start_iteration"])
        elif self._writer is None:
            return
        elif event == "stage":
            self._scalars("cost", {name: record.get(name) for name in COST})
        elif event == "pictures":
            self._pictures(self._run, record["files"], self._starts[record["stage"]] + record["iteration"])
        elif event in ("iteration", "figures"):
            self._step = self._starts[record["stage"]] + record["iteration"]
            group = "losses" if event == "iteration" else event
            self._scalars(group, {name: value for name, value in record.items() if name not in RESERVED})

    def close(self) -> None:
        """Write what is pending."""
        if self._writer is not None:
            self._writer.close()

    def _begin(self, run: Run, step: int) -> None:
        """Go on from a step; what was written from there on no longer counts."""
        from torch.utils.tensorboard import SummaryWriter

        if self._writer is not None and step > self._step:
            return
        self.close()
        purge = step if step > 0 or self._writer is not None else None
        self._writer = SummaryWriter(str(run.tensorboard), purge_step=purge, flush_secs=FLUSH_S)
        self._step = step

    def _scalars(self, group: str, values: Mapping[str, Any]) -> None:
        assert self._writer is not None
        for name, value in values.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                self._writer.add_scalar(f"{group}/{name}", value, self._step)

    def _pictures(self, run: Run, files: list[str], step: int) -> None:
        """Every picture but the single ones of a grid, by the roles in the index beside them."""
        from consingan.pictures import images

        assert self._writer is not None
        for each in results.overview([results.of(run.folder / file, run.folder) for file in files]):
            try:
                pixels = images.load(each.path).pixels
            except UserError:  # gone since
                continue
            tag = TAGS.get(each.role, each.path.stem)
            self._writer.add_image(f"pictures/{tag}", unit(pixels[0]).clamp(0, 1), step)
