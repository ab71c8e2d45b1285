"""Two pictures: the losses by a second writing, the history's rule, what is kept, resumed, translated and refused."""

import itertools
import json
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from conftest import stripes
from PIL import Image
from test_training import same_tensors

import consingan
from consingan import config
from consingan.applications import APPLICATIONS
from consingan.applications.base import Material, chosen, quiet
from consingan.applications.translate import models_of
from consingan.command.cli import main
from consingan.command.cli import sample as sample_command
from consingan.command.cli import train as train_command
from consingan.errors import UserError
from consingan.finish.manner import THROUGH, in_manner, toward_palette
from consingan.finish.photo import Photo, stored
from consingan.gan import guides
from consingan.gan.history import History
from consingan.gan.model import SingleImageModel
from consingan.grid.noise import Draw
from consingan.pictures import images
from consingan.pictures.structure import differences
from consingan.storage import results
from consingan.storage.files import load_tensors, save_tensors
from consingan.storage.results import Role
from consingan.storage.run import Run
from consingan.tasks import TASKS
from consingan.tasks.terms import Made
from consingan.tasks.translation import cut_to, cycle, identity, structure, total_variation
from consingan.training.estimate import work
from consingan.training.loop import resume, train, write_start
from consingan.training.signals import StoppedError
from consingan.training.state import Training
from consingan.watch.monitor import Monitor

SMALL = {"train_stages": 2, "min_size": 20, "max_size": 34, "nfc": 4, "niter": (4,), "history": 2, "identity": 5.0}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Two pictures of different shapes: stripes of 64x48 px, and others of 40x52 px."""
    folder = tmp_path_factory.mktemp("pair")
    first, second = folder / "first.png", folder / "second.png"
    Image.fromarray(stripes()).save(first)
    Image.fromarray(255 - stripes(52, 40)[:, :, [2, 0, 1]]).save(second)
    return first, second


def begun(files, **changes):
    """A small translation at its beginning."""
    recipe = TASKS["translation"].recipes["fast"]
    given = {**recipe, **SMALL, "lr_g": 5e-4, "lr_d": 5e-4, "target_name": str(files[1]), **changes}
    settings = config.resolve("translation", "first.png", ("test", given))[0]
    return Training.start(settings, images.load(files[0]).pixels, files={files[1].name: str(files[1])})


def everything(state):
    """All that a training has learned and remembers."""
    return {name: value for branch in state.branches for name, value in branch.learned().items()}


# ---- the losses


def picture(seed, height=12, width=10):
    """Random colours in float64."""
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2 - 1


def made(**changes):
    """What two branches of different sizes made, with ways back that are a number times."""
    first = Made(picture(1), picture(2), picture(3), None, None, picture(4), lambda x: 0.5 * x)
    second = Made(*(picture(n, 9, 14) for n in (5, 6, 7)), None, None, picture(8, 9, 14), lambda x: -0.25 * x)
    return {"": replace(first, **changes), "target": replace(second, **changes)}


def test_the_losses_are_those_of_a_second_writing():
    both = made()
    one, two = ({name: np.asarray(getattr(m, name)) for name in ("real", "fake", "seen")} for m in both.values())
    there = np.abs(-0.25 * one["fake"] - one["seen"]).sum() / one["seen"].size
    back = np.abs(0.5 * two["fake"] - two["seen"]).sum() / two["seen"].size
    assert cycle(both, "l1").item() == pytest.approx(there + back, rel=1e-12)
    squares = ((-0.25 * one["fake"] - one["seen"]) ** 2).mean() + ((0.5 * two["fake"] - two["seen"]) ** 2).mean()
    assert cycle(both, "l2").item() == pytest.approx(squares, rel=1e-12)
    same = sum(np.abs(np.asarray(m.reconstruction) - np.asarray(m.real)).mean() for m in both.values())
    assert identity(both).item() == pytest.approx(same, rel=1e-6)  # reconstructions of bf16 are widened to float32
    rough = sum(np.abs(np.diff(x["fake"], axis=a)).mean() for x in (one, two) for a in (2, 3))
    assert total_variation(both).item() == pytest.approx(rough, rel=1e-6)
    lost = sum(differences(m.seen, m.fake, (1, 2)).item() for m in both.values())  # see test_structure.py
    assert structure(both).item() == pytest.approx(lost, rel=1e-12)
    narrow = {name: replace(m, fake=m.fake.bfloat16(), seen=m.seen.bfloat16()) for name, m in both.items()}
    assert structure(narrow).dtype == torch.float32
    assert structure(narrow).item() == pytest.approx(lost, rel=0.02)


def test_identity_networks_lose_nothing():
    """Fakes are what was seen, reconstructions the picture, and the ways back change nothing."""
    both = made(passed=lambda x: x)
    for name, m in both.items():
        both[name] = replace(m, fake=m.seen, reconstruction=m.real.float(), real=m.real.float())
    assert cycle(both, "l1").item() == cycle(both, "l2").item() == identity(both).item() == 0
    assert structure(both).item() == pytest.approx(0, abs=1e-12)
    flat = {name: replace(m, fake=torch.full_like(m.fake, 0.3)) for name, m in both.items()}
    assert total_variation(flat).item() == 0 < total_variation(both).item()


def test_the_losses_of_an_iteration_are_those_of_its_networks(files):
    """Of one whole iteration, computed again from the drawn inputs by the generator alone."""
    state = begun(files, total_variation=0.1, guide_noise=0.2)
    step = state.enter_stage()
    drawn = state.draw(1)
    first, second = (branch.model for branch in state.branches)
    fakes = [b.model.generator(d.inputs, [1.0], b.model.sizes[:1]) for b, d in zip(state.branches, drawn, strict=True)]
    seen = [d.seen for d in drawn]
    backs = [
        m.generator([fake], [1.0], [tuple(fake.shape[2:])]) for m, fake in zip((second, first), fakes, strict=True)
    ]
    cycles = [(back - x).abs().mean().item() for back, x in zip(backs, seen, strict=True)]
    owns = [
        (m.reconstruct() - b.reals[0]).abs().mean().item() for m, b in zip((first, second), state.branches, strict=True)
    ]
    losses = step(*drawn)
    assert losses["cycle"].item() == pytest.approx(10 * sum(cycles), rel=1e-5)
    assert losses["identity"].item() == pytest.approx(5 * sum(owns), rel=1e-5)
    assert losses["reconstruction"].item() == losses["target.reconstruction"].item() == 0
    assert losses["total_variation"].item() > 0
    lost = [differences(x, fake, (1, 2)).item() for x, fake in zip(seen, fakes, strict=True)]
    assert losses["structure"].item() == pytest.approx(
        TASKS["translation"].recipes["fast"]["structure"] * sum(lost), rel=1e-4
    )
    bare = begun(files, cycle=0.0, identity=0.0, structure=0.0)
    assert not {"cycle", "identity", "structure", "total_variation"} & bare.enter_stage()(*bare.draw(1)).keys()


# ---- what the generators see


def test_a_generator_sees_the_others_picture_at_every_stage(files):
    state = begun(files, guide_noise=0.0)
    for stage in range(2):
        state.enter_stage()
        drawn = state.draw(1)
        for branch, each in zip(state.branches, drawn, strict=True):
            assert tuple(each.seen.shape[2:]) == branch.model.sizes[stage] == tuple(branch.reals[stage].shape[2:])
            assert branch.model.amplitudes == [1.0] * (stage + 1)
            for number, x in enumerate(each.inputs):
                wanted = guides.lifted(images_at(each.seen, branch.model.sizes[number]), x.shape[1])
                torch.testing.assert_close(x, wanted)
            assert each.inputs[-1].shape[1] == (branch.model.generator.width if stage else 3)
            torch.testing.assert_close(branch.model.anchors[stage](whole_of(each.inputs[-1])), own_input(branch, stage))
        state.leave_stage()


def images_at(x, size):
    """A picture at a size."""
    from consingan.grid.resize import resize

    return x if tuple(x.shape[2:]) == tuple(size) else resize(x, size).clamp(-1, 1)


def whole_of(x):
    """All of an input."""
    from consingan.grid.windows import Window

    return Window.whole(tuple(x.shape[2:]))


def own_input(branch, stage):
    """What the reconstruction gets at a stage."""
    real = branch.reals[stage]
    return guides.lifted(real, branch.model.generator.width) if stage else real


def test_the_cut_has_the_shape_and_lies_anywhere():
    x = torch.arange(12.0 * 20).view(1, 1, 12, 20)
    assert cut_to(x, (6, 10), (0.9, 0.9)).shape == (1, 1, 12, 20)
    for where, left in ((0.0, 0), (0.5, 4), (0.999, 8)):
        part = cut_to(x, (8, 8), (where, where))
        assert torch.equal(part, x[:, :, :, left : left + 12]), where
    assert cut_to(x, (4, 40), (0.999, 0.5)).shape == (1, 1, 2, 20)


def test_where_the_cut_lies_follows_from_its_own_place_in_the_training(files):
    """Nothing else that is drawn in an iteration moves it; so a run goes on with the cuts that it would have had."""
    state = begun(files, guide_noise=0.0)
    for stage in range(2):
        state.enter_stage()
        for state.iteration in (0, 3):
            for branch, other, drawn in zip(state.branches, state.branches[::-1], state.draw(1), strict=True):
                own = ("branch", branch.name) if branch.name else ()
                address = ("train", stage, state.iteration, *own, "seen", "cut")
                where = Draw(state.model.settings.runtime.seed, address).numbers(2)
                size = branch.model.sizes[stage]
                wanted = images_at(cut_to(other.reals[stage], size, where), size)
                assert torch.equal(drawn.seen, wanted), address
        state.leave_stage()


def test_features_are_channels_again_and_again():
    x = picture(0)
    assert torch.equal(guides.lifted(x, 7), x[:, [0, 1, 2, 0, 1, 2, 0]])
    assert torch.equal(guides.lifted(x[:, :1], 4), x[:, [0, 0, 0, 0]])


# ---- the history


def test_the_history_follows_its_rule():
    """Against a trace made by hand: two are kept; then numbers below a half show a kept one and keep the new one."""
    history = History(2)
    state = history.begin((1, 1, 1, 1), "cpu")
    trace = [
        (1.0, (0.1, 0.9), 1.0, [1.0, 0.0]),  # filling
        (2.0, (0.1, 0.1), 2.0, [1.0, 2.0]),
        (3.0, (0.4, 0.6), 2.0, [1.0, 3.0]),  # the second is shown, the new one takes its place
        (4.0, (0.5, 0.6), 4.0, [1.0, 3.0]),  # the new one is shown, and not kept
        (5.0, (0.0, 0.49), 1.0, [5.0, 3.0]),
        (6.0, (0.49, 0.99), 3.0, [5.0, 6.0]),
    ]
    for fake, numbers, shown, kept in trace:
        drawn = {"history": torch.tensor(numbers)}
        assert history.shown(torch.full((1, 1, 1, 1), fake), drawn, state).item() == shown
        assert state["fakes"].flatten().tolist() == kept
        again = history.shown(torch.full((1, 1, 1, 1), 9.0), {}, state)  # a later step of the critic
        assert again.item() == shown
        assert state["fakes"].flatten().tolist() == kept
    assert history.draw(Draw(0), 1) == history.draw(Draw(0), None) == {}
    numbers = [history.draw(Draw(0, ("train", n)), 0)["history"] for n in range(200)]
    assert 0.4 < (torch.stack(numbers)[:, 0] < 0.5).float().mean() < 0.6


def test_the_critic_is_shown_the_history_and_the_generator_the_new_fake(files):
    state = begun(files, history=1)
    step = state.enter_stage()
    for _ in range(3):
        drawn = state.draw(1)
        step(*drawn)
        state.iteration += 1
    for branch in state.branches:
        assert branch.state["fakes"].shape == (1, 3, *branch.model.sizes[0])
        assert branch.state["fakes_count"].item() == 1
        assert branch.state["fakes"].abs().sum() > 0
    state.leave_stage()
    state.enter_stage()
    for branch in state.branches:  # a stage begins with none
        assert branch.state["fakes"].shape == (1, 3, *branch.model.sizes[1])
        assert branch.state["fakes_count"].item() == branch.state["fakes"].abs().sum() == 0


# ---- trained, stopped, resumed


def stopped_at(state, run, iteration):
    """Train a run until it is stopped."""
    write_start(state, run)
    calls = itertools.count(1)
    with pytest.raises(StoppedError):
        train(state, Monitor(display="quiet"), run, stop=lambda: next(calls) == iteration)


@pytest.mark.parametrize("changes", [{}, {"guide_noise": 0.3, "objective": "wgan-gp", "Dsteps": 2, "history": 3}])
def test_it_is_stopped_and_goes_on_to_the_bit_with_its_history(files, tmp_path, changes):
    through = begun(files, **changes)
    train(through, Monitor(display="quiet"))
    wanted = everything(through)
    assert all(value.isfinite().all() for value in wanted.values())
    assert {"fakes", "fakes_count", "fakes_shown"} <= through.branches[0].state.keys()
    run = Run.create(tmp_path, "first", "test")
    stopped_at(begun(files, **changes), run, 7)  # in the second stage, where the history is full
    resumed = resume(run, "cpu", pytest.fail)
    assert (resumed.stage, resumed.iteration) == (1, 3)
    assert all(branch.state["fakes"].abs().sum() > 0 for branch in resumed.branches)
    train(resumed, Monitor(display="quiet"), run)
    assert same_tensors(everything(resumed), wanted)
    for branch in resumed.branches:
        loaded = SingleImageModel.load(run.model_of(branch.name))
        assert same_tensors(loaded.tensors(), branch.model.tensors())
        torch.testing.assert_close(loaded.reconstruct(), branch.model.reconstruct())


def without(values, name):
    """JSON values without a key, at any depth; and how often it was there."""
    found = [name in values] if isinstance(values, dict) else []
    if isinstance(values, dict):
        values.pop(name, None)
    for each in values.values() if isinstance(values, dict) else values if isinstance(values, list) else ():
        found += [without(each, name)]
    return sum(found)


def test_a_run_of_before_structure_was_kept_goes_on_to_the_bit(files, tmp_path):
    """Its files do not name the setting; it goes on without the loss, and its models load."""
    through = begun(files, structure=0.0)
    train(through, Monitor(display="quiet"))
    run = Run.create(tmp_path, "first", "test")
    stopped_at(begun(files, structure=0.0), run, 6)
    older = []
    for file in run.folder.rglob("*.safetensors"):
        tensors, header = load_tensors(file)
        older.append(without(header, "structure"))
        save_tensors(file, tensors, header)
    values = json.loads(run.config.read_text())
    older.append(without(values, "structure"))
    run.config.write_text(json.dumps(values))
    assert len(older) > 1
    assert any(older[:-1])
    assert older[-1] == 1
    resumed = resume(run, "cpu", pytest.fail)
    assert resumed.model.settings.translation.structure == 0
    train(resumed, Monitor(display="quiet"), run)
    assert same_tensors(everything(resumed), everything(through))
    assert SingleImageModel.load(run.folder).settings.translation.structure == 0


def test_papers_recipes_do_not_keep_structure_and_ours_do():
    recipes = TASKS["translation"].recipes
    assert {name for name, recipe in recipes.items() if recipe.get("structure", 0.0)} == {"fast", "quick", "best"}


def shares(models, critics=()):
    """Whether generators have one head and one stage 0 and other tails, and critics one tail and other first layers."""
    first, other = (model.generator for model in models)
    same = first.head[0].weight is other.head[0].weight and first.stages[0][0][0].weight is other.stages[0][0][0].weight
    apart = first.tail.weight is not other.tail.weight
    apart &= len(first.stages) == 1 or first.stages[1][0][0].weight is not other.stages[1][0][0].weight
    for one, two in (critics,) if critics else ():
        same &= one.tail.weight is two.tail.weight and one.blocks[-1][0].weight is two.blocks[-1][0].weight
        apart &= one.blocks[0][0].weight is not two.blocks[0][0].weight
    return same and apart


def both_of(state):
    """Models and critics of a training."""
    return [b.model for b in state.branches], [b.critic for b in state.branches]


def test_shared_layers_stay_the_same_tensors(files, tmp_path):
    """In the training, in one that is gone on with, to the bit, and in the models that are read from its folder."""
    changes = {"share": "layers", "lr_scale": 0.5}
    through = begun(files, **changes)
    assert shares(*both_of(through))
    before = through.model.generator.head[0].weight.clone()
    train(through, Monitor(display="quiet"))
    assert shares(*both_of(through))
    assert not torch.equal(through.model.generator.head[0].weight, before)
    run = Run.create(tmp_path, "first", "test")
    stopped_at(begun(files, **changes), run, 6)
    resumed = resume(run, "cpu", pytest.fail)
    assert shares(*both_of(resumed))
    step = resumed.enter_stage()
    held = [{id(p) for g in learner.generator_optimiser.param_groups for p in g["params"]} for learner in step.learners]
    assert not held[0] & held[1]
    train(resumed, Monitor(display="quiet"), run)
    assert same_tensors(everything(resumed), everything(through))
    models = models_of(Material.of(SingleImageModel.load(run.folder), run))
    assert shares(list(models.values()))
    assert same_tensors(models["target"].tensors(), through.branches[1].model.tensors())
    with pytest.raises(UserError, match="--share layers is for a critic that scores patches"):
        begun(files, objective="ebgan", **changes)
    assert not shares(*both_of(begun(files)))


def test_two_branches_cost_what_both_do(files):
    state = begun(files)
    areas = [h * w for (h, w), *_ in (branch.model.sizes for branch in state.branches)]
    assert work(state, 0) == sum(areas) * (6 + 6 + 3)


def test_a_pair_of_equal_pictures_stays_as_it_is(files, tmp_path):
    """What comes out is what went in, as well as so short a training learns it: 0.16 here, 0.46 without identity."""
    twin = tmp_path / "twin.png"
    Image.open(files[0]).resize((32, 24)).save(twin)
    weight = TASKS["translation"].recipes["fast"]["identity"]
    state = begun((twin, twin), identity=weight, niter=(400,), nfc=16, lr_g=4e-3, lr_d=4e-3, train_stages=1)
    train(state, Monitor(display="quiet"))
    for branch in state.branches:
        real = branch.reals[-1]
        assert (branch.model.transform(real) - real).abs().mean() < 0.3 * (real - real.mean()).abs().mean()


# ---- one line each


def refused(files, *flags, mode="translation"):
    """The one line of a training that is refused, and that nothing was written."""
    with TemporaryDirectory() as folder:
        runs = Path(folder, "runs")
        command = [
            str(files[0]),
            "--train_mode",
            mode,
            *map(str, flags),
            "--outdir",
            str(runs),
            "--not_cuda",
            "--quiet",
        ]
        result = CliRunner().invoke(train_command, command)
        assert result.exit_code == 2, result.output
        assert not runs.exists()
    (line,) = result.stderr.strip().splitlines()
    return line


def test_what_cannot_be_translated_is_refused_in_a_line(files, tmp_path):
    grey, tiny = tmp_path / "grey.png", tmp_path / "tiny.png"
    Image.open(files[1]).convert("L").save(grey)
    Image.open(files[1]).resize((9, 9)).save(tiny)
    second = files[1]
    assert "--train_mode translation needs a second picture" in refused(files)
    assert "There is no picture at nowhere.png; check the path behind --target_name" in refused(
        files, "--target_name", "nowhere.png"
    )
    assert "itself; name another one" in refused(files, "--target_name", files[0])
    assert "first.png is in colour, but --target_name" in refused(files, "--target_name", grey)
    assert "second.png is in colour" in refused((grey, second), "--target_name", second)
    assert "does not go with --train_mode generation; it is for translation" in refused(
        files, "--target_name", second, mode="generation"
    )
    assert "--cycle 3.0 does not go with --train_mode generation" in refused(files, "--cycle", 3, mode="generation")
    assert f"{tiny}: " in refused(files, "--target_name", tiny)
    assert "is a folder" in refused(files, "--target_name", tmp_path)
    assert "--window 32 does not go with --history 50" in refused(files, "--target_name", second, "--window", 32)


# ---- translated


@pytest.fixture(scope="module")
def run(files, tmp_path_factory):
    """The folder of a finished run; tests must not change it."""
    outdir = tmp_path_factory.mktemp("runs")
    flags = [f for name, value in SMALL.items() for f in (f"--{name}", str(value).strip("(,)"))]
    command = [str(files[0]), "--target_name", str(files[1]), "--train_mode", "translation", *flags]
    command += ["--guide_noise", "0.2", "--outdir", str(outdir), "--not_cuda", "--quiet"]
    result = CliRunner().invoke(train_command, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return Run.open(result.stdout.strip())


def test_a_run_has_two_models_previews_and_a_report(run):
    assert {"model.safetensors", "model_target.safetensors", "picture.png", "picture_target.png"} <= {
        file.name for file in run.folder.iterdir()
    }
    roles = [each.role for each in results.kept(run.samples / "stage_1")]
    assert roles.count(Role.TRANSLATED) == roles.count(Role.BACK) == 2
    assert Role.VIEW in roles
    page = run.report.read_text()
    assert "second.png" in page
    assert "in the manner of the other picture" in page
    assert json.loads(run.config.read_text())["translation"]["target_name"] == "second.png"


def translated(model_or_run, **options):
    """Results of the application by name."""
    return {result.name: result for result in consingan.sample(model_or_run, "translate", **options)}


def test_both_ways_and_back_and_another_picture(files, run, tmp_path):
    made = translated(run.folder)
    assert list(made) == [
        "first_as_second",
        "first_as_second_and_back",
        "second_as_first",
        "second_as_first_and_back",
        "view",
    ]
    assert made["first_as_second"].frames[0].shape[2:] == (48, 64)  # each of its own size
    assert made["second_as_first"].frames[0].shape[2:] == (52, 40)
    (only,) = [name for name in translated(run.folder, direction="back") if name.endswith("first")]
    assert torch.equal(translated(run.folder, direction="back")[only].frames[0], made[only].frames[0])
    other = tmp_path / "other.jpg"
    Image.fromarray(stripes(70, 90)).save(other)
    made = translated(run.folder, input_name=str(other))
    assert list(made) == ["other_as_second", "other_as_second_and_back", "view"]
    assert made["other_as_second"].frames[0].shape[2:] == (70, 90)
    assert max(translated(run.folder, longest=32)["first_as_second"].frames[0].shape[2:]) == 32


def test_how_far_is_chosen(run):
    whole = translated(run.folder, direction="forward")["first_as_second"].frames[0]
    source = SingleImageModel.load(run.folder).photo.picture
    named = {0.0: "_strength_0", 0.5: "_strength_0.5"}
    for strength, suffix in named.items():
        made = translated(run.folder, direction="forward", strength=strength)[f"first_as_second{suffix}"].frames[0]
        torch.testing.assert_close(made, source.lerp(whole, strength))
    plain = {"direction": "forward", "finish": "none"}
    first = translated(run.folder, **plain)["first_as_second_finish_none"].frames[0]
    later = translated(run.folder, start_stage=1, **plain)["first_as_second_start_1_finish_none"].frames[0]
    assert not torch.equal(later, first)
    with pytest.raises(UserError, match="--start_stage is 2, but this model has stages 0 to 1"):
        translated(run.folder, start_stage=2)


def test_several_noises_give_several_translations(run):
    made = translated(run.folder, direction="forward", num_samples=3, finish="none")
    frames = [made[f"first_as_second_finish_none_seed_{seed}"].frames[0] for seed in range(3)]
    assert not torch.equal(frames[0], frames[1])
    assert not torch.equal(frames[1], frames[2])
    again = translated(run.folder, direction="forward", num_samples=1, seed=2, finish="none")
    assert torch.equal(again["first_as_second_finish_none_seed_2"].frames[0], frames[2])


def test_the_command_writes_them_with_their_roles(run, tmp_path):
    out = tmp_path / "out"
    command = [str(run.folder), "--out", str(out), "--not_cuda", "--quiet"]
    result = CliRunner().invoke(sample_command, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert sorted(str(each.role) for each in results.kept(out)) == ["back", "back", "translated", "translated", "view"]
    single = tmp_path / "one.png"
    command = [str(run.folder), "--out", str(single), "--direction", "back", "--not_cuda", "--quiet"]
    result = CliRunner().invoke(sample_command, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert Image.open(single).size == (40, 52)


def test_the_python_api_translates_a_model_without_a_folder(files):
    recipe = {**SMALL, "niter": (1,), "display": "quiet"}
    model = consingan.train(files[0], mode="translation", target_name=files[1], **recipe)
    assert model.others.keys() == {"target"}
    assert len(consingan.sample(model)) == 5


def test_what_needs_noise_or_both_models_says_so(run, trained_run):
    model = SingleImageModel.load(run.folder)
    for name in ("samples", "walk"):
        assert "take pictures; leave the flag out" in APPLICATIONS[name].unfit(Material.of(model))
    assert "name the run folder" in APPLICATIONS["translate"].unfit(Material.of(model))
    other = Material.of(SingleImageModel.load(trained_run))
    assert "this is one of generation; train one with --train_mode translation" in APPLICATIONS["translate"].unfit(
        other
    )
    for draw in (lambda: model.sample(finish="none"), lambda: next(model.animate(3, finish="none"))):
        with pytest.raises(UserError, match="sees a picture at every stage; use --application translate"):
            draw()
    with pytest.raises(UserError, match="--num_samples 2 are several results"):
        chosen(APPLICATIONS["translate"], {"num_samples": 2}).single()
    assert quiet(0.5) is None


# ---- the finish that keeps a layout


def test_a_photo_in_its_own_manner_is_itself():
    x = images.load(Image.fromarray(stripes(60, 80))).pixels
    made = in_manner(Photo(stored(x)), x, Draw(0))
    assert made.shape == x.shape
    assert (made - x).abs().mean() < 0.1
    assert torch.equal(made, in_manner(Photo(stored(x)), x, Draw(0)))


def test_the_manner_is_of_the_photos_pixels_and_the_layout_of_the_layout():
    """A grey ramp of two halves in the manner of red and blue noise: of its colours, and dark where it is dark."""
    noise = np.random.default_rng(0).integers(0, 40, (64, 64, 1)) * np.ones((1, 1, 3))
    noise[:, :32] += (20, 20, 90)
    noise[:, 32:] += (180, 120, 120)
    photo = Photo(stored(images.load(Image.fromarray(noise.astype(np.uint8))).pixels))
    layout = torch.full((1, 3, 64, 96), -0.7)
    layout[:, :, :30] = 0.3
    made = in_manner(photo, layout, Draw(0))
    assert made[:, :, :26].mean() > made[:, :, 34:].mean() + 0.4
    assert (made[:, 2, 34:].mean() - made[:, 0, 34:].mean()) > 0.3  # the dark half of the photo is blue


def test_what_no_patch_holds_shows_through():
    """Stripes in the manner of a flat picture: a share of them is left, and all of the rest is flat."""
    photo = Photo(stored(torch.full((1, 3, 40, 40), 0.2)))
    layout = torch.full((1, 3, 40, 48), 0.2)
    layout[:, :, ::2] = 0.6
    made = in_manner(photo, layout, Draw(0))
    torch.testing.assert_close(made - 0.2, THROUGH * (layout - 0.2), atol=0.01, rtol=0)
    assert 0 < THROUGH < 0.5


def test_a_palette_is_the_other_pictures_and_keeps_the_order():
    layout, other = torch.tensor([0.1, 0.9, 0.5]).view(1, 1, 1, 3), torch.tensor([7.0, 5, 6, 9, 8]).view(1, 1, 5, 1)
    assert toward_palette(layout, other, 1.0).flatten().tolist() == [5, 9, 7]
    assert torch.equal(toward_palette(layout, other, 0.0), layout)
    torch.testing.assert_close(toward_palette(layout, other, 0.5).flatten(), torch.tensor([2.55, 4.95, 3.75]))


def test_both_pictures_may_be_in_memory(files):
    first, second = stripes(), 255 - stripes(52, 40)[:, :, [2, 0, 1]]
    given = {**SMALL, "niter": 2, "train_stages": 1}
    model = consingan.train(first, mode="translation", target_name=second, **given)
    of_files = consingan.train(str(files[0]), mode="translation", target_name=Image.open(files[1]), **given)
    assert [each.settings.translation.target_name for each in (model, of_files)] == ["target_name.png", "second.png"]
    same_tensors(model.tensors(), of_files.tensors())
    made = consingan.sample(model, input_name=second, direction="forward", finish="none")
    assert made.of("translated")[0].size == (40, 52)


def exported(run, *flags, code=0):
    """A run as ``consingan export`` writes it."""
    done = CliRunner().invoke(main, ["export", str(run.folder), *map(str, flags)], catch_exceptions=False)
    assert done.exit_code == code, done.output
    return done


def test_a_run_of_two_pictures_gives_the_generator_of_a_direction(run, tmp_path):
    ways = {"forward": run.model_of("target"), "back": run.model}
    for direction, own in ways.items():
        file = tmp_path / f"{direction}.pt2"
        exported(run, "--pt2", file, "--direction", direction)
        model = SingleImageModel.load(own)
        seen = Draw(2).normal((1, 3, *model.size)).clamp(-1, 1)
        made = torch.export.load(file).module()(seen)
        assert (made - model.transform(seen, noise_scale=0)).abs().max() < 1e-4
    for flags, words in ((("--noise", "n.npz"), "sees a picture"), (("--pt2", "n.pt2", "--of", "1"), "--of 1 is for")):
        assert words in exported(run, *flags, code=2).stderr
