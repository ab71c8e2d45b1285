"""The run folder: names that cannot escape, two runs in one second, refusals, one process at a time."""

from __future__ import annotations

import errno
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from consingan.command.cli import main
from consingan.errors import UserError
from consingan.storage import run as run_module
from consingan.storage import runs
from consingan.storage.machine import environment
from consingan.storage.run import Run, folder_for, label, safe_name

ROOT = Path(run_module.__file__).parents[2]
NOW = datetime(2026, 11, 21, 10, 15, 0)
LABEL = "generation_train_depth_3_lr_scale_0.1_act_lrelu_0.05"


def trained(folder: Path) -> Path:
    """A folder that looks like a finished run."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"x")
    return folder


# ---- names


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (("generation", None, 3, 0.1, False, "lrelu", 0.05), LABEL),
        (
            ("retarget", False, 3, 0.5, False, "lrelu", 0.05),
            "retarget_train_depth_3_lr_scale_0.5_act_lrelu_0.05",
        ),
        (
            ("harmonization", None, 3, 0.1, True, "lrelu", 0.3),
            "harmonization_train_depth_3_lr_scale_0.1_BN_act_lrelu_0.3",
        ),
        (
            ("harmonization", "fine-tune", 1, 0.1, True, "lrelu", 0.3),
            "harmonization_fine-tune_train_depth_1_lr_scale_0.1_BN_act_lrelu_0.3",
        ),
        (("editing", None, 3, 1e-05, True, "elu", 0.05), "editing_train_depth_3_lr_scale_1e-05_BN_act_elu"),
        (("animation", None, 6, 1, False, "prelu", 0.05), "animation_train_depth_6_lr_scale_1.0_act_prelu"),
    ],
)
def test_labels(values, expected):
    assert label(*values) == expected
    assert safe_name(expected, run_module.MAX_LABEL_BYTES) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("quay", "quay"),
        ("heidelberg-bridge", "heidelberg-bridge"),
        ("my picture", "my picture"),
        ("käse", "käse"),
        ("a.b.c", "a.b.c"),
        ("", "picture"),
        (".", "picture"),
        ("..", "picture"),
        (" . ", "picture"),
        (".hidden", "hidden"),
        ("--help", "_help"),
        ("a\0b\nc", "a_b_c"),
        ('<>:"|?*', "_______"),
        ("a/b\\c", "a_b_c"),
        ("con", "_con"),
        ("NUL.txt", "_NUL.txt"),
        ("Com1", "_Com1"),
        ("console", "console"),
        ("x\u202egpj", "x_gpj"),  # turns the text round on a screen
        ("x\udcff", "x_"),
        ("x" * 300, "x" * 80),
        ("ü" * 300, "ü" * 40),
    ],
)
def test_safe_names(name, expected):
    assert safe_name(name) == expected
    assert safe_name(expected) == expected


ANY_NAME = st.text(max_size=300) | st.text(alphabet="./\\-: ~\0\naA", max_size=30)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(image=ANY_NAME, words=ANY_NAME)
@example(image="../../../etc/passwd", words="../../x")
@example(image="/etc/passwd", words="/x")
@example(image="C:\\Windows\\system32", words="..")
@example(image="-rf", words="")
def test_no_name_leads_out_of_outdir(tmp_path, image, words):
    run = Run.create(tmp_path, image, words, NOW)
    inside = run.folder.resolve().relative_to(tmp_path.resolve())
    assert len(inside.parts) == 2
    assert run.folder.is_dir()
    for part in inside.parts:
        assert len(part.encode()) < 256
        assert not part.startswith(("-", "."))
        assert not part.endswith((" ", "."))
        assert not set(part) & set('<>:"/\\|?*\0')
    assert run.folder.name.startswith("2026_11_21_10_15_00_")


def test_every_path_has_a_name(tmp_path):
    run = Run(tmp_path)
    names = {name: getattr(run, name).relative_to(tmp_path).as_posix() for name in dir(Run) if name in PATHS}
    assert names == PATHS


PATHS = {
    "config": "config.json",
    "environment": "environment.json",
    "log": "log.jsonl",
    "pyramid": "pyramid",
    "samples": "samples",
    "checkpoints": "checkpoints",
    "model": "model.safetensors",
    "evaluation": "Evaluation",
    "report": "report.html",
}


# ---- create


def test_create_makes_the_documented_folder(tmp_path):
    planned = folder_for(tmp_path / "trained_models", "quay", LABEL, NOW)
    assert not (tmp_path / "trained_models").exists()
    run = Run.create(tmp_path / "trained_models", "quay", LABEL, NOW)
    assert run.folder == planned == tmp_path / "trained_models" / "quay" / f"2026_11_21_10_15_00_{LABEL}"
    assert sorted(path.name for path in run.folder.iterdir()) == ["checkpoints", "pyramid", "samples"]


@pytest.mark.parametrize("image", ["quay", "images/quay", "../../quay", "C:\\pictures\\quay"])
def test_the_image_folder_is_named_by_the_last_part_of_a_path(tmp_path, image):
    assert folder_for(tmp_path, image, LABEL, NOW).parent == tmp_path / "quay"


def test_runs_of_one_second_get_different_folders(tmp_path):
    folders = [Run.create(tmp_path, "quay", LABEL, NOW).folder for _ in range(3)]
    names = [folder.name.removeprefix(f"2026_11_21_10_15_00_{LABEL}") for folder in folders]
    assert names == ["", "_2", "_3"]
    assert folder_for(tmp_path, "quay", LABEL, NOW).name.endswith("_4")


def test_two_processes_that_race_for_one_name_both_get_a_folder(tmp_path, monkeypatch):
    """The other process makes the folder between our look and our mkdir."""
    real, raced = Path.mkdir, []

    def mkdir(self: Path, *args: object, **kwargs: object) -> None:
        if self.name.startswith("2026") and not raced:
            raced.append(self)
            real(self)
        real(self, *args, **kwargs)

    monkeypatch.setattr(Path, "mkdir", mkdir)
    assert Run.create(tmp_path, "quay", LABEL, NOW).folder.name == f"{raced[0].name}_2"


def test_an_outdir_that_cannot_be_used_names_the_flag(tmp_path, monkeypatch):
    file = tmp_path / "file"
    file.write_bytes(b"")
    with pytest.raises(UserError, match=r"--outdir .*file: a file stands in the way.*choose another"):
        Run.create(file, "quay", LABEL, NOW)
    with pytest.raises(UserError, match=r"--outdir .*a file stands in the way"):
        Run.create(file / "below", "quay", LABEL, NOW)
    with pytest.raises(UserError, match=r"--outdir .*null"):
        Run.create("a\0b", "quay", LABEL, NOW)
    (tmp_path / "quay").write_bytes(b"")
    with pytest.raises(UserError, match=r"a file stands in the way of .*quay"):
        Run.create(tmp_path, "quay", LABEL, NOW)

    def refuse(self: Path, *_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(UserError, match=r"--outdir .*Permission denied.*choose one you may write to"):
        Run.create(tmp_path, "wall", LABEL, NOW)


def test_a_thousand_runs_in_a_second_are_refused_not_overwritten(tmp_path, monkeypatch):
    monkeypatch.setattr(run_module, "MAX_SAME_SECOND", 2)
    for _ in range(2):
        Run.create(tmp_path, "quay", LABEL, NOW)
    for call in (Run.create, folder_for):
        with pytest.raises(UserError, match="wait a moment"):
            call(tmp_path, "quay", LABEL, NOW)


# ---- open


def test_open_takes_the_folder_or_its_model(tmp_path):
    folder = trained(tmp_path / "run")
    assert Run.open(folder) == Run.open(str(folder)) == Run.open(folder / "model.safetensors") == Run(folder)


def test_open_refuses_what_is_no_run_and_says_what_to_do(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"--model_dir .*none does not exist; give the folder of a trained run"):
        Run.open(tmp_path / "none")
    with pytest.raises(UserError, match=r"--model_dir .*empty is no run \(no config.json, no model.safetensors"):
        Run.open(tmp_path / "empty")
    with pytest.raises(UserError, match=r"--resume .*empty is no run \(no config.json in it\)"):
        Run.open(tmp_path / "empty", flag="--resume", needs_model=False)
    (tmp_path / "notes.txt").write_bytes(b"")
    with pytest.raises(UserError, match="is a file; give the run folder"):
        Run.open(tmp_path / "notes.txt")
    with pytest.raises(UserError, match="does not exist"):
        Run.open("a\0b")


def test_a_run_without_model_can_be_resumed_but_not_sampled(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    assert Run.open(tmp_path, needs_model=False) == Run(tmp_path)
    with pytest.raises(UserError, match=r"has no model.safetensors yet; resume"):
        Run.open(tmp_path)


def test_a_folder_above_runs_is_answered_with_the_newest_of_them(tmp_path):
    runs = [trained(tmp_path / "quay" / f"2026_11_{day:02d}_x") for day in range(1, 8)]
    for above in (tmp_path, tmp_path / "quay"):
        assert Run.open(above) == Run(runs[-1])
    with pytest.raises(UserError) as caught:
        Run.open(tmp_path / "quay" / "2026_11_typo")
    text = str(caught.value)
    assert all(str(run) in text for run in runs[2:])
    assert not any(str(run) in text for run in runs[:2])
    assert "and 2 more" in text


# ---- lock

HOLDER = """
import sys
from pathlib import Path
from consingan.storage.run import Run
with Run(Path(sys.argv[1])).lock():
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock of tmp_path."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait(timeout=10)
    process.stdin.close()
    process.stdout.close()


@pytest.mark.parametrize("end", [signal.SIGKILL, None], ids=["killed", "finished"])
def test_a_second_process_is_refused_until_the_first_is_gone(tmp_path, holder, end):
    with pytest.raises(UserError, match=f"at work in {tmp_path}; wait"), Run(tmp_path).lock():
        pytest.fail("two processes hold one run")
    if end is None:
        holder.stdin.close()
    else:
        holder.send_signal(end)
    holder.wait(timeout=10)
    with Run(tmp_path).lock():
        pass


def test_the_lock_is_given_back_after_a_fault_and_refused_twice(tmp_path):
    run = Run(tmp_path)
    with pytest.raises(ZeroDivisionError), run.lock():
        raise ZeroDivisionError
    with run.lock(), pytest.raises(UserError), run.lock():
        pytest.fail("held twice")
    with run.lock():
        pass


def test_a_run_folder_that_is_gone_cannot_be_locked(tmp_path):
    with pytest.raises(UserError, match=r"Cannot write .*\.lock"), Run(tmp_path / "gone").lock():
        pytest.fail("locked")


# ---- environment


def test_the_environment_holds_versions_and_no_private_names(monkeypatch):
    home = "/srv/people/me"
    monkeypatch.setenv("HOME", home)
    arguments = [
        f"{home}/tools/main_train.py",
        f"--input_name={home}/a b.png",
        "/home/ann/x.png",
        "C:\\Users\\bo\\x",
    ]
    monkeypatch.setattr(sys, "argv", [*arguments, "/homes/x", home])
    found = environment()
    assert found["command"] == ["python", "main_train.py", "--input_name=a b.png", "x.png", "x", "x", "me"]
    assert found["python"] == platform.python_version()
    assert found["torch"].startswith("2.")
    assert found["kornia"] is not None
    assert found["cpu_count"] >= 1
    assert found["threads"] >= 1
    keys = "consingan python platform torch cuda kornia cpu_count threads devices command"  # no host, no user
    assert set(found) == set(keys.split())
    assert json.loads(json.dumps(found)) == found


def test_importing_the_module_imports_no_torch():
    modules = "consingan.storage.run, consingan.storage.checkpoints, consingan.watch.monitor"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_runs_are_listed_and_found_by_a_word(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    times = {"bridge": 1, "tree": 3, "lake": 2}
    made = {name: Run.create("trained_models", name, "x", datetime(2026, 1, day)) for name, day in times.items()}
    for run in made.values():
        (run.folder / "config.json").write_text("{}")
    (made["bridge"].folder / "model.safetensors").touch()
    assert runs.below(Path("trained_models")) == [made[name].folder for name in ("tree", "lake", "bridge")]
    assert Run.open("last", needs_model=False) == made["tree"]
    assert Run.open("last") == made["bridge"]  # the newest that has a model
    assert Run.open("lake", needs_model=False) == made["lake"]
    with pytest.raises(UserError, match="does not exist"):
        Run.open("sea", needs_model=False)
    Path("lake").mkdir()  # what is there goes before a word
    with pytest.raises(UserError, match="is no run"):
        Run.open("lake", needs_model=False)


def test_the_list_says_what_became_of_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(Path(__file__).parent / "runs_0_1_0", "trained_models/stripes")
    names = sorted(path.name for path in Path("trained_models/stripes").iterdir() if path.is_dir())
    shown = CliRunner().invoke(main, ["list"])
    assert shown.exit_code == 0, shown.output
    lines = {line.split("/")[-1]: line for line in shown.stdout.splitlines()}
    assert sorted(lines) == names
    assert " finished " in lines["generation"]
    assert " animation " in lines["animation"]
    assert " stopped " in lines["stopped_generation"]
    with Run(Path("trained_models/stripes/stopped_generation")).lock():
        assert " training " in CliRunner().invoke(main, ["list"]).stdout
    hostile = Path("trained_models/\x07/run")
    shutil.copytree("trained_models/stripes/generation", hostile)
    assert "\x07" not in CliRunner().invoke(main, ["list"]).stdout
    nothing = CliRunner().invoke(main, ["list", "elsewhere"])
    assert (nothing.exit_code, nothing.stderr[:32]) == (2, "Error: There are no runs below e")
