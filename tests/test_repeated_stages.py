"""A stage plan whose last stage comes again: trained, stopped and gone on with, sampled, and shown."""

import itertools

import pytest
import torch
from test_training import settings_for, striped

from consingan.gan.generator import GrowingGenerator
from consingan.gan.model import SingleImageModel
from consingan.grid.windows import Window
from consingan.pictures.pyramid import geometric, repeating, rescaling, sizes
from consingan.storage.run import Run
from consingan.tasks import TASKS
from consingan.tasks.generation import Generation
from consingan.training.branch import stage_sizes
from consingan.training.loop import resume, train, write_start
from consingan.training.signals import StoppedError
from consingan.training.state import Training
from consingan.watch.monitor import Monitor
from consingan.watch.report import write

SIZES = [(25, 27), (30, 32), (30, 32)]


class Twice(Generation):
    """A task whose finest stage comes twice."""

    @property
    def law(self):
        return repeating(rescaling, 2)


@pytest.fixture(autouse=True, params=["extend", "zero"])
def twice(request, monkeypatch):
    monkeypatch.setitem(TASKS, "generation", Twice(border=request.param))


def started(folder):
    run = Run.create(folder, "stripes", "test")
    state = Training.start(settings_for(niter=(4,), lr_g=0.005), striped())
    write_start(state, run)
    return state, run


def test_a_law_repeats_the_finest_stage():
    plain = sizes((188, 250), 6, 25, 250)
    assert sizes((188, 250), 8, 25, 250, repeating(rescaling, 3)) == [*plain, plain[-1], plain[-1]]
    assert sizes((188, 250), 6, 25, 250, repeating(rescaling, 1)) == plain
    assert repeating(geometric, 3)(2, 0.1) == [1.0, 1.0]
    assert repeating(geometric, 2)(1, 0.1) == [1.0]
    assert stage_sizes(settings_for(), (30, 32)) == SIZES


def test_two_equal_last_stages_train_and_the_amplitude_is_what_the_first_left(tmp_path):
    state, run = started(tmp_path)
    model = train(state, Monitor(display="quiet"), run)
    assert model.sizes == SIZES
    assert model.stages == 3
    first, second = model.generator.stages[1:]
    assert not all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert model.sample(2).shape == (2, 3, 30, 32)
    assert not torch.equal(model.sample(1, start=2), model.reconstruct())  # noise of the repeated stage alone shows
    assert model.sample(1, (45, 61)).shape == (1, 3, 45, 61)
    loaded = SingleImageModel.load(run.model)
    assert torch.equal(loaded.sample(1), model.sample(1))


def test_the_amplitude_of_a_repeated_stage_follows_the_published_rule():
    state = Training.start(settings_for(), striped())
    for _ in SIZES:
        state.enter_stage()
        state.leave_stage()
    model = state.model
    model.amplitudes[2], kept = 0.0, model.amplitudes[2]
    error = (model.reconstruct() - striped()).square().mean().sqrt().item()
    assert kept == pytest.approx(0.1 * error)
    assert kept > 0


def test_stopped_in_the_repeated_stage_it_goes_on_to_the_same_bits(tmp_path):
    whole = train(started(tmp_path)[0], Monitor(display="quiet"))
    state, run = started(tmp_path)
    calls = itertools.count(1)
    with pytest.raises(StoppedError):
        train(state, Monitor(display="quiet"), run, stop=lambda: next(calls) == 10)  # the second of the last stage
    model = train(resume(run, "cpu", pytest.fail), Monitor(display="quiet"))
    had, wanted = model.tensors(), whole.tensors()
    assert all(torch.equal(had[name], wanted[name]) for name in wanted)


@pytest.mark.parametrize("window", [Window((0, 9), (20, 32)), Window((12, 13), (0, 32)), Window((0, 30), (0, 32))])
def test_a_window_of_a_repeated_stage_equals_that_part_of_the_whole(window, twice):
    torch.manual_seed(0)
    generator = GrowingGenerator(features=6, border=TASKS["generation"].border)
    generator.grow()
    generator.grow()
    for parameter in generator.double().parameters():
        torch.nn.init.normal_(parameter, 0, 0.2)
    inputs = [torch.randn(generator.input_shape(k, size), dtype=torch.float64) for k, size in enumerate(SIZES)]
    parts = generator.parts(SIZES, window)
    cut = [part.noise.cut(x) for part, x in zip(parts, inputs, strict=True)]
    whole = generator(inputs, [1, 0.5, 0.5], SIZES)
    torch.testing.assert_close(
        generator(cut, [1, 0.5, 0.5], SIZES, window=window), window.cut(whole), atol=1e-12, rtol=0
    )


def test_the_report_shows_every_stage(tmp_path):
    state, run = started(tmp_path)
    train(state, Monitor(display="quiet"), run)
    text = write(run).read_text()
    assert 'alt="stage 2 · 32×30 px"' in text
    assert 'alt="stage 3 · 32×30 px"' in text
