"""Never lose a run: resume finds it, writing that fails keeps it, a file from a stranger cannot hurt it."""

from __future__ import annotations

import ast
import itertools
import json
import re
import resource
import shutil
from pathlib import Path
from time import perf_counter

import pytest
import torch
from click.testing import CliRunner
from conftest import TINY, stripes
from PIL import Image
from test_training import settings_for, striped

from consingan.command import cli
from consingan.errors import UserError
from consingan.gan.model import SingleImageModel
from consingan.storage import files
from consingan.storage.files import load_tensors, save_tensors
from consingan.storage.run import Run
from consingan.training import signals
from consingan.training.loop import resume, train, write_start
from consingan.training.signals import StoppedError
from consingan.training.state import Training
from consingan.watch.log import read_log
from consingan.watch.monitor import Monitor

STAGES = {"train_stages": 2, "niter": (3,)}


def sentence(error: BaseException) -> str:
    """Its message, which must be one line and not a bare dump."""
    text = str(error)
    assert "\n" not in text
    assert len(text) < 600
    return text


def started(folder: Path, **changes) -> tuple[Training, Run]:
    run = Run.create(folder, "stripes", "test")
    state = Training.start(settings_for(**STAGES, **changes), striped())
    write_start(state, run)
    return state, run


def stopped_at(folder: Path, iteration: int, **changes) -> Run:
    """A run that was stopped after so many iterations."""
    state, run = started(folder, **changes)
    calls = itertools.count(1)
    with pytest.raises(StoppedError):
        train(state, Monitor(display="quiet"), run, stop=lambda: next(calls) == iteration)
    return run


@pytest.fixture(scope="module")
def half_done(tmp_path_factory) -> Run:
    """A run that was stopped in its second stage; tests must not change it."""
    return stopped_at(tmp_path_factory.mktemp("half"), 5)


@pytest.fixture
def copy(half_done, tmp_path) -> Run:
    """A copy that a test may break."""
    shutil.copytree(half_done.folder, tmp_path / "run")
    return Run(tmp_path / "run")


def newest(run: Run) -> Path:
    return run.checkpoints / files.read_json(run.checkpoints / "newest.json")["file"]


def rewrite(path: Path, change) -> None:
    """Let ``change(tensors, header)`` tamper with a file of ours."""
    tensors, header = load_tensors(path)
    change(tensors, header)
    save_tensors(path, tensors, header)


# ---- going on


def test_a_run_can_be_gone_on_with_before_its_first_iteration(tmp_path):
    state, run = started(tmp_path)
    wanted = train(Training.start(state.model.settings, striped()), Monitor(display="quiet")).tensors()
    had = train(resume(run, "cpu", pytest.fail), Monitor(display="quiet"), run).tensors()
    assert all(torch.equal(had[name], wanted[name]) for name in wanted)


def test_memory_formats_come_back(copy):
    state, again = (resume(copy, "cpu", pytest.fail) for _ in range(2))
    fresh = Training.start(settings_for(**STAGES), striped())
    fresh.enter_stage()
    assert [p.stride() for p in state.critic.parameters()] == [p.stride() for p in fresh.critic.parameters()]
    for name, value in state.learned().items():
        assert value.stride() == again.learned()[name].stride()
        assert value.dtype == torch.float32
    assert all(p.is_leaf for p in state.model.generator.parameters())
    assert any(p.requires_grad for p in state.model.generator.parameters())


def test_the_finished_mark_comes_last(tmp_path, monkeypatch):
    state, run = started(tmp_path)
    monkeypatch.setattr(
        "consingan.applications.writing.write", lambda *a, **k: (_ for _ in ()).throw(KeyboardInterrupt)
    )
    with pytest.raises(KeyboardInterrupt):
        train(state, Monitor(display="quiet"), run)
    assert not run.finished.exists()
    monkeypatch.undo()
    train(resume(run, "cpu", pytest.fail), Monitor(display="quiet"), run)
    assert run.finished.exists()


def test_another_machine_is_told_of(copy):
    values = json.loads(copy.environment.read_text())
    copy.environment.write_text(json.dumps({**values, "threads": 64, "device": "cuda:0"}))
    said = []
    resume(copy, "cpu", said.append)
    assert [re.match(r"This run began with (\w+) (\S+) and goes on with", line).groups() for line in said] == [
        ("device", "cuda:0"), ("threads", "64")]  # fmt: skip


def test_a_configuration_that_was_edited_is_refused_by_name(copy):
    values = json.loads(copy.config.read_text())
    values["optimisation"]["niter"] = [99]
    copy.config.write_text(json.dumps(values))
    with pytest.raises(UserError, match=r"differ in niter, \(99,\) and \(3,\)") as caught:
        resume(copy, "cpu", pytest.fail)
    sentence(caught.value)


# ---- --resume auto


@pytest.fixture
def desk(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(stripes()).save("a.png")
    Image.fromarray(stripes()[::-1]).save("b.png")
    return tmp_path


def typed(*words: str):
    return CliRunner().invoke(cli.train, [*map(str, words), *TINY, "--outdir", "runs"], catch_exceptions=False)


def stopped(monkeypatch, *words: str) -> Path:
    with monkeypatch.context() as patch:
        patch.setattr(signals.StopRequest, "__call__", lambda self: True)
        return Path(typed(*words, "--quiet").stdout.strip())


def test_auto_begins_goes_on_and_begins_again(desk, monkeypatch):
    first = typed("a.png", "--resume", "auto", "--log-format", "plain")
    assert first.exit_code == 0
    assert "No unfinished run with these settings lies below runs: this is a new one." in first.stderr
    run = stopped(monkeypatch, "a.png")
    second = typed("a.png", "--resume", "auto", "--log-format", "plain")
    assert (second.exit_code, second.stdout.strip()) == (0, str(run))
    assert "Going on at stage 1 of 2, iteration 1." in second.stderr
    wanted, had = (SingleImageModel.load(folder.stdout.strip()).tensors() for folder in (first, second))
    assert all(torch.equal(had[name], wanted[name]) for name in wanted)
    assert typed("a.png", "--resume", "auto").stdout.strip() != str(run)  # it is finished now


def test_auto_takes_no_run_of_another_picture_mode_or_setting(desk, monkeypatch):
    run = stopped(monkeypatch, "a.png")
    for words in (["b.png"], ["a.png", "--train_mode", "retarget"], ["a.png", "--lr_g", "0.001"]):
        found = typed(*words, "--resume", "auto", "--quiet")
        assert found.exit_code == 0
        assert found.stdout.strip() != str(run)


def test_auto_refuses_a_picture_that_has_changed(desk, monkeypatch):
    run = stopped(monkeypatch, "a.png")
    shutil.copy("b.png", "a.png")
    refused = typed("a.png", "--resume", "auto")
    assert refused.exit_code == 2
    assert f"The picture is no longer the one that {run} is trained on" in refused.stderr


# ---- what cannot be written


def test_a_full_disk_is_one_sentence_and_the_last_checkpoint_stays(desk, monkeypatch):
    run = stopped(monkeypatch, "a.png")
    kept = {path.name: path.read_bytes() for path in (run / "checkpoints").iterdir()}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))  # the log fits, a checkpoint does not
    try:
        result = CliRunner().invoke(cli.train, ["--resume", str(run)], catch_exceptions=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert result.exit_code == 2
    assert re.search(r"Error: Cannot write .*: File too large; .* go on with: consingan train", result.stderr)
    assert {path.name: path.read_bytes() for path in (run / "checkpoints").iterdir()} == kept
    assert CliRunner().invoke(cli.train, ["--resume", str(run)], catch_exceptions=False).exit_code == 0


@pytest.mark.parametrize("gone", ["all of it", "checkpoints"])
def test_a_folder_removed_while_training(tmp_path, gone):
    state, run = started(tmp_path)
    calls = itertools.count(1)

    def stop() -> bool:
        if next(calls) == 2:
            shutil.rmtree(run.folder if gone == "all of it" else run.checkpoints)
        return False

    if gone == "checkpoints":  # made anew
        train(state, Monitor(run.log, "quiet"), run, stop=stop)
        assert newest(run).exists()
        return
    with pytest.raises(UserError, match="Cannot write") as caught:
        train(state, Monitor(run.log, "quiet"), run, stop=stop)
    sentence(caught.value)
    assert not run.folder.exists()


def test_a_file_in_the_way_of_the_previews(tmp_path):
    state, run = started(tmp_path)
    shutil.rmtree(run.samples)
    run.samples.write_bytes(b"")
    said = []
    model = train(state, Monitor(display="quiet", observers=[lambda r: said.append(r.get("text"))]), run)
    assert model.stages == 2
    assert run.finished.exists()
    told = [text for text in said if text and text.startswith("There are no previews of stage")]
    assert len(told) == 2
    assert all("Cannot write" in text for text in told)


def test_a_second_ctrl_c_while_saving_stops_at_once(desk, monkeypatch):
    def held(*_):
        raise KeyboardInterrupt(2)  # what the handler raises at the second signal

    with monkeypatch.context() as patch:
        patch.setattr(signals.StopRequest, "__call__", held)
        result = typed("a.png", "--quiet")
    assert result.exit_code == 130
    assert "Traceback" not in result.output
    (run,) = Path("runs").glob("*/*")
    assert CliRunner().invoke(cli.train, ["--resume", str(run)], catch_exceptions=False).exit_code == 0


def test_the_log_of_a_resumed_run_has_each_iteration_once(copy):
    with Monitor(copy.log, "quiet", log_every=1) as monitor:
        train(resume(copy, "cpu", pytest.fail), monitor, copy)
    assert [r["iteration"] for r in read_log(copy.log) if r["event"] == "iteration"] == [2]


# ---- files that were tampered with


def set_header(*keys, to):
    def change(tensors, header):
        inner = header
        for key in keys[:-1]:
            inner = inner[key]
        inner[keys[-1]] = to

    return change


def add_tensor(name, tensor=None):
    return lambda tensors, header: tensors.update({name: torch.zeros(2) if tensor is None else tensor})


def drop_tensors(part):
    def change(tensors, header):
        for name in [n for n in tensors if n.startswith(part)]:
            del tensors[name]

    return change


def reshape_tensor(part):
    return lambda tensors, header: tensors.update({next(n for n in tensors if n.startswith(part)): torch.zeros(1, 2)})


def recast_tensor(part, dtype):
    def change(tensors, header):
        name = next(n for n in tensors if n.startswith(part))
        tensors[name] = tensors[name].to(dtype)

    return change


HUGE = 10**9
OF_BOTH = {
    "config missing": lambda tensors, header: header.pop("config"),
    "config a list": set_header("config", to=[]),
    "newer schema": set_header("config", "schema", to=99),
    "unknown key": set_header("config", "network", "evil", to=1),
    "unknown section": set_header("config", "evil", to={}),
    "features without end": set_header("config", "network", "nfc", to=HUGE),
    "largest features": set_header("config", "network", "nfc", to=1024),
    "largest kernels": set_header("config", "network", "ker_size", to=15),
    "features as text": set_header("config", "network", "nfc", to="4"),
    "a rate that is no number": set_header("config", "optimisation", "lr_g", to=[1]),
    "sizes without end": set_header("sizes", to=[[HUGE, HUGE]] * 2),
    "large sizes": set_header("sizes", to=[[65536, 65536]] * 2),
    "sizes of nothing": set_header("sizes", to=[[0, 0]] * 2),
    "sizes as text": set_header("sizes", to="no"),
    "sizes as triples": set_header("sizes", to=[[1, 2, 3]]),
    "very many sizes": set_header("sizes", to=[[30, 32]] * 100_000),
    "no sizes": set_header("sizes", to=[]),
    "amplitudes missing": lambda tensors, header: header.pop("amplitudes"),
    "amplitudes below zero": set_header("amplitudes", to=[1.0, -5.0]),
    "too large an amplitude": set_header("amplitudes", to=[1.0, 10**400]),
    "too many amplitudes": set_header("amplitudes", to=[1.0] * 3),
    "no amplitudes": set_header("amplitudes", to=[]),
    "another border": set_header("border", to="evil"),
    "border a list": set_header("border", to=[]),
    "path in a name": add_tensor("model.generator.../../../etc/passwd"),
    "a name that is none": add_tensor(""),
    "dots": add_tensor("model..."),
}
OF_MODELS = OF_BOTH | {
    "wrong shape": reshape_tensor("generator.head"),
    "wrong kind": recast_tensor("generator.head", torch.float64),
    "whole numbers": recast_tensor("generator.head", torch.int64),
    "anchor missing": drop_tensors("anchor.1"),
    "anchor of a wrong shape": reshape_tensor("anchor.0"),
    "generator missing": drop_tensors("generator"),
    "not finite": lambda tensors, header: tensors["generator.head.0.weight"].fill_(float("nan")),
}
OF_CHECKPOINTS = OF_BOTH | {
    "unknown part": add_tensor("evil.weight"),
    "stage beyond": set_header("stage", to=7),
    "stage as text": set_header("stage", to="1"),
    "stage below": set_header("stage", to=-1),
    "iteration beyond": set_header("iteration", to=HUGE),
    "iteration missing": lambda tensors, header: header.pop("iteration"),
    "attempt missing": lambda tensors, header: header.pop("attempt"),
    "attempt with more keys": set_header("attempt", "evil", to=1),
    "too many attempts": set_header("attempt", "number", to=4),
    "attempts at no rate": set_header("attempt", "rate", to=0),
    "rate as text": set_header("attempt", "rate", to="1"),
    "too many starts": set_header("attempt", "start", to=4),
    "start as text": set_header("attempt", "start", to="1"),
    "good later than now": set_header("good", "iteration", to=3),
    "good with tensors": set_header("good", "tensors", to={"a": 1}),
    "figures as text": set_header("figures", to="1234"),
    "figures of text": set_header("figures", to=[[0, "1", 0.0, 0.0]]),
    "figures with more": set_header("figures", to=[[0, 0.0, 0.0, 0.0, 0.0, 0.0]]),
    "figures later than now": set_header("figures", to=[[2, 0.0, 0.0, 0.0]]),
    "figures out of order": set_header("figures", to=[[1, 0.0, 0.0, 0.0], [0, 0.0, 0.0, 0.0]]),
    "another mode": set_header("config", "mode", to="evil"),
    "critic missing": drop_tensors("critic."),
    "critic of a wrong shape": reshape_tensor("critic."),
    "critic of a wrong kind": recast_tensor("critic.", torch.float16),
    "optimiser missing": drop_tensors("generator_optimiser"),
    "optimiser of a wrong shape": reshape_tensor("critic_optimiser.0.exp_avg"),
    "optimiser with more": add_tensor("critic_optimiser.999.step"),
    "optimiser without numbers": add_tensor("critic_optimiser.x"),
    "picture missing": drop_tensors("real.0"),
    "picture of a wrong shape": reshape_tensor("real.0"),
    "good missing": drop_tensors("good"),
    "good of a wrong shape": reshape_tensor("good.critic"),
    "good of a wrong kind": recast_tensor("good.critic.", torch.float64),
    "beginning later": set_header("begun", "iteration", to=1),
    "beginning without picture": set_header("begun", "spread", to=-1),
    "beginning as text": set_header("begun", "spread", to="1"),
    "beginning with tensors": set_header("begun", "tensors", to={"a": 1}),
    "beginning in part": drop_tensors("begun.critic"),
    "beginning of a wrong shape": reshape_tensor("begun.critic"),
    "beginning of a wrong kind": recast_tensor("begun.generator", torch.float64),
    "beginning with more": add_tensor("begun.generator_optimiser.0.step"),
}


def refused_quickly(call) -> None:
    """A UserError in one sentence, before much time or memory went by."""
    begin, before = perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError) as caught:
        call()
    sentence(caught.value)
    assert perf_counter() - begin < 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000  # KiB


@pytest.mark.parametrize("name", OF_MODELS)
def test_a_model_that_was_tampered_with_is_refused(copy, name):
    model = SingleImageModel.load(copy.folder)
    model.save(copy.model)
    assert model.stages == 1
    if name == "anchor missing":
        rewrite(copy.model, drop_tensors("anchor.0"))
    else:
        rewrite(copy.model, OF_MODELS[name])
    refused_quickly(lambda: SingleImageModel.load(copy.folder))


@pytest.mark.parametrize("name", OF_CHECKPOINTS)
def test_a_checkpoint_that_was_tampered_with_is_refused(copy, name):
    rewrite(newest(copy), OF_CHECKPOINTS[name])
    refused_quickly(lambda: resume(copy, "cpu", lambda note: None))


def test_the_untampered_ones_load(copy):
    """Otherwise the two tests above would prove nothing."""
    rewrite(newest(copy), set_header("figures", to=[[0, 0.5, -1.0, 0.25], [1, 0.5, -1.0, 0.25]]))
    rewrite(copy.model, lambda tensors, header: None)
    assert resume(copy, "cpu", pytest.fail).iteration == 2
    assert SingleImageModel.load(copy.folder).stages == 1


def test_a_run_of_the_first_version_goes_on(copy):
    """It had no figures and no --stop, and did not keep what its stage began with."""

    def older(tensors, header):
        del header["figures"], header["config"]["stopping"], header["attempt"]["start"], header["begun"]
        drop_tensors("begun.")(tensors, header)

    rewrite(newest(copy), older)
    values = json.loads(copy.config.read_text())
    del values["stopping"]
    copy.config.write_text(json.dumps(values))
    state = resume(copy, "cpu", pytest.fail)
    assert (state.figures, state.model.settings.stopping.stop) == ([], "niter")
    assert state.attempt.start == 0
    assert state.begun.spread == state.good.spread
    assert state.begun.tensors.keys() == {name for name in state.good.tensors if "_optimiser." not in name}
    assert all(torch.equal(state.good.tensors[name], value) for name, value in state.begun.tensors.items())


UNSAFE = {"pickle", "marshal", "shelve", "dill", "eval", "exec", "__import__", "torch.load", "torch.save", "np.load"}


def unsafe_names(text: str) -> set[str]:
    """What a module's text imports or calls that could run what a file holds."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            found |= {alias.name.split(".")[0] for alias in node.names} | {getattr(node, "module", None) or ""}
        if isinstance(node, ast.Call):
            found.add(ast.unparse(node.func))
    return found & UNSAFE


def test_no_part_of_the_program_unpickles_or_evaluates():
    for path in Path(files.__file__).parents[1].rglob("*.py"):
        assert not unsafe_names(path.read_text()), path
    assert unsafe_names("import pickle\ntorch.load(f)\neval(x)") == {"pickle", "torch.load", "eval"}


# ---- determinism


def test_deterministic_gives_the_same_bits_and_is_recorded(desk):
    runs = []
    try:
        for _ in range(2):
            result = typed("a.png", "--deterministic", "--quiet")
            assert result.exit_code == 0
            runs.append(Path(result.stdout.strip()))
            assert torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(False)
    one, two = (SingleImageModel.load(run).tensors() for run in runs)
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert json.loads((runs[0] / "environment.json").read_text())["deterministic"] is True
