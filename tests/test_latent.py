"""The latent of two generators, and whole iterations of a translation by a second writing in float64."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import stripes
from PIL import Image
from test_training import same_tensors
from test_translation import begun, both_of, everything, made, picture, stopped_at

import consingan
from consingan import config
from consingan.applications.base import Material
from consingan.applications.translate import models_of
from consingan.errors import UserError
from consingan.gan import latent
from consingan.gan.generator import GrowingGenerator
from consingan.gan.model import SingleImageModel
from consingan.grid.noise import Draw, as_source
from consingan.grid.sizes import WRAPS
from consingan.grid.windows import Window
from consingan.storage.run import Run
from consingan.tasks import TASKS
from consingan.tasks.translation import latent_kl, rebuilt
from consingan.training.given import progress
from consingan.training.loop import resume, train
from consingan.training.pairs import check_settings
from consingan.training.step import Learner, Step
from consingan.watch.monitor import Monitor


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Two pictures of different shapes: stripes of 64x48 px, and others of 40x52 px."""
    folder = tmp_path_factory.mktemp("pair")
    first, second = folder / "first.png", folder / "second.png"
    Image.fromarray(stripes()).save(first)
    Image.fromarray(255 - stripes(52, 40)[:, :, [2, 0, 1]]).save(second)
    return first, second


# ---- the two losses


class Halves:
    """A coder in closed form: the mean is a number times the picture, noise adds one, decoding another number."""

    def __init__(self, there, back):
        self.there, self.back = there, back

    def mean(self, x):
        return self.there * x

    def code(self, x):
        return self.there * x + 1

    def decoded(self, code, x):
        assert code.shape == x.shape
        return self.back * code


def test_the_latents_losses_are_those_of_a_second_writing():
    both = made()
    both = {"": replace(both[""], coder=Halves(0.5, 3)), "target": replace(both["target"], coder=Halves(-2, 0.25))}
    one, two = ({name: np.asarray(getattr(m, name)) for name in ("fake", "seen")} for m in both.values())
    # the first encodes what it sees and what the second made; the second the other way
    codes = [0.5 * one["seen"], 0.5 * two["fake"], -2 * two["seen"], -2 * one["fake"]]
    assert latent_kl(both).item() == pytest.approx(sum((x**2).mean() for x in codes), rel=1e-12)
    normal = torch.distributions.Normal
    apart = [torch.distributions.kl_divergence(normal(torch.tensor(x), 1.0), normal(0.0, 1.0)).mean() for x in codes]
    assert latent_kl(both).item() == pytest.approx(2 * sum(apart).item(), rel=1e-12)
    # who sees a picture encodes it, the other one decodes it in its own manner
    lost = np.abs(0.25 * (0.5 * one["seen"] + 1) - one["seen"]).mean()
    lost += np.abs(3 * (-2 * two["seen"] + 1) - two["seen"]).mean()
    assert rebuilt(both).item() == pytest.approx(lost, rel=1e-12)


# ---- the noise


def test_the_noise_is_of_its_place(files):
    state = begun(files, share="latent", num_layer=2)
    state.enter_stage()
    first, again = state.draw(1), state.draw(1)
    state.iteration = 1
    later = state.draw(1)
    maps = [[each.generator[latent.NOISE] for each in drawn] for drawn in (first, again, later)]
    for number, branch in enumerate(state.branches):
        height, width = branch.model.sizes[0]
        assert maps[0][number].shape == (3, 4, height + 4, width + 4)  # the latent has the stage's margins
        assert torch.equal(maps[0][number], maps[1][number])
        assert not torch.equal(maps[0][number], maps[2][number])
        apart = [maps[0][number][i] for i in range(3)]
        assert not torch.equal(apart[0], apart[1])
        assert not torch.equal(apart[1], apart[2])
    assert not torch.equal(maps[0][0][0, 0, :4, :4], maps[0][1][0, 0, :4, :4])  # each branch has its own
    many = latent.drawn(state.model.generator, (80, 80), Draw(5))
    assert many.mean().item() == pytest.approx(0, abs=0.01)
    assert many.std().item() == pytest.approx(1, abs=0.01)
    assert latent.NOISE not in begun(files).draw(1)[0].generator


def test_noise_is_repeated_where_it_ends():
    noise = torch.arange(6.0).view(1, 1, 2, 3)
    assert torch.equal(latent.repeated(noise, (2, 3)), noise)
    assert latent.repeated(noise, (3, 5))[0, 0].tolist() == [[0, 1, 2, 0, 1], [3, 4, 5, 3, 4], [0, 1, 2, 0, 1]]
    assert latent.repeated(noise, (1, 2))[0, 0].tolist() == [[0, 1]]


@pytest.mark.parametrize("wraps", ["off", "x", "xy"])
@pytest.mark.parametrize("how", [{}, {"norm": True}, {"padding": 1}, {"layers": 2, "activation": "elu"}])
def test_without_noise_the_halves_are_the_generator(wraps, how):
    """And the noise is added to the mean, before all that follows the convolution."""
    torch.manual_seed(0)
    generator = GrowingGenerator(features=5, border="zero", wraps=WRAPS[wraps], **how).double()
    x = picture(0)
    features, mean = latent.coarse(generator, x, torch.zeros(1, 5, 4, 4, dtype=torch.float64))
    torch.testing.assert_close(features, generator.features([x], [1.0], [(12, 10)]), rtol=0, atol=1e-12)
    seen = []
    for layer in (-2, -1):
        generator.stages[0][layer][0].register_forward_hook(lambda _, into, out: seen.append((into[0], out)))
    noise = torch.full((1, 5, 4, 4), 0.7, dtype=torch.float64)
    latent.coarse(generator, x, noise)
    (_, had), (into, _) = seen
    torch.testing.assert_close(had, mean)
    torch.testing.assert_close(into, generator.stages[0][-2][1:](mean + 0.7))


def test_samples_have_no_noise(files):
    state = begun(files, share="latent", niter=(1,), train_stages=1)
    train(state, Monitor(display="quiet"))
    x = torch.rand(1, 3, 30, 20) * 2 - 1
    first = state.model.transform(x, seed=0)
    assert torch.equal(first, state.model.transform(x, seed=1))
    assert torch.equal(state.model.reconstruct(), state.model.reconstruct())


# ---- whole iterations


def parameters(models):
    """By generator its parameters by name, as leaves of a second writing; what is one tensor is one leaf."""
    leaves, found = {}, []
    for model in models:
        own = {}
        for name, p in model.generator.named_parameters():
            own[name] = leaves.setdefault(id(p), p.detach().clone().requires_grad_())
        found.append(own)
    return found


def convolved(x, p, name, pad=0):
    return F.conv2d(x, p[f"{name}.weight"], p[f"{name}.bias"], padding=pad)


def stage0(p, x, noise):
    """Features of stage 0 by three layers of 3x3, and what its second convolution gives."""
    x = F.pad(F.leaky_relu(convolved(x, p, "head.0", 1), 0.05), [3] * 4)
    x = F.leaky_relu(convolved(x, p, "stages.0.0.0"), 0.05)
    mean = convolved(x, p, "stages.0.1.0")
    noisy = mean if noise is None else mean + over(noise, mean)
    return F.leaky_relu(convolved(F.leaky_relu(noisy, 0.05), p, "stages.0.2.0"), 0.05), mean


def over(noise, x):
    """Noise as large as a map, by indices."""
    rows, columns = (torch.arange(n) % m for n, m in zip(x.shape[2:], noise.shape[1:], strict=True))
    return noise[None][:, :, rows][:, :, :, columns]


def decoded(p, features, seen, sizes):
    """What later stages and the tail make of features of stage 0; they see a picture at each stage's size."""
    for stage, size in enumerate(sizes[1:], 1):
        up = F.interpolate(features, size=size, mode="bicubic", align_corners=True)
        x = seen[stage]
        x = x.repeat(1, 2, 1, 1)[:, : up.shape[1]]
        x = F.pad(up + x, [3] * 4)
        for layer in range(3):
            x = F.leaky_relu(convolved(x, p, f"stages.{stage}.{layer}.0"), 0.05)
        features = up + x
    return torch.tanh(convolved(features, p, "tail", 1))


def at_sizes(x, sizes):
    """A picture at each size."""
    return [
        x
        if tuple(x.shape[2:]) == tuple(size)
        else F.interpolate(x, size=size, mode="bicubic", antialias=True).clamp(-1, 1)
        for size in sizes
    ]


def sizes_like(model, x):
    """A model's sizes of stages for a picture."""
    scales = [n / m for n, m in zip(x.shape[2:], model.sizes[model.stages - 1], strict=True)]
    return [*(tuple(round(n * s) for n, s in zip(size, scales, strict=True)) for size in model.sizes[: model.stages])]


def windows(x, side, step):
    """The pixels of each window of a side, ``[side * side, N]``, and which of them there are."""
    pad = 3 if step == 1 else 0
    more = [(-n % step) for n in x.shape[2:]]
    both = (F.pad(y, [pad, pad + more[1], pad, pad + more[0]]) for y in (x, torch.ones_like(x)))
    return [F.unfold(y, side, stride=step)[0] for y in both]


def halved(x):
    """Means of squares of 2x2 pixels of a picture's brightness, of what there is of them."""
    values, there = windows(x.mean(1, keepdim=True), 2, 2)
    return (values.sum(0) / there.sum(0)).view(1, 1, *(-(-n // 2) for n in x.shape[2:]))


def likeness(a, b):
    """The mean correlation of brightness in windows of 7x7 pixels, in which faint differences count little."""
    (a, there), (b, _) = (windows(x.mean(1, keepdim=True), 7, 1) for x in (a, b))
    share = there / there.sum(0)
    a, b = (x - (share * x).sum(0) for x in (a, b))
    covariance, of_a, of_b = ((share * x * y).sum(0) + 0.003 for x, y in ((a, b), (a, a), (b, b)))
    return (covariance / (of_a * of_b).sqrt()).mean()


def second_writing(state, drawn):
    """Losses of the generators of one iteration by name, and the leaves of their parameters.

    The critics are as they are now; what the generators make is written out.
    """
    branches, models = state.branches, [b.model for b in state.branches]
    leaves, wanted, stage = parameters(models), models[0].settings.translation, state.stage
    coded = wanted.share == "latent"
    names = ("cycle", "identity", "structure", "total_variation", *(("latent_kl", "autoencoder") * coded))
    losses = dict.fromkeys(names, 0.0)
    for number, (branch, each) in enumerate(zip(branches, drawn, strict=True)):
        other = 1 - number
        mine, theirs = leaves[number], leaves[other]
        sizes, real = branch.model.sizes[: stage + 1], branch.reals[stage]
        noise = each.generator[latent.NOISE] if coded else [None] * 3
        back_noise = drawn[other].generator[latent.NOISE] if coded else [None] * 3
        seen = at_sizes(each.seen, sizes)
        code, mean = stage0(mine, seen[0], noise[0])
        fake = decoded(mine, code, seen, sizes)
        own = decoded(mine, stage0(mine, branch.reals[0], noise[1])[0], branch.reals, sizes)
        way = sizes_like(models[other], fake)
        shrunk = at_sizes(fake, way)
        returning, again = stage0(theirs, shrunk[0], back_noise[2])
        returned = decoded(theirs, returning, shrunk, way)
        critic = branch.critic(fake)
        prefix = f"{branch.name}." if branch.name else ""
        losses[f"{prefix}adversarial"] = 0.5 * (critic - 1).square().mean()
        losses[f"{prefix}reconstruction"] = 0.7 * (own - real).square().mean()
        apart = returned - each.seen
        losses["cycle"] += 3 * (apart.square().mean() if wanted.cycle_norm == "l2" else apart.abs().mean())
        losses["identity"] += 2 * (own - real).abs().mean()
        losses["structure"] += 0.6 * (2 - likeness(each.seen, fake) - likeness(halved(each.seen), halved(fake)))
        rough = (fake[:, :, 1:] - fake[:, :, :-1]).abs().mean() + (fake[..., 1:] - fake[..., :-1]).abs().mean()
        losses["total_variation"] += 0.3 * rough
        if coded:
            losses["latent_kl"] += 0.4 * (mean.square().mean() + again.square().mean())
            crossed = decoded(theirs, code, seen, [sizes[0], *sizes_like(models[other], fake)[1:]])
            losses["autoencoder"] += 5 * (crossed - each.seen).abs().mean()
    return losses, leaves


def in_float64(state):
    """Take the stage in progress to double precision."""
    for branch in state.branches:
        model, stages = branch.model, range(branch.model.stages)
        model.generator.double()
        branch.critic.double()
        whole = [model.anchors[i](Window.whole(model.sizes[i])).double() for i in stages]
        model.anchors = [as_source(anchor) for anchor in whole]
        branch.reals = [real.double() for real in branch.reals]
    state.step = Step(state.branches, state.lesson.terms())
    return state.step


WEIGHTS = {
    "cycle": 3.0,
    "identity": 2.0,
    "structure": 1.2,
    "total_variation": 0.3,
    "alpha": 0.7,
    "history": 0,
    "nfc": 5,
}
COUPLED = [{"share": "none"}, {"share": "none", "cycle_norm": "l2"}, {"share": "layers"}]
COUPLED.append({"share": "latent", "latent_kl": 0.4, "autoencoder": 5.0})


@pytest.mark.parametrize("changes", COUPLED, ids=lambda each: "-".join(map(str, each.values())))
def test_an_iteration_is_that_of_a_second_writing(files, changes):
    """Every loss of the generators and the gradient of every parameter, of the newest stage and of coarser ones."""
    state = begun(files, **WEIGHTS, **changes)
    for stage in range(2):
        state.enter_stage()
        step = in_float64(state)
        drawn = [each.each(torch.Tensor.double) for each in state.draw(1)]
        kept = {id(p): p.detach().clone() for b in state.branches for p in b.model.generator.parameters()}
        told = step(*drawn)
        moved = {id(p): p for b in state.branches for p in b.model.generator.parameters()}
        for number, p in moved.items():  # the critics have learned; the generators as they were
            p.data, kept[number] = kept[number], p.data
        losses, leaves = second_writing(state, drawn)
        sum(losses.values()).backward()
        assert {name: told[name].item() for name in losses} == pytest.approx(
            {name: value.item() for name, value in losses.items()}, rel=1e-10
        )
        assert told.keys() - losses.keys() == {f"{b}critic_{x}" for b in ("", "target.") for x in ("real", "fake")}
        for branch, own in zip(state.branches, leaves, strict=True):
            for name, p in branch.model.generator.named_parameters():
                assert not torch.equal(p, kept[id(p)])
                torch.testing.assert_close(p.grad, own[name].grad, rtol=1e-8, atol=1e-12, msg=f"{stage} {name}")
        state.leave_stage()


def test_a_window_is_a_part_of_the_whole(files):
    """What is made with a latent on a window is that part of what is made of the whole, with the same noise."""
    state = begun(files, share="latent")
    for _ in range(2):
        state.enter_stage()
        drawn = state.draw(1)
        for branch, each in zip(state.branches, drawn, strict=True):
            learner, sizes = Learner(branch, torch.no_grad()), branch.model.sizes[: state.stage + 1]
            window = Window((3, 15), (5, 19))
            parts = branch.model.generator.parts(sizes, window)
            part = replace(each, inputs=[p.noise.cut(x) for p, x in zip(parts, each.inputs, strict=True)])
            whole, some = learner.make(each), learner.make(replace(part, window=window))
            torch.testing.assert_close(some.fake, window.cut(whole.fake))
            torch.testing.assert_close(some.reconstruction, window.cut(whole.reconstruction))
        state.leave_stage()


# ---- trained, stopped, resumed


def is_shared(models):
    """Whether the last two layers of stage 0 are the very same, and no others."""
    first, other = (dict(model.generator.named_parameters(remove_duplicate=False)) for model in models)
    same = {name for name, p in first.items() if p is other[name]}
    return same == {f"stages.0.{layer}.0.{part}" for layer in (1, 2) for part in ("weight", "bias")}


@pytest.mark.parametrize("changes", [{}, {"train_depth": 1, "guide_noise": 0.2, "objective": "ebgan"}])
def test_one_latent_stays_the_same_tensors_and_goes_on_to_the_bit(files, tmp_path, changes):
    changes = {"share": "latent", **changes}
    through = begun(files, **changes)
    assert is_shared(both_of(through)[0])
    before = through.model.generator.stages[0][1][0].weight.clone()
    train(through, Monitor(display="quiet"))
    assert is_shared(both_of(through)[0])
    assert not torch.equal(through.model.generator.stages[0][1][0].weight, before)
    assert not {id(p) for p in through.branches[0].critic.parameters()} & {
        id(p) for p in through.branches[1].critic.parameters()
    }
    run = Run.create(tmp_path, "first", "test")
    stopped_at(begun(files, **changes), run, 6)
    resumed = resume(run, "cpu", pytest.fail)
    assert is_shared(both_of(resumed)[0])
    train(resumed, Monitor(display="quiet"), run)
    assert same_tensors(everything(resumed), everything(through))
    models = models_of(Material.of(SingleImageModel.load(run.folder), run))
    assert is_shared(list(models.values()))
    assert same_tensors(models["target"].tensors(), through.branches[1].model.tensors())
    one, two = (consingan.sample(run.folder, "translate", finish="none") for _ in range(2))
    assert all(torch.equal(a.frames[0], b.frames[0]) for a, b in zip(one, two, strict=True))


# ---- the cycle that begins lower


def test_the_cycle_begins_with_its_first_weight(files, tmp_path):
    """In a quarter of 4 + 6 iterations, which are three; in a training that was stopped among them as well."""
    changes = {"niter": (4, 6), "cycle": 8.0, "cycle_start": 0.5, "cycle_from": 0.25, "identity": 0.0}
    state, plain = begun(files, **changes), begun(files, **{**changes, "cycle_from": 0.0})
    found = []
    for length in (4, 6):
        state.enter_stage()
        for state.iteration in range(length):
            found.append(state.draw(1)[0].generator["cycle"].item())
        state.leave_stage()
    assert found == [0.5] * 3 + [8.0] * 7
    state = begun(files, **changes)
    step, other = state.enter_stage(), plain.enter_stage()
    told, full = step(*state.draw(1)), other(*plain.draw(1))
    assert told["cycle"].item() == pytest.approx(full["cycle"].item() / 16, rel=1e-6)
    through = begun(files, **changes)
    train(through, Monitor(display="quiet"))
    run = Run.create(tmp_path, "first", "test")
    stopped_at(begun(files, **changes), run, 2)
    resumed = resume(run, "cpu", pytest.fail)
    train(resumed, Monitor(display="quiet"), run)
    assert same_tensors(everything(resumed), everything(through))
    assert progress(through.model.settings, 2, 1, 3) == 0.7


def test_discogans_recipe_begins_lower():
    recipe = TASKS["translation"].recipes["paper-discogan"]
    assert (recipe["cycle_start"], recipe["cycle"]) == (0.01, 1.0)
    assert 0 < recipe["cycle_from"] < 1
    others = (name for name in TASKS["translation"].recipes if name != "paper-discogan")
    assert not any("cycle_from" in TASKS["translation"].recipes[name] for name in others)


# ---- what is refused


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"share": "latent", "num_layer": 1},
            "--share latent needs two layers to share, and --num_layer is 1; raise it",
        ),
        ({"latent_kl": 0.5}, "--latent_kl 0.5 is for --share latent, and this is --share none; leave it out"),
        ({"share": "layers", "autoencoder": 2.0}, "--autoencoder 2 is for --share latent, and this is --share layers"),
        ({"cycle_start": 0.1}, "--cycle_start 0.1 holds until --cycle_from, which is 0; give --cycle_from as well"),
    ],
)
def test_what_makes_no_sense_is_refused(changes, words):
    settings = config.resolve("translation", "first.png", ("test", {"target_name": "second.png", **changes}))[0]
    with pytest.raises(UserError, match=words):
        check_settings(settings, changes)
    sound = {"share": "latent", "latent_kl": 0.5, "cycle_start": 0.1, "cycle_from": 0.5, "target_name": "second.png"}
    check_settings(config.resolve("translation", "first.png", ("test", sound))[0], sound)


def test_another_task_has_no_latent():
    settings = config.resolve("generation", "first.png", ("test", {"share": "latent"}))[0]
    with pytest.raises(UserError, match="--share latent does not go with --train_mode generation; it is for translat"):
        check_settings(settings, {"share"})
