"""A critic that is told where it looks: what it computes, what its windows are, and that nothing else changes."""

from __future__ import annotations

import itertools
import json

import pytest
import torch
from conftest import OF_ONE
from test_training import same_tensors, settings_for, striped

from consingan import config
from consingan.errors import UserError
from consingan.gan.critics import LocatedCritic, PatchCritic, located
from consingan.gan.model import SingleImageModel
from consingan.gan.objectives import OBJECTIVES, gradients
from consingan.gan.objectives.base import Sight
from consingan.gan.objectives.gradients import double_backward, fastest_input_gradient
from consingan.gan.objectives.wgan_gp import WganGp
from consingan.grid.noise import Draw
from consingan.grid.windows import Window
from consingan.storage.run import Run
from consingan.training.branch import new_critic
from consingan.training.loop import resume, train, write_start
from consingan.training.signals import StoppedError
from consingan.training.state import Training
from consingan.watch.monitor import Monitor

CPU = torch.device("cpu")


def critic_of(channels: int, activation: str = "lrelu") -> PatchCritic:
    torch.manual_seed(0)
    critic = PatchCritic(channels, features=6, activation=activation).double()
    for parameter in critic.parameters():
        parameter.data *= 10  # far from the origin, so that many signs differ
    return critic


def picture_of(height: int, width: int, batch: int = 2) -> torch.Tensor:
    return Draw(1).normal((batch, 3, height, width)).double()


# ---- what it computes


def test_without_weight_it_is_the_critic_itself():
    critic = critic_of(3)
    assert located(critic, 0, (20, 30), None, CPU) is critic
    assert located(critic, 0.0, (20, 30), Window((3, 19), (0, 15)), CPU) is critic


def test_rows_and_columns_run_from_border_to_border():
    told = located(critic_of(5), 0.5, (5, 3), None, CPU)
    rows, columns = told.places[0]
    assert rows[:, 0].tolist() == [-0.5, -0.25, 0, 0.25, 0.5]
    assert columns[0].tolist() == [-0.5, 0, 0.5]
    assert (rows == rows[:, :1]).all()
    assert (columns == columns[:1]).all()
    part = located(told.critic, 0.5, (5, 3), Window((1, 4), (2, 3)), CPU)
    assert part.places.flatten().tolist() == [-0.25, 0, 0.25, 0.5, 0.5, 0.5]


def test_its_scores_are_those_of_the_picture_with_two_more_channels():
    critic, x = critic_of(5), picture_of(16, 17)
    rows, columns = torch.linspace(-1, 1, 16).double() * 3, torch.linspace(-1, 1, 17).double() * 3
    places = torch.stack([rows[:, None].expand(16, 17), columns.expand(16, 17)]).expand(2, -1, -1, -1)
    had = located(critic, 3, (16, 17), None, CPU)(x)
    torch.testing.assert_close(had, critic(torch.cat([x, places], 1)), rtol=0, atol=1e-5)
    assert not torch.equal(had, located(critic, 1, (16, 17), None, CPU)(x))


def test_it_tells_places_apart_that_the_critic_does_not():
    """A flat picture has one score everywhere, but for who knows where."""
    flat = torch.ones(1, 3, 30, 31, dtype=torch.float64)
    assert critic_of(3)(flat).std() < 1e-12
    assert located(critic_of(5), 1.0, (30, 31), None, CPU)(flat).std() > 0.01


@pytest.mark.parametrize("activation", ["lrelu", "prelu"])
def test_its_input_gradient_is_autograd_s_by_the_picture_and_so_is_a_loss_on_it(activation):
    told = located(critic_of(5, activation), 2.0, (16, 17), None, CPU)
    assert told.piecewise_linear
    x = picture_of(16, 17).requires_grad_()
    (expected,) = torch.autograd.grad(told(x).sum(), x, create_graph=True)
    had = told.input_gradient(x.detach())
    assert had.shape == x.shape
    torch.testing.assert_close(had, expected)
    losses = [(gradient.norm(dim=1) - 1).square().mean() for gradient in (expected, had)]
    parameters = list(told.critic.parameters())
    for a, b in zip(*(torch.autograd.grad(loss, parameters, allow_unused=True) for loss in losses), strict=True):
        wanted = torch.zeros(()) if a is None else a
        torch.testing.assert_close(torch.zeros_like(wanted) if b is None else b, wanted)


def test_the_objective_takes_the_same_penalty_either_way(monkeypatch):
    told = located(critic_of(5), 2.0, (16, 17), None, CPU)
    assert fastest_input_gradient(told) == type(told).input_gradient
    assert fastest_input_gradient(located(critic_of(5, "elu"), 2.0, (16, 17), None, CPU)) is double_backward
    real, fake = picture_of(16, 17, 1), -picture_of(16, 17, 1)
    u = torch.full((1, 1, 1, 1), 0.3, dtype=torch.float64)
    sight = Sight(real, fake, {"uniform": u}, {})
    one = WganGp(0.1).composed().critic_loss(told, sight)
    monkeypatch.setattr(gradients, "fastest_input_gradient", lambda critic: double_backward)
    two = WganGp(0.1).composed().critic_loss(told, sight)
    assert {name: value.item() for name, value in one.items()} == pytest.approx(
        {name: value.item() for name, value in two.items()}
    )


@pytest.mark.parametrize(
    "window", [Window((0, 16), (0, 16)), Window((9, 30), (12, 29)), Window((0, 30), (0, 40))], ids=str
)
def test_a_window_s_scores_are_that_part_of_the_whole_s(window):
    critic, x = critic_of(5), picture_of(30, 40)
    whole = located(critic, 1.5, (30, 40), None, CPU)(x)
    part = located(critic, 1.5, (30, 40), window, CPU)(window.cut(x))
    rows, columns = (slice(span[0], span[1] - 10) for span in (window.rows, window.columns))
    torch.testing.assert_close(part, whole[:, :, rows, columns], rtol=0, atol=1e-12)


# ---- training


def test_a_critic_has_two_more_channels_where_it_is_told():
    told, plain = (new_critic(settings_for(positions=weight), CPU) for weight in (0.5, 0))
    assert (told.blocks[0][0].in_channels, plain.blocks[0][0].in_channels) == (5, 3)


SCORED = [("generation", objective) for objective in OBJECTIVES if objective != "wgan-gp"]


def test_an_iteration_asks_the_critic_about_its_window():
    settings = settings_for(positions=0.7, train_stages=1, min_size=40, max_size=90, window="32")
    state = Training.start(settings, striped(80, 90))
    step = state.enter_stage()
    window = state.draw(1)[0].window
    assert window.size == (32, 32)
    (learner,) = step.learners
    told = learner.critic_at(window)
    assert isinstance(told, LocatedCritic)
    torch.testing.assert_close(told.places, window.cut(learner.critic_at(None).places))
    assert learner.critic_at(None).places.abs().max().item() == pytest.approx(0.7)


@pytest.mark.parametrize(("mode", "objective"), [*((mode, "wgan-gp") for mode in OF_ONE), *SCORED])
def test_told_where_every_task_trains_and_goes_on_to_the_bit(tmp_path, mode, objective):
    changes = {"train_stages": 2, "positions": 0.5, "objective": objective}
    begun = Training.start(settings_for(mode, **changes), striped())
    before = {name: value.clone() for name, value in begun.critic.state_dict().items()}
    wanted = train(begun, Monitor(display="quiet"))
    assert all(
        not torch.equal(value, before[name])
        for name, value in begun.critic.state_dict().items()
        if "tail.bias" not in name
    )
    untold = train(
        Training.start(settings_for(mode, **{**changes, "positions": 0.0}), striped()), Monitor(display="quiet")
    )
    assert not same_tensors(untold.tensors(), wanted.tensors())
    run = Run.create(tmp_path, "stripes", "test")
    state = Training.start(settings_for(mode, **changes), striped())
    write_start(state, run)
    calls = itertools.count(1)
    with pytest.raises(StoppedError):
        train(state, Monitor(display="quiet"), run, stop=lambda: next(calls) == 3)
    resumed = resume(run, "cpu", pytest.fail)
    had = train(resumed, Monitor(display="quiet"), run)
    assert same_tensors(had.tensors(), wanted.tensors())
    assert same_tensors(resumed.critic.state_dict(), begun.critic.state_dict())


def test_figures_are_taken_by_the_told_critic():
    state = Training.start(settings_for(positions=0.5, train_stages=1), striped())
    state.enter_stage()
    for _ in range(2):
        state.iterate()
        state.iteration += 1
    assert state.measure().balance == state.measure().balance
    state.critic.blocks[0][0].weight.data[:, 3:] += 1
    told = state.measure()
    state.critic.blocks[0][0].weight.data[:, 3:] = 0
    assert state.measure().balance != told.balance


# ---- mixed noise


def test_mixed_noise_is_between_the_anchor_and_noise():
    plain, mixed = (
        Training.start(settings_for(noise=wanted, train_stages=1), striped()) for wanted in ("pure", "mixed")
    )
    for state in (plain, mixed):
        state.enter_stage()
    shares = []
    for iteration in range(40):
        plain.iteration = mixed.iteration = iteration
        drawn, made = (state.draw(1)[0].inputs[0] for state in (plain, mixed))
        anchor = mixed.model.fixed[0]
        share = ((made - anchor) * (drawn - anchor)).sum() / (drawn - anchor).square().sum()
        torch.testing.assert_close(made, (1 - share) * anchor + share * drawn, rtol=0, atol=1e-5)
        shares.append(share.item())
    assert min(shares) < 0.1
    assert max(shares) > 0.9
    assert sum(shares) / 40 == pytest.approx(0.5, abs=0.12)


def test_variation_below_one_mixes_what_enters_the_coarsest_stage():
    model = train(Training.start(settings_for(noise="mixed", train_stages=1), striped()), Monitor(display="quiet"))
    calm, wild = model.sample(1, variation=0.0), model.sample(1, variation=1.0)
    assert torch.equal(calm, model.reconstruct())
    assert torch.equal(wild, model.sample(1))
    apart = [(model.sample(1, variation=share) - calm).abs().mean() for share in (0.1, 0.5, 1.0)]
    assert 0 < apart[0] < apart[1] < apart[2]


# ---- older files


def older(settings: config.Train) -> dict:
    """The configuration as a version before positions, mixtures and the finish wrote it."""
    values = json.loads(json.dumps(config.to_json(settings)))
    del values["network"]["positions"], values["objective"]["noise"], values["sampling"]
    return values


def test_an_older_configuration_does_what_it_did():
    found = config.from_json(older(settings_for()), "config.json")
    assert found == settings_for(positions=0.0, noise="pure", finish="none", variation=1.0)
    del (values := older(settings_for()))["network"]["nfc"]
    with pytest.raises(
        UserError, match=r"config\.json is not a whole configuration: nfc is unknown or missing in network"
    ):
        config.from_json(values, "config.json")


def test_a_run_of_an_older_version_goes_on_and_is_sampled(tmp_path):
    wanted = train(Training.start(settings_for(train_stages=1), striped()), Monitor(display="quiet"))
    run = Run.create(tmp_path, "stripes", "test")
    write_start(Training.start(settings_for(train_stages=1), striped()), run)
    run.config.write_text(json.dumps(older(settings_for(train_stages=1))))
    run.picture.unlink()  # it kept none
    state = resume(run, "cpu", pytest.fail)
    assert state.model.photo is None
    train(state, Monitor(display="quiet"), run)
    loaded = SingleImageModel.load(run.folder)
    assert torch.equal(loaded.sample(2), wanted.sample(2))
    with pytest.raises(UserError, match="--finish patches needs the training picture"):
        loaded.sample(1, finish="patches")
