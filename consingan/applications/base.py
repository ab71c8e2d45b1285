"""What an application is: a use of a trained model, or of a picture alone. torch is imported for types only."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import Field, dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self, TypeVar, runtime_checkable

from consingan import config
from consingan.errors import UserError
from consingan.grid.sizes import Size
from consingan.pictures.source import check_file, check_there
from consingan.storage.results import Role

if TYPE_CHECKING:
    import numpy as np
    import torch
    from PIL import Image
    from torch import Tensor

    from consingan.finish.photo import Photo
    from consingan.gan.model import SingleImageModel
    from consingan.grid.kinds import Kind
    from consingan.pictures.images import Picture
    from consingan.storage.run import Run

Told = Callable[[float], None]  # hears how far a picture has come, from 0 to 1


@dataclass(frozen=True)
class Result:
    """One thing that an application makes.

    Args:
        name: path below the output folder, without extension.
        role: what it is to those who look at it.
        frames: pictures ``[1, C, H, W]`` in [-1, 1]; one for a still, several for an animation.
        facts: what the person needs to make it again; written into the file.
        format: extension of the file, without the dot.
        fps: frames per second of an animation, 0 for a still.
        notes: whole sentences that the person should read.
        kind: what the channels of the frames are; 8-bit grey or colour if None.
    """

    name: str
    role: Role
    frames: Sequence[Tensor]
    facts: Mapping[str, str] = field(default_factory=dict)
    format: str = "png"
    fps: float = 0.0
    notes: tuple[str, ...] = ()
    kind: Kind | None = None

    def __repr__(self) -> str:
        height, width = self.frames[0].shape[2:]
        moving = f", {len(self.frames)} frames" if self.fps else ""
        return f"<Result {self.name}: {self.role}, {width}x{height} px{moving}>"

    @property
    def seen(self) -> Tensor:
        """The first frame in grey or colour, ``[1, 1 or 3, H, W]`` in [-1, 1]: alpha on a checkerboard."""
        from consingan.pictures.sheets import on_checks

        return on_checks(self.frames[0], self.kind)

    @property
    def arrays(self) -> list[np.ndarray]:
        """The frames as files hold them, ``[H, W]`` or ``[H, W, C]`` of uint8 or uint16: alpha last and straight."""
        from consingan.grid.kinds import Kind
        from consingan.pictures.arrays import levels_of

        return [levels_of(frame, self.kind or Kind(frame.shape[-3])) for frame in self.frames]

    @property
    def pictures(self) -> list[Image.Image]:
        """The frames as pictures of Pillow's, see ``shown.as_pillow``."""
        from consingan.pictures.shown import as_pillow

        return [as_pillow(frame, self.kind) for frame in self.frames]

    def _repr_png_(self) -> bytes:
        """The first frame, as notebooks show it."""
        from consingan.pictures.shown import as_png

        return as_png(self.frames[:1], self.kind)


@dataclass(frozen=True, eq=False)
class Material:
    """What an application works on.

    Args:
        model: trained, or None where there is the picture alone.
        photo: the training picture at its own size; None where that is not known.
        run: where the model was trained, for those that look at what else lies there.
    """

    model: SingleImageModel | None = None
    photo: Photo | None = None
    run: Run | None = None

    @classmethod
    def of(cls, model: SingleImageModel, run: Run | None = None) -> Material:
        """A trained model with the picture that it holds."""
        return cls(model, model.photo, run)

    @classmethod
    def of_picture(cls, picture: Picture, device: torch.device, whole: bool = False) -> Material:
        """A picture without a model, to be worked on on a device; at its own size where it is wanted whole."""
        from consingan.finish import photo

        keep = photo.whole if whole else photo.stored
        return cls(photo=photo.Photo(keep(picture.pixels, picture.known), device, picture.known))

    @property
    def trained(self) -> SingleImageModel:
        """The model.

        Raises:
            UserError: there is none.
        """
        if self.model is None:
            raise UserError("This needs a trained model, and there is a picture alone; name a run folder.")
        return self.model


@dataclass(frozen=True)
class Expected:
    """What an application will make, where that is known before and worth a word.

    Args:
        number: pictures of each size; 0 where nothing is known.
        sizes: ``(H, W)``.
        finished: whether they are finished.
        before: seconds that each takes before it is finished, where that is worth a word.
        what: one of them is called.
    """

    number: int = 0
    sizes: Sequence[Size] = ()
    finished: bool = True
    before: float = 0.0
    what: str = "sample"


class Options(Protocol):
    """A frozen dataclass of ``config.setting`` fields: flags are made of it."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    def single(self) -> Self:
        """The same for one result where they leave open how many there are.

        Raises:
            UserError: they want several.
        """


Own = TypeVar("Own", bound=Options)


class Application(Protocol[Own]):
    """The contract; see CONTRIBUTING.md for how to add one."""

    @property
    def name(self) -> str:
        """The word behind --application."""

    @property
    def summary(self) -> str:
        """What it makes, in a few words."""

    @property
    def options(self) -> Own:
        """Its options as they are where nothing is said."""

    def unfit(self, material: Material) -> str | None:
        """Why it cannot work on the material, in one sentence that says what to do; None where it can."""

    def announce(self, material: Material, options: Own) -> Expected:
        """What it will make, for those who tell how long that takes.

        Raises:
            UserError: the options do not fit.
        """

    def apply(self, material: Material, options: Own, told: Told) -> Iterator[Result]:
        """Make the results, one at a time.

        Args:
            material: that it fits.
            options: how.
            told: hears how far the result in progress has come, where that takes long.

        Raises:
            UserError: the options do not fit; before anything is yielded.
        """


@runtime_checkable
class Asked(Protocol):
    """What an application has beside ``Application`` where a flag's value asks for it without its name."""

    def asked(self, given: Mapping[str, Any]) -> bool:
        """Whether these flags, by name, ask for it."""


def declared(application: Application[Any]) -> list[config.Declared]:
    """The settings of an application's options, with its own defaults."""
    return [
        replace(s, default=getattr(application.options, s.name)) for s in config.declared(type(application.options))
    ]


def chosen(application: Application[Own], given: Mapping[str, Any]) -> Own:
    """The options of an application with some given.

    Raises:
        UserError: it has no such option, a value is of the wrong type or out of range, or a file does not exist.
    """
    own = {s.name: s for s in declared(application)}
    for name in given:
        if name not in own:
            raise UserError(f"--{name} is no flag of --application {application.name}; leave it out.")
    values = {name: checked(own[name], value) for name, value in given.items()}
    return type(application.options)(**{name: s.default for name, s in own.items()} | values)


def checked(option: config.Declared, value: Any) -> Any:
    """A value in its declared type.

    Raises:
        UserError: it is of another, out of range, or a file that does not exist; names the flag.
    """
    found = config.check(option, value)
    if option.setting.file and found is not None:
        (check_there if option.setting.folder else check_file)(found, f"--{option.name}")
    return found


def without_model(application: str, material: Material) -> str | None:
    """The sentence of an application that needs a trained model where there is none."""
    if material.model is not None:
        return None
    return f"--application {application} needs a trained model; name a run folder, or leave the flag out."


def quiet(share: float) -> None:
    """Told nobody."""
