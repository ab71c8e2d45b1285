"""What a new user tripped over: help, the start of a command, where pictures come from and go to, settings in files."""

import io
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
import webbrowser
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import TINY, stripes, trained
from PIL import Image

from consingan import __version__, config
from consingan.command import cli
from consingan.command.flags import typed as typed_in
from consingan.errors import UserError
from consingan.storage.run import Run
from consingan.tasks import TASKS
from consingan.training import plan
from consingan.watch import displays
from consingan.watch.monitor import Monitor
from consingan.watch.report import reading
from consingan.watch.report.page import report_page

ROOT = Path(__file__).parent.parent
COMMANDS = {name: [name] for name in cli.main.commands}


def typed(*words: object, data: bytes | None = None, code: int = 0):
    """What ``consingan WORDS`` answers, run in this process."""
    done = CliRunner().invoke(cli.main, [str(word) for word in words], input=data, catch_exceptions=False)
    assert done.exit_code == code, done.output
    return done


def refusal(*words: object, data: bytes | None = None) -> str:
    """The one sentence of a refusal."""
    done = typed(*words, data=data, code=2)
    (sentence,) = (line for line in done.stderr.splitlines() if line.startswith("Error:"))
    assert done.stdout == ""
    return sentence


def process(*words: object, code: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
    """``python WORDS`` in the repository."""
    variables = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), **environment}
    done = subprocess.run(
        [sys.executable, *map(str, words)], cwd=ROOT, env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


@pytest.fixture
def desk(tmp_path, monkeypatch) -> Path:
    """The folder where commands are typed, with a picture in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CONSINGAN_OUTDIR", raising=False)
    Image.fromarray(stripes()).save("a.png")
    return tmp_path


# ---- help


@pytest.mark.parametrize("name", COMMANDS)
def test_every_flag_is_shown_with_underscores(name):
    for flag in ("--help", "--help_all") if name in ("train", "sample") else ("--help",):
        shown = typed(name, flag).stdout
        assert re.findall(r"--\w+", shown)
        assert re.findall(r"--\w+-\w+", shown) == []


@pytest.mark.parametrize(("name", "kept", "left_out"), [("train", "max_size", "beta1"), ("sample", "size", "scale_h")])
def test_short_help_shows_what_people_turn_and_examples_last(name, kept, left_out):
    short, whole = (typed(name, flag).stdout for flag in ("-h", "--help-all"))
    assert len(re.findall(r"^  --", short, re.MULTILINE)) <= 25
    assert len(whole.splitlines()) > 1.2 * len(short.splitlines())
    for text, flags in ((short, {kept: True, left_out: False}), (whole, {kept: True, left_out: True})):
        for flag, there in flags.items():
            assert bool(re.search(rf"--{flag}\b", text)) is there
    assert "--help_all" in short
    assert short[short.index("Examples:") :].count("  consingan") == 0  # the program that was called
    assert f"  main {name} " in short[short.index("Examples:") :]
    assert not re.search(r"^\w.*:$", short[short.index("Examples:") + 9 :], re.MULTILINE)


WORKING_ORDER = [
    *("train", "batch", "sample", "style", "enlarge", "fill", "uncrop", "paint", "edit", "harmonize", "paste"),
    *("open", "list", "score", "compare", "report", "export", "presets", "help"),
]


def test_the_commands_are_listed_in_the_order_of_use_and_not_cut():
    lines = CliRunner().invoke(cli.main, ["-h"], prog_name="consingan", terminal_width=80).stdout.splitlines()
    rows = [line.split(maxsplit=1) for line in lines[lines.index("Commands:") + 1 :]]
    assert [name for name, _ in rows] == WORKING_ORDER
    assert dict(rows) == {name: one.short_help for name, one in cli.main.commands.items()}


@pytest.mark.parametrize("program", ["consingan", "python -m consingan"])
@pytest.mark.parametrize("width", [60, 80])
@pytest.mark.parametrize("name", COMMANDS)
def test_no_line_of_help_is_wider_than_the_terminal(name, width, program):
    for flag in ("--help", "--help_all") if name in ("train", "sample", "batch") else ("--help",):
        shown = CliRunner().invoke(cli.main, [name, flag], prog_name=program, terminal_width=width).stdout
        assert [line for line in shown.splitlines() if len(line) > width] == []


def test_a_long_list_of_choices_stands_in_the_help():
    shown = " ".join(typed("train", "--help_all").stdout.split())
    objectives = ", ".join(config.TABLES["objective"])
    said = shown.partition("--objective WORD ")[2]
    assert said.startswith(f"adversarial objective: the game that generator and critic play; one of {objectives} [def")
    assert "--train_mode WORD generation: new pictures" in shown
    assert "--noise [pure|mixed]" in shown  # a short one stands beside its flag


@pytest.mark.parametrize("name", ["train", "sample"])
def test_examples_are_understood(name):
    for words, _ in cli.main.commands[name].examples:
        cli.main.commands[name].make_context(name, shlex.split(words))


SCRIPTS = {"main_train.py": "train", "evaluate_model.py": "sample"}


def documented() -> list[tuple[str, list[str]]]:
    """Where README and pages have a line of ours to type, and its words behind the program."""
    found = []
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        lines = iter(enumerate(page.read_text().splitlines(), 1))
        for number, line in lines:
            if not re.match(r"(    )?(consingan [a-z]+|python (main_train|evaluate_model)\.py) ", line):
                continue
            while line.endswith("\\"):
                line = line.removesuffix("\\") + next(lines)[1]
            if line.startswith("    ") or " --" in line:
                program, *words = shlex.split(line, comments=True)
                words = [SCRIPTS[words[0]], *words[1:]] if program == "python" else words
                found.append((f"{page.name}:{number}", words))
    return found


@pytest.mark.parametrize(("place", "words"), documented(), ids=lambda value: value if isinstance(value, str) else "")
def test_every_documented_line_is_understood(place, words):
    words = [word.replace("harmonization|editing", "editing") for word in words]
    named = cli.main.commands[words[0]]
    context = named.make_context(words[0], list(words[1:]))
    given = {name: value for name, value in context.params.items() if typed_in(context, name)}
    plan.checked({s.name: given[s.name] for s in config.settings() if s.name in given and words[0] == "train"})


def test_documented_lines_are_found():
    pages = [place.partition(":")[0] for place, _ in documented()]
    assert len(pages) > 60
    assert {"README.md", "batch.md", "harmonization.md", "tileable.md", "reliability.md"} <= set(pages)


@pytest.mark.parametrize("words", [[], *([name] for name in COMMANDS)], ids=lambda words: "".join(words) or "main")
def test_every_command_tells_its_version(words):
    assert typed(*words, "--version").stdout == f"consingan {__version__}\n"


def test_the_scripts_tell_their_version():
    for script in ("main_train.py", "evaluate_model.py"):
        assert process(script, "--version").stdout == f"consingan {__version__}\n"


@pytest.mark.parametrize("mode", TASKS)
def test_presets_shows_what_each_one_sets(mode):
    head, *rows = (line.split() for line in typed("presets", mode).stdout.splitlines())
    table = {name: dict(zip(head, values, strict=True)) for name, *values in rows}
    assert head == list(TASKS[mode].recipes)
    defaults = {s.name: s.default for s in config.settings()}
    for preset, recipe in TASKS[mode].recipes.items():
        for name, value in recipe.items():
            assert table[f"--{name}"][preset] == plan.shown(value)
        for flag in table:
            name = flag.removeprefix("--")
            assert table[flag][preset] == plan.shown(recipe.get(name, defaults[name]))


# ---- who set what


def test_a_run_tells_its_preset_and_what_was_set(picture_file, tmp_path):
    run = Run(trained(picture_file, tmp_path, "--preset", "quick"))
    given = {word.removeprefix("--") for word in TINY if word.startswith("--")}
    values = json.loads(run.config.read_text())
    assert (values["chosen"]["preset"], set(values["chosen"]["given"])) == ("quick", given)
    facts = reading.read(run)
    assert (facts.chosen.preset, set(facts.chosen.given or ())) == ("quick", given)
    page = report_page(run)
    total = len(config.flat(facts.settings))
    assert f"{len(given)} of {total} were set for this run. The others are those of the preset quick." in page
    marked = set(re.findall(r'<tr class="differs"><td>(\w+)</td>', page))
    assert marked == given
    assert re.search(r'<td>niter</td><td class="other">2</td><td>400, 300, 200</td>', page)


def test_runs_that_do_not_tell_who_set_what_are_read(trained_run, tmp_path):
    values = json.loads((trained_run / "config.json").read_text())
    whole = config.from_json(values, "config.json")
    for odd in (None, [], {"preset": 3, "given": "x"}, {"given": [1, "nfc"]}):
        assert config.from_json({**values, "chosen": odd}, "config.json") == whole
        found = config.chosen_in({**values, "chosen": odd})
        assert found.preset is None
        assert found.given in (None, ("nfc",))
    del values["chosen"]
    assert config.from_json(values, "config.json") == whole
    assert config.chosen_in(values) == config.UNKNOWN


# ---- open


def test_open_shows_the_report_of_what_is_named(desk, picture_file, monkeypatch):
    seen = []
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(webbrowser, "open", lambda address: seen.append(address) or True)
    run = Run(trained(picture_file, Path("trained_models")))
    run.report.unlink()
    for name in (run.folder, "trained_models", "trained_models/stripes", "last", "stripes"):
        done = typed("open", name)
        assert done.stdout == f"{run.report}\n"
        assert done.stderr == ""
    assert seen == [run.report.resolve().as_uri()] * 5
    assert "stripes.png" in run.report.read_text()
    monkeypatch.setattr(webbrowser, "open", lambda address: False)
    assert typed("open", "last").stderr.startswith("There is no browser with a screen here; open this file")
    monkeypatch.setattr(webbrowser, "open", lambda address: 1 / 0)
    assert typed("open", "last").stderr.startswith("There is no browser")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    if sys.platform == "linux":  # a browser of the terminal is none
        monkeypatch.setattr(webbrowser, "open", lambda address: seen.append("text") or True)
        assert typed("open", "last").stderr.startswith("There is no browser")
        assert "text" not in seen
    assert "nowhere does not exist" in refusal("open", "nowhere")


def test_a_folder_above_runs_stands_for_its_newest(desk, trained_run):
    old, new = (desk / "runs/stripes" / f"202{year}_01_01_00_00_00_x" for year in (4, 5))
    for run in (old, new):
        run.mkdir(parents=True)
        (run / "config.json").write_text("{}")
    (old / "model.safetensors").touch()
    for folder in ("runs", "runs/stripes", "runs/"):
        assert Run.open(folder, needs_model=False).folder == new.relative_to(desk)
        assert Run.open(folder).folder == old.relative_to(desk)


# ---- the start and the end of a training


class Screen:
    """What a terminal shows of what was written: lines, with the few codes that rich moves by."""

    encoding = "utf-8"

    def __init__(self) -> None:
        self.lines, self.row, self.column = [""], 0, 0

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        raise io.UnsupportedOperation

    def flush(self) -> None: ...

    def write(self, text: str) -> int:
        for code, plain in re.findall(r"(\x1b\[[?\d;]*[A-Za-z])|([^\x1b])", text):
            number = int(re.sub(r"\D", "", code) or 1)
            if code.endswith("A"):
                self.row = max(0, self.row - number)
            elif code.endswith("K"):
                self.lines[self.row] = ""
            elif plain == "\r":
                self.column = 0
            elif plain == "\n":
                self.row, self.column = self.row + 1, 0
                self.lines += [""] * (self.row + 1 - len(self.lines))
            elif plain:
                line = self.lines[self.row].ljust(self.column)
                self.lines[self.row] = line[: self.column] + plain + line[self.column + 1 :]
                self.column += 1
        return len(text)


@pytest.mark.parametrize("stopped", [False, True], ids=["end", "stop"])
def test_no_bar_is_left_when_a_training_is_over(monkeypatch, stopped):
    monkeypatch.setenv("TERM", "xterm")
    screen = Screen()
    shown = displays.display("rich", screen)
    assert isinstance(shown, displays.Rich)
    with closing(shown), Monitor(None, "quiet", observers=[shown], interval_s=0) as monitor:
        monitor.message("begun")
        monitor.begin([1.0, 1.0])
        for stage in range(2):
            monitor.begin_stage(stage, 2, 4)
            for iteration in range(4):
                monitor.observe(iteration, {"critic": 1.0})
                if iteration == 1:
                    assert [line for line in screen.lines if "training" in line and " %" in line], screen.lines
                    monitor.message(f"said {stage}")
            if stopped:
                break
            monitor.end_stage()
        monitor.break_off()
        monitor.message("over")
    assert [line.rstrip() for line in screen.lines if line.strip()] == [
        "begun", "said 0", *([] if stopped else ["said 1"]), "over"]  # fmt: skip


def test_a_resumed_run_says_where_it_writes_and_how_long_it_takes(desk, monkeypatch):
    from consingan.training import signals

    with monkeypatch.context() as patch:
        asked = iter([False, False, True])
        patch.setattr(signals.StopRequest, "__call__", lambda self: next(asked))
        folder = typed("train", "a.png", *TINY, "--niter", 3, "--quiet", code=128).stdout.strip()
    lines = typed("train", "--resume", folder, "--log_format", "plain").stderr.splitlines()
    assert lines[0] == "Loading ..."
    assert "Going on at stage 1 of 2, iteration 3." in lines
    assert [line for line in lines if re.fullmatch(r"About \d+ s are left\.", line)]
    assert f"Run folder: {folder}" in lines


SAYS = """
import sys
from consingan.command import cli, common
def said(text):
    print("torch" in sys.modules, text)
    raise SystemExit
common.note = said
sys.stderr.isatty = lambda: {terminal}
cli.main({words!r}, standalone_mode=False)
"""


@pytest.mark.parametrize(
    ("words", "terminal"),
    [("train PICTURE", False), ("train PICTURE --dry_run", False), ("train --resume STOPPED", False),
     ("sample RUN", False), ("report RUN", True), ("score RUN", True), ("compare RUN STOPPED", True),
     ("paste --object PICTURE --onto PICTURE --at 1,1 --out x.png", True)],
)  # fmt: skip
def test_a_word_is_said_before_what_takes_seconds(words, terminal, picture_file):
    old = "tests/runs_0_1_0"
    for name, path in {
        "PICTURE": picture_file,
        "RUN": f"{old}/generation",
        "STOPPED": f"{old}/stopped_generation",
    }.items():
        words = words.replace(name, str(path))
    done = process("-c", SAYS.format(words=words.split(), terminal=terminal))
    assert done.stdout == "False Loading ...\n", done.stderr


@pytest.mark.parametrize(("shown", "said"), [("rich", True), ("plain", True), ("json", False), ("quiet", False)])
def test_who_hears_that_something_loads(shown, said, desk):
    flag = ["--quiet"] if shown == "quiet" else ["--log_format", shown]
    done = typed("train", "a.png", *TINY, "--dry_run", *flag)
    assert done.stderr == ("Loading ...\n" if said else "")
    assert "Loading" not in done.stdout


# ---- where a picture comes from


def test_a_picture_comes_from_standard_input(desk, trained_run):
    data = Path("a.png").read_bytes()
    done = typed("train", "-", *TINY, "--log_format", "plain", data=data)
    piped, lines = Path(done.stdout.strip()), done.stderr.splitlines()
    stage = next(k for k, line in enumerate(lines) if line.startswith("stage 1/2"))
    assert lines.index(f"Run folder: {piped}") < stage  # where it writes is said before it trains
    assert piped.parent == Path("trained_models/stdin")
    assert (piped / "pyramid/1.png").read_bytes() == (trained_run / "pyramid/1.png").read_bytes()
    assert json.loads((piped / "config.json").read_text())["image"] == "stdin"
    out = typed("sample", "-", "--num_samples", 1, "--size", "64x48", "--quiet", data=data).stdout.strip()
    assert out == "trained_models/stdin/instant"
    assert len(list(Path(out).rglob("seed_*.png"))) == 1


@pytest.mark.parametrize(
    ("data", "words"),
    [(b"", "standard input, which is empty: pipe a picture into it."),
     (b"no picture", "The picture from standard input is no picture that can be read")],
)  # fmt: skip
def test_what_is_no_picture_in_standard_input(desk, data, words):
    for command in ("train", "sample"):
        assert words in refusal(command, "-", data=data)


def test_standard_input_that_is_a_terminal_is_not_waited_for(desk, monkeypatch):
    from consingan.errors import UserError
    from consingan.pictures import source

    monkeypatch.setattr(sys, "stdin", Screen())
    with pytest.raises(UserError, match="which is a terminal here"):
        source.standard_input()


@pytest.mark.parametrize(
    "words",
    [["train", "https://e.org/a.png"], ["sample", "HTTP://e.org/a.png"],
     ["paste", "--object", "ftp://e.org/a.png", "--onto", "a.png", "--at", "1,1", "--out", "b.png"],
     ["train", "a.png", "--train_mode", "editing", "--naive_img", "http://e.org/a.png", *TINY]],
    ids=lambda words: words[0],
)  # fmt: skip
def test_an_address_is_refused_with_what_to_do(desk, words):
    sentence = refusal(*words)
    assert "is an address, and nothing is fetched from the network; save the picture and name its file" in sentence


def test_the_advice_for_a_folder_of_pictures_works(desk):
    folder = desk / "my photos"
    folder.mkdir()
    for name in ("one.png", "two words.jpg"):
        Image.fromarray(stripes()).save(folder / name)
    sentence = refusal("train", "my photos")
    line = sentence[sentence.index("consingan batch") :].partition(", and for one model")[0]
    assert shlex.split(line) == ["consingan", "batch", "my photos"]


def test_a_folder_of_pictures_is_sampled_picture_by_picture(desk):
    photos = desk / "my photos"
    photos.mkdir()
    (photos / "notes.txt").write_text("no picture")
    for name in ("one.png", "two.jpg"):
        Image.fromarray(stripes()).save(photos / name)
    words = ("--num_samples", 1, "--size", "40x30", "--quiet")
    assert typed("sample", photos, *words).stdout.split() == [
        "trained_models/one/instant",
        "trained_models/two/instant",
    ]
    assert typed("sample", "my photos/", *words, "--out", "new").stdout.split() == ["new/one", "new/two"]
    alone = typed("sample", photos / "one.png", *words, "--out", "alone").stdout.strip()
    (made,) = Path(alone).rglob("seed_0_sample_000.png")
    for folder in ("trained_models/one/instant", "new/one"):
        assert (Path(folder) / made.relative_to(alone)).read_bytes() == made.read_bytes()

    (photos / "broken.png").write_bytes(b"junk")
    done = typed("sample", photos, *words, "--out", "again", code=2)
    assert done.stdout.split() == ["again/one", "again/two"]
    assert re.search(r"Error: 1 of 3 pictures could not be sampled: \S+ ?\S*broken\.png ", done.stderr)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [("photos --out x.png", "--out x.png is one file, and photos has several pictures; name a folder."),
     ("photos --size 0x9", "--size is 0x9 px; give sides from 1 to 32768 px."),
     ("twins", "twins/a.jpg and twins/a.png would be sampled into the same folder; rename one."),
     ("empty", "RUN|PICTURE empty is no run (no config.json, no model.safetensors in it); give the folder of ")],
)  # fmt: skip
def test_a_folder_that_cannot_be_sampled_is_refused_before_anything_is_loaded(desk, words, sentence):
    for name in ("photos/a.png", "photos/b.png", "twins/a.jpg", "twins/a.png", "empty/notes.txt"):
        (desk / name).parent.mkdir(exist_ok=True)
        (desk / name).write_bytes(b"not looked at")
    there = files_below(desk)
    assert sentence in refused_at_once("sample", *words.split())
    assert files_below(desk) == there


# ---- what is refused before anything is loaded


def refused_at_once(*words: object) -> str:
    """The sentence of a refusal that comes before torch, the picture or a model is loaded."""
    done = typed(*words, code=2)
    assert "Loading" not in done.stderr
    assert done.stdout == ""
    return done.stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [("--variation 7", "--variation is 7.0; give a number from 0 to 1."),
     ("--num_samples -1", "--num_samples is -1; give a number from 1 to 100000."),
     ("--size 0x0", "--size is 0x0 px; give sides from 1 to 32768 px."),
     ("--size 40000x10", "--size is 40000x10 px; give sides from 1 to 32768 px."),
     ("--size 90", "--size is '90'; give WIDTHxHEIGHT in pixels, as 600x400."),
     ("--fps 5", "--fps is a flag of --application walk, turn, not of samples; leave it out, or give --applicat"),
     ("--application walk --frames 0", "--frames is 0; give a number from "),
     ("--like gone.png", "--like gone.png does not exist; check the spelling of the path."),
     ("--like a.png --mask gone.png", "--mask gone.png does not exist; check the spelling of the path.")],
)  # fmt: skip
def test_values_of_sample_are_refused_before_a_model_is_loaded(desk, trained_run, words, sentence):
    assert sentence in refused_at_once("sample", trained_run, *words.split())


@pytest.mark.parametrize(
    ("words", "called"),
    [("paint RUN gone.png", "CLIPART"), ("edit RUN gone.png", "PHOTO"), ("harmonize RUN gone.png", "NAIVE"),
     ("edit RUN a.png --mask gone.png", "--mask"),
     ("sample RUN --application harmonize --naive_img gone.png", "--naive_img"),
     ("sample gone.png", "PICTURE"), ("fill gone.png --mask a.png", "PHOTO"), ("fill a.png --mask gone.png", "--mask"),
     ("uncrop gone.png --left 5", "PHOTO"), ("enlarge gone.png", "PHOTO|RUN"),
     ("enlarge a.png --truth gone.png", "--truth"),
     ("style gone.png a.png", "CONTENT"), ("style a.png gone.png", "STYLE"),
     ("paste --object gone.png --onto a.png --at 1,1 --out x.png", "--object"),
     ("paste --object a.png --onto gone.png --at 1,1 --out x.png", "--onto"),
     ("train a.png --train_mode editing --naive_img gone.png", "--naive_img")],
)  # fmt: skip
def test_a_file_that_does_not_exist_is_named_with_its_flag_or_argument(desk, trained_run, words, called):
    given = [str(trained_run) if word == "RUN" else word for word in words.split()]
    sentence = f"Error: {called} gone.png does not exist; check the spelling of the path.\n"
    assert refused_at_once(*given) == sentence
    assert files_below(desk) == {"a.png"}


def test_python_names_the_option_of_a_file_that_does_not_exist(desk):
    import consingan

    with pytest.raises(consingan.UserError, match=r"^--truth gone\.png does not exist; check the spelling"):
        consingan.enlarge("a.png", truth="gone.png")


@pytest.mark.parametrize("there", ["", "runs", "runs/stripes"])
def test_a_training_that_cannot_begin_leaves_nothing(desk, monkeypatch, there):
    from consingan.storage import run as storage
    from consingan.training import loop

    def full(*_):
        raise UserError("Cannot write it.")

    (desk / there).mkdir(parents=True, exist_ok=True)
    before = sorted(desk.rglob("*"))
    words = ("train", "a.png", *TINY, "--outdir", "runs/stripes/deep" if there else "runs", "--quiet")
    for place, name in ((loop, "write_start"), (storage.Run, "lock")):
        with monkeypatch.context() as patch:
            patch.setattr(place, name, full)
            assert refusal(*words) == "Error: Cannot write it."
        assert sorted(desk.rglob("*")) == before


# ---- long pictures


@pytest.mark.parametrize(
    ("preset", "before", "advice"),
    [("fast", "All 3 stages have 200x12 px", ["--train_stages 1", "--max_size 534"]),
     ("paper", "All 6 stages have 250x15 px", ["--train_stages 1", "--max_size 834"])],
)  # fmt: skip
def test_a_long_picture_whose_stages_are_all_alike_is_told_with_advice_that_works(desk, preset, before, advice):
    Image.new("RGB", (1000, 60), "green").save("long.png")
    words = ("train", "long.png", "--preset", preset, "--dry_run", "--nfc", 2, "--num_layer", 1)
    told = typed(*words).stdout
    (note,) = (line for line in told.splitlines() if line.startswith("All "))
    assert note.startswith(f"{before}, because --min_size")
    assert re.findall(r"--(?:train_stages|max_size) \d+", note) == advice
    for each in advice:
        again = typed(*words, *each.split()).stdout
        sizes = re.findall(r"stage \d: (\S+) px", again)
        assert len(set(sizes)) == len(sizes)
        assert "All " not in again
    assert "All " not in typed("train", "a.png", *TINY, "--dry_run").stdout


@pytest.mark.parametrize(
    ("size", "flags", "advice"),
    [((40, 30), "--min_size 8", "--min_size 11"), ((9, 40), "", "--num_layer 2"), ((9, 9), "--ker_size 5", None),
     ((400, 30), "--ker_size 5", "--min_size 21 --max_size 280")],
)  # fmt: skip
def test_what_is_advised_where_a_stage_is_too_small_works(desk, size, flags, advice):
    Image.new("RGB", size, "green").save("odd.png")
    words = ("train", "odd.png", "--nfc", 2, "--dry_run", *flags.split())
    sentence = refusal(*words)
    assert "smaller than the critic's patch" in sentence
    if advice is None:
        assert sentence.endswith("; give a larger picture.")
        return
    assert f"; give {advice}" in sentence
    typed(*words, *advice.split())


# ---- where a result goes


def files_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_trial_with_another_mask_or_picture_overwrites_nothing(desk):
    for name, box in (("left.png", (0, 0, 9, 9)), ("right.png", (30, 20, 40, 30))):
        mask = Image.new("L", stripes().shape[1::-1])
        mask.paste(255, box)
        mask.save(name)
    for mask in ("left", "right", "left"):
        typed("fill", "a.png", "--mask", f"{mask}.png", "--num_samples", 1, "--quiet", "--out", "new")
    found = {name for name in files_below(desk / "new") if name.endswith(".png")}
    assert found == {"fill_patches/seed_0_sample_000.png", "fill_patches/seed_0_sample_000_2.png"}
    facts = {
        each["file"]: each["facts"]["mask"] for each in json.loads(Path("new/results.json").read_text())["results"]
    }
    assert facts == {
        "fill_patches/seed_0_sample_000.png": "left.png",
        "fill_patches/seed_0_sample_000_2.png": "right.png",
    }
    Image.fromarray(stripes()[::-1].copy()).save("a.jpg")
    for picture in ("a.png", "a.jpg"):  # both go to trained_models/a/instant
        typed("sample", picture, "--num_samples", 1, "--size", "40x30", "--quiet")
    assert len(list(Path("trained_models/a/instant").rglob("seed_0*.png"))) == 2


def test_a_trial_with_other_codes_or_frames_overwrites_nothing(desk):
    run = trained(desk / "a.png", desk / "runs", "--codes", "1")
    words = ("--num_samples", 1, "--finish", "none", "--quiet")
    for flags in (("--code", "0=0.5"), ("--code", "0=-1"), ("--code", "0=0.5")):
        typed("sample", run, *flags, *words, "--size", "40x30", "--out", "still")
    assert len(list(Path("still").rglob("seed_0*.png"))) == 2
    for frames in (3, 4):
        typed("sample", run, "--code", "0=-1..1", "--frames", frames, *words, "--out", "strip")
    assert len(list(Path("strip").rglob("code_0*.png"))) == 2


@pytest.mark.parametrize("name", ["one.png", "new/one.JPG", "one.webp", "one.tiff"])
def test_one_picture_to_one_file(desk, trained_run, name):
    done = typed("sample", trained_run, "--out", name, "--seed", 3, "--quiet")
    assert done.stdout == f"{name}\n"
    assert files_below(desk) == {"a.png", name}
    typed("sample", trained_run, "--out", "many", "--seed", 3, "--num_samples", 2, "--size", "40x30", "--quiet")
    if name == "one.png":
        assert Path(name).read_bytes() == Path("many/samples_40x30_start_0/seed_3_sample_000.png").read_bytes()
    with Image.open(name) as picture:
        assert picture.size == (40, 30)
    assert "exists already" in refusal("sample", trained_run, "--out", name)


def test_one_file_of_the_other_applications(desk, animation_run):
    typed("sample", animation_run, "--out", "a.gif", "--frames", 2, "--finish", "none", "--quiet")
    typed("sample", "a.png", "--out", "b.png", "--quiet")
    run = trained(desk / "a.png", desk / "runs", "--train_mode", "editing")
    naive = stripes()
    naive[10:30, 20:40] = 255 - naive[10:30, 20:40]
    Image.fromarray(naive).save("naive.png")
    typed("sample", run, "--naive_img", "naive.png", "--out", "c.png", "--quiet")
    typed("sample", run, "--naive_img", "naive.png", "--out", "folder", "--quiet")
    assert Path("c.png").read_bytes() == Path("folder/naive_masked.png").read_bytes()
    assert {"a.gif", "b.png", "c.png"} <= {path.name for path in desk.iterdir()}
    with Image.open("a.gif") as animation:
        assert animation.n_frames == 2
    assert "Nothing new was made for --out d.png" in refusal("sample", run, "--out", "d.png", "--quiet")
    Path("several").mkdir()
    assert "is a folder" in refusal("sample", run, "--naive_img", "several", "--out", "d.png", "--quiet")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [("--num_samples 2", "--num_samples 2 do not fit into one file, --out x.png"),
     ("--reconstruction", "--reconstruction is a second picture, and --out x.png is one file"),
     ("--format jpg", "--format jpg contradicts --out x.png"),
     ("--out x.gif", "--out x.gif cannot hold what --application samples makes; end it in .png, .jpg, .webp, .tif,")],
)  # fmt: skip
def test_more_than_one_picture_does_not_go_into_one_file(desk, trained_run, words, sentence):
    assert sentence in refusal("sample", trained_run, "--out", "x.png", *words.split())
    assert files_below(desk) == {"a.png"}


def test_a_name_with_a_slash_at_its_end_is_a_folder(desk, trained_run):
    typed("sample", trained_run, "--out", "x.png/", "--num_samples", 1, "--size", "40x30", "--quiet")
    assert Path("x.png/samples_40x30_start_0/seed_0_sample_000.png").is_file()


def test_the_reconstruction_is_written_when_it_is_asked_for(desk, trained_run):
    for flags, there in (([], False), (["--reconstruction"], True)):
        typed("sample", trained_run, "--out", "made", "--num_samples", 1, "--size", "40x30", "--quiet", *flags)
        assert Path("made/reconstruction.png").exists() is there
    assert (trained_run / "samples/stage_1/reconstruction.png").is_file()  # previews have it


# ---- fine-tuning, pasting


def test_fine_tuning_takes_mode_and_picture_from_the_run(desk):
    base = trained(desk / "a.png", desk / "runs", "--train_mode", "editing", "--niter", "1")
    (desk / "a.png").rename("moved.png")
    Image.fromarray(stripes()[::-1]).save("NAIVE.png")
    (line,) = re.findall(r"<code>consingan ([^<]*--fine_tune[^<]*)</code>", (base / "report.html").read_text())
    line = line.replace("&#39;", "'")
    assert "--input_name" not in line
    assert "--train_mode" not in line
    words = (
        "--fine_tune",
        "--model_dir",
        base,
        "--naive_img",
        desk / "NAIVE.png",
        "--niter",
        1,
        "--not_cuda",
        "--quiet",
    )
    own_words = [*shlex.split(line), "--niter", 1, "--not_cuda", "--quiet"]
    short = Run(Path(typed(*own_words).stdout.strip()))
    long = Run(Path(typed("train", "moved.png", "--train_mode", "editing", *words).stdout.strip()))
    own, other = (plan.recorded(run) for run in (short, long))
    assert (own.mode, Path(own.image).name) == ("editing", "a.png")
    assert config.flat(own) == config.flat(other)
    assert (short.pyramid / "1.png").read_bytes() == (long.pyramid / "1.png").read_bytes()
    assert json.loads(short.config.read_text())["chosen"]["preset"] is None
    (base / "picture.png").unlink()
    assert "holds no picture; give it with --input_name." in refusal("train", *words)
    assert "--fine_tune is given without --model_dir" in refusal("train", "--fine_tune", "--naive_img", "NAIVE.png")


@pytest.mark.parametrize(
    ("place", "left", "top"),
    [("center", 25, 20), ("left", 0, 20), ("right", 50, 20), ("top", 25, 0), ("bottom", 25, 40)],
)
def test_an_object_is_pasted_at_a_named_place(desk, place, left, top):
    Image.new("RGB", (9, 8), "red").save("object.png")
    words = ["--object", "object.png", "--rectangle", "0,0,7,4", "--onto", "a.png", "--scale", 2]
    typed("paste", *words, "--at", place, "--out", "made.png")
    with Image.open("made_mask.png") as mask:
        assert mask.convert("1").getbbox() == (left, top, left + 14, top + 8)
    assert "--at is 'middle'; give X,Y in pixels, or one of center, left, right, top, bottom." in refusal(
        "paste", *words, "--at", "middle", "--out", "b.png"
    )


# ---- packages that are not there

WITHOUT = """
import runpy, sys
sys.modules[{package!r}] = None
sys.argv = {argv!r}
runpy.run_path("main_train.py", run_name="__main__")
"""


@pytest.mark.parametrize("package", ["click", "torch", "kornia", "imageio", "PIL", "rich", "jinja2", "tensorboard"])
def test_a_missing_package_is_said_before_anything_is_made(package, picture_file, tmp_path):
    argv = ["main_train.py", str(picture_file), *TINY, "--outdir", str(tmp_path)]
    argv += ["--tensorboard"] if package == "tensorboard" else []
    done = process("-c", WITHOUT.format(package=package, argv=argv), code=2)
    name = {"PIL": "pillow"}.get(package, package)
    sentence = f"The package {name} is not installed; install it with: {sys.executable} -m pip install {name}"
    assert done.stderr.splitlines()[-1] == f"Error: {sentence}"
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_what_is_required_is_what_is_declared():
    from consingan.errors import OTHER_NAMES, REQUIRED

    lines = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    declared = {re.split(r"[<>=]", line)[0] for line in lines}
    assert {OTHER_NAMES.get(name, name) for name in REQUIRED} == declared - {"click"}


def test_a_module_of_ours_that_is_missing_is_no_package_to_install(monkeypatch):
    from consingan.errors import missing_package

    assert missing_package(ModuleNotFoundError("x", name="consingan.gan.no_such")) is None
    assert missing_package(ModuleNotFoundError("x", name="json")) is None


# ---- benchmarks, completion


ALONE = """
import runpy, sys, torch
from pathlib import Path
for script in sorted(Path("benchmarks").glob("*.py")):
    for name in [name for name in sys.modules if name.partition(".")[0] == "consingan"]:
        del sys.modules[name]
    elsewhere = [path for path in sys.path if not (Path(path) / "consingan").is_dir()]
    sys.path[:] = [str(script.parent.resolve()), *elsewhere]
    sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in repr(finder)]
    sys.argv = [str(script), "--help"]
    try:
        runpy.run_path(str(script), run_name="__main__")
    except SystemExit as end:
        assert not end.code, script
"""


def test_benchmarks_run_without_installation():
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    words = [sys.executable, "-P", "-c", ALONE]
    done = subprocess.run(words, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    shown = " ".join(done.stdout.split())
    for script in (ROOT / "benchmarks").glob("*.py"):
        assert f"python benchmarks/{script.name}" in shown


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_completion(shell, monkeypatch):
    monkeypatch.setenv("_CONSINGAN_COMPLETE", f"{shell}_source")
    monkeypatch.setattr("click.shell_completion.BashComplete._check_version", lambda self: None)
    script = CliRunner().invoke(cli.main, prog_name="consingan").stdout
    assert f"_CONSINGAN_COMPLETE={shell}_complete" in script
    assert f"_CONSINGAN_COMPLETE={shell}_source consingan" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize(
    ("words", "expected"),
    [("consingan tr", ["train"]), ("consingan train --pre", ["--preset", "--precision"]),
     ("consingan train --preset q", ["quick"]), ("consingan sample --application w", ["walk"]),
     ("consingan open la", ["last"]),
     ("consingan sample --model_dir l", ["last"]), ("consingan open photo", ["file,photo"]),
     ("consingan train pho", ["file,pho"]), ("consingan fill a.png --mask ma", ["file,ma"]),
     ("consingan batch phot", ["file,phot"]), ("consingan paste --object lig", ["file,lig"]),
     ("consingan train a.png --input_name pho", ["file,pho"])],
)  # fmt: skip
def test_words_are_completed(words, expected, monkeypatch):
    for name, value in {
        "_CONSINGAN_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    lines = CliRunner().invoke(cli.main, prog_name="consingan").stdout.split()
    assert [line.removeprefix("plain,") for line in lines] == expected


# ---- settings in a file and in the environment


def origins(*words: object) -> dict[str, tuple[str, str]]:
    """Value and origin of every setting in a dry run."""
    text = typed("train", "a.png", *words, "--dry_run", "--quiet").stdout
    return {name: (value, by) for name, value, by in re.findall(r"^  (\w+) +(\S+) +(\S.*)$", text, re.MULTILINE)}


SMALL = "max_size = 40\nnfc = 4\nnum_layer = 1\n"


def test_flags_come_before_the_file_and_the_file_before_the_preset(desk):
    Path("my.toml").write_text(SMALL + "niter = [5, 4]\npreset = 'quick'\nlr-g = 'auto'\nbatch_norm = true\n")
    found = origins("--config", "my.toml", "--nfc", 6, "--preset", "fast")
    assert found["nfc"] == ("6", "flag")
    assert found["niter"] == ("5,4", "file my.toml")
    assert found["batch_norm"] == ("True", "file my.toml")
    assert found["decay"] == ("linear", "preset fast")
    assert found["ker_size"] == ("3", "default")
    assert origins("--config", "my.toml")["decay"] == ("linear", "preset quick")
    words = ("--config", "my.toml", "--niter", 1, "--train_stages", 1, "--finish", "none", "--quiet")
    run = Run(Path(typed("train", "a.png", *words).stdout.strip()))
    chosen = reading.read(run).chosen
    assert chosen.preset == "quick"
    assert set(chosen.given or ()) == {
        "max_size", "nfc", "num_layer", "niter", "lr_g", "batch_norm", "train_stages", "finish"}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "words"),
    [("nfcs = 3", "--config my.toml: 'nfcs' is no setting; did you mean nfc?"),
     ("[network]\nnfc = 3", "--config my.toml: 'network' is no setting"),
     ("resume = 'x'", "--config my.toml: 'resume' is no setting"),
     ("nfc = 0", "--config my.toml: nfc: --nfc is 0; give a number from 1 to 1024."),
     ("nfc = '4'", "--config my.toml: nfc: --nfc is '4'; give a value of type int."),
     ("niter = [1, 0]", "--config my.toml: niter: --niter is '1,0'; give a whole number"),
     ("preset = 'slow'", "--config my.toml: preset: 'slow' is not one of"),
     ("preset = 3", "--config my.toml: preset: 3 is not one of"),
     ("quiet = 'yes'", "--config my.toml: quiet: 'yes' is none of its values."),
     ("train_mode = ['x']", "--config my.toml: train_mode: ['x'] is none of its values."),
     ("nfc = ", "--config my.toml cannot be read as settings (Invalid value"),
     ("a = " + "[" * 3000, "--config my.toml cannot be read as settings"),
     (None, "--config my.toml does not exist; check the spelling of the path.")],
    ids=lambda value: str(value)[:20],
)  # fmt: skip
def test_what_is_wrong_in_a_file_is_named(desk, text, words):
    if text is not None:
        Path("my.toml").write_text(text)
    assert words in refusal("train", "a.png", "--config", "my.toml")


@pytest.mark.parametrize(
    "flags",
    [[], ["--niter", "5,4", "--lr_g", "1e-05", "--batch_norm", "--activation", "elu"], ["--train_stages", "auto"],
     ["--preset", "paper", "--train_mode", "editing", "--naive_img", 'a "b"\\.png', "--window", "off"]],
    ids=["none", "numbers", "auto", "words"],
)  # fmt: skip
def test_a_saved_file_gives_the_same_settings_again(desk, flags):
    Path("a.png").with_name('a "b"\\.png').write_bytes(Path("a.png").read_bytes())
    words = [*flags, "--max_size", 40, "--nfc", 4, "--num_layer", 1, "--min_size", 25]
    planned = origins(*words, "--save", "my.toml")
    again = origins("--config", "my.toml")
    assert {name: value for name, (value, _) in again.items()} == {name: value for name, (value, _) in planned.items()}
    assert {name for name, (_, by) in again.items() if by == "file my.toml"} == {
        name for name, (_, by) in planned.items() if by == "flag"
    }
    assert tomllib.loads(Path("my.toml").read_text())["max_size"] == 40


def test_a_file_is_saved_by_a_dry_run_alone(desk):
    assert "--save my.toml goes with --dry_run" in refusal("train", "a.png", "--save", "my.toml")
    sentence = refusal("train", "a.png", "--dry_run", "--save", "a.png")
    assert "--save a.png is no file of settings; give a name that ends in .toml." in sentence
    assert files_below(desk) == {"a.png"}


def test_the_environment_names_the_folder_of_runs(desk, picture_file, monkeypatch):
    monkeypatch.setenv("CONSINGAN_OUTDIR", "my runs")
    run = typed("train", "a.png", *TINY, "--quiet").stdout.strip()
    assert Path(run).parent == Path("my runs/a")
    assert run in typed("list").stdout
    assert Run.open("last", needs_model=False).folder == Path(run)
    assert typed("train", "--resume", "last", "--quiet").stdout.strip() == run
    assert typed("sample", "a.png", "--num_samples", 1, "--quiet").stdout.strip() == "my runs/a/instant"
    for command in ("train", "list"):
        assert "CONSINGAN_OUTDIR" in typed(command, "--help").stdout
    planned = typed("train", "a.png", *TINY, "--outdir", "other", "--dry_run", "--quiet").stdout
    assert "run folder: other/a/" in planned
