"""The trainer, by oracles: what must not change does not, what must be equal is equal to the bit."""

import copy
import itertools
import json

import pytest
import torch
import torch.nn.functional as F
from conftest import OF_ONE

from consingan import config
from consingan.errors import UserError
from consingan.gan.model import SingleImageModel
from consingan.gan.objectives import OBJECTIVES, gradients
from consingan.grid.noise import as_source
from consingan.storage.run import Run
from consingan.tasks import TASKS
from consingan.training.branch import stage_sizes
from consingan.training.lessons import OfOnePicture
from consingan.training.loop import resume, train, write_start
from consingan.training.signals import StoppedError
from consingan.training.state import Training
from consingan.training.step import Step, gains_by_bf16, precision
from consingan.watch.log import read_log
from consingan.watch.monitor import Monitor

TINY = {"train_stages": 3, "max_size": 32, "min_size": 25, "niter": (2,), "nfc": 4, "precision": "fp32"}


def striped(height=30, width=32, channels=3):
    """Diagonal stripes in [-1, 1], another phase in each channel."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    phases = torch.arange(channels)[:, None, None]
    return torch.sin((rows + 2 * columns) / 4 + phases)[None]


def settings_for(mode="generation", **changes):
    return config.resolve(mode, "stripes.png", ("test", {**TINY, **changes}))[0]


def trained(mode="generation", run=None, **changes):
    return train(Training.start(settings_for(mode, **changes), striped()), Monitor(display="quiet"), run)


def anchors_of(model):
    """The anchors of its stages, whole."""
    parts = model.generator.parts(model.sizes[: model.stages])
    return [anchor(part.noise) for anchor, part in zip(model.anchors, parts, strict=True)]


def same_tensors(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


ACTIVATIONS = ("lrelu", "prelu", "elu", "selu")
EVERY = [
    *itertools.product(OF_ONE, ["wgan-gp"], [False, True], ACTIVATIONS),
    *itertools.product(["generation"], OBJECTIVES, [False], ["lrelu", "elu"]),
]


@pytest.mark.parametrize(("mode", "objective", "batch_norm", "activation"), EVERY)
def test_every_task_objective_activation_and_norm_trains(mode, objective, batch_norm, activation):
    settings = settings_for(mode, objective=objective, batch_norm=batch_norm, activation=activation)
    state = Training.start(settings, striped())
    for stage in range(3):
        step = state.enter_stage()
        before = {name: value.clone() for name, value in state.branches[0].learned().items()}
        step(*state.draw(2))
        learned = {id(p) for optimiser in step.optimisers.values() for g in optimiser.param_groups for p in g["params"]}
        networks = {"generator": state.model.generator, "critic": state.critic}
        for network, module in networks.items():
            for name, p in module.named_parameters():
                moved = not torch.equal(p, before[f"{network}.{name}"])
                assert moved is (id(p) in learned) or idle(network, name, batch_norm), (stage, network, name)
        assert all(value.isfinite().all() for value in state.learned().values())
        state.leave_stage()
    assert state.model.stages == 3
    assert state.model.sample(2).std() > 0


def idle(network, name, batch_norm):
    """Whether a parameter changes nothing: a shift of all scores, or one that normalisation takes out again."""
    return (network == "critic" and name == "tail.bias") or (
        batch_norm and network == "generator" and name.endswith(".0.bias")
    )


@pytest.mark.parametrize("mode", OF_ONE)
def test_the_same_seed_gives_the_same_bits_and_another_seed_others(mode):
    first, second = (trained(mode).tensors() for _ in range(2))
    assert same_tensors(first, second)
    assert not same_tensors(first, trained(mode, seed=1).tensors())


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_frozen_stages_stay_as_they_are_to_the_bit(depth):
    state = Training.start(settings_for(train_depth=depth, train_stages=4, max_size=40), striped(38, 40))
    for stage in range(4):
        step = state.enter_stage()
        generator = state.model.generator
        frozen = {n: p.clone() for n, p in generator.named_parameters() if not p.requires_grad}
        learning = {n: p.clone() for n, p in generator.named_parameters() if p.requires_grad}
        step(*state.draw(1))
        now = dict(generator.named_parameters())
        assert all(torch.equal(now[name], value) for name, value in frozen.items())
        assert all(not torch.equal(now[name], value) for name, value in learning.items())
        numbers = {int(name.split(".")[1]) for name in learning if name.startswith("stages")}
        assert numbers == set(range(max(0, stage - depth + 1), stage + 1))
        state.leave_stage()


def test_amplitude_is_a_tenth_of_the_error_without_noise():
    state = Training.start(settings_for(), striped())
    state.enter_stage()
    state.leave_stage()
    state.enter_stage()
    model = state.model
    silent = model.generator(anchors_of(model), [1, 0], model.sizes)
    error = F.mse_loss(silent, state.reals[1]).sqrt().item()
    assert model.amplitudes == pytest.approx([1.0, 0.1 * error])


def test_anchors_by_task():
    for mode, is_picture in (("generation", True), ("retarget", True), ("animation", False)):
        state = Training.start(settings_for(mode), striped())
        state.enter_stage()
        assert torch.equal(anchors_of(state.model)[0], state.reals[0]) is is_picture


KEEPING = {"fine_tune": True, "model_dir": "m", "naive_img": "n", "keep_structure": 0.7}


def reference_iteration(state, inputs, uniforms, window=None, kept=None):
    """The method written out once more, with nothing shared and everything through autograd.

    Inputs are of the whole picture; a window cuts it, the fake, the reconstruction and what is kept.
    """
    model, critic = state.model, copy.deepcopy(state.critic)

    def cut(x):
        return x[:, :, slice(*window.rows), slice(*window.columns)] if window else x

    real = cut(state.reals[state.stage])
    generator, optimisation = copy.deepcopy(model.generator), model.settings.optimisation
    groups = [
        {"params": list(generator.stages[i].parameters()), "lr": 5e-4 * 0.1**age}
        for age, i in enumerate(range(state.stage, max(-1, state.stage - optimisation.train_depth), -1))
    ]
    if state.stage < optimisation.train_depth:
        groups.append({"params": list(generator.head.parameters()), "lr": 5e-4 * 0.1**state.stage})
    groups.append({"params": list(generator.tail.parameters()), "lr": 5e-4})
    for p in generator.parameters():
        p.requires_grad_(True)
    adam_g = torch.optim.Adam(groups, betas=(0.5, 0.999))
    adam_d = torch.optim.Adam(critic.parameters(), lr=5e-4, betas=(0.5, 0.999))
    for u in uniforms:
        with torch.no_grad():
            fake = cut(generator(inputs, model.amplitudes, model.sizes))
        adam_d.zero_grad()
        mixed = (u * real + (1 - u) * fake).requires_grad_()
        (gradient,) = torch.autograd.grad(critic(mixed).sum(), mixed, create_graph=True)
        penalty = 0.1 * ((gradient.square().sum(1).sqrt() - 1) ** 2).mean()
        (critic(fake).mean() - critic(real).mean() + penalty).backward()
        adam_d.step()
    adam_g.zero_grad()
    fake = cut(generator(inputs, model.amplitudes, model.sizes))
    rebuilt = cut(generator(anchors_of(model), model.amplitudes, model.sizes))
    loss = -critic(fake).mean() + 10 * F.mse_loss(rebuilt, real)
    if kept is not None:
        loss = loss + model.settings.naive.keep_structure * structure_lost(fake, cut(kept))
    loss.backward()
    for _ in range(3):
        adam_g.step()
    return generator, critic


def structure_lost(a, b):
    """One minus the correlation of each 7x7 window with its counterpart, over the pixels that the picture has there."""
    here = F.unfold(torch.ones_like(a[:, :1]), 7, padding=3)
    a, b = (F.unfold(x.mean(1, keepdim=True), 7, padding=3) for x in (a, b))
    a, b = (here * (x - (here * x).sum(1, keepdim=True) / here.sum(1, keepdim=True)) for x in (a, b))
    both, of_a, of_b = ((x * y).sum(1) / here.sum(1) + 0.003 for x, y in ((a, b), (a, a), (b, b)))
    return 1 - (both / (of_a * of_b).sqrt()).mean()


def in_float64(state, terms=()):
    """Take the stage in progress to double precision, so that equal means equal."""
    (branch,) = state.branches
    branch.model.generator.double()
    branch.critic.double()
    branch.model.anchors = [as_source(anchor.double()) for anchor in anchors_of(state.model)]
    branch.reals = [real.double() for real in branch.reals]
    state.step = Step(state.branches, terms)
    return state.step


def doubled(drawn):
    """The random inputs of the one branch in double precision."""
    (one,) = drawn
    return one.each(torch.Tensor.double)


def uniforms_of(drawn):
    """The penalty's mixing weights, by step of the critic."""
    return [numbers["uniform"] for numbers in drawn.critic]


def keeping_structure(kept):
    """The term that keeps a picture's structure, where there is one."""
    return () if kept is None else OfOnePicture(kept, kept, KEEPING["keep_structure"]).terms()


def spread_out(state, inputs, window):
    """The inputs of a window as inputs of the whole picture, with noise of zero around."""
    generator, sizes = state.model.generator, state.model.sizes[: state.stage + 1]
    whole = [torch.zeros(generator.input_shape(stage, size), dtype=torch.float64) for stage, size in enumerate(sizes)]
    for full, x, part in zip(whole, inputs, generator.parts(sizes, window), strict=True):
        full[:, :, slice(*part.noise.rows), slice(*part.noise.columns)] = x
    return whole


@pytest.mark.parametrize("mode", OF_ONE)
@pytest.mark.parametrize("activation", ["lrelu", "elu"])
@pytest.mark.parametrize(("depth", "keeping"), [(1, {}), (3, {}), (1, KEEPING)])
def test_the_engine_equals_the_method_written_out(mode, depth, keeping, activation):
    changes = {"train_depth": depth, "train_stages": 4, "max_size": 40, "activation": activation, **keeping}
    state = Training.start(settings_for(mode, **changes), striped(38, 40))
    for _ in range(4):
        state.enter_stage()
        kept = state.reals[state.stage].double().flip(3) if keeping else None
        step = in_float64(state, keeping_structure(kept))
        drawn = doubled(state.draw(3))
        assert drawn.window is None
        generator, critic = reference_iteration(state, drawn.inputs, uniforms_of(drawn), kept=kept)
        step(drawn)
        for wanted, had in ((generator, state.model.generator), (critic, state.critic)):
            for a, b in zip(wanted.parameters(), had.parameters(), strict=True):
                torch.testing.assert_close(b, a, rtol=0, atol=1e-9)
        state.leave_stage()


@pytest.mark.parametrize("mode", [mode for mode in OF_ONE if TASKS[mode].name in ("generation", "retarget")])
@pytest.mark.parametrize(("padding", "keeping"), [(0, {}), (1, {}), (0, KEEPING)])
def test_an_iteration_on_a_window_is_one_of_the_whole_with_its_losses_cut(mode, padding, keeping):
    changes = {"train_depth": 2, "train_stages": 3, "min_size": 40, "max_size": 90, "window": "32", **keeping}
    state = Training.start(settings_for(mode, padd_size=padding, **changes), striped(80, 90))
    for _ in range(3):
        state.enter_stage()
        kept = state.reals[state.stage].double().flip(3) if keeping else None
        in_float64(state)
        for state.iteration in range(4):
            drawn = doubled(state.draw(2))
            assert drawn.window is not None
            assert drawn.window.size == (32, 32)
            whole = spread_out(state, drawn.inputs, drawn.window)
            generator, critic = reference_iteration(state, whole, uniforms_of(drawn), drawn.window, kept)
            step = Step(state.branches, keeping_structure(kept))  # its Adam without a past
            step(drawn)
            for wanted, had in ((generator, state.model.generator), (critic, state.critic)):
                for a, b in zip(wanted.parameters(), had.parameters(), strict=True):
                    torch.testing.assert_close(b, a, rtol=0, atol=1e-9)
        state.leave_stage()


def test_the_double_backward_engine_gives_the_same_losses(monkeypatch):
    traces = []
    for way in (gradients.fastest_input_gradient, lambda critic: gradients.double_backward):
        monkeypatch.setattr(gradients, "fastest_input_gradient", way)
        state = Training.start(settings_for(), striped())
        state.enter_stage()
        step = in_float64(state)
        for _ in range(5):
            terms = step(doubled(state.draw(3)))
            state.iteration += 1
        traces.append({name: value.item() for name, value in terms.items()})
    assert traces[0] == pytest.approx(traces[1], rel=1e-6)


TERMS = ("critic_real", "critic_fake", "penalty", "adversarial", "reconstruction")
GOLDEN_LOSSES = [  # the fourth iteration of each stage
    (-0.086702, 0.08536, 0.09974, -0.085481, 4.990802),
    (-0.103001, 0.08393, 0.097093, -0.083283, 4.987837),
    (-0.182888, 0.075916, 0.088248, -0.076297, 4.998397),
]


def test_golden_losses():
    """In float64, so that no rounding shows: a change of any number here is a change of the method."""
    state = Training.start(settings_for(nfc=8), striped())
    trace = []
    for _ in range(3):
        state.enter_stage()
        step = in_float64(state)
        for _ in range(4):
            terms = step(doubled(state.draw(3)))
            state.iteration += 1
        trace.append({name: value.item() for name, value in terms.items()})
        state.leave_stage()
    for had, expected in zip(trace, GOLDEN_LOSSES, strict=True):
        assert had == pytest.approx(dict(zip(TERMS, expected, strict=True)), rel=1e-4, abs=1e-6)


def test_losses_fall_on_stripes():
    settings = settings_for(train_stages=1, nfc=8, niter=(200,))
    state = Training.start(settings, striped())
    step = state.enter_stage()
    errors = []
    for _ in range(200):
        errors.append(step(*state.draw(3))["reconstruction"].item())
        state.iteration += 1
    assert sum(errors[-20:]) < 0.2 * sum(errors[:20])


def test_no_step_reads_a_value_back_from_the_device(monkeypatch):
    state = Training.start(settings_for(), striped())
    step = state.enter_stage()
    drawn = state.draw(3)

    def refuse(self):
        raise AssertionError("a step must not wait for the device")

    monkeypatch.setattr(torch.optim.Adam, "step", lambda self: None)  # reads its own counters, which lie on the host
    for name in ("item", "tolist", "__bool__", "__float__"):
        monkeypatch.setattr(torch.Tensor, name, refuse)
    step(*drawn)


def test_the_rates_of_both_networks_fall_for_the_last_fifth_of_each_stage(monkeypatch):
    """In a training, by what the optimisers have while they step."""
    used = {"generator_optimiser": [], "critic_optimiser": []}
    real_step = Step.__call__

    def step(self, *drawn):
        for name, optimiser in self.optimisers.items():
            used[name].append({group["lr"] for group in optimiser.param_groups})
        return real_step(self, *drawn)

    monkeypatch.setattr(Step, "__call__", step)
    trained(niter=(10,), train_stages=2, train_depth=2, lr_g=3e-4, lr_d=5e-4, lr_scale=0.5, gamma=0.1)
    falling = [1.0] * 8 + [0.1] * 2
    assert [sorted(rates) for rates in used["critic_optimiser"]] == [[pytest.approx(5e-4 * f)] for f in falling * 2]
    of_generator = [[3e-4 * f] for f in falling] + [[1.5e-4 * f, 3e-4 * f] for f in falling]
    assert [sorted(rates) for rates in used["generator_optimiser"]] == [pytest.approx(rates) for rates in of_generator]


@pytest.mark.parametrize("mode", OF_ONE)
@pytest.mark.parametrize("stop_after", [1, 3, 4, 7])
def test_stopped_and_resumed_equals_uninterrupted_to_the_bit(tmp_path, mode, stop_after):
    uninterrupted = trained(mode, niter=(3,)).tensors()
    run = Run.create(tmp_path, "stripes", "test")
    state = Training.start(settings_for(mode, niter=(3,)), striped())
    write_start(state, run)
    calls = itertools.count(1)
    with pytest.raises(StoppedError):
        train(state, Monitor(display="quiet"), run, stop=lambda: next(calls) == stop_after)
    resumed = resume(run, "cpu", pytest.fail)
    assert same_tensors(train(resumed, Monitor(display="quiet"), run).tensors(), uninterrupted)
    assert same_tensors(SingleImageModel.load(run.folder).tensors(), uninterrupted)


def test_the_run_folder_holds_what_it_promises(tmp_path):
    run = Run.create(tmp_path, "stripes", "test")
    state = Training.start(settings_for(), striped())
    write_start(state, run)
    with Monitor(run.log, "quiet", log_every=1) as monitor:
        train(state, monitor, run)
    assert config.from_json(json.loads(run.config.read_text()), "config.json") == state.model.settings
    assert json.loads(run.environment.read_text())["device"] == "cpu"
    assert sorted(path.name for path in run.pyramid.iterdir()) == ["0.png", "1.png", "2.png"]
    assert {path.name for path in run.samples.iterdir()} == {"stage_0", "stage_1", "stage_2"}
    assert all(any((run.samples / f"stage_{i}").rglob("grid.png")) for i in range(3))
    records = [record for record in read_log(run.log) if record["event"] == "iteration"]
    assert len(records) == 6
    assert {"critic_real", "critic_fake", "penalty", "adversarial", "reconstruction"} <= records[0].keys()


def test_a_finished_stage_can_be_sampled_though_the_run_stops(tmp_path):
    run = Run.create(tmp_path, "stripes", "test")
    state = Training.start(settings_for(), striped())
    write_start(state, run)
    calls = itertools.count(1)
    with pytest.raises(StoppedError):
        train(state, Monitor(display="quiet"), run, stop=lambda: next(calls) == 3)
    model = SingleImageModel.load(run.folder)
    assert model.stages == 1
    assert model.sample(1).shape == (1, 3, *model.sizes[0])


def test_one_and_two_stages_and_one_channel():
    assert trained(train_stages=1).size == (30, 32)
    assert trained(train_stages=2).stages == 2
    grey = train(Training.start(settings_for(nc_im=1), striped(channels=1)), Monitor(display="quiet"))
    assert grey.sample(2).shape == (2, 1, 30, 32)


def test_start_scale_leaves_out_the_coarsest():
    assert stage_sizes(settings_for(start_scale=1), (30, 32)) == stage_sizes(settings_for(), (30, 32))[1:]


def test_a_stage_smaller_than_a_patch_is_refused():
    with pytest.raises(UserError, match="smaller than the critic's patch of 31 px; give --num_layer 2"):
        stage_sizes(settings_for(ker_size=7), (30, 32))


def test_precision():
    cpu = torch.device("cpu")
    with precision("bf16", cpu, (99, 99)):
        assert torch.conv2d(torch.ones(1, 1, 3, 3), torch.ones(1, 1, 3, 3)).dtype == torch.bfloat16
    with precision("fp32", cpu, (99, 99)):
        assert torch.conv2d(torch.ones(1, 1, 3, 3), torch.ones(1, 1, 3, 3)).dtype == torch.float32


@pytest.mark.parametrize(("tiles", "side", "expected"), [(True, 60, True), (True, 59, False), (False, 250, False)])
def test_auto_takes_bf16_on_cpus_with_tiles_and_large_stages_only(monkeypatch, tiles, side, expected):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: tiles, raising=False)
    assert gains_by_bf16(torch.device("cpu"), (side, 250)) is expected


@pytest.mark.parametrize(("wanted", "allowed"), [("fp32", False), ("tf32", True)])
def test_cuda_rounds_products_only_where_asked_and_only_within(wanted, allowed):
    def now():
        return torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32

    before, context = now(), precision(wanted, torch.device("cuda"), (100, 100))
    for _ in range(2):
        with context:
            assert now() == (allowed, allowed)
        assert now() == before


def test_bf16_stays_near_float32():
    traces = []
    for arithmetic in ("fp32", "bf16"):
        state = Training.start(settings_for(precision=arithmetic, nfc=16), striped())
        terms = state.enter_stage()(*state.draw(1))
        traces.append({name: value.item() for name, value in terms.items()})
        assert all(p.dtype == torch.float32 for p in state.model.generator.parameters())
    assert traces[0] == pytest.approx(traces[1], rel=0.05, abs=0.05)


def test_in_bf16_every_critic_step_sees_the_weights_of_the_one_before():
    """Autocast's own cache would hand out the weights as they were when the iteration began."""
    losses = []
    for split in (False, True):
        state = Training.start(settings_for(precision="bf16", nfc=16, lr_d=0.05), striped())
        step = state.enter_stage()
        (drawn,) = state.draw(2)
        if split:
            (learner,) = step.learners
            with torch.no_grad(), step.precision:
                made = learner.make(drawn)
            for numbers in drawn.critic:
                with step.precision:
                    terms = learner.update_critic(made, [numbers])
        else:
            terms = step(drawn)
        losses.append(terms["critic_real"].item())
    assert losses[0] == pytest.approx(losses[1], rel=0.02)


def test_steps_are_steps_of_adam():
    state = Training.start(settings_for(Gsteps=1, Dsteps=1), striped())
    step = state.enter_stage()
    assert isinstance(step, Step)
    before = {n: p.clone() for n, p in state.model.generator.named_parameters()}
    step(*state.draw(1))
    moved = torch.cat([(p - before[n]).abs().flatten() for n, p in state.model.generator.named_parameters()])
    assert moved.max().item() == pytest.approx(5e-4, rel=1e-2)  # Adam's first step is the rate itself
