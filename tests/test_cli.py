"""The command line as people type it: what comes out, and one sentence with exit code 2 for every mistake.

Most commands run inside this process (``typed``), which saves the import of torch; a handful run as real ones
(``process``).
"""

import json
import os
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import combinations, pairwise
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner, Result
from conftest import OF_ONE, TINY, stripes
from PIL import Image

from consingan import config
from consingan.command import cli
from consingan.command.sample import sampling_settings
from consingan.command.train import SECTION_TITLES
from consingan.storage import files
from consingan.storage.checkpoints import Checkpoints
from consingan.storage.run import Run
from consingan.tasks import TASKS
from consingan.training import plan

ROOT = Path(__file__).parent.parent
TRAIN, SAMPLE = str(ROOT / "main_train.py"), str(ROOT / "evaluate_model.py")
COMMANDS = ([TRAIN], [SAMPLE], ["-m", "consingan", "train"], ["-m", "consingan", "sample"])


def typed(command: click.Command, *arguments: object) -> Result:
    """A command's answer, run inside this process. A fault of ours is raised, not swallowed."""
    return CliRunner().invoke(command, [str(argument) for argument in arguments], catch_exceptions=False)


def process(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """``python`` with arguments, in a folder other than the repository."""
    return subprocess.run(command_line(arguments), cwd=cwd, env=environment(), capture_output=True, text=True)


def command_line(arguments: tuple[object, ...]) -> list[str]:
    return [sys.executable, *(str(argument) for argument in arguments)]


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def content(folder: Path) -> dict[str, tuple[int, int]]:
    """Everything below a folder, with size and time of change."""
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


def check_refusal(code: int, out: str, err: str, words: str) -> None:
    assert code == 2, out + err
    assert out == ""
    errors = [line for line in err.splitlines() if line.startswith("Error:")]
    assert len(errors) == 1, err
    assert err.splitlines()[-1] == errors[0]
    assert "Traceback" not in err
    for part in words.split(" ... "):
        assert part in errors[0], errors[0]


@pytest.fixture
def desk(tmp_path, monkeypatch, picture_file) -> Path:
    """The folder in which the person types, with pictures good and bad."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(picture_file, "a.png")
    shutil.copy(picture_file, "b.png")
    Image.fromarray(stripes(1, 1)).save("pixel.png")
    Image.fromarray(stripes(7, 40)).save("narrow.png")
    Image.fromarray(stripes(10, 64)).save("flat.png")
    Path("text.png").write_text("this is no picture\n")
    Path("empty.png").touch()
    Path("folder.png").mkdir()
    Path("notes").touch()
    return tmp_path


def refused(desk: Path, command: click.Command, arguments: list[object], words: str) -> None:
    before = content(desk), sorted(desk.rglob("*"))
    result = typed(command, *arguments)
    check_refusal(result.exit_code, result.stdout, result.stderr, words)
    assert (content(desk), sorted(desk.rglob("*"))) == before


# ---- help


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[-1][-17:])
def test_help_of_all_flags_shows_headings_and_defaults(command, tmp_path):
    result = process(*command, "--help_all", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    text = " ".join(result.stdout.split())
    if "train" in command[-1]:
        headings = ["Task:", *(f"{title}:" for title in SECTION_TITLES.values()), "Machine:", "Messages:"]
        flags = [s.name for s in config.settings()]
        usual = {s.name: TASKS["generation"].recipes["fast"].get(s.name, s.default) for s in config.settings()}
        defaults = {name: value for name, value in usual.items() if value not in (None, False, ())}
        assert (defaults["nfc"], defaults["max_size"], defaults["lr_g"], defaults["gamma"]) == (32, 40, "auto", 0.02)
        defaults |= {"nc_im": "by picture"}
    else:
        headings = ["Task:", "Sampling:", "Sampling: walk:", "Machine:", "Messages:"]
        flags = list(sampling_settings())
        defaults = {
            "gen_start_scale": 0,
            "frames": "100 or 9",
            "fps": 10.0,
            "num_samples": "50 or 1 or 9 or 3",
            "format": "png or gif",
        }
    places = [text.index(heading) for heading in headings]
    assert places == sorted(places)
    for name in flags:
        assert re.search(rf"--{name}\b", text)
    for name, default in defaults.items():
        shown = ",".join(map(str, default)) if isinstance(default, tuple) else default
        entry = re.search(rf"--{name}\b(?:, --\w+)*.*?(?= --|$)", text)
        assert entry
        assert f"[default: {shown}]" in entry.group(), name


def test_the_group_names_both_commands(tmp_path):
    result = process("-m", "consingan", "--help", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert re.search(r"^  train ", result.stdout, re.MULTILINE)
    assert re.search(r"^  sample ", result.stdout, re.MULTILINE)
    shown = result.stdout[result.stdout.index("Commands:") :].splitlines()[1:]
    names = [line.split()[0] for line in shown]
    changed = ["enlarge", "fill", "uncrop", "paint", "edit", "harmonize", "paste"]
    kept = ["open", "list", "score", "compare", "report", "export", "presets"]
    assert names == ["train", "batch", "sample", "style", *changed, *kept, "help"]
    assert not [line for line in shown if line.endswith("...")]  # as click cuts what is too long


def seconds(run: Callable[[], object]) -> float:
    """What a process that ``run`` starts takes of the processor."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


@pytest.fixture(scope="module")
def torch_seconds() -> float:
    return min(seconds(lambda: subprocess.run([sys.executable, "-c", "import torch"], check=True)) for _ in range(2))


@pytest.mark.parametrize(
    "arguments",
    [
        [TRAIN, "--help"],
        [SAMPLE, "--help"],
        [TRAIN, "missing.png"],
        [TRAIN, "a.png", "--nfc", "0"],
        [SAMPLE, "--model_dir", "missing"],
    ],
    ids=["help", "help of sampling", "missing picture", "bad value", "missing model"],
)
def test_help_and_refusals_take_much_less_than_importing_torch(arguments, desk, torch_seconds):
    own = min(seconds(lambda: process(*arguments, cwd=desk)) for _ in range(2))  # the first may have compiled modules
    assert own < 0.4 * torch_seconds


@pytest.mark.parametrize("words", [["train", "a.png", "--nfc", "x" * 5000], ["train", "--" + "x" * 5000], ["x" * 5000]])
def test_what_is_wrong_is_not_repeated_endlessly(words, desk):
    result = typed(cli.main, *words)
    assert result.exit_code == 2
    assert 80 < len(result.stderr) < 800


# ---- flags


@pytest.mark.parametrize("command", [cli.train, cli.sample], ids=["train", "sample"])
def test_dashes_and_underscores_are_the_same(command):
    def params(*words: str) -> dict:
        required = ["--model_dir", "x"] if command is cli.sample else []
        return command.make_context("x", [*required, *words]).params

    values = {"text": "word", "boolean": None}
    for param in command.get_params(click.Context(command)):
        for name in param.opts:
            if (
                not isinstance(param, click.Option)
                or not param.expose_value
                or len(name.strip("-").replace("-", "_").split("_")) == 1
            ):
                continue
            value = next(iter(getattr(param.type, "choices", [values.get(param.type.name, "3")])))
            words = [[spelt] if value is None else [spelt, value] for spelt in both_spellings(name)]
            assert params(*words[0]) == params(*words[1])
            assert params(*words[0])[param.name] not in (None, False), name


def both_spellings(flag: str) -> tuple[str, str]:
    return "--" + flag[2:].replace("_", "-"), "--" + flag[2:].replace("-", "_")


PUBLISHED = [
    "--gpu 0 --train_mode generation --input_name images/generation/angkorwat.jpg",
    "--gpu 0 --train_mode generation --input_name images/generation/angkorwat.jpg --lr_scale 0.5 --train_stages 7",
    "--gpu 0 --train_mode retarget --input_name images/retarget/balloons.jpg",
    "--gpu 0 --train_mode animation --input_name images/animation/lightning.jpg",
    "--gpu 0 --train_mode harmonization --train_stages 3 --min_size 120 --lrelu_alpha 0.3 --niter 1000 --batch_norm "
    "--input_name images/harmonization/scream.jpg --naive_img images/harmonization/scream_naive.jpg",
    "--gpu 0 --train_mode harmonization --input_name a.jpg --naive_img a_naive.jpg --fine_tune --model_dir models/a/x",
    "--gpu 0 --train_mode editing --batch_norm --niter 1000 --input_name images/editing/stone.png "
    "--naive_img images/editing/stone_edit.png",
    "--not_cuda --manualSeed 7 --nfc 32 --ker_size 5 --num_layer 4 --padd_size 1 --nc_im 1 --noise_amp 0.2 "
    "--max_size 200 --train_depth 2 --start_scale 1 --gamma 0.5 --lr_g 1e-4 --lr_d 1e-4 --beta1 0.9 --Gsteps 1 "
    "--Dsteps 1 --lambda_grad 1 --alpha 100 --activation prelu --input_name x.jpg",
]  # fmt: skip


@pytest.mark.parametrize("line", PUBLISHED)
def test_published_training_commands_are_understood(line):
    """Flags and values as in the published code; its defaults are checked in test_config."""
    words = shlex.split(line)
    params = cli.train.make_context("main_train.py", list(words)).params
    for flag, value in pairwise([*words, "--"]):
        if flag.startswith("--"):
            name = {"manualSeed": "seed"}.get(flag[2:], flag[2:])
            got = params[name]
            if value.startswith("--"):
                assert got is True
            elif isinstance(got, float):
                assert got == float(value)
            else:
                assert str(got[0] if isinstance(got, tuple) else got) == value


def test_published_sampling_commands_are_understood():
    line = "--gpu 0 --model_dir trained_models/a/x --num_samples 50 --naive_img a.jpg"
    params = cli.sample.make_context("evaluate_model.py", line.split()).params
    expected = {"gpu": 0, "model_dir": "trained_models/a/x", "num_samples": 50, "naive_img": "a.jpg", "seed": None}
    assert expected.items() <= params.items()


# ---- mistakes in training


MISTAKES = [
    # the picture
    ("", "No picture is given; name one, such as photo.jpg (--input_name)."),
    ("--input_name=", "No picture is given"),
    ("--input_name", "Option '--input_name' requires an argument."),
    ("missing.png", "There is no picture at missing.png; check the spelling of the path (--input_name)."),
    ("no/such/folder/a.png", "There is no picture at no/such/folder/a.png"),
    (
        "https://example.com/a.png",
        "https://example.com/a.png is an address, and nothing is fetched",
    ),
    ("folder.png", "folder.png is a folder; for a run of each of its pictures: ... batch folder.png, and for one"),
    ("text.png", "text.png is no picture that can be read"),
    ("empty.png", "empty.png is empty (0 bytes)"),
    ("pixel.png", "pixel.png has only 1x1 pixels: use a picture with at least 8 pixels"),
    ("narrow.png", "narrow.png has only 40x7 pixels"),
    ("flat.png", "The coarsest stage would be ... smaller than the critic's patch of 11 px; give --num_layer"),
    ("a.png --num_layer 15", "The coarsest stage would be 34x25 px, smaller than the critic's patch of 35 px"),
    ("a.png --ker_size 15", "The coarsest stage would be 34x25 px, smaller than the critic's patch of 71 px"),
    ("a.png --min_size 10", "The coarsest stage would be 14x10 px, smaller than the critic's patch of 11 px"),
    ("a.png --max_pixels 3000", "a.png has 64x48 pixels, above the limit of 3000"),
    ("a.png --background nocolour", "--background is 'nocolour', which is no colour"),
    ("a.png folder.png", "folder.png is a folder; name its pictures, or give the folder alone with --as_one."),
    # contradictions
    (
        "a.png --min_size 41",
        "--min_size 41, the shorter side of the coarsest stage, is above "
        "--max_size 40, the longer side of the finest; lower the one or raise the other.",
    ),
    ("a.png --padd_size 2", "--padd_size 2 is more than half of --ker_size 3; give at most 1."),
    ("a.png --start_scale 2", "--start_scale 2 leaves none of the --train_stages 2; give at most 1."),
    ("a.png --not_cuda --device cuda", "--not_cuda and --device cuda contradict each other; give one of them."),
    ("a.png --not-cuda --device cuda:1", "--not_cuda and --device cuda:1 contradict each other"),
    ("a.png --naive_img b.png", "--naive_img b.png does not go with --train_mode generation"),
    ("a.png --fine_tune", "--fine_tune is given without --model_dir"),
    ("a.png --model_dir x", "--model_dir x is the run to fine-tune, but --fine_tune is not given"),
    # values
    ("a.png --nc_im 2", "--nc_im is 2, but a.png has 3 channels: leave the flag out, or give 3"),
    ("a.png --ker_size 4", "--ker_size is 4, an even number; give an odd one, such as 5."),
    ("a.png --lr_g nan", "--lr_g is not a number; give a number above 0."),
    ("a.png --niter 10,0", "--niter is '10,0'; give a whole number of at least 1, or a list of them by stage."),
    ("a.png --niter 10,", "'--niter': '10,' is no whole number nor a list such as 2000,1000,500."),
    ("a.png --niter 1e3", "'--niter': '1e3' is no whole number"),
    ("a.png --niter -5", "'--niter': '-5' is no whole number"),
    ("a.png --niter " + "9" * 5000, "'--niter': ... is no whole number"),
    ("a.png --seed -1", "--seed is -1; give a number from 0 to 4294967295."),
    ("a.png --manualSeed 4294967296", "--seed is 4294967296; give a number from 0 to 4294967295."),
    ("a.png --nfc=", "'--nfc': '' is not a valid integer."),
    ("a.png --batch_norm=1", "'--batch_norm' does not take a value."),
    ("a.png --train_mode paint", "'--train_mode': 'paint' is not one of 'generation', 'retarget', 'animation'"),
    ("a.png --preset slow", "'--preset': 'slow' is not one of 'best', 'fast', 'paper', "),
    ("a.png --gpu -1", "--gpu is -1; give the number of a GPU, 0 for the first, or --not_cuda."),
    ("a.png --gpu first", "'--gpu': 'first' is not a valid integer."),
    ("a.png --device tpu", "--device is 'tpu'; give auto, cpu, mps, cuda or cuda:N."),
    ("a.png --device cuda:99", "cuda:99 is asked for, but this machine has "),
    ("a.png --checkpoint-every 0", "--checkpoint_every is 0.0; give a number of at least 1."),
    ("a.png --checkpoint-every nan", "--checkpoint_every is nan; give a number of at least 1."),
    ("a.png --log-format xml", "'--log_format': 'xml' is not one of 'rich', 'plain', 'json'"),
    ("a.png --nosuch", "No such option '--nosuch'."),
    # folders
    ("a.png --outdir a.png", "--outdir a.png: a file stands in the way of a.png/a; choose another folder."),
    ("--resume nowhere", "--resume nowhere does not exist; give the folder of a trained run."),
    ("--resume a.png", "--resume a.png is a file; give the run folder or its model.safetensors."),
    ("--resume folder.png", "--resume folder.png is no run (no config.json in it)"),
    ("--resume folder.png a.png", "--resume goes on with its own picture; give neither a picture nor --dry_run"),
    ("--resume folder.png --input_name a.png", "--resume goes on with its own picture"),
    ("--resume folder.png --dry-run", "--resume goes on with its own picture"),
]


@pytest.mark.parametrize(("line", "words"), MISTAKES, ids=[line[:50] or "nothing" for line, _ in MISTAKES])
def test_mistakes_in_training_are_one_sentence(line, words, desk):
    tiny = [] if line.startswith("--") else TINY  # later flags win: what a test names beats these
    refused(desk, cli.train, [*tiny, *line.split()], words)


def bad_values(s: config.Declared) -> list[tuple[str, str]]:
    """Values that a flag must refuse, each with words of the message."""
    how, kind = s.setting, s.plain_kind
    if how.choices:
        return [("nonsense", "'nonsense'")]
    if kind is config.Iterations:
        return [("0", "at least 1"), ("x", "'x' is no whole number"), ("1.5", "'1.5' is no whole number")]
    if kind not in (int, float):
        return []
    wrong = [("x", "'x' is not a valid"), *([("1.5", "'1.5' is not a valid")] if kind is int else [])]
    if kind is float:
        wrong += [("nan", "not a number"), ("inf", "inf; give a number"), ("-inf", "-inf; give a number")]
    for bound, beyond in ((how.low, -1), (how.high, 1), (how.above, 0)):
        if bound is not None:
            wrong.append((str(kind(bound + beyond)), f"give a number ... {bound}"))
    return wrong


@pytest.mark.parametrize("s", [s for s in config.settings() if bad_values(s)], ids=lambda s: s.name)
def test_every_training_flag_refuses_what_is_out_of_range(s, desk):
    for value, words in bad_values(s):
        refused(desk, cli.train, ["a.png", *TINY, f"--{s.name}", value], f"--{s.name} ... {words}")


@pytest.mark.parametrize("name", ["a\nb.png", "a\x1b[31m.png", "a\udcff.png"])
def test_odd_names_stay_on_one_line(name, desk):
    result = typed(cli.train, name)
    check_refusal(result.exit_code, result.stdout, result.stderr, "There is no picture at a")
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.strip().isprintable()


@pytest.mark.parametrize(
    "message",
    ["CUDA out of memory. Tried to allocate 20 GiB", "DefaultCPUAllocator: can't allocate memory: you tried", None],
)
def test_memory_that_runs_out_is_one_sentence(message, desk, monkeypatch):
    import consingan.training.estimate

    def full(*arguments):
        raise RuntimeError(message) if message else MemoryError

    monkeypatch.setattr(consingan.training.estimate, "estimate", full)
    refused(desk, cli.train, ["a.png", *TINY], "There is not enough memory for this; choose a smaller size")


def test_faults_of_ours_are_not_hidden(desk, monkeypatch):
    import consingan.training.estimate

    def broken(*arguments):
        raise RuntimeError("shapes do not fit")

    monkeypatch.setattr(consingan.training.estimate, "estimate", broken)
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        typed(cli.train, "a.png", *TINY)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([TRAIN, "text.png"], "text.png is no picture that can be read"),
        ([TRAIN, "a.png", "--lr_g", "fast"], "'--lr_g': 'fast' is not a valid float."),
        (["-m", "consingan", "train", "a.png", "--niter", "0"], "--niter is '0'"),
        ([SAMPLE, "--model_dir", "a.png"], "--model_dir a.png is a file"),
        (["-m", "consingan", "sample"], "nothing is given to sample; name one run folder or one picture"),
        (["-m", "consingan", "dance"], "No such command 'dance'."),
    ],
)
def test_mistakes_in_real_commands(arguments, words, desk):
    before = content(desk)
    result = process(*arguments, cwd=desk)
    check_refusal(result.returncode, result.stdout, result.stderr, words)
    assert content(desk) == before


# ---- mistakes in sampling


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--size foo", "--size is 'foo'; give WIDTHxHEIGHT in pixels, as 600x400."),
        ("--size 60", "--size is '60'; give WIDTHxHEIGHT"),
        ("--size 60x40x3", "--size is '60x40x3'; give WIDTHxHEIGHT"),
        ("--size -60x40", "--size is '-60x40'; give WIDTHxHEIGHT"),
        ("--size 60x7", "The output size 60x7 has a side outside 8 to 32768 px"),
        ("--size 32769x40", "--size is 32769x40 px; give sides from 1 to 32768 px."),
        ("--size 60x40 --scale_h 2", "--size 60x40 and --scale_h or --scale_w contradict each other; give one."),
        ("--size 60x40 --scale-w 2", "--size 60x40 and --scale_h or --scale_w contradict each other; give one."),
        ("--scale_w 0.1", "The output size 4x30 has a side outside 8 to 32768 px"),
        ("--scale_h 0", "--scale_h is 0.0; give a number above 0 and at most 100."),
        ("--scale_h nan", "--scale_h is not a number"),
        ("--gen_start_scale 2", "--gen_start_scale is 2, but this model has stages 0 to 1; give one of them."),
        (
            "--beta 0.5",
            "--beta is a flag of --application walk, not of samples; leave it out, or give --application walk.",
        ),
        ("--frames 3", "--frames is a flag of --application walk, turn, not of samples"),
        ("--mask a.png", "--mask a.png is given without --like ... --application harmonize"),
        ("--num_samples 0", "--num_samples is 0; give a number from 1 to 100000."),
        ("--num_samples few", "'--num_samples': 'few' is not a valid integer."),
        ("--seed -1", "--seed is -1; give a number from 0 to 4294967295."),
        ("--format gif", "--format is 'gif'; choose one of png, jpg, webp, tif, npy."),
        ("--format bmp", "'--format': 'bmp' is not one of "),
        ("--gpu -1", "--gpu is -1"),
        ("--not_cuda --device cuda", "--not_cuda and --device cuda contradict each other"),
        ("--out a.png", "--out a.png exists already; name another file, or move it away."),
        ("--out notes", "--out notes is no folder; name one, or a new picture such as new.png."),
        ("--out /dev/full", "--out /dev/full is no folder"),
    ],
)
def test_mistakes_in_sampling_are_one_sentence(line, words, desk, trained_run):
    before = content(trained_run)
    refused(desk, cli.sample, ["--model_dir", trained_run, *line.split()], words)
    assert content(trained_run) == before


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            "--size 60x40",
            "--size is a flag of --application samples, paint, instant, not of walk; leave it out, or give ",
        ),
        ("--gen_start_scale 1", "--gen_start_scale is a flag of --application samples, instant, not of walk"),
        ("--start_scale 3", "--start_scale is 3, but this model has stages 0 to 2; give one of them."),
        ("--alpha 1.1", "--alpha is 1.1; give a number from 0 to 1."),
        ("--beta nan", "--beta is not a number; give a number from 0 to 1."),
        ("--frames 0", "--frames is 0; give a number from 1 to 10000."),
        ("--fps 0.05", "--fps is 0.05; give a number from 0.1 to 50."),
        ("--fps 51", "--fps is 51.0; give a number from 0.1 to 50."),
        ("--format jpg", "--format is 'jpg'; choose one of gif, webp, png."),
    ],
)
def test_mistakes_in_animating_are_one_sentence(line, words, desk, animation_run):
    before = content(animation_run)
    refused(desk, cli.sample, ["--model_dir", animation_run, *line.split()], words)
    assert content(animation_run) == before


def test_model_folders_that_are_none(desk, trained_run):
    shutil.copytree(trained_run.parent.parent, "runs")
    (run,) = Path("runs/stripes").iterdir()
    for folder, words in {
        "nowhere": "--model_dir nowhere does not exist; give the folder of a trained run.",
        "a.png": "--model_dir a.png is a file; give the run folder or its model.safetensors.",
        "folder.png": "--model_dir folder.png is no run (no config.json, no model.safetensors in it)",
        "runs/nowhere": f"--model_dir runs/nowhere does not exist (runs below runs: {run}); give the folder",
        f"{run}/config.json": "config.json is a file; give the run folder",
        f"{run}/samples": "samples is no run",
    }.items():
        refused(desk, cli.sample, ["--model_dir", folder], words)
    (run / "model.safetensors").unlink()
    refused(desk, cli.sample, ["--model_dir", run], "has no model.safetensors yet; resume or repeat the training.")


def test_model_files_that_are_none(desk, trained_run):
    shutil.copytree(trained_run, "run")
    file = Path("run/model.safetensors")
    good = file.read_bytes()
    for data in (b"", b"hello", good[:100], good[:-1], good + b"x", b"\xff" * 200):
        file.write_bytes(data)
        refused(desk, cli.sample, ["--model_dir", "run"], "run/model.safetensors ")


def test_a_model_of_a_task_that_is_not_known_here(desk, trained_run):
    shutil.copytree(trained_run, "run")
    file = Path("run/model.safetensors")
    tensors, header = files.load_tensors(file)
    header["config"]["mode"] = "paint"
    files.save_tensors(file, tensors, header)
    refused(desk, cli.sample, ["--model_dir", "run"], "run/model.safetensors is of the task 'paint', unlike generation")
    values = json.loads(Path("run/config.json").read_text())
    Path("run/config.json").write_text(json.dumps({**values, "mode": "paint"}))
    refused(desk, cli.train, ["--resume", "run"], "run/config.json is of the task 'paint', unlike generation")


# ---- training


def log_of(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("mode", OF_ONE)
def test_training_fills_the_run_folder(mode, desk):
    result = typed(cli.train, "a.png", *TINY, "--train_mode", mode, "--min_size", 25, "--seed", 3, "--gpu", 0)
    assert result.exit_code == 0, result.output
    folder = Path(result.stdout.strip())
    assert result.stdout == f"{folder}\n"
    recipe = TASKS[mode].recipes[plan.DEFAULT_PRESET]
    scale, slope = recipe.get("lr_scale", 0.1), recipe.get("lrelu_alpha", 0.05)
    norm = "_BN" if recipe.get("batch_norm") else ""
    assert folder.parent == Path("trained_models/a")
    name = rf"\d{{4}}(_\d\d){{5}}_{mode}_train_depth_3_lr_scale_{scale}{norm}_act_lrelu_{slope}"
    assert re.fullmatch(name, folder.name)

    expected = {
        "config.json",
        "environment.json",
        "log.jsonl",
        "pyramid",
        "samples",
        "checkpoints",
        "model.safetensors",
    }
    assert expected <= {path.name for path in folder.iterdir()}
    sizes = []
    for stage in range(2):
        with Image.open(folder / f"pyramid/{stage}.png") as real:
            sizes.append(real.size)
    coarsest = (32, 24) if mode == "enlargement" else (34, 25)  # SinGAN's ratio of neighbouring stages
    assert sizes == [coarsest, (40, 30)]
    settings = config.from_json(json.loads((folder / "config.json").read_text()), "config.json")
    assert (settings.mode, settings.image) == (mode, "a.png")
    typed_values = {"max_size": 40, "train_stages": 2, "niter": (2,), "nfc": 4, "seed": 3, "nc_im": 3}
    assert typed_values.items() <= config.flat(settings).items()
    assert json.loads((folder / "environment.json").read_text())["command"]
    assert {path.name for path in (folder / "samples").iterdir()} == {"stage_0", "stage_1"}
    assert list((folder / "samples/stage_1").rglob("*.png"))
    assert Checkpoints(folder / "checkpoints").newest(pytest.fail)[1]["iteration"] == 2
    done = [(r["stage"], r["iteration"]) for r in log_of(folder) if r["event"] == "iteration"]
    assert done == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert f"--model_dir {folder}" in result.stderr.splitlines()[-1]


def test_a_run_says_what_it_costs_and_on_what_it_runs(desk, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    result = typed(cli.train, "a.png", *TINY, "--gpu", 0, "--log-format", "plain")
    lines = result.stderr.splitlines()
    assert lines[0] == "Loading ..."
    assert re.fullmatch(r"No CUDA GPU was found for --gpu 0: this runs on the CPU \(\d+ threads?\)\.", lines[1])
    cost = (
        r"Training generation on the CPU \(\d+ threads?\): 2 stages up to 40x30 px, about \d+ s and \d+ MB of memory\."
    )
    assert re.fullmatch(cost, lines[2])
    assert lines[3] == f"Run folder: {result.stdout.strip()}"
    assert not [line for line in typed(cli.train, "a.png", *TINY).stderr.splitlines() if "No CUDA GPU" in line]


def test_quiet_says_nothing_but_the_folder(desk):
    result = typed(cli.train, "a.png", *TINY, "--quiet", "--gpu", 0)
    assert result.stderr == ""
    folder = Path(result.stdout.removesuffix("\n"))
    assert (folder / "model.safetensors").is_file()
    result = typed(cli.sample, "--model_dir", folder, "--num_samples", 1, "--quiet", "--gpu", 0)
    assert (result.stdout, result.stderr) == (f"{folder}/Evaluation\n", "")


def test_json_lines_are_those_of_the_log(desk):
    result = typed(cli.train, "a.png", *TINY, "--log-format", "json", "--gpu", 0)
    lines = [json.loads(line) for line in result.stderr.splitlines()]
    assert lines == log_of(Path(result.stdout.strip()))
    events = {"started", "message", "begin_stage", "iteration", "figures", "stage", "pictures", "finished"}
    assert {line["event"] for line in lines} == events
    sampled = typed(cli.sample, "--model_dir", result.stdout.strip(), "--num_samples", 1, "--log-format", "json")
    assert {json.loads(line)["event"] for line in sampled.stderr.splitlines()} == {"message"}


def test_a_grey_picture_is_trained_with_one_channel(desk):
    Image.fromarray(stripes()[..., 0]).save("grey.png")
    result = typed(cli.train, "grey.png", *TINY)
    folder = Path(result.stdout.strip())
    assert json.loads((folder / "config.json").read_text())["network"]["nc_im"] == 1
    assert "The picture is grey and is used as one channel." in result.stderr
    typed(cli.sample, "--model_dir", folder, "--num_samples", 1, "--size", "40x30")
    with Image.open(folder / "Evaluation/samples_40x30_start_0/seed_0_sample_000.png") as sample:
        assert sample.mode == "L"
    forced = Path(typed(cli.train, "grey.png", *TINY, "--nc_im", 3, "--quiet").stdout.strip())
    assert json.loads((forced / "config.json").read_text())["network"]["nc_im"] == 3


def test_the_same_seed_trains_the_same_model(desk):
    def weights(*flags: object) -> dict:
        folder = Path(typed(cli.train, "a.png", *TINY, *flags, "--not_cuda", "--quiet").stdout.strip())
        return files.load_tensors(folder / "model.safetensors")[0]

    one, same, other = weights("--seed", 3), weights("--manualSeed", 3), weights()
    assert all((one[name] == same[name]).all() for name in one)
    assert not all((one[name] == other[name]).all() for name in one)


@pytest.mark.parametrize("name", ["my holiday - day 2.v1.0.png", "-dash.png", "käse.PNG", "1e-05.png"])
def test_names_with_spaces_dashes_and_dots(name, desk):
    shutil.copy("a.png", name)
    outdir = "out put-1.x"
    result = typed(cli.train, f"--input_name=./{name}", *TINY, "--outdir", outdir)
    folder = Path(result.stdout.removesuffix("\n"))
    assert folder.parent == Path(outdir) / name.rsplit(".", 1)[0].replace("-dash", "_dash")
    advice = shlex.split(result.stderr.splitlines()[-1])
    arguments = advice[advice.index("consingan") + 2 :]
    assert arguments == ["--model_dir", str(folder)]
    assert typed(cli.sample, *arguments, "--num_samples", 1, "--size", "40x30").exit_code == 0


def test_real_commands_from_another_folder(desk):
    """Training and sampling as the README says, the second by what the first one printed."""
    shutil.copy("a.png", "my photo.v2.png")
    trained = process(TRAIN, "--gpu", 0, "--train_mode", "retarget", "--input_name", "my photo.v2.png", *TINY, cwd=desk)
    assert trained.returncode == 0, trained.stderr
    folder = trained.stdout.strip()
    sampled = process(
        "-m", "consingan", "sample", "--model-dir", folder, "--num-samples", 1, "--size", "60x40", cwd=desk
    )
    assert sampled.returncode == 0, sampled.stderr
    assert sampled.stdout == f"{folder}/Evaluation\n"
    with Image.open(desk / folder / "Evaluation/samples_60x40_start_0/seed_0_sample_000.png") as sample:
        assert sample.size == (60, 40)


# ---- dry run


def test_a_dry_run_writes_nothing_and_shows_everything(desk):
    before = content(desk), sorted(desk.rglob("*"))
    result = typed(cli.train, "a.png", "--max_size", 40, "--niter", "30,20", "--dry-run")
    assert result.exit_code == 0
    assert (content(desk), sorted(desk.rglob("*"))) == before
    rows = dict(re.findall(r"^  (\w+) +(.*\S)$", result.stdout, re.MULTILINE))
    assert {s.name for s in config.settings() if not s.entries or "wgan-gp" in s.entries} <= set(rows)
    for name, value, origin in [
        ("max_size", "40", "flag"),
        ("niter", "30,20", "flag"),
        ("Dsteps", "1", "preset fast"),
        ("precision", "auto", "default"),
        ("nc_im", "3", "picture"),
        ("nfc", "32", "preset fast"),
        ("positions", "1.0", "preset fast"),
        ("finish", "patches", "preset fast"),
        ("lr_g", "0.00075", "auto, by the width"),
        ("lr_scale", "0.1", "default"),
    ]:
        assert re.fullmatch(rf"{value} +{origin}", rows[name]), name
    stages = re.findall(r"^  stage (\d): (\d+)x(\d+) px, (\d+) iterations of [\d.e-]+ s$", result.stdout, re.MULTILINE)
    assert [int(stage[3]) for stage in stages] == [30, 20, 20]
    assert stages[0][:3] == ("0", "22", "16")
    assert stages[2][:3] == ("2", "40", "30")
    assert "parameters: generator 84,995, critic 29,505" in result.stdout  # two channels more: row and column
    (folder,) = re.findall(r"^run folder: (.*)$", result.stdout, re.MULTILINE)
    assert re.fullmatch(r"trained_models/a/[\d_]{19}_generation_train_depth_3_lr_scale_0.1_act_lrelu_0.05", folder)


def test_a_dry_run_shows_the_stages_that_auto_proposes(desk):
    flags = ("--nfc", 2, "--num_layer", 1, "--min_size", 25, "--max_size", 4096, "--dry-run")
    result = typed(cli.train, "a.png", "--train_stages", "auto", *flags)
    assert re.search(r"^  train_stages +3 +auto, by the picture's size$", result.stdout, re.MULTILINE)
    assert len(re.findall(r"^  stage \d", result.stdout, re.MULTILINE)) == 3  # 64 px long
    result = typed(cli.train, "a.png", "--train_stages", "many", *flags)
    assert result.exit_code == 2
    assert "'many' is not a valid integer" in result.output


def test_auto_stages_are_those_of_the_run_that_is_resumed(trained_run):
    result = typed(cli.train, "--resume", trained_run, "--train_stages", "auto", "--log-format", "plain")
    assert result.exit_code == 0
    assert "is finished" in result.stderr


def test_a_preset_is_named_as_origin(desk):
    result = typed(cli.train, "a.png", "--preset", "quick", "--max_size", 40, "--nfc", 4, "--num_layer", 1, "--dry-run")
    niter = ",".join(map(str, TASKS["generation"].recipes["quick"]["niter"]))
    assert re.search(rf"^  niter +{niter} +preset quick$", result.stdout, re.MULTILINE)
    assert re.search(r"^  max_size +40 +flag$", result.stdout, re.MULTILINE)


def test_what_auto_became_is_named(desk):
    result = typed(
        cli.train, "a.png", "--max_size", 40, "--nfc", 4, "--num_layer", 1, "--niter", "auto", "--work", 2, "--dry-run"
    )
    assert re.search(r"^  niter +[\d,]+ +auto, by the stages' sizes$", result.stdout, re.MULTILINE)
    assert re.search(r"^  lr_g +0.006 +auto, by the width$", result.stdout, re.MULTILINE)
    assert re.search(r"^  work +2.0 +flag$", result.stdout, re.MULTILINE)
    assert re.search(r"^  max_size +40 +flag$", result.stdout, re.MULTILINE)


# ---- sampling


@pytest.fixture
def sampled(trained_run, tmp_path):
    """A function that samples the finished run and gives the folder."""
    count = 0

    def sample(*flags: object) -> Path:
        nonlocal count
        count += 1
        out = tmp_path / f"out {count}"
        result = typed(cli.sample, "--model_dir", trained_run, "--out", out, "--not_cuda", *flags)
        assert result.exit_code == 0, result.output
        assert result.stdout == f"{out}\n"
        return out

    return sample


def pictures_in(folder: Path) -> list[Path]:
    """The results below a folder, without their index."""
    return [path for path in folder.rglob("*.*") if path.name != "results.json"]


def sizes_of(folder: Path) -> dict[str, tuple[int, int]]:
    """Width and height of every picture below a folder."""
    sizes = {}
    for path in pictures_in(folder):
        with Image.open(path) as picture:
            sizes[path.relative_to(folder).as_posix()] = picture.size
    return sizes


def pixels_of(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture).astype(float)


def test_without_flags_the_four_published_sizes_are_drawn(sampled):
    expected = {}
    for width, height in [(40, 30), (80, 30), (40, 60), (80, 60)]:
        folder = f"samples_{width}x{height}_start_0"
        expected |= {f"{folder}/seed_0_sample_{k:03d}.png": (width, height) for k in range(2)}
        expected |= {f"{folder}/grid.png": (2 * width + 2, height)}
    assert sizes_of(sampled("--num_samples", 2)) == expected


@pytest.mark.parametrize(
    ("flags", "size"),
    [
        (("--size", "60x40"), (60, 40)),
        (("--size", "35X61"), (35, 61)),
        (("--scale_h", "2"), (40, 60)),
        (("--scale_w", "1.5"), (60, 30)),
        (("--scale-h", "0.5", "--scale-w", "3"), (120, 15)),
    ],
)
def test_sizes(sampled, flags, size):
    folder = f"samples_{size[0]}x{size[1]}_start_0"
    expected = {f"{folder}/seed_0_sample_000.png": size}
    assert sizes_of(sampled("--num_samples", 1, *flags)) == expected


def test_seeds_and_numbers(sampled):
    """The same seed gives the same bytes; the first of many are the few; another seed gives other pictures."""

    def files(*flags: object) -> list[Path]:
        folder = sampled("--size", "40x30", *flags) / "samples_40x30_start_0"
        return sorted(folder.glob("seed_*"))

    def as_bytes(paths: list[Path]) -> list[bytes]:
        return [path.read_bytes() for path in paths]

    three = files("--num_samples", 3)
    assert as_bytes(files("--num_samples", 3, "--seed", 0)) == as_bytes(three)
    assert as_bytes(files("--num_samples", 2)) == as_bytes(three[:2])
    pictures = [pixels_of(path) for path in [*three, *files("--num_samples", 3, "--manualSeed", 1)]]
    for one, other in combinations(pictures, 2):
        assert np.abs(one - other).mean() > 3  # of 255


def test_a_picture_holds_what_is_needed_to_make_it_again(sampled, trained_run):
    folder = sampled("--num_samples", 2, "--seed", 5, "--size", "40x30", "--gen_start_scale", 1)
    with Image.open(folder / "samples_40x30_start_1/seed_5_sample_001.png") as picture:
        assert picture.text == {
            "model": trained_run.name,
            "seed": "5",
            "sample": "1",
            "gen_start_scale": "1",
            "variation": "1",
            "finish": "none",
        }


def test_a_later_start_is_closer_to_the_picture(sampled):
    def distance(start: int) -> float:
        folder = sampled("--num_samples", 4, "--size", "40x30", "--gen_start_scale", start, "--reconstruction")
        reconstruction = pixels_of(folder / "reconstruction.png")
        samples = [pixels_of(path) for path in (folder / f"samples_40x30_start_{start}").glob("seed_*")]
        return float(np.mean([np.abs(sample - reconstruction).mean() for sample in samples]))

    assert 1 < distance(1) < 0.7 * distance(0)


@pytest.mark.parametrize(("extension", "kind"), [("png", "PNG"), ("jpg", "JPEG"), ("webp", "WEBP"), ("tif", "TIFF")])
def test_formats(sampled, extension, kind):
    folder = sampled("--num_samples", 1, "--size", "40x30", "--format", extension, "--reconstruction")
    files = sorted(path.relative_to(folder).as_posix() for path in pictures_in(folder))
    assert files == [f"reconstruction.{extension}", f"samples_40x30_start_0/seed_0_sample_000.{extension}"]
    for path in pictures_in(folder):
        with Image.open(path) as picture:
            assert (picture.format, picture.size) == (kind, (40, 30))


def test_the_model_file_serves_as_well_as_its_folder(trained_run, tmp_path):
    for number, place in enumerate((trained_run, trained_run / "model.safetensors")):
        typed(cli.sample, "--model_dir", place, "--out", tmp_path / str(number), "--num_samples", 1)
    one, two = (content_of(tmp_path / str(number)) for number in range(2))
    assert one == two


def content_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.*")}


def test_the_twelve_published_animations(animation_run, tmp_path):
    result = typed(cli.sample, "--model_dir", animation_run, "--finish", "none", "--frames", 3, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    names = {
        f"animation_start_{start}_alpha_0.1_beta_{beta}_seed_0.gif"
        for start in (0, 1, 2)
        for beta in ("0.8", "0.85", "0.9", "0.95")
    }
    assert {path.name for path in pictures_in(tmp_path)} == names
    for name in names:
        with Image.open(tmp_path / name) as animation:
            assert animation.size == (40, 30)
            assert frame_times(animation) == [100, 100, 100]


def frame_times(animation: Image.Image) -> list[float]:
    """Milliseconds of each frame."""
    times = []
    for frame in range(animation.n_frames):
        animation.seek(frame)
        animation.load()  # WebP tells the time only then
        times.append(animation.info["duration"])
    return times


@pytest.mark.parametrize(
    ("line", "name", "kind", "times"),
    [
        ("--beta 0.5 --frames 4", "start_0_alpha_0.1_beta_0.5_seed_0.gif", "GIF", [100] * 4),
        ("--alpha 0.2 --frames 4 --fps 20", "start_0_alpha_0.2_beta_0.9_seed_0.gif", "GIF", [50] * 4),
        ("--start_scale 1 --seed 9 --frames 2", "start_1_alpha_0.1_beta_0.9_seed_9.gif", "GIF", [100] * 2),
        ("--beta 0.9 --frames 2 --format webp", "start_0_alpha_0.1_beta_0.9_seed_0.webp", "WEBP", [100] * 2),
        ("--beta 0.9 --frames 2 --format png", "start_0_alpha_0.1_beta_0.9_seed_0.png", "PNG", [100] * 2),
        ("--finish moved --beta 0.9 --frames 2", "start_0_alpha_0.1_beta_0.9_seed_0_moved.gif", "GIF", [100] * 2),
    ],
)
def test_one_animation_of_ones_own(line, name, kind, times, animation_run, tmp_path):
    typed(cli.sample, "--model_dir", animation_run, "--finish", "none", *line.split(), "--out", tmp_path)
    assert [path.name for path in pictures_in(tmp_path)] == [f"animation_{name}"]
    with Image.open(tmp_path / f"animation_{name}") as animation:
        assert animation.format == kind
        assert frame_times(animation) == times


# ---- stopping and going on


ENDLESS = ("--max_size", 40, "--train_stages", 1, "--nfc", 4, "--num_layer", 1, "--Gsteps", 1, "--Dsteps", 1)


def stopped_by(number: int, desk: Path, niter: int) -> subprocess.CompletedProcess[str]:
    """A real training that got a signal as soon as it had begun its stage."""
    arguments = (TRAIN, "a.png", *ENDLESS, "--niter", niter, "--outdir", "my runs", "--log-format", "plain")
    child = subprocess.Popen(
        command_line(arguments), cwd=desk, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        patience = time.monotonic() + 300
        while not [log for log in desk.glob("my runs/a/*/log.jsonl") if '"begin_stage"' in log.read_text()]:
            assert child.poll() is None, child.communicate()[1]
            assert time.monotonic() < patience
            time.sleep(0.02)
        child.send_signal(number)
        out, err = child.communicate(timeout=300)
    finally:
        child.kill()
    return subprocess.CompletedProcess(arguments, child.returncode, out, err)


def test_ctrl_c_keeps_what_was_done_and_the_printed_command_goes_on(desk):
    niter = 300
    stopped = stopped_by(signal.SIGINT, desk, niter)
    assert stopped.returncode == 130, stopped.stderr
    assert "Traceback" not in stopped.stderr
    folder = Path(stopped.stdout.removesuffix("\n"))
    newest = Checkpoints(folder / "checkpoints").newest(pytest.fail)
    assert newest
    assert 1 <= newest[1]["iteration"] < niter

    (advice,) = [line for line in stopped.stderr.splitlines() if line.startswith("Stopped and saved")]
    words = shlex.split(advice)
    script = words.index("main_train.py")
    assert words[script - 1] == "python"
    assert words[script + 1 :] == ["--resume", str(folder)]
    resumed = process(TRAIN, *words[script + 1 :], cwd=desk)
    assert resumed.returncode == 0, resumed.stderr
    assert resumed.stdout == stopped.stdout
    assert f"Going on at stage 1 of 1, iteration {newest[1]['iteration']}." in resumed.stderr

    final = Checkpoints(folder / "checkpoints").newest(pytest.fail)
    assert final
    assert final[1]["iteration"] == niter
    assert (folder / "model.safetensors").is_file()
    resumed_at = [r["start_iteration"] for r in log_of(folder) if r["event"] == "begin_stage"]
    assert resumed_at == [0, newest[1]["iteration"]]
    assert [r["iteration"] for r in log_of(folder) if r["event"] == "iteration"][-1] == niter - 1


def test_sigterm_ends_with_its_own_code(desk):
    stopped = stopped_by(signal.SIGTERM, desk, 100_000)
    assert stopped.returncode == 143, stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert list(Path(stopped.stdout.strip(), "checkpoints").glob("*.safetensors"))


@pytest.fixture
def unfinished(desk, monkeypatch) -> Path:
    """A run that was stopped after its first iteration."""
    from consingan.training import signals

    with monkeypatch.context() as patch:
        patch.setattr(signals.StopRequest, "__call__", lambda self: True)
        result = typed(cli.train, "a.png", *TINY, "--outdir", "runs", "--quiet")
    assert result.exit_code == 128
    return Path(result.stdout.strip())


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--nfc 9", "--nfc is 9 but the run to resume has 4; leave the flag out or start a new run."),
        ("--niter 5,4", "--niter is 5,4 but the run to resume has 2; leave the flag out or start a new run."),
        ("--train_mode animation", "--train_mode is animation but the run to resume has generation"),
        ("--preset quick", "--preset is for new runs; leave it out beside --resume."),
        ("--outdir elsewhere", "--outdir is for new runs; leave it out beside --resume."),
        ("--background black", "--background is for new runs; leave it out beside --resume."),
    ],
)
def test_a_resumed_run_keeps_its_settings(line, words, desk, unfinished):
    refused(desk, cli.train, ["--resume", unfinished, *line.split()], words)


def test_the_same_settings_may_stand_beside_resume(unfinished):
    result = typed(cli.train, "--resume", unfinished, *TINY, "--train_mode", "generation", "--log-format", "plain")
    assert result.exit_code == 0, result.output
    assert "Going on at stage 1 of 2, iteration 1." in result.stderr
    assert (unfinished / "model.safetensors").is_file()


def test_a_run_at_which_another_process_works_is_left_alone(desk, unfinished):
    with Run(unfinished).lock():
        refused(desk, cli.train, ["--resume", unfinished], f"Another process is at work in {unfinished}")


def test_a_run_without_checkpoint_cannot_be_gone_on_with(desk, unfinished):
    shutil.rmtree(unfinished / "checkpoints")
    result = typed(cli.train, "--resume", unfinished)
    check_refusal(result.exit_code, result.stdout, result.stderr, "holds no checkpoint to go on from; start a new run.")


def test_a_broken_configuration_is_refused_by_file_and_key(desk, unfinished):
    file = unfinished / "config.json"
    values = json.loads(file.read_text())
    for broken, words in [
        ("{", f"{file} is damaged"),
        ("[]", f"{file} holds no configuration"),
        (json.dumps({**values, "schema": 99}), f"{file} has schema 99, newer than 1"),
        (json.dumps({**values, "network": {**values["network"], "nfc": "4"}}), f"{file} ... --nfc is '4'"),
    ]:
        file.write_text(broken)
        refused(desk, cli.train, ["--resume", unfinished], words)


def test_a_finished_run_is_left_as_it_is(desk, trained_run):
    shutil.copytree(trained_run, "run")
    before = Path("run/model.safetensors").read_bytes()
    result = typed(cli.train, "--resume", "run")
    assert (result.exit_code, result.stdout) == (0, "run\n")
    assert Path("run/model.safetensors").read_bytes() == before
