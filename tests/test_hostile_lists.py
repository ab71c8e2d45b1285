"""What a stranger's list, book of a batch, settings or index may not do: take time or memory, end in a traceback."""

import json
import os
from pathlib import Path
from time import process_time

import pytest
from click.testing import CliRunner
from conftest import TINY, stripes
from PIL import Image

from consingan.batch import afar, book, listing
from consingan.batch.book import Book, Entry, Job
from consingan.batch.cluster import Cluster
from consingan.batch.listing import FaultsError, listed
from consingan.command import cli
from consingan.command.batch import Cells
from consingan.errors import MOST_WORD, UserError, brief
from consingan.storage import results
from consingan.training.order import Order

ENTRY = {"name": "a", "picture": "a.png", "order": {}, "then": [["--num_samples", "2"]], "state": "finished"}


@pytest.fixture
def photos(tmp_path) -> Path:
    """A folder of three pictures."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a", "b", "c"):
        Image.fromarray(stripes()).save(folder / f"{name}.png")
    return folder


def jobs(file: Path) -> list[Job]:
    """The jobs of a list."""
    context = cli.main.commands["batch"].make_context("batch", [str(file)])
    return listed(file, Order(), Cells(context))


def faults(file: Path, text: str) -> tuple[str, ...]:
    """What is wrong with a list, found in a moment."""
    file.write_text(text)
    begin = process_time()
    with pytest.raises(FaultsError) as caught:
        jobs(file)
    assert process_time() - begin < 10
    assert len(caught.value.sentences) <= listing.MOST_FAULTS + 1
    return caught.value.sentences


def test_lists_without_end_are_refused_at_once(photos):
    many = "a.png\n" * 2_000_000
    assert faults(photos / "a.csv", f"picture\n{many}") == ("It has more than 20000 pictures; make several batches of "
                                                           "it.",)  # fmt: skip
    assert len(faults(photos / "a.jsonl", "x\n" * 2_000_000)) == listing.MOST_FAULTS + 1
    assert len(faults(photos / "b.jsonl", '{"picture": "gone.png"}\n' * 15_000)) == listing.MOST_FAULTS + 1
    assert "300000 cells" in faults(photos / "c.jsonl", json.dumps(dict.fromkeys(map(str, range(300_000)))))[0]
    assert "300001 cells" in faults(photos / "d.csv", "picture" + ",x" * 300_000)[0]
    assert "larger than 16 MiB" in faults(photos / "e.csv", "x" * (16 * 2**20 + 1))[0]


def test_endless_words_are_cut(photos):
    (photos / "a.jsonl").write_text(json.dumps({"picture": "x" * 100_000}))
    ended = CliRunner().invoke(cli.main, ["batch", str(photos / "a.jsonl")])
    assert ended.exit_code == 2
    assert "There is no picture at" in ended.stderr
    assert len(ended.stderr) < 2000
    assert brief(f"A {'x' * MOST_WORD} is kept.") == f"A {'x' * MOST_WORD} is kept."
    assert brief(f"A {'x' * 999}y is not.") == f"A {'x' * 150}...{'x' * 149}y is not."


def test_a_row_may_name_several_files(photos, tmp_path, monkeypatch):
    (photos / "a.csv").write_text("picture,also\na.png,b.png c.png\n")
    (job,) = jobs(photos / "a.csv")
    assert job.order.settings["also"] == (str(photos / "b.png"), str(photos / "c.png"))
    assert job.entry(()).order["settings"]["also"] == ["b.png", "c.png"]  # without folders
    assert job.shared(f"{photos / 'b.png'} is bad.", tmp_path) == "b.png is bad."
    assert "--also" in faults(photos / "b.csv", "picture,also\na.png,b.png gone.png\n")[0]
    pool = Cluster.__new__(Cluster)
    pool._folder = tmp_path / "out"
    parcel = json.loads(json.dumps(pool._packed(job.errand(tmp_path, (), 1))["errand"]))
    files = pool._packed(job.errand(tmp_path, (), 1))["files"]
    assert sorted(files) == ["pictures/a.png", "pictures/b.png", "pictures/c.png"]
    assert str(photos) not in json.dumps(parcel["order"])
    with afar.unpacked({"errand": parcel, "files": files, "shared": False}, str(tmp_path)) as (there, _):
        assert [Path(file).read_bytes() for file in there.order["settings"]["also"]] == [
            files["pictures/b.png"],
            files["pictures/c.png"],
        ]


def test_two_files_of_one_name_do_not_travel(photos, tmp_path):
    (tmp_path / "a.png").write_bytes(b"other")
    order = Order(picture=str(photos / "a.png"), settings={"target_name": str(tmp_path / "a.png")})
    pool = Cluster.__new__(Cluster)
    pool._folder = tmp_path / "out"
    with pytest.raises(UserError, match=r"Two files of x are called a\.png"):
        pool._packed(Job("x", order).errand(tmp_path, (), 1))


@pytest.mark.parametrize(
    "odd",
    [
        {"seconds": 10**400},
        {"seconds": "1"},
        {"seconds": float("nan")},
        {"figures": {"ssim": None}},
        {"figures": {"ssim": 10**400}},
        {"figures": [1]},
        {"samples": "a/b.png"},
        {"samples": [None]},
        {"samples": ["../b.png"]},
        {"run": "/etc"},
        {"error": 5},
        {"picture": []},
        {"order": []},
        {"then": [[1]]},
        {"then": 5},
        {"state": []},
    ],
    ids=lambda odd: repr(odd)[:40],
)
def test_a_crafted_book_is_refused(odd, photos, tmp_path):
    (tmp_path / "batch.json").write_text(json.dumps({"schema": 1, "threads": 1, "jobs": [{**ENTRY, **odd}]}))
    with pytest.raises(UserError, match=r"batch\.json is damaged, or another program's"):
        Book.open(tmp_path, [], (), None, 1)


def test_a_book_that_is_sound_is_read(tmp_path):
    assert book.sound(Entry(**ENTRY))
    values = {**ENTRY, "seconds": 2, "figures": {"ssim": 0.5}, "run": "a/b", "samples": ["a/b/c.png"], "error": "x"}
    (tmp_path / "batch.json").write_text(json.dumps({"schema": 1, "threads": 1, "jobs": [values]}))
    assert Book.open(tmp_path, [], (), None, 1).entries["a"].samples == ["a/b/c.png"]


def test_settings_of_a_million_dots_are_refused_at_once(picture_file, tmp_path):
    (tmp_path / "a.toml").write_text("a." * 400_000 + "a = 1")
    begin = process_time()
    ended = CliRunner().invoke(cli.main, ["train", str(picture_file), "--config", str(tmp_path / "a.toml")])
    assert (ended.exit_code, process_time() - begin < 5) == (2, True)
    assert "has more than 20000 bytes" in ended.stderr
    saved = tmp_path / "b.toml"
    words = ["train", str(picture_file), *TINY, "--dry_run", "--save", str(saved), "--not_cuda", "--quiet"]
    assert CliRunner().invoke(cli.main, words).exit_code == 0
    assert saved.stat().st_size < 10_000


def test_an_iteration_of_5000_digits_is_none(tmp_path):
    numbers = ["9" * 5000, "²", "7"]
    made = [results.Kept(tmp_path / "a.png", results.Role.SNAPSHOT, facts={"iteration": n}) for n in numbers]
    assert results.snapshots(made) == [(7, tmp_path / "a.png")]


def test_a_scheduler_file_that_is_a_pipe_is_refused(photos, tmp_path):
    os.mkfifo(tmp_path / "s.json")
    ended = CliRunner().invoke(cli.main, ["batch", str(photos), "--scheduler", str(tmp_path / "s.json")])
    assert ended.exit_code == 2
    assert "is not an ordinary file" in ended.stderr


@pytest.mark.parametrize("words", [("list",), ("report",), ("sample",), ("score",), ("export", "--noise", "x.npz")])
def test_a_name_that_is_too_long_is_a_sentence(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = CliRunner().invoke(cli.main, [words[0], "x" * 300, *words[1:]])
    assert (ended.exit_code, ended.stderr.count("\n")) == (2, 1), (ended.output, ended.exception)
