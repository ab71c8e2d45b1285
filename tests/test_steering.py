"""Steered samples: the loss and its parts against second writings, what the prior and the mask promise, refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from consingan.applications.base import Material, quiet
from consingan.applications.progress import Progress
from consingan.applications.samples import Samples
from consingan.command import cli
from consingan.errors import UserError
from consingan.gan import steering
from consingan.gan.model import SingleImageModel
from consingan.gan.steering import Toward, averages, cells, distance, least, looked_at, prior, shaped
from consingan.gan.stills import Stills
from consingan.grid.noise import Draw
from consingan.grid.windows import Window
from consingan.pictures import images, sketches
from consingan.pictures.sketches import Sketch
from consingan.storage import results


@pytest.fixture(scope="module")
def model(trained_run) -> SingleImageModel:
    return SingleImageModel.load(trained_run)


@pytest.fixture
def painted(tmp_path) -> Path:
    """A sketch of 40x30 px: dark on the left, light on the right."""
    path = tmp_path / "painted.png"
    picture = np.full((30, 40, 3), 40, np.uint8)
    picture[:, 20:] = 215
    Image.fromarray(picture).save(path)
    return path


def halves(height: int = 30, width: int = 40) -> Sketch:
    picture = torch.full((1, 3, height, width), -0.7)
    picture[..., width // 2 :] = 0.7
    return Sketch(picture)


def draws(n: int = 1, seed: int = 0) -> list[Draw]:
    return [Draw(seed, ("sample", k)) for k in range(n)]


def moved_noise(model: SingleImageModel, toward: Toward) -> tuple[torch.Tensor, torch.Tensor]:
    """Stage 0's noise before and after, of a model of pure noise."""
    sizes = model.sizes_for(model.size)
    given = [model.noise(draws()[0], stage) for stage in range(model.stages)]
    everything = Window.whole(sizes[0])
    return given[0](everything), toward.sources(model, given, 0, 1.0, sizes)[0](everything)


# ---- the parts of the loss


def test_the_distance_is_that_of_cell_means_in_float64():
    generator = torch.Generator().manual_seed(1)
    made = torch.randn(2, 3, 7, 10, generator=generator, dtype=torch.float64)
    picture = torch.randn(1, 3, 7, 10, generator=generator, dtype=torch.float64)
    mask = torch.rand(1, 1, 7, 10, generator=generator, dtype=torch.float64)
    rows, columns = averages(7, 3).double(), averages(10, 4).double()
    expected = 0.0
    difference = (mask * (made - picture)).numpy()
    fine = difference.repeat(3, axis=2).repeat(4, axis=3)  # every cell is whole pixels of this one
    for sample in fine:
        for row in range(3):
            for column in range(4):
                mean = sample[:, 7 * row : 7 * row + 7, 10 * column : 10 * column + 10].mean((1, 2))
                expected += (mean**2).sum() / 12
    assert distance(made, picture, mask, rows, columns).item() == pytest.approx(expected, rel=1e-6)
    made.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: distance(x, picture, mask, rows, columns), made)


@pytest.mark.parametrize(("pixels", "count"), [(7, 3), (40, 16), (5, 5), (3, 1)])
def test_cells_are_means_and_cover_every_pixel_alike(pixels, count):
    weights = averages(pixels, count)
    torch.testing.assert_close(weights.sum(1), torch.ones(count))
    torch.testing.assert_close(weights.sum(0), torch.full((pixels,), count / pixels))
    assert (weights >= 0).all()


def test_the_search_finds_what_a_linear_generator_has_in_closed_form():
    """Least of ``w |A (z + d) - s|^2 + |d|^2 / 2``: ``d = (2 w A'A + 1)^-1 2 w A' (s - A z)``."""
    generator = torch.Generator().manual_seed(2)
    matrix, z, target = (torch.randn(shape, generator=generator).double() for shape in ((4, 9), (9,), (4,)))
    weight = 0.3
    normal = 2 * weight * matrix.T @ matrix + torch.eye(9)
    expected = torch.linalg.solve(normal, 2 * weight * matrix.T @ (target - matrix @ z))

    def loss(d):
        return weight * (matrix @ (z + d) - target).square().sum() + prior(d)

    found = least(loss, torch.zeros(9).double())
    assert loss(found) < loss(expected) + 0.02 * (loss(torch.zeros(9)) - loss(expected))
    assert (found - expected).norm() < 0.1 * expected.norm()


def test_the_prior_is_the_gaussian_s():
    change = torch.linspace(-1, 2, 7).double()
    density = torch.distributions.Normal(0, 1)
    log = density.log_prob(change).sum() - density.log_prob(torch.zeros(7).double()).sum()
    assert prior(change).item() == pytest.approx(-log.item())


# ---- what is promised


def test_following_by_nothing_is_the_ordinary_sample_to_the_bit_and_takes_no_time(model, painted):
    plain = model.sample(2, (30, 40), seed=3, variation=0.6)
    assert torch.equal(model.sample(2, (30, 40), seed=3, variation=0.6, like=str(painted), follow=0.0), plain)
    assert not torch.equal(model.sample(2, (30, 40), seed=3, variation=0.6, like=str(painted)), plain)
    told: list[float] = []
    for follow, number in ((0.0, 0), (0.5, steering.STEPS)):
        model.layouts(draws(), (30, 40), toward=Toward(halves(), follow, told.append))
        assert len(told) == number
    assert told[-1] == 1.0


@pytest.mark.parametrize(("start", "variation"), [(0, 1.0), (0, 0.6), (1, 1.0)])
def test_the_layout_comes_nearer_the_more_it_is_to_follow(model, start, variation):
    def far(follow: float) -> float:
        made = model.layouts(draws(2), (30, 40), start, variation, toward=Toward(halves(), follow))
        grid = [averages(n, m) for n, m in zip((30, 40), cells(model.sizes[0], (30, 40)), strict=True)]
        return distance(made, *halves().at((30, 40)), *grid).item()

    ordinary, little, much = far(0.0), far(0.3), far(1.0)
    assert much < little < ordinary
    if start == 0:
        assert much < 0.7 * ordinary


def test_the_noise_stays_gaussian_and_is_moved(model):
    for follow in (0.5, 1.0):
        before, after = moved_noise(model, Toward(halves(), follow))
        assert (after - before).square().mean().sqrt() > 0.03
        assert abs(after.mean() - before.mean()) < 0.15
        assert 0.9 < after.std() / before.std() < 1.15
        beside = (after[..., 1:] * after[..., :-1]).mean() / after.square().mean()
        assert abs(beside) < 0.3


def test_where_the_mask_does_not_count_nothing_moves(model):
    mask = torch.zeros(1, 1, 30, 40)
    mask[..., :10] = 1
    before, after = moved_noise(model, Toward(Sketch(halves().picture, mask)))
    assert torch.equal(after[..., 20:], before[..., 20:])
    assert (after[..., :8] != before[..., :8]).all()
    elsewhere = halves().picture.clone()
    elsewhere[..., 15:] = 0.1
    assert torch.equal(moved_noise(model, Toward(Sketch(elsewhere, mask)))[1], after)
    made = torch.zeros(1, 3, 30, 40, requires_grad=True)
    distance(made, halves().picture, mask, averages(30, 7), averages(40, 9)).backward()
    assert (made.grad[..., 10:] == 0).all()
    assert (made.grad[..., :10] != 0).all()


def test_a_seed_is_a_proposal_and_the_first_of_many_are_the_same(model):
    toward = Toward(halves())
    one = model.layouts(draws(1), (30, 40), toward=toward)
    assert torch.equal(model.layouts(draws(1), (30, 40), toward=toward), one)
    torch.testing.assert_close(model.layouts(draws(2), (30, 40), toward=toward)[:1], one, atol=1e-4, rtol=0)
    other = model.layouts(draws(1, seed=1), (30, 40), toward=toward)
    assert (other - one).abs().mean() > 0.02


def test_the_stages_that_are_looked_at_are_bounded(model, monkeypatch):
    sizes = model.sizes_for((30, 40))
    assert looked_at(model, sizes, 0) == 2
    monkeypatch.setattr(steering, "LOOKED_AT", 1000)  # 34x25 px, and not 40x30
    assert looked_at(model, sizes, 0) == 1
    assert looked_at(model, sizes, 1) == 2
    only = model.layouts(draws(), (30, 40), toward=Toward(halves()))
    assert only.shape == (1, 3, 30, 40)
    monkeypatch.setattr(model, "tile", 1000)
    with pytest.raises(UserError, match="--like moves the noise of stage 0, which has 34x25 px at this size, more tha"):
        model.layouts(draws(), (30, 40), toward=Toward(halves()))


def test_the_time_before_the_finish_is_counted():
    said: list[str] = []
    assert Progress(said.append, 2, [(100, 100)], before=5.0).seconds == pytest.approx(2 * (5.0 + 0.45 + 0.06))
    assert Progress(said.append, 2, [(100, 100)], finished=False, before=5.0).seconds == 10.0
    assert len(said) == 2


def test_samples_have_the_sketch_s_proportions():
    assert shaped((200, 300), (20, 30)) == (200, 300)
    assert shaped((200, 300), (67, 100)) == (200, 300)  # to rounding
    assert shaped((200, 300), (30, 20)) == (300, 200)
    assert shaped((200, 300), (50, 50)) == (300, 300)


# ---- sketches


def test_colours_become_the_nearest_that_the_picture_has():
    scene = torch.tensor([[0.55, 0.7, 0.9], [0.35, 0.4, 0.2], [0.8, 0.8, 0.8]]).T.view(1, 3, 1, 3) * 2 - 1
    crude = torch.tensor([[0.3, 0.6, 1.0], [0.0, 0.6, 0.0], [1.0, 1.0, 1.0]]).T.view(1, 3, 1, 3) * 2 - 1
    assert torch.equal(Sketch(crude).in_colours_of(scene).picture, scene)
    blue = torch.tensor([0.0, 0.0, 1.0]).view(1, 3, 1, 1) * 2 - 1
    sky_and_rock = torch.tensor([[0.55, 0.7, 0.9], [0.3, 0.3, 0.35]]).T.view(1, 3, 1, 2) * 2 - 1
    assert torch.equal(Sketch(blue).in_colours_of(sky_and_rock).picture, sky_and_rock[..., :1])  # rock is as dark
    grey = torch.tensor([-0.9, 0.0, 0.8]).view(1, 1, 1, 3)
    assert torch.equal(Sketch(grey + 0.1).in_colours_of(grey).picture, grey)


def test_transparent_parts_do_not_count(tmp_path):
    pixels = np.zeros((10, 12, 4), np.uint8)
    pixels[:, :6] = (200, 100, 50, 255)
    Image.fromarray(pixels).save(tmp_path / "sketch.png")
    sketch = sketches.read(tmp_path / "sketch.png", None, 3)
    assert sketch.mask is not None
    assert torch.equal(sketch.mask[0, 0, :, :6], torch.ones(10, 6))
    assert torch.equal(sketch.mask[0, 0, :, 6:], torch.zeros(10, 6))
    assert sketch.notes == (f"Transparent parts of {tmp_path / 'sketch.png'} do not count.",)
    Image.fromarray(np.full((20, 24), 255, np.uint8)).save(tmp_path / "mask.png")
    both = sketches.read(tmp_path / "sketch.png", tmp_path / "mask.png", 3)
    assert both.mask is not None
    assert torch.equal(both.mask, sketch.mask)


def test_numbers_that_are_none_are_refused():
    for picture, mask in (
        (torch.full((1, 3, 8, 8), torch.nan), None),
        (torch.zeros(1, 3, 8, 8), torch.zeros(1, 1, 8, 8)),
    ):
        with pytest.raises(UserError):
            Sketch(picture, mask)
    with pytest.raises(UserError, match="from 0 to 1"):
        Sketch(torch.zeros(1, 3, 8, 8), torch.full((1, 1, 8, 8), torch.inf))


# ---- the command


def test_the_sketch_stands_beside_the_results(trained_run, painted, tmp_path):
    out = tmp_path / "out"
    words = [str(trained_run), "--like", str(painted), "--num_samples", "2", "--out", str(out), "--not_cuda"]
    done = CliRunner().invoke(cli.sample, [*words, "--scale_w", "2"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    made = {each.path.name: each for each in results.kept(out)}
    assert str(made["sketch.png"].role) == "sketch"
    assert made["seed_0_sample_000.png"].facts["follow"] == "0.5"
    assert made["seed_0_sample_000.png"].facts["like"] == str(painted)
    assert made["sketch.png"].path.parent.name == "samples_80x30_start_0_like_painted_follow_0.5"
    with Image.open(made["sketch.png"].path) as sketch, Image.open(made["grid.png"].path) as grid:
        assert sketch.size == (80, 30)
        assert np.array_equal(np.asarray(grid)[:30, :80], np.asarray(sketch))


def test_without_a_size_the_sketch_s_proportions_are_those_of_the_samples(model, tmp_path):
    images.save(tmp_path / "tall.png", torch.zeros(1, 3, 32, 16))
    options = Stills(num_samples=1, like=str(tmp_path / "tall.png"))
    made = list(Samples().apply(Material.of(model), options, quiet))
    assert [tuple(each.frames[0].shape[2:]) for each in made] == [(40, 20), (40, 20)]
    assert model.sample(like=options.like).shape == (1, 3, 40, 20)
    assert model.sample(like=options.like, finish="patches", longest=32).shape == (1, 3, 32, 16)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--like", "missing.png"), "missing.png"),
        (("--like", "text.png"), "text.png"),
        (("--mask", "black.png"), "--mask black.png is given without --like; name the sketch that it is for, or"),
        (
            ("--like", "painted.png", "--mask", "wide.png"),
            "--mask wide.png is 60x20 px, another shape than the sketch's",
        ),
        (("--like", "painted.png", "--mask", "black.png"), "--mask black.png is empty: no pixel is above half"),
        (("--like", "clear.png"), "The sketch clear.png is transparent everywhere; paint where things are to lie."),
        (("--like", "painted.png", "--variation", "0"), "--variation 0 leaves no noise that --like could move"),
        (("--like", "painted.png", "--follow", "2"), "--follow"),
        (
            ("--like", "painted.png", "--gen_start_scale", "7"),
            "--gen_start_scale is 7, but this model has stages 0 to 1",
        ),
        (("--like", "painted.png", "--size", "9000x9000"), "--like moves the noise of stage 0, which has"),
        (("--like", "painted.png", "--application", "instant"), "--like painted.png needs a trained model"),
        (("--like", "painted.png", "--application", "walk"), "--like is a flag of --application samples"),
    ],
)
def test_what_cannot_be_followed_is_one_sentence(trained_run, painted, monkeypatch, words, sentence):
    monkeypatch.chdir(painted.parent)
    Path("text.png").write_text("no picture")
    Image.fromarray(np.full((20, 60), 255, np.uint8)).save("wide.png")
    Image.fromarray(np.zeros((30, 40), np.uint8)).save("black.png")
    Image.fromarray(np.zeros((30, 40, 4), np.uint8)).save("clear.png")
    done = CliRunner().invoke(cli.sample, [str(trained_run), *words, "--out", "made", "--quiet", "--not_cuda"])
    assert done.exit_code == 2, done.output
    assert sentence in " ".join(done.stderr.split())
    assert done.stderr.splitlines()[-1].startswith("Error: ")
    assert not Path("made").exists()
