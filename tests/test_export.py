"""An exported model makes our pictures of our noise, at any size, whatever it is built of."""

import io
import json
import logging
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from consingan.command.cli import main
from consingan.config import Train
from consingan.gan import export
from consingan.gan.borders import BORDERS
from consingan.gan.model import SingleImageModel
from consingan.gan.norms import refer
from consingan.grid.noise import Draw

ROOT = Path(__file__).parent.parent
TOLERANCE = 1e-4  # of values in [-1, 1]
SIZES = [(16, 21), (24, 32)]


def made(border: str = "extend", codes: int = 0, **network) -> SingleImageModel:
    """A small model with weights large enough that every part of it shows in the picture."""
    settings = Train("generation", "stripes.png")
    network = {"nfc": 4, "num_layer": 2, **network}
    settings = replace(
        settings,
        network=replace(settings.network, **network),
        codes=replace(settings.codes, codes=codes),
        sampling=replace(settings.sampling, variation=0.7),
    )
    torch.manual_seed(0)
    model = SingleImageModel(settings, border, SIZES)
    picture = Draw(1).normal((1, 3, *SIZES[0]))
    for size in SIZES:
        model.grow(torch.zeros(1, 3, *size), picture)
    with torch.no_grad():
        for weights in (each for each in model.generator.parameters() if each.dim() == 4):
            weights.mul_(10)
    model.amplitudes = [1.0, 0.8]
    refer(model)
    return model


def in_onnx_runtime(data: bytes, given: dict[str, np.ndarray]) -> np.ndarray:
    runtime = pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    (picture,) = runtime.InferenceSession(data, providers=["CPUExecutionProvider"]).run(["picture"], given)
    return picture


def difference(model: SingleImageModel, data: bytes, size: tuple[int, int], **how) -> float:
    """The largest difference between a sample of ours and one of the file."""
    draw = export.place(model, 3, 1)
    ours = model.layouts([draw], size, **how).numpy()
    assert ours.std() > 0.05
    theirs = in_onnx_runtime(data, export.inputs(model, draw, size, **how))
    assert theirs.shape == ours.shape
    return np.abs(theirs - ours).max()


@pytest.fixture(autouse=True)
def no_traces():
    """torch's tracer logs every step where a test looks for log records, and so takes twice the time."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture
def onnx():
    pytest.importorskip("onnxscript", reason="needs pip install 'consingan[onnx]'")
    return pytest.importorskip("onnx", reason="needs pip install 'consingan[onnx]'")


# every border, activation and norm; all of their combinations below
BUILDS = [
    ("extend", {"activation": "prelu"}),
    ("zero", {"activation": "elu", "batch_norm": True}),
    ("zero", {"activation": "selu", "virtual_batch_norm": True, "num_layer": 1}),
    ("zero", {"activation": "lrelu", "padd_size": 1, "num_layer": 1}),
]


@pytest.mark.parametrize(("border", "network"), BUILDS, ids=str)
def test_our_pictures_of_our_noise(border, network, onnx):
    model = made(border, **network)
    made_file = export.onnx_file(model, "1.2.3")
    for size in [made_file.size] if made_file.size else [model.size, (40, 27), (19, 50)]:
        assert difference(model, made_file.data, size) < TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("activation", ["lrelu", "prelu", "elu", "selu"])
@pytest.mark.parametrize("norm", ["batch_norm", "virtual_batch_norm", "none"])
@pytest.mark.parametrize("border", BORDERS)
def test_every_build(border, activation, norm, onnx):
    model = made(border, activation=activation, **({} if norm == "none" else {norm: True}))
    for size in (None, (30, 22)):
        assert difference(model, export.onnx_file(model, "1", size).data, size or (40, 27)) < TOLERANCE


def test_batches_other_variations_and_what_a_file_says_of_itself(onnx):
    model = made(codes=2, num_layer=1)
    made_file = export.onnx_file(model, "1.2.3")
    assert made_file.size is None
    assert difference(model, made_file.data, (30, 40), variation=0.2) < TOLERANCE
    assert difference(model, made_file.data, (30, 40), start=1) < TOLERANCE
    two = [export.place(model, 3, number) for number in (0, 1)]
    ours = model.layouts(two, (30, 40)).numpy()
    given = [export.inputs(model, draw, (30, 40)) for draw in two]
    shared = ("amplitudes", "variation")
    both = {name: x if name in shared else np.concatenate([x, given[1][name]]) for name, x in given[0].items()}
    assert np.abs(in_onnx_runtime(made_file.data, both) - ours).max() < TOLERANCE
    read = onnx.load_from_string(made_file.data)
    (facts,) = (json.loads(entry.value) for entry in read.metadata_props if entry.key == export.METADATA)
    assert [one.name for one in read.graph.input] == ["noise_0", "noise_1", "amplitudes", "variation", "codes"]
    assert not [tensor.name for tensor in read.graph.initializer if tensor.data_location]  # one file
    assert facts == {
        "version": "1.2.3",
        "channels": 3,
        "features": 4,
        "sizes": [list(size) for size in SIZES],
        "more": [[0, 0], [2, 2]],
        "amplitudes": model.amplitudes,
        "variation": 0.7,
        "codes": 2,
        "categories": 0,
        "border": "extend",
        "tileable": "off",
        "sees": "noise",
        "size": None,
    }
    assert [given[0][f"noise_{stage}"].shape[2:] for stage in (0, 1)] == [(20, 26), (32, 42)]


def test_a_fixed_size(onnx):
    model = made("zero", num_layer=1)
    made_file = export.onnx_file(model, "1", (30, 22))
    assert made_file.size == (30, 22)
    assert difference(model, made_file.data, (30, 22)) < TOLERANCE
    with pytest.raises(Exception, match="invalid dimensions"):
        difference(model, made_file.data, (40, 27))


@pytest.mark.parametrize(("border", "tileable"), [("extend", "x"), ("zero", "xy")])
def test_tiles_have_one_size(border, tileable, onnx):
    model = made(border, tileable=tileable, num_layer=1)
    assert export.settled(model, None) == model.size
    assert difference(model, export.onnx_file(model, "1", (30, 22)).data, (30, 22)) < TOLERANCE


def test_a_model_of_two_pictures_takes_a_picture(onnx):
    settings = Train("translation", "stripes.png")
    settings = replace(settings, network=replace(settings.network, nfc=4, num_layer=2))
    torch.manual_seed(0)
    model = SingleImageModel(settings, "zero", SIZES)
    for size in SIZES:
        real = Draw(1).normal((1, 3, *size)).clamp(-1, 1)
        model.grow(real, real)
    with torch.no_grad():
        for weights in (each for each in model.generator.parameters() if each.dim() == 4):
            weights.mul_(10)
    file = export.onnx_file(model, "1")
    assert file.size == model.size
    seen = Draw(2).normal((3, 3, *model.size)).clamp(-1, 1)
    ours = torch.cat([model.transform(one, noise_scale=0) for one in seen.split(1)]).numpy()
    assert ours.std() > 0.05
    assert np.abs(in_onnx_runtime(file.data, {"source": seen.numpy()}) - ours).max() < TOLERANCE


def test_a_border_that_depends_on_places_gets_one_size(monkeypatch):
    model = made()
    assert export.settled(model, None) is None
    monkeypatch.setattr(model.generator, "parts", lambda sizes: [])
    assert export.settled(model, None) == model.size
    assert export.settled(model, (30, 22)) == (30, 22)


def test_a_model_that_is_too_large_for_one_file(monkeypatch):
    monkeypatch.setattr(export, "MOST_BYTES", 100)
    with pytest.raises(export.UserError, match="--nfc"):
        export.settled(made(), None)


# ---- the command


def typed(*words: object, code: int = 0):
    done = CliRunner().invoke(main, ["export", *map(str, words)], catch_exceptions=False)
    assert done.exit_code == code, done.output
    return done


def test_a_program_of_torch_export_and_the_noise_of_a_sample(trained_run, tmp_path):
    pt2, noise = tmp_path / "model.pt2", tmp_path / "noise.npz"
    flags = ("--noise", noise, "--seed", 5, "--sample", 2, "--size", "40x36", "--variation", 0.4)
    assert typed(trained_run, "--pt2", pt2, *flags).stdout.split() == [str(pt2), str(noise)]
    model = SingleImageModel.load(trained_run)
    ours = model.sample(3, size=(36, 40), seed=5, variation=0.4, finish="none")[2:]
    program = torch.export.load(pt2).module()
    given = {name: torch.from_numpy(x) for name, x in np.load(noise).items()}
    maps = [given[f"noise_{stage}"] for stage in range(model.stages)]
    theirs = program(maps, given["amplitudes"], given["variation"])
    assert (theirs - ours).abs().max() < TOLERANCE
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.pt2", "noise.npz"]


def test_the_command_writes_onnx_and_nothing_else(trained_run, tmp_path, onnx):
    """In a process of its own: the exporters speak of torchvision where they are heard."""
    command = [sys.executable, "-m", "consingan", "export", trained_run / "model.safetensors", "--onnx", "m.onnx"]
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=True)
    assert done.stdout == "m.onnx\n"
    assert done.stderr.splitlines() == ["m.onnx makes pictures of any size, at any batch size."]
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]
    assert onnx.load(tmp_path / "m.onnx").producer_name == "consingan"


REFUSALS = [
    (("--onnx", "m.onnx", "--direction", "back"), "models of two pictures"),
    (("--onnx", "m.onnx", "--of", "1"), "models of several pictures"),
    ((), "has nothing to write"),
    (("--onnx", "m.pt"), "ends in .onnx"),
    (("--noise", "there.npz"), "there.npz exists already"),
    (("--noise", "no/n.npz"), "folder that does not exist"),
    (("--noise", "n.npz", "--fixed"), "--fixed is for the exported model"),
    (("--noise", "n.npz", "--gen_start_scale", "9"), "--gen_start_scale is 9"),
    (("--noise", "n.npz", "--size", "4x4"), "outside 8 to"),
    (("--noise", "n.npz", "--size", "32000x32000"), "choose a smaller --size"),
]


@pytest.mark.parametrize(("flags", "words"), REFUSALS, ids=str)
def test_refusals(flags, words, trained_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.npz").write_bytes(b"")
    done = typed(trained_run, *flags, code=2)
    (sentence,) = (line for line in done.stderr.splitlines() if line.startswith("Error:"))
    assert words in sentence
    assert [path.name for path in tmp_path.iterdir()] == ["there.npz"]


def test_a_missing_extra_is_one_sentence(trained_run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)  # as if it were not installed
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("consingan.errors.find_spec", lambda name: None)
    done = typed(trained_run, "--onnx", tmp_path / "m.onnx", code=2)
    assert "The package onnx is not installed; install it with:" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_noise_files_are_read_without_pickles(trained_run, tmp_path):
    typed(trained_run, "--noise", tmp_path / "n.npz")
    held = np.load(io.BytesIO((tmp_path / "n.npz").read_bytes()), allow_pickle=False)
    model = SingleImageModel.load(trained_run)
    assert held["variation"] == np.float32(model.settings.sampling.variation)
    field = model.noise(Draw(0, ("sample", 0)), 1)
    assert np.array_equal(held["noise_1"], field(export.Window.whole(held["noise_1"].shape[2:])).numpy())
