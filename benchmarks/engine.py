"""Seconds per iteration of the engine beside a plain path, stage by stage, in one run.

    python benchmarks/engine.py --max_size 250 --stages 6 --rounds 5

The plain path is the method written down directly, as the published tool computes it: contiguous float32, torch's
bicubic, the fake computed anew for every critic step and for the generator, the anchors through all stages, the
penalty by double backward. Both paths alternate, so that a machine whose speed drifts treats them alike; the median of
their ratios is printed. Both take the same steps on the same losses.
"""

from __future__ import annotations

import copy
import statistics
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import click
import torch
import torch.nn.functional as F
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parent.parent))  # runs without installation

from consingan import config
from consingan.gan import borders
from consingan.gan.critics import PatchCritic
from consingan.gan.generator import GrowingGenerator
from consingan.grid import resize
from consingan.training.graphs import WARM, Captured
from consingan.training.state import Training
from consingan.training.step import Drawn, Learner, Step

PICTURE = (167, 250)


class Plain:
    """One iteration, nothing shared and nothing saved."""

    def __init__(self, step: Learner):
        self.sizes, self.amplitudes = step.model.sizes, step.model.amplitudes
        self.generator: GrowingGenerator = contiguous(step.model.generator)
        self.critic: PatchCritic = contiguous(step.critic)
        parts = step.model.generator.parts(self.sizes[: step.model.stages])
        self.anchors = [anchor(p.noise).contiguous() for anchor, p in zip(step.model.anchors, parts, strict=True)]
        self.real, self.depth = step.real.contiguous(), step.model.settings.optimisation.train_depth
        self.generator.requires_grad_(True)
        for stage in list(self.generator.stages)[: -self.depth]:
            stage.requires_grad_(False)
        learning = [p for p in self.generator.parameters() if p.requires_grad]
        self.adam_g = torch.optim.Adam(learning, 5e-4, (0.5, 0.999))
        self.adam_d = torch.optim.Adam(self.critic.parameters(), 5e-4, (0.5, 0.999))

    def __call__(self, drawn: Drawn) -> None:
        inputs = [x.contiguous() for x in drawn.inputs]
        uniforms = [numbers["uniform"] for numbers in drawn.critic]
        for last, uniform in zip([False] * (len(uniforms) - 1) + [True], uniforms, strict=True):
            with torch.set_grad_enabled(last):
                fake = self.generator(inputs, self.amplitudes, self.sizes)
            self.adam_d.zero_grad()
            mixed = (uniform * self.real + (1 - uniform) * fake.detach()).requires_grad_()
            (slope,) = torch.autograd.grad(self.critic(mixed).sum(), mixed, create_graph=True)
            penalty = 0.1 * (slope.norm(dim=1) - 1).square().mean()
            (self.critic(fake.detach()).mean() - self.critic(self.real).mean() + penalty).backward()
            self.adam_d.step()
        self.adam_g.zero_grad()
        rebuilt = self.generator(self.anchors, self.amplitudes, self.sizes)
        (10 * F.mse_loss(rebuilt, self.real) - self.critic(fake).mean()).backward()
        for _ in range(3):
            self.adam_g.step()


def contiguous(module: nn.Module) -> nn.Module:
    """A copy with its weights in the plain memory format."""
    return copy.deepcopy(module).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]


def bicubic(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Torch's own, as the plain path resizes features."""
    return F.interpolate(x, size, mode="bicubic", align_corners=True)


def bicubic_part(x: Tensor, given: object, source: object, size: tuple[int, int], wanted: object) -> Tensor:
    """The same in place of ``upsample_part``, for whole pictures."""
    return bicubic(x, size)


def seconds(step: Step | Captured | Plain, drawn: list[Drawn]) -> float:
    """Wall time of one iteration."""
    begin = perf_counter()
    step(*drawn)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return perf_counter() - begin


@dataclass(frozen=True)
class Stage:
    """Medians of one stage: ``(H, W)``, seconds per iteration of the plain path and of ours, and of their ratios."""

    size: tuple[int, int]
    plain: float
    ours: float
    ratio: float


def measured(rounds: int, device: str, **values: Any) -> Iterator[Stage]:
    """Time both paths stage by stage.

    Args:
        rounds: paired timings per stage.
        device: where.
        values: settings, such as ``max_size``, ``train_stages``, ``precision``.
    """
    settings, _ = config.resolve("generation", "noise", ("benchmark", values))
    picture = torch.rand(1, 3, *PICTURE, generator=torch.Generator().manual_seed(0)) * 2 - 1
    state = Training.start(settings, picture, device)
    ours = resize.upsample, resize.upsample_part
    for _ in range(len(state.reals)):
        step = state.enter_stage()
        captured = isinstance(step, Captured)
        plain, times = Plain((step.step if captured else step).learners[0]), []
        warm = WARM + 2 if captured else 1  # a recording comes after a few iterations
        for _ in range(rounds + warm):
            drawn = state.draw(settings.optimisation.Dsteps)
            mine = seconds(step, drawn)
            borders.upsample, borders.upsample_part = bicubic, bicubic_part
            try:
                times.append((seconds(plain, drawn), mine))
            finally:
                borders.upsample, borders.upsample_part = ours
            state.iteration += 1
        pairs = times[warm:]
        medians = [statistics.median(column) for column in zip(*pairs, strict=True)]
        yield Stage(state.model.size, *medians, statistics.median(a / b for a, b in pairs))
        state.leave_stage()


@click.command(help=__doc__)
@click.option("--max_size", default=250, show_default=True)
@click.option("--stages", default=6, show_default=True)
@click.option("--rounds", default=5, show_default=True, help="paired timings per stage")
@click.option("--device", default="cpu", show_default=True)
@click.option("--precision", default="auto", show_default=True)
@click.option("--graphs", type=click.Choice(["off", "on"]), default="off", show_default=True)
def main(max_size: int, stages: int, rounds: int, device: str, precision: str, graphs: str) -> None:
    click.echo(f"{torch.get_num_threads()} threads, torch {torch.__version__}, {device}, {precision}\n")
    click.echo("| stage | size | plain, s | ours, s | plain / ours |\n|---|---|---|---|---|")
    sums = [0.0, 0.0]
    values = {"max_size": max_size, "train_stages": stages, "precision": precision, "graphs": graphs}
    for number, stage in enumerate(measured(rounds, device, **values)):
        height, width = stage.size
        click.echo(f"| {number} | {width}x{height} | {stage.plain:.4f} | {stage.ours:.4f} | {stage.ratio:.2f} |")
        sums = [sums[0] + stage.plain, sums[1] + stage.ours]
    click.echo(f"| sum | | {sums[0]:.3f} | {sums[1]:.3f} | {sums[0] / sums[1]:.2f} |")


if __name__ == "__main__":
    main()
