"""What must hold on CUDA as well; run with ``pytest -m gpu`` on a machine that has it."""

import pytest
import torch

import consingan
from consingan import config
from consingan.finish import patches
from consingan.finish.photo import Photo, stored
from consingan.gan.model import SingleImageModel
from consingan.gan.steering import Toward
from consingan.grid import resize
from consingan.grid.noise import Draw
from consingan.pictures.sketches import Sketch
from consingan.training.graphs import Captured
from consingan.training.loop import train
from consingan.training.state import Training
from consingan.watch.monitor import Monitor

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

TINY = {"train_stages": 3, "max_size": 40, "niter": (5,), "nfc": 16}


def picture():
    rows, columns = torch.meshgrid(torch.arange(38), torch.arange(40), indexing="ij")
    return torch.sin((rows + 2 * columns) / 4 + torch.arange(3)[:, None, None])[None]


LOCATED = {"positions": 1.0, "noise": "mixed"}


def first_losses(device, precision, iterations=3, **changes):
    settings = config.resolve("generation", "x", ("test", {**TINY, "precision": precision, **changes}))[0]
    state = Training.start(settings, picture(), device)
    step = state.enter_stage()
    assert isinstance(step, Captured) == (changes.get("graphs") == "on" and device == "cuda")
    traces = []
    for _ in range(iterations):
        traces.append({name: value.item() for name, value in step(*state.draw(3)).items()})
        state.iteration += 1
    return traces


@pytest.mark.parametrize("changes", [{}, LOCATED], ids=["plain", "located"])
def test_cuda_float32_follows_the_cpu(changes):
    traces = (first_losses(device, "fp32", **changes) for device in ("cuda", "cpu"))
    for on_gpu, on_cpu in zip(*traces, strict=True):
        assert on_gpu == pytest.approx(on_cpu, rel=1e-2, abs=1e-3)


@pytest.mark.parametrize("changes", [{}, LOCATED], ids=["plain", "located"])
def test_replayed_graphs_take_the_same_steps(changes):
    """Three iterations warm up, the fourth is recorded, the others are replays with other draws."""
    traces = (first_losses("cuda", "fp32", iterations=7, graphs=graphs, **changes) for graphs in ("on", "off"))
    for replayed, plain in zip(*traces, strict=True):
        assert replayed == pytest.approx(plain, rel=2e-2, abs=2e-3)


def test_cuda_bf16_stays_near_float32():
    on_gpu, exact = first_losses("cuda", "bf16")[0], first_losses("cuda", "fp32")[0]
    assert on_gpu == pytest.approx(exact, rel=0.05, abs=0.05)


@pytest.mark.parametrize("mode", ["generation", "retarget", "animation"])
def test_a_model_moves_between_devices(tmp_path, mode):
    settings = config.resolve(mode, "x", ("test", TINY))[0]
    model = train(Training.start(settings, picture(), "cuda"), Monitor(display="quiet"))
    model.save(tmp_path / "model.safetensors")
    on_cpu = SingleImageModel.load(tmp_path, "cpu")
    on_gpu = SingleImageModel.load(tmp_path, "cuda")
    torch.testing.assert_close(on_gpu.sample(3, seed=1).cpu(), on_cpu.sample(3, seed=1), rtol=0, atol=1e-2)


def test_a_steered_layout_agrees_with_the_cpu(tmp_path):
    settings = config.resolve("generation", "x", ("test", {**TINY, "noise": "mixed"}))[0]
    model = train(Training.start(settings, picture(), "cpu"), Monitor(display="quiet"))
    model.save(tmp_path / "model.safetensors")
    sketch = Sketch(torch.linspace(-0.8, 0.8, 40).expand(1, 3, 38, 40).clone())
    made = []
    for device in ("cuda", "cpu"):
        mine = SingleImageModel.load(tmp_path, device)
        draws = [Draw(0, ("sample", k), device) for k in range(2)]
        made.append(mine.layouts(draws, mine.size, 0, 0.6, Toward(sketch)).cpu())
    torch.testing.assert_close(*made, rtol=0, atol=2e-2)


def photo_like(height=150, width=250):
    """A picture with edges and grain, ``[1, 3, H, W]`` in [-1, 1]."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    waves = torch.sin((rows + 2 * columns) / 9 + torch.arange(3)[:, None, None]) + (rows > 60) * 0.5
    return (0.5 * waves[None] + 0.1 * Draw(0, ("grain",)).normal((1, 3, height, width))).clamp(-1, 1)


@pytest.mark.parametrize("drawn_on", ["cuda", "cpu"])
def test_the_finish_agrees_with_the_cpu(drawn_on):
    """A tie may take another patch, so nearly all pixels rather than all; TF32 would leave some 86 of 100."""
    pixels, layout = stored(photo_like()), photo_like(24, 40) + 0.5 * Draw(0, ("layout",)).normal((1, 3, 24, 40))
    on_gpu, on_cpu = (
        patches.finish(Photo(pixels, device), layout, (150, 250), [Draw(0, ("finish",), drawn)]).picture.cpu()
        for device, drawn in (("cuda", drawn_on), ("cpu", "cpu"))
    )
    equal = ((on_gpu - on_cpu).abs() < 1 / 127.5).double().mean()
    assert equal > 0.99


def test_batches_finish_as_single_pictures_do():
    photo, draws = Photo(stored(photo_like()), "cuda"), [Draw(0, ("finish", k), "cuda") for k in range(3)]
    layouts = torch.cat([photo_like(24, 40)] * 3)
    together = patches.finish(photo, layouts, (90, 150), draws).picture
    for number, draw in enumerate(draws):
        alone = patches.finish(photo, layouts[:1], (90, 150), [draw]).picture
        assert ((together[number] - alone[0]).abs() < 1 / 127.5).double().mean() > 0.99


def test_a_large_picture_is_shrunk_to_a_small_one():
    """CUDA's own kernel has too little shared memory for that."""
    large = photo_like(1200, 4096)
    small = resize.resize(large.cuda(), (12, 40))
    assert small.device.type == "cuda"
    torch.testing.assert_close(small.cpu(), resize.resize(large, (12, 40)), rtol=0, atol=1e-4)


@pytest.mark.parametrize("graphs", ["off", "on"])
def test_the_default_training_ends_in_finished_samples(tmp_path, graphs):
    image = photo_like()[0]
    model = consingan.train(image, device="cuda", outdir=tmp_path, niter=(60, 5), graphs=graphs)
    assert model.settings.network.positions > 0
    assert model.settings.objective.noise == "mixed"
    made = model.sample(3, seed=1)
    assert made.shape == (3, 3, 150, 250)
    assert made.device.type == "cuda"
    assert made.std() > 0.1
    assert (made[0] - made[1]).abs().mean() > 0.01
    (file,) = tmp_path.glob("*/*/model.safetensors")
    on_cpu = SingleImageModel.load(file, "cpu").sample(3, seed=1)
    torch.testing.assert_close(on_cpu.mean((2, 3)), made.cpu().mean((2, 3)), rtol=0, atol=0.05)
