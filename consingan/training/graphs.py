"""A whole iteration as one CUDA graph: where the kernels are small, launching them is most of the time.

Source: "Accelerating PyTorch with CUDA Graphs" (PyTorch documentation, notes on CUDA semantics): a region of static
shapes and addresses is recorded once and replayed; inputs are copied to where the recording reads them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from consingan.training.optimisers import first_moment
from consingan.training.step import Drawn, Step

WARM = 3  # iterations on a side stream before the recording, in which libraries choose kernels and allocate


class Recorder(Protocol):
    """How a region is warmed up, recorded and replayed."""

    def warm(self, region: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        """Run it where recordings are prepared."""

    def record(self, region: Callable[[], dict[str, Tensor]]) -> Callable[[], dict[str, Tensor]]:
        """Record it without running it; what is returned runs it."""


class CudaRecorder:
    """CUDA's own graphs."""

    def warm(self, region: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            terms = region()
        torch.cuda.current_stream().wait_stream(side)
        return terms

    def record(self, region: Callable[[], dict[str, Tensor]]) -> Callable[[], dict[str, Tensor]]:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            terms = region()

        def replay() -> dict[str, Tensor]:
            graph.replay()
            return {name: value.clone() for name, value in terms.items()}

        return replay


class Captured:
    """A step that is recorded after a few iterations and replayed from then on: the same call, the same result.

    Iterations on windows are not recorded: their resizing differs from one to the next.

    Args:
        step: of a stage; its optimisers must be ``capturable``.
        recorder: the device's.
    """

    def __init__(self, step: Step, recorder: Recorder):
        self.step, self.recorder = step, recorder
        self.static: Sequence[Drawn] | None = None
        self.replay: Callable[[], dict[str, Tensor]] | None = None
        self.warmed, self.moments = 0, self._moments()

    def __call__(self, *drawn: Drawn) -> dict[str, Tensor]:
        """As ``Step.__call__``."""
        if any(each.window is not None for each in drawn):
            return self.step(*drawn)
        if self.moments is not self._moments():  # going back gave the optimisers other tensors
            self.replay, self.warmed, self.moments = None, 0, self._moments()
        static = self._copied(drawn)
        if self.replay is None and self.warmed < WARM:
            self.warmed += 1
            terms = self.recorder.warm(lambda: self.step(*static))
            self.moments = self._moments()
            return terms
        if self.replay is None:
            self.replay = self.recorder.record(lambda: self.step(*static))
        return self.replay()

    @property
    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """As ``Step.optimisers``."""
        return self.step.optimisers

    def decay(self, factor: float) -> None:
        """As ``Step.decay``; the rates are tensors that the recording reads."""
        self.step.decay(factor)

    def _copied(self, drawn: Sequence[Drawn]) -> Sequence[Drawn]:
        if self.static is None:
            self.static = [each.each(torch.clone) for each in drawn]
        for old, new in zip(self.static, drawn, strict=True):
            for held, x in zip(old.tensors(), new.tensors(), strict=True):
                held.copy_(x)
        return self.static

    def _moments(self) -> Tensor | None:
        """A tensor of the optimiser's that is another one after its state has been loaded."""
        return first_moment(self.step.learners[0].generator_optimiser)
