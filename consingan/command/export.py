"""consingan export: a model for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from consingan import __version__
from consingan.command.common import loading, note
from consingan.command.flags import command, one_sentence, option
from consingan.config import MOST_STAGES
from consingan.errors import UserError, check_packages
from consingan.gan.stills import Stills, check_start, output_sizes
from consingan.storage import files
from consingan.storage.run import Run
from consingan.tasks.translation import TARGET

if TYPE_CHECKING:
    from consingan.gan.model import SingleImageModel
    from consingan.grid.sizes import Size

ENDS = {"onnx": ".onnx", "pt2": ".pt2", "noise": ".npz"}  # of the files, by flag
PACKAGES = ("onnx", "onnxscript")  # of the extra, that --onnx needs
MOST_NOISE = 2**31  # bytes of a file of noise


@command(
    "write a model for other programs: ONNX, torch.export",
    examples=[
        ("RUN --onnx model.onnx", "needs pip install 'consingan[onnx]'"),
        ("RUN --noise noise.npz --seed 7 --sample 2", "what sample 2 of seed 7 is made of"),
    ],
)
@click.argument("run")
@option("Files", "--onnx", metavar="FILE.onnx", help="the model as ONNX, in one file")
@option("Files", "--pt2", metavar="FILE.pt2", help="the model as a program of torch.export")
@option("Files", "--noise", metavar="FILE.npz", help="the inputs by name, from which that model makes a sample of ours")
@option(
    "Size",
    "--size",
    metavar="WIDTHxHEIGHT",
    help="of the sample of --noise, and of an exported model that is for one size; by default the trained",
)
@option("Size", "--fixed", is_flag=True, help="the exported model is for this size only")
@option(
    "Model",
    "--direction",
    type=click.Choice(["forward", "back"]),
    help="of a model of two pictures; forward, the default: the generator that makes pictures in the manner of the "
    "target; back: that of the first picture's manner",
)
@option(
    "Model",
    "--of",
    help="of a model of several pictures the name or the number, from 1, of the one whose layout its pictures have; by "
    "default the first",
)
@option("Model", "--tileable", type=click.Choice(("off", "x", "y", "xy")), help="as for evaluate_model.py, of one size")
@option("Noise", "--seed", type=click.IntRange(0, 2**32 - 1), default=0, help="of the sample", shown_default="0")
@option("Noise", "--sample", type=click.IntRange(0), default=0, help="number of the sample", shown_default="0")
@option("Noise", "--variation", type=click.FloatRange(0, 1), help="of the sample; by default the model's own")
@option(
    "Noise",
    "--gen_start_scale",
    "start",
    type=click.IntRange(0, MOST_STAGES),
    default=0,
    help="first stage that gets random noise",
    shown_default="0",
)
def export(run: str, **flags: Any) -> None:
    """Write the generator of a RUN, or of a model file, for programs without this one.

    Noise goes in, the picture comes out as the generator makes it: the finish is no part of the file.
    """
    with one_sentence():
        wanted = checked(flags)
        opened = None if Path(run).is_file() else Run.open(run, "RUN")
        loading()
        write(chosen(opened or Path(run), flags), wanted, flags)
        for file in wanted.values():
            click.echo(file)


def checked(flags: dict[str, Any]) -> dict[str, Path]:
    """The files that the flags name, by flag.

    Raises:
        UserError: none is named, or one cannot be written.
    """
    wanted = {name: Path(flags[name]) for name in ENDS if flags[name]}
    if not wanted:
        raise UserError("export has nothing to write; give --onnx model.onnx, --pt2 model.pt2 or --noise noise.npz.")
    for name, file in wanted.items():
        if file.suffix.lower() != ENDS[name]:
            raise UserError(f"--{name} is {file}; give a name that ends in {ENDS[name]}.")
        if file.exists():
            raise UserError(f"--{name} {file} exists already; name another file, or move it away.")
        if not file.absolute().parent.is_dir():
            raise UserError(f"--{name} {file} is in a folder that does not exist; make it, or name another.")
    if flags["fixed"] and not (flags["onnx"] or flags["pt2"]):
        raise UserError("--fixed is for the exported model; give --onnx or --pt2 too, or leave it out.")
    if flags["onnx"]:
        check_packages(PACKAGES)
    return wanted


def chosen(source: Run | Path, flags: dict[str, Any]) -> SingleImageModel:
    """The generator that the flags name, of a run or of a model's file.

    Raises:
        UserError: a flag is for models of another kind.
    """
    from consingan.gan.album import named
    from consingan.gan.model import SingleImageModel
    from consingan.gan.tiling import tiling

    model = SingleImageModel.load(source.model if isinstance(source, Run) else source)
    direction = flags["direction"]
    if direction and not model.guided:
        raise UserError(f"--direction {direction} is for models of two pictures; leave it out.")
    if direction and isinstance(source, Path):
        raise UserError(f"--direction {direction} is for run folders, and {source} holds one generator; leave it out.")
    if not model.guided:
        return named(tiling(model, flags["tileable"]), flags["of"])
    if flags["tileable"] or flags["of"]:
        name = "tileable" if flags["tileable"] else "of"
        raise UserError(f"--{name} {flags[name]} is for models that make pictures of noise; leave it out.")
    if isinstance(source, Path) or direction == "back":
        return model
    return SingleImageModel.load(source.model_of(TARGET))


def write(model: SingleImageModel, wanted: dict[str, Path], flags: dict[str, Any]) -> None:
    """Write the files of ``checked``; whatever does not fit the model is refused before the first."""
    from consingan.gan import export as exporting
    from consingan.gan.guides import check_takes_noise

    check_start(flags["start"], model.stages, "--gen_start_scale")
    (size,) = output_sizes(Stills(size=flags["size"] or "{1}x{0}".format(*model.size)), model.size)
    held = exporting.noise_bytes(model, size)
    if "noise" in wanted and held > MOST_NOISE:
        raise UserError(
            f"The noise of a picture of {size[1]}x{size[0]} px takes {held / 2**30:.0f} GiB; choose a smaller --size."
        )
    if "noise" in wanted:
        check_takes_noise(model.settings)
    ways = {"onnx": exporting.onnx_file, "pt2": exporting.pt2_file}
    one = flags["fixed"] or not exporting.any_size(model)
    for name in (name for name in ways if name in wanted):
        made = ways[name](model, __version__, size if one else None)
        files.write_bytes(wanted[name], made.data)
        verb = "takes and makes" if model.guided else "makes"
        note(f"{wanted[name]} {verb} {told(made.size)}, at any batch size.")
    if "noise" in wanted:
        draw = exporting.place(model, flags["seed"], flags["sample"])
        arrays = exporting.inputs(model, draw, size, flags["start"], flags["variation"])
        files.write_bytes(wanted["noise"], exporting.as_npz(arrays))


def told(size: Size | None) -> str:
    """What pictures a file makes, in words."""
    return "pictures of any size" if size is None else f"pictures of {size[1]}x{size[0]} px only"
