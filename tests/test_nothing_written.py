"""A refused command leaves nothing behind: exit code 2, one sentence, no traceback, an empty folder as it was."""

import os
from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import TINY

from consingan.command import cli

# Lines by command; PICTURE, RUN and PHOTOS (a folder of pictures) stand for what is there.
LINES = {
    "train": [
        "nowhere.png",
        "PICTURE --no_such_flag",
        "PICTURE --max_size x",
        "PICTURE --niter 0",
        f"PICTURE --seed {'9' * 5000}",
        "PICTURE --port 80",
        "PICTURE --save x.toml",
        "PICTURE --outdir /dev/null/x",
        f"PICTURE --outdir {'x' * 300}",
        "PICTURE --train_mode nowhere",
        "PICTURE --train_mode harmonization --naive_img nowhere.png",
        "PICTURE --train_mode translation --target_name nowhere.png",
        "PICTURE PICTURE",
        "PICTURE --weights 1,2",
        "PICTURE --config nowhere.toml",
        "PHOTOS",
        "--resume nowhere",
        "--resume RUN --max_size 99",
        "https://example.org/a.png",
    ],
    "batch": [
        "nowhere",
        "PHOTOS --scheduler tcp://127.0.0.1:9 --workers 1",
        "PHOTOS --scheduler tcp://127.0.0.1:9 --outdir out",
        "PHOTOS --scheduler nowhere.json",
        "PHOTOS --shared",
        "PHOTOS --worker_resources GPU=1",
        "PHOTOS --then nonsense",
        "PHOTOS --max_size x",
        "PHOTOS --also nowhere.png",
        "PICTURE",
    ],
    "sample": [
        "nowhere",
        "RUN --size 5x",
        "RUN --num_samples 0",
        "RUN --like nowhere.png",
        "RUN --of 2",
        "RUN --of 1 --out x.png --num_samples 2",
        "RUN --frames 3",
        "RUN --size 99999x99999 --out x",
        f"RUN --out {'x' * 300}",
        "PICTURE --naive_img PICTURE",
    ],
    "style": ["PICTURE", "PICTURE PICTURE", "PICTURE nowhere.png", "RUN/picture.png PICTURE --stroke x"],
    "enlarge": ["PICTURE --factor 0", "PICTURE --factor 99999", "PICTURE --outdir x", "PICTURE --truth nowhere.png"],
    "fill": ["PICTURE", "PICTURE --mask nowhere.png", "PICTURE --mask RUN/report.html", "nowhere.png --mask PICTURE"],
    "uncrop": ["PICTURE", "PICTURE --left -1", "PICTURE --left 99999", "nowhere.png --left 5"],
    "paint": ["RUN", "RUN nowhere.png", "nowhere PICTURE"],
    "edit": ["RUN nowhere.png", "nowhere PICTURE", "RUN PICTURE --injection_stage 99"],
    "harmonize": ["RUN nowhere.png", "nowhere PICTURE", "RUN PICTURE --injection_stage 99"],
    "paste": [
        "--object PICTURE --onto PICTURE --at center --out ",
        "--object PICTURE --onto PICTURE --at center --out .",
        "--object PICTURE --onto PICTURE --at center --out x.png",
        "--object PICTURE --onto PICTURE --at nowhere --rectangle 0,0,9,9 --out x.png",
    ],
    "open": ["nowhere"],
    "list": ["nowhere", f"{'x' * 300}"],
    "score": ["nowhere", "PICTURE nowhere", f"{'x' * 300}", "PICTURE PICTURE --inception_weights PICTURE"],
    "compare": ["RUN", "RUN nowhere", "RUN RUN --out /dev/null/x"],
    "report": ["nowhere"],
    "export": ["RUN", "RUN --noise x.png", "RUN --noise x/x.npz", "RUN --noise x.npz --size 5x", "RUN --pt2 x.pt2 --x"],
    "presets": ["nowhere"],
    "help": ["nowhere", "batch nowhere"],
}


def stamps(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of every file below a folder."""
    return {str(file): (file.stat().st_size, file.stat().st_mtime_ns) for file in folder.rglob("*")}


def test_every_command_is_in_the_table():
    assert LINES.keys() == cli.main.commands.keys()


@pytest.mark.parametrize("command", LINES)
def test_a_refused_command_leaves_nothing(command, picture_file, trained_run, tmp_path, monkeypatch):
    monkeypatch.setattr("consingan.batch.cluster.TIMEOUT_S", 0.2, raising=False)
    photos, empty = tmp_path / "photos", tmp_path / "empty"
    photos.mkdir()
    (photos / "a.png").write_bytes(picture_file.read_bytes())
    empty.mkdir()
    monkeypatch.chdir(empty)
    before = stamps(trained_run), stamps(picture_file.parent), stamps(photos)
    for line in LINES[command]:
        places = {"PICTURE": picture_file, "RUN": trained_run, "PHOTOS": photos}
        words = line.split(" ")
        for name, place in places.items():
            words = [word.replace(name, str(place)) if word.startswith(name) else word for word in words]
        ended = CliRunner().invoke(cli.main, [command, *words])
        assert ended.exit_code == 2, (line, ended.output, ended.exception)
        assert isinstance(ended.exception, SystemExit), (line, ended.exception)
        assert [text.startswith("Error: ") for text in ended.stderr.splitlines()].count(True) == 1, (line, ended.stderr)
        assert len(ended.stderr) < 6000
        assert list(empty.iterdir()) == [], line
    assert (stamps(trained_run), stamps(picture_file.parent), stamps(photos)) == before


@pytest.mark.parametrize(
    "line",
    [
        "enlarge PICTURE --truth {}",
        "fill PICTURE --mask {}",
        "sample RUN --like {}",
        "paste --object {} --onto PICTURE --at center --out x.png",
        "train PICTURE --train_mode harmonization --naive_img {}",
    ],
)
def test_what_is_no_file_is_refused_by_its_flag_before_anything_is_said(line, picture_file, trained_run, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, what in ((tmp_path / "pipe", "not an ordinary file"), (tmp_path, "a folder")):
        words = line.replace("PICTURE", str(picture_file)).replace("RUN", str(trained_run)).format(path).split()
        flag = words[words.index(str(path)) - 1]
        ended = CliRunner().invoke(cli.main, words)
        said = [text for text in ended.stderr.splitlines() if text != "Loading ..."]
        assert (ended.exit_code, said) == (2, [f"Error: {flag} {path} is {what}; name one picture file."])


def test_a_batch_that_is_refused_by_its_workers_leaves_no_book(picture_file, tmp_path, monkeypatch):
    """Where it goes on with one, the book stays as it was."""
    monkeypatch.setattr("consingan.batch.cluster.TIMEOUT_S", 0.2, raising=False)
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    (photos / "a.png").write_bytes(picture_file.read_bytes())
    words = ["batch", str(photos), *TINY, "--outdir", str(out), "--not_cuda", "--quiet"]
    ended = CliRunner().invoke(cli.main, [*words, "--scheduler", "tcp://127.0.0.1:9"])
    assert (ended.exit_code, out.exists()) == (2, False), ended.output
