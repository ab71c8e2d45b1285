"""What a newcomer may add is added here: an objective and a task of two pictures, each defined in this file alone.

They are entered in the tables and nothing else is told of them: they are trained, stopped, resumed to the bit, rescued,
and reported through the public contracts.
"""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from PIL import Image
from test_training import TINY, same_tensors, settings_for, striped
from torch import nn

import consingan
from consingan import config
from consingan.errors import UserError
from consingan.gan.critics import PatchCritic, channels_seen, patch_critic, patch_side
from consingan.gan.layers import widened
from consingan.gan.model import SingleImageModel
from consingan.gan.objectives import OBJECTIVES
from consingan.gan.objectives.scores import balance
from consingan.grid.resize import resize
from consingan.pictures import images
from consingan.storage.files import load_tensors, save_tensors
from consingan.storage.run import Run
from consingan.tasks import TASKS
from consingan.tasks.generation import Generation
from consingan.tasks.terms import Joined, Term
from consingan.training import convergence, watchdog
from consingan.training.estimate import work
from consingan.training.graphs import Captured
from consingan.training.loop import resume, train, write_start
from consingan.training.signals import StoppedError
from consingan.training.state import Training
from consingan.training.step import Step
from consingan.training.watchdog import Attempt, CollapsedError
from consingan.watch import compare, report
from consingan.watch.log import read_log
from consingan.watch.monitor import Monitor
from consingan.watch.report.reading import read

GAMMA = 0.7


class Autoencoder(nn.Module):
    """A critic that makes a picture of a picture."""

    def __init__(self, seen, channels):
        super().__init__()
        self.into, self.out = nn.Conv2d(seen, 4, 3, padding=1), nn.Conv2d(4, channels, 3, padding=1)

    def forward(self, x):
        return self.out(torch.relu(self.into(x)))


def error(critic, x, jitter=0.0):
    """How far an autoencoder's picture is from its input."""
    return (widened(critic(x + jitter)) - x).abs().mean()


@dataclass(frozen=True)
class Equilibrium:
    """Two autoencoding errors in balance, in the manner of BEGAN, with noise on what the critic sees."""

    gain: float = config.setting(0.05, "gain of the balance", low=0, high=1)
    jitter: float = config.setting(0.1, "noise on what the critic sees", low=0)

    judged: ClassVar[tuple[str, ...]] = ("convergence",)
    optimiser: ClassVar[str] = "adam"
    advice: ClassVar[str] = "lower --gain"

    def critic(self, network):
        return Autoencoder(channels_seen(network), network.nc_im)

    def smallest(self, network):
        return 3

    def begin(self):
        return {"k": torch.zeros(1), "clipped": torch.zeros(1)}

    def draw(self, draw, step, shape):
        place = draw.at("jitter", "generator" if step is None else step)
        return {"jitter": self.jitter * place.normal(shape)}

    def critic_loss(self, critic, sight):
        jitter, k = sight.drawn["jitter"], sight.state["k"]
        fooled = error(critic, sight.fake, jitter)
        return {"real": error(critic, sight.real, jitter), "fake": -(k * fooled).sum()}

    def generator_loss(self, critic, sight):
        return {"adversarial": error(critic, sight.fake, sight.drawn["jitter"])}

    def figures(self, losses):
        return {"ahead": losses["real"] - losses["adversarial"]}

    @torch.no_grad()
    def after_critic(self, critic, state):
        for p in critic.parameters():
            p.clamp_(-0.5, 0.5)
        state["clipped"].add_(1)

    def after_iteration(self, state, losses):
        state["k"].add_(self.gain * (GAMMA * losses["real"] - losses["adversarial"])).clamp_(0, 1)

    def measure(self, critic, sight, reconstruction):
        real, fake = error(critic, sight.real).item(), error(critic, sight.fake).item()
        return GAMMA * real - fake, real + abs(GAMMA * real - fake)

    def work(self, critic_steps):
        return 6 * critic_steps + 3


@dataclass(frozen=True)
class Matching:
    """The generator matches what the critic's layers see in the picture; the critic is WGAN's, with clipped weights."""

    clip: float = config.setting(0.02, "bound of the critic's weights", above=0)

    judged: ClassVar[tuple[str, ...]] = ("reconstruction",)
    optimiser: ClassVar[str] = "rmsprop"
    advice: ClassVar[str] = "lower --clip"

    def critic(self, network):
        return patch_critic(network)

    def smallest(self, network):
        return patch_side(network)

    def begin(self):
        return {}

    def draw(self, draw, step, shape):
        return {}

    def critic_loss(self, critic, sight):
        return {"apart": critic(sight.fake).mean() - critic(sight.real).mean()}

    def generator_loss(self, critic, sight):
        layers = zip(critic.features(sight.real), critic.features(sight.fake), strict=True)
        return {"features": sum((a.mean((2, 3)) - b.mean((2, 3))).square().sum() for a, b in layers)}

    def figures(self, losses):
        return {}

    @torch.no_grad()
    def after_critic(self, critic, state):
        for p in critic.parameters():
            p.clamp_(-self.clip, self.clip)

    def after_iteration(self, state, losses):
        pass

    def measure(self, critic, sight, reconstruction):
        apart = balance(critic, sight.real, sight.fake)
        return apart, reconstruction + abs(apart)

    def work(self, critic_steps):
        return 6 * critic_steps + 3


@dataclass(frozen=True)
class Pair(Generation):
    """Two pictures: each generator gets a mixture of both, and what they make is to be of one brightness."""

    name: str = "pair"
    other: str = ""
    weight: float = 2.0

    def further(self, settings):
        return {"other": self.other}

    def entering(self, branch, coarsest, draw):
        own, size = coarsest[branch], coarsest[branch].shape[2:]
        other = resize(coarsest["" if branch else "other"], size)
        return (own + other) / 2 + draw.normal(own.shape)

    def terms(self, settings):
        return (Term("brightness", self.weight, apart),)


def apart(made):
    """How far the brightness of what two branches made is apart."""
    assert made.keys() == {"", "other"}
    return (widened(made[""].fake).mean() - widened(made["other"].fake).mean()).square()


@pytest.fixture
def toys(monkeypatch, tmp_path):
    """All of them in the tables, and the file of the second picture, higher than wide."""
    file = tmp_path / "other.png"
    images.save(file, striped(40, 30).flip(2))
    monkeypatch.setitem(OBJECTIVES, "equilibrium", Equilibrium)
    monkeypatch.setitem(OBJECTIVES, "matching", Matching)
    monkeypatch.setitem(TASKS, "pair", Pair(other=str(file)))


PLAIN = ("generation", {"objective": "equilibrium"})
TOLD = ("generation", {"objective": "equilibrium", "positions": 0.5, "gain": 0.3})
WINDOWS = ("generation", {"objective": "equilibrium", "window": "32", "min_size": 30, "max_size": 60})
FEATURES = ("retarget", {"objective": "matching", "positions": 0.5})
TWO = ("pair", {})
BOTH = ("pair", {"objective": "equilibrium", "noise": "mixed"})
CASES = {"plain": PLAIN, "told": TOLD, "windows": WINDOWS, "features": FEATURES, "two": TWO, "both": BOTH}


def begun(mode, changes):
    """A training at its beginning, of stripes."""
    size = (50, 60) if "window" in changes else (30, 32)
    return Training.start(settings_for(mode, **{"train_stages": 2, "niter": (3,), **changes}), striped(*size))


def everything(state):
    """All that a training has learned and remembers."""
    return {name: value for branch in state.branches for name, value in branch.learned().items()}


def stopped_at(state, run, iteration, monitor=None):
    """Train a run until it is stopped."""
    write_start(state, run)
    calls = itertools.count(1)
    with pytest.raises(StoppedError):
        train(state, monitor or Monitor(display="quiet"), run, stop=lambda: next(calls) == iteration)


# ---- trained, stopped, resumed, reported


@pytest.mark.parametrize("case", CASES)
def test_it_trains_is_stopped_and_goes_on_to_the_bit(toys, tmp_path, case):
    through = begun(*CASES[case])
    before = {name: value.clone() for name, value in everything(through).items()}
    train(through, Monitor(display="quiet"))
    wanted = everything(through)
    assert all(value.isfinite().all() for value in wanted.values())
    for branch in through.branches:
        names = [branch.called(name) for name in ("generator.head.0.weight", "generator.tail.weight")]
        names += [branch.called(f"critic.{name}") for name, _ in branch.critic.named_parameters() if "weight" in name]
        assert not any(torch.equal(wanted[name], before[name]) for name in names)
    run = Run.create(tmp_path, "stripes", "test")
    stopped_at(begun(*CASES[case]), run, 4)
    resumed = resume(run, "cpu", pytest.fail)
    assert (resumed.stage, resumed.iteration) == (1, 1)
    train(resumed, Monitor(display="quiet"), run)
    assert same_tensors(everything(resumed), wanted)
    for branch in resumed.branches:
        loaded = SingleImageModel.load(run.model_of(branch.name))
        assert same_tensors(loaded.tensors(), branch.model.tensors())
        assert loaded.sizes == branch.model.sizes


@pytest.mark.parametrize("case", CASES)
def test_its_losses_are_logged_and_its_run_is_reported(toys, tmp_path, case):
    mode, changes = CASES[case]
    run = Run.create(tmp_path, "stripes", "test")
    state = begun(mode, changes)
    write_start(state, run)
    with Monitor(run.log, "quiet", log_every=1) as monitor:
        train(state, monitor, run)
    losses = {
        "wgan-gp": {"critic_real", "critic_fake", "penalty", "adversarial"},
        "equilibrium": {"real", "fake", "adversarial", "ahead"},
        "matching": {"apart", "features"},
    }[changes.get("objective", "wgan-gp")] | {"reconstruction"}
    wanted = losses | ({f"other.{name}" for name in losses} | {"brightness"} if mode == "pair" else set())
    records = [record for record in read_log(run.log) if record["event"] == "iteration"]
    assert len(records) == 6
    assert all(wanted <= record.keys() for record in records)
    assert {curve.name for curve in read(run).losses} >= wanted
    page = report.write(run)
    text = (page if page is not None else run.report).read_text()
    for name, value in config.flat(state.model.settings).items():
        assert name in text, (name, value)
    assert ("gain" in text) is (changes.get("objective") == "equilibrium")


def test_a_job_of_both_is_planned_stopped_gone_on_with_and_finished(toys, tmp_path):
    settings = {**TINY, "train_stages": 2, "objective": "equilibrium", "gain": 0.3, "finish": "none"}
    picture = striped()[0]
    plan = consingan.estimate(picture, mode="pair", **settings)
    assert plan.origins["gain"] == "flag"
    assert ["gain", "0.3", "flag"] in [line.split() for line in str(plan).splitlines()]
    assert "lambda_grad" not in str(plan)
    through = consingan.train(picture, mode="pair", **settings)
    calls = itertools.count(1)
    stopped = consingan.train(picture, mode="pair", outdir=tmp_path, stop=lambda: next(calls) == 3, **settings)
    assert stopped.stages == 2
    (run,) = (tmp_path / "array").iterdir()
    with pytest.raises(UserError, match=r"--lambda_grad is 0\.3 but the run to resume has no such setting"):
        consingan.train(resume=run, lambda_grad=0.3)
    with pytest.raises(UserError, match=r"--gain is 0\.2 but the run to resume has 0\.3"):
        consingan.train(resume=run, gain=0.2)
    assert same_tensors(consingan.train(resume=run, gain=0.3).tensors(), through.tensors())
    assert (run / "report.html").is_file()
    assert (run / "model_other.safetensors").is_file()


def test_runs_of_different_objectives_stand_side_by_side(toys, tmp_path):
    runs = []
    for objective in ("equilibrium", "wgan-gp"):
        run = Run.create(tmp_path, "stripes", objective)
        state = begun("generation", {"objective": objective, "niter": (1,)})
        write_start(state, run)
        with Monitor(run.log, "quiet") as monitor:
            train(state, monitor, run)
        runs.append(read(run))
    rows = {row.name: row.cells for row in compare.setting_rows(runs)}
    assert rows["gain"] == ["0.05", "–"]
    assert rows["lambda_grad"] == ["–", "0.1"]


# ---- an objective's options


def test_its_options_are_settings_like_any_other(toys):
    settings, origins = config.resolve("generation", "a", ("flag", {"objective": "equilibrium", "gain": 0.2}))
    assert settings.objective.chosen == Equilibrium(gain=0.2)
    assert (origins["gain"], origins["jitter"]) == ("flag", "default")
    values = config.to_json(settings)
    assert values["objective"].keys() == {"objective", "gain", "jitter", "alpha", "noise_amp", "noise"}
    assert config.from_json(json.loads(json.dumps(values)), "x") == settings
    assert {"gain", "jitter", "clip", "lambda_grad"} <= {s.name for s in config.settings()}
    with pytest.raises(UserError, match=r"--gain is 2\.0; give a number from 0 to 1"):
        config.resolve("generation", "a", ("flag", {"objective": "equilibrium", "gain": 2}))
    with pytest.raises(UserError, match=r"--objective is 'x'; choose one of wgan-gp, .*equilibrium, matching"):
        config.resolve("generation", "a", ("flag", {"objective": "x"}))


def test_options_of_another_objective_are_refused_but_for_what_an_earlier_layer_said(toys):
    with pytest.raises(UserError, match="--gain is an option of --objective equilibrium, but this is wgan-gp"):
        config.resolve("generation", "a", ("flag", {"gain": 0.2}))
    with pytest.raises(UserError, match="--lambda_grad is an option of --objective wgan-gp, but this is matching"):
        config.resolve("generation", "a", ("flag", {"objective": "matching", "lambda_grad": 0.2}))
    trained = config.flat(config.resolve("generation", "a", ("flag", {"lambda_grad": 0.7}))[0])
    settings, _ = config.resolve("generation", "a", ("trained run", trained), ("flag", {"objective": "matching"}))
    assert settings.objective.chosen == Matching()
    values = config.to_json(settings)
    values["objective"]["lambda_grad"] = 0.1
    with pytest.raises(UserError, match="lambda_grad is unknown or missing in objective"):
        config.from_json(values, "config.json")


# ---- an objective's state, hooks, measure, advice and work


def test_the_hooks_run_after_each_step_and_iteration_and_the_state_goes_on(toys):
    state = begun(*PLAIN)
    step = state.enter_stage()
    seen = []
    for _ in range(2):
        losses = step(*state.draw(3))
        seen.append(Equilibrium().gain * (GAMMA * losses["real"] - losses["adversarial"]))
        state.iteration += 1
    expected = torch.zeros(1)
    for change in seen:
        expected = (expected + change).clamp(0, 1)
    (branch,) = state.branches
    torch.testing.assert_close(branch.state["k"], expected, rtol=0, atol=0)
    assert branch.state["clipped"].item() == 6
    state.leave_stage()
    state.enter_stage()
    assert branch.state["clipped"].item() == 6
    assert all(p.abs().max() <= 0.5 for p in branch.critic.parameters())


@pytest.mark.parametrize("case", CASES)
def test_going_back_restores_every_bit_of_every_branch(toys, case):
    state = begun(*CASES[case])
    step = state.enter_stage()
    step(*state.draw(2))
    state.iteration = 1
    state.keep(0.5)
    kept = {name: value.clone() for name, value in state.learned().items()}
    step(*state.draw(2))
    changed = [name for name, value in state.learned().items() if not torch.equal(value, kept[name])]
    assert len(changed) > 0.7 * len(kept)
    state.go_back(Attempt(1, 0.5))
    assert same_tensors(state.learned(), kept)
    state.go_back(Attempt(0, 0.5, 1))  # a new start: other networks, and the objective as it begins
    now = state.learned()
    weights = [name for name in everything(state) if name.endswith("weight")]
    assert not any(torch.equal(now[name], kept[name]) for name in weights)
    for branch in state.branches:
        assert all(torch.equal(branch.state[name], x) for name, x in branch.objective.begin().items())


def test_a_replayed_iteration_is_the_same_with_state_and_two_branches(toys):
    class Rerun:
        def warm(self, region):
            return region()

        def record(self, region):
            return region

    plain, recorded = begun(*BOTH), begun(*BOTH)
    for state in (plain, recorded):
        state.enter_stage()
    recorded.step = Captured(recorded.step, Rerun())
    for _ in range(6):
        losses = [state.step(*state.draw(2)) for state in (plain, recorded)]
        assert same_tensors(*losses)
        for state in (plain, recorded):
            state.iteration += 1
    assert same_tensors(everything(plain), everything(recorded))


def test_its_own_measure_tells_whether_a_stage_stands_still(toys, monkeypatch):
    monkeypatch.setattr(watchdog, "EVERY", 2)
    monkeypatch.setattr(convergence, "WINDOW", 2)
    changes = {"objective": "equilibrium", "train_stages": 1, "niter": (40,), "stop": "auto", "stop_tolerance": 1.0}
    state = Training.start(settings_for(**changes), striped())
    step = state.enter_stage()
    step(*state.draw(1))
    state.iteration = 1
    figures, (branch,) = state.measure(), state.branches
    inputs = state._entered(branch, state_draw(state)).inputs
    fake = state.model.generate(inputs, state.model.sizes)
    real, made = error(branch.critic, state.reals[0]).item(), error(branch.critic, fake).item()
    assert figures.balance == pytest.approx(GAMMA * real - made)
    assert figures.convergence == pytest.approx(real + abs(figures.balance))
    still = [convergence.Figures(2 * n + 1, 1.0 / 2**n, 0.0, 1.0 / 2**n, 0.3) for n in range(4)]
    state.figures = still
    state.model.settings.stopping.__dict__["stop_tolerance"] = 0.03
    assert state.length() == 10  # its own figure stands still, the others fall
    monkeypatch.setattr(Equilibrium, "judged", ("reconstruction", "swd"))
    assert state.length() == 40


def state_draw(state):
    """The place of the noise of figures."""
    from consingan.grid.noise import Draw

    return Draw(state.model.settings.runtime.seed, ("figures",))


def test_its_advice_is_in_the_sentence_of_a_training_that_does_not_hold(toys, monkeypatch):
    monkeypatch.setattr(watchdog, "EVERY", 2)
    monkeypatch.setattr(
        Equilibrium, "generator_loss", lambda self, critic, sight: {"adversarial": 1e6 + 0 * sight.fake.mean()}
    )
    with pytest.raises(CollapsedError, match=r"adversarial is 1e\+06.*lower --lr_d and --lr_g, or lower --gain"):
        train(begun(*PLAIN), Monitor(display="quiet"))


def test_the_work_is_what_the_objective_counts_of_every_branch(toys):
    one, two = begun("generation", {}), begun("pair", {})
    (height, width), (h, w) = (branch.model.sizes[0] for branch in two.branches)
    assert work(one, 0) == height * width * (6 + 33)
    assert work(two, 0) == (height * width + h * w) * (6 + 33)
    assert work(begun(*PLAIN), 0) == height * width * (6 + 21)


def test_a_checkpoint_with_another_state_is_refused(toys, tmp_path):
    run = Run.create(tmp_path, "stripes", "test")
    stopped_at(begun(*BOTH), run, 2)
    file = run.checkpoints / json.loads((run.checkpoints / "newest.json").read_text())["file"]
    tensors, header = load_tensors(file)
    for name, value in {
        "objective.k": torch.zeros(2),
        "objective.x": torch.zeros(1),
        "other.objective.k": None,
    }.items():
        changed = {n: x for n, x in {**tensors, name: value}.items() if x is not None}
        save_tensors(file, changed, header)
        with pytest.raises(UserError, match=r"objective: '[kx]' is missing, unknown or unfit"):
            resume(run, "cpu", pytest.fail)
    for change in ({"branches": []}, {"branches": {"other": 3}}, {"branches": {}}, {"branches": {"x": {}}}):
        save_tensors(file, tensors, {**header, **change})
        with pytest.raises(UserError):
            resume(run, "cpu", pytest.fail)
    save_tensors(file, tensors, header)
    assert resume(run, "cpu", pytest.fail).iteration == 2


def test_features_are_what_each_layer_makes():
    critic = PatchCritic(features=5)
    x = striped()
    features = critic.features(x)
    assert [tuple(f.shape[1:]) for f in features] == [(5, 30 - 2 * n, 32 - 2 * n) for n in range(1, 5)]
    torch.testing.assert_close(critic.tail(features[-1]), critic(x), rtol=0, atol=0)


# ---- branches and terms


def test_two_branches_have_pyramids_and_networks_of_their_own(toys):
    state = begun(*TWO)
    assert isinstance(state.task, Joined)
    assert [branch.name for branch in state.branches] == ["", "other"]
    assert state.model is state.branches[0].model
    sizes = [branch.model.sizes for branch in state.branches]
    assert sizes[0] != sizes[1]
    assert [[tuple(real.shape[2:]) for real in branch.reals] for branch in state.branches] == sizes
    first, second = (branch.learned() for branch in state.branches)
    assert not any(torch.equal(first[name], second[f"other.{name}"]) for name in first if name.endswith("weight"))
    state.enter_stage()
    for one, other in zip(*(drawn.tensors() for drawn in state.draw(2)), strict=True):
        assert one.shape != other.shape or not torch.equal(one, other)


def test_the_first_branch_of_two_is_the_branch_of_one_where_no_term_ties_them(toys, monkeypatch):
    """With what enters drawn as generation draws it, and no weight between them."""
    monkeypatch.setattr(Pair, "entering", lambda self, branch, coarsest, draw: draw.normal(coarsest[branch].shape))
    monkeypatch.setattr(Pair, "terms", lambda self, settings: ())
    alone, together = begun("generation", {}), begun("pair", {})
    for state in (alone, together):
        train(state, Monitor(display="quiet"))
    assert same_tensors(alone.branches[0].learned(), together.branches[0].learned())


def test_a_term_moves_both_generators_towards_each_other(toys, monkeypatch):
    """A dark and a bright picture, and nothing but the term."""
    gaps = {}
    for weight in (0.0, 1000.0):
        monkeypatch.setitem(TASKS, "pair", Pair(other=TASKS["pair"].other, weight=weight))
        state = begun("pair", {"train_stages": 1, "niter": (60,), "lr_g": 5e-3, "alpha": 0.1})
        state.branches[0].reals = [real / 4 - 0.7 for real in state.branches[0].reals]
        state.branches[1].reals = [real / 4 + 0.7 for real in state.branches[1].reals]
        step = state.enter_stage()
        for _ in range(60):
            losses = step(*state.draw(1))
            state.iteration += 1
        made = [
            branch.model.generate(drawn.inputs, branch.model.sizes).mean()
            for branch, drawn in zip(state.branches, state.draw(1), strict=True)
        ]
        gaps[weight] = (made[0] - made[1]).abs().item()
        assert losses["brightness"].item() == pytest.approx(weight * gaps[weight] ** 2, rel=0.9, abs=1)
    assert gaps[1000.0] < 0.3 * gaps[0.0]


def test_trouble_in_a_further_branch_is_noticed_and_mended(toys, monkeypatch):
    monkeypatch.setattr(watchdog, "EVERY", 5)
    calls, real_step = itertools.count(1), Step.__call__

    def step(self, *drawn):
        losses = real_step(self, *drawn)
        if next(calls) == 7:
            with torch.no_grad():
                self.learners[1].model.generator.tail.weight.fill_(float("nan"))
        return losses

    monkeypatch.setattr(Step, "__call__", step)
    said = []
    monitor = Monitor(display="quiet")
    monkeypatch.setattr(monitor, "message", said.append)
    state = begun("pair", {"niter": (12,), "train_stages": 1})
    train(state, monitor)
    (line,) = said
    assert "is nan. Going back to iteration 5 with other draws" in line
    assert all(value.isfinite().all() for value in everything(state).values())


def test_a_further_picture_that_is_not_there_is_one_sentence(toys, monkeypatch):
    monkeypatch.setitem(TASKS, "pair", Pair(other="nowhere.png"))
    with pytest.raises(UserError, match=r"nowhere\.png") as caught:
        begun(*TWO)
    assert "\n" not in str(caught.value)


def test_the_photos_of_both_branches_come_back(toys, tmp_path):
    run = Run.create(tmp_path, "stripes", "test")
    state = begun(*TWO)
    stopped_at(state, run, 2)
    resumed = resume(run, "cpu", pytest.fail)
    for before, after in zip(state.branches, resumed.branches, strict=True):
        assert torch.equal(before.model.photo.pixels, after.model.photo.pixels)
        assert all(torch.equal(a, b) for a, b in zip(before.reals, after.reals, strict=True))
    assert sorted(file.name for file in run.pyramid.iterdir()) == ["0.png", "1.png", "other.0.png", "other.1.png"]
    assert Image.open(run.picture_of("other")).size == (30, 40)


@pytest.mark.parametrize(
    ("words", "files"),
    [
        ("lambda_grad", {"wgan_gp.py"}),
        ("fine[-_ ]?tun|tuning", {"declarations.py", "beginning.py", "checkpoint.py", "finetune.py", "album.py"}),
    ],
)
def test_few_files_know_of_it(words, files):
    """The penalty is its objective's business; a training that begins with a trained one that of few."""
    package = Path(consingan.__file__).parent
    assert {file.name for file in package.rglob("*.py") if re.search(words, file.read_text(), re.IGNORECASE)} == files


def test_every_setting_of_a_tiny_training_is_one():
    """Otherwise the cases above would not be what they say."""
    assert TINY.keys() <= {s.name for s in config.settings()}
