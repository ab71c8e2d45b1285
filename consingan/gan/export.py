"""A model as a graph for other programs: noise maps and amplitudes in, pictures out.

The graph is the generator with its weights and the coarsest stage's anchor. Its inputs, by name:

- ``noise_0``, ``noise_1`` ...: by stage, float32 ``[B, C, h, w]``, of the shapes that ``shapes`` gives;
- ``amplitudes``: float32 ``[stages]``, what the noise of each stage is multiplied by;
- ``variation``: float32, no axes: what enters stage 0 is ``(1 - variation) * anchor + variation * noise_0``;
- ``codes``: float32 ``[B, K]``, of a model with codes only.

Its output is ``picture``, float32 ``[B, C, H, W]`` in [-1, 1]. It holds no random numbers: ``inputs`` are those of our
samples. The finish is no part of it: its searches depend on their own results.

A generator that sees a picture at every stage (``guides``) has one input, ``source``, float32 ``[B, C, H, W]`` in
[-1, 1], and its ``picture`` is of that size.
"""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from consingan.errors import UserError
from consingan.gan import codes, guides, sampling
from consingan.gan.model import SingleImageModel
from consingan.grid.noise import Draw, mixed
from consingan.grid.resize import resize
from consingan.grid.sizes import NOWHERE, Size, size_of
from consingan.grid.torus import joined
from consingan.grid.windows import Part, Window

OPSET = 18  # the first whose Resize has antialiasing
MOST_BYTES = 2**31 - 2**20  # of one file: protobuf ends at 2 GiB
SMALLEST = 2  # px of a side of any stage
METADATA = "consingan"  # the key of what a file says of itself, as JSON


class Graph(nn.Module):
    """The way from noise to pictures, written for a tracer.

    Args:
        model: whose generator.
        sizes: ``(H, W)`` of the stages where they are fixed; None where they are those of the noise.
    """

    anchor: Tensor

    def __init__(self, model: SingleImageModel, sizes: Sequence[Size] | None):
        super().__init__()
        self.generator, self.sizes = model.generator, sizes
        anchor = model.fixed[0]
        self.register_buffer("anchor", joined(resize(anchor, sizes[0]), model.wraps) if sizes else anchor)

    def forward(
        self, noise: Sequence[Tensor], amplitudes: Tensor, variation: Tensor, values: Tensor | None = None
    ) -> Tensor:
        """Pictures ``[B, C, H, W]``, see the top of this file."""
        sizes = self.sizes or [size_of(noise[0]), *(self._size(later) for later in noise[1:])]
        anchor = self.anchor if self.sizes else resized(self.anchor, sizes[0])
        first = mixed(anchor, noise[0], variation)  # type: ignore[arg-type]
        first = first if values is None else codes.joined(first, values)
        parts = None if self.sizes else whole(self.generator, sizes)
        by_stage = list(amplitudes.unbind())
        features = self.generator.features([first, *noise[1:]], by_stage, sizes, wanted=parts)  # type: ignore[arg-type]
        return self.generator.picture(features)

    def _size(self, noise: Tensor) -> Size:
        """``(H, W)`` of a later stage of the noise's size."""
        more = self.generator.border.noise_size((0, 0))
        height, width = size_of(noise)
        return height - more[0], width - more[1]


class Seeing(nn.Module):
    """The way of a picture through a generator that sees it at every stage, for a tracer.

    Args:
        model: whose generator.
    """

    def __init__(self, model: SingleImageModel):
        super().__init__()
        self.model, self.generator = model, model.generator  # a tracer looks for weights among modules

    def forward(self, source: Tensor) -> Tensor:
        """``[B, C, H, W]`` in [-1, 1] -> the same shape, as ``SingleImageModel.transform`` without noise."""
        return guides.translated(self.model, source)


@dataclass(frozen=True)
class Traced:
    """What a tracer is given.

    Args:
        graph: to trace.
        example: its arguments.
        free: by argument, the axes whose length is free.
        names: of the arguments in a file.
    """

    graph: nn.Module
    example: list[Any]
    free: list[Any]
    names: list[str]


def resized(anchor: Tensor, size: Size) -> Tensor:
    """As ``resize``, to a size without a number."""
    return torch.nn.functional.interpolate(anchor, size, mode="bicubic", antialias=True)


def whole(generator: Any, sizes: Sequence[Size]) -> list[Part]:
    """By stage, all of it: what the whole picture depends on where a plane ends at its borders."""
    windows = [Window.whole(size) for size in sizes]
    noise = [windows[0], *(Window.whole(generator.border.noise_size(size)) for size in sizes[1:])]
    return [Part(window, window, entering) for window, entering in zip(windows, noise, strict=True)]


def any_size(model: SingleImageModel) -> bool:
    """Whether one graph can make pictures of any size: nothing in it may depend on where a window lies.

    A circle's weights of resizing are those of its length, and a picture that is seen is resized by numbers.
    """
    sizes = model.sizes[: model.stages]
    if model.guided or model.wraps != NOWHERE:
        return False
    return whole(model.generator, sizes) == model.generator.parts(sizes)


@dataclass(frozen=True)
class Exported:
    """A file.

    Args:
        data: what is in it.
        size: ``(H, W)`` of its pictures; None where it makes any.
    """

    data: bytes
    size: Size | None


def shapes(model: SingleImageModel, size: Size) -> list[tuple[int, int, int, int]]:
    """By stage, the shape of the noise ``[1, C, h, w]`` for a picture of ``(H, W)``."""
    return [model.generator.input_shape(stage, own) for stage, own in enumerate(model.sizes_for(size))]


def noise_bytes(model: SingleImageModel, size: Size) -> int:
    """What the noise for a picture of ``(H, W)`` takes."""
    return sum(4 * prod(shape) for shape in shapes(model, size))


def place(model: SingleImageModel, seed: int, number: int) -> Draw:
    """The place of the random numbers of our sample ``number`` of a seed."""
    return Draw(seed, ("sample", number), model.device)


def as_npz(arrays: Mapping[str, np.ndarray]) -> bytes:
    """A file of ``numpy.load``, not compressed."""
    held = io.BytesIO()
    np.savez(held, **arrays)  # type: ignore[arg-type]
    return held.getvalue()


def inputs(
    model: SingleImageModel, draw: Draw, size: Size, start: int = 0, variation: float | None = None
) -> dict[str, np.ndarray]:
    """What the graph makes the picture of ``SingleImageModel.layouts([draw], size, start, variation)`` of, by name.

    Args:
        model, draw, size, start, variation: as for ``layouts``; see ``place``.
    """
    found = sampling.sources(model, [draw], model.sizes_for(size), start, variation=1.0)
    noise = [source(Window.whole(shape[2:])) for source, shape in zip(found, shapes(model, size), strict=True)]
    share = 1.0 if start else model.settings.sampling.variation if variation is None else variation
    channels = model.generator.channels
    tensors = {f"noise_{stage}": x[:, :channels] if stage == 0 else x for stage, x in enumerate(noise)}
    tensors |= {"amplitudes": torch.tensor(model.amplitudes), "variation": torch.tensor(share)}
    if model.settings.codes.channels:
        tensors["codes"] = noise[0][:, channels:, 0, 0]
    return {name: x.float().contiguous().cpu().numpy() for name, x in tensors.items()}


def onnx_file(model: SingleImageModel, version: str, size: Size | None = None) -> Exported:
    """A model as ONNX, in one file.

    Args:
        model: on the CPU.
        version: of this program, for the file.
        size: ``(H, W)`` of the pictures, to fix it; None for any size, or the trained one where that is not possible.

    Raises:
        UserError: the file would be larger than ONNX allows.
        ModuleNotFoundError: onnx or onnxscript is not installed.
    """
    size = settled(model, size)
    made = facts(model, version, size)
    given = traced(model, size)
    with quietly():
        program = torch.onnx.export(
            traced_program(given),
            dynamo=True,
            external_data=False,
            opset_version=OPSET,
            input_names=given.names,
            output_names=["picture"],
            verbose=False,
        )
    proto = program.model_proto  # type: ignore[union-attr]
    proto.producer_name, proto.producer_version = "consingan", version
    entry = proto.metadata_props.add()
    entry.key, entry.value = METADATA, json.dumps(made)
    return Exported(proto.SerializeToString(), size)


def pt2_file(model: SingleImageModel, version: str, size: Size | None = None) -> Exported:
    """A model as a program of ``torch.export``, for ``torch.export.load``; arguments as ``onnx_file``."""
    size = settled(model, size)
    held = io.BytesIO()
    extra = {METADATA: json.dumps(facts(model, version, size))}
    program = traced_program(traced(model, size))
    with quietly():
        torch.export.save(program, held, extra_files=extra)
    return Exported(held.getvalue(), size)


def settled(model: SingleImageModel, size: Size | None) -> Size | None:
    """The size that a file is for: as wanted; None, any, only where one graph can make them.

    Raises:
        UserError: the file would be larger than ONNX allows.
    """
    held = sum(4 * value.numel() for value in model.generator.state_dict().values())
    if held > MOST_BYTES:
        raise UserError(
            f"The model has {held / 2**30:.1f} GiB of weights, and a file of ONNX holds 2 at most; train one with a "
            "smaller --nfc or --ker_size."
        )
    return size or (None if any_size(model) else model.size)


def facts(model: SingleImageModel, version: str, size: Size | None) -> dict[str, Any]:
    """What a file says of itself, as JSON values.

    ``sizes`` are ``(H, W)`` of the stages as trained; a stage's noise has ``more`` rows and columns than the stage.
    ``tileable`` says along which axes pictures repeat, and ``sees`` what goes in: noise, or a picture.
    """
    more = model.generator.border.noise_size((0, 0))
    return {
        "version": version,
        "channels": model.generator.channels,
        "features": model.generator.width,
        "sizes": [list(own) for own in model.sizes[: model.stages]],
        "more": [[0, 0], *[list(more)] * (model.stages - 1)],
        "amplitudes": list(model.amplitudes),
        "variation": model.settings.sampling.variation,
        "codes": model.settings.codes.channels,
        "categories": model.settings.codes.code_categories,
        "border": model.generator.border.name,
        "tileable": model.settings.network.tileable,
        "sees": "picture" if model.guided else "noise",
        "size": list(size) if size else None,
    }


def traced(model: SingleImageModel, size: Size | None) -> Traced:
    """The way to pictures of a size, or of any; free are the batch, and without a size all sides."""
    batch = torch.export.Dim("batch")
    if model.guided:
        shape = (2, model.generator.channels, *(size or model.size))
        return Traced(Seeing(model), [torch.zeros(shape)], [{0: batch}], ["source"])
    given = inputs(model, place(model, 0, 0), size or model.size)
    noise = [torch.from_numpy(given[f"noise_{stage}"]).repeat(2, 1, 1, 1) for stage in range(model.stages)]
    sides = [{} if size else free_sides(model, stage) for stage in range(model.stages)]
    example: list[Any] = [noise, torch.from_numpy(given["amplitudes"]), torch.tensor(float(given["variation"]))]
    free: list[Any] = [[{0: batch} | own for own in sides], None, None]
    if "codes" in given:
        example.append(torch.from_numpy(given["codes"]).repeat(2, 1))
        free.append({0: batch})
    return Traced(Graph(model, model.sizes_for(size) if size else None), example, free, list(given))


def traced_program(given: Traced) -> torch.export.ExportedProgram:
    """A graph as torch traces it."""
    graph = given.graph.eval()
    with torch.no_grad(), quietly():
        graph(*given.example)  # the weights of resizing are kept from here on: those of a tracer would have no numbers
        return torch.export.export(graph, tuple(given.example), dynamic_shapes=tuple(given.free), strict=False)


def free_sides(model: SingleImageModel, stage: int) -> dict[int, Any]:
    """Rows and columns of a stage's noise by their axes, as torch's tracer names what is free."""
    more = model.generator.border.noise_size((0, 0)) if stage else (0, 0)
    names = (f"height_{stage}", f"width_{stage}")
    return {
        axis: torch.export.Dim(name, min=SMALLEST + own) for axis, name, own in zip((2, 3), names, more, strict=True)
    }


@contextmanager
def quietly() -> Iterator[None]:
    """Without what the exporters say of torchvision and of their steps."""
    known = logging.getLogger("torch.onnx"), logging.getLogger("onnxscript"), logging.getLogger("onnx_ir")
    before = [logger.level for logger in known]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in known:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(known, before, strict=True):
                logger.setLevel(level)
