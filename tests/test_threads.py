"""A model in a service: many threads sample it at once, and it comes from bytes as well as from a file."""

import io
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
import torch.nn.functional as F

from consingan.errors import UserError
from consingan.finish.photo import Photo, precise
from consingan.finish.scales import Plan
from consingan.gan import model_file
from consingan.gan.model import SingleImageModel
from consingan.grid.noise import Draw


@pytest.fixture
def hurried():
    """Threads that take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_threads_make_the_pictures_of_one_thread(trained_run, hurried):
    """Sizes and finishes alternate, so that whatever is kept from the last sample is another thread's."""
    wishes = [
        {"size": (30 + 6 * (seed % 3), 40), "seed": seed, "finish": ("patches", "none")[seed % 4 == 3]}
        for seed in range(12)
    ]
    expected = [SingleImageModel.load(trained_run).sample(1, **wish) for wish in wishes]
    model = SingleImageModel.load(trained_run)
    with ThreadPoolExecutor(6) as pool:
        made = list(pool.map(lambda wish: model.sample(1, **wish), wishes))
    assert all(torch.equal(one, other) for one, other in zip(made, expected, strict=True))
    assert len({tuple(picture.shape) for picture in made}) == 3


def test_a_photo_that_another_thread_prepares_meanwhile():
    photo = Photo(torch.randint(0, 256, (1, 3, 40, 60), generator=torch.Generator().manual_seed(1)).byte())
    mine, other = Plan.of((30, 45), photo.size), Plan.of((80, 90), photo.size)
    assert mine.photo != other.photo
    at = photo.at

    def interrupted(size):
        photo.at = at
        photo.prepared(other)
        return at(size)

    photo.at = interrupted
    assert [scale.size for scale in photo.prepared(mine)] == list(mine.photo)
    assert [scale.size for scale in photo.prepared(other)] == list(other.photo)


def test_the_finish_changes_no_switch_of_the_process(monkeypatch):
    """TF32 is refused with the call; on a CPU the numbers are those of an ordinary convolution."""
    x, filters, offset = Draw(0).normal((2, 3, 20, 30)), Draw(1).normal((5, 3, 7, 7)), Draw(2).normal((5,))
    said, convolution = [], torch._convolution
    monkeypatch.setattr(torch, "_convolution", lambda *given: said.append(given[-1]) or convolution(*given))
    assert torch.equal(precise(x, filters, offset), F.conv2d(x, filters, offset))
    assert said == [False]  # allow_tf32


SOURCES = {"bytes": lambda data: data, "file": io.BytesIO}


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_a_model_from_bytes(source, trained_run):
    data = (trained_run / "model.safetensors").read_bytes()
    model = SingleImageModel.load(source(data))
    assert torch.equal(model.sample(2, seed=3), SingleImageModel.load(trained_run).sample(2, seed=3))


BAD = {
    "empty": (lambda data: b"", "is empty"),
    "short": (lambda data: data[:3], "cut short"),
    "cut": (lambda data: data[:-5], "cut short or damaged"),
    "foreign": (lambda data: b"GIF89a" + bytes(3000), "no safetensors file"),
    "more": (lambda data: data + bytes(2**26), "more than what its header names"),
    "text": (lambda data: io.StringIO("model"), "not bytes"),
    "large": (lambda data: io.BytesIO(data), "larger than any model"),
}


@pytest.mark.parametrize(("spoil", "words"), BAD.values(), ids=BAD)
def test_bytes_that_are_no_model(spoil, words, trained_run, monkeypatch):
    if words.startswith("larger"):
        monkeypatch.setattr(model_file, "MOST_BYTES", 1000)
    with pytest.raises(UserError, match=words) as refused:
        SingleImageModel.load(spoil((trained_run / "model.safetensors").read_bytes()))
    assert str(refused.value).startswith("the model that was given")


def test_an_open_file_is_named(trained_run, tmp_path):
    (tmp_path / "bad.safetensors").write_bytes(b"")
    with open(tmp_path / "bad.safetensors", "rb") as file, pytest.raises(UserError, match=r"bad\.safetensors is empty"):
        SingleImageModel.load(file)
