"""Training and sampling from Python: the same jobs and applications as those of the command line."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

from PIL import Image

from consingan import devices
from consingan.applications import APPLICATIONS
from consingan.applications import style as styles
from consingan.applications.base import Material, chosen, quiet
from consingan.applications.gallery import Gallery
from consingan.applications.use import ALONE
from consingan.errors import UserError
from consingan.gan.model import SingleImageModel
from consingan.pictures import decoding, images
from consingan.storage.run import Run
from consingan.tasks import TASKS
from consingan.tasks.base import Use
from consingan.training.job import Job
from consingan.training.order import Order
from consingan.training.plan import Plan, check_mode
from consingan.watch import displays, notebook
from consingan.watch.displays import DisplayName
from consingan.watch.log import Observer

LAYOUTS = ("patches", "trained")
# Options that are pictures, which trainings and applications read from files.
PICTURES = ("naive_img", "mask", "target_name", "input_name", "clipart", "truth", "like")

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    Picture = str | Path | Image.Image | np.ndarray | Tensor


def train(
    image: Picture | Sequence[str | Path] | None = None,
    *,
    mode: str | None = None,
    preset: str | None = None,
    device: str = "auto",
    outdir: str | Path | None = None,
    resume: str | Path | None = None,
    stop: Callable[[], bool] = lambda: False,
    observers: Sequence[Observer] = (),
    display: DisplayName | None = None,
    checkpoint_every: float = 60.0,
    **settings: Any,
) -> SingleImageModel:
    """Train a model on one picture, or go on with a training that was stopped.

    Args:
        image: a file; a picture of Pillow's; an array ``[H, W]`` or ``[H, W, C]`` (uint8, uint16, or float in [0, 1]);
            or a tensor ``[C, H, W]`` in [-1, 1];
            or several files, for one model of all of them. None where ``resume`` names a run,
            which goes on with its own.
        mode: a name in ``consingan.tasks.TASKS``; generation unless given.
        preset: a name in the task's recipes; fast unless given.
        device: auto, cpu, cuda:N or mps.
        outdir: where to make a run folder; nothing is written without one.
        resume: a run folder to go on with; or auto, to go on with the newest unfinished run below ``outdir`` of the
            same picture, mode and settings, and to begin where there is none.
        stop: asked after every iteration whether to stop; a run folder then holds all that is needed to go on.
        observers: functions that are given every record of ``consingan.watch.log``; one that raises is told nothing
            more, and a RuntimeWarning says so when the training is over.
        display: how progress is shown: rich, plain, json, notebook or quiet; one line in a notebook, quiet elsewhere.
        checkpoint_every: seconds between two checkpoints within a stage, 1 or more.
        settings: any setting of ``consingan.config`` by name, such as ``niter=500``; ``target_name`` and ``naive_img``
            are pictures in any of these forms. Those of ``config.Naive`` let a trained run learn on,
            ``model_dir="last"`` the newest below trained_models; it gives what is not named. ``background="white"``
            lays transparent parts on a colour.

    Returns:
        The model; where ``stop`` ended the training with the stages that it has so far.

    Raises:
        UserError: the picture or a setting cannot be used, a file cannot be written, or the training went wrong.
    """
    inside = notebook.in_notebook()
    name = display or ("notebook" if inside else "quiet")
    places = {name: None if place is None else str(place) for name, place in (("outdir", outdir), ("resume", resume))}
    order = {"mode": mode, "preset": preset, "device": device, "checkpoint_every": checkpoint_every}
    with _in_files(settings) as given:
        job = _job(image, **order, **places, settings=given)
        with closing(displays.display(name, sys.stdout if inside else sys.stderr)) as shown:
            ended = job.run([shown, *observers], stop)
    for fault in ended.faults:
        warnings.warn(fault, RuntimeWarning, stacklevel=2)
    if ended.model is None:
        assert ended.run is not None
        return SingleImageModel.load(ended.run.model, devices.pick(device))
    return ended.model


def estimate(
    image: Picture | Sequence[str | Path],
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
        ``--dry_run``.
    """
    place = None if outdir is None else str(outdir)
    with _in_files(settings) as given:
        return _job(image, mode=mode, preset=preset, device=device, outdir=place, settings=given).plan()


def sample(
    source: SingleImageModel | Picture,
    application: str | None = None,
    *,
    device: str = "auto",
    naive_img: Picture | None = None,
    mask: Picture | None = None,
    **options: Any,
) -> Gallery:
    """What ``consingan sample`` makes, in memory: of a model, or in seconds of a picture alone.

    >>> consingan.sample(model, num_samples=4, size="600x400")[0].pictures[0].save("new.png")       # doctest: +SKIP

    Args:
        source: a model, the run folder or the file of one, or a picture in any form that ``train`` takes.
        application: a name in ``consingan.applications.APPLICATIONS``; what the model was trained for unless given.
        device: where a model that is loaded, or a picture, is worked on: auto, cpu, cuda:N or mps.
        naive_img, mask: for harmonization and editing, in any form that ``train`` takes a picture in.
        options: those of the application by name, the flags of ``consingan sample``; pictures among them in any form,
            and ``size`` also as ``(H, W)``.

    Raises:
        UserError: the source or an option cannot be used.
    """
    material, use = _material(source, device)
    name = application or use.application
    if name not in APPLICATIONS:
        raise UserError(f"application is {name!r}; choose one of {', '.join(APPLICATIONS)}.")
    wanted = APPLICATIONS[name]
    if reason := wanted.unfit(material):
        raise UserError(reason)
    own = use.options if name == use.application else {}
    if isinstance(size := options.get("size"), tuple | list) and len(size) == 2:
        options["size"] = f"{size[1]}x{size[0]}"
    with _in_files({**own, **options, "naive_img": naive_img, "mask": mask}) as given:
        made = tuple(wanted.apply(material, chosen(wanted, given), quiet))
    return Gallery(made)


def style(content: Picture, style: Picture, *, device: str = "auto", **options: Any) -> Gallery:
    """What ``consingan style`` makes, in memory: one picture in the manner of another, in seconds, without training.

    >>> consingan.style("photo.jpg", "painting.jpg")[0].pictures[0].save("painted.png")            # doctest: +SKIP

    Args:
        content, style: in any form that ``train`` takes a picture in.
        device: where to work: auto, cpu, cuda:N or mps.
        options: the flags of ``consingan style`` by name, such as ``strength=0.5``.

    Raises:
        UserError: a picture or an option cannot be used.
    """
    wanted = styles.chosen(options)
    names = (_name(content, "content"), _name(style, "style"))
    pair = styles.paired(_picture(content), _picture(style), names, wanted)
    return Gallery(tuple(styles.styled(pair, wanted, devices.pick(device), quiet)))


def _name(image: Any, otherwise: str) -> str:
    """What a picture is called in the names of results."""
    if isinstance(image, Image.Image):
        return Path(decoding.name_of(image)).stem
    return Path(image).stem if isinstance(image, str | Path) else otherwise


def fill(
    image: Picture,
    mask: Picture,
    *,
    layout: Literal["patches", "trained"] = "patches",
    outdir: str | Path | None = None,
    device: str = "auto",
    **options: Any,
) -> Gallery:
    """What ``consingan fill`` makes: proposals for what is under a mask.

    >>> consingan.fill("photo.jpg", "mask.png", num_samples=3).save("without the car")      # doctest: +SKIP

    Args:
        image: in any form that ``train`` takes.
        mask: of the same size, in any of these forms; white where the picture is to be made anew.
        layout: patches: of the patches around, in seconds; trained: by a generator that is trained on the rest first.
        outdir: where to make the run folder of that training; nothing is written without one.
        device: auto, cpu, cuda:N or mps.
        options: ``num_samples``, ``seed`` and the other flags of ``consingan fill`` by name.

    Raises:
        UserError: picture, mask or an option cannot be used.
    """
    with _in_files({**options, "mask": mask}) as given:
        return _filled("fill", image, layout, outdir, device, given)


def uncrop(
    image: Picture,
    *,
    left: int = 0,
    top: int = 0,
    right: int = 0,
    bottom: int = 0,
    layout: Literal["patches", "trained"] = "patches",
    outdir: str | Path | None = None,
    device: str = "auto",
    **options: Any,
) -> Gallery:
    """What ``consingan uncrop`` makes: proposals for what lies beyond a picture's edges.

    Args:
        left, top, right, bottom: pixels to add.
        image, layout, outdir, device, options: as for ``fill``.

    Raises:
        UserError: as ``fill``.
    """
    margins = {"left": left, "top": top, "right": right, "bottom": bottom}
    return _filled("uncrop", image, layout, outdir, device, {**options, **margins})


def enlarge(
    image: Picture,
    *,
    method: Literal["patches", "singan"] = "patches",
    outdir: str | Path | None = None,
    device: str = "auto",
    **options: Any,
) -> Gallery:
    """What ``consingan enlarge`` makes: the picture with more pixels, and a view of it beside bicubic interpolation.

    >>> consingan.enlarge("photo.jpg", factor=2.0, method="singan")[0].pictures[0].save("large.png")   # doctest: +SKIP

    Args:
        image: in any form that ``train`` takes.
        method: patches: detail of the picture's own patches, in seconds; singan: of a generator trained on it first.
        outdir: where to make the run folder of that training; nothing is written without one.
        device: auto, cpu, cuda:N or mps.
        options: ``factor``, ``truth`` and the other flags of ``consingan enlarge`` by name.

    Raises:
        UserError: the picture or an option cannot be used.
    """
    application = APPLICATIONS["enlarge"]
    with _in_files({**options, "method": method}) as given:
        wanted, picture = chosen(application, given), _picture(image)
        material = Material.of_picture(picture, devices.pick(device), whole=True)
        application.announce(material, replace(wanted, method="patches"))  # refuses
        if wanted.method != "patches":
            called = Path(image).name if isinstance(image, str | Path) else "picture"
            place = None if outdir is None else str(outdir)
            order = Order(called, "enlargement", settings={"seed": wanted.seed}, outdir=place, device=device)
            material = replace(material, model=Job(order, picture).run().model)
        return Gallery(tuple(application.apply(material, wanted, quiet)))


def _filled(
    name: str, image: Picture, layout: str, outdir: str | Path | None, device: str, given: dict[str, Any]
) -> Gallery:
    """The proposals of an application for a picture."""
    from consingan.training.filling import train as train_rest

    if layout not in LAYOUTS:
        raise UserError(f"layout is {layout!r}; choose one of {', '.join(LAYOUTS)}.")
    application, where = APPLICATIONS[name], devices.pick(device)
    options, picture = chosen(application, given), _picture(image)
    material = Material.of_picture(picture, where, whole=True)
    if layout == "trained":
        pixels, hole = options.holed(material.photo, None)
        called = Path(image).name if isinstance(image, str | Path) else "picture"
        folder = None if outdir is None else str(outdir)
        holed = replace(picture, pixels=pixels, hole=hole)
        ended = train_rest(holed, called, outdir=folder, device=device, settings={"seed": options.seed})
        material = replace(material, model=ended.model)
    return Gallery(tuple(application.apply(material, options, quiet)))


def _material(source: SingleImageModel | Picture, device: str) -> tuple[Material, Use]:
    """What is to be sampled, and by which application where none is named."""
    if isinstance(source, SingleImageModel):
        return Material.of(source), TASKS[source.settings.mode].sampling
    where = devices.pick(device)
    file = Path(source) if isinstance(source, str | Path) else None
    if file is None or (file.is_file() and file.suffix.lower() not in (".safetensors", ".json")):
        picture = _picture(file or source)
        return Material.of_picture(picture, where), Use(ALONE)
    run = None if file.is_file() else Run.open(file)
    model = SingleImageModel.load(run.folder if run else file, where)
    check_mode(model.settings.mode, file)
    return Material.of(model, run), TASKS[model.settings.mode].sampling


def _picture(image: Any) -> images.Picture:
    """A picture in any of its forms."""
    if isinstance(image, str | Path | Image.Image):
        return images.read(image)
    return images.of_array(image)


@contextmanager
def _in_files(options: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The same options, with the pictures among them in files, from which trainings and applications read them."""
    with TemporaryDirectory() as folder:
        pictures = {name: options[name] for name in PICTURES if options.get(name) is not None}
        files = {name: _file_of(image, name, Path(folder, name)) for name, image in pictures.items()}
        yield {name: value for name, value in options.items() if name not in PICTURES} | files


def _file_of(image: Picture, name: str, folder: Path) -> str:
    """The file that a picture is read from, which is made in a folder for one in memory; it is called what that is."""
    if isinstance(image, str | Path):
        return str(image)
    folder.mkdir()
    called = decoding.name_of(image) if name != "mask" and isinstance(image, Image.Image) else name
    file, picture = folder / f"{Path(called).stem}.png", _picture(image)
    images.save(file, picture.pixels, kind=picture.known)
    return str(file)


def _job(image: Picture | Sequence[str | Path] | None, **order: Any) -> Job:
    """The job of a picture in any of its forms, or of several files."""
    settings: dict[str, Any] = {
        name: str(value) if isinstance(value, Path) else value for name, value in order["settings"].items()
    }
    if isinstance(settings.get("model_dir"), str):
        settings["model_dir"] = str(Run.open(settings["model_dir"]).folder)
    order |= {"settings": settings, "background": settings.pop("background", None)}
    if isinstance(image, list | tuple):
        if not image or not all(isinstance(each, str | Path) for each in image):
            raise UserError("Of several pictures each has to be a file; give a list of paths.")
        image, *also = image
        settings |= {"also": tuple(map(str, also))} if also else {}
    if image is None or isinstance(image, str | Path):
        return Job(Order(picture=None if image is None else str(image), **order))
    name = decoding.name_of(image) if isinstance(image, Image.Image) else "array"
    return Job(Order(picture=name, **order), _picture(image))
