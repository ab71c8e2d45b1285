"""The table of borders, and the border that wraps around any of them: rolled noise gives the rolled picture."""

import pytest
import torch
import torch.nn.functional as F

from consingan import config
from consingan.gan.borders import BORDERS
from consingan.gan.generator import GrowingGenerator
from consingan.gan.model import SingleImageModel
from consingan.gan.tiling import tiling
from consingan.gan.wrapping import Wrapping, wrapping
from consingan.grid.noise import Draw
from consingan.grid.sizes import WRAPS
from consingan.grid.windows import Window
from consingan.tasks import TASKS

SIZES = [(12, 14), (24, 28), (24, 28), (54, 42)]  # rolled by 4 and 4, 8 and 8, 18 and 12
ROLLS = [(4, 4), (8, 8), (8, 8), (18, 12)]
WORDS = ["x", "y", "xy"]


def model_of(border: str = "extend", sizes=SIZES, **values) -> SingleImageModel:
    """A model of random weights that are large enough to see everything, in float64."""
    layer = {"train_stages": len(sizes), "nfc": 6, **values}
    settings = config.resolve("generation", "x.png", ("test", layer))[0]
    torch.manual_seed(0)
    model = SingleImageModel(settings, border, sizes)
    for height, width in sizes:
        model.grow(torch.zeros(1, 3, height, width), torch.randn(1, 3, *sizes[0]))
    for parameter in model.generator.double().parameters():
        torch.nn.init.normal_(parameter, 0, 0.2)
    model.amplitudes = [1.0] + [0.5] * (len(sizes) - 1)
    return model


def noise_of(model: SingleImageModel, sizes=SIZES) -> list[torch.Tensor]:
    generator = model.generator
    shapes = [generator.input_shape(stage, size) for stage, size in enumerate(sizes)]
    return [torch.randn(shape, dtype=torch.float64) for shape in shapes]


def doubled(model: SingleImageModel) -> list:
    """The noise of a sample as sources, in float64."""
    sources = [model.noise(Draw(0, ("test",)), stage) for stage in range(model.stages)]
    return [lambda part, source=source: source(part).double() for source in sources]


@pytest.mark.parametrize("values", [{}, {"padd_size": 1}, {"ker_size": 5, "padd_size": 1, "num_layer": 2}])
@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("word", WORDS)
def test_rolled_noise_gives_the_rolled_picture(word, border, values):
    model = model_of(border, tileable=word, **values)
    inputs = noise_of(model)
    wraps = WRAPS[word]
    shifts = [tuple(by if wrap else 0 for by, wrap in zip(roll, wraps, strict=True)) for roll in ROLLS]
    rolled = [x.roll(by, (2, 3)) for x, by in zip(inputs, shifts, strict=True)]
    picture = model.generate(inputs, SIZES)
    torch.testing.assert_close(model.generate(rolled, SIZES), picture.roll(shifts[-1], (2, 3)), rtol=0, atol=1e-12)
    assert picture.std() > 0.05


@pytest.mark.parametrize("border", BORDERS)
def test_without_wrapping_it_is_not_so(border):
    model = model_of(border)
    inputs = noise_of(model)
    rolled = [x.roll(by, (2, 3)) for x, by in zip(inputs, ROLLS, strict=True)]
    apart = model.generate(rolled, SIZES) - model.generate(inputs, SIZES).roll(ROLLS[-1], (2, 3))
    assert apart.abs().mean() > 0.01


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize(
    "window", [Window((20, 30), (20, 33)), Window((0, 9), (30, 42)), Window((53, 54), (0, 42)), Window((0, 5), (0, 5))]
)
def test_a_part_of_a_tile_equals_that_part_of_the_whole(window, word, border):
    model = model_of(border, tileable=word, padd_size=1)
    sources = doubled(model)
    whole = model.render(sources, SIZES)
    model.tile = 200  # of which all stages but the first are larger
    torch.testing.assert_close(model.render(sources, SIZES), whole, rtol=0, atol=1e-12)
    inputs = [source(Window.whole(model.generator.plane(k, SIZES[k]))) for k, source in enumerate(sources)]
    parts = model.generator.parts(SIZES, window)
    cut = [part.noise.cut(x) for x, part in zip(inputs, parts, strict=True)]
    torch.testing.assert_close(model.generate(cut, SIZES, window), window.cut(whole), rtol=0, atol=1e-12)


def test_a_tile_at_the_border_needs_no_more_than_one_in_the_middle():
    sizes = [(20, 20), (400, 400)]
    model = model_of(sizes=sizes, tileable="xy")
    middle, corner = (
        model.generator.parts(sizes, Window((at, at + 40), (at, at + 40)))[1].noise.size for at in (180, 0)
    )
    assert middle == corner == (48, 48)  # a pixel of the tail, three of the stage, at both sides


def test_a_wrapping_plane_is_the_endless_picture_of_repeated_noise():
    """Three by three planes of the same noise, by the published border: their middle is the tile."""
    model = model_of("zero", [(24, 24)], tileable="xy")
    (noise,) = noise_of(model, [(24, 24)])
    plain = tiling(model, "off")
    wide = plain.generator([noise.repeat(1, 1, 3, 3)], [1.0], [(72, 72)])
    tile = model.generate([noise], [(24, 24)])
    torch.testing.assert_close(tile, wide[:, :, 24:48, 24:48], rtol=0, atol=1e-12)


def test_features_are_resized_as_torch_resizes_the_repeated_plane():
    model = model_of("zero", [(10, 12), (15, 15)], tileable="xy")
    x = torch.randn(1, 2, 10, 12, dtype=torch.float64)
    from consingan.gan.borders import Below

    below = Below(x, Window.whole((10, 12)), (10, 12))
    found = model.generator.border._upsampled(below, (15, 15), Window.whole((15, 15)))
    wide = F.interpolate(x.repeat(1, 1, 3, 3), (45, 45), mode="bicubic")
    torch.testing.assert_close(found, wide[:, :, 15:30, 15:30], rtol=0, atol=1e-12)


@pytest.mark.parametrize("border", BORDERS)
def test_a_trained_model_makes_tiles_and_stays_as_it_was(border):
    model = model_of(border)
    model.generator.float()
    before = model.sample(2)
    tile = tiling(model, "xy")
    made = tile.sample(1, size=(60, 44))
    assert torch.equal(model.sample(1, size=(60, 44), tileable="xy"), made)
    again = SingleImageModel.restore(model.tensors(), model.header() | {"config": tile.header()["config"]}, "test")
    assert again.wraps == (True, True)
    torch.testing.assert_close(again.sample(1, size=(60, 44)), made, rtol=0, atol=1e-6)
    assert torch.equal(model.sample(2), before)
    assert torch.equal(model.sample(2, tileable="off"), before)
    assert model.wraps == (False, False)
    assert isinstance(tile.generator.border, Wrapping)
    assert not isinstance(model.generator.border, Wrapping)


def test_a_model_of_an_earlier_version_whose_anchors_are_tensors_makes_tiles():
    model = model_of()
    model.generator.float()
    planes = [Window.whole(model.generator.plane(stage, size)) for stage, size in enumerate(SIZES)]
    held = [source(plane) for source, plane in zip(model.anchors, planes, strict=True)]
    expected = tiling(model, "xy").sample(1, start=2)
    model.fixed = held
    torch.testing.assert_close(tiling(model.to("cpu"), "xy").sample(1, start=2), expected, rtol=0, atol=0)


def test_a_border_is_wrapped_once():
    border = GrowingGenerator(border="zero").border
    twice = wrapping(wrapping(border, WRAPS["x"]), WRAPS["y"])
    assert twice == Wrapping(border, WRAPS["y"])
    assert wrapping(twice, WRAPS["off"]) == border


@pytest.mark.parametrize("word", BORDERS)
@pytest.mark.parametrize("wraps", WRAPS.values(), ids=WRAPS)
def test_every_border_knows_its_word_and_the_margin_of_a_published_stage(word, wraps):
    border = GrowingGenerator(border=word, wraps=wraps).border
    assert (border.name, border.margin, border.padding) == (word, 3, 0)


def test_a_model_file_keeps_whether_its_pictures_tile(tmp_path):
    model = model_of("zero", tileable="x")
    model.generator.float()
    model.save(tmp_path / "model.safetensors")
    assert model.header()["border"] == "zero"
    again = SingleImageModel.load(tmp_path / "model.safetensors")
    assert again.wraps == (False, True)
    assert torch.equal(again.sample(1), model.sample(1))


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_every_task_has_a_border_of_the_table(task):
    assert task.border in BORDERS
