"""Techniques that go with any objective, against second writings, closed forms, and a training that is cut in two."""

import copy
from math import prod

import pytest
import torch
import torch.nn.functional as F
from click.testing import CliRunner
from test_contracts import begun, everything, stopped_at
from test_graphs import Rerun, iterate
from test_training import anchors_of, same_tensors, settings_for, striped, trained
from torch import nn

from consingan import config
from consingan.command.cli import train as train_command
from consingan.errors import UserError
from consingan.gan import norms, techniques
from consingan.gan.critics import PatchCritic, located
from consingan.gan.layers import VirtualNorm
from consingan.gan.minibatch import FAKES, GRID, Closeness, pooling
from consingan.gan.model import SingleImageModel
from consingan.gan.model_file import Header, network_bytes
from consingan.gan.objectives.base import Sight
from consingan.gan.objectives.gradients import double_backward, fastest_input_gradient
from consingan.gan.objectives.wgan_gp import WganGp
from consingan.gan.techniques import Improved, Mean, Technique
from consingan.storage.files import load_tensors
from consingan.storage.run import Run
from consingan.training.estimate import work
from consingan.training.graphs import Captured
from consingan.training.loop import resume, train
from consingan.training.state import Training
from consingan.training.watchdog import Attempt
from consingan.watch.monitor import Monitor

ALL = {
    "feature_matching": 0.5,
    "historical_averaging": 0.1,
    "ema": 0.9,
    "spectral_norm": True,
    "minibatch_discrimination": 3,
    "virtual_batch_norm": True,
}
ON_WINDOWS = {name: value for name, value in ALL.items() if name != "virtual_batch_norm"}


def small_critic(**changes):
    """A critic of doubles with weights that make scores differ."""
    critic = PatchCritic(features=4, layers=2, **changes).double()
    for name, p in critic.named_parameters():
        torch.manual_seed(len(name))
        nn.init.normal_(p, 0, 0.3)
    return critic


def pictures(number, height=13, width=14, seed=0):
    made = torch.rand(number, 3, height, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return [x[None] for x in made * 2 - 1]


def sight_of(real, fake, state=None):
    return Sight(real, fake, {"uniform": torch.full((1, 1, 1, 1), 0.3, dtype=torch.float64)}, state or {})


# ---- feature matching


def test_feature_matching_is_the_squared_distance_of_mean_features():
    critic, (real, fake) = small_critic(), pictures(2)

    def inner(x):
        x = x[0]
        for block in critic.blocks:
            weight, bias = block[0].weight, block[0].bias
            patches = x.unfold(1, 3, 1).unfold(2, 3, 1)  # [C, h, w, 3, 3]
            x = torch.einsum("chwij,ncij->nhw", patches, weight) + bias[:, None, None]
            x = torch.maximum(x, 0.05 * x)
        return x.flatten(1).mean(1)

    technique = techniques.feature_matching(0.7)
    (loss,) = technique.generator_loss(critic, sight_of(real, fake)).values()
    expected = 0.7 * sum((a - b) ** 2 for a, b in zip(inner(real), inner(fake), strict=True))
    assert loss.item() == pytest.approx(expected.item(), rel=1e-12)
    assert technique.generator_loss(critic, sight_of(real, real))["features"] == 0
    fake = pictures(1, 9, 9, seed=3)[0].requires_grad_()
    assert torch.autograd.gradcheck(lambda x: technique.generator_loss(critic, sight_of(real, x))["features"], fake)
    told = located(small_critic(channels=5), 0.5, (13, 14), None, torch.device("cpu"))
    assert technique.generator_loss(told, sight_of(real, pictures(2)[1]))["features"] > 0


# ---- means of parameters


def test_a_mean_follows_the_closed_form_on_a_made_up_trajectory():
    net, keep, gain = nn.Linear(1, 1, bias=False).double(), 0.8, [3.0, -1.0, 4.0, 1.5]
    for share in (keep, 1.0):
        mean = Mean("m", net, share)
        nn.init.constant_(net.weight, 100.0)
        state = {name: value.clone() for name, value in mean.begin().items()}
        for i, value in enumerate(gain):
            nn.init.constant_(net.weight, value)
            mean.update(state)
            weights = [share ** (i - j) for j in range(i + 1)]
            expected = sum(w * x for w, x in zip(weights, gain, strict=False)) / sum(weights)
            assert state["m.weight"].item() == pytest.approx(expected, rel=1e-6)


def test_historical_averaging_pulls_to_the_mean_of_what_was():
    generator, critic = nn.Linear(2, 1, bias=False).double(), nn.Linear(1, 1, bias=False).double()
    technique = techniques.historical_averaging(0.5, generator, critic)
    state = {name: value.clone() for name, value in technique.remembered.items()}
    past = [(torch.randn(2, dtype=torch.float64), torch.randn(1, dtype=torch.float64)) for _ in range(5)]
    for i, values in enumerate(past):
        for net, value in zip((generator, critic), values, strict=True):
            net.weight.data.copy_(value)
        losses = technique.generator_loss(None, sight_of(None, None, state))
        losses |= technique.critic_loss(None, sight_of(None, None, state))
        assert losses.keys() == {"generator_history", "critic_history"}
        for part, (name, net) in enumerate((("generator_history", generator), ("critic_history", critic))):
            mean = sum(each[part] for each in past[:i]) / i if i else None
            expected = 0.5 * ((values[part] - mean) ** 2).sum() if i else torch.zeros(())
            if i:
                assert losses[name].item() == pytest.approx(expected.item(), rel=1e-5)
                net.zero_grad()
                losses[name].backward()
                torch.testing.assert_close(net.weight.grad[0], (values[part] - mean), rtol=1e-5, atol=1e-7)
        technique.after_iteration(state)


def test_samples_are_made_with_the_mean_and_training_goes_on_with_the_weights(tmp_path):
    changes = {"niter": (4,), "train_stages": 2}
    plain = Training.start(settings_for(**changes), striped())
    train(plain, Monitor(display="quiet"))
    state = Training.start(settings_for(ema=0.7, **changes), striped())
    run = Run.create(tmp_path, "stripes", "test")
    seen = []
    update = Mean.update

    def note(mean, held):
        update(mean, held)
        seen.append({name: p.detach().double().clone() for name, p in mean.network.named_parameters()})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Mean, "update", note)
        made = train(state, Monitor(display="quiet"), run)
    assert same_tensors(state.model.tensors(), plain.model.tensors())
    assert state.model.amplitudes == plain.model.amplitudes
    last = seen[4:]  # those of the last stage
    assert len(last) == 4
    stored = SingleImageModel.load(run.model)
    for name, p in stored.generator.named_parameters():
        weights = [0.7 ** (3 - i) for i in range(4)]
        expected = sum(w * each[name] for w, each in zip(weights, last, strict=True)) / sum(weights)
        torch.testing.assert_close(p.double(), expected, rtol=1e-5, atol=1e-7)
    assert same_tensors(stored.tensors(), made.tensors())
    assert not torch.equal(stored.sample(1), plain.model.sample(1))


# ---- spectral norm


def test_the_largest_singular_value_of_each_convolution_is_near_one_while_it_learns():
    state = Training.start(settings_for(spectral_norm=True, train_stages=1), striped())
    state.enter_stage()
    for _ in range(30):
        state.iterate()
        state.iteration += 1
    convolutions = [module for module in state.critic.modules() if isinstance(module, nn.Conv2d)]
    assert len(convolutions) == 5
    largest = [torch.linalg.matrix_norm(conv.weight.flatten(1), 2).item() for conv in convolutions]
    assert largest == pytest.approx([1.0] * 5, abs=0.03)
    raw = [conv.parametrizations.weight.original.flatten(1) for conv in convolutions]
    assert all(abs(torch.linalg.matrix_norm(weight, 2).item() - 1) > 0.03 for weight in raw)


def test_a_spectral_weight_passes_gradients_and_a_pass_changes_nothing():
    weight = torch.randn(3, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    spectral = norms.Spectral(weight).double()
    spectral.iterate(weight)
    assert torch.autograd.gradcheck(spectral, weight)
    # equation 12: the gradient has no part along the weight's own scale
    (gradient,) = torch.autograd.grad((spectral(weight) * torch.randn_like(weight)).sum(), weight)
    assert (gradient * weight).sum().item() == pytest.approx(0, abs=1e-12)
    critic, (x, _) = small_critic(), pictures(2)
    norms.normalise(critic)
    before = {name: value.clone() for name, value in critic.state_dict().items()}
    assert torch.equal(critic(x), critic(x))
    assert same_tensors(critic.state_dict(), before)
    norms.iterate(critic)
    assert not same_tensors(critic.state_dict(), before)


def test_the_fast_gradient_holds_for_a_spectral_critic_and_not_for_minibatch_discrimination():
    critic, (x, _) = small_critic(), pictures(2)
    norms.normalise(critic)
    assert fastest_input_gradient(critic) is PatchCritic.input_gradient
    updates = []
    for way in (critic.input_gradient, lambda x: double_backward(critic, x)):
        critic.zero_grad()
        gradient = way(x)
        gradient.square().sum().backward()
        own = {name: p.grad.clone() for name, p in critic.named_parameters() if "original" in name}
        updates.append({"gradient": gradient, **own})
    assert len(updates[0]) == 1 + 4  # three layers and the tail
    for name, value in updates[0].items():
        torch.testing.assert_close(value, updates[1][name], rtol=1e-9, atol=1e-12)
    assert fastest_input_gradient(small_critic(kernels=2)) is double_backward


# ---- minibatch discrimination


def test_closeness_is_that_of_a_second_writing():
    torch.manual_seed(0)
    layer, kernels = Closeness(4, 3).double(), 3
    x = torch.randn(2, 4, 11, 16, dtype=torch.float64)
    layer.remembered.normal_()
    found = layer(x)
    assert found.shape == (2, 6, 11, 16)
    for picture in range(2):
        cells = F.adaptive_avg_pool2d(x[picture], GRID).flatten(1).T  # [G G, N]
        m = (cells @ layer.weight).unflatten(1, (kernels, -1))  # [G G, K, C]
        for row, column, k in ((0, 0, 0), (3, 11, 2), (10, 15, 1)):
            i = row * GRID // 11 * GRID + column * GRID // 16
            own = [(-(m[i, k] - m[j, k]).abs().sum()).exp().item() for j in range(GRID * GRID) if j != i]
            before = [(-(m[i, k] - layer.remembered[f, k, :, i]).abs().sum()).exp().item() for f in range(FAKES)]
            assert found[picture, k, row, column].item() == pytest.approx(sum(own) / len(own), rel=1e-9)
            assert found[picture, kernels + k, row, column].item() == pytest.approx(sum(before) / FAKES, rel=1e-9)
    torch.testing.assert_close(layer(x[1:]), found[1:])  # each picture of a batch for itself


@pytest.mark.parametrize("length", [1, 5, 8, 17, 186])
def test_cells_cover_a_side_of_any_length(length):
    rows = pooling(length, torch.device("cpu"), torch.float64)
    x = torch.randn(1, 1, length, dtype=torch.float64)
    torch.testing.assert_close(x @ rows.T, F.adaptive_avg_pool1d(x, GRID))


def test_identical_fakes_are_told_from_different_ones():
    layer = Closeness(4, 3)
    fakes = torch.randn(FAKES + 1, 1, 4, 20, 20) * 3
    for _ in range(FAKES):
        layer.remember(fakes[0])
    torch.testing.assert_close(layer(fakes[0])[:, 3:], torch.ones(1, 3, 20, 20))
    assert layer(fakes[1])[:, 3:].max() < 0.9
    for fake in fakes[1:]:  # what is the oldest is forgotten
        layer.remember(fake)
    assert layer(fakes[0])[:, 3:].max() < 0.9
    flat = layer(fakes[0] * 0 + 1)[:, :3]
    assert flat.min() > 0.999 > 0.9 > layer(fakes[0])[:, :3].max()


def test_the_penalty_of_a_discriminating_critic_has_its_gradients():
    critic, (x, _) = small_critic(kernels=2), pictures(1, 9, 9) * 2
    critic.closeness.remembered.normal_()

    def norm(x):
        return double_backward(critic, x).square().sum()

    weight = critic.closeness.weight
    norm(x).backward()
    found, h = weight.grad[1, 2].item(), 1e-6
    shifted = []
    for sign in (1, -1):
        weight.data[1, 2] += sign * h
        shifted.append(norm(x).item())
        weight.data[1, 2] -= sign * h
    assert found == pytest.approx((shifted[0] - shifted[1]) / (2 * h), rel=1e-4)
    assert found != 0


def test_the_fakes_of_iterations_are_remembered_after_the_losses_on_them():
    state = Training.start(settings_for(minibatch_discrimination=2, train_stages=1), striped())
    state.enter_stage()
    closeness, made = state.critic.closeness, []
    for _ in range(2):
        drawn = state.draw(3)
        state.step(*drawn)
        made.append(closeness.remembered.clone())
        state.iteration += 1
    assert made[0][-1].abs().sum() > 0
    assert made[0][:-1].abs().sum() == 0
    assert torch.equal(made[1][-2], made[0][-1])
    assert not torch.equal(made[1][-1], made[0][-1])


# ---- virtual batch norm


def test_a_virtual_norm_is_the_batch_norm_of_a_picture_and_the_reference():
    norm = VirtualNorm(3).double()
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    x, reference = torch.randn(2, 1, 3, 6, 7, dtype=torch.float64) * torch.tensor([2.0, 5.0])[:, None, None, None, None]
    x = x + 3
    norm.recording = True
    own = norm(reference)
    norm.recording = False
    torch.testing.assert_close(own, F.batch_norm(reference, None, None, norm.weight, norm.bias, training=True))
    both = F.batch_norm(torch.cat([x, reference]), None, None, norm.weight, norm.bias, training=True)
    torch.testing.assert_close(norm(x), both[:1])
    torch.testing.assert_close(norm(torch.cat([reference, x])), torch.cat([own, both[:1]]))


def test_the_reference_is_the_picture_of_the_anchors_in_training_and_in_the_file(tmp_path):
    run = Run.create(tmp_path, "stripes", "test")
    state = Training.start(settings_for(virtual_batch_norm=True, train_stages=2, niter=(3,)), striped())
    train(state, Monitor(display="quiet"), run)
    stored = SingleImageModel.load(run.model)
    for model in (state.model, stored):
        inner = [module for module in model.generator.modules() if isinstance(module, VirtualNorm)]
        assert len(inner) == 1 + 3 * 2
        met = {}
        for norm in inner:
            norm.register_forward_pre_hook(lambda norm, args, met=met: met.update({norm: args[0]}))
        model.generator(anchors_of(model), model.amplitudes, model.sizes)
        for norm in inner:
            torch.testing.assert_close(norm.mean, met[norm].mean((0, 2, 3)), rtol=1e-4, atol=1e-6)
            torch.testing.assert_close(norm.variance, met[norm].var((0, 2, 3), correction=0), rtol=1e-4, atol=1e-6)
    assert torch.equal(stored.sample(3)[:1], stored.sample(1))
    assert torch.equal(stored.reconstruct(), state.model.reconstruct())
    assert stored.sample(1, size=(40, 70)).isfinite().all()


def test_amplitudes_are_taken_with_the_reference_of_the_new_stage():
    state = Training.start(settings_for(virtual_batch_norm=True), striped())
    state.enter_stage()
    state.leave_stage()
    state.enter_stage()
    model = copy.deepcopy(state.model)
    amplitude = model.amplitudes[1]
    model.amplitudes[1] = 0.0
    norms.refer(model)
    error = F.mse_loss(model.reconstruct(), state.reals[1]).sqrt().item()
    assert amplitude == pytest.approx(0.1 * error, rel=1e-5)


# ---- label smoothing


@pytest.mark.parametrize(
    ("objective", "smoothed"),
    [
        # one-sided: equation of section 3.4 with alpha 0.9 and beta 0
        ("gan", lambda d: -0.9 * torch.sigmoid(d).log() - 0.1 * (1 - torch.sigmoid(d)).log()),
        ("gan-ns", lambda d: -0.9 * torch.sigmoid(d).log() - 0.1 * (1 - torch.sigmoid(d)).log()),
        ("lsgan", lambda d: (d - 0.9) ** 2 / 2),
    ],
)
def test_label_smoothing_lowers_the_label_of_the_picture_in_the_critics_loss_alone(objective, smoothed):
    critic, (real, fake) = small_critic(), pictures(2)
    sight = sight_of(real, fake)
    plain, other = (
        Training.start(settings_for(objective=objective, label_smoothing=share), striped()).branches[0].objective
        for share in (0.0, 0.1)
    )
    losses = other.critic_loss(critic, sight)
    assert losses["critic_real"].item() == pytest.approx(smoothed(critic(real)).mean().item(), rel=1e-9)
    assert losses["critic_real"] != plain.critic_loss(critic, sight)["critic_real"]
    assert losses["critic_fake"] == plain.critic_loss(critic, sight)["critic_fake"]
    assert other.generator_loss(critic, sight) == plain.generator_loss(critic, sight)


# ---- all of them in a training


CUT = {
    "all": ("generation", {**ALL, "positions": 0.5, "noise": "mixed"}),
    "windows": ("generation", {**ON_WINDOWS, "window": "32", "min_size": 30, "max_size": 60, "positions": 0.5}),
    "autoencoder": (
        "generation",
        {"objective": "began", "spectral_norm": True, "historical_averaging": 0.1, "ema": 0.9},
    ),
    "codes": ("generation", {**ON_WINDOWS, "codes": 1, "code_categories": 2}),
    "bf16": ("retarget", {**ALL, "precision": "bf16"}),
    "one_more_norm": ("harmonization", {**ON_WINDOWS, "batch_norm": True}),
}


@pytest.mark.parametrize("case", CUT)
def test_a_training_that_is_cut_in_two_is_the_same_to_the_bit(tmp_path, case):
    through = begun(*CUT[case])
    result = train(through, Monitor(display="quiet"))
    wanted = everything(through)
    assert all(value.isfinite().all() for value in wanted.values())
    run = Run.create(tmp_path, "stripes", "test")
    stopped_at(begun(*CUT[case]), run, 5)
    resumed = resume(run, "cpu", pytest.fail)
    assert (resumed.stage, resumed.iteration) == (1, 2)
    train(resumed, Monitor(display="quiet"), run)
    assert same_tensors(everything(resumed), wanted)
    assert same_tensors(SingleImageModel.load(run.model).tensors(), result.tensors())


def test_going_back_takes_everything_along():
    state = begun("generation", ALL)
    state.enter_stage()
    for _ in range(2):
        state.iterate()
        state.iteration += 1
    state.keep(1.0)
    before = {name: value.clone() for name, value in everything(state).items()}
    state.iterate()
    changed = [name for name, value in everything(state).items() if not torch.equal(value, before[name])]
    for part in (
        "objective.history.generator.",
        "objective.average.",
        "critic.closeness.remembered",
        ".0.u",
        ".1.mean",
    ):
        assert any(part in name for name in changed), part
    state.go_back(Attempt(1, 0.5))
    assert same_tensors(everything(state), before)


def test_a_new_start_and_a_new_stage_begin_their_means_anew():
    state = begun("generation", ALL)
    state.enter_stage()
    state.iterate()
    state.iteration += 1
    state.go_back(Attempt(0, 0.5, 1))
    assert state.branches[0].state["average_weight"] == 0
    state.iterate()
    assert state.branches[0].state["average_weight"] == 1
    state.leave_stage()
    state.enter_stage()
    held, own = state.branches[0].state, dict(state.model.generator.named_parameters())
    assert held["average_weight"] == held["history.critic_weight"] == 0
    assert all(torch.equal(held[f"average.{name}"], p) for name, p in own.items())


def test_recorded_iterations_are_the_same_iterations():
    changes = {**ALL, "train_stages": 1}
    plain, recorded = (Training.start(settings_for(**changes), striped()) for _ in range(2))
    expected = iterate(plain, plain.enter_stage(), 6)
    assert iterate(recorded, Captured(recorded.enter_stage(), Rerun()), 6) == expected
    assert same_tensors(everything(plain), everything(recorded))


def test_without_any_the_objective_is_the_one_that_was_chosen():
    branch = Training.start(settings_for(), striped()).branches[0]
    assert branch.objective == WganGp().composed()
    assert branch.state == {}
    assert branch.result is branch.model


def test_an_improved_objective_adds_the_losses_and_the_work_of_its_techniques():
    critic, (real, fake) = small_critic(), pictures(2)
    technique = Technique(
        critic_loss=lambda critic, sight: {"a": sight.real.sum()},
        generator_loss=lambda critic, sight: {"b": sight.fake.sum()},
        work=2,
    )
    one, sight = WganGp().composed(), sight_of(real, fake)
    both = Improved(one, settings_for(), [technique, technique])
    assert both.critic_loss(critic, sight) == one.critic_loss(critic, sight) | {"a": real.sum()}
    assert both.generator_loss(critic, sight) == one.generator_loss(critic, sight) | {"b": fake.sum()}
    assert both.work(3) == one.work(3) + 4
    assert (both.judged, both.advice, both.smallest(settings_for().network)) == (one.judged, one.advice, 11)
    plain, matching = (begun("generation", changes) for changes in ({}, {"feature_matching": 1.0}))
    assert work(matching, 1) > work(plain, 1)


def test_the_losses_of_techniques_are_logged():
    state = Training.start(settings_for(**ALL), striped())
    state.enter_stage()
    done = state.iterate()
    assert {"features", "critic_history", "generator_history", "adversarial", "penalty"} <= done.terms.keys()


# ---- what does not go together


def test_wrong_combinations_end_in_one_sentence():
    cases = {
        "--feature_matching 1 is for a critic that scores patches": {"objective": "began", "feature_matching": 1},
        "--minibatch_discrimination 4 is for a critic": {"objective": "began", "minibatch_discrimination": 4},
        "--label_smoothing 0.1 is for an objective with labels, which --objective wgan-gp": {"label_smoothing": 0.1},
        "--batch_norm and --virtual_batch_norm are two ways": {"batch_norm": True, "virtual_batch_norm": True},
        "--window 64 does not go with --virtual_batch_norm": {"window": "64", "virtual_batch_norm": True},
        "--ema is 1.0; give a number from 0 to 0.99999": {"ema": 1},
    }
    for sentence, changes in cases.items():
        with pytest.raises(UserError) as told:
            Training.start(settings_for(**changes), striped())
        assert sentence in str(told.value)


def test_they_are_refused_before_anything_is_written(picture_file, tmp_path):
    flags = [str(picture_file), "--label_smoothing", "0.1", "--outdir", str(tmp_path / "runs"), "--not_cuda"]
    result = CliRunner().invoke(train_command, flags)
    assert result.exit_code == 2
    assert result.stderr.strip().splitlines() == [
        "Loading ...",
        "Error: --label_smoothing 0.1 is for an objective with labels, which --objective wgan-gp does not have; "
        "leave it out or choose another objective.",
    ]
    assert not (tmp_path / "runs").exists()


def test_files_from_before_the_techniques_are_without_them(tmp_path):
    values = config.to_json(settings_for())
    del values["techniques"]
    for name in ("virtual_batch_norm", "spectral_norm", "minibatch_discrimination"):
        del values["network"][name]
    assert config.from_json(values, "x") == settings_for()
    run = Run.create(tmp_path, "stripes", "test")
    trained(run=run, **ALL)
    _, header = load_tensors(run.model)
    assert config.from_json(header["config"], "x") == settings_for(**ALL)


@pytest.mark.parametrize("changes", [ALL, {**ON_WINDOWS, "codes": 3}])
def test_what_a_file_may_hold_counts_all_tensors_of_the_generator(changes):
    model = Training.start(settings_for(train_stages=1, **changes), striped()).model
    header = Header(model.settings, model.generator.border.name, model.sizes, [1.0], 0, model.kind)
    held = sum(4 * value.numel() for value in model.generator.state_dict().values())
    assert network_bytes(header) == held + 4 * prod(model.generator.input_shape(0, model.sizes[0]))
