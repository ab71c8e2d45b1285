"""Harmonization, editing and fine-tuning, from the command line to the pixels."""

import shutil
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from conftest import trained

from consingan import config
from consingan.applications import APPLICATIONS, cases, naive
from consingan.command.cli import main
from consingan.gan import schedule
from consingan.gan.model import SingleImageModel
from consingan.grid.noise import Draw, as_source
from consingan.grid.resize import resize
from consingan.pictures import arrays, images, structure
from consingan.storage.checkpoints import Checkpoints
from consingan.storage.results import PICTURES
from consingan.storage.run import Run
from consingan.tasks import TASKS
from consingan.training import finetune, plan
from consingan.training.beginning import beginning
from consingan.training.loop import resume, train, write_start
from consingan.training.order import Order
from consingan.training.signals import StoppedError
from consingan.watch.monitor import Monitor

MODES = [mode for mode, task in TASKS.items() if task.takes_naive]


@pytest.fixture(scope="session")
def naive_file(picture_file, tmp_path_factory) -> Path:
    """The picture at twice its size with a red box in it, and its mask beside it."""
    file = tmp_path_factory.mktemp("naive") / "stripes_naive.png"
    picture = images.load(picture_file).pixels.repeat_interleave(2, 2).repeat_interleave(2, 3)  # 96x128
    picture[:, :, 40:60, 50:70] = torch.tensor([1.0, -1.0, -1.0]).view(1, 3, 1, 1)
    images.save(file, picture)
    mask = torch.full((1, 1, 96, 128), -1.0)
    mask[:, :, 40:60, 50:70] = 1
    images.save(file.with_name("stripes_naive_mask.jpg"), mask)
    return file


@pytest.fixture(scope="session", params=MODES)
def pasted_run(request, picture_file, naive_file, tmp_path_factory) -> Path:
    """A finished run of each mode that takes naive pictures; tests must not change it."""
    flags = ("--train_mode", request.param, "--min_size", "25", "--train_stages", "3", "--naive_img", naive_file)
    return trained(picture_file, tmp_path_factory.mktemp("runs"), *map(str, flags))


def invoke(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments], catch_exceptions=False)


def evaluated(run, out, *arguments):
    """What evaluation writes, by name without extension."""
    result = invoke("sample", "--model_dir", run, "--out", out, *arguments)
    assert result.exit_code == 0, result.output
    return {file.stem: file for file in Path(out).iterdir() if file.suffix in PICTURES}, result


def pixels(file):
    return torch.from_numpy(arrays.to_uint8(images.load(file).pixels).copy())


def refused(*arguments, word, folder):
    """The one sentence in which a command ends; nothing is written in the folder."""
    before = sorted(folder.rglob("*"))
    result = invoke(*arguments)
    assert result.exit_code == 2, result.output
    sentence = result.stderr.removeprefix("Loading ...\n")
    assert sentence.startswith("Error: ")
    assert sentence.count("\n") == 1
    assert word in sentence
    assert sorted(folder.rglob("*")) == before


def test_the_modes_have_the_published_recipe():
    values = {"train_stages": 3, "min_size": 120, "lrelu_alpha": 0.3, "niter": (1000,), "batch_norm": True}
    assert TASKS["harmonization"].recipes["paper"] == {**values, "precision": "fp32"}
    assert TASKS["editing"].recipes["paper"] == {"niter": (1000,), "batch_norm": True, "precision": "fp32"}
    assert {TASKS[mode].border for mode in MODES} == {"zero"}
    uses = {mode: APPLICATIONS[TASKS[mode].sampling.application] for mode in MODES}
    assert {mode: use.dilation for mode, use in uses.items()} == {"harmonization": 7, "editing": 20}
    assert {mode: use.keep_edges for mode, use in uses.items()} == {"harmonization": True, "editing": False}


def test_the_fast_recipe_keeps_the_method_and_the_resolution():
    fast = {mode: plan.resolve(mode, "fast", "a.png", 3, {})[0] for mode in MODES}
    assert {mode: (s.pyramid.max_size, s.network.batch_norm) for mode, s in fast.items()} == dict.fromkeys(
        MODES, (250, True)
    )
    harmonization = fast["harmonization"]
    assert (harmonization.pyramid.train_stages, harmonization.network.lrelu_alpha) == (3, 0.3)


@pytest.mark.parametrize("preset", ["paper", "fast", "quick"])
def test_what_the_published_command_names_wins_over_every_preset(preset):
    typed = {"train_stages": 3, "min_size": 120, "lrelu_alpha": 0.3, "niter": 1000, "batch_norm": True}
    settings, origins = plan.resolve("harmonization", preset, "a.png", 3, typed)
    values = config.flat(settings)
    assert {name: values[name] for name in typed} == {**typed, "niter": (1000,)}
    assert {origins[name] for name in typed} == {"flag"}


def test_inputs_and_anchors_are_those_of_the_method():
    picture = torch.rand(1, 3, 40, 50, generator=torch.Generator().manual_seed(0)) * 2 - 1
    draw = Draw(0, ("here",))
    harmonization, editing = TASKS["harmonization"], TASKS["editing"]
    assert torch.equal(harmonization.anchor(picture, draw), picture)
    assert (editing.anchor(picture, draw) - picture).std() == pytest.approx(0.1, rel=0.1)
    assert not torch.equal(harmonization.first_input(picture, draw), picture)
    # a tile's border is a jump, so most pixels keep their value but for the noise
    assert (editing.first_input(picture, draw) - picture).abs().median() == pytest.approx(0.1 * 0.6745, rel=0.3)


def test_evaluation_keeps_size_and_everything_outside_the_mask(pasted_run, naive_file, tmp_path):
    files, _ = evaluated(pasted_run, tmp_path / "out", "--naive_img", naive_file, "--native")
    name = naive_file.stem
    endings = ("masked", "harmonized", "naive", "native", "soft_mask", "view")
    assert set(files) == {f"{name}_{ending}" for ending in endings}
    naive, masked, whole = (pixels(f) for f in (naive_file, files[f"{name}_masked"], files[f"{name}_harmonized"]))
    assert naive.shape == masked.shape == whole.shape
    soft = images.load_mask(files[f"{name}_soft_mask"])[0, 0]
    assert 0 < (soft == 0).float().mean() < 1
    mode = config.from_json(load_json(pasted_run / "config.json"), "").mode
    reach = (
        int((APPLICATIONS[TASKS[mode].sampling.application].dilation + 20 + 2) * 128 / 250) + 2
    )  # the disk, then four sigma
    far = torch.ones(96, 128, dtype=torch.bool)
    far[40 - reach : 60 + reach, max(0, 50 - reach) : 70 + reach] = False
    assert torch.equal(masked[far], naive[far])
    assert not torch.equal(masked[45:55, 55:65], naive[45:55, 55:65])
    assert not torch.equal(whole[far], naive[far])
    model = SingleImageModel.load(pasted_run)
    assert tuple(pixels(files[f"{name}_native"]).shape[:2]) == model.size


def test_the_hand_is_the_presets_unless_given(pasted_run, naive_file, tmp_path):
    mode = config.from_json(load_json(pasted_run / "config.json"), "").mode
    hands = {preset: plan.resolve(mode, preset, "a.png", 3, {})[0].naive.hand for preset in ("paper", "fast", "quick")}
    ours = 1 if mode == "harmonization" else 0
    assert hands == {"paper": 0, "fast": ours, "quick": ours}
    made = {}
    for flags in ((), ("--hand", "0"), ("--hand", "1")):  # into one folder: no trial overwrites another
        found, _ = evaluated(pasted_run, tmp_path / "out", "--naive_img", naive_file, *flags)
        made[flags] = found["_".join([naive_file.stem, *flags, "masked"]).replace("--", "")]
    assert len({path.read_bytes() for path in made.values()}) == 2
    assert all(path.is_file() for path in made.values())
    kept = config.from_json(load_json(pasted_run / "config.json"), "").naive.hand
    assert torch.equal(pixels(made[()]), pixels(made[("--hand", f"{kept:g}")]))
    assert not torch.equal(pixels(made[("--hand", "0")]), pixels(made[("--hand", "1")]))


def load_json(path):
    import json

    return json.loads(path.read_text())


def test_evaluation_is_that_of_the_trained_model_and_repeatable(pasted_run, naive_file, tmp_path):
    first, _ = evaluated(pasted_run, tmp_path / "a", "--naive_img", naive_file, "--native", "--seed", 3)
    second, _ = evaluated(pasted_run, tmp_path / "b", "--naive_img", naive_file, "--native", "--seed", 3)
    other, _ = evaluated(pasted_run, tmp_path / "c", "--naive_img", naive_file, "--native", "--seed", 4)
    native = f"{naive_file.stem}_seed_3_native"
    assert first[native].read_bytes() == second[native].read_bytes()
    assert first[native].read_bytes() != other[f"{naive_file.stem}_seed_4_native"].read_bytes()
    model = SingleImageModel.load(pasted_run)
    wanted = model.transform(images.load(naive_file).pixels, seed=3)
    assert torch.equal(pixels(first[native]), torch.from_numpy(arrays.to_uint8(wanted)))


def test_the_anchor_goes_through_as_the_reconstruction(pasted_run):
    model = SingleImageModel.load(pasted_run)
    model.amplitudes = [0.0] * model.stages
    torch.testing.assert_close(model.transform(model.fixed[0].clamp(-1, 1)), inputs_without_noise(model))


def inputs_without_noise(model):
    return model.render([as_source(model.fixed[0].clamp(-1, 1)), *model.anchors[1:]], model.sizes)


def test_noise_scale_0_takes_the_seed_away_and_later_injection_keeps_more(pasted_run, naive_file):
    model = SingleImageModel.load(pasted_run)
    naive = images.load(naive_file).pixels
    quiet = [model.transform(naive, noise_scale=0, seed=seed) for seed in (1, 2)]
    assert torch.equal(*quiet)
    assert not torch.equal(model.transform(naive, seed=1), model.transform(naive, seed=2))
    results = [model.transform(naive, start, 0) for start in range(3)]
    assert all(result.shape == results[0].shape for result in results)
    assert not torch.equal(results[0], results[1])
    assert not torch.equal(results[1], results[2])


def test_other_proportions_keep_the_pixels_and_their_own_proportions(pasted_run):
    model = SingleImageModel.load(pasted_run)
    assert model.fitting((96, 128)) == model.size
    assert model.fitting((960, 1281)) == model.size
    height, width = model.fitting((100, 300))
    assert width / height == pytest.approx(3, rel=0.05)
    assert height * width == pytest.approx(model.size[0] * model.size[1], rel=0.05)
    assert model.transform(torch.zeros(1, 3, 100, 300)).shape[2:] == (height, width)


def test_a_folder_is_done_in_one_call_and_masks_are_derived_with_a_word(pasted_run, naive_file, tmp_path):
    folder = tmp_path / "naive"
    folder.mkdir()
    for name in ("a", "b"):
        shutil.copy(naive_file, folder / f"{name}.png")
    shutil.copy(naive_file.with_name("stripes_naive_mask.jpg"), folder / "b_mask.jpg")
    files, result = evaluated(pasted_run, tmp_path / "out", "--naive_img", folder)
    assert {"a_masked", "a_derived_mask", "b_masked", "a_view", "b_view"} <= set(files)
    assert "b_derived_mask" not in files
    assert "derived from the difference" in result.stderr
    derived = images.load_mask(files["a_derived_mask"])[0, 0] > 0.5
    wanted = torch.zeros(96, 128, dtype=torch.bool)
    wanted[40:60, 50:70] = True
    assert (derived & wanted).sum() / wanted.sum() > 0.9
    assert (derived & ~wanted).sum() < 0.5 * wanted.sum()  # a pixel of the run's picture is 2 of these


def test_no_bar_stands_at_the_borders_of_a_result(pasted_run, naive_file, monkeypatch):
    """Whatever a network makes of the zeros past the picture's border."""
    model = SingleImageModel.load(pasted_run)
    transform = SingleImageModel.transform

    def framed(*arguments):
        made = transform(*arguments)
        made[..., -1] = 1
        return made

    case = cases.read(naive_file, 3)
    clean = cases.apply(model, case, 7.0, True, noise_scale=0).whole
    monkeypatch.setattr(SingleImageModel, "transform", framed)
    barred = cases.apply(model, case, 7.0, True, noise_scale=0)
    assert (barred.native[..., -1] == 1).all()
    assert torch.equal(barred.whole, clean)


def test_without_a_naive_picture_augmented_ones_are_shown(picture_file, tmp_path):
    run = trained(picture_file, tmp_path / "runs", "--train_mode", "harmonization", "--min_size", "25")
    files, result = evaluated(run, tmp_path / "out")
    assert "reconstruction" in files
    assert len(list((tmp_path / "out" / "examples").glob("seed_*.png"))) == 3
    assert "No --naive_img" in result.stderr


def test_previews_apply_the_model_to_the_naive_picture(pasted_run, naive_file):
    for stage in range(3):
        assert (pasted_run / "samples" / f"stage_{stage}" / f"{naive_file.stem}_masked.png").is_file()


def test_grey_pictures_are_harmonized_too(naive_file, picture_file, tmp_path):
    grey = tmp_path / "grey.png"
    images.save(grey, images.load(picture_file, channels=1).pixels)
    run = trained(grey, tmp_path / "runs", "--train_mode", "harmonization", "--min_size", "25")
    files, _ = evaluated(run, tmp_path / "out", "--naive_img", naive_file)
    assert pixels(files[f"{naive_file.stem}_masked"]).shape == (96, 128)


# ------------------------------------------------------------------------------------------- fine-tuning


def tuning(pasted_run, picture_file, naive_file, **given):
    """Fine-tuning at its beginning, in memory."""
    mode = config.from_json(load_json(pasted_run / "config.json"), "").mode
    given = {"fine_tune": True, "model_dir": str(pasted_run), "naive_img": str(naive_file), "niter": (3,), **given}
    begin = beginning(Order(picture=str(picture_file), mode=mode, settings=given))
    picture = images.load(picture_file, channels=begin.channels)
    settings, _ = begin.resolve(picture.pixels.shape[1], (picture.pixels.shape[2], picture.pixels.shape[3]))
    return begin.state(settings, picture, torch.device("cpu"))


def test_fine_tuning_changes_the_last_stage_and_the_tail_and_nothing_else(pasted_run, picture_file, naive_file):
    before = SingleImageModel.load(pasted_run)
    model = train(tuning(pasted_run, picture_file, naive_file), Monitor(display="quiet"))
    old, new = before.tensors(), model.tensors()
    changed = {name for name in old if not torch.equal(old[name], new[name])}
    learning = {name for name in old if name.startswith(("generator.stages.2.", "generator.tail."))}
    assert changed == learning
    assert model.amplitudes == before.amplitudes


def test_fine_tuning_gets_the_naive_picture_and_the_training_picture_stays_the_target(
    pasted_run, picture_file, naive_file
):
    state = tuning(pasted_run, picture_file, naive_file)
    state.enter_stage()
    first = state.draw(1)[0].inputs[0]
    naive = images.load(naive_file).pixels
    assert torch.equal(first, cases.resize(naive, state.model.sizes[0]).clamp(-1, 1))
    images.save(target := naive_file.with_name("target.png"), state.reals[-1])
    assert torch.equal(pixels(target), pixels(pasted_run / "pyramid" / "2.png"))
    saved = Checkpoints(Run(pasted_run).checkpoints).newest(print)
    assert saved is not None
    critic = state.critic.state_dict()
    assert all(torch.equal(critic[name], saved[0][f"critic.{name}"]) for name in critic)


def test_fine_tuning_keeps_the_structure_of_what_the_trained_model_made(pasted_run, picture_file, naive_file):
    naive = images.load(naive_file).pixels
    trained = SingleImageModel.load(pasted_run)
    before = trained.transform(resize(naive, trained.size), noise_scale=0)
    lost = {}
    for weight in (0.0, 1.0, 100.0):
        state = tuning(pasted_run, picture_file, naive_file, niter=(40,), lr_g=1e-3, keep_structure=weight)
        torch.testing.assert_close(state.lesson.tensors()["result"], before)
        model = train(state, Monitor(display="quiet"))
        lost[weight] = structure.difference(model.transform(resize(naive, model.size), noise_scale=0), before).item()
    assert lost[100] < lost[1] < lost[0]


@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_structure_is_a_loss_where_it_has_a_weight(weight, pasted_run, picture_file, naive_file):
    state = tuning(pasted_run, picture_file, naive_file, keep_structure=weight)
    terms = state.enter_stage()(*state.draw(1))
    assert ("structure" in terms) is (weight > 0)


def test_stopped_and_resumed_fine_tuning_equals_one_that_ran_through(pasted_run, picture_file, naive_file, tmp_path):
    through = train(tuning(pasted_run, picture_file, naive_file), Monitor(display="quiet")).tensors()
    run = Run.create(tmp_path, "x", "y")
    state = tuning(pasted_run, picture_file, naive_file)
    write_start(state, run)
    with pytest.raises(StoppedError):
        train(state, Monitor(display="quiet"), run, stop=lambda: state.iteration == 2)
    resumed = resume(run, "cpu", print)
    assert resumed.iteration == 2
    resumed = train(resumed, Monitor(display="quiet"), run).tensors()
    assert all(torch.equal(through[name], resumed[name]) for name in through)


def test_pictures_on_the_way_do_not_read_the_trained_run(pasted_run, picture_file, naive_file, tmp_path, monkeypatch):
    read = []
    own = naive.began_as
    monkeypatch.setattr(naive, "began_as", lambda model: read.append(model) or own(model))
    mode = config.from_json(load_json(pasted_run / "config.json"), "").mode
    command = ["--train_mode", mode, "--input_name", picture_file, "--naive_img", naive_file, "--fine_tune"]
    command += ["--model_dir", pasted_run, "--niter", 6, "--snapshot_every", 1, "--outdir", tmp_path, "--quiet"]
    result = invoke("train", *command)
    assert result.exit_code == 0, result.output
    assert len(read) == 1  # for the preview at the end


def test_the_fine_tune_line_as_typed(pasted_run, picture_file, naive_file, tmp_path):
    mode = config.from_json(load_json(pasted_run / "config.json"), "").mode
    command = ["--train_mode", mode, "--input_name", picture_file, "--naive_img", naive_file, "--fine_tune"]
    command += ["--model_dir", pasted_run, "--niter", 4, "--snapshot_every", 2, "--outdir", tmp_path, "--quiet"]
    result = invoke("train", *command)
    assert result.exit_code == 0, result.output
    run = Path(result.stdout.strip())
    assert f"{mode}_fine-tune" in run.name
    own = config.from_json(load_json(run / "config.json"), "")
    assert (own.naive.fine_tune, own.optimisation.niter, own.optimisation.train_depth) == (True, (4,), 1)
    snapshots = sorted(file.name for file in (run / "samples" / "stage_2" / "snapshots").iterdir())
    assert snapshots == [f"iteration_{number:06d}.png" for number in (0, 2, 4)]
    strip = pixels(run / "samples" / "stage_2" / "strip.png")
    assert strip.shape[1] >= 3 * 128
    files, _ = evaluated(run, tmp_path / "out")  # the naive picture is the one it was tuned on
    five = pixels(files[f"{naive_file.stem}_view"])
    base, _ = evaluated(pasted_run, tmp_path / "base", "--naive_img", naive_file)
    four = pixels(base[f"{naive_file.stem}_view"])
    assert five.shape[1] == four.shape[1] + 128 + 4  # one picture more, and the gap


def test_defaults_of_fine_tuning_are_the_models_and_500_iterations():
    own = {"nfc": 8, "lr_g": 1e-3, "lr_d": 4e-4, "gamma": 0.2, "lr_scale": 0.5}
    base, _ = config.resolve("harmonization", "x.png", ("test", own))
    given = {"fine_tune": True, "model_dir": "m", "naive_img": "n", "train_stages": "auto"}
    settings, origins = finetune.resolve(base, "harmonization", "x.png", given)
    assert settings.network == base.network
    assert settings.optimisation.niter == (500,)
    assert settings.naive.snapshot_every == 100
    assert settings.naive.keep_structure == 1
    begins = schedule.DECAYS[settings.optimisation.decay](0, 500, settings.optimisation.gamma)
    rates = (begins * settings.optimisation.lr_g, begins * settings.optimisation.lr_d)
    assert rates == pytest.approx((1e-4, 4e-4), rel=0.02)  # a tenth of the generator's, the critic's own
    assert settings.optimisation.lr_scale == 0.5
    assert (origins["nfc"], origins["niter"], origins["naive_img"]) == ("trained run", "fine-tuning", "flag")
    settings, _ = finetune.resolve(base, "harmonization", "x.png", {**given, "niter": (7,), "lr_g": 3e-4})
    assert (settings.optimisation.niter, settings.optimisation.lr_g) == ((7,), 3e-4)


# --------------------------------------------------------------------------------- one sentence, exit code 2


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        (["--train_mode", "harmonization", "--fine_tune", "--naive_img", "NAIVE"], "--model_dir"),
        (["--train_mode", "harmonization", "--fine_tune", "--model_dir", "RUN"], "--naive_img"),
        (["--train_mode", "harmonization", "--model_dir", "RUN"], "--fine_tune"),
        (["--train_mode", "generation", "--naive_img", "NAIVE"], "--naive_img"),
        (["--train_mode", "harmonization", "--naive_img", "missing.png"], "missing.png"),
        (["--train_mode", "harmonization", "--fine_tune", "--model_dir", "GEN", "--naive_img", "NAIVE"], "generation"),
    ],
)
def test_wrong_combinations_in_training(flags, word, naive_file, trained_run, picture_file, tmp_path):
    paths = {"NAIVE": naive_file, "RUN": trained_run, "GEN": trained_run}
    flags = [paths.get(flag, flag) for flag in flags]
    refused("train", picture_file, *flags, "--outdir", tmp_path / "runs", word=word, folder=tmp_path)


@pytest.mark.parametrize(
    ("change", "word"),
    [(["--nfc", "5"], "--nfc"), (["--max_size", "50"], "--max_size"), (["PICTURE", "other.png"], "other.png")],
)
def test_fine_tuning_refuses_what_contradicts_the_model(change, word, pasted_run, picture_file, naive_file, tmp_path):
    mode = config.from_json(load_json(pasted_run / "config.json"), "").mode
    other = tmp_path / "other.png"
    images.save(other, -images.load(picture_file).pixels)
    picture = other if change[0] == "PICTURE" else picture_file
    flags = [] if change[0] == "PICTURE" else change
    command = ["train", picture, "--train_mode", mode, "--naive_img", naive_file, "--fine_tune"]
    command += ["--model_dir", pasted_run, "--outdir", tmp_path / "runs", *flags]
    refused(*command, word=word, folder=tmp_path)


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        (["--naive_img", "NAIVE", "--mask", "EMPTY"], "empty"),
        (["--naive_img", "NAIVE", "--mask", "FULL"], "full"),
        (["--naive_img", "NAIVE", "--mask", "WIDE"], "another shape"),
        (["--naive_img", "NAIVE", "--mask", "missing.png"], "missing.png"),
        (["--naive_img", "NAIVE", "--injection_stage", "3"], "--injection_stage"),
        (["--naive_img", "missing.png"], "missing.png"),
        (["--naive_img", "FOLDER"], "without pictures"),
        (["--naive_img", "NAIVE", "--gen_start_scale", "1"], "--gen_start_scale"),
    ],
)
def test_wrong_combinations_in_evaluation(flags, word, pasted_run, naive_file, tmp_path):
    inputs = tmp_path / "inputs"
    (inputs / "folder").mkdir(parents=True)
    for name, mask in (("EMPTY", torch.zeros(48, 64)), ("FULL", torch.ones(48, 64)), ("WIDE", torch.eye(48))):
        images.save(inputs / f"{name}.png", mask[None] * 2 - 1)
    paths = {name: inputs / f"{name}.png" for name in ("EMPTY", "FULL", "WIDE")}
    paths |= {"NAIVE": naive_file, "FOLDER": inputs / "folder"}
    flags = [paths.get(flag, flag) for flag in flags]
    command = ["sample", "--model_dir", pasted_run, "--out", tmp_path / "out", *flags, "--quiet"]
    refused(*command, word=word, folder=tmp_path)


def test_a_mask_flag_without_a_picture_and_a_generation_model_with_one(trained_run, naive_file, tmp_path):
    command = ["sample", "--model_dir", trained_run, "--out", tmp_path / "out", "--quiet"]
    refused(*command, "--naive_img", naive_file, word="--naive_img", folder=tmp_path)
