"""The objectives whose critic is an autoencoder: closed forms, a second writing, k, the rates, and whole trainings."""

import itertools
from contextlib import suppress
from dataclasses import replace
from math import prod

import pytest
import torch
from test_training import same_tensors, settings_for, striped
from torch import nn

from consingan.errors import UserError
from consingan.gan.autoencoder import CODE, STRIDE, Autoencoder, autoencoder, code_side
from consingan.gan.critics import PatchCritic, located
from consingan.gan.objectives.base import Sight
from consingan.gan.objectives.began import Began
from consingan.gan.objectives.ebgan import Ebgan, alike
from consingan.grid.noise import Draw
from consingan.storage.run import Run
from consingan.training import convergence, watchdog
from consingan.training.convergence import WINDOW, Figures, slowed
from consingan.training.estimate import estimate, work
from consingan.training.loop import resume, train, write_start
from consingan.training.signals import StoppedError
from consingan.training.state import Training
from consingan.training.watchdog import CollapsedError
from consingan.watch.monitor import Monitor

SMALL = {"features": 4, "activation": "elu"}  # smooth, so that differences have limits


def pictures(seed=0, size=(10, 13)):
    """A picture and a made one in float64, and a small critic of them."""
    torch.manual_seed(seed)
    real, fake = (torch.rand(1, 3, *size, dtype=torch.float64) * 2 - 1 for _ in range(2))
    return Autoencoder(**SMALL).double(), real, fake


def sight(real, fake, **state):
    return Sight(real, fake, {}, {name: torch.tensor([value], dtype=real.dtype) for name, value in state.items()})


def values(losses):
    """Losses as numbers."""
    return {name: value.item() for name, value in losses.items()}


class Grey(nn.Module):
    """Makes one grey of every picture."""

    def __init__(self, value=0.0):
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value))

    def forward(self, x):
        return self.value.expand_as(x)


# ---- the critic


@pytest.mark.parametrize("size", [(9, 9), (10, 12), (25, 34), (31, 11)])
def test_a_picture_of_any_size_gives_one_of_that_size_through_few_numbers(size):
    critic = Autoencoder(seen=5, features=4)
    assert critic(torch.rand(2, 5, *size)).shape == (2, 3, *size)
    codes = critic.features(torch.rand(2, 5, *size))[-1]
    assert codes.shape == (2, CODE, *(-(-side // STRIDE) for side in size))
    assert codes[0].numel() < prod(size) * 3 * (0.5 if min(size) < 12 else 0.25)


@pytest.mark.parametrize(("kernel", "layers"), [(3, 3), (3, 1), (5, 4), (1, 2)])
def test_the_smallest_picture_is_what_a_code_in_the_middle_is_made_of(kernel, layers):
    network = replace(settings_for(objective="ebgan").network, ker_size=kernel, num_layer=layers, positions=0.0)
    x = torch.rand(1, 3, 81, 81, requires_grad=True)
    autoencoder(network).features(x)[-1][:, :, 10, 10].sum().backward()
    rows = x.grad.abs().sum((0, 1, 3)).nonzero().flatten()
    assert rows[-1] - rows[0] + 1 == code_side(network) == Ebgan().smallest(network) == Began().smallest(network)
    network = replace(network, positions=0.5)
    side = code_side(network)
    critic = located(autoencoder(network), 0.5, (side, side), None, torch.device("cpu"))
    assert critic(torch.rand(1, 3, side, side)).shape == (1, 3, side, side)


def test_a_codes_patch_that_is_larger_than_the_coarsest_stage_is_one_sentence():
    with pytest.raises(UserError, match=r"x25 px, smaller than the critic's patch of 37 px"):
        Training.start(settings_for(objective="began", ker_size=5, num_layer=16), striped())


def test_it_knows_what_it_learned_and_not_what_it_did_not():
    """The bottleneck: an identity would know both."""
    torch.manual_seed(0)
    critic, x = Autoencoder(features=8), striped(25, 25)
    shuffled = x.flatten(2)[..., torch.randperm(625)].view_as(x)
    optimiser = torch.optim.Adam(critic.parameters(), 4e-3)
    for _ in range(120):
        loss = (critic(x) - x).abs().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert (critic(shuffled) - shuffled).abs().mean() > 3 * loss


# ---- losses


def test_losses_by_a_closed_form():
    real, fake = torch.full((1, 3, 9, 9), 0.5), torch.full((1, 3, 9, 9), -0.1)
    seen = sight(real, fake, k=0.25)
    assert values(Began().critic_loss(Grey(), seen)) == pytest.approx({"critic_real": 0.5, "critic_fake": -0.25 * 0.1})
    assert values(Began().generator_loss(Grey(), seen)) == pytest.approx({"adversarial": 0.1})
    assert Began(0.7).measure(Grey(), seen, 9.0) == pytest.approx((0.7 * 0.5 - 0.1, 0.5 + 0.25))
    assert values(Ebgan(0.3).critic_loss(Grey(), seen)) == pytest.approx({"critic_real": 0.5, "critic_fake": 0.2})
    assert Ebgan(0.05).critic_loss(Grey(), seen)["critic_fake"] == 0
    assert values(Ebgan().generator_loss(Grey(), seen)) == pytest.approx({"adversarial": 0.1})
    assert Ebgan().measure(Grey(), seen, 0.5) == pytest.approx((-2.0, 2.5))  # the made one is the better by far


def test_losses_and_gradients_are_those_of_a_second_writing():
    critic, real, fake = pictures()

    def energy(x, power):
        pixels = [
            sum(abs(made - own) ** power for made, own in zip(a, b, strict=True)) / 3
            for a, b in zip(critic(x)[0].flatten(1).T, x[0].flatten(1).T, strict=True)
        ]
        return torch.stack([pixel ** (1 / power) for pixel in pixels])

    began = energy(real, 1).mean() - 0.3 * energy(fake, 1).mean()
    ebgan = energy(real, 2).mean() + torch.stack([max(0.6 - e, e * 0) for e in energy(fake, 2)]).mean()
    assert 0 < (energy(fake, 2) < 0.6).double().mean() < 1  # both sides of the margin
    for objective, wanted in ((Began(), began), (Ebgan(margin=0.6), ebgan)):
        loss = sum(objective.critic_loss(critic, sight(real, fake, k=0.3)).values())
        torch.testing.assert_close(loss, wanted, rtol=1e-12, atol=0)
        ours, theirs = (torch.autograd.grad(x, list(critic.parameters()), retain_graph=True) for x in (loss, wanted))
        for a, b in zip(ours, theirs, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("objective", [Began(), Ebgan(margin=0.6, pulling_away=0.1)])
def test_gradients_are_limits_of_differences(objective):
    critic, real, fake = pictures(size=(5, 6))
    names = [name for name, _ in critic.named_parameters()]

    def losses(picture, *weights):
        def bound(x):
            return torch.func.functional_call(critic, dict(zip(names, weights, strict=True)), (x,))

        bound.features = critic.features
        seen = sight(real, picture, k=0.3)
        of_critic = objective.critic_loss(bound, seen)
        return sum(of_critic.values()), sum(objective.generator_loss(bound, seen).values())

    weights = [p.detach().clone().requires_grad_() for p in critic.parameters()]
    assert torch.autograd.gradcheck(losses, (fake.requires_grad_(), *weights), fast_mode=True)


def test_pulling_away_is_the_mean_squared_cosine_of_pairs():
    torch.manual_seed(0)
    codes = torch.randn(1, 5, 3, 4, dtype=torch.float64)
    columns = codes[0].flatten(1).T
    pairs = [torch.cosine_similarity(a, b, dim=0) ** 2 for a, b in itertools.permutations(columns, 2)]
    torch.testing.assert_close(alike(codes), torch.stack(pairs).mean(), rtol=1e-10, atol=0)
    assert alike(torch.eye(6, dtype=torch.float64).view(1, 6, 2, 3)) == pytest.approx(0)
    assert alike(torch.ones(1, 6, 2, 3, dtype=torch.float64)) == pytest.approx(1)
    critic, real, fake = pictures()
    losses = values(Ebgan(pulling_away=0.1).generator_loss(critic, sight(real, fake)))
    assert losses["pulling_away"] == pytest.approx(0.1 * alike(critic.features(fake)[-1]).item())
    assert losses["pulling_away"] > 0


# ---- k


def test_k_follows_its_equation_and_is_clipped():
    objective, torch_k, k = Began(began_gamma=0.5, lambda_k=0.2), Began().begin(), 0.0
    assert torch_k["k"].tolist() == [0.0]
    met = []
    for real, fake in [(0.1, 0.9), (1.0, 0.1), (0.8, 0.3), (9.0, 0.5), (0.5, 0.25), (0.2, 0.9), (0.0, 9.0)]:
        objective.after_iteration(torch_k, {"critic_real": torch.tensor(real), "adversarial": torch.tensor(fake)})
        k = min(1.0, max(0.0, k + 0.2 * (0.5 * real - fake)))
        met.append(k)
        assert torch_k["k"].item() == pytest.approx(k, abs=1e-6)
    assert (met[0], met[3], met[4], met[-1]) == (0.0, pytest.approx(0.9), pytest.approx(0.9), 0.0)
    objective.after_iteration(torch_k, {"critic_real": torch.tensor(99.0), "adversarial": torch.tensor(0.0)})
    assert torch_k["k"].item() == 1.0


def test_k_in_a_training_is_that_of_its_losses():
    state = Training.start(settings_for(objective="began", lambda_k=0.5, train_stages=1), striped())
    step, k = state.enter_stage(), torch.zeros(1)
    for _ in range(4):
        losses = step(*state.draw(2))
        k = (k + 0.5 * (0.5 * losses["critic_real"] - losses["adversarial"])).clamp(0, 1)
        state.iteration += 1
    torch.testing.assert_close(state.branches[0].state["k"], k, rtol=0, atol=0)
    assert 0 < k < 1


# ---- rates


def figures(*values, every=50):
    return [Figures(every * n - 1, 1.0 / n, 0.0, 1.0 / n, value) for n, value in enumerate(values, 1)]


def test_the_rates_are_halved_wherever_the_measure_stands_still():
    judged, still = Began().judged, [1.0] * (2 * WINDOW)

    def rate(*values, factor=0.5):
        return slowed(figures(*values), factor, 0.03, judged)

    assert rate(*still[1:]) == 1
    assert rate(*still) == 0.5
    assert rate(*still, *still[1:]) == 0.5  # what comes after a standstill is judged by itself
    assert rate(*still, *still) == 0.25
    assert rate(*still, *still, factor=0.1) == pytest.approx(0.01)
    assert rate(*still, factor=1.0) == 1
    assert rate(*(0.9**n for n in range(50))) == 1
    assert rate(*still, *(0.9**n for n in range(50))) == 0.5  # decided is decided
    assert slowed(figures(*still), 0.5, 0.03, ("reconstruction",)) == 1


@pytest.fixture
def hasty(monkeypatch):
    """Looks every second iteration, and two figures that are compared with two."""
    monkeypatch.setattr(watchdog, "EVERY", 2)
    monkeypatch.setattr(convergence, "WINDOW", 1)


HASTY = {"objective": "began", "train_stages": 2, "niter": (14,), "stop_tolerance": 1.0, "decay": "step"}


def rates_met(state, run=None, stop=lambda: False):
    """The critic's rate in each iteration, as a share of the first's; and what was told."""
    met, told = [], []
    monitor = Monitor(display="quiet")
    observe = monitor.observe

    def note(iteration, terms):
        met.append((state.stage, iteration, state.step.optimisers["critic_optimiser"].param_groups[0]["lr"]))
        observe(iteration, terms)

    monitor.observe, monitor.message = note, told.append
    with suppress(StoppedError):
        train(state, monitor, run, stop=stop)
    rate = state.model.settings.optimisation.lr_d
    return [(stage, iteration, pytest.approx(lr / rate)) for stage, iteration, lr in met], told


def test_a_training_halves_its_rates_and_goes_on(hasty):
    met, told = rates_met(Training.start(settings_for(**HASTY), striped()))
    falls = [0.1 if n >= 11 else 1.0 for n in range(14)]
    halved = [0.5 ** (n // 4) for n in range(14)]
    wanted = [a * b for a, b in zip(falls, halved, strict=True)]
    assert met == [(stage, n, wanted[n]) for stage in (0, 1) for n in range(14)]
    assert told[0] == "Stage 1 stands still at iteration 4 of 14: the rates are 0.5 times what they would be."
    assert len(told) == 2 * 3
    met, told = rates_met(Training.start(settings_for(**HASTY, slower=1.0), striped()))
    assert met == [(stage, n, falls[n]) for stage in (0, 1) for n in range(14)]
    assert told == []


def test_with_stop_auto_the_stage_ends_where_the_measure_stands_still(hasty):
    met, told = rates_met(Training.start(settings_for(**HASTY, stop="auto"), striped()))
    assert met == [(stage, n, 1.0 if n < 4 else 0.5 * 0.1) for stage in (0, 1) for n in range(5)]
    assert told[0] == "Stage 1 stands still at iteration 4 of 14: the rates fall now, and it ends at 5."


@pytest.mark.parametrize("stop", ["niter", "auto"])
def test_a_training_with_halved_rates_is_resumed_to_the_bit(hasty, tmp_path, stop):
    settings = settings_for(**HASTY, stop=stop, lambda_k=0.5)
    through = Training.start(settings, striped())
    whole, _ = rates_met(through)
    for at in (6,) if stop == "niter" else (4,):
        run = Run.create(tmp_path, "stripes", f"test{at}")
        begun = Training.start(settings, striped())
        write_start(begun, run)
        calls = itertools.count(1)
        before, _ = rates_met(begun, run, lambda calls=calls, at=at: next(calls) == at)
        resumed = resume(run, "cpu", pytest.fail)
        assert resumed.branches[0].state["k"] == begun.branches[0].state["k"] > 0
        after, _ = rates_met(resumed, run)
        assert [*before, *after] == whole
        assert same_tensors(resumed.branches[0].learned(), through.branches[0].learned())


# ---- whole trainings

WHOLE = {
    "began": {"objective": "began", "lambda_k": 0.1},
    "ebgan": {"objective": "ebgan", "pulling_away": 0.1},
    "told": {"objective": "began", "positions": 0.5, "precision": "bf16"},
    "windows": {
        "objective": "ebgan", "pulling_away": 0.1, "positions": 0.5, "window": "32", "min_size": 30, "max_size": 60
    },
    "half": {"objective": "ebgan", "pulling_away": 0.1, "precision": "bf16"},
}  # fmt: skip


@pytest.mark.parametrize("case", WHOLE)
def test_it_trains_is_stopped_and_goes_on_to_the_bit(tmp_path, case):
    settings = settings_for(**{"train_stages": 2, "niter": (3,), **WHOLE[case]})
    picture = striped(*(50, 60) if case == "windows" else (30, 32))
    through = Training.start(settings, picture)
    before = {name: value.clone() for name, value in through.branches[0].learned().items()}
    train(through, Monitor(display="quiet"))
    wanted = through.branches[0].learned()
    assert all(value.isfinite().all() for value in wanted.values())
    names = [name for name in before if name.startswith("critic") and name.endswith("weight")]
    assert len(names) == 6
    assert not any(torch.equal(wanted[name], before[name]) for name in names)
    run = Run.create(tmp_path, "stripes", "test")
    begun = Training.start(settings, picture)
    write_start(begun, run)
    calls = itertools.count(1)
    with pytest.raises(StoppedError):
        train(begun, Monitor(display="quiet"), run, stop=lambda: next(calls) == 4)
    resumed = resume(run, "cpu", pytest.fail)
    train(resumed, Monitor(display="quiet"), run)
    assert same_tensors(resumed.branches[0].learned(), wanted)


def test_losses_are_taken_in_float32_and_near_those_without_bf16():
    losses = {}
    for precision in ("fp32", "bf16"):
        changes = {"objective": "ebgan", "pulling_away": 0.1, "precision": precision, "train_stages": 1}
        state = Training.start(settings_for(**changes), striped())
        losses[precision] = state.enter_stage()(*state.draw(1))
    assert all(value.dtype == torch.float32 for value in losses["bf16"].values())
    assert values(losses["bf16"]) == pytest.approx(values(losses["fp32"]), rel=0.02, abs=1e-3)
    assert losses["bf16"]["critic_real"] != losses["fp32"]["critic_real"]


@pytest.mark.parametrize(("objective", "advice"), [("began", "--lambda_k"), ("ebgan", "--margin")])
def test_a_loss_that_runs_away_is_told_with_what_to_change(monkeypatch, objective, advice):
    monkeypatch.setattr(watchdog, "EVERY", 2)
    settings = settings_for(objective=objective, train_stages=1)
    chosen = type(settings.objective.chosen)
    huge = {"adversarial": torch.tensor(1e6)}
    monkeypatch.setattr(chosen, "generator_loss", lambda self, critic, sight: dict(huge))
    with pytest.raises(CollapsedError, match=rf"adversarial is 1e\+06.*lower --lr_d and --lr_g, or lower {advice}"):
        train(Training.start(settings, striped()), Monitor(display="quiet"))


@pytest.mark.parametrize("objective", ["began", "ebgan"])
def test_what_it_costs_is_told(objective):
    state = Training.start(settings_for(objective=objective), striped())
    pixels = prod(state.model.sizes[0])
    assert work(state, 0) == pixels * (6 + state.branches[0].objective.work(3))
    assert state.branches[0].objective.work(3) - state.branches[0].objective.work(1) == 2 * 6
    before = {name: value.clone() for name, value in state.branches[0].learned().items()}
    assert 0 < estimate(state, 0.0).seconds < 60
    assert same_tensors(state.branches[0].learned(), before)


def test_figures_of_the_moment_are_the_objective_s():
    state = Training.start(settings_for(objective="began", train_stages=1), striped())
    state.enter_stage()(*state.draw(1))
    state.iteration = 1
    found, (branch,) = state.measure(), state.branches
    inputs = state._entered(branch, Draw(0, ("figures",))).inputs
    fake = state.model.generate(inputs, state.model.sizes)
    real, made = ((branch.critic(x) - x).abs().mean().item() for x in (branch.reals[0], fake))
    assert found.balance == pytest.approx(0.5 * real - made, abs=1e-6)
    assert found.convergence == pytest.approx(real + abs(found.balance))


def test_a_patch_critic_is_none_of_these():
    assert not isinstance(Began().critic(settings_for(objective="began").network), PatchCritic)
