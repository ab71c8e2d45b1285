"""Pictures of any size: noise by position, tiles without seams, and what happens when memory runs out."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from consingan import config
from consingan.applications import writing
from consingan.applications.base import Result
from consingan.errors import UserError
from consingan.gan.borders import Extend
from consingan.gan.model import SingleImageModel
from consingan.gan.sources import nearest
from consingan.grid.noise import BLOCK, Draw, Field, as_source, draws_alike, fingerprint
from consingan.grid.windows import Window, tiles
from consingan.pictures import images
from consingan.storage import files
from consingan.storage.results import Role
from consingan.storage.run import Run
from consingan.training.loop import resume, train, write_start
from consingan.training.state import Training
from consingan.training.step import Learner
from consingan.watch.monitor import Monitor

FIELD = Field(Draw(3, ("sample", 0)), 2)


def windows_within(height, width):
    """Strategy: any window of a map."""

    def spans(length):
        return st.tuples(st.integers(0, length - 1), st.integers(1, length)).map(
            lambda ends: (min(ends[0], ends[1] - 1), max(ends[0] + 1, ends[1]))
        )

    return st.builds(Window, spans(height), spans(width))


# ---- noise by position


@settings(deadline=None, max_examples=15)
@given(windows_within(3 * BLOCK, 2 * BLOCK + 5))
def test_a_part_of_a_field_is_that_part_of_the_whole(window):
    everything = FIELD.cut(Window((0, 3 * BLOCK), (0, 2 * BLOCK + 5)))
    assert torch.equal(FIELD.cut(window), window.cut(everything))


def test_a_field_is_standard_normal_without_repetition():
    noise = FIELD.cut(Window((0, 4 * BLOCK), (0, 4 * BLOCK)))
    assert noise.is_contiguous(memory_format=torch.channels_last)
    assert noise.mean().item() == pytest.approx(0, abs=0.03)
    assert noise.std().item() == pytest.approx(1, abs=0.03)
    squares = noise.unfold(2, BLOCK, BLOCK).unfold(3, BLOCK, BLOCK).reshape(1, 2, 16, -1)
    assert len(squares.unique(dim=2)[0, 0]) == 16
    flat = squares[0, 0]
    assert torch.corrcoef(flat).fill_diagonal_(0).abs().max() < 0.15
    other = Field(Draw(3, ("sample", 1)), 2).cut(Window((0, BLOCK), (0, BLOCK)))
    assert not torch.equal(other, noise[:, :, :BLOCK, :BLOCK])


def test_the_fingerprint_tells_other_numbers_from_rounding():
    own = fingerprint()
    assert draws_alike(own)
    assert draws_alike([number + 1e-5 for number in own])
    assert not draws_alike([number + 0.1 for number in own])
    assert not draws_alike([float("nan")] * len(own))
    assert not draws_alike(own[:-1])
    assert own == pytest.approx((-0.0648, 1.02434, -0.17866, 0.2167, 1.67977, -1.11072, 1.77214, 0.37048), abs=1e-4)


@settings(deadline=None, max_examples=15)
@given(windows_within(50, 41))
def test_stretched_noise_is_repeated_pixel_by_pixel(window):
    x = torch.arange(20.0 * 17).reshape(1, 1, 20, 17)
    stretched = torch.nn.functional.interpolate(x, (50, 41))
    assert torch.equal(nearest(as_source(x), (20, 17), (50, 41))(window), window.cut(stretched))


# ---- tiles


@settings(deadline=None, max_examples=15)
@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(2000, 90_000))
def test_tiles_cover_a_picture_once_and_are_small(height, width, pixels):
    found = list(tiles((height, width), pixels))
    assert sum(tile.size[0] * tile.size[1] for tile in found) == height * width
    assert min(tile.rows[0] for tile in found) == min(tile.columns[0] for tile in found) == 0
    assert max(tile.rows[1] for tile in found) == height
    assert max(tile.columns[1] for tile in found) == width
    for tile in found:
        assert 0 < tile.size[0] * tile.size[1] <= pixels + max(tile.size)
    assert len({(tile.rows[0], tile.columns[0]) for tile in found}) == len(found)


SIZES = [(25, 19), (33, 26), (47, 40), (90, 81)]


def untrained(border="extend", noise=0.2, **values):
    """A model of four stages with random weights, all of whose stages show in the picture."""
    values = {"train_stages": 4, "min_size": 19, "max_size": 90, "nfc": 6, **values}
    settings = config.resolve("generation", "x.png", ("test", values))[0]
    torch.manual_seed(0)
    model = SingleImageModel(settings, border, SIZES)
    first = torch.sin(torch.arange(25 * 19 * 3).reshape(1, 3, 25, 19) / 40)
    for stage, (height, width) in enumerate(SIZES):
        model.grow(torch.zeros(1, 3, height, width), first)
        if stage:
            assert 0 < model.amplitudes[stage] < 1
    for parameter in model.generator.parameters():
        torch.nn.init.normal_(parameter, 0, noise)
    model.amplitudes = [1.0, 0.5, 0.5, 0.5]
    return model


@pytest.fixture(params=["extend", "zero"])
def model(request):
    return untrained(request.param)


@pytest.fixture
def precise(model):
    """The same in double precision, its noise as well."""
    model.generator.double()
    model.anchors = [doubled(anchor) for anchor in model.anchors]
    model.fixed = [anchor.double() for anchor in model.fixed]
    noise = model.noise
    model.noise = lambda draw, stage: doubled(noise(draw, stage))
    return model


def doubled(source):
    return lambda window: source(window).double()


def made(model):
    """Everything that a model makes, by what it is."""
    other = torch.cos(torch.arange(60 * 50 * 3, dtype=model.fixed[0].dtype).reshape(1, 3, 60, 50) / 90)
    return {
        "reconstruction": model.reconstruct(),
        "sample": model.sample(2, seed=1),
        "another size": model.sample(1, (140, 77), seed=1),
        "from a later stage": model.sample(1, (60, 150), seed=1, start=2),
        "transform": model.transform(other, noise_scale=0.7),
        "transform from a later stage": model.transform(other, start=2, seed=4),
        "walk": torch.cat(list(model.walk(3, 0.1, 0.9, 1, 5))),
    }


@pytest.mark.parametrize("pixels", [1200, 700, 64])
def test_tiles_have_no_seams(precise, pixels):
    precise.tile = 10**9
    expected = made(precise)
    precise.tile = pixels
    for name, picture in made(precise).items():
        assert picture.dtype == torch.float64
        torch.testing.assert_close(picture, expected[name], rtol=0, atol=1e-12, msg=lambda text: f"{name}: {text}")  # noqa: B023


def test_tiles_have_no_seams_in_single_precision(model):
    expected = made(model)
    model.tile = 700
    for name, picture in made(model).items():
        assert picture.std() > 0.1, name
        torch.testing.assert_close(picture, expected[name], rtol=0, atol=2e-5)


def test_batch_norm_is_computed_whole():
    model = untrained(batch_norm=True)
    expected = made(model)
    model.tile = 64
    assert all(torch.equal(picture, expected[name]) for name, picture in made(model).items())


def test_no_more_than_a_tile_with_its_surroundings_is_computed(model, monkeypatch):
    seen = []
    border = type(model.generator.border)
    finer = border.finer

    def watched(self, convolutions, below, noise, *rest):
        seen.append((convolutions, noise.shape[2] * noise.shape[3]))
        return finer(self, convolutions, below, noise, *rest)

    monkeypatch.setattr(border, "finer", watched)
    model.tile = 1500
    model.sample(1, (90, 800))
    assert max(pixels for _, pixels in seen) < 3200
    assert {convolutions for convolutions, _ in seen} == set(model.generator.stages[1:])


def test_samples_on_their_way_use_no_batch_twice(model, monkeypatch):
    alone = model.sample(3, (100, 90))
    monkeypatch.setattr("consingan.gan.sampling.batch_size", lambda device: 2)
    model.tile = 1500
    torch.testing.assert_close(model.sample(3, (100, 90)), alone, rtol=0, atol=2e-5)


# ---- anchors without memory


@pytest.fixture
def unkept(monkeypatch):
    """Anchors of all later stages known by their place only."""
    monkeypatch.setattr("consingan.gan.model.KEPT", 0)
    monkeypatch.setattr("consingan.training.step.KEPT", 0)


def test_anchors_are_the_same_kept_or_not(unkept, monkeypatch):
    model = untrained()
    drawn = model.reconstruct()
    monkeypatch.setattr("consingan.gan.model.KEPT", 10**9)
    assert torch.equal(model.to("cpu").reconstruct(), drawn)


TINY = {"train_stages": 3, "max_size": 60, "min_size": 25, "niter": (3,), "nfc": 4, "precision": "fp32"}


def striped(height=56, width=60):
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.sin((rows + 2 * columns) / 4 + torch.arange(3)[:, None, None])[None]


def training(**changes):
    settings = config.resolve("generation", "stripes.png", ("test", {**TINY, **changes}))[0]
    return Training.start(settings, striped())


@pytest.mark.parametrize("window", ["off", "32"])
@pytest.mark.parametrize("depth", [1, 3])
def test_training_is_the_same_with_anchors_kept_or_not(monkeypatch, window, depth):
    models = []
    for kept in (0, 10**9):
        monkeypatch.setattr("consingan.gan.model.KEPT", kept)
        monkeypatch.setattr("consingan.training.step.KEPT", kept)
        models.append(train(training(window=window, train_depth=depth), Monitor(display="quiet")))
    for name, value in models[0].tensors().items():
        torch.testing.assert_close(value, models[1].tensors()[name], rtol=0, atol=1e-5)


def test_a_file_holds_no_noise(unkept, tmp_path):
    model = train(training(), Monitor(display="quiet"))
    model.save(tmp_path / "model.safetensors")
    tensors, header = files.load_tensors(tmp_path / "model.safetensors")
    assert [name for name in tensors if name.startswith("anchor")] == ["anchor.0"]
    assert header["noise"]["seed"] == 0
    loaded = SingleImageModel.load(tmp_path)
    assert torch.equal(loaded.reconstruct(), model.reconstruct())


def test_fine_tuning_with_another_seed_keeps_the_anchors(tmp_path):
    model = train(training(), Monitor(display="quiet"))
    expected = model.reconstruct()
    model.settings = config.resolve("generation", "stripes.png", ("test", {**TINY, "seed": 8}))[0]
    model.save(tmp_path / "model.safetensors")
    assert torch.equal(SingleImageModel.load(tmp_path).reconstruct(), expected)


def rewritten(model, path, change):
    """Save a model with its file changed."""
    tensors, header = model.tensors(), {"kind": "model", **model.header()}
    change(tensors, header)
    files.save_tensors(path, tensors, header)
    return path


def test_a_file_of_an_earlier_version_holds_its_anchors(tmp_path):
    model = train(training(), Monitor(display="quiet"))
    noise = [torch.randn(model.generator.input_shape(stage, model.sizes[stage])) for stage in (1, 2)]

    def earlier(tensors, header):
        del header["noise"]
        tensors |= {f"anchor.{stage}": value for stage, value in enumerate(noise, 1)}

    loaded = SingleImageModel.load(rewritten(model, tmp_path / "model.safetensors", earlier))
    model.anchors[1:] = map(as_source, noise)
    expected = model.reconstruct()
    assert torch.equal(loaded.reconstruct(), expected)
    loaded.save(tmp_path / "model.safetensors")
    assert torch.equal(SingleImageModel.load(tmp_path).reconstruct(), expected)


@pytest.mark.parametrize(
    ("noise", "words"),
    [
        (None, "'anchor.1' is missing"),
        ({}, "damaged 'noise'"),
        ([], "damaged 'noise'"),
        ({"seed": "1", "fingerprint": [0.0] * 8}, "damaged 'noise'"),
        ({"seed": 1, "fingerprint": []}, "damaged 'noise'"),
        ({"seed": 1, "fingerprint": ["x"]}, "damaged 'noise'"),
        ({"seed": 1, "fingerprint": [10**400]}, "damaged 'noise'"),
        ({"seed": 1, "fingerprint": [0.0] * 8, "torch": "9.9"}, "written with torch 9.9.* install that version"),
    ],
    ids=str,
)
def test_a_file_whose_noise_cannot_be_had_is_refused(tmp_path, noise, words):
    model = train(training(niter=(1,)), Monitor(display="quiet"))
    path = rewritten(model, tmp_path / "model.safetensors", lambda tensors, header: header.update(noise=noise))
    with pytest.raises(UserError, match=words) as caught:
        SingleImageModel.load(path)
    assert "\n" not in str(caught.value)


# ---- memory that runs out

CPU_WORDS = "[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory: you tried"


@pytest.fixture(params=[RuntimeError(CPU_WORDS), torch.OutOfMemoryError("CUDA out of memory. Tried"), MemoryError()])
def exhausted(request):
    return request.param


def test_smaller_tiles_where_memory_runs_out(exhausted, monkeypatch):
    model, said = untrained(), []
    expected = model.sample(1, (90, 200))
    finer = Extend.finer

    def tight(self, convolutions, below, noise, *rest):
        if noise.shape[2] * noise.shape[3] > 7000:
            raise exhausted
        return finer(self, convolutions, below, noise, *rest)

    monkeypatch.setattr(Extend, "finer", tight)
    monkeypatch.setattr("consingan.gan.memory.SMALLEST_TILE", 16)
    model.say = said.append
    model.tile = 4 * 4800
    torch.testing.assert_close(model.sample(1, (90, 200)), expected, rtol=0, atol=2e-5)
    assert said == ["Memory ran out: going on with tiles of 69 px."]
    model.tile = 16
    monkeypatch.setattr(Extend, "finer", lambda *args: (_ for _ in ()).throw(exhausted))
    with pytest.raises(type(exhausted)):
        model.sample(1, (90, 200))
    assert len(said) == 1


def test_other_faults_are_not_taken_for_memory(monkeypatch):
    def faulty(*args):
        raise RuntimeError("sizes do not match")

    monkeypatch.setattr(Extend, "finer", faulty)
    with pytest.raises(RuntimeError, match="do not match"):
        untrained()


class Tight:
    """Memory that is too small for an iteration on more than so many pixels; it fails in the generator's update."""

    def __init__(self, monkeypatch, pixels, error, after=0):
        self.calls, own = 0, Learner.generator_losses

        def losses(learner, made, drawn):
            self.calls += 1
            if self.calls > after and made.real.shape[2] * made.real.shape[3] > pixels:
                learner.critic.requires_grad_(False)
                raise error
            return own(learner, made, drawn)

        monkeypatch.setattr(Learner, "generator_losses", losses)


def watched(state):
    seen = []
    with Monitor(None, "quiet", observers=[seen.append]) as monitor:
        train(state, monitor)
    return [record["text"] for record in seen if record["event"] == "message"]


def test_a_smaller_window_where_memory_runs_out(exhausted, monkeypatch):
    Tight(monkeypatch, 2000, exhausted)
    state = training(window="48", train_stages=2, min_size=40, niter=(2,))
    said = watched(state)
    assert said == ["Stage 2, iteration 0: memory ran out. Going on from iteration 0 with windows of 32 px."]
    assert state.model.stages == 2
    assert all(value.isfinite().all() for value in state.model.tensors().values())


def test_the_window_begins_at_the_whole_picture_and_is_halved(monkeypatch):
    monkeypatch.setattr("consingan.training.state.SMALLEST_WINDOW", 8)
    Tight(monkeypatch, 300, MemoryError())
    said = watched(training(window="off", train_stages=1, niter=(2,)))
    assert [text.split("windows of ")[1] for text in said] == ["30 px.", "15 px."]


def test_the_iteration_that_ran_out_leaves_no_trace(monkeypatch):
    """After three good iterations memory gets short: the result is that of the small window from the start."""
    settings = {"window": "48", "train_stages": 1, "niter": (6,), "min_size": 56}
    plain = training(**settings)
    plain.widest = 32
    expected = train(plain, Monitor(display="quiet")).tensors()
    Tight(monkeypatch, 2000, MemoryError(), after=3)
    state = training(**settings)
    said = watched(state)
    assert said == ["Stage 1, iteration 3: memory ran out. Going on from iteration 0 with windows of 32 px."]
    found = state.model.tensors()
    assert all(torch.equal(found[name], value) for name, value in expected.items())
    assert state.attempt.number == 0


@pytest.mark.parametrize("changes", [{"window": "32"}, {"batch_norm": True}])
def test_where_no_smaller_window_is_left_the_error_stays(exhausted, monkeypatch, changes):
    Tight(monkeypatch, 100, exhausted)
    with pytest.raises(type(exhausted)):
        watched(training(train_stages=1, **changes))


def test_a_resumed_run_keeps_the_smaller_window(tmp_path):
    run = Run.create(tmp_path, "stripes", "test")
    state = training(window="48")
    write_start(state, run)
    state.take_smaller_window()
    state.save(run)
    assert resume(run, "cpu", lambda note: None).widest == 32


# ---- files


def pictures(*sizes):
    """Results of these sizes, each of another grey."""
    for number, size in enumerate(sizes):
        yield Result(f"all/{number}", Role.SAMPLE, [torch.full((1, 3, *size), number / 10)], {"number": f"{number}"})


def test_previews_stop_when_enough_pixels_have_been_made():
    assert len(list(writing.within(pictures(*[(10, 10)] * 9), 450))) == 5
    assert len(list(writing.within(pictures(*[(10, 10)] * 9), 10_000))) == 9
    assert len(list(writing.within(pictures(*[(90, 90)] * 9), 100))) == 2


def test_files_are_written_in_order_with_their_own_content_and_facts(tmp_path):
    paths = list(writing.write(pictures(*[(8, 9)] * 5), tmp_path, {"model": "m"}))
    assert [path.name for path in paths] == ["0.png", "1.png", "2.png", "3.png", "4.png", "grid.png"]
    for number, path in enumerate(paths[:5]):
        assert images.load(path).pixels.mean().item() == pytest.approx(number / 10, abs=0.01)
        assert Image.open(path).text == {"model": "m", "number": f"{number}"}


def test_a_file_that_cannot_be_written_stops_the_work(tmp_path):
    (tmp_path / "all" / "1.png").mkdir(parents=True)
    with pytest.raises(UserError, match=r"1\.png"):
        list(writing.write(pictures(*[(8, 9)] * 5), tmp_path, {}))
    assert not (tmp_path / "all" / "4.png").exists()


def test_the_cells_of_a_grid_are_bounded(tmp_path):
    *_, grid = writing.write(pictures((40, 3000), (40, 3000)), tmp_path, {})
    assert Image.open(grid).size == (2 * 1024 + 2, 14)
