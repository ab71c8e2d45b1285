import numpy as np
import pytest
import torch
from PIL import Image

import consingan

TINY = {"train_stages": 2, "max_size": 32, "niter": 2, "nfc": 4}


def picture():
    rows, columns = np.mgrid[:28, :32]
    return np.stack([np.sin(rows / 3), np.cos(columns / 3), np.sin(columns / 2)], axis=-1) / 2 + 0.5


def test_train_takes_arrays_tensors_and_files_alike(tmp_path):
    array = (picture() * 255).round().astype(np.uint8)
    tensor = torch.from_numpy(array).permute(2, 0, 1).float() / 127.5 - 1
    path = tmp_path / "my picture.v2.png"
    from consingan.pictures import images

    images.save(path, tensor)
    results = [consingan.train(source, **TINY).reconstruct() for source in (array, tensor, path)]
    assert torch.allclose(results[0], results[1], atol=1e-5)
    assert torch.allclose(results[0], results[2], atol=1e-5)


def test_the_name_stays_a_function_after_its_modules_are_imported():
    import consingan.training.loop

    assert callable(consingan.train)
    assert consingan.SingleImageModel.__name__ == "SingleImageModel"
    assert issubclass(consingan.UserError, Exception)
    with pytest.raises(AttributeError):
        consingan.nothing  # noqa: B018


def test_a_run_folder_is_made_only_when_asked_for(tmp_path):
    model = consingan.train(picture(), outdir=tmp_path, mode="retarget", **TINY)
    (run,) = (tmp_path / "array").iterdir()
    loaded = consingan.SingleImageModel.load(run)
    assert torch.equal(loaded.sample(2, seed=5), model.sample(2, seed=5))
    assert model.generator.border.name == "zero"


def test_grey_arrays_train_with_one_channel():
    assert consingan.train(picture()[..., 0], **TINY).sample().shape == (1, 1, 28, 32)


def as_tensor(array):
    return torch.from_numpy(array).float().reshape(*array.shape[:2], -1).permute(2, 0, 1) * 2 - 1


@pytest.mark.parametrize("form", [lambda array: array, as_tensor], ids=["array", "tensor"])
def test_arrays_are_made_grey_or_coloured_as_files_are(form, tmp_path):
    grey = consingan.train(form(picture()), nc_im=1, **TINY)
    luma = (picture() @ (0.299, 0.587, 0.114))[..., None]
    wanted = consingan.train(form(luma), **TINY)
    assert grey.settings.network.nc_im == 1
    torch.testing.assert_close(grey.photo.pixels, wanted.photo.pixels, rtol=0, atol=1)  # may round to the next byte
    colour = consingan.train(form(luma[..., 0] if form is not as_tensor else luma), nc_im=3, **TINY)
    assert torch.equal(colour.photo.pixels, wanted.photo.pixels.expand(-1, 3, -1, -1))
    assert colour.sample().shape == (1, 3, 28, 32)


@pytest.mark.parametrize("channels", [2, 4, "3", 0])
def test_another_number_of_channels_is_refused_in_a_sentence(channels):
    with pytest.raises(consingan.UserError, match="use 1 for grey or 3 for colour"):
        consingan.train(picture(), nc_im=channels, **TINY)


@pytest.fixture(scope="module")
def harmonized(tmp_path_factory):
    """A picture file, a naive one, and a finished harmonization run of it; tests must not change it."""
    folder = tmp_path_factory.mktemp("harmonized")
    naive = picture()
    naive[8:20, 10:20] = (1, 0, 0)
    for name, values in (("picture", picture()), ("naive", naive)):
        Image.fromarray((values * 255).round().astype(np.uint8)).save(folder / f"{name}.png")
    consingan.train(folder / "picture.png", mode="harmonization", outdir=folder / "runs", min_size=25, **TINY)
    (run,) = (folder / "runs" / "picture").iterdir()
    return folder, run


def test_fine_tuning_from_python(harmonized, tmp_path):
    folder, run = harmonized
    source, naive = str(folder / "picture.png"), str(folder / "naive.png")
    given = {"mode": "harmonization", "fine_tune": True, "model_dir": str(run), "naive_img": naive, "niter": 3}
    tuned = consingan.train(source, outdir=tmp_path, **given)
    assert (tuned.settings.network.nfc, tuned.settings.optimisation.train_depth) == (4, 1)
    (folder,) = (tmp_path / "picture").iterdir()
    assert "harmonization_fine-tune_train_depth_1" in folder.name
    assert torch.equal(consingan.SingleImageModel.load(folder).reconstruct(), tuned.reconstruct())
    base = consingan.SingleImageModel.load(run).tensors()
    changed = {name for name, value in tuned.tensors().items() if not torch.equal(value, base[name])}
    assert changed
    assert all(name.startswith(("generator.stages.1.", "generator.tail.")) for name in changed)
    other = consingan.train(source, **{**given, "naive_img": source}).tensors()
    assert any(not torch.equal(value, other[name]) for name, value in tuned.tensors().items())


def test_a_grey_model_is_fine_tuned_on_the_colour_picture_it_was_trained_on(harmonized, tmp_path):
    folder, _ = harmonized
    source, naive = folder / "picture.png", str(folder / "naive.png")
    consingan.train(source, mode="harmonization", outdir=tmp_path, min_size=25, nc_im=1, **TINY)
    (run,) = (tmp_path / "picture").iterdir()
    given = {"fine_tune": True, "model_dir": str(run), "naive_img": naive, "niter": 1}
    assert consingan.train(source, mode="harmonization", **given).sample().shape[1] == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"model_dir": None}, "--fine_tune is given without --model_dir"),
        ({"naive_img": None}, "--fine_tune is given without --naive_img"),
        ({"fine_tune": False}, "but --fine_tune is not given"),
        ({"mode": "editing"}, "is a harmonization run"),
        ({"mode": "generation"}, "does not go with --train_mode generation"),
        ({"nfc": 5}, "--nfc is 5, but the model to fine-tune was trained with 4"),
        ({"model_dir": "nowhere"}, "nowhere"),
        ({"naive_img": "nowhere.png"}, "nowhere.png"),
    ],
)
def test_wrong_combinations_with_fine_tuning_end_in_one_sentence(options, words, harmonized, tmp_path):
    folder, run = harmonized
    naive = str(folder / "naive.png")
    given = {"mode": "harmonization", "fine_tune": True, "model_dir": str(run), "naive_img": naive, "niter": 3}
    with pytest.raises(consingan.UserError, match=words) as error:
        consingan.train(str(folder / "picture.png"), outdir=tmp_path, **{**given, **options})
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mode": "nonsense"}, "--train_mode"),
        ({"preset": "nonsense"}, "--preset"),
        ({"niters": 3}, "niters"),
        ({"niter": 0}, "--niter"),
        ({"device": "abacus"}, "--device"),
    ],
)
def test_mistakes_are_named(options, words):
    with pytest.raises(consingan.UserError, match=words):
        consingan.train(picture(), **{**TINY, **options})
