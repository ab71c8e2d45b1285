"""The trained thing: generator, anchors, amplitudes and sizes of one picture, in one portable file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from consingan.config import Train
from consingan.finish.photo import Photo
from consingan.finish.scales import FRAME_BOUND
from consingan.gan import album, codes, guides, injection, model_file, sampling, shown, steering
from consingan.gan.after import Chain
from consingan.gan.generator import of_settings
from consingan.gan.layers import move
from consingan.gan.memory import patiently
from consingan.gan.model_file import ANCHOR, GENERATOR, PHOTO, Header, check_tensors, checked_photo
from consingan.gan.norms import refer
from consingan.gan.sampling import Walk
from consingan.gan.sources import channels_last, nearest
from consingan.gan.stills import Stills, as_size, checked
from consingan.grid.kinds import Kind
from consingan.grid.noise import Draw, Field, Source, as_source
from consingan.grid.resize import resize
from consingan.grid.sizes import WRAPS, Size, Wraps, of_as_many_pixels, rescaled
from consingan.grid.torus import going_on, joined
from consingan.grid.windows import Window, tiles

TILE = 64 * 512**2  # numbers of a feature map that are computed together; about five such maps are in memory
UNUSED = torch.empty(0)  # in place of a stage's input that is not looked at
KEPT = 256**2  # pixels up to which an anchor stays in memory


class SingleImageModel:
    """A generator with all that it needs to make pictures; several threads may sample it at once.

    Args:
        settings: the configuration that it is trained with.
        border: the task's way with borders, a name in ``BORDERS``.
        sizes: ``(H, W)`` of every stage of the pyramid, coarsest first.
        device: where it lives.

    Attributes:
        anchors: by stage, the fixed input whose output must be the picture.
        fixed: those of them that are tensors: stage 0's, and in a model of an earlier version all. The others are
            noise that is known by its place. Of a guided model the picture at every stage's size.
        noise_seed: of these.
        guided, others: whether it sees pictures (``guides``); by branch, those trained beside it.
        pages: the models of the further pictures that it has learned from, which have its generator and the rest of
            their own (``album``).
        photo: the training picture at its own size, whose patches finish samples; None where that is not known.
        kind: what the channels of its pictures are; those with alpha are premultiplied.
        tile: pixels of a picture that are computed together, see ``render``.
        say: is told when memory runs out and smaller tiles are taken.
    """

    def __init__(self, settings: Train, border: str, sizes: Sequence[Size], device: torch.device | str = "cpu"):
        self.settings, self.sizes, self.device = settings, list(sizes), torch.device(device)
        self.guided = guides.guided(settings)
        self.others: dict[str, SingleImageModel] = {}
        self.pages: list[SingleImageModel] = []
        self.fixed: list[Tensor] = []
        self.anchors: list[Source] = []
        self.amplitudes: list[float] = []
        self.noise_seed = settings.runtime.seed
        self.photo: Photo | None = None
        self.kind = Kind(settings.network.nc_im)
        self.generator = of_settings(settings, border)
        self.tile = TILE // settings.network.nfc
        self.say: Callable[[str], None] = lambda note: None
        move(self.generator, self.device)

    @property
    def stages(self) -> int:
        """Stages that it has grown so far."""
        return len(self.amplitudes)

    @property
    def wraps(self) -> Wraps:
        """Along which axes its pictures go on at their other side."""
        return WRAPS[self.settings.network.tileable]

    @property
    def size(self) -> Size:
        """``(H, W)`` of the pictures that its newest stage makes."""
        return self.sizes[self.stages - 1]

    def grow(self, real: Tensor, first_anchor: Tensor, networks: bool = True) -> None:
        """Add a stage with its anchor and fix its amplitude.

        The amplitude is ``noise_amp`` times the root mean squared error of the reconstruction before the new stage
        has noise: detail that is missing leaves room for variation.

        Args:
            real: ``[1, C, H, W]`` in [-1, 1], the picture at the new stage's size.
            first_anchor: ``[1, C, h, w]``, the anchor of stage 0; used there only.
            networks: whether its generator grows too; that of several pictures has grown with the first.
        """
        stage = self.stages
        if stage == 0:
            self.fixed, self.amplitudes = [first_anchor], [1.0]
            self.anchors = [self._anchor(0)]
            refer(self)
            return
        if networks:
            self.generator.grow()
            move(self.generator, self.device)
        self.amplitudes.append(float(self.guided))
        self.fixed += [real] if self.guided else []
        self.anchors.append(self._anchor(stage))
        refer(self)
        if self.guided:  # the picture is all there is
            return
        error = (self.reconstruct() - real).square().mean().sqrt()
        self.amplitudes[stage] = self.settings.objective.noise_amp * error.item()
        refer(self)

    def _anchor(self, stage: int) -> Source:
        """The anchor of a stage; that of a small stage is drawn once and kept."""
        plane = self.generator.plane(stage, self.sizes[stage])
        if stage < len(self.fixed):
            return going_on(self._at_rest(stage, as_source(guides.at_rest(self, stage))), plane)
        field = going_on(self.noise(Draw(self.noise_seed, ("anchor",), self.device), stage), plane)
        return as_source(field(Window.whole(plane))) if plane[0] * plane[1] <= KEPT else field

    def noise(self, draw: Draw, stage: int) -> Source:
        """Noise of a stage at a place, without end to the right and below; stage 0's has no code."""
        return self._at_rest(stage, Field(draw.at(stage), self.generator.input_shape(stage, (1, 1))[1]).cut)

    def _at_rest(self, stage: int, source: Source) -> Source:
        """A stage's input without a code, of one but for its codes."""
        return source if stage else codes.joining(source, self.no_code)

    @property
    def no_code(self) -> Tensor:
        """That of the reconstruction, ``[1, K]``."""
        return torch.zeros(1, self.settings.codes.channels, device=self.device)

    @torch.no_grad()
    def generate(self, inputs: Sequence[Tensor], sizes: Sequence[Size], window: Window | None = None) -> Tensor:
        """Pictures ``[B, C, H, W]`` in [-1, 1] from the inputs of every grown stage (see ``GrowingGenerator``)."""
        return self.generator(inputs, self.amplitudes, sizes, window=window).contiguous()

    def render(
        self, sources: Sequence[Source], sizes: Sequence[Size], start: int = 0, below: Tensor | None = None
    ) -> Tensor:
        """Pictures of any size, ``[B, C, H, W]`` in [-1, 1], in memory bounded by a tile and by the picture itself.

        Stages of at most ``tile`` pixels are computed once and whole, those above tile by tile, each from the parts
        that it depends on: the seams are exact. Batch norm takes the statistics of the whole, so there all is whole.
        Where memory runs out the tiles become smaller.

        Args:
            sources: by stage; those below ``start`` are not asked.
            sizes, start, below: as for ``GrowingGenerator``; ``below`` is whole.

        Raises:
            RuntimeError, MemoryError: even the smallest tiles need more memory than there is.
        """
        return patiently(self, lambda: self._render(sources, sizes, start, below))

    @torch.no_grad()
    def _render(self, sources: Sequence[Source], sizes: Sequence[Size], start: int, below: Tensor | None) -> Tensor:
        stages, generator = len(sources), self.generator
        tiled = next((i for i, size in enumerate(sizes) if size[0] * size[1] > self.tile), stages)
        first = stages if self.settings.network.whole else max(1, start, tiled)
        planes = [generator.plane(stage, size) for stage, size in enumerate(sizes)]
        inputs = [sources[i](Window.whole(planes[i])) for i in range(start, first)]
        below = generator.features([UNUSED] * start + inputs, self.amplitudes, sizes, start, below)
        if first == stages:
            return generator.picture(below).contiguous()
        picture = torch.empty(len(below), generator.channels, *sizes[-1], dtype=below.dtype, device=below.device)
        for tile in tiles(sizes[-1], self.tile):
            parts = generator.parts(sizes, tile)
            inputs = [going_on(sources[i], planes[i])(parts[i].noise) for i in range(first, stages)]
            kept = parts[first - 1].needed.cut(below)
            tile.cut(picture).copy_(generator([UNUSED] * first + inputs, self.amplitudes, sizes, first, kept, tile))
        return picture

    def reconstruct(self) -> Tensor:
        """The picture itself, as well as the model learned it: ``[1, C, H, W]`` in [-1, 1]."""
        return self.render(self.anchors, self.sizes[: self.stages])

    @torch.no_grad()
    def transform(self, picture: Tensor, start: int = 0, noise_scale: float = 1.0, seed: int = 0) -> Tensor:
        """What the model makes of another picture, as harmonization does.

        Args:
            picture: ``[1, C, H, W]`` in [-1, 1], any size.
            start: the stage that the picture enters at (see ``injection``); more keeps more of the picture.
            noise_scale: times the noise of the later stages; 0 is without.
            seed: of that noise.

        Returns:
            ``[1, C, h, w]`` in [-1, 1], at the trained resolution in the picture's own proportions.
        """
        return injection.transformed(self, picture, start, noise_scale, seed)

    def fitting(self, size: Size) -> Size:
        """``(H, W)`` of a picture of the given size at the model's resolution."""
        return of_as_many_pixels(size, self.size)

    def sample(self, n: int = 1, size: Size | str | None = None, seed: int = 0, start: int = 0, **how: Any) -> Tensor:
        """New pictures.

        Args:
            n: how many, 1 or more; the first k of n are the same for every n.
            size: ``(H, W)`` in pixels, or ``"WIDTHxHEIGHT"``; the model's own if None.
            seed: of the noise.
            start: first stage that draws noise; stages below it keep their anchors.
            how: further fields of ``Stills``: ``variation``, ``finish``, ``finish_seed``, ``like`` and others.

        Returns:
            ``[n, C, H, W]`` in [-1, 1] on the model's device.

        Raises:
            UserError: a value is out of range, or the model holds no picture to finish with.
        """
        options = checked(Stills(num_samples=n, seed=seed, gen_start_scale=start, **how), self.stages)
        return torch.cat(list(self.samples(options, None if size is None else as_size(size))))

    def samples(self, options: Stills, size: Size | None = None, after: Chain | None = None) -> Iterator[Tensor]:
        """As ``sample``, one ``[1, C, H, W]`` at a time.

        Args:
            options: what they are to be like.
            size: ``(H, W)`` in pixels; the first that the options name if None.
            after: the steps from the generator to the picture; those that the options name if None.
        """
        return sampling.stills(self, options, size, after, steering.wanted(self, options))

    def layouts(
        self,
        draws: Sequence[Draw],
        size: Size,
        start: int = 0,
        variation: float | None = None,
        values: Tensor | None = None,
        toward: steering.Toward | None = None,
    ) -> Tensor:
        """What the generator makes of noise: ``[B, C, H, W]`` in [-1, 1].

        Args:
            draws: by picture, the place of its random numbers.
            size: ``(H, W)`` in pixels, of as much detail per pixel as it was trained with.
            start, variation: as for ``sample``.
            values: ``[B, K]``, their codes; those of the draws if None.
            toward: what they follow.
        """
        sizes = self.sizes_for(size)
        sources = sampling.sources(self, draws, sizes, start, variation, values)
        if toward is not None:
            share = 1.0 if start else self.settings.sampling.variation if variation is None else variation
            sources = toward.sources(self, sources, start, share, sizes)
        return self.render(sources, sizes)

    def animate(
        self,
        frames: int = 100,
        alpha: float = 0.1,
        beta: float = 0.9,
        start: int = 0,
        seed: int = 0,
        finish: str | None = None,
        longest: int = FRAME_BOUND,
    ) -> Iterator[Tensor]:
        """The frames of a ``walk``, finished, one at a time.

        Args:
            frames, alpha, beta, start, seed: as for ``walk``.
            finish: ``moved``, the picture moves as the walk does; ``patches``, each frame is made anew of the picture's
                patches; ``none``. If None: ``moved`` where the configuration finishes samples at all.
            longest: px of finished frames' longer side at most.

        Raises:
            UserError: a value is out of range, or the model holds no picture to finish with.
        """
        way = Walk.checked(self.stages, frames, alpha, beta, start, seed)
        return sampling.frames(self, way, sampling.frame_steps(self, finish, longest))

    def walk(self, frames: int, alpha: float, beta: float, start: int, seed: int) -> Iterator[Tensor]:
        """Frames ``[1, C, H, W]`` of a random walk in the noise from stage ``start`` up (see ``noise.walk``).

        Of pictures larger than a tile, all frames of a tile are made before the next tile, so that the walk's own
        memory is bounded by the tile as well.
        """
        return sampling.layouts_of(self, Walk(frames, alpha, beta, start, seed))

    def sizes_for(self, size: Size) -> list[Size]:
        """Sizes of the grown stages for an output of ``size``: each stage's own, times the same scale per axis."""
        scale_h, scale_w = size[0] / self.size[0], size[1] / self.size[1]
        return [rescaled(s, scale_h, scale_w) for s in self.sizes[: self.stages - 1]] + [size]

    def anchors_for(self, sizes: Sequence[Size], stages: int) -> list[Source]:
        """Anchors of the first stages for other sizes: the coarsest resized, noise repeated pixel by pixel."""
        fitted = []
        for stage in range(stages):
            own, wanted = (self.generator.plane(stage, s[stage]) for s in (self.sizes, sizes))
            anchor = self.anchors[stage] if stage else as_source(joined(resize(self.fixed[0], wanted), self.wraps))
            fitted.append(nearest(anchor, own, wanted) if stage else self._at_rest(0, anchor))
        return fitted

    def tensors(self) -> dict[str, Tensor]:
        """Everything that has to be stored, by name."""
        weights = {f"{GENERATOR}{name}": value for name, value in self.generator.state_dict().items()}
        anchors = {f"{ANCHOR}{stage}": anchor for stage, anchor in enumerate(self.fixed)}
        return weights | anchors | ({PHOTO: self.photo.pixels} if self.photo else {}) | album.tensors(self.pages)

    def header(self) -> dict[str, Any]:
        """What has to be stored beside the tensors, as JSON values."""
        border = self.generator.border.name
        pages = tuple((tuple(page.sizes), tuple(page.amplitudes), page.noise_seed) for page in self.pages)
        return Header(self.settings, border, self.sizes, self.amplitudes, self.noise_seed, self.kind, pages).values()

    def save(self, path: str | Path, picture: bool = True) -> None:
        """Write the portable file: safetensors with the configuration in its header.

        Args:
            path: the file.
            picture: whether the training picture goes with it, which finishing samples needs. Who gets the file can
                see it.
        """
        tensors = self.tensors()
        if not picture:
            tensors = {name: value for name, value in tensors.items() if name.rpartition(".")[2] != PHOTO}
        model_file.write(Path(path), tensors, self.header())

    @classmethod
    def load(cls, path: str | Path | bytes | BinaryIO, device: torch.device | str = "cpu") -> SingleImageModel:
        """Read a model file, that of a run folder, its bytes, or an open file. Nothing in it is executed.

        Raises:
            UserError: the file is missing, broken, foreign, holds numbers that are not finite, or its parts do not
                fit each other.
        """
        return cls.restore(*model_file.read(path), device)

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
        stands = Header.read(header, where)
        with torch.device("meta"):  # shapes without memory
            model = cls(stands.settings, stands.border, stands.sizes, "meta")
            for _ in stands.amplitudes[1:]:
                model.generator.grow()
        model._fill(tensors, stands, where)
        return model.to(device)

    def _fill(self, tensors: dict[str, Tensor], header: Header, where: str) -> None:
        """Take over the parts of a file once they are known to fit."""
        self.amplitudes, self.kind = list(header.amplitudes), header.kind
        pixels, of_pages = tensors.pop(PHOTO, None), album.split(tensors)
        if pixels is not None:
            self.photo = Photo(checked_photo(pixels, header.kind, where), self.device, header.kind)
        fixed = self.stages if self.guided else model_file.anchors_held(tensors, header)
        weights = self.generator.state_dict()
        shapes: dict[str, Sequence[int]] = {f"{GENERATOR}{name}": value.shape for name, value in weights.items()}
        for stage in range(fixed):
            shapes[f"{ANCHOR}{stage}"] = guides.held_shape(self, stage)
        check_tensors(tensors, shapes, where)
        self.generator.load_state_dict({name: tensors[f"{GENERATOR}{name}"] for name in weights}, assign=True)
        self.fixed = [tensors[f"{ANCHOR}{stage}"] for stage in range(fixed)]
        self.noise_seed = self.settings.runtime.seed if header.noise_seed is None else header.noise_seed
        self.pages = album.restored(self, header.pages, of_pages, where)

    def __repr__(self) -> str:
        height, width = self.sizes[-1]
        return f"<SingleImageModel of {self.settings.image}: {self.stages} stages up to {width}x{height} px>"

    def _repr_png_(self) -> bytes | None:
        return shown.as_png(self)

    def to(self, device: torch.device | str) -> SingleImageModel:
        """Move to a device, in place."""
        self.device = torch.device(device)
        move(self.generator, self.device)
        self.photo = Photo(self.photo.pixels, self.device, self.kind) if self.photo else None
        self.fixed = [channels_last(anchor.to(self.device)) for anchor in self.fixed]
        self.anchors = [self._anchor(stage) for stage in range(self.stages)]
        self.pages = [album.sharing(page, self.generator).to(device) for page in self.pages]
        return self
