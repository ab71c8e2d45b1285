"""The games of scores: against a second writing, against closed forms, clipped, and through training and resume."""

import itertools
import json
import math

import pytest
import torch
import torch.nn.functional as F
from test_objectives import Linear
from test_training import same_tensors, settings_for, striped, trained

from consingan import config
from consingan.errors import UserError
from consingan.gan.critics import PatchCritic
from consingan.gan.objectives import OBJECTIVES, fgan, gradients, played
from consingan.gan.objectives.base import Sight
from consingan.gan.objectives.fgan import LARGEST, exponential
from consingan.gan.objectives.gan import GanNs, Minimax, NonSaturating
from consingan.gan.objectives.lsgan import LeastSquares, Lsgan
from consingan.gan.objectives.scored import Composition, Scored
from consingan.gan.objectives.wgan import Wgan
from consingan.gan.objectives.zero_centred import GanZeroGp
from consingan.grid.noise import Draw
from consingan.storage.files import load_tensors, read_json, write_json
from consingan.storage.run import Run
from consingan.training.graphs import Captured
from consingan.training.loop import resume, train, write_start
from consingan.training.signals import StoppedError
from consingan.training.state import Training
from consingan.training.watchdog import Attempt
from consingan.watch.log import read_log
from consingan.watch.monitor import Monitor
from consingan.watch.report.reading import read

SCORED = {name: entry().composed() for name, entry in OBJECTIVES.items() if isinstance(entry(), Composition)}
FIGURES = {  # by objective the name of what its critic estimates
    "wgan": "wasserstein",
    **{f"fgan-{name}": f"{name.replace('-', '_')}_divergence" for name in (
        "kl", "reverse-kl", "pearson", "neyman", "hellinger", "js", "gan", "tv",
    )},
}  # fmt: skip
LOG2 = math.log(2)

# Table 2 and table 6 of the f-GAN paper, as written there, signs of V turned so that all activations increase.
F_GAN = {
    "kl": (lambda u: u * u.log(), lambda v: v, lambda t: torch.exp(t - 1)),
    "reverse-kl": (lambda u: -u.log(), lambda v: -torch.exp(-v), lambda t: -1 - torch.log(-t)),
    "pearson": (lambda u: (u - 1) ** 2, lambda v: v, lambda t: t**2 / 4 + t),
    "neyman": (lambda u: (1 - u) ** 2 / u, lambda v: 1 - torch.exp(-v), lambda t: 2 - 2 * torch.sqrt(1 - t)),
    "hellinger": (lambda u: (u.sqrt() - 1) ** 2, lambda v: 1 - torch.exp(-v), lambda t: t / (1 - t)),
    "js": (
        lambda u: u * u.log() - (u + 1) * ((1 + u) / 2).log(),
        lambda v: LOG2 - torch.log(1 + torch.exp(-v)),
        lambda t: -torch.log(2 - torch.exp(t)),
    ),
    "gan": (
        lambda u: u * u.log() - (u + 1) * (u + 1).log(),
        lambda v: -torch.log(1 + torch.exp(-v)),
        lambda t: -torch.log(1 - torch.exp(t)),
    ),
    "tv": (lambda u: (u - 1).abs() / 2, lambda v: torch.tanh(v) / 2, lambda t: t),
}


def log_sigmoid(x):
    return torch.log(1 / (1 + torch.exp(-x)))


def second_writing(name, real, fake):
    """The critic's and the generator's loss of scores, without penalty, as the papers write them."""
    if name.startswith("fgan-"):
        _, output, conjugate = F_GAN[name.removeprefix("fgan-")]
        return -(output(real).mean() - conjugate(output(fake)).mean()), -output(fake).mean()
    wasserstein = fake.mean() - real.mean()
    cross_entropy = -(log_sigmoid(real).mean() + torch.log(1 - 1 / (1 + torch.exp(-fake))).mean())
    return {
        "gan": (cross_entropy, torch.log(1 - 1 / (1 + torch.exp(-fake))).mean()),
        "gan-ns": (cross_entropy, -log_sigmoid(fake).mean()),
        "gan-zerogp": (cross_entropy, -log_sigmoid(fake).mean()),
        "lsgan": (((real - 1) ** 2).mean() / 2 + (fake**2).mean() / 2, ((fake - 1) ** 2).mean() / 2),
        "wgan": (wasserstein, -fake.mean()),
        "wgan-gp": (wasserstein, -fake.mean()),
        "hinge": (torch.clamp(1 - real, min=0).mean() + torch.clamp(1 + fake, min=0).mean(), -fake.mean()),
    }[name]


def small_critic(seed=0, scale=12.0):
    """A critic in float64 whose scores of random pictures are spread, and below where exponentials become tangents."""
    torch.manual_seed(seed)
    critic = PatchCritic(features=3, layers=1).double()
    for p in critic.parameters():
        p.data *= scale if p.dim() == 4 else 1
    return critic


def pictures(*shape, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return [torch.rand(shape or (1, 3, 9, 10), dtype=torch.float64, generator=generator) * 2 - 1 for _ in range(2)]


def total(losses):
    return torch.stack(list(losses.values())).sum()


# ---- the formulas


@pytest.mark.parametrize("name", SCORED)
def test_losses_are_those_of_a_second_writing(name):
    critic, (real, fake), objective = small_critic(), pictures(), SCORED[name]
    drawn = objective.draw(Draw(0, ("x",)), 0, real.shape)
    losses = objective.critic_loss(critic, Sight(real, fake, drawn, {}))
    of_critic, of_generator = second_writing(name, critic(real), critic(fake))
    assert critic(real).std() > 0.05
    assert max(critic(real).abs().max(), critic(fake).abs().max()) < LARGEST
    assert (losses["critic_real"] + losses["critic_fake"]).item() == pytest.approx(of_critic.item(), rel=1e-9)
    (loss,) = objective.generator_loss(critic, Sight(real, fake, {}, {})).values()
    assert loss.item() == pytest.approx(of_generator.item(), rel=1e-9)
    assert ("penalty" in losses) is (name in ("wgan-gp", "gan-zerogp"))
    figures = objective.figures(losses)
    assert set(figures) == ({FIGURES[name]} if name in FIGURES else set())
    assert all(value.item() == pytest.approx(-of_critic.item(), rel=1e-9) for value in figures.values())


@pytest.mark.parametrize("name", SCORED)
def test_losses_pass_gradcheck(name):
    objective, (real, fake) = SCORED[name], pictures(1, 3, 8, 8)
    critic = PatchCritic(features=2, layers=1, activation="elu").double()
    for p in critic.parameters():
        p.data *= 10
    drawn = {key: x.double() for key, x in objective.draw(Draw(0, ("x",)), 0, real.shape).items()}
    names, weights = zip(*critic.named_parameters(), strict=True)

    def of_critic(*values):
        held = dict(zip(names, values, strict=True))
        return total(objective.critic_loss(lambda x: torch.func.functional_call(critic, held, (x,)), sight))

    def of_generator(x):
        return total(objective.generator_loss(critic, Sight(real, x, {}, {})))

    sight = Sight(real, fake, drawn, {})
    assert torch.autograd.gradcheck(of_critic, tuple(w.detach().requires_grad_() for w in weights), atol=1e-4)
    assert torch.autograd.gradcheck(of_generator, (fake.clone().requires_grad_(),))


def test_the_generator_of_an_f_gan_may_play_minimax():
    scores = torch.linspace(-2, 2, 9, dtype=torch.float64)
    for name, (_, output, conjugate) in F_GAN.items():
        game = OBJECTIVES[f"fgan-{name}"](fgan_generator="minimax").composed().game
        torch.testing.assert_close(game.generator(scores), -conjugate(output(scores)))


@pytest.mark.parametrize("name", F_GAN)
def test_outputs_increase_with_the_score(name):
    output = SCORED[f"fgan-{name}"].game.divergence.output
    assert (output(torch.linspace(-9, 9, 99, dtype=torch.float64)).diff() > 0).all()


def test_an_exponential_goes_on_as_its_tangent():
    x = torch.tensor([-3.0, 0.0, LARGEST, LARGEST + 2, 1e4], dtype=torch.float64, requires_grad=True)
    value = exponential(x)
    (slope,) = torch.autograd.grad(value.sum(), x)
    top = math.exp(LARGEST)
    assert value.tolist() == pytest.approx([math.exp(-3), 1, top, 3 * top, top * (1 + 1e4 - LARGEST)])
    assert slope.tolist() == pytest.approx([math.exp(-3), 1, top, top, top])


@pytest.mark.parametrize("name", SCORED)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_far_scores_give_finite_losses_and_gradients(name, dtype):
    game = SCORED[name].game
    scores = torch.tensor([-3e4, -100.0, 0.0, 100.0, 3e4]).to(dtype).float().requires_grad_()
    for part in (game.real, game.fake, game.generator):
        (gradient,) = torch.autograd.grad(part(scores).sum(), scores)
        assert part(scores).isfinite().all()
        assert gradient.isfinite().all()


# ---- closed forms


def points(share, ones):
    """A picture ``[1, 1, 1, 20]`` of two values, 1 at a share of its pixels and 0 elsewhere."""
    assert round(20 * share) == ones
    return torch.tensor([1.0] * ones + [0.0] * (20 - ones), dtype=torch.float64).reshape(1, 1, 1, 20)


@pytest.mark.parametrize("name", F_GAN)
def test_the_bound_of_a_free_critic_approaches_the_divergence(name):
    real, fake = points(0.6, 12), points(0.25, 5)
    p, q = torch.tensor([0.6, 0.4], dtype=torch.float64), torch.tensor([0.25, 0.75], dtype=torch.float64)
    divergence = (q * F_GAN[name][0](p / q)).sum().item()
    objective = SCORED[f"fgan-{name}"]
    free = torch.zeros(2, dtype=torch.float64, requires_grad=True)  # a score for each of the two values

    def losses():
        return objective.critic_loss(lambda x: free[0] + (free[1] - free[0]) * x, Sight(real, fake, {}, {}))

    def closure():
        search.zero_grad()
        loss = total(losses())
        loss.backward()
        return loss

    search = torch.optim.LBFGS([free], max_iter=200, tolerance_grad=1e-12, line_search_fn="strong_wolfe")
    (begun,) = objective.figures(losses()).values()
    search.step(closure)
    (bound,) = objective.figures(losses()).values()
    assert begun.item() < divergence - 0.05
    assert bound.item() == pytest.approx(divergence, abs=1e-6)


def test_the_best_critic_of_the_first_game_tells_the_share_of_the_picture():
    real, fake = points(0.6, 12), points(0.25, 5)
    best = torch.tensor([math.log(0.4 / 0.75), math.log(0.6 / 0.25)], dtype=torch.float64, requires_grad=True)
    losses = GanNs().composed().critic_loss(lambda x: best[0] + (best[1] - best[0]) * x, Sight(real, fake, {}, {}))
    (gradient,) = torch.autograd.grad(total(losses), best)
    assert gradient.abs().max() < 1e-12  # D* = p / (p + q)


@pytest.mark.parametrize("norm", [0.5, 3.0])
@pytest.mark.parametrize("gamma", [0.1, 10.0])
def test_the_penalty_at_the_picture_of_a_linear_critic_is_its_norm(norm, gamma):
    critic = Linear([norm * 0.6, 0.0, norm * 0.8])
    real, fake = torch.rand(1, 3, 5, 6), torch.rand(1, 3, 5, 6)
    losses = GanZeroGp(gamma).composed().critic_loss(critic, Sight(real, fake, {}, {}))
    assert losses["penalty"].item() == pytest.approx(gamma / 2 * norm**2)


def test_both_ways_to_the_gradient_at_the_picture_give_the_same_update(monkeypatch):
    critic, (real, fake) = small_critic(), pictures()
    updates, ways = [], (gradients.fastest_input_gradient(critic), gradients.double_backward)
    assert ways[0] is PatchCritic.input_gradient
    for way in ways:
        monkeypatch.setattr(gradients, "fastest_input_gradient", lambda critic, way=way: way)
        losses = GanZeroGp(1.0).composed().critic_loss(critic, Sight(real, fake, {}, {}))
        updates.append(torch.autograd.grad(total(losses), list(critic.parameters())))
    for a, b in zip(*updates, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


def test_wasserstein_with_clipped_weights_reaches_the_distance_times_the_clip():
    """One weight, D(x) = w x: the best is w = clip, and the estimate clip times the distance of the means."""
    objective = Wgan(0.05).composed()
    critic = torch.nn.Conv2d(1, 1, 1, bias=False)
    optimiser = torch.optim.RMSprop(critic.parameters(), 0.01)
    sight = Sight(torch.full((1, 1, 3, 3), 0.7), torch.full((1, 1, 3, 3), -0.1), {}, {})
    for _ in range(60):
        optimiser.zero_grad()
        total(objective.critic_loss(critic, sight)).backward()
        optimiser.step()
        objective.after_critic(critic, {})
        assert critic.weight.abs().item() <= 0.05 + 1e-9
    (estimate,) = objective.figures(objective.critic_loss(critic, sight)).values()
    assert estimate.item() == pytest.approx(0.05 * 0.8)


def test_beyond_the_margin_nothing_is_lost():
    scores, game = torch.tensor([-2.0, -0.5, 0.5, 2.0]), SCORED["hinge"].game
    assert game.real(scores).tolist() == [3, 1.5, 0.5, 0]
    assert game.fake(scores).tolist() == [0, 0.5, 1.5, 3]
    assert game.generator(scores).tolist() == [2, 0.5, -0.5, -2]


# ---- labels


@pytest.mark.parametrize("label", [0.7, 0.9, 1.0])
def test_a_label_is_what_the_critic_s_best_score_tells(label):
    score = torch.tensor(math.log(label / (1 - label)) if label < 1 else 30.0, requires_grad=True)
    for game in (Minimax(label), NonSaturating(label)):
        (gradient,) = torch.autograd.grad(game.real(score), score)
        assert gradient.abs() < 1e-6
    squares = LeastSquares(-1.0, 1.0, 0.0, label)
    assert squares.real(torch.tensor(-1 + 2 * label)).item() == pytest.approx(0, abs=1e-12)
    for game in (NonSaturating, lambda label: LeastSquares(-1.0, 1.0, 0.0, label)):
        for part in ("fake", "generator"):  # one-sided
            assert torch.equal(getattr(game(label), part)(score), getattr(game(1.0), part)(score))


def test_which_objectives_have_labels():
    labelled = {name for name, objective in SCORED.items() if objective.game.label is not None}
    assert labelled == {"gan", "gan-ns", "gan-zerogp", "lsgan"}


def test_least_squares_have_the_published_targets_by_name():
    settings, _ = config.resolve("generation", "a", ("flag", {"objective": "lsgan", "lsgan_a": -1, "lsgan_c": 0}))
    game = played(settings.objective).game
    assert game == LeastSquares(-1.0, 1.0, 0.0)
    scores = torch.tensor([0.5])
    found = [part(scores).item() for part in (game.real, game.fake, game.generator)]
    assert found == pytest.approx([0.125, 1.125, 0.125])
    assert Lsgan().composed().game == LeastSquares(0.0, 1.0, 1.0)


# ---- in training


def stopped_at(state, run, iteration):
    """Train a run until it is stopped."""
    write_start(state, run)
    calls = itertools.count(1)
    with pytest.raises(StoppedError):
        train(state, Monitor(display="quiet"), run, stop=lambda: next(calls) == iteration)


@pytest.mark.parametrize("name", SCORED)
def test_its_run_is_logged_with_its_estimate(tmp_path, name):
    state = Training.start(settings_for(objective=name, train_stages=1, niter=(3,)), striped())
    run = Run.create(tmp_path, "stripes", "test")
    write_start(state, run)
    with Monitor(run.log, "quiet", log_every=1) as monitor:
        train(state, monitor, run)
    records = [record for record in read_log(run.log) if record["event"] == "iteration"]
    assert len(records) == 3
    for record in records:
        found = record.get(FIGURES.get(name))
        assert found == (pytest.approx(-record["critic_real"] - record["critic_fake"]) if name in FIGURES else None)
    assert FIGURES.get(name, "critic_real") in {curve.name for curve in read(run).losses}
    assert read(run).run.config.read_text().count(f'"{name}"') == 1


@pytest.mark.parametrize("name", SCORED)
def test_losses_are_float32_and_finite_where_a_window_is_trained_in_bf16_with_positions(name):
    changes = {"precision": "bf16", "window": "32", "min_size": 40, "max_size": 40, "positions": 0.5}
    state = Training.start(settings_for(objective=name, train_stages=1, **changes), striped(40, 40))
    step = state.enter_stage()
    drawn = state.draw(1)
    assert drawn[0].window.size == (32, 32)
    terms = step(*drawn)
    assert {value.dtype for value in terms.values()} == {torch.float32}
    assert all(value.isfinite() for value in [*terms.values(), state.measure().balance * torch.ones(())])


@pytest.mark.parametrize("name", ["wgan", "gan-zerogp", "fgan-kl"])
def test_stopped_within_a_stage_it_goes_on_to_the_bit(tmp_path, name):
    changes = {"objective": name, "train_stages": 2, "niter": (3,), "positions": 0.5}
    through = Training.start(settings_for(**changes), striped())
    wanted = train(through, Monitor(display="quiet"))
    run = Run.create(tmp_path, "stripes", "test")
    stopped_at(Training.start(settings_for(**changes), striped()), run, 5)
    resumed = resume(run, "cpu", pytest.fail)
    assert (resumed.stage, resumed.iteration) == (1, 2)
    had = train(resumed, Monitor(display="quiet"), run)
    assert same_tensors(had.tensors(), wanted.tensors())
    assert same_tensors(resumed.critic.state_dict(), through.critic.state_dict())


def test_wgan_learns_by_rmsprop_goes_back_to_the_bit_and_stays_clipped():
    state = Training.start(settings_for(objective="wgan", train_stages=1, clip=0.03), striped())
    step = state.enter_stage()
    assert {type(each) for each in step.optimisers.values()} == {torch.optim.RMSprop}
    step(*state.draw(3))
    state.iteration = 1
    state.keep(0.5)
    kept = {name: value.clone() for name, value in state.learned().items()}
    assert sum(name.endswith("square_avg") for name in kept) > 10
    step(*state.draw(3))
    assert not same_tensors(state.learned(), kept)
    state.go_back(Attempt(1, 0.5))
    assert same_tensors(state.learned(), kept)
    largest = max(p.abs().max().item() for p in state.critic.parameters())
    assert largest == pytest.approx(0.03)


def test_a_checkpoint_of_wgan_is_refused_where_adam_is_wanted(tmp_path):
    run = Run.create(tmp_path, "stripes", "test")
    stopped_at(Training.start(settings_for(objective="wgan", train_stages=1, niter=(3,)), striped()), run, 2)
    file = max(run.checkpoints.glob("*.safetensors"))
    tensors, header = load_tensors(file)
    renamed = {name.replace("square_avg", "exp_avg"): value for name, value in tensors.items()}
    assert renamed.keys() != tensors.keys()
    with pytest.raises(UserError, match="is missing, unknown or unfit"):
        Training.restore(renamed, header, str(file))


def test_a_replayed_iteration_of_wgan_is_the_same():
    class Rerun:
        def warm(self, region):
            return region()

        def record(self, region):
            return region

    plain, recorded = (Training.start(settings_for(objective="wgan", train_stages=1), striped()) for _ in range(2))
    for state in (plain, recorded):
        state.enter_stage()
    recorded.step = Captured(recorded.step, Rerun())
    for _ in range(5):
        assert same_tensors(*(state.step(*state.draw(2)) for state in (plain, recorded)))
        for state in (plain, recorded):
            state.iteration += 1
    recorded.keep(1.0)
    recorded.go_back(Attempt(1, 0.5))
    assert recorded.step.moments is not recorded.step._moments()  # it will be recorded anew


def test_the_work_of_a_penalty_is_two_passes_more():
    assert SCORED["wgan"].work(3) == SCORED["hinge"].work(3) == 6 * 3 + 3
    assert SCORED["wgan-gp"].work(3) == SCORED["gan-zerogp"].work(3) == 10 * 3 + 3


# ---- names


@pytest.mark.parametrize(("typed", "name"), [("wgan_gp", "wgan-gp"), ("gan_ns", "gan-ns"), ("fgan_reverse-kl",) * 2])
def test_dashes_and_underscores_are_the_same_in_names(typed, name):
    name = name.replace("_", "-")
    settings, _ = config.resolve("generation", "a", ("flag", {"objective": typed}))
    assert settings.objective.objective == name
    assert config.to_json(settings)["objective"]["objective"] == name


def test_a_run_that_says_wgan_gp_goes_on(tmp_path):
    run = Run.create(tmp_path, "stripes", "test")
    stopped_at(Training.start(settings_for(train_stages=1, niter=(3,)), striped()), run, 2)
    written = read_json(run.config)
    assert written["objective"]["objective"] == "wgan-gp"
    written["objective"]["objective"] = "wgan_gp"
    write_json(run.config, written)
    resumed = resume(run, "cpu", pytest.fail)
    had = train(resumed, Monitor(display="quiet"), run)
    assert same_tensors(had.tensors(), trained(train_stages=1, niter=(3,)).tensors())
    assert json.loads(run.config.read_text())["objective"]["objective"] == "wgan_gp"


def test_each_entry_tells_formula_and_paper():
    for name, entry in OBJECTIVES.items():
        assert entry.__doc__, name
        if name.startswith("fgan-"):
            assert "1606.00709" in entry.__doc__
            assert "f = " in entry.__doc__


def test_the_estimate_of_a_scored_objective_is_no_part_of_its_loss():
    objective = Scored(fgan.Bound(fgan.PEARSON, minimax=False), estimate="pearson_divergence")
    real, fake = pictures()
    losses = objective.critic_loss(small_critic(), Sight(real, fake, {}, {}))
    assert losses.keys() == {"critic_real", "critic_fake"}
    assert F.mse_loss(objective.figures(losses)["pearson_divergence"], -total(losses)).item() == 0
