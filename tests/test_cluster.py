"""Jobs on a Dask cluster, on the loopback: pictures travel, files come back, a lost attempt begins again."""

import io
import json
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import TINY, trained
from sleeping import work as sleeping

from consingan.batch import afar
from consingan.batch.book import Book, Job
from consingan.batch.cluster import Attempt, Cluster, parsed
from consingan.batch.display import display
from consingan.batch.drive import Driver
from consingan.batch.errand import Outcome, run_of
from consingan.command.cli import main
from consingan.errors import UserError
from consingan.storage.run import Run
from consingan.training.order import Order

distributed = pytest.importorskip("distributed", reason="needs the package distributed (the extra cluster)")


def asleep(parcel) -> None:
    """The task of a worker whose jobs sleep."""
    afar.carry(parcel, sleeping)


def lost_at_first(parcel) -> None:
    """A worker that dies with every first attempt of a job, after the scheduler gave its task to another one."""
    folder = Path(parcel["errand"]["outdir"])
    mark = folder / f"{parcel['errand']['name']}.lost"
    if not mark.exists():
        mark.touch()
        distributed.Event(f"{parcel['channel']}-{parcel['attempt']}", client=distributed.get_client()).set()
    asleep(parcel)


@pytest.fixture(scope="module")
def address():
    """Of a scheduler with two workers in this process."""
    how = {"host": "127.0.0.1", "dashboard_address": None, "processes": False, "protocol": "tcp"}
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, **how) as cluster:
        yield cluster.scheduler_address


def driven(folder: Path, address: str, names, task=asleep, stop=lambda: False, shared=True) -> tuple[Book, str]:
    for name in names:
        (folder / f"{name}.png").touch()
    jobs = [Job(name, Order(picture=str(folder / f"{name}.png"))) for name in names]
    book, stream = Book.open(folder, jobs, (), None, 1), io.StringIO()
    with closing(Cluster(address, task, folder, shared, None)) as pool, book.held():
        assert pool.count == 2
        Driver(book, jobs, pool, display("plain", stream, len(jobs)), 2).run(stop)
    return book, stream.getvalue()


def states(book: Book) -> list[str]:
    return [entry.state for entry in book]


def test_jobs_go_through_a_scheduler(address, tmp_path):
    book, _ = driven(tmp_path, address, ["x_0.3", "fails", "x_0.2", "x_0.1", "x_0"], shared=False)
    assert states(book) == ["finished", "failed", "finished", "finished", "finished"]


def test_a_lost_attempt_begins_again(address, tmp_path):
    book, said = driven(tmp_path, address, ["x_0.1", "x_0.2"], lost_at_first)
    assert states(book) == ["finished", "finished"]
    assert said.count("its worker was lost (error); it goes on from its checkpoint.") == 2


def test_a_stop_reaches_the_cluster(address, tmp_path):
    asked = iter([False] * 12)
    book, _ = driven(tmp_path, address, ["x_60", "x_61", "x_62", "x_63"], stop=lambda: next(asked, True))
    assert states(book) == ["stopped"] * 4


def test_a_model_comes_back_with_the_bits_of_a_single_run(address, tmp_path, picture_file):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    (pictures / "a.png").write_bytes(picture_file.read_bytes())
    words = ["batch", str(pictures), *TINY, "--not_cuda", "--quiet", "--outdir", str(tmp_path / "out")]
    result = CliRunner().invoke(main, [*words, "--scheduler", address], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    run, single = run_of(tmp_path / "out", "a"), Run(trained(pictures / "a.png", tmp_path / "single"))
    assert run.model.read_bytes() == single.model.read_bytes()
    assert {path.name for path in single.folder.iterdir()} == {path.name for path in run.folder.iterdir()} | {".lock"}
    assert run.report.is_file()


def test_what_is_there_of_a_run_travels_and_replaced_checkpoints_go(tmp_path, trained_run, picture_file):
    """Without a scheduler: what is packed here is unpacked there, and what changes there is written here."""
    folder = tmp_path / "out" / "job" / trained_run.name
    folder.parent.mkdir(parents=True)
    afar.put(folder, {name: (trained_run / name).read_bytes() for name in afar.stamps(trained_run)})
    order = {"picture": str(picture_file), "settings": {}}
    pool = Cluster.__new__(Cluster)
    pool._folder = tmp_path / "out"
    errand = Job("job", Order(**order)).errand(pool._folder, (), 1)
    packed = json.loads(json.dumps(pool._packed(errand)["errand"])), pool._packed(errand)["files"]
    assert str(tmp_path) not in json.dumps(packed[0]["order"])
    said = []
    with afar.unpacked({"errand": packed[0], "files": packed[1], "shared": False}, str(tmp_path)) as (there, runs):
        assert Path(there.order["picture"]).read_bytes() == picture_file.read_bytes()
        (run,) = (runs / "job").iterdir()
        assert afar.stamps(run).keys() == afar.stamps(folder).keys()
        with afar.Side(afar.Line(lambda: True, lambda: 1, said.extend), "one", runs):
            old, *_ = (run / "checkpoints").glob("*.safetensors")
            old.rename(run / "checkpoints" / "99999999.safetensors")
            (run / "new.txt").write_text("new")
    assert [sorted(Path(name).name for name in each["files"]) for each in said] == [["99999999.safetensors", "new.txt"]]
    pool._keep("job", said[0])
    kept = {path.name for path in (folder / "checkpoints").glob("*.safetensors")}
    assert "99999999.safetensors" in kept
    assert old.name not in kept
    assert (folder / "new.txt").read_text() == "new"
    pool._keep("job", {"files": {"other/a": b"", "job/../../b": b"", "/c": b""}, "names": []})
    assert [path.name for path in tmp_path.rglob("[abc]")] == []


class FutureOfTest:
    """A task's future whose state a test says."""

    status = "pending"

    def done(self) -> bool:
        return self.status != "pending"


def pool_of(*names: str) -> Cluster:
    """A pool whose attempts are with no scheduler; an attempt is called as its job."""
    pool = Cluster.__new__(Cluster)
    pool._attempts = {name: Attempt(name, FutureOfTest()) for name in names}
    return pool


@pytest.mark.parametrize(
    ("settings", "then", "words"),
    [
        ({"model_dir": "run"}, (), "--model_dir does not travel"),
        ({}, (("--like", "sketch.png"),), "sketch.png, which --then names, does not"),
    ],
)
def test_what_does_not_travel_is_refused(settings, then, words, tmp_path, picture_file, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("sketch.png").touch()
    pool = Cluster.__new__(Cluster)
    pool._folder = tmp_path
    with pytest.raises(UserError, match=words):
        pool._packed(Job("job", Order(picture=str(picture_file), settings=settings)).errand(tmp_path, then, 1))


def test_an_attempt_counts_until_its_outcome_is_here_and_the_scheduler_knows():
    """Else the scheduler, which takes the worker for busy, would give the next task to another one."""
    pool = pool_of("first", "second")
    future, outcome = pool._attempts["first"].future, {"attempt": "first", "outcome": Outcome("finished").plain()}
    assert [news.outcome.how for news in pool._read(outcome)] == ["finished"]
    assert list(pool._attempts) == ["first", "second"]
    assert pool._read(outcome) == []  # said twice
    future.status = "finished"
    assert pool._read({"attempt": "first", "done": future}) == []
    assert list(pool._attempts) == ["second"]
    future = pool._attempts["second"].future
    future.status = "finished"
    assert pool._read({"attempt": "second", "done": future}) == []  # its outcome is on the way
    assert list(pool._attempts) == ["second"]
    assert pool._read({"attempt": "second", "record": {"event": "started"}})[0].record == {"event": "started"}
    assert [news.outcome.how for news in pool._read({**outcome, "attempt": "second"})] == ["finished"]
    assert pool._attempts == {}


def test_an_attempt_that_ends_without_an_outcome_is_a_death():
    pool = pool_of("job")
    future = pool._attempts["job"].future
    future.status = "error"
    assert pool._read({"attempt": "job", "record": {"event": "started"}})[0].record  # said before
    assert [news.died for news in pool._read({"attempt": "job", "done": future})] == ["its worker was lost (error)"]
    assert pool._attempts == {}


def test_what_is_said_goes_together_and_in_order():
    calls = []
    with afar.Side(afar.Line(lambda: True, lambda: 1, calls.append), "one", None) as side:
        for number in range(5):
            side.say({"record": number})
        side.say({"outcome": "done"})
    said = [message for call in calls for message in call]
    assert said == [{"attempt": "one", "record": k} for k in range(5)] + [{"attempt": "one", "outcome": "done"}]
    assert len(calls) == 1


def test_a_second_worker_of_an_attempt_sends_nothing_and_stops():
    calls = []
    side = afar.Side(afar.Line(lambda: False, lambda: 1, calls.append), "one", None).__enter__()
    side.say({"outcome": "done"})
    assert side._stop.wait(10)
    assert side.stopping()
    with pytest.raises(afar.LostError):
        side.__exit__()
    assert calls == []


def test_workers_that_do_not_fit_are_refused(address, tmp_path, monkeypatch):
    def refusal(where=address, resources=None) -> str:
        with pytest.raises(UserError) as caught:
            Cluster(where, asleep, tmp_path, True, resources)
        return str(caught.value)

    assert "cannot be reached" in refusal_fast(monkeypatch, tmp_path)
    assert "--scheduler nowhere.json cannot be read" in refusal("nowhere.json")
    assert "has {'GPU': 1.0}; start some with --resources" in refusal(resources="GPU=1")
    assert "--worker_resources is 'GPU'" in refusal(resources="GPU")
    assert parsed("GPU=1, MEMORY=2e9") == {"GPU": 1.0, "MEMORY": 2e9}
    own = iter([{"consingan": "9", "torch": "9"}])
    real = afar.versions()
    monkeypatch.setattr(afar, "versions", lambda: next(own, real))
    assert f"has consingan {real['consingan']}, and this machine 9" in refusal()


def refusal_fast(monkeypatch, folder: Path) -> str:
    monkeypatch.setattr("consingan.batch.cluster.TIMEOUT_S", 0.5)
    with pytest.raises(UserError) as caught:
        Cluster("tcp://127.0.0.1:9", asleep, folder, True, None)
    return str(caught.value)


def test_a_worker_of_another_version_says_so(address, tmp_path, monkeypatch):
    """One that came later than the first look."""
    pool = Cluster(address, asleep, tmp_path, True, None)
    monkeypatch.setattr(afar, "versions", lambda: {"consingan": "0", "torch": "0"})
    with closing(pool):
        pool.send(Job("x_0", Order(picture="a.png")).errand(tmp_path, (), 1))
        monkeypatch.undo()
        found = []
        while not found:
            found = [news for news in pool.news(1.0) if news.outcome]
    assert found[0].outcome.how == "failed"
    assert "instead of 0" in found[0].outcome.error


def test_a_file_of_a_fault_is_plain_data():
    done = Outcome("failed", "A sentence.", "a/b", 1.5, {"swd": 0.5}, ("a/b/c.png",), {})
    assert Outcome(**json.loads(json.dumps(done.plain()))).plain() == json.loads(json.dumps(asdict(done)))
