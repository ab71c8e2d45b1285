"""What ``--stop auto`` saves and what it costs: finished runs of two folders side by side, as a markdown table.

    python main_train.py --input_name photo.jpg --outdir niter
    python main_train.py --input_name photo.jpg --outdir auto --stop auto
    python benchmarks/stopping.py niter auto

Runs belong together by their pictures' names; of several runs of a picture the newest counts. Every cell but the
iterations' holds the value of the first folder and that of the second.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).parent.parent))  # runs without installation

from consingan.gan.model import SingleImageModel
from consingan.grid.ranges import unit
from consingan.metrics.table import evaluate
from consingan.pictures import images
from consingan.storage.run import Run
from consingan.watch.log import read_log


@click.command(help=__doc__)
@click.argument("first", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("second", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--samples", default=5, show_default=True, help="samples per model")
def main(first: Path, second: Path, samples: int) -> None:
    one, other = runs(first), runs(second)
    rows = {name: (facts(one[name], samples), facts(other[name], samples)) for name in one if name in other}
    names = list(next(iter(rows.values()))[0])
    click.echo(f"| picture | {' | '.join(names)} |\n|---|{'---|' * len(names)}")
    for picture, pair in rows.items():
        click.echo(f"| {picture} | {' | '.join(cell(name, *(each[name] for each in pair)) for name in names)} |")
    means = [{name: sum(pair[k][name] for pair in rows.values()) / len(rows) for name in names} for k in (0, 1)]
    click.echo(f"| mean | {' | '.join(cell(name, *(each[name] for each in means)) for name in names)} |")


def runs(folder: Path) -> dict[str, Run]:
    """Finished runs by the path between the folder and them."""
    found = [Run(path.parent) for path in sorted(folder.rglob("config.json"))]
    return {str(run.folder.parent.relative_to(folder)): run for run in found if run.finished.exists()}


def facts(run: Run, samples: int) -> dict[str, float]:
    """Iterations, error of the reconstruction, and the figures of samples."""
    stages = [record for record in read_log(run.log) if record["event"] == "stage"]
    model = SingleImageModel.load(run.model)
    real = images.load(run.pyramid / f"{model.stages - 1}.png", channels=model.settings.network.nc_im).pixels
    error = (model.reconstruct() - real).square().mean().sqrt().item()
    return {
        "iterations": sum(record["iterations"] for record in stages),
        "reconstruction": error,
        **evaluate(unit(real), unit(model.sample(samples))),
    }


def cell(name: str, before: float, after: float) -> str:
    """Both values, and for iterations the change."""
    if name == "iterations":
        return f"{before:.0f}, {after:.0f} ({after / before - 1:+.0%})"
    return f"{before:.4f}, {after:.4f}"


if __name__ == "__main__":
    main()
