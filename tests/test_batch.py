"""consingan batch: lists and their faults, the driver with workers that sleep and die, whole batches, the page."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Timer

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import TINY, stripes, trained
from PIL import Image

from consingan.batch import cost
from consingan.batch.book import Book, Job
from consingan.batch.display import display
from consingan.batch.drive import Driver, left
from consingan.batch.errand import Errand, carry_out, judged, run_of
from consingan.batch.processes import Processes
from consingan.command.cli import main
from consingan.errors import UserError
from consingan.storage.run import Run, safe_name
from consingan.training.order import Order

SLEEPING = [sys.executable, str(Path(__file__).parent / "sleeping.py")]
FLAGS = (*TINY, "--not_cuda", "--quiet")


def say(*words: object, code: int = 0):
    """What ``consingan batch`` answers."""
    result = CliRunner().invoke(main, ["batch", *map(str, words)], catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result


@pytest.fixture
def pictures(tmp_path) -> Path:
    """A folder of two pictures, one of them grey, and something else."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    Image.fromarray(stripes()).save(folder / "stripes.png")
    Image.fromarray(np.roll(stripes(), 9, 1)[..., 0]).save(folder / "grey one.png")
    (folder / "notes.txt").write_text("no picture")
    return folder


# ---- lists


def listing(tmp_path, text: str, name: str = "list.csv") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_every_fault_of_a_list_is_told_before_anything_starts(pictures, tmp_path):
    lines = [
        "picture,name,seed,--max-size,nonsense,preset,naive_img,niter",
        "pictures/stripes.png,one,1,40,,,,",
        "pictures/stripes.png,two,x,7,,,,",
        "pictures/gone.png,three,1,40,,,,",
        "pictures/stripes.png,ONE,1,40,,,,",
        "pictures/stripes.png,five,1,40,1,slow,gone.png,",
        ",six,1,40,,,,",
        "pictures/stripes.png,seven,1,40,,,,0",
        "pictures/stripes.png,eight,1,30,,,,,9",
        "pictures,nine,1,40,,,,",
    ]
    result = say(listing(tmp_path, "\n".join(lines)), *FLAGS, "--outdir", tmp_path / "out", "--then", "train", code=2)
    said = result.stderr
    for words in (
        "line 3: --seed: 'x' is not a valid integer",
        "line 3: --max_size",
        "line 4: There is no picture at",
        "line 5: the name 'ONE' is that of line 2 too",
        "line 6: the column 'nonsense' is no flag of a picture",
        "line 6: --preset: 'slow' is not one of",
        "line 6: --naive_img",
        "line 7: no picture is given",
        "line 8: --niter",
        "line 9: it has 9 cells and the first line 8",
        "line 10: ",
        "--then 'train' cannot be done",
        "13 faults, see above; nothing was started.",
    ):
        assert words in said, words
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("list.csv", "", "no column picture"),
        ("list.csv", "picture,seed\n", "It names no picture"),
        ("list.csv", 'picture\n"a', "it is no CSV"),
        ("list.csv", "picture,seed,seed\na.png,1,2", "the column seed is there twice"),
        ("list.jsonl", '{"picture": "pictures/stripes.png", "seed": 1.5}', "'1.5' is not a valid integer"),
        ("list.jsonl", "[1]\n{", "line 2: it is no JSON"),
        ("list.txt", "a.png", "is no folder and no list"),
        ("list.csv", "picture\n-\n", "line 2: the picture - is standard input, which a list cannot take"),
        ("list.csv", "picture\nhttps://a.b/c.png\n", "line 2: https://a.b/c.png is an address"),
    ],
)
def test_lists_that_are_none(pictures, tmp_path, name, text, words):
    assert words in say(listing(tmp_path, text, name), *FLAGS, "--outdir", tmp_path / "out", code=2).stderr


def test_a_pipe_is_no_list(tmp_path):
    os.mkfifo(tmp_path / "list.csv")
    assert "It is no file, but a pipe or a device" in say(tmp_path / "list.csv", code=2).stderr


def test_folders_without_pictures(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").touch()
    assert "The folder is empty" in say(tmp_path / "empty", code=2).stderr
    assert "No picture is in it" in say(tmp_path / "texts", code=2).stderr
    assert "does not exist" in say(tmp_path / "gone", code=2).stderr
    assert f"batch {tmp_path / 'empty'}" in CliRunner().invoke(main, ["train", str(tmp_path / "empty")]).stderr


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("", "it does not begin with the word sample."),
        ("sample 'a", "No closing quotation."),
        ("sample --help", "it asks for help or the version."),
        ("sample --nope", "No such option '--nope'."),
        ("sample extra", "Got unexpected extra argument (extra)"),
        ("sample --num_samples 0", "--num_samples is 0; give a number from 1 to 100000."),
        ("sample --size 4", "--size is '4'; give WIDTHxHEIGHT in pixels"),
        ("sample --frames 3", "--frames is a flag of --application walk"),
        ("sample --like gone.png", "--like gone.png does not exist; check the spelling of the path."),
        ("sample --out one.png", "--out one.png is one place, and each run has its own; leave it out."),
    ],
)
def test_words_that_cannot_be_sampled_with_are_refused_before_anything_starts(pictures, tmp_path, words, reason):
    result = say(pictures, *FLAGS, "--outdir", tmp_path / "out", "--then", words, code=2)
    assert f"--then {words!r} cannot be done: {reason}" in result.stderr
    assert result.stdout == ""
    assert not (tmp_path / "out").exists()


def test_words_are_for_the_modes_of_the_list(pictures, tmp_path):
    path = listing(tmp_path, "picture,train_mode\npictures/stripes.png,animation\n")
    words = [path, *FLAGS, "--outdir", tmp_path / "out", "--then", "sample --frames 3", "--then", "sample --follow 0.3"]
    said = say(*words, code=2).stderr
    assert "--then 'sample --frames 3'" not in said  # an animation has frames
    assert "--then 'sample --follow 0.3' cannot be done: --follow is a flag of --application samples" in said


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (["--shared"], "--shared goes with --scheduler; give both or none."),
        (["--worker_resources", "GPU=1"], "--worker_resources goes with --scheduler"),
        (["--scheduler", "tcp://h:1", "--workers", "2"], "--workers is of this machine"),
        (["--workers", "0"], "'--workers': 0 is not in the range"),
        (["--scheduler", "gone.json"], "--scheduler gone.json cannot be read"),
        (["--scheduler", "tcp://127.0.0.1:9"], "--scheduler tcp://127.0.0.1:9 cannot be reached"),
    ],
    ids=str,
)
def test_workers_that_cannot_be_had_are_refused_and_nothing_is_written(pictures, tmp_path, flags, reason, monkeypatch):
    if "--scheduler" in flags:
        pytest.importorskip("distributed", reason="needs the package distributed (the extra cluster)")
        monkeypatch.setattr("consingan.batch.cluster.TIMEOUT_S", 0.5)
    monkeypatch.chdir(tmp_path)
    said = say(pictures, *FLAGS, "--outdir", tmp_path / "out", *flags, code=2).stderr
    assert reason in said
    assert len([line for line in said.splitlines() if line.startswith("Error: ")]) == 1
    assert not (tmp_path / "out").exists()


def test_names_with_slashes_stay_in_the_folder_of_the_batch(pictures, tmp_path):
    from consingan.batch.listing import listed

    text = "picture,name\npictures/stripes.png,../../up\npictures/stripes.png,/etc/x\npictures/stripes.png,a/b\n"
    jobs = listed(listing(tmp_path, text), Order(), None)
    out = tmp_path / "out"
    for job in jobs:
        (out / safe_name(job.name) / "2026_01_01_00_00_00_x" / "checkpoints").mkdir(parents=True)
        (out / safe_name(job.name) / "2026_01_01_00_00_00_x" / "checkpoints" / "1.safetensors").touch()
        assert run_of(out, job.name).folder.parent.parent == out
    assert len({run_of(out, job.name).folder for job in jobs}) == 3
    same = "picture,name\npictures/stripes.png,a/b\npictures/stripes.png,a_b\n"
    assert "line 3: the name 'a_b' is that of line 2 too" in say(listing(tmp_path, same), *FLAGS, code=2).stderr


def test_a_list_has_flags_by_picture(pictures, tmp_path):
    from consingan.batch.listing import listed
    from consingan.command.batch import Cells

    rows = [
        {"picture": "pictures/stripes.png", "name": "a", "niter": [5, 3], "batch_norm": True, "train-mode": "retarget"},
        {"picture": "pictures/stripes.png", "name": "b", "seed": None},
    ]
    path = listing(tmp_path, "\n".join(map(json.dumps, rows)), "list.jsonl")
    context = main.commands["batch"].make_context("batch", [str(path), "--niter", "7"])
    first, second = listed(path, Order(settings={"niter": (7,)}), Cells(context))
    assert first.order.picture == str(tmp_path / "pictures/stripes.png")
    assert (first.order.mode, first.order.settings) == ("retarget", {"niter": (5, 3), "batch_norm": True})
    assert (second.order.mode, second.order.settings) == (None, {"niter": (7,)})


# ---- the driver


def book_of(folder: Path, *names: str) -> tuple[Book, list[Job]]:
    jobs = [Job(name, Order(picture=f"{name}.png")) for name in names]
    return Book.open(folder, jobs, (), None, 1), jobs


def driven(book: Book, jobs: list[Job], count: int, stop=lambda: False, retries: int = 2) -> str:
    """What the display says of a batch of sleeping jobs."""
    stream = io.StringIO()
    pool = Processes(SLEEPING, count, 1)
    try:
        with book.held():
            Driver(book, jobs, pool, display("plain", stream, len(jobs)), retries).run(stop)
    finally:
        pool.close()
    return stream.getvalue()


def states(folder: Path) -> dict[str, str]:
    """Of the book on the disk."""
    return {job["name"]: job["state"] for job in json.loads((folder / "batch.json").read_text())["jobs"]}


def test_a_job_that_fails_or_dies_does_not_stop_the_others(tmp_path):
    book, jobs = book_of(tmp_path, "fails", "dies_1", "dies_9", "x_0.1", "x_0.2")
    said = driven(book, jobs, 2)
    assert states(tmp_path) == {
        "fails": "failed",
        "dies_1": "finished",
        "dies_9": "failed",
        "x_0.1": "finished",
        "x_0.2": "finished",
    }
    assert "fails failed: It fails." in said
    assert "dies_1: its worker was ended by signal 9; memory may have run out; it goes on" in said
    assert len(list(tmp_path.glob("dies_9.*"))) == 3  # one try and two more
    assert book.entries["dies_9"].error.endswith("(3 times); it is not tried again.")


def test_a_stop_reaches_all_workers_and_nothing_more_begins(tmp_path):
    book, jobs = book_of(tmp_path, "x_60", "x_61", "x_62")
    begun = time.monotonic()
    said = driven(book, jobs, 2, stop=lambda: time.monotonic() > begun + 0.7)
    assert time.monotonic() - begun < 20
    assert states(tmp_path) == {"x_60": "stopped", "x_61": "stopped", "x_62": "waiting"}
    assert "Stopping: 2 jobs save what they have." in said
    assert left(book.of(jobs)) == ["x_60", "x_61", "x_62"]


def test_jobs_run_side_by_side(tmp_path):
    book, jobs = book_of(tmp_path, *(f"x_1.0{n}" for n in range(4)))
    begun = time.monotonic()
    driven(book, jobs, 4)
    assert time.monotonic() - begun < 3.5  # one after the other they take four


def test_a_book_is_of_one_batch(tmp_path, trained_run):
    book, jobs = book_of(tmp_path, "a")
    with book.held():
        with pytest.raises(UserError, match="Another process is at work"), Book.open(tmp_path, jobs, (), 1, 1).held():
            pass
        with pytest.raises(UserError, match="--threads is 2 but the batch"):
            Book.open(tmp_path, jobs, (), 2, 1)
        with pytest.raises(UserError, match="a was begun with other flags"):
            Book.open(tmp_path, [Job("a", Order(picture="a.png", settings={"seed": 3}))], (), None, 1)
        more, _ = book_of(tmp_path, "b")
        assert [entry.name for entry in more] == ["a", "b"]
    with pytest.raises(UserError, match="holds runs that are of no batch"):
        book_of(trained_run.parent.parent, "a")


@pytest.mark.parametrize("change", [{"run": "../../etc"}, {"samples": ["/etc/passwd"]}, {"state": "odd"}, {"name": 3}])
def test_a_book_leads_nowhere_else(tmp_path, change):
    book, _ = book_of(tmp_path, "a")
    book.write()
    values = json.loads((tmp_path / "batch.json").read_text())
    values["jobs"][0] |= change
    (tmp_path / "batch.json").write_text(json.dumps(values))
    with pytest.raises(UserError, match="is damaged"):
        book_of(tmp_path, "a")


def test_workers_by_cores_and_memory():
    def given(jobs, peak, cores, free, gpus=0):
        return cost.workers(jobs, cost.Cost(10.0, peak, gpus), cores, free)

    assert given(100, 500, 8, 16000) == 8
    assert given(100, 500, 8, 2000) == 3
    assert given(100, 5000, 8, 2000) == 1
    assert given(2, 500, 8, 16000) == 2
    assert given(100, 20000, 8, 2000, gpus=4) == 4
    assert given(100, float("nan"), 8, 2000) == 8
    assert cost.cores() >= 1
    assert cost.free_mb() > 1


# ---- whole batches


@pytest.fixture(scope="module")
def finished(tmp_path_factory, picture_file):
    """Folder and answer of a batch of three jobs, one of which cannot be done."""
    top = tmp_path_factory.mktemp("batch")
    Image.fromarray(stripes()).save(top / "stripes.png")
    (top / "broken.png").write_text("no picture")
    path = listing(top, "picture,name,seed\nstripes.png,first,\nstripes.png,<b>second,5\nbroken.png,,\n")
    words = (path, *FLAGS, "--outdir", top / "out", "--workers", "1", "--then", "sample --num_samples 2")
    return top, words, say(*words, code=1)


def test_a_batch_makes_the_models_of_single_runs(finished, tmp_path):
    top, _, _ = finished
    for name, flags in (("first", ()), ("_b_second", ("--seed", "5"))):
        single = Run(trained(top / "stripes.png", tmp_path / name, *flags))
        own = run_of(top / "out", name)
        assert own is not None
        assert own.model.read_bytes() == single.model.read_bytes()
        assert len(list((own.evaluation).rglob("seed_*.png"))) == 2 * 4  # of four sizes


def test_what_fails_is_told_and_the_rest_is_finished(finished):
    top, _, result = finished
    assert "broken failed: " in result.stderr
    assert states(top / "out") == {"first": "finished", "<b>second": "finished", "broken": "failed"}
    assert Path(result.stdout.strip()) == (top / "out" / "index.html").resolve()


def test_the_same_command_again_does_what_is_left(finished):
    top, words, _ = finished
    models = {path: path.stat().st_mtime_ns for path in (top / "out").rglob("model.safetensors")}
    said = say(*[word for word in words if word != "--quiet"], "--dry_run").stderr
    assert "2 of 3 jobs are finished." in said
    assert {path: path.stat().st_mtime_ns for path in (top / "out").rglob("model.safetensors")} == models


def test_a_run_that_was_cut_goes_on_to_the_same_bits(tmp_path, picture_file):
    order = {"picture": str(picture_file), "not_cuda": True}
    order["settings"] = {"max_size": 40, "train_stages": 2, "niter": (8,), "nfc": 4, "finish": "none"}
    errand = Errand("job", order, str(tmp_path / "cut"))
    asked = iter([False] * 4 + [True] * 100)
    assert carry_out(errand, lambda record: None, lambda: next(asked), lambda *words: None).how == "stopped"
    cut = run_of(tmp_path / "cut", "job")
    (cut.folder.parent / "2026_01_01_00_00_00_killed_at_once" / "checkpoints").mkdir(parents=True)
    done = carry_out(errand, lambda record: None, lambda: False, lambda *words: None)
    whole = carry_out(Errand("job", order, str(tmp_path / "whole")), lambda record: None, lambda: False, None)
    assert (done.how, whole.how) == ("finished", "finished")
    assert run_of(tmp_path / "cut", "job").folder == cut.folder
    assert cut.model.read_bytes() == run_of(tmp_path / "whole", "job").model.read_bytes()


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has no such signals")
def test_ctrl_c_saves_and_the_command_goes_on(tmp_path, picture_file):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.png").write_bytes(picture_file.read_bytes())
    words = [str(tmp_path / "pictures"), *FLAGS, "--niter", "100000", "--outdir", str(tmp_path / "out")]
    command = [sys.executable, "-m", "consingan", "batch", *words, "--log_format", "json"]
    command.remove("--quiet")
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=Path(__file__).parent.parent)
    guard = Timer(120, process.kill)
    guard.start()
    for line in process.stderr:
        if '"started"' in line:
            time.sleep(0.5)
            process.send_signal(signal.SIGINT)
            break
    said = process.stderr.read()
    process.stderr.close()
    assert process.wait() == 128 + signal.SIGINT
    guard.cancel()
    assert states(tmp_path / "out") == {"a": "stopped"}, said
    assert list(run_of(tmp_path / "out", "a").checkpoints.glob("*.safetensors"))
    assert (tmp_path / "out" / "index.html").is_file()


def test_a_worker_ends_when_its_driver_is_killed(tmp_path):
    errand = json.dumps({"errand": {"name": "x_60", "order": {}, "outdir": str(tmp_path)}})
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    worker = subprocess.Popen(SLEEPING, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)
    worker.stdin.write(errand + "\n")
    worker.stdin.close()
    assert '"stopped"' in worker.stdout.read()
    assert worker.wait(timeout=20) == 0
    worker.stdout.close()


# ---- the page


def test_the_page_shows_every_job_and_no_name_becomes_markup(finished):
    top, _, _ = finished
    text = (top / "out" / "index.html").read_text()
    assert text.count("<tr data-state") == 3
    assert "&lt;b&gt;second" in text
    assert "<b>second" not in text
    assert text.count('src="data:image/webp') == 8  # two pictures with three samples each
    for link in (part.split('"')[0] for part in text.split('href="')[2:]):
        assert (top / "out" / link).is_file(), link
    assert "http" not in text.replace("http-equiv", "")
    assert str(top) not in text
    assert str(top) not in (top / "out" / "batch.json").read_text()


def test_an_animation_that_was_asked_for_comes_first(trained_run, tmp_path):
    copy = tmp_path / "stripes" / trained_run.name
    shutil.copytree(trained_run, copy)
    CliRunner().invoke(
        main, ["sample", str(copy), "--application", "walk", "--frames", "3", "--quiet"], catch_exceptions=False
    )
    found = judged(Run(copy), tmp_path).samples
    assert [Path(each).suffix for each in found] == [".gif", ".png", ".png"]
    assert "Evaluation" in found[0]
