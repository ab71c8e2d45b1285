import io
import sys
from types import SimpleNamespace

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


@pytest.mark.parametrize(
    ("channels", "words"),
    [
        (2, "--nc_im is 2, but the picture has 3 channels: leave the flag out, or give 3"),
        (4, "--nc_im is 4, but the picture has 3 channels"),
        ("3", "--nc_im is '3'; give a value of type int"),
        (0, "--nc_im is 0; give a number from 1 to 8"),
    ],
)
def test_another_number_of_channels_is_refused_in_a_sentence(channels, words):
    with pytest.raises(consingan.UserError, match=words):
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


def as_pillow():
    return Image.fromarray((picture() * 255).round().astype(np.uint8))


@pytest.fixture(scope="module")
def small():
    """A model of two stages of the picture; tests must not change it."""
    return consingan.train(as_pillow(), **TINY)


def test_a_picture_of_pillow_trains_as_its_array_does(small):
    assert torch.equal(consingan.train(np.asarray(as_pillow()), **TINY).reconstruct(), small.reconstruct())


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"n": 0}, "--num_samples is 0; give a number from 1"),
        ({"n": 1.5}, "--num_samples is 1.5"),
        ({"seed": -1}, "--seed is -1"),
        ({"start": 2}, "--gen_start_scale is 2, but this model has stages 0 to 1"),
        ({"variation": 3.0}, "--variation is 3.0"),
        ({"finish": "varnish"}, "--finish is 'varnish'"),
        ({"size": "90by40"}, "--size is '90by40'"),
        ({"size": (0, 40)}, "size is 40x0 px"),
        ({"size": (40,)}, r"size is \(40,\); give \(HEIGHT, WIDTH\)"),
        ({"size": (40.5, 30)}, "give"),
        ({"size": 40}, "size is 40;"),
    ],
)
def test_samples_that_cannot_be_are_refused_in_a_sentence(small, how, words):
    with pytest.raises(consingan.UserError, match=words):
        small.sample(**how)


def test_a_size_may_be_a_text(small):
    assert small.sample(size="48x24").shape == (1, 3, 24, 48)
    assert torch.equal(small.sample(size="48x24"), small.sample(size=(24, 48)))


@pytest.mark.parametrize(
    ("how", "words"),
    [({"frames": 0}, "frames is 0"), ({"alpha": 2}, "alpha is 2"), ({"start": 2}, "start is 2; .* 0 to 1")],
)
def test_animations_that_cannot_be_are_refused_in_a_sentence(small, how, words):
    with pytest.raises(consingan.UserError, match=words):
        small.animate(**how)


def test_sampling_from_python_is_what_the_command_writes(small, tmp_path):
    made = consingan.sample(small, num_samples=2, size="40x30", seed=3)
    assert [result.role for result in made] == ["sample", "sample"]
    (one, other) = made.of("sample")
    assert (one.mode, one.size) == ("RGB", (40, 30))
    assert torch.equal(torch.cat([result.frames[0] for result in made]), small.sample(2, (30, 40), 3))
    files = made.save(tmp_path / "out")
    assert {file.name for file in files} >= {"seed_3_sample_000.png", "grid.png"}
    assert np.array_equal(Image.open(files[1]), other)
    small.save(tmp_path / "some.safetensors")
    again = consingan.sample(tmp_path / "some.safetensors", num_samples=1, size="40x30", seed=3)
    assert torch.equal(again[0].frames[0], made[0].frames[0])


@pytest.mark.parametrize("form", [np.asarray, lambda image: image, lambda image: as_tensor(np.asarray(image) / 255)])
def test_naive_pictures_may_be_in_any_form(harmonized, form):
    folder, run = harmonized
    with Image.open(folder / "naive.png") as image:
        naive = form(image.convert("RGB"))
    mask = np.zeros((28, 32), np.uint8)
    mask[8:20, 10:20] = 255
    made = consingan.sample(run, naive_img=naive, mask=mask)
    wanted = consingan.sample(run, naive_img=folder / "naive.png", mask=mask)
    assert np.array_equal(made.of("masked")[0], wanted.of("masked")[0])
    assert np.array_equal(np.asarray(made.of("masked")[0])[:2], np.asarray(Image.open(folder / "naive.png"))[:2])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda model: consingan.sample(model, "dance"), "application is 'dance'; choose one of samples"),
        (lambda model: consingan.sample(model, num_sample=3), "--num_sample is no flag"),
        (lambda model: consingan.sample(model, num_samples=0), "--num_samples is 0"),
        (lambda model: consingan.sample(model, num_samples=1).of("masks"), "role is 'masks'; choose one of"),
        (lambda model: consingan.sample("nowhere"), "nowhere does not exist"),
        (lambda model: consingan.sample(picture(), "walk"), "needs a trained model"),
    ],
)
def test_what_cannot_be_sampled_is_refused_in_a_sentence(small, call, words):
    with pytest.raises(consingan.UserError, match=words):
        call(small)


def test_a_size_may_be_that_of_a_tensor_and_all_print_in_a_line(small):
    made = consingan.sample(small, num_samples=2, size=(30, 40), seed=3)
    assert made[0].pictures[0].size == (40, 30)
    assert repr(made[0]) == f"<Result {made[0].name}: sample, 40x30 px>"
    assert repr(made) == f"<Gallery of 2: {made[0].name}, {made[1].name}>"
    assert repr(small).startswith("<SingleImageModel of ")
    assert "\n" not in repr(small)


def test_a_model_without_its_picture_and_one_that_takes_pictures_are_shown_too(small, harmonized, tmp_path):
    small.save(tmp_path / "bare.safetensors", picture=False)
    for model, sheet in ((small, (100, 58)), (consingan.SingleImageModel.load(tmp_path / "bare.safetensors"), None)):
        shown = Image.open(io.BytesIO(model._repr_png_()))
        assert shown.size == (sheet or shown.size)
        assert shown.size > (32, 28)
    assert consingan.SingleImageModel.load(harmonized[1])._repr_png_()


def test_what_results_will_not_have_is_said_at_the_end_and_in_the_plan(tmp_path):
    clear = as_pillow().convert("RGBA")
    clear.putpixel((3, 3), (0, 0, 0, 0))
    words = "Transparent parts were laid on white; results have no transparency."
    laid = TINY | {"background": "white"}
    assert words in str(consingan.estimate(clear, **laid)).splitlines()
    said = []
    stops = iter([False, True])
    given = {"observers": [lambda record: said.append(record.get("text"))], "outdir": tmp_path}
    consingan.train(clear, stop=lambda: next(stops), **given, **laid)
    (run,) = tmp_path.glob("*/*")
    said.clear()
    consingan.train(resume=run, observers=given["observers"])
    texts = [text for text in said if text]
    assert words in texts
    assert texts[texts.index(words) + 1].startswith("Done in")


def test_progress_in_a_notebook_is_one_line(monkeypatch, capsys):
    shell = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    consingan.train(picture(), **TINY)
    shown = capsys.readouterr()
    lines = shown.out.split("\n")
    assert (shown.err, lines[-1]) == ("", "")
    assert lines[-2].split("\r")[-1].startswith("█" * 24 + " 100%  stage 2/2  iteration 2/2")
    shell.kernel = None
    consingan.train(picture(), **TINY)
    assert capsys.readouterr() == ("", "")
