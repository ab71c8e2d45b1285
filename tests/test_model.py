import itertools

import pytest
import torch

from consingan import config
from consingan.errors import UserError
from consingan.finish import patches
from consingan.gan.model import SingleImageModel
from consingan.storage import files
from consingan.training.loop import train
from consingan.training.state import Training
from consingan.watch.monitor import Monitor


@pytest.fixture(scope="module")
def model():
    values = {"train_stages": 3, "max_size": 32, "min_size": 20, "niter": (3,), "nfc": 4, "precision": "fp32"}
    settings = config.resolve("generation", "x.png", ("test", values))[0]
    picture = torch.sin(torch.arange(30 * 32 * 3).reshape(1, 3, 30, 32) / 40)
    return train(Training.start(settings, picture), Monitor(display="quiet"))


def test_the_first_samples_of_many_are_the_samples_of_few(model):
    assert torch.equal(model.sample(5, seed=3)[:2], model.sample(2, seed=3))


def test_samples_differ_among_each_other_and_by_seed(model):
    pictures = [*model.sample(3, seed=1), *model.sample(3, seed=2)]
    assert all(not torch.equal(a, b) for a, b in itertools.combinations(pictures, 2))


def test_samples_computed_together_are_the_same(model, monkeypatch):
    alone = model.sample(3)
    monkeypatch.setattr("consingan.gan.sampling.batch_size", lambda device: 2)
    torch.testing.assert_close(model.sample(3), alone, rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", [(30, 32), (60, 32), (17, 90), (8, 8)])
def test_any_size(model, size):
    assert model.sample(2, size=size).shape == (2, 3, *size)


def test_sizes_of_the_stages_follow_the_output(model):
    assert model.sizes_for((60, 32)) == [(2 * h, w) for h, w in model.sizes]
    assert model.sizes_for(model.size) == model.sizes


def test_from_the_last_stage_up_samples_are_nearly_the_reconstruction(model):
    distance = [(model.sample(1, start=start) - model.reconstruct()).abs().mean() for start in range(3)]
    assert distance[0] > distance[1] > distance[2] > 0


def test_all_anchors_give_the_reconstruction(model):
    assert torch.equal(next(model.walk(1, 1.0, 0.9, 0, 0)), model.reconstruct())
    assert torch.equal(model.render(model.anchors_for(model.sizes, 3), model.sizes), model.reconstruct())


def test_walks_keep_the_anchors_below_their_start(model):
    frames = [torch.cat(list(model.walk(3, 0.1, 0.9, start, 0))) for start in range(3)]
    moved = [(f - model.reconstruct()).abs().mean().item() for f in frames]
    assert moved[0] > moved[2] > 0


def test_a_file_holds_the_whole_model(model, tmp_path):
    model.save(tmp_path / "model.safetensors")
    loaded = SingleImageModel.load(tmp_path)
    assert torch.equal(loaded.reconstruct(), model.reconstruct())
    assert torch.equal(loaded.sample(2, size=(40, 50)), model.sample(2, size=(40, 50)))
    assert loaded.settings == model.settings
    assert loaded.amplitudes == model.amplitudes


@pytest.mark.parametrize("damage", ["missing", "shape", "unknown", "amplitudes", "config", "no sizes", "huge"])
def test_a_file_that_does_not_fit_is_refused_in_one_sentence(model, tmp_path, damage):
    tensors, header = model.tensors(), model.header()
    if damage == "missing":
        del tensors["anchor.0"]
    elif damage == "shape":
        tensors["generator.tail.bias"] = torch.zeros(4)
    elif damage == "unknown":
        tensors["generator.extra"] = torch.zeros(4)
    elif damage == "amplitudes":
        header["amplitudes"] = [1.0] * 9
    elif damage == "config":
        header["config"] = {**header["config"], "network": {"nfc": -1}}
    elif damage == "no sizes":
        del header["sizes"]
    elif damage == "huge":
        header["sizes"] = [[10**9, 10**9]] * 3
    files.save_tensors(tmp_path / "model.safetensors", tensors, header)
    with pytest.raises(UserError, match=r"model\.safetensors") as caught:
        SingleImageModel.load(tmp_path)
    assert "\n" not in str(caught.value)


def test_large_samples_are_finished_in_smaller_batches(monkeypatch):
    """What is finished together fills memory; the samples are the same."""
    values = {"train_stages": 1, "max_size": 40, "nfc": 4, "finish": "patches"}
    settings = config.resolve("generation", "x", ("test", values))[0]
    model = Training.start(settings, torch.rand(1, 3, 40, 60, generator=torch.Generator().manual_seed(0)) * 2 - 1)
    model.enter_stage()
    sizes, own = [], patches.finish

    def counted(photo, layout, *rest, **more):
        sizes.append(len(layout))
        return own(photo, layout, *rest, **more)

    monkeypatch.setattr(patches, "finish", counted)
    monkeypatch.setattr("consingan.gan.sampling.batch_size", lambda device: 8)
    together = model.model.sample(3, (30, 40))
    monkeypatch.setattr("consingan.gan.sampling.TOGETHER", 2 * 30 * 40 + 5)
    apart = model.model.sample(3, (30, 40))
    assert sizes == [3, 2, 1]
    torch.testing.assert_close(apart, together, rtol=0, atol=1e-3)
