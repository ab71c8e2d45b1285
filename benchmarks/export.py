"""A run's model in ONNX Runtime beside ours: equality, speed, size of the file, as a table for docs/export.md.

python benchmarks/export.py RUN
"""

import sys
from pathlib import Path
from time import perf_counter

import click
import onnxruntime
import torch

sys.path.insert(0, str(Path(__file__).parent.parent))  # runs without installation

from consingan import SingleImageModel, __version__
from consingan.gan import export
from consingan.grid.noise import as_source, mixed

REPEATS = 7


@click.command(help=__doc__)
@click.argument("run")
def main(run: str) -> None:
    model = SingleImageModel.load(run)
    torch.set_num_threads(1)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    height, width = model.size
    print("| pictures | file | largest difference | ours | ONNX Runtime |\n|---|---|---|---|---|")
    free = export.onnx_file(model, __version__)
    for factor in (1, 2, 4):
        size = height * factor, width * factor
        kinds = {"any size": free, "this size only": export.onnx_file(model, __version__, size)}
        for kind, made in kinds.items():
            session = onnxruntime.InferenceSession(made.data, options, providers=["CPUExecutionProvider"])
            draw = export.place(model, 0, 0)
            given = export.inputs(model, draw, size)
            sizes = model.sizes_for(size)
            anchor = model.anchors_for(sizes, 1)[0](export.Window.whole(sizes[0]))
            noise = [torch.from_numpy(given[f"noise_{stage}"]) for stage in range(model.stages)]
            noise[0] = mixed(anchor, noise[0], float(given["variation"]))
            sources = [as_source(each) for each in noise]
            ours, theirs, apart = [], [], 0.0
            for _ in range(REPEATS):  # by turns, so that both meet the same load
                began = perf_counter()
                mine = model.render(sources, sizes).numpy()
                between = perf_counter()
                other = session.run(None, given)[0]
                ours.append(between - began)
                theirs.append(perf_counter() - between)
                apart = max(apart, abs(mine - other).max())
            print(
                f"| {size[1]}x{size[0]}, {kind} | {len(made.data) / 2**20:.2f} MiB | {apart:.1e} | "
                f"{sorted(ours)[REPEATS // 2] * 1000:.1f} ms | {sorted(theirs)[REPEATS // 2] * 1000:.1f} ms |"
            )


if __name__ == "__main__":
    main()
