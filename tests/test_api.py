import numpy as np
import pytest
import torch

import consingan

TINY = {"train_stages": 2, "max_size": 32, "niter": 2, "nfc": 4}


def picture():
    rows, columns = np.mgrid[:28, :32]
    return np.stack([np.sin(rows / 3), np.cos(columns / 3), np.sin(columns / 2)], axis=-1) / 2 + 0.5


def test_train_takes_arrays_tensors_and_files_alike(tmp_path):
    array = (picture() * 255).round().astype(np.uint8)
    tensor = torch.from_numpy(array).permute(2, 0, 1).float() / 127.5 - 1
    path = tmp_path / "my picture.v2.png"
    from consingan import images

    images.save(path, tensor)
    results = [consingan.train(source, **TINY).reconstruct() for source in (array, tensor, path)]
    assert torch.allclose(results[0], results[1], atol=1e-5)
    assert torch.allclose(results[0], results[2], atol=1e-5)


def test_the_name_stays_a_function_after_its_modules_are_imported():
    import consingan.training

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
    assert model.generator.border == "zero"


def test_grey_arrays_train_with_one_channel():
    assert consingan.train(picture()[..., 0], **TINY).sample().shape == (1, 1, 28, 32)


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
