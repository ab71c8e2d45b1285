"""Applications: the table, which models they fit, and one that is defined here alone and runs all the same."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from click.testing import CliRunner
from conftest import trained
from PIL import Image

from consingan.applications import APPLICATIONS
from consingan.applications.base import Application, Expected, Material, Result, Told, chosen, declared, quiet
from consingan.applications.samples import Samples
from consingan.applications.use import previews, used
from consingan.command import cli
from consingan.command.sample import wanted_use
from consingan.config import setting
from consingan.errors import UserError
from consingan.gan.after import Chain
from consingan.gan.model import SingleImageModel
from consingan.gan.sampling import Walk, frame_steps, frames
from consingan.gan.stills import Stills
from consingan.pictures import images
from consingan.storage import results
from consingan.storage.results import Role
from consingan.storage.run import Run
from consingan.tasks import TASKS
from consingan.tasks.base import Use
from consingan.watch.report import page, reading


@pytest.fixture
def typed(tmp_path, monkeypatch):
    """A function that types a command in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(command, *words: object):
        return CliRunner().invoke(command, [str(word) for word in words], catch_exceptions=False)

    return run


@pytest.fixture(scope="session")
def harmonization_run(picture_file, tmp_path_factory) -> Path:
    """A finished run whose stage 0 takes pictures; tests must not change it."""
    return trained(picture_file, tmp_path_factory.mktemp("runs"), "--train_mode", "harmonization")


# ---- the table


OF_SEEDS = [name for name, each in APPLICATIONS.items() if any(s.name == "seed" for s in declared(each))]


@pytest.mark.parametrize("application", APPLICATIONS.values(), ids=APPLICATIONS)
def test_every_application_is_whole_and_named_in_the_help(application, typed):
    assert APPLICATIONS[application.name] is application
    help_text = " ".join(typed(cli.sample, "--help").stdout.split())
    assert f"{application.name}: {application.summary}" in help_text
    assert chosen(application, {}) == application.options
    assert {s.name for s in declared(application)} == {field.name for field in fields(application.options)}
    assert application.options.format in ("png", "gif")


def test_options_of_one_name_are_of_one_kind():
    kinds: dict[str, set[str]] = {}
    for application in APPLICATIONS.values():
        for each in declared(application):
            kinds.setdefault(each.name, set()).add(str(each.plain_kind))
    assert {name: kind for name, kind in kinds.items() if len(kind) > 1} == {}


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_what_a_task_names_exists(task):
    for use in (task.sampling, task.preview):
        application = APPLICATIONS[use.application]
        options = chosen(application, use.options)
        assert all(getattr(options, name) == value for name, value in use.options.items())


def test_an_option_that_is_none_is_refused():
    with pytest.raises(UserError, match="--frames is no flag of --application samples"):
        next(used(Use("samples", {"frames": 3}), Material()))
    with pytest.raises(UserError, match=r"--variation is 2\.0; give a number from 0 to 1"):
        chosen(APPLICATIONS["samples"], {"variation": 2})


def test_what_a_task_says_of_its_application_is_said_of_no_other():
    own = Use("samples", {"num_samples": 3})
    assert wanted_use(own, None, {"seed": 1}) == Use("samples", {"num_samples": 3, "seed": 1})
    assert wanted_use(own, "samples", {"num_samples": 5}) == Use("samples", {"num_samples": 5})
    assert wanted_use(own, "walk", {"seed": 1}) == Use("walk", {"seed": 1})


def test_the_table_needs_no_torch():
    program = (
        "import sys, consingan.applications.use; print([n for n in ('torch', 'numpy', 'PIL') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# ---- any application on any model that it fits


def made(typed, run: Path, *words: object) -> dict[str, list[str]]:
    """What sampling a run leaves: role -> names."""
    done = typed(cli.sample, run, "--out", "made", "--quiet", "--not_cuda", *words)
    assert (done.exit_code, done.stdout) == (0, "made\n"), done.output
    found: dict[str, list[str]] = {}
    for each in results.kept(Path("made")):
        found.setdefault(str(each.role), []).append(each.path.relative_to("made").as_posix())
    return found


def test_a_generation_model_is_set_in_motion(typed, trained_run):
    words = ("--application", "walk", "--frames", 3, "--start_scale", 1, "--seed", 4)
    name = "animation_start_1_alpha_0.1_beta_0.9_seed_4.gif"
    assert made(typed, trained_run, *words) == {"sample": [name]}
    (entry,) = [each for each in results.kept(Path("made")) if each.moving]
    assert entry.facts["start_scale"] == "1"
    with Image.open(entry.path) as animation:
        assert animation.n_frames == 3


def test_an_animation_model_gives_stills(typed, animation_run):
    found = made(typed, animation_run, "--application", "samples", "--num_samples", 2, "--size", "40x30")
    folder = "samples_40x30_start_0"
    assert found["sample"] == [f"{folder}/seed_0_sample_00{k}.png" for k in range(2)]
    assert found["grid"] == [f"{folder}/grid.png"]


@pytest.mark.parametrize("application", ["harmonize", "edit"])
def test_a_generation_model_takes_a_naive_picture(typed, trained_run, picture_file, application):
    naive = images.load(picture_file).pixels.clone()
    naive[:, :, 10:20, 10:20] = 1
    images.save(Path("naive.png"), naive)
    mask = torch.full((1, 1, 48, 64), -1.0)
    mask[:, :, 10:20, 10:20] = 1
    images.save(Path("naive_mask.png"), mask)
    words = ("--application", application, "--naive_img", "naive.png", "--injection_stage", 1)
    found = made(typed, trained_run, *words)
    assert found == {
        "masked": ["naive_stage_1_masked.png"],
        "naive": ["naive_stage_1_harmonized.png"],
        "pasted": ["naive_stage_1_naive.png"],
        "view": ["naive_stage_1_view.png"],
        "mask": ["naive_stage_1_soft_mask.png"],
    }
    model = SingleImageModel.load(trained_run)
    other = images.load(Path("made/naive_stage_1_harmonized.png")).pixels
    assert (other - naive).abs().mean() > 0.01
    assert model.transform(naive, start=1).shape[2:] == model.size


def test_a_model_s_picture_alone(typed, trained_run):
    found = made(typed, trained_run, "--application", "instant", "--num_samples", 1)
    assert found == {"sample": ["samples_64x48_variation_0.6_instant/seed_0_sample_000.png"]}


def test_noise_enters_a_harmonization_model_above_its_first_stage(typed, harmonization_run):
    words = ("--application", "samples", "--size", "40x30", "--num_samples", 2)
    found = made(typed, harmonization_run, *words, "--gen_start_scale", 1)
    one, two = (images.load(Path("made") / name).pixels for name in found["sample"])
    assert not torch.equal(one, two)
    moved = made(typed, harmonization_run, "--application", "walk", "--frames", 2)
    assert all(name.startswith("animation_start_1_") for name in moved["sample"] if name.endswith(".gif"))
    for flag, words in {
        "--gen_start_scale 0": ("--application", "samples"),
        "--start_scale 0": ("--application", "walk", "--start_scale", 0),
    }.items():
        done = typed(cli.sample, harmonization_run, *words, "--out", "refused", "--quiet")
        assert done.exit_code == 2
        sentence = f"{flag.split()[0]} is 0, but stage 0 of a harmonization model takes pictures, not noise; give 1"
        assert sentence in done.stderr
        assert done.stderr.count("\n") == 1
        assert not Path("refused").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("RUN", "--application", "nonsense"), "'nonsense' is not one of"),
        (
            ("RUN", "--application", "walk", "--size", "40x30"),
            "--size is a flag of --application samples, paint, instant, ",
        ),
        (("RUN", "--application", "harmonize"), "--application harmonize on a model of generation needs a picture"),
        (("photo.png", "--application", "samples"), "--application samples needs a trained model; name a run folder"),
        (("photo.png", "--application", "edit"), "--application edit needs a trained model; name a run folder"),
        (("BARE", "--application", "instant"), "--application instant needs the training picture, which this model"),
    ],
)
def test_what_does_not_fit_is_one_sentence(typed, trained_run, picture_file, words, sentence):
    shutil.copy(picture_file, "photo.png")
    Path("bare").mkdir()
    shutil.copy(trained_run / "config.json", "bare")
    SingleImageModel.load(trained_run).save(Path("bare/model.safetensors"), picture=False)
    paths = {"RUN": trained_run, "BARE": "bare"}
    done = typed(cli.sample, *(paths.get(word, word) for word in words), "--out", "made", "--quiet")
    assert done.exit_code == 2
    assert sentence in done.stderr
    assert [line.startswith("Error: ") for line in done.stderr.splitlines()][-1:] == [True]
    assert not Path("made").exists()


def test_a_model_of_one_stage_that_takes_pictures_gives_no_samples(harmonization_run):
    model = SingleImageModel.load(harmonization_run)
    model.amplitudes = model.amplitudes[:1]
    for name in ("samples", "walk"):
        reason = APPLICATIONS[name].unfit(Material.of(model))
        assert reason == (
            f"--application {name} needs a stage that takes noise, and the only one of this harmonization model takes "
            "pictures; leave the flag out."
        )
    assert APPLICATIONS["harmonize"].unfit(Material.of(model)) is None


def test_previews_are_what_the_task_says(trained_run, animation_run):
    still = list(previews(SingleImageModel.load(trained_run)))
    assert [each.role for each in still] == [Role.RECONSTRUCTION, *[Role.SAMPLE] * 3]
    first, moving = previews(SingleImageModel.load(animation_run))
    assert (first.role, moving.role, len(moving.frames)) == (Role.RECONSTRUCTION, Role.SAMPLE, 20)


def test_the_index_tells_of_everything_that_a_run_has_drawn(trained_run):
    for stage in (0, 1):
        folder = Run(trained_run).samples / f"stage_{stage}"
        entries = {each.path: each for each in results.read(folder)}
        assert set(entries) == set(folder.rglob("*.png"))
        assert [number for number, _ in results.snapshots(entries.values())] == [1, 5, 10]


def test_the_way_through_a_stage_ends_with_its_first_sample(trained_run):
    stage = reading.read(Run(trained_run)).stages[-1]
    first, last = images.load(stage.samples[0].path).pixels, images.load(stage.moments[-1].picture).pixels
    assert torch.equal(first, last)
    assert not torch.equal(images.load(stage.reconstruction).pixels, last)


def test_further_results_in_a_folder_leave_the_index_of_the_first(typed, trained_run):
    made(typed, trained_run, "--size", "40x30", "--num_samples", 1, "--reconstruction")
    found = made(typed, trained_run, "--application", "walk", "--frames", 2, "--start_scale", 0)
    assert len(found["sample"]) == 2
    entries = json.loads(Path("made/results.json").read_text())["results"]
    assert len(entries) == 3  # one reconstruction


# ---- steps after the generator


@dataclass(frozen=True)
class Twice:
    """Every pixel becomes four, and darker by so much."""

    darker: float = 0.0

    def size_before(self, size):
        return size[0] // 2, size[1] // 2

    def apply(self, pictures, size, draws):
        assert len(draws) == len(pictures)
        return F.interpolate(pictures, size=size, mode="nearest") - self.darker


def test_steps_stand_between_the_generator_and_the_result(trained_run):
    model = SingleImageModel.load(trained_run)
    options = Stills(num_samples=2, seed=3)
    small = torch.cat(list(model.samples(options, (15, 20))))
    chain = Chain([Twice(), Twice(0.25)])
    assert chain.sizes((60, 80)) == [(15, 20), (30, 40), (60, 80)]
    large = torch.cat(list(model.samples(options, (60, 80), chain)))
    assert torch.equal(large, small.repeat_interleave(4, 2).repeat_interleave(4, 3) - 0.25)


def test_steps_of_an_application_come_after_the_finish(trained_run):
    model = SingleImageModel.load(trained_run)
    options = Stills(num_samples=1, size="80x60", finish="patches")
    (result,) = Samples(after=[Twice(0.5)]).apply(Material.of(model), options, quiet)
    expected = model.sample(1, (30, 40), finish="patches")
    assert torch.equal(result.frames[0], expected.repeat_interleave(2, 2).repeat_interleave(2, 3) - 0.5)


class Backwards:
    """Frames upside down, each a little lighter than the one before."""

    def frames(self, frames, draw):
        for number, frame in enumerate(frames):
            yield frame.flip(2) + number / 8


def test_frames_go_through_steps_one_after_the_other(animation_run):
    model = SingleImageModel.load(animation_run)
    way = Walk(3, 0.1, 0.9, 0, 5)
    plain = list(model.animate(3, 0.1, 0.9, 0, 5, "moved", 48))
    steps = [*frame_steps(model, "moved", 48), Backwards(), Backwards()]
    made = list(frames(model, way, steps))
    assert len(made) == 3
    for number, (before, after) in enumerate(zip(plain, made, strict=True)):
        torch.testing.assert_close(after, before + number / 4)


def test_the_python_face_takes_every_option_of_stills(trained_run):
    model = SingleImageModel.load(trained_run)
    assert model.sample().shape == (1, 3, *model.size)
    assert model.sample(2, size=(20, 40), seed=1).shape == (2, 3, 20, 40)
    options = Stills(num_samples=2, seed=1, gen_start_scale=1, variation=0.5)
    expected = torch.cat(list(model.samples(options, (20, 40))))
    assert torch.equal(model.sample(2, (20, 40), 1, 1, variation=0.5), expected)
    assert model.sample(scale_w=2.0).shape == (1, 3, 30, 80)
    assert model.sample(finish="patches", longest=32).shape == (1, 3, 24, 32)
    with pytest.raises(TypeError):
        model.sample(1, colour="red")


# ---- an application of this file


@dataclass(frozen=True)
class TintOptions:
    num_samples: int = setting(2, "how many shades", low=1, high=9)
    towards: float = setting(0.25, "how far to the end of the first channel", low=0, high=1)
    format: str = setting("png", "file format", choices=("png", "webp"))


@dataclass(frozen=True)
class Tint:
    """The picture as the model learned it, with more of its first channel."""

    name: str = "tint"
    summary: str = "the picture, tinted"
    options: TintOptions = TintOptions()

    def unfit(self, material: Material) -> str | None:
        if material.model is not None and material.model.settings.network.nc_im == 3:
            return None
        return "--application tint needs a model of colours; name another run."

    def announce(self, material: Material, options: TintOptions) -> Expected:
        return Expected(options.num_samples, [(2000, 3000)])

    def apply(self, material: Material, options: TintOptions, told: Told) -> Iterator[Result]:
        picture = material.trained.reconstruct()
        yield Result("before", Role.RECONSTRUCTION, [picture], format=options.format)
        for number in range(options.num_samples):
            tinted = picture.clone()
            tinted[:, 0] = torch.lerp(picture[:, 0], torch.ones(()), options.towards)
            facts = {"towards": f"{options.towards}"}
            yield Result(f"tinted/{number}", Role.SAMPLE, [tinted], facts, options.format)
        yield Result("look_at_me", Role.VIEW, [tinted], format=options.format)


@pytest.fixture
def toy(monkeypatch) -> Application[TintOptions]:
    """The application above, in the table."""
    tint: Application[TintOptions] = Tint()
    monkeypatch.setitem(APPLICATIONS, tint.name, tint)
    return tint


def files_in(folder: Path) -> Sequence[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*"))


def test_a_new_application_has_its_flags_in_the_help(toy, typed):
    text = " ".join(typed(cli.sample, "--help_all").stdout.split())
    assert "tint: the picture, tinted" in text
    assert "Sampling: tint: --towards FLOAT how far to the end of the first channel [default: 0.25]" in text
    assert "--num_samples INTEGER" in text
    before, after = text.index("Sampling: tint:"), text.index("Machine:")
    assert before < after


def test_a_new_application_runs_writes_its_roles_and_is_in_the_report(toy, typed, trained_run, tmp_path):
    run = Run(Path(shutil.copytree(trained_run, tmp_path / "run")))
    done = typed(cli.sample, run.folder, "--application", "tint", "--towards", 1, "--not_cuda")
    assert done.exit_code == 0, done.output
    assert "2 samples of 3000x2000 px: about" in done.stderr
    assert files_in(run.evaluation) == [
        "before.png",
        "look_at_me.png",
        "results.json",
        "tinted/0.png",
        "tinted/1.png",
        "tinted/grid.png",
    ]
    assert {each.path.stem: str(each.role) for each in results.kept(run.evaluation)} == {
        "before": "reconstruction",
        "look_at_me": "view",
        "0": "sample",
        "1": "sample",
        "grid": "grid",
    }
    tinted, before = (images.load(run.evaluation / name).pixels for name in ("tinted/0.png", "before.png"))
    assert tinted[:, 0].min() == 1
    assert torch.equal(tinted[:, 1:], before[:, 1:])
    with Image.open(run.evaluation / "tinted/0.png") as picture:
        assert picture.text == {"model": "run", "towards": "1.0"}
    assert typed(cli.report, run.folder).exit_code == 0
    shots = [shot.caption for shot in page.evaluation(run)]
    assert shots == ["all of a folder: tinted", "side by side: look at me", "reconstruction: before"]
    assert all(f'alt="{caption}"' in run.report.read_text() for caption in shots)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--towards", 2), "--towards is 2.0; give a number from 0 to 1."),
        (("--num_samples", 10), "--num_samples is 10; give a number from 1 to 9."),
        (("--seed", 1), f"--seed is a flag of --application {', '.join(OF_SEEDS)}, not of tint"),
        (("--format", "jpg"), "--format is 'jpg'; choose one of png, webp."),
    ],
)
def test_mistakes_with_a_new_application(toy, typed, trained_run, words, sentence):
    done = typed(cli.sample, trained_run, "--application", "tint", *words, "--out", "made", "--quiet")
    assert done.exit_code == 2
    assert sentence in done.stderr
    assert not Path("made").exists()


def test_a_new_application_says_what_it_does_not_fit(toy, typed, picture_file):
    done = typed(cli.sample, picture_file, "--application", "tint", "--out", "made", "--quiet")
    assert (done.exit_code, done.stderr) == (
        2,
        "Error: --application tint needs a model of colours; name another run.\n",
    )
    assert not Path("made").exists()


def test_roles_and_not_names_decide_what_the_report_makes_of_a_preview(toy, trained_run, tmp_path):
    """The toy's previews have names of their own: its reconstruction, its samples and its view are known by role."""
    run = Run(Path(shutil.copytree(trained_run, tmp_path / "run")))
    folder = run.samples / "stage_1"
    shutil.rmtree(folder)
    from consingan.applications.writing import write

    model = SingleImageModel.load(run.folder)
    list(write(used(Use("tint", {}), Material.of(model, run)), folder, {}))
    stage = reading.read(run).stages[-1]
    assert stage.reconstruction == folder / "before.png"
    assert [each.path.name for each in stage.samples] == ["look_at_me.png", "0.png", "1.png"]
    captions = [shot.caption for shot in page.hero(reading.read(run))]
    assert captions == ["the picture", "sample", "sample", "its reconstruction"]
