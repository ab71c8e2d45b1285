"""One training iteration.

The arithmetic is that of the method; what cannot change the result is done once: the fake serves all critic steps,
fake and reconstruction are one batch, frozen stages run without gradients, and where these are small the anchors pass
them once per stage.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor

from consingan.devices import Products
from consingan.gan import schedule
from consingan.gan.model import KEPT, SingleImageModel, channels_last
from consingan.gan.networks import Critic, PatchCritic, located, widened
from consingan.gan.objectives import OBJECTIVES
from consingan.grid.noise import Source, as_source
from consingan.grid.sizes import Size
from consingan.grid.windows import Part, Window
from consingan.pictures import structure


class Step:
    """The iteration of one stage: a callable from the iteration's random inputs to its loss terms.

    Args:
        model: just grown; its newest stages are trained in place.
        critic: carried from stage to stage; trained in place.
        real: ``[1, C, H, W]`` in [-1, 1].
        kept: ``[1, C, H, W]`` in [-1, 1], a picture whose structure the fake is to have; None for any.
    """

    def __init__(self, model: SingleImageModel, critic: PatchCritic, real: Tensor, kept: Tensor | None = None):
        config = model.settings
        self.model, self.critic, self.real = model, critic, real
        self.optimisation, self.alpha = config.optimisation, config.objective.alpha
        self.keep_structure = config.naive.keep_structure
        self.kept = kept if self.keep_structure else None
        self.objective = OBJECTIVES[config.objective.objective](config.objective.lambda_grad)
        self.frozen = schedule.first_learning(model.stages - 1, self.optimisation.train_depth)
        groups = schedule.parameter_groups(
            model.generator, self.optimisation.train_depth, self.optimisation.lr_g, self.optimisation.lr_scale
        )
        self.recorded = config.runtime.graphs == "on" and model.device.type == "cuda"
        self.generator_optimiser = adam(groups, self.optimisation.beta1, self.recorded)
        critic_groups = [
            {
                "params": list(critic.parameters()),
                "lr": self.optimisation.lr_d,
                "initial_lr": self.optimisation.lr_d,
            }
        ]
        self.critic_optimiser = adam(critic_groups, self.optimisation.beta1, self.recorded)
        if config.runtime.compile:
            for part in (model.generator.head, *model.generator.stages, model.generator.tail, critic):
                part.compile()
        self.critic_of_all = located(critic, config.network.positions, model.size, None, model.device)
        self.precision = precision(config.runtime.precision, model.device, model.size)
        self.anchors = self._kept_anchors() if self.recorded else model.anchors
        self.anchor_prefix = self._anchor_prefix()

    def __call__(
        self, inputs: Sequence[Tensor], uniforms: Sequence[Tensor], window: Window | None = None
    ) -> dict[str, Tensor]:
        """Update critic and generator once.

        Args:
            inputs: by stage, what the generator makes the fake of (see ``GrowingGenerator.forward``).
            uniforms: per critic step, the penalty's mixing weight ``[1, 1, 1, 1]`` in [0, 1].
            window: the part of the picture that all losses are taken on; all of it if None.

        Returns:
            Loss terms by name, 0-dim, on the device.
        """
        real = window.cut(self.real) if window else self.real
        kept = window.cut(self.kept) if window and self.kept is not None else self.kept
        with self.precision:
            fake, reconstruction = self._pictures(inputs, window)  # [1, C, h, w] each
            terms: dict[str, Tensor] = {}
            critic = self.critic_at(window)
            for uniform in uniforms:
                terms |= self._update_critic(critic, real, fake.detach(), uniform)
            terms |= self._update_generator(critic, real, fake, reconstruction, kept)
        return terms

    @property
    def optimisers(self) -> dict[str, torch.optim.Adam]:
        """Both, by the names that checkpoints give them."""
        return {"generator_optimiser": self.generator_optimiser, "critic_optimiser": self.critic_optimiser}

    def decay(self, factor: float) -> None:
        """Set the learning rates to their initial ones times ``factor``."""
        for optimiser in self.optimisers.values():
            for group in optimiser.param_groups:
                rate = factor * group["initial_lr"]
                group["lr"] = group["lr"].fill_(rate) if isinstance(group["lr"], Tensor) else rate

    def critic_at(self, window: Window | None) -> Critic:
        """The critic as it looks at a window: with the places of its pixels, where it is told them."""
        if window is None:
            return self.critic_of_all
        return located(self.critic, self.model.settings.network.positions, self.model.size, window, self.model.device)

    def _update_critic(self, critic: Critic, real: Tensor, fake: Tensor, uniform: Tensor) -> dict[str, Tensor]:
        terms = self.objective.critic_loss(critic, real, fake, uniform)
        self.critic_optimiser.zero_grad()
        total(terms).backward()
        self.critic_optimiser.step()
        return detached(terms)

    def _update_generator(
        self, critic: Critic, real: Tensor, fake: Tensor, reconstruction: Tensor, kept: Tensor | None
    ) -> dict[str, Tensor]:
        self.critic.requires_grad_(False)
        terms = self.objective.generator_loss(critic, fake)
        terms["reconstruction"] = self.alpha * F.mse_loss(widened(reconstruction), real)
        if kept is not None:
            terms["structure"] = self.keep_structure * structure.difference(widened(fake), kept)
        self.generator_optimiser.zero_grad()
        total(terms).backward()
        for _ in range(self.optimisation.Gsteps):  # one gradient, applied several times
            self.generator_optimiser.step()
        self.critic.requires_grad_(True)
        return detached(terms)

    def _pictures(self, inputs: Sequence[Tensor], window: Window | None) -> tuple[Tensor, Tensor]:
        """The fake and the reconstruction, computed as one batch."""
        model, sizes = self.model, self.model.sizes[: self.model.stages]
        parts = model.generator.parts(sizes, window)
        both = [
            channels_last(torch.cat([x, anchor(part.noise)]))
            for x, anchor, part in zip(inputs, self.anchors, parts, strict=True)
        ]
        below = None
        if self.anchor_prefix is not None:
            prefix = self._frozen_features(inputs, parts)
            below = channels_last(torch.cat([prefix, parts[self.frozen - 1].needed.cut(self.anchor_prefix)]))
        elif self.frozen:
            below = self._frozen_features(both, parts)
        fake, reconstruction = model.generator(both, model.amplitudes, sizes, self.frozen, below, window).chunk(2)
        return fake, reconstruction

    def _kept_anchors(self) -> list[Source]:
        """The anchors in the device's memory, where a recording reads them."""
        parts = self.model.generator.parts(self.model.sizes[: self.model.stages])
        return [as_source(anchor(part.noise)) for anchor, part in zip(self.model.anchors, parts, strict=True)]

    def _anchor_prefix(self) -> Tensor | None:
        """The anchors' features after the frozen stages, where these are small; else each window computes its own."""
        sizes = self.model.sizes[: self.frozen]
        if not sizes or prod(sizes[-1]) > KEPT:
            return None
        parts = self.model.generator.parts(sizes)
        anchors = [anchor(part.noise) for anchor, part in zip(self.anchors[: self.frozen], parts, strict=True)]
        with self.precision:
            return self._frozen_features(anchors, parts)

    @torch.no_grad()
    def _frozen_features(self, inputs: Sequence[Tensor], parts: Sequence[Part]) -> Tensor:
        model = self.model
        sizes, wanted = model.sizes[: self.frozen], parts[: self.frozen]
        return model.generator.features(inputs[: self.frozen], model.amplitudes, sizes, wanted=wanted)


def total(terms: dict[str, Tensor]) -> Tensor:
    """Sum of named scalars."""
    return torch.stack(list(terms.values())).sum()


def detached(terms: dict[str, Tensor]) -> dict[str, Tensor]:
    """The values without their graphs."""
    return {name: value.detach() for name, value in terms.items()}


def adam(groups: list[dict], beta1: float, recorded: bool = False) -> torch.optim.Adam:
    """Adam as the method has it, in one kernel where torch has one.

    Args:
        groups: parameters with their rates.
        beta1: of the first moment.
        recorded: whether its steps will be replayed from a recording; the rates are then tensors on the device.
    """
    device = groups[0]["params"][0].device
    if recorded:
        groups = [{**group, "lr": torch.tensor(group["lr"], device=device)} for group in groups]
    fused = device.type in ("cpu", "cuda")
    return torch.optim.Adam(groups, betas=(beta1, 0.999), fused=fused, capturable=recorded)


def precision(wanted: str, device: torch.device, size: Size) -> AbstractContextManager:
    """The arithmetic of a stage, as a context that can be entered again and again.

    ``fp32``: float32 throughout. ``tf32``: float32 whose products CUDA rounds to 10 bits; on other devices float32.
    ``bf16``: convolutions in bfloat16 with float32 weights and losses. ``auto`` takes bfloat16 where it is faster: on
    CPUs with tile instructions (AMX) from stages of about 60 px up, on CUDA wherever the device has it. On a CPU that
    has bfloat16 without tiles it was measured to take 1.6 times as long as float32.
    """
    if wanted == "bf16" or (wanted == "auto" and gains_by_bf16(device, size)):
        # no cache: the weights change between two uses within one iteration
        return torch.autocast(device.type, dtype=torch.bfloat16, cache_enabled=False)
    return Products(tf32=wanted != "fp32") if device.type == "cuda" else nullcontext()


def gains_by_bf16(device: torch.device, size: Size) -> bool:
    """Whether bfloat16 is faster than float32 for a stage of this size."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    has_tiles = getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    return device.type == "cpu" and min(size) >= 60 and has_tiles()
