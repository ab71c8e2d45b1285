"""Codes: drawn, entered, read off, estimated, turned; by oracles and closed forms."""

from __future__ import annotations

import json
from math import e, log, pi
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from conftest import LIVELY, trained
from conftest import TINY as FLAGS
from PIL import Image
from test_contracts import begun, everything, stopped_at
from test_training import same_tensors, settings_for, striped
from torch import nn

from consingan import config
from consingan.applications import APPLICATIONS
from consingan.applications.base import Material, chosen, quiet
from consingan.command import cli
from consingan.config import Codes
from consingan.errors import UserError
from consingan.gan import codes as gan_codes
from consingan.gan import sampling
from consingan.gan.critics import LocatedCritic, PatchCritic, ReadingCritic, located
from consingan.gan.model import SingleImageModel
from consingan.gan.objectives import OBJECTIVES
from consingan.gan.objectives.base import Sight
from consingan.gan.objectives.informed import informed
from consingan.gan.objectives.wgan_gp import WganGp
from consingan.gan.stills import Stills
from consingan.grid.noise import Draw
from consingan.storage import results
from consingan.storage.run import Run
from consingan.training.estimate import work
from consingan.training.graphs import Captured
from consingan.training.loop import resume, train, write_start
from consingan.training.state import Training
from consingan.watch.log import read_log
from consingan.watch.monitor import Monitor
from consingan.watch.report.reading import read as read_run

BOTH = Codes(codes=2, code_categories=3, code_weight=0.5)
CASES = {
    "continuous": ("generation", {"codes": 2}),
    "category": ("retarget", {"code_categories": 3, "positions": 0.5}),
    "both": ("animation", {"codes": 1, "code_categories": 2, "noise": "mixed", "positions": 1.0}),
    "windows": ("generation", {"codes": 1, "window": "32", "min_size": 30, "max_size": 60}),
}

AUTOENCODING = ("ebgan", "began")
IMPROVED = {"feature_matching": 1.0, "historical_averaging": 0.1, "spectral_norm": True, "ema": 0.9}
CASES["improved"] = ("generation", {"codes": 1, "minibatch_discrimination": 2, **IMPROVED})


@pytest.fixture(scope="session")
def coded_run(picture_file, tmp_path_factory) -> Path:
    """The folder of a finished run with two codes and three categories; tests must not change it."""
    flags = ("--codes", "2", "--code_categories", "3", "--noise", "mixed", *LIVELY)
    return trained(picture_file, tmp_path_factory.mktemp("runs"), *flags)


@pytest.fixture
def model(coded_run):
    return SingleImageModel.load(coded_run)


def made(words, run, out):
    """What sampling leaves in a folder."""
    done = CliRunner().invoke(cli.sample, [str(run), *words.split(), "--out", str(out), "--quiet", "--not_cuda"])
    assert done.exit_code == 0, done.output
    return results.kept(out)


# ---- drawn and entered


def test_codes_are_drawn_by_position_over_their_whole_range():
    rows = torch.cat([gan_codes.drawn(BOTH, Draw(1, ("sample", k))) for k in range(1000)])
    assert rows.shape == (1000, 5)
    continuous, categories = rows[:, :2], rows[:, 2:]
    assert continuous.min() < -0.98
    assert continuous.max() > 0.98
    torch.testing.assert_close(continuous.square().mean(0), torch.full((2,), 1 / 3), atol=0.03, rtol=0)
    assert set(categories.flatten().tolist()) == {0.0, 1.0}
    assert torch.equal(categories.sum(1), torch.ones(1000))
    torch.testing.assert_close(categories.mean(0), torch.full((3,), 1 / 3), atol=0.04, rtol=0)
    assert torch.equal(gan_codes.drawn(Codes(codes=2), Draw(1, ("sample", 7))), rows[7:8, :2])


def test_without_codes_everything_is_the_thing_itself():
    x, none = torch.randn(1, 3, 4, 5), torch.zeros(1, 0)
    assert gan_codes.joined(x, none) is x
    assert gan_codes.joining(quiet, none) is quiet
    assert gan_codes.replacing(quiet, none) is quiet
    objective = WganGp().composed()
    assert informed(objective, Codes(), "wgan-gp") is objective
    model = SingleImageModel(settings_for(), "extend", [(25, 26)])
    assert tuple(model.generator.head[0].weight.shape) == (4, 3, 3, 3)


@pytest.mark.parametrize("case", CASES)
def test_what_enters_is_what_the_objective_is_told(case):
    mode, changes = CASES[case]
    state = begun(mode, changes)
    state.enter_stage()
    (drawn,) = state.draw(2)
    count = state.model.settings.codes.channels
    entering, told = drawn.inputs[0], drawn.generator["codes"]
    assert entering.shape[1] == 3 + count
    assert torch.equal(entering[:, 3:], told[:, :, None, None].expand_as(entering[:, 3:]))
    assert all(torch.equal(step["codes"], told) for step in drawn.critic)
    state.iteration += 1
    (following,) = state.draw(2)
    assert not torch.equal(following.generator["codes"], told)


def test_the_rest_of_what_enters_does_not_depend_on_codes():
    plain, coded = (begun("generation", {"noise": "mixed", **more}) for more in ({}, {"codes": 2}))
    for state in (plain, coded):
        state.enter_stage()
    (one,), (other,) = plain.draw(1), coded.draw(1)
    assert torch.equal(one.inputs[0], other.inputs[0][:, :3])
    assert torch.equal(one.critic[0]["uniform"], other.critic[0]["uniform"])


def test_the_reconstruction_has_no_code(model):
    (anchor, *_) = model.anchors
    parts = model.generator.parts(model.sizes)
    entering = anchor(parts[0].noise)
    assert torch.equal(entering[:, 3:], torch.zeros_like(entering[:, 3:]))
    assert torch.equal(entering[:, :3], model.fixed[0])
    before, sample = model.reconstruct(), model.sample(1, model.size)
    with torch.no_grad():
        model.generator.head[0].weight[:, 3:] += 1
    assert torch.equal(model.reconstruct(), before)
    assert not torch.equal(model.sample(1, model.size), sample)


# ---- read off


class Painting(nn.Module):
    """A made-up critic whose features are the picture."""

    def features(self, x):
        return [x]

    def forward(self, x):
        return x.mean(dim=1, keepdim=True)


def reading(count):
    """A critic of pictures whose first channels are ``count`` codes, with a head that reads these off exactly."""
    critic = ReadingCritic(Painting(), 2 * count, count)
    into, _, out = critic.head
    one = torch.eye(count)
    with torch.no_grad():
        into.weight[:, :, 0, 0] = torch.cat([torch.cat([one, 0 * one], 1), torch.cat([-one, 0 * one], 1)])
        out.weight[:, :, 0, 0] = torch.cat([one, -one], 1) / 1.1  # lrelu(x) - lrelu(-x) = 1.1 x
        into.bias.zero_()
        out.bias.zero_()
    return critic


def painted(values, count):
    """A made-up generator: a picture that shows its codes and nothing else."""
    return gan_codes.joined(torch.zeros(1, 0, 3, 4), torch.cat([values, torch.zeros(len(values), count)], 1))


def test_the_loss_is_zero_and_at_its_minimum_where_codes_are_read_off_the_picture():
    objective = informed(WganGp().composed(), Codes(codes=3, code_weight=7.0), "wgan-gp")
    values = gan_codes.drawn(objective.codes, Draw(2, ("x",)))
    critic, picture = reading(3), painted(values, 3).requires_grad_()
    losses = objective.missed(critic, Sight(picture, picture, {"codes": values}, {}), "q_{}")
    assert list(losses) == ["q_0", "q_1", "q_2"]
    total = sum(losses.values())
    assert total.item() == pytest.approx(0, abs=1e-12)
    for gradient in torch.autograd.grad(total, [picture, *critic.head.parameters()]):
        assert gradient.abs().max() < 1e-5
    missed = objective.missed(critic, Sight(picture, picture, {"codes": values + 0.2}, {}), "q_{}")
    assert [loss.item() for loss in missed.values()] == pytest.approx([7 * 0.2**2 / 2] * 3, rel=1e-4)


def test_the_loss_of_the_category_is_its_cross_entropy():
    objective = informed(WganGp().composed(), Codes(code_categories=4, code_weight=2.0), "wgan-gp")
    values = gan_codes.one_hot(objective.codes, torch.tensor([[1.0]]))
    for sharpness in (0.0, 1.0, 30.0):
        picture = painted(sharpness * values, 4)
        losses = objective.missed(reading(4), Sight(picture, picture, {"codes": values}, {}), "q_{}")
        wanted = log(1 + 3 * e**-sharpness)
        assert losses["q_category"].item() == pytest.approx(2 * wanted, abs=1e-5)


def told(objective, losses):
    """The information that is estimated of samples with these losses of the head."""
    state = objective.begin()
    for _ in range(1500):
        objective.after_iteration(state, losses)
    return objective.estimates(state)["information"].item()


def test_the_bound_of_a_known_channel_is_its_closed_form():
    """A code shown in n steps tells log n nats; a Gaussian Q knows log(pi e / 6) / 2 less, whatever n."""
    objective = informed(WganGp().composed(), Codes(codes=1, code_weight=3.0), "wgan-gp")
    values = ((torch.arange(24000) + 0.5) / 12000 - 1)[:, None]
    known = {}
    for steps in (1, 2, 10, 50):
        shown = ((values + 1) / 2 * steps).floor().add(0.5) / steps * 2 - 1
        sight = Sight(shown, painted(shown, 1)[:, :, :1, :1], {"codes": values}, {})
        known[steps] = told(objective, objective.missed(reading(1), sight, "critic_code_{}"))
    gap = log(pi * e / 6) / 2
    assert known[1] == 0  # below 0 it is no better than what is known anyway
    for steps in (2, 10, 50):
        assert known[steps] == pytest.approx(log(steps) - gap, abs=2e-3)


def test_the_bound_of_a_known_channel_of_categories_is_its_information():
    """A category that is shown rightly in 4 of 5 pictures, and read by Bayes' rule."""
    objective = informed(WganGp().composed(), Codes(code_categories=3), "wgan-gp")
    wrong = 0.2
    values = gan_codes.one_hot(objective.codes, torch.zeros(10, 1))
    shown = gan_codes.one_hot(objective.codes, torch.tensor([[0.0]] * 8 + [[1.0], [2.0]]))
    logits = shown * log((1 - wrong) / (wrong / 2))
    sight = Sight(shown, painted(logits, 3), {"codes": values}, {})
    found = told(objective, objective.missed(reading(3), sight, "critic_code_{}"))
    assert found == pytest.approx(log(3) + 0.8 * log(0.8) + 0.2 * log(0.1), abs=1e-3)


def test_information_is_the_sum_over_the_codes():
    objective = informed(WganGp().composed(), BOTH, "wgan-gp")
    state = objective.begin()
    assert objective.estimates(state)["information"].item() == pytest.approx(0, abs=1e-6)
    state["code_1"].fill_(1 / (2 * pi * e))
    state["code_category"].fill_(log(3) - 0.25)
    assert objective.estimates(state)["information"].item() == pytest.approx(log(2) + 0.25, abs=1e-6)


@pytest.mark.parametrize("weight", [0.0, 0.7])
def test_the_other_objective_sees_its_own_critic(weight):
    """Its losses are what they are without codes, and the fast form of its penalty stays."""
    network = settings_for(positions=weight, nfc=4).network
    objective = informed(WganGp().composed(), BOTH, "wgan-gp")
    whole = objective.critic(network)
    size = (14, 15)
    critics = [located(each, weight, size, None, torch.device("cpu")) for each in (whole, whole.body)]
    assert isinstance(whole.body, PatchCritic)
    assert isinstance(critics[0], LocatedCritic) is (weight > 0)
    real, fake = torch.randn(2, 1, 3, *size)
    numbers = {"uniform": torch.full((1, 1, 1, 1), 0.3), "codes": gan_codes.drawn(BOTH, Draw(0))}
    sights = Sight(real, fake, numbers, {})
    for step in ("critic_loss", "generator_loss"):
        wanted, found = (
            getattr(each, step)(at, sights)
            for each, at in zip((WganGp().composed(), objective), critics[::-1], strict=True)
        )
        assert wanted.items() <= found.items()
        assert len(found) == len(wanted) + 3
    assert objective.measure(critics[0], sights, 0.1) == WganGp().composed().measure(critics[1], sights, 0.1)


@pytest.mark.parametrize("objective", [name for name in OBJECTIVES if name not in AUTOENCODING])
def test_codes_go_with_every_objective_of_scores(objective):
    """The head learns, and what the objective does to its critic's weights is not done to the head."""
    state = begun("generation", {"objective": objective, "codes": 1, "train_stages": 1})
    step, (branch,) = state.enter_stage(), state.branches
    before = {name: value.clone() for name, value in branch.critic.head.named_parameters()}
    losses = step(*state.draw(2))
    assert {"code_0", "critic_code_0", "information"} <= losses.keys()
    assert all(value.isfinite() for value in losses.values())
    after = dict(branch.critic.head.named_parameters())
    assert not any(torch.equal(after[name], before[name]) for name in before)
    assert after["0.weight"].abs().max() > 0.1  # the bound of --objective wgan is far below


def test_both_networks_learn_what_the_head_reads():
    """Where they learn little else, a short training makes pictures that tell their code, unseen ones too."""
    changes = {"codes": 1, "code_weight": 1000.0, "nfc": 8, "lr_g": 1e-3, "lr_d": 5e-3}
    state = Training.start(settings_for(train_stages=1, **changes), striped())
    step = state.enter_stage()
    for _ in range(220):
        losses = step(*state.draw(1))
        state.iteration += 1
    assert losses["information"].item() > 0.4
    model, critic = state.model, state.branches[0].critic
    draws = [Draw(9, ("unseen", k)) for k in range(40)]
    wanted = torch.cat([gan_codes.drawn(model.settings.codes, draw) for draw in draws])
    error = (critic.read(model.layouts(draws, model.size)) - wanted).square().mean()
    assert error.item() < 0.15  # 1/3 where nothing is read


# ---- trained, stopped, resumed


@pytest.mark.parametrize("case", CASES)
def test_a_training_is_stopped_and_goes_on_to_the_bit(tmp_path, case):
    through = begun(*CASES[case])
    train(through, Monitor(display="quiet"))
    wanted = everything(through)
    fresh = everything(begun(*CASES[case]))
    learned = ("critic.head.0.weight", "critic.head.2.weight", "generator.head.0.weight")
    assert not any(torch.equal(wanted[name], fresh[name]) for name in learned)
    remembered = [name for name in wanted if name.startswith("objective.code_")]
    assert len(remembered) == through.model.settings.codes.codes + bool(through.model.settings.codes.code_categories)
    run = Run.create(tmp_path, "stripes", "test")
    stopped_at(begun(*CASES[case]), run, 4)
    resumed = resume(run, "cpu", pytest.fail)
    assert resumed.iteration == 1
    train(resumed, Monitor(display="quiet"), run)
    assert same_tensors(everything(resumed), wanted)
    assert same_tensors(SingleImageModel.load(run.model).tensors(), resumed.branches[0].result.tensors())


def test_a_replayed_iteration_is_the_same():
    class Rerun:
        def warm(self, region):
            return region()

        def record(self, region):
            return region

    plain, recorded = begun(*CASES["both"]), begun(*CASES["both"])
    for state in (plain, recorded):
        state.enter_stage()
    recorded.step = Captured(recorded.step, Rerun())
    for _ in range(5):
        assert same_tensors(*(state.step(*state.draw(1)) for state in (plain, recorded)))
        for state in (plain, recorded):
            state.iteration += 1
    assert same_tensors(everything(plain), everything(recorded))


def test_losses_and_information_are_logged_and_reported(tmp_path):
    run = Run.create(tmp_path, "stripes", "test")
    state = begun("generation", {"codes": 1, "code_categories": 2})
    write_start(state, run)
    with Monitor(run.log, "quiet", log_every=1) as monitor:
        train(state, monitor, run)
    names = {"code_0", "code_category", "critic_code_0", "critic_code_category", "information"}
    rows = [row for row in read_log(run.log) if row["event"] == "iteration"]
    assert all(names <= row.keys() for row in rows)
    assert {curve.name for curve in read_run(run).losses} >= names


def test_the_work_of_reading_is_counted():
    plain, coded = begun("generation", {}), begun("generation", {"codes": 1})
    height, width = plain.model.sizes[0]
    assert work(coded, 0) - work(plain, 0) == height * width * (3 * 3 + 2)


def test_bfloat16_trains():
    state = begun("generation", {**CASES["both"][1], "precision": "bf16"})
    train(state, Monitor(display="quiet"))
    assert all(value.isfinite().all() for value in everything(state).values())


# ---- sampled


def test_codes_are_drawn_by_the_seed_or_given(model):
    first, second = model.sample(2, model.size, seed=3).split(1)
    assert torch.equal(model.sample(1, model.size, seed=3), first)
    own = [gan_codes.drawn(model.settings.codes, Draw(3, ("sample", k))) for k in range(2)]
    word = gan_codes.words(model.settings.codes, own[1]).split()
    assert [each.split("=")[0] for each in word] == ["0", "1", "2"]
    exact = [f"0={own[1][0, 0].item()!r}", f"1={own[1][0, 1].item()!r}", word[2]]
    given = model.sample(2, model.size, seed=3, code=tuple(exact))
    assert torch.equal(given[1:], second)
    assert not torch.equal(given[:1], first)


def test_what_code_a_sample_had_stands_in_its_file(coded_run, tmp_path):
    found = made("--num_samples 2 --size 40x30 --code 1=0.25 --code 2=1", coded_run, tmp_path)
    facts = [each.facts["codes"] for each in found if each.role is results.Role.SAMPLE]
    first = gan_codes.drawn(Codes(codes=2, code_categories=3), Draw(0, ("sample", 0)))[0, 0].item()
    assert facts[0] == f"0={first:.4g} 1=0.25 2=1"
    assert facts[0] != facts[1]


def test_above_stage_0_a_sample_has_no_code_but_the_given(model):
    known = model.settings.codes
    assert torch.equal(sampling.codes_of(model, Draw(1), 1), torch.zeros(1, 5))
    assert sampling.codes_of(model, Draw(1), 1, {1: 0.5, 2: 2.0}).tolist() == [[0, 0.5, 0, 0, 1]]
    silent, told = (model.sample(1, model.size, start=1, code=code) for code in ((), ("0=1",)))
    assert not torch.equal(silent, told)
    assert gan_codes.words(known, torch.zeros(1, 5)) == "0=0 1=0"


def test_a_large_sample_is_the_same_in_tiles(model):
    whole = model.sample(1, (90, 100), seed=5)
    model.tile = 32**2
    torch.testing.assert_close(model.sample(1, (90, 100), seed=5), whole, rtol=0, atol=1e-5)


def turned(model, **options):
    """What the application makes of a model."""
    application = APPLICATIONS["turn"]
    return list(application.apply(Material.of(model), chosen(application, options), quiet))


def test_in_a_strip_one_code_turns_and_the_noise_stays(model):
    (strip,) = turned(model, code=("0=-1..1", "1=0.5", "2=2"), frames=3, seed=4, format="gif")
    for value, frame in zip(("-1", "0", "1"), strip.frames, strict=True):
        assert torch.equal(frame, model.sample(1, model.size, seed=4, code=(f"0={value}", "1=0.5", "2=2")))
    assert not torch.equal(strip.frames[0], strip.frames[2])
    drawn = gan_codes.drawn(model.settings.codes, Draw(4, ("sample", 0)))[0, 0].item()
    assert strip.facts["codes"] == f"0={drawn:.4g} 1=0.5 2=2"
    assert strip.facts["turning"] == "0=-1..1"
    with torch.no_grad():
        model.generator.head[0].weight[:, 3] = 0  # the net does not hear code 0
    (deaf,) = turned(model, code=("0=-1..1", "1=0.5", "2=2"), frames=3, seed=4, format="gif")
    assert all(torch.equal(frame, deaf.frames[0]) for frame in deaf.frames)


def test_a_strip_is_its_frames_side_by_side(model):
    moving, still = (turned(model, code=("1=-2..2",), frames=4, format=name)[0] for name in ("gif", "png"))
    assert (moving.role, still.role) == (results.Role.SAMPLE, results.Role.VIEW)
    (strip,) = still.frames
    height, width = model.size
    for number, frame in enumerate(moving.frames):
        left = number * (width + 4)
        assert torch.equal(strip[:, :, :height, left : left + width], frame)


def test_without_a_range_every_code_turns_and_a_category_in_whole_steps(model):
    found = turned(model, frames=3, format="gif")
    assert [each.facts["turning"] for each in found] == ["0=-1..1", "1=-1..1", "2=0..2"]
    category = found[2].frames
    for number, frame in enumerate(category):
        assert torch.equal(frame, model.sample(1, model.size, code=(f"2={number}",)))
    assert [each.facts["turning"] for each in turned(model, code=("0=0",), frames=2)] == ["1=-1..1", "2=0..2"]


def test_a_range_asks_for_the_strip(coded_run, tmp_path):
    (strip,) = made("--code 0=-1..1 --frames 9", coded_run, tmp_path / "strip")
    assert strip.path.name == "code_0_seed_0_sample_000.png"
    with Image.open(strip.path) as picture:
        assert picture.width > 9 * 40
    words = "--code 0=-1..1 --code 1=0 --frames 2 --quiet --not_cuda --out"
    done = CliRunner().invoke(cli.sample, [str(coded_run), *words.split(), str(tmp_path / "one.webp")])
    assert (done.exit_code, [file.name for file in tmp_path.glob("*.*")]) == (0, ["one.webp"]), done.output
    done = CliRunner().invoke(cli.sample, [str(coded_run), "--application", "turn", "--out", str(tmp_path / "x.png")])
    assert done.exit_code == 2
    assert "No --code asks for no single strip" in done.stderr
    (moving,) = made("--code 0=-1..1 --frames 5 --format gif", coded_run, tmp_path / "moving")
    with Image.open(moving.path) as animation:
        assert animation.n_frames == 5


def test_what_follows_a_sketch_keeps_its_codes(coded_run, tmp_path, picture_file):
    words = f"--like {picture_file} --num_samples 1 --size 40x30 --code 0=1 --code 1=0 --code 2=0"
    (followed,) = (each for each in made(words, coded_run, tmp_path / "a") if each.role is results.Role.SAMPLE)
    assert followed.facts["codes"] == "0=1 1=0 2=0"
    words = words.replace("0=1", "0=-1")
    (other,) = (each for each in made(words, coded_run, tmp_path / "b") if each.role is results.Role.SAMPLE)
    assert followed.path.read_bytes() != other.path.read_bytes()


def test_other_applications_take_a_model_with_codes(coded_run, tmp_path, picture_file):
    assert made("--application walk --frames 3 --start_scale 0", coded_run, tmp_path / "walk")
    naive = f"--application harmonize --naive_img {picture_file} --injection_stage 0"
    assert made(naive, coded_run, tmp_path / "harmonize")


def test_the_walk_keeps_the_reconstructions_code(model):
    before = [frame.clone() for frame in model.walk(3, 0.1, 0.9, 0, 1)]
    with torch.no_grad():
        model.generator.head[0].weight[:, 3:] += 1
    assert all(torch.equal(a, b) for a, b in zip(before, model.walk(3, 0.1, 0.9, 0, 1), strict=True))


# ---- kept


def test_files_without_codes_load(trained_run):
    values = json.loads((trained_run / "config.json").read_text())
    assert values.pop("codes") == {"codes": 0, "code_categories": 0, "code_weight": config.Codes().code_weight}
    assert config.from_json(values, "x").codes == Codes()


def test_a_model_whose_codes_do_not_fit_its_weights_is_refused(model):
    tensors, header = model.tensors(), model.header()
    header["config"]["codes"]["codes"] = 3
    with pytest.raises(UserError, match=r"'generator\.head\.0\.weight' is missing, unknown or unfit"):
        SingleImageModel.restore(tensors, header, "x")


# ---- refused


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--codes 2 --train_mode harmonization", "--codes 2 does not go with --train_mode harmonization, whose coarse"),
        ("--code_categories 3 --train_mode editing", "--code_categories 3 does not go with --train_mode editing"),
        (
            "--codes 2 --batch_norm",
            "--codes 2 does not go with --batch_norm, which takes out what is the same all over",
        ),
        ("--code_categories 1", "--code_categories is 1, which tells nothing; give 0 for none, or at least 2."),
        ("--code_weight 2", "--code_weight 2 is given without --codes; give both or none."),
        ("--codes 2 --code_weight 0", "--code_weight is 0.0; give a number above 0."),
        ("--codes -1", "--codes is -1; give a number from 0 to 32."),
        *(
            (
                f"--codes 2 --objective {name}",
                f"--codes 2 needs a critic that scores patches, which that of --objective {name}",
            )
            for name in AUTOENCODING
        ),
    ],
)
def test_trainings_that_codes_do_not_fit_are_one_sentence(tmp_path, picture_file, words, sentence):
    flags = [str(picture_file), *FLAGS, *words.split(), "--outdir", str(tmp_path / "runs"), "--not_cuda"]
    done = CliRunner().invoke(cli.train, flags)
    assert done.exit_code == 2, done.output
    assert sentence in done.stderr
    assert sum(line.startswith("Error: ") for line in done.stderr.splitlines()) == 1
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--code 0", "--code is '0'; give NUMBER=VALUE, as 0=0.5, or NUMBER=FROM..TO, as 0=-1..1."),
        ("--code x=1", "--code is 'x=1'; give NUMBER=VALUE"),
        ("--code 0=1..2..3", "--code is '0=1..2..3'; give NUMBER=VALUE"),
        ("--code 0=nan", "--code 0=nan is out of range; give numbers from -2 to 2."),
        ("--code 1=2.5", "--code 1=2.5 is out of range; give numbers from -2 to 2."),
        ("--code 3=0", "--code 3=0 names code 3, but this model has codes 0 to 2; give one."),
        ("--code 0=0 --code 0=1", "--code 0=1 is the second for code 0; give one."),
        ("--code 2=3", "--code 2=3 is of the category; give a whole number from 0 to 2."),
        ("--code 2=0.5", "--code 2=0.5 is of the category; give a whole number from 0 to 2."),
        ("--application samples --code 0=0..1", "--code 0=0..1 is a range; give one value here, or --application turn"),
        (
            "--application turn --code 0=0 --code 1=0 --code 2=0",
            "--code gives every code one value, so that none turns",
        ),
        ("--code 0=0..1 --frames 1", "--frames is 1; give a number from 2 to 10000."),
    ],
)
def test_codes_that_do_not_fit_are_one_sentence(coded_run, tmp_path, words, sentence):
    done = CliRunner().invoke(cli.sample, [str(coded_run), *words.split(), "--out", str(tmp_path / "out"), "--quiet"])
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1), done.output
    assert sentence in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_model_or_picture_without_codes_is_one_sentence(trained_run, picture_file, tmp_path):
    cases = (
        (f"{trained_run} --code 0=1", "--code 0=1 needs a model with codes, and this one has none; train one with"),
        (f"{trained_run} --code 0=0..1", "--application turn needs a model with codes, and this one has none"),
        (f"{trained_run} --application turn", "--application turn needs a model with codes, and this one has none"),
        (f"{picture_file} --code 0=1", "--code 0=1 needs a trained model; name a run folder"),
        (f"{picture_file} --code 0=0..1", "--application turn needs a trained model; name a run folder"),
    )
    for words, sentence in cases:
        done = CliRunner().invoke(cli.sample, [*words.split(), "--out", str(tmp_path / "out"), "--quiet"])
        assert (done.exit_code, done.stderr.count("\n")) == (2, 1), done.output
        assert sentence in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_flag_that_may_be_given_several_times_takes_words_alone():
    (code,) = [s for s in config.declared(Stills) if s.name == "code"]
    assert config.check(code, "0=1") == ("0=1",)
    assert config.check(code, ["0=1", "1=0"]) == ("0=1", "1=0")
    for wrong in (3, [1], None):
        with pytest.raises(UserError, match="give a word, or a list of them"):
            config.check(code, wrong)
