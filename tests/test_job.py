"""One job behind every face: the same run from each, locked before it is written, stopped and gone on with exactly."""

import dataclasses
import json
import re
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from conftest import TINY, stripes
from PIL import Image

import consingan
from consingan import config
from consingan.command import cli
from consingan.errors import UserError
from consingan.gan.model import SingleImageModel
from consingan.storage.run import Run
from consingan.training import job as job_module
from consingan.training import loop
from consingan.training.job import Job
from consingan.training.order import Order
from consingan.watch.log import read_log

SETTINGS = {
    "max_size": 40,
    "train_stages": 2,
    "niter": 2,
    "nfc": 4,
    "noise": "pure",
    "positions": 0.0,
    "finish": "none",
    "variation": 1.0,
    "min_size": 25,
}  # those of conftest.TINY


@pytest.fixture
def desk(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(stripes()).save("a.png")
    return tmp_path


def typed(*words: object):
    return CliRunner().invoke(cli.train, [str(word) for word in words], catch_exceptions=False)


def content(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.rglob("*")}


def the_run(outdir: str) -> Run:
    (config_file,) = Path(outdir).glob("*/*/config.json")
    return Run(config_file.parent)


def same_tensors(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def after(count: int):
    """Asked so many times, it says stop; and from then on."""
    calls = iter(range(count - 1))
    return lambda: next(calls, None) is None


def ordered(**changes) -> Order:
    return Order(**{"picture": "a.png", "outdir": "runs", "settings": SETTINGS, "not_cuda": True} | changes)


# ---- the same from every face


def test_command_line_and_python_make_the_same_run(desk):
    folder = Path(typed("a.png", *TINY, "--outdir", "one", "--not_cuda", "--quiet").stdout.strip())
    model = consingan.train("a.png", outdir="two", device="cpu", **SETTINGS)
    one, two = Run(folder), the_run("two")
    assert one.config.read_bytes() == two.config.read_bytes()
    assert same_tensors(SingleImageModel.load(one.folder).tensors(), SingleImageModel.load(two.folder).tensors())
    assert same_tensors(SingleImageModel.load(two.folder).tensors(), model.tensors())
    assert one.folder.name.split("_", 6)[6] == two.folder.name.split("_", 6)[6]

    def kinds(run: Run) -> set[str]:
        return {path.relative_to(run.folder).as_posix() for path in run.folder.rglob("*") if path.is_file()}

    def said(run: Run) -> list:
        kept = ("event", "stage", "iteration", "files", "reconstruction", "critic_real")
        return [{name: record[name] for name in kept if name in record} for record in read_log(run.log)]

    assert kinds(one) == kinds(two)
    assert said(one) == said(two)


def test_a_training_without_outdir_is_the_same_and_writes_nothing(desk):
    with_folder = consingan.train("a.png", outdir="runs", device="cpu", **SETTINGS)
    shutil.rmtree("runs")
    before = content(desk)
    without = consingan.train("a.png", device="cpu", **SETTINGS)
    assert content(desk) == before
    assert same_tensors(without.tensors(), with_folder.tensors())


def test_an_order_is_plain_data(desk):
    order = ordered(mode="retarget", deterministic=False, checkpoint_every=30)
    again = Order(**json.loads(json.dumps(dataclasses.asdict(order))))
    assert again == order
    listed = ordered(settings={**SETTINGS, "niter": [3, 2]})  # as JSON gives a tuple back
    assert Job(listed).plan().settings == Job(ordered(settings={**SETTINGS, "niter": (3, 2)})).plan().settings


@pytest.mark.parametrize(
    ("flags", "given"),
    [
        (["--naive_img", "gone.png"], {"naive_img": "gone.png"}),
        (["--naive_img", "a.png"], {"naive_img": "a.png"}),  # its mask is empty
        (["--nfc", "0"], {"nfc": 0}),
        (["--niter", "0"], {"niter": 0}),
        (["--start_scale", "5"], {"start_scale": 5}),
        (["--checkpoint-every", "0"], {"checkpoint_every": 0.0}),
        (["--resume", "nowhere"], {"resume": "nowhere"}),
        (["--device", "tpu"], {"device": "tpu"}),
        (["--outdir", "a.png"], {"outdir": "a.png"}),
    ],
)
def test_python_refuses_what_the_command_line_refuses_in_the_same_words(flags, given, desk):
    Image.fromarray(np.zeros((48, 64), np.uint8)).save("a_mask.png")
    before = content(desk)
    mode = {} if "resume" in given else {"mode": "harmonization", **SETTINGS}
    image = None if "resume" in given else "a.png"
    first = [] if image is None else [image, *TINY, "--train_mode", "harmonization"]
    refused = typed(*first, *flags)
    with pytest.raises(UserError) as caught:
        consingan.train(image, **({"outdir": "runs"} if image else {}) | mode | given)
    assert refused.exit_code == 2
    assert refused.stderr.removeprefix("Loading ...\n") == f"Error: {caught.value}\n"
    assert content(desk) == before


def test_pixels_are_read_in_the_channels_of_the_run_that_is_tuned(desk):
    consingan.train("a.png", mode="editing", outdir="runs", device="cpu", nc_im=1, **SETTINGS)
    tuning = {"fine_tune": True, "model_dir": str(the_run("runs").folder), "naive_img": "a.png", "niter": 1}
    assert consingan.train(stripes(), mode="editing", device="cpu", **tuning).sample().shape[1] == 1


def test_a_disk_with_little_space_is_refused_before_anything_is_written(desk, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda place: shutil._ntuple_diskusage(10**9, 10**9 - 1000, 1000))
    before = content(desk)
    with pytest.raises(UserError, match=r"--outdir runs has 0 MB of free space, and this run needs at least \d+ MB"):
        Job(ordered(settings={**SETTINGS, "nfc": 64})).run()
    assert content(desk) == before


# ---- planned


def test_a_plan_writes_nothing_and_is_the_report_of_a_dry_run(desk):
    before = content(desk)
    planned = consingan.estimate("a.png", outdir="trained_models", device="cpu", **SETTINGS)
    report = typed("a.png", *TINY, "--not_cuda", "--dry-run").stdout
    assert content(desk) == before
    assert planned.settings == Job(ordered()).plan().settings
    assert planned.sizes == ((25, 34), (30, 40))
    assert planned.iterations == (2, 2)
    assert planned.origins["nfc"] == "flag"
    assert planned.origins["lr_g"] == "auto, by the width"
    assert 0 < planned.seconds < 60
    lines = zip(str(planned).splitlines(), report.splitlines(), strict=True)
    changing = ("  stage ", "run folder: ", "Training generation on the CPU")  # times
    for one, other in lines:
        assert one == other or (one.startswith(changing) and one.split(" ")[:2] == other.split(" ")[:2])


def test_settings_are_resolved_twice(desk, monkeypatch):
    """Once to refuse before torch is imported, once with the picture's size."""
    own, calls = config.resolve, []

    def resolve(mode, image, *layers):
        calls.append(layers)
        return own(mode, image, *layers)

    consingan.train("a.png", mode="editing", outdir="runs", device="cpu", **SETTINGS)
    tuning = ["--fine_tune", "--model_dir", the_run("runs").folder, "--naive_img", "a.png"]
    for flags in ([], ["--train_mode", "retarget", "--preset", "paper"], ["--train_mode", "editing", *tuning]):
        with monkeypatch.context() as patch:
            patch.setattr(config, "resolve", resolve)
            assert typed("a.png", *(flags if tuning[0] in flags else (*TINY, *flags)), "--dry-run").exit_code == 0
        fresh = [layers for layers in calls if not str(layers[0][0]).endswith((".json", ".safetensors"))]  # read ones
        assert len(fresh) == 2
        calls.clear()


def test_networks_are_made_once_and_not_changed_by_the_estimate(desk, monkeypatch):
    from consingan.training import estimate, state

    own, made = state.Training.start, []

    def start(*arguments):
        made.append(own(*arguments))
        return made[-1]

    monkeypatch.setattr(state.Training, "start", start)
    tried = Job(ordered(outdir=None)).run().model.tensors()
    assert len(made) == 1
    monkeypatch.setattr(estimate, "estimate", lambda start: estimate.Estimate([1.0, 1.0], 2.0, 3.0))
    assert same_tensors(Job(ordered(outdir=None)).run().model.tensors(), tried)


# ---- locked


@pytest.mark.parametrize("step", ["begin", "go on"])
def test_the_lock_is_taken_before_the_first_write(step, desk, monkeypatch):
    own, seen = Run.lock, []
    order = ordered()
    if step == "go on":
        order = Order(resume=str(Job(order).run(stop=after(1)).run.folder), not_cuda=True)
    before = content(desk)

    def lock(run):
        now = content(desk)
        seen.append({name for name in now if now[name] != before.get(name) and not Path(name).is_dir()})
        return own(run)

    monkeypatch.setattr(Run, "lock", lock)
    assert Job(order).run().how == "finished"
    assert seen == [set()]


def test_a_second_job_on_the_same_folder_is_refused_and_changes_nothing(desk):
    refusals = []

    def meanwhile(record):
        if record["event"] == "begin_stage" and not refusals:
            folder = Path(next(Path("runs").glob("*/*")))
            before = content(folder)
            for order in (Order(resume=str(folder), not_cuda=True), ordered(resume="auto")):
                with pytest.raises(UserError) as caught:
                    Job(order).run()
                refusals.append(str(caught.value))
            assert content(folder) == before
            refusals.append("unchanged")

    ended = Job(ordered()).run([meanwhile])
    assert ended.faults == ()
    wanted = f"Another process is at work in {ended.run.folder}; wait for it or stop it."
    assert refusals == [wanted, wanted, "unchanged"]
    assert ended.how == "finished"


def test_a_run_that_cannot_be_begun_leaves_no_folder(desk, monkeypatch):
    def full(state, run, chosen):
        run.config.write_text("{")
        raise UserError("Cannot write it.")

    monkeypatch.setattr(loop, "write_start", full)
    with pytest.raises(UserError, match="Cannot write it"):
        Job(ordered()).run()
    assert list(Path("runs").glob("*/*")) == []


# ---- stopped, and gone on with


def test_a_job_that_is_stopped_is_gone_on_with_to_the_same_bits(desk):
    through = Job(ordered(outdir=None)).run().model.tensors()
    for resume in ("by name", "auto"):
        shutil.rmtree("runs", ignore_errors=True)
        stopped = Job(ordered()).run(stop=after(3))
        assert (stopped.how, stopped.signal, stopped.model.stages) == ("stopped", None, 2)
        assert not stopped.run.finished.exists()
        name = str(stopped.run.folder)
        again = Job(ordered(resume="auto") if resume == "auto" else Order(resume=name, not_cuda=True)).run()
        assert (again.how, str(again.run.folder)) == ("finished", name)
        assert same_tensors(again.model.tensors(), through)
        starts = [r["start_iteration"] for r in read_log(again.run.log) if r["event"] == "begin_stage"]
        assert starts == [0, 0, 1]


def test_python_stops_and_goes_on(desk):
    through = consingan.train("a.png", device="cpu", **SETTINGS)
    part = consingan.train("a.png", outdir="runs", stop=after(1), device="cpu", **SETTINGS)
    assert (part.stages, len(part.sizes)) == (1, 2)
    assert part.sample(1).isfinite().all()
    run = the_run("runs")
    for model in (
        consingan.train("a.png", outdir="runs", resume="auto", device="cpu", **SETTINGS),
        consingan.train(resume=run.folder, device="cpu"),  # finished by now: the model is read
    ):
        assert same_tensors(model.tensors(), through.tensors())
    with pytest.raises(UserError, match="--nfc is 9 but the run to resume has 4"):
        consingan.train(resume=run.folder, nfc=9)
    with pytest.raises(UserError, match="--resume goes on with its own picture"):
        consingan.train("a.png", resume=run.folder)
    with pytest.raises(UserError, match="niters is no setting"):
        consingan.train(resume=run.folder, niters=9)
    with pytest.raises(UserError, match="--resume auto looks for a run below the outdir"):
        consingan.train("a.png", resume="auto")


def test_a_finished_run_is_said_to_be_finished(desk):
    run = Job(ordered()).run().run
    before, seen = content(run.folder), []
    ended = Job(Order(resume=str(run.folder))).run([seen.append])
    assert (ended.how, ended.model) == ("finished before", None)
    assert [record["event"] for record in seen] == ["message"]
    assert f"{run.folder} is finished; sample it with: consingan sample" in seen[0]["text"]
    assert content(run.folder) == before


def test_fine_tuning_is_gone_on_with_by_auto(desk):
    Image.fromarray(stripes()[::-1].copy()).save("naive.png")
    given = {"mode": "harmonization", "device": "cpu"}
    consingan.train("a.png", outdir="base", **given, **SETTINGS)
    tuning = {"fine_tune": True, "model_dir": str(the_run("base").folder), "naive_img": "naive.png", "niter": 3}
    through = consingan.train("a.png", **given, **tuning).tensors()
    consingan.train("a.png", outdir="tuned", stop=after(1), **given, **tuning)
    run = the_run("tuned")
    model = consingan.train("a.png", outdir="tuned", resume="auto", **given, **tuning)
    assert the_run("tuned") == run
    assert same_tensors(model.tensors(), through)


def test_a_stopped_run_has_a_new_report_before_it_says_so(desk, monkeypatch):
    from consingan.watch import report

    own, said = report.write, []
    monkeypatch.setattr(report, "write", lambda run: (said.append("report"), own(run))[1])
    told = [lambda record: said.append(record.get("text", record["event"]))]
    ended = Job(ordered()).run(told, stop=after(3))
    assert [word.split(";")[0] for word in said[-4:]] == ["stage", "report", "Stopped and saved", "stopped"]
    assert "stage 2/2, iteration 1/2" in ended.run.report.read_text()


def test_a_second_signal_while_the_report_is_made_skips_it(desk, monkeypatch):
    def slow(run):
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("the signal was not taken")

    from consingan.watch import report

    def stop():
        signal.raise_signal(signal.SIGTERM)
        monkeypatch.setattr(report, "write", slow)
        return False

    seen = []
    ended = Job(ordered()).run([seen.append], stop, signals=True)
    assert (ended.how, ended.signal) == ("stopped", signal.SIGTERM)
    assert seen[-2]["text"].startswith("Stopped and saved; go on with: consingan train --resume")
    assert list(ended.run.checkpoints.glob("*.safetensors"))


# ---- observed


def test_events_come_in_order_and_are_the_lines_of_the_log(desk):
    seen = []
    ended = Job(ordered()).run([seen.append], notes=["Hello."])
    written = [json.loads(line) for line in ended.run.log.read_text().splitlines()]
    assert [record for record in seen if record["event"] != "progress"] == written
    told = [r["event"] for r in written if r["event"] not in ("iteration", "figures", "pictures")]
    stage = ["begin_stage", "stage"]
    assert told == ["started", *["message"] * 3, *stage, *stage, "message", "message", "finished"]
    assert re.fullmatch(rf"Done in \d+ s, \d+ s of it training; look at {ended.run.report}", written[-3]["text"])
    assert ended.run.report.is_file()
    assert written[-2]["text"] == f"Sample it with: consingan sample --model_dir {ended.run.folder}"
    assert written[1]["text"] == "Hello."
    started = written[0]
    assert started["run"] == str(ended.run.folder)
    assert (started["mode"], started["image"], started["resumed"]) == ("generation", "a.png", False)
    assert (started["stages"], started["sizes"], started["iterations"]) == (2, [[25, 34], [30, 40]], [2, 2])
    assert 0 < started["seconds"] < 60
    progress = [record for record in seen if record["event"] == "progress"]
    assert [(r["stage"], r["iteration"], r["ended"]) for r in progress] == [(0, 2, True), (1, 2, True)]
    assert 0 < progress[0]["share"] < progress[-1]["share"] < 1  # pictures of the last stage are still to come
    assert progress[-1]["left_s"] > 0


def test_a_training_that_fails_tells_so_last(desk, monkeypatch):
    def broken(state, monitor, *rest):
        monitor.begin_stage(0, 2, 2)
        raise UserError("Cannot write it.")

    seen = []
    monkeypatch.setattr(loop, "train", broken)
    with pytest.raises(UserError, match=r"Cannot write it\. Then go on with: consingan train --resume runs/"):
        Job(ordered()).run([seen.append])
    assert [record["event"] for record in seen][-3:] == ["progress", "stage", "failed"]
    assert seen[-2]["complete"] is False
    assert seen[-1]["error"].startswith("Cannot write it. Then go on with")
    assert json.loads(the_run("runs").log.read_text().splitlines()[-1])["event"] == "failed"


def test_an_observer_that_fails_ends_nothing_and_is_named(desk):
    def broken(record):
        if record["event"] == "stage":
            raise ValueError("no more")

    through = consingan.train("a.png", device="cpu", **SETTINGS).tensors()
    with pytest.warns(RuntimeWarning, match="broken failed and is told nothing more: ValueError: no more"):
        model = consingan.train("a.png", device="cpu", observers=[broken], **SETTINGS)
    assert same_tensors(model.tensors(), through)


def test_the_job_knows_no_face():
    text = Path(job_module.__file__).read_text()
    assert not [word for word in ("click", "sys.exit", "print(", "sys.std") if word in text.split('"""', 2)[2]]
