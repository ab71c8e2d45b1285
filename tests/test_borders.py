"""The table of borders: every entry is usable and stored by its word; one more is one class and one line."""

from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F

from consingan import config
from consingan.gan.borders import BORDERS
from consingan.gan.generator import GrowingGenerator
from consingan.gan.model import SingleImageModel
from consingan.grid.windows import Part, Window
from consingan.tasks import TASKS

SIZES = [(12, 14), (24, 28), (48, 56)]  # twice as large each, so that a step of a pixel below is two above


@dataclass(frozen=True)
class Circular:
    """The plane goes on at its other side: what a tileable texture would need. It is here to see that it would fit."""

    margin: int
    padding: int
    name: str = "circular"
    padding_mode: str = "circular"

    def noise_size(self, size):
        return size

    def around(self, window, reach, size):
        def span(inner, length):
            grown = (inner[0] - reach, inner[1] + reach)
            return grown if grown[0] >= 0 and grown[1] <= length else (0, length)

        return Window(span(window.rows, size[0]), span(window.columns, size[1]))

    def part(self, kept, size, below):
        made = self.around(kept, self.padding + self.margin, size)
        source = Window(*((a * n // m, -(-b * n // m)) for (a, b), n, m in zip(spans(made), below, size, strict=True)))
        return Part(made, kept, made), self.around(source, 3, below)

    def coarsest(self, convolutions, x):
        return convolutions(F.pad(x, [self.margin] * 4, mode="circular"))

    def finer(self, convolutions, below, noise, part, size):
        skip = self.enlarged(below, size, part.computed)
        reach = self.margin + self.padding
        made = convolutions(F.pad(skip + noise, [reach] * 4, mode="circular"))
        made = made[:, :, self.padding : made.shape[2] - self.padding, self.padding : made.shape[3] - self.padding]
        return part.needed.cut(made + skip, part.computed)

    def enlarged(self, below, size, wanted):
        """Twice the size; what lies past a part is spoiled as it is in a tile, past the plane it is the other side."""
        assert size == (2 * below.size[0], 2 * below.size[1])
        x = F.interpolate(F.pad(below.features, [3] * 4, mode="circular"), scale_factor=2, mode="bicubic")
        top, left = (2 * span[0] - 6 for span in spans(below.window))
        return x[:, :, wanted.rows[0] - top : wanted.rows[1] - top, wanted.columns[0] - left : wanted.columns[1] - left]


def spans(window):
    return window.rows, window.columns


def circular_model(monkeypatch, **values):
    monkeypatch.setitem(BORDERS, "circular", Circular)
    settings = config.resolve("generation", "x.png", ("test", {"train_stages": 3, "nfc": 6, **values}))[0]
    torch.manual_seed(0)
    model = SingleImageModel(settings, "circular", SIZES)
    for height, width in SIZES:
        model.grow(torch.zeros(1, 3, height, width), torch.randn(1, 3, *SIZES[0]))
    for parameter in model.generator.double().parameters():
        torch.nn.init.normal_(parameter, 0, 0.2)
    model.amplitudes = [1.0, 0.5, 0.5]
    return model


@pytest.mark.parametrize("padding", [0, 1])
def test_a_circular_border_would_fit_and_make_pictures_that_tile(padding, monkeypatch):
    model = circular_model(monkeypatch, padd_size=padding)
    generator = model.generator
    inputs = [torch.randn(generator.input_shape(k, size), dtype=torch.float64) for k, size in enumerate(SIZES)]
    rolled = [x.roll((2**k, 3 * 2**k), (2, 3)) for k, x in enumerate(inputs)]
    picture = model.generate(inputs, SIZES)
    torch.testing.assert_close(model.generate(rolled, SIZES), picture.roll((4, 12), (2, 3)), rtol=0, atol=1e-12)
    assert picture.std() > 0.05


@pytest.mark.parametrize("window", [Window((20, 30), (20, 33)), Window((0, 9), (40, 56)), Window((47, 48), (0, 56))])
def test_a_tile_of_a_circular_picture_equals_that_part_of_the_whole(window, monkeypatch):
    model = circular_model(monkeypatch)
    sources = [model.noise(model_draw(), stage) for stage in range(3)]
    doubled = [lambda part, source=source: source(part).double() for source in sources]
    whole = model.render(doubled, SIZES)
    parts = model.generator.parts(SIZES, window)
    cut = [source(part.noise) for source, part in zip(doubled, parts, strict=True)]
    torch.testing.assert_close(model.generate(cut, SIZES, window), window.cut(whole), rtol=0, atol=1e-12)
    model.tile = 400
    torch.testing.assert_close(model.render(doubled, SIZES), whole, rtol=0, atol=1e-12)


def model_draw():
    from consingan.grid.noise import Draw

    return Draw(0, ("test",))


def test_a_model_file_keeps_the_word(tmp_path, monkeypatch):
    model = circular_model(monkeypatch)
    model.generator.float()
    model.save(tmp_path / "model.safetensors")
    assert model.header()["border"] == "circular"
    again = SingleImageModel.load(tmp_path / "model.safetensors")
    assert isinstance(again.generator.border, Circular)
    assert torch.equal(again.sample(1), model.sample(1))


@pytest.mark.parametrize("word", BORDERS)
def test_every_border_knows_its_word_and_the_margin_of_a_published_stage(word):
    border = GrowingGenerator(border=word).border
    assert (border.name, border.margin, border.padding) == (word, 3, 0)


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_every_task_has_a_border_of_the_table(task):
    assert task.border in BORDERS
