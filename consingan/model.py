"""The trained thing: generator, anchors, amplitudes and sizes of one picture, in one portable file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from consingan import checkpoint, config
from consingan.config import Network, Train
from consingan.errors import UserError
from consingan.networks import Border, GrowingGenerator, place
from consingan.noise import Draw, walk
from consingan.pyramid import rescaled
from consingan.resize import Size, resize
from consingan.windows import Window

LARGEST_PYRAMID = 20  # stages; as --train_stages


class SingleImageModel:
    """A generator with all that it needs to make pictures.

    Args:
        settings: the configuration that it is trained with.
        border: the task's way with borders.
        sizes: ``(H, W)`` of every stage of the pyramid, coarsest first.
        device: where it lives.
    """

    def __init__(self, settings: Train, border: Border, sizes: Sequence[Size], device: torch.device | str = "cpu"):
        network = settings.network
        self.settings, self.sizes, self.device = settings, list(sizes), torch.device(device)
        self.anchors: list[Tensor] = []
        self.amplitudes: list[float] = []
        self.generator = GrowingGenerator(
            **layers(network),
            norm=network.batch_norm,
            border=border,
        )
        place(self.generator, self.device)

    @property
    def stages(self) -> int:
        """Stages that it has grown so far."""
        return len(self.anchors)

    @property
    def size(self) -> Size:
        """``(H, W)`` of the pictures that its newest stage makes."""
        return self.sizes[self.stages - 1]

    def grow(self, real: Tensor, first_anchor: Tensor) -> None:
        """Add a stage with its anchor and fix its amplitude.

        The amplitude is ``noise_amp`` times the root mean squared error of the reconstruction before the new stage
        has noise: detail that is missing leaves room for variation.

        Args:
            real: ``[1, C, H, W]`` in [-1, 1], the picture at the new stage's size.
            first_anchor: ``[1, C, h, w]``, the anchor of stage 0; used there only.
        """
        stage = self.stages
        if stage == 0:
            self.anchors, self.amplitudes = [first_anchor], [1.0]
            return
        self.generator.grow()
        place(self.generator, self.device)
        draw = Draw(self.settings.runtime.seed, ("anchor", stage), self.device)
        self.anchors.append(channels_last(draw.normal(self.generator.input_shape(stage, self.sizes[stage]))))
        self.amplitudes.append(0.0)
        error = (self.reconstruct() - real).square().mean().sqrt()
        self.amplitudes[stage] = self.settings.objective.noise_amp * error.item()

    @torch.no_grad()
    def generate(self, inputs: Sequence[Tensor], sizes: Sequence[Size], window: Window | None = None) -> Tensor:
        """Pictures ``[B, C, H, W]`` in [-1, 1] from the inputs of every grown stage (see ``GrowingGenerator``)."""
        return self.generator(inputs, self.amplitudes, sizes, window=window).contiguous()

    def reconstruct(self) -> Tensor:
        """The picture itself, as well as the model learned it: ``[1, C, H, W]`` in [-1, 1]."""
        return self.generate(self.anchors, self.sizes)

    @torch.no_grad()
    def transform(self, picture: Tensor, start: int = 0, noise_scale: float = 1.0, seed: int = 0) -> Tensor:
        """What the model makes of another picture, as harmonization does.

        Args:
            picture: ``[1, C, H, W]`` in [-1, 1], any size.
            start: the stage at whose size the picture enters, and from which on later stages work; more keeps more
                of the picture.
            noise_scale: times the noise of the later stages; 0 is without.
            seed: of that noise.

        Returns:
            ``[1, C, h, w]`` in [-1, 1], at the trained resolution in the picture's own proportions.
        """
        sizes = self.sizes_for(self.fitting((picture.shape[2], picture.shape[3])))
        entering = channels_last(resize(picture.to(self.device), sizes[start]).clamp(-1, 1))
        below = self.generator.features([entering], [1.0], [sizes[start]])  # the coarsest stage, at that size
        first = max(1, start)
        sizes[first - 1] = sizes[start]  # what the next stage gets
        inputs: list[Tensor] = [entering] * first
        for stage in range(first, self.stages):
            draw = Draw(seed, ("transform", stage), self.device)
            inputs.append(channels_last(noise_scale * draw.normal(self.generator.input_shape(stage, sizes[stage]))))
        features = self.generator.features(inputs, self.amplitudes, sizes, first, below)
        return self.generator.picture(features).contiguous()

    def fitting(self, size: Size) -> Size:
        """``(H, W)`` of a picture of the given size at the model's resolution: of as many pixels, to rounding.

        Pictures of the training picture's proportions get the trained size itself.
        """
        height, width = self.size
        if round(width * size[0] / size[1]) == height or round(height * size[1] / size[0]) == width:
            return self.size
        scale = (height * width / (size[0] * size[1])) ** 0.5
        return rescaled(size, scale, scale)

    def sample(self, n: int = 1, size: Size | None = None, seed: int = 0, start: int = 0) -> Tensor:
        """New pictures.

        Args:
            n: how many; the first k of n are the same for every n.
            size: ``(H, W)`` in pixels, the trained size if None.
            seed: of the noise.
            start: first stage that draws noise; stages below it keep their anchors.

        Returns:
            ``[n, C, H, W]`` in [-1, 1] on the model's device.
        """
        return torch.cat(list(self.samples(n, size, seed, start)))

    def samples(self, n: int, size: Size | None = None, seed: int = 0, start: int = 0) -> Iterator[Tensor]:
        """As ``sample``, one ``[1, C, H, W]`` at a time; several are computed together where the device gains by it."""
        sizes = self.sizes_for(size or self.size)
        anchors = self.anchors_for(sizes, start)
        together = batch_size(self.device)
        for first in range(0, n, together):
            draws = [Draw(seed, ("sample", k), self.device) for k in range(first, min(first + together, n))]
            inputs = [anchor.expand(len(draws), -1, -1, -1) for anchor in anchors]
            for stage in range(start, self.stages):
                shape = self.generator.input_shape(stage, sizes[stage])
                inputs.append(channels_last(torch.cat([draw.at(stage).normal(shape) for draw in draws])))
            yield from self.generate(inputs, sizes).split(1)

    def walk(self, frames: int, alpha: float, beta: float, start: int, seed: int) -> Iterator[Tensor]:
        """Frames ``[1, C, H, W]`` of a random walk in the noise from stage ``start`` up (see ``noise.walk``)."""
        fixed = self.anchors[:start]
        walks = [
            walk(anchor, frames, alpha, beta, Draw(seed, ("walk", stage), self.device))
            for stage, anchor in enumerate(self.anchors[start:], start)
        ]
        for moving in zip(*walks, strict=True):
            yield self.generate([*fixed, *moving], self.sizes)

    def sizes_for(self, size: Size) -> list[Size]:
        """Sizes of the grown stages for an output of ``size``: each stage's own, times the same scale per axis."""
        scale_h, scale_w = size[0] / self.size[0], size[1] / self.size[1]
        return [rescaled(s, scale_h, scale_w) for s in self.sizes[: self.stages - 1]] + [size]

    def anchors_for(self, sizes: Sequence[Size], stages: int) -> list[Tensor]:
        """Anchors of the first stages for other sizes: the coarsest resized, noise repeated pixel by pixel."""
        fitted = []
        for stage in range(stages):
            shape = self.generator.input_shape(stage, sizes[stage])[2:]
            anchor = self.anchors[stage]
            fitted.append(resize(anchor, shape) if stage == 0 else nearest(anchor, shape))
        return fitted

    def tensors(self) -> dict[str, Tensor]:
        """Everything that has to be stored, by name."""
        weights = {f"generator.{name}": value for name, value in self.generator.state_dict().items()}
        return weights | {f"anchor.{stage}": anchor for stage, anchor in enumerate(self.anchors)}

    def header(self) -> dict[str, Any]:
        """What has to be stored beside the tensors, as JSON values."""
        return {
            "config": config.to_json(self.settings),
            "border": self.generator.border,
            "sizes": [list(size) for size in self.sizes],
            "amplitudes": self.amplitudes,
        }

    def save(self, path: str | Path) -> None:
        """Write the portable file: safetensors with the configuration in its header."""
        checkpoint.save_tensors(Path(path), self.tensors(), {"kind": "model", **self.header()})

    @classmethod
    def load(cls, path: str | Path, device: torch.device | str = "cpu") -> SingleImageModel:
        """Read a model file, or that of a run folder. Nothing in it is executed.

        Raises:
            UserError: the file is missing, broken, foreign, holds numbers that are not finite, or its parts do not
                fit each other.
        """
        path = Path(path)
        path = path / "model.safetensors" if path.is_dir() else path
        tensors, header = checkpoint.load_tensors(path)
        for name, value in tensors.items():
            if not value.isfinite().all():
                raise UserError(f"{path} holds numbers that are not finite in {name!r}; use another copy of it.")
        return cls.restore(tensors, header, str(path), device)

    @classmethod
    def restore(
        cls,
        tensors: dict[str, Tensor],
        header: dict[str, Any],
        where: str,
        device: torch.device | str = "cpu",
    ) -> SingleImageModel:
        """The inverse of ``tensors`` and ``header``; ``where`` names their file in messages.

        Raises:
            UserError: a part is missing, unknown or does not fit; no memory is taken before all parts are known to.
        """
        try:
            settings = config.from_json(header["config"], where)
            sizes = [(int(h), int(w)) for h, w in header["sizes"][: LARGEST_PYRAMID + 1]]
            amplitudes = [float(a) for a in header["amplitudes"]]
            border = {"extend": "extend", "zero": "zero"}[header["border"]]
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise UserError(
                f"{where} lacks a valid {error} in its header; use a file that this program wrote."
            ) from None
        if (
            not 1 <= len(amplitudes) <= len(sizes) <= LARGEST_PYRAMID
            or not all(1 <= side <= 65536 for size in sizes for side in size)
            or not all(0 <= amplitude < inf for amplitude in amplitudes)
        ):
            raise UserError(f"{where} has sizes and amplitudes that do not fit; use a file that this program wrote.")
        with torch.device("meta"):  # shapes without memory
            model = cls(settings, border, sizes, "meta")  # type: ignore[arg-type]
            for _ in amplitudes[1:]:
                model.generator.grow()
        model._fill(tensors, amplitudes, where)
        return model.to(device)

    def _fill(self, tensors: dict[str, Tensor], amplitudes: list[float], where: str) -> None:
        self.amplitudes = amplitudes
        shapes = {f"generator.{name}": value.shape for name, value in self.generator.state_dict().items()}
        for stage in range(len(amplitudes)):
            shapes[f"anchor.{stage}"] = torch.Size(self.generator.input_shape(stage, self.sizes[stage]))
        for name in sorted(shapes.keys() | tensors.keys()):
            known = name in tensors and name in shapes
            if not known or tensors[name].shape != shapes[name] or tensors[name].dtype != torch.float32:
                raise UserError(
                    f"{where} does not hold the model that its header names: {name!r} is missing, unknown or unfit."
                )
        weights = {name: tensors[f"generator.{name}"] for name in self.generator.state_dict()}
        self.generator.load_state_dict(weights, assign=True)
        self.anchors = [tensors[f"anchor.{stage}"] for stage in range(len(amplitudes))]

    def to(self, device: torch.device | str) -> SingleImageModel:
        """Move to a device, in place."""
        self.device = torch.device(device)
        place(self.generator, self.device)
        self.anchors = [channels_last(anchor.to(self.device)) for anchor in self.anchors]
        return self


def layers(network: Network) -> dict[str, Any]:
    """What generator and critic have in common, as their keyword arguments."""
    return {
        "channels": network.nc_im,
        "features": network.nfc,
        "kernel": network.ker_size,
        "layers": network.num_layer,
        "padding": network.padd_size,
        "activation": network.activation,
        "slope": network.lrelu_alpha,
    }


def batch_size(device: torch.device) -> int:
    """Samples to compute together: a CPU is busy with one, an accelerator with several."""
    return 1 if device.type == "cpu" else 8


def channels_last(x: Tensor) -> Tensor:
    """The same numbers in the memory format that convolutions are fastest in."""
    return x.contiguous(memory_format=torch.channels_last)


def nearest(x: Tensor, size: Sequence[int]) -> Tensor:
    """Nearest-neighbour resize: noise stays as rough as it was."""
    return x if tuple(x.shape[2:]) == tuple(size) else torch.nn.functional.interpolate(x, tuple(size))
