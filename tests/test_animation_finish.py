import pytest
import torch

from consingan import config
from consingan.applications.base import Material, quiet
from consingan.applications.walk import WALK as APPLICATION
from consingan.applications.walk import WalkOptions
from consingan.errors import UserError
from consingan.finish import patches
from consingan.finish.motion import displaced, motion, moving
from consingan.finish.photo import Photo, stored
from consingan.gan.model import SingleImageModel
from consingan.grid.noise import Draw
from consingan.grid.resize import resize
from consingan.training.loop import train
from consingan.training.state import Training
from consingan.watch.monitor import Monitor

WALK = (4, 0.1, 0.9, 0, 5)  # frames, alpha, beta, start, seed


def waves(height: int, width: int, phase: float = 0.0) -> torch.Tensor:
    """A picture ``[1, 3, H, W]`` in [-1, 1], smooth, different everywhere."""
    rows, columns = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
    return torch.stack([torch.sin(9 * rows + 4 * k + 13 * columns * (1 + rows) + phase) for k in range(3)])[None]


PICTURE, REST = waves(90, 128), waves(30, 42)


@pytest.fixture(scope="module")
def model() -> SingleImageModel:
    values = {"train_stages": 2, "max_size": 40, "min_size": 20, "niter": (3,), "nfc": 4, "finish": "patches"}
    settings = config.resolve("animation", "x.png", ("test", values))[0]
    trained = train(Training.start(settings, waves(28, 40)), Monitor(display="quiet"))
    trained.photo = Photo(stored(PICTURE))
    return trained


def animated(model, options):
    """What the application makes of the model."""
    return APPLICATION.apply(Material.of(model), options, quiet)


def ways(layouts):
    """The frames of some layouts, by finish."""
    photo = Photo(stored(PICTURE))
    return {
        "moved": list(moving(PICTURE, REST, layouts)),
        "patches": list(patches.steady(photo, layouts, (90, 128), Draw(0))),
    }


@pytest.mark.parametrize("way", ["moved", "patches"])
def test_a_layout_that_stands_still_gives_frames_of_the_same_bits(way):
    first, *others = ways([waves(30, 42, 0.5)] * 3)[way]
    assert len(others) == 2
    assert all(torch.equal(first, other) for other in others)


def test_patches_stay_where_the_layout_trembles():
    trembling = [REST + 0.05 * Draw(0).at(k).normal(REST.shape) for k in range(3)]
    photo = Photo(stored(PICTURE))
    alone = [patches.finish(photo, layout, (90, 128), [Draw(0)]).picture for layout in trembling]
    first, *others = ways(trembling)["patches"]
    assert (others[-1] - first).abs().mean() < 0.5 * (alone[-1] - alone[0]).abs().mean()


def test_the_layout_at_rest_is_the_picture():
    torch.testing.assert_close(next(moving(PICTURE, REST, [REST])), PICTURE, rtol=0, atol=1e-4)


def test_what_moves_on_the_left_leaves_the_right_as_it_was():
    left = REST.clone()
    left[..., :12] = waves(30, 42, 0.6)[..., :12]
    frame = next(moving(PICTURE, REST, [left]))
    change = (frame - PICTURE).abs().amax((0, 1, 2))
    assert change[:36].max() > 0.2
    assert change[96:].max() < 1e-3


def test_the_picture_goes_where_the_layout_goes():
    hills = (0.4 * Draw(1).normal((1, 3, 8, 11))).clamp(-1, 1)
    picture, rest = resize(hills, (90, 128)), resize(hills, (30, 42))
    shift = torch.zeros(1, 2, 30, 42)
    shift[:, 1] = 0.04  # pixels come from the right
    found = motion(rest, displaced(rest, shift))[:, :, 6:24, 10:32]
    assert abs(found[:, 1].mean() - 0.04) < 0.01
    assert found[:, 0].abs().mean() < 0.01
    inside = (slice(None), slice(None), slice(20, 70), slice(32, 96))
    wanted = displaced(picture, resize(shift, (90, 128)))[inside]
    frame = next(moving(picture, rest, [displaced(rest, shift)]))[inside]
    assert (frame - wanted).abs().mean() < 0.3 * (picture[inside] - wanted).abs().mean()


def test_a_leap_of_the_layout_takes_several_frames():
    leap = moving(PICTURE, REST, [REST, *[waves(30, 42, 0.5)] * 30])
    frames = list(leap)
    first, whole = ((frame - PICTURE).abs().mean() for frame in (frames[1], frames[-1]))
    assert 0 < first < 0.7 * whole


@pytest.mark.parametrize(("finish", "size"), [(None, (45, 64)), ("moved", (45, 64)), ("patches", (45, 64))])
def test_frames_are_as_many_and_as_large_as_asked(model, finish, size):
    frames = list(model.animate(*WALK, finish, longest=64))
    assert [frame.shape for frame in frames] == [(1, 3, *size)] * 4
    assert len({frame.sum().item() for frame in frames}) > 1


def test_without_a_finish_frames_are_the_walk(model):
    pairs = zip(model.animate(*WALK, "none"), model.walk(*WALK), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    *_, result = animated(model, WalkOptions(frames=4, start_scale=0, seed=5, finish="none"))
    assert result.name == "animation_start_0_alpha_0.1_beta_0.9_seed_5"
    assert result.facts["finish"] == "none"
    assert torch.equal(torch.cat(result.frames), torch.cat(list(model.walk(*WALK))))


@pytest.mark.parametrize("finish", ["moved", "patches"])
def test_the_same_seed_gives_the_same_bits(model, finish):
    one, again = (torch.cat(list(model.animate(*WALK, finish, 64))) for _ in range(2))
    assert torch.equal(one, again)
    assert not torch.equal(one, torch.cat(list(model.animate(*WALK[:4], 6, finish, 64))))


def test_frames_come_one_at_a_time(model, monkeypatch):
    made = []
    walk = model.walk
    monkeypatch.setattr(model, "walk", lambda *args: (made.append(1) or frame for frame in walk(*args)))
    next(model.animate(*WALK, "moved", 64))
    assert len(made) == 1


def test_a_configuration_that_finishes_moves_the_picture(model):
    *_, result = animated(model, WalkOptions(frames=2, start_scale=0, longest=64))
    assert result.name.endswith("_moved")
    assert result.facts["finish"] == "moved"
    assert torch.equal(torch.cat(result.frames), torch.cat(list(model.animate(2, 0.1, 0.9, 0, 0, "moved", 64))))


def test_a_model_without_its_picture_is_refused_before_anything_is_made(model, monkeypatch):
    monkeypatch.setattr(model, "photo", None)
    with pytest.raises(UserError, match="--finish moved needs the training picture"):
        next(animated(model, WalkOptions(finish="moved")))
