"""report.html: what it reads, what it draws, and that it needs nothing but itself."""

import base64
import json
import re
import shlex
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from conftest import OF_ONE, TINY, stripes, trained
from PIL import Image

from consingan import config
from consingan.command import cli
from consingan.errors import UserError
from consingan.metrics.table import evaluate
from consingan.pictures import images
from consingan.storage.machine import environment
from consingan.storage.run import Run
from consingan.watch import report
from consingan.watch.report import commands, judged, origins, page, plots, reading
from consingan.watch.report.pictures import embedded
from consingan.watch.report.reading import Curve
from consingan.watch.report.words import meaning

NASTY = "<img src=x onerror=alert(1)>&\"'.png"


def folder(tmp_path: Path, log: list[dict], stages: int = 2, image: str = "photo.png", **settings) -> Run:
    """A run folder written by hand."""
    run = Run.create(tmp_path / "runs", image, "generation")
    resolved, _ = config.resolve("generation", image, ("flag", {"train_stages": stages, "niter": (100,), **settings}))
    run.config.write_text(json.dumps(config.to_json(resolved)))
    for stage in range(stages):
        Image.fromarray(stripes(24 + 8 * stage, 32 + 8 * stage)).save(run.pyramid / f"{stage}.png")
    run.log.write_text("".join(json.dumps(record) + "\n" for record in log))
    return run


def begin(stage: int, time_s: float, start: int = 0) -> dict:
    return {"event": "begin_stage", "stage": stage, "start_iteration": start, "iterations": 100, "time_s": time_s}


def step(stage: int, iteration: int, time_s: float, **terms) -> dict:
    return {"event": "iteration", "stage": stage, "iteration": iteration, "time_s": time_s, **terms}


def end(stage: int, time_s: float, iterations: int, memory: float, complete: bool = True) -> dict:
    known = {"iterations": iterations, "peak_memory_mb": memory, "memory_of": "process", "complete": complete}
    return {"event": "stage", "stage": stage, "time_s": time_s, **known}


WHOLE = [
    begin(0, 0.5),
    *(step(0, k, 0.5 + k / 10, reconstruction=1.0 / (k + 1)) for k in range(0, 100, 10)),
    end(0, 10.5, 100, 300.0),
    begin(1, 10.5),
    *(step(1, k, 10.5 + k / 5, reconstruction=0.5 / (k + 1)) for k in range(0, 100, 10)),
    end(1, 30.5, 100, 320.0),
]


# ---------------------------------------------------------------------------------------------------------
# facts


def test_a_whole_run_is_read(tmp_path):
    run = folder(tmp_path, WHOLE)
    found = reading.read(run)
    assert [stage.size for stage in found.stages] == [(24, 32), (32, 40)]
    assert [stage.done for stage in found.stages] == [100, 100]
    assert [stage.seconds for stage in found.stages] == [10.0, 20.0]
    assert [stage.seconds_each for stage in found.stages] == [0.1, 0.2]
    assert (found.memory_mb, found.seconds, found.starts) == (320.0, 30.5, (0, 100, 200))
    assert not found.finished
    run.finished.write_text("{}")
    assert reading.read(run).finished


def test_curves_go_on_over_the_stages_and_leave_out_what_is_not_finite(tmp_path):
    log = [*WHOLE, step(1, 99, 31, reconstruction="NaN"), step(7, 0, 1, reconstruction=1.0)]
    (curve,) = reading.read(folder(tmp_path, log)).losses
    assert curve.name == "reconstruction"
    assert [point[0] for point in curve.pieces[1]] == list(range(100, 200, 10))
    assert curve.pieces[0][1] == (10, 1 / 11)
    assert len(curve.pieces) == 2


def test_a_killed_and_resumed_stage_counts_what_counts(tmp_path):
    log = [begin(0, 0.0), *(step(0, k, k / 10, a=1.0) for k in range(0, 61, 10))]  # killed at 61 or later
    found = reading.read(folder(tmp_path, log)).stages
    assert (found[0].done, found[0].seconds, found[0].complete, found[1].done) == (61, 6.0, False, 0)
    log += [begin(0, 6.0, start=40), *(step(0, k, 6 + k / 10, a=2.0) for k in range(40, 100, 10)), end(0, 16, 60, 9.0)]
    read = reading.read(folder(tmp_path, log))
    assert (read.stages[0].done, read.stages[0].seconds, read.stages[0].complete) == (100, 16.0, True)
    assert [y for _, y in read.losses[0].pieces[0]] == [1.0] * 4 + [2.0] * 6
    stopped = [begin(0, 0.0), step(0, 0, 0.1, a=1.0), step(0, 10, 1.0, a=1.0), end(0, 2.0, 11, 5.0, complete=False)]
    assert reading.read(folder(tmp_path, stopped)).current.done == 11


def test_a_stage_that_ended_early_ends_there(tmp_path):
    log = [begin(0, 0.0), step(0, 0, 0.1, a=1.0), end(0, 4.0, 40, 1.0), begin(1, 4.0), step(1, 0, 5.0, a=1.0)]
    found = reading.read(folder(tmp_path, log))
    assert (found.stages[0].done, found.starts) == (40, (0, 40, 140))
    assert found.losses[0].pieces[1] == ((40, 1.0),)


def test_the_folder_of_a_real_run(trained_run):
    found = reading.read(Run(trained_run))
    assert found.finished
    assert found.newest is found.stages[-1]
    assert [stage.size for stage in found.stages] == [(25, 34), (30, 40)]
    for stage in found.stages:
        assert (stage.done, stage.planned, stage.complete) == (10, 10, True)
        assert len(stage.samples) == 3
        assert stage.reconstruction.name == "reconstruction.png"
        assert [moment.iteration for moment in stage.moments] == [1, 5, 10]
    assert {curve.name for curve in found.losses} >= {"reconstruction", "critic_real", "critic_fake", "penalty"}


# ---------------------------------------------------------------------------------------------------------
# the page


class Reader(HTMLParser):
    """Every address and every text of a page."""

    def __init__(self, text: str):
        super().__init__()
        self.addresses, self.texts, self.tags, self.ids = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        for name, value in attributes:
            if name in ("src", "href", "srcset", "action", "data", "poster"):
                self.addresses.append(value)
            if name.startswith("on"):
                raise AssertionError(f"{tag} has {name}")
            if name == "id":
                self.ids.append(value)

    def handle_data(self, data):
        self.texts.append(data)


def assert_self_contained(text: str) -> Reader:
    read = Reader(text)
    assert [a for a in read.addresses if not a.startswith(("data:", "#"))] == []
    outside = re.sub(r'"data:[^"]*"', "", text)
    assert not re.findall(r"(?:https?:)?//[\w.]+\.\w+|@import|url\((?!#)", outside)
    assert len(read.ids) == len(set(read.ids)), sorted(read.ids)
    assert len(text) < 5_000_000
    return read


@pytest.mark.parametrize("mode", OF_ONE)
def test_every_mode_leaves_a_report(mode, picture_file, tmp_path):
    run = Run(trained(picture_file, tmp_path, "--train_mode", mode, "--min_size", "25"))
    text = run.report.read_text()
    read = assert_self_contained(text)
    assert mode in "".join(read.texts)
    assert "finished" in "".join(read.texts)
    for wanted in ("pyramid", "film", "samples", "curves", "cost", "settings", "commands"):
        assert wanted in read.ids
    assert ("origins" in read.ids) == (mode in ("generation", "retarget", "animation"))
    found = reading.read(run)
    assert read.tags.count("svg") == len(found.losses) - 1 + len(found.figures)  # two terms share a plot


def test_a_naive_picture_is_judged_and_traced(tmp_path, picture_file):
    naive = stripes()
    naive[10:24, 20:40] = (255, 0, 0)
    Image.fromarray(naive).save(tmp_path / "naive.png")
    mask = np.zeros(naive.shape[:2], np.uint8)
    mask[10:24, 20:40] = 255
    Image.fromarray(mask).save(tmp_path / "naive_mask.png")
    flags = ("--train_mode", "harmonization", "--min_size", "25", "--naive_img", str(tmp_path / "naive.png"))
    run = Run(trained(picture_file, tmp_path, *flags))
    read = Reader(run.report.read_text())
    assert "origins" in read.ids
    assert "figures" in read.ids
    captions = [shot.caption for shot in page.hero(reading.read(run))]
    assert captions[:2] == ["the naive picture", "result, changed inside the mask only"]  # the two that stand large
    assert captions[2:] == ["the picture", "changed everywhere, without a mask"]
    beside, result, real = (shot.picture for shot in page.hero(reading.read(run))[:3])
    assert (beside.width, result.width) == (64, 64) == (real.width, 64)
    assert beside.uri not in (result.uri, real.uri)
    assert any("result, changed inside the mask only" in text for text in read.texts)
    assert CliRunner().invoke(cli.sample, [str(run.folder), "--native", "--quiet"]).exit_code == 0
    said = meaning(reading.read(run), {"copy": 0.9})
    assert "judge by eye" in said[-1]
    assert not any("--variation" in sentence for sentence in said)  # which this application has not
    shown = [shot.caption for shot in page.evaluation(run)]
    assert shown[0] == "result, changed inside the mask only: naive masked"
    assert {caption.split(":")[0] for caption in shown} == {
        *("result, changed inside the mask only", "changed everywhere, without a mask", "the naive picture"),
        *("side by side", "mask", "output of the network"),
    }
    assert all(f'alt="{caption}"' in run.report.read_text() for caption in shown)  # sampling renewed the page
    assert any("--naive_img naive.png --fine_tune" in text for text in read.texts)


def figures_of(stage: int, error: float) -> dict:
    return {"event": "figures", "stage": stage, "iteration": 90, "time_s": 1.0, "reconstruction": error}


@pytest.mark.parametrize(
    ("log", "finished", "figures", "words"),
    [
        (WHOLE, True, {"copy": 0.2, "diversity": 0.4, "completeness": 0.01}, ["nothing has to be turned"]),
        (WHOLE, True, {"copy": 0.7, "diversity": 0.05}, ["70% of the samples lies .* --variation, such as 0.8"]),
        (WHOLE, True, {"copy": 0.2, "diversity": 0.05}, ["hardly differ from each other .diversity 0.05.*--variation"]),
        (WHOLE, True, {"completeness": 0.05}, ["Parts of the picture are missing .* --variation, such as 0.4"]),
        (WHOLE[:5], False, {}, [r"not finished \(0 of 2 stages"]),
        ([*WHOLE[:-1], figures_of(1, 0.3), WHOLE[-1]], True, {}, ["far from the picture .error 0.3; .*--preset best"]),
        ([*WHOLE[:-1], figures_of(1, 0.05), WHOLE[-1]], True, {}, []),
        ([begin(0, 0.5), step(0, 2, 0.7), end(0, 1.0, 3, 300.0)], True, {}, ["only 3 iterations, a trial"]),
    ],
)
def test_the_page_says_in_words_what_the_figures_mean(tmp_path, monkeypatch, log, finished, figures, words):
    run = folder(tmp_path, log)
    if finished:
        run.finished.write_text("{}")
    said = meaning(reading.read(run), figures)
    assert len(said) == len(words)
    assert all(re.search(word, sentence) for word, sentence in zip(words, said, strict=True))
    monkeypatch.setattr(judged, "find", lambda facts: judged.Findings(figures))
    texts = Reader(report.report_page(run)).texts
    assert all(sentence in texts for sentence in said)


@pytest.mark.parametrize("missing", ["log.jsonl", "environment.json", "samples", "pyramid", "model.safetensors"])
def test_what_is_missing_is_left_out(missing, trained_run, tmp_path):
    import shutil

    copy = Path(shutil.copytree(trained_run, tmp_path / "copy"))
    target = copy / missing
    shutil.rmtree(target) if target.is_dir() else target.unlink()
    assert_self_contained(report.report_page(Run(copy)))


def test_a_run_that_has_only_begun(tmp_path):
    run = folder(tmp_path, [])
    text = "".join(assert_self_contained(report.report_page(run)).texts)
    assert "not begun" in text
    assert "--resume" in text
    started = "".join(Reader(report.report_page(folder(tmp_path, WHOLE[:5]))).texts)
    assert "stage 1/2, iteration 31/100" in started


def test_broken_pictures_are_left_out(trained_run, tmp_path):
    import shutil

    copy = Path(shutil.copytree(trained_run, tmp_path / "copy"))
    for number, path in enumerate(sorted(copy.rglob("samples/stage_1/**/*.png"))):
        path.write_bytes([b"", b"no picture", path.read_bytes()[:60]][number % 3])
    assert_self_contained(report.report_page(Run(copy)))


def test_names_are_escaped(tmp_path):
    said = {"event": "message", "text": "<script>alert(1)</script>", "time_s": 1.0}
    figures = {"event": "figures", "stage": 0, "iteration": 5, "time_s": 1.0, "<b>\"'x": 1.0}
    run = folder(tmp_path, [*WHOLE, said, figures], image=f"/a/{NASTY}")
    stage = run.samples / "stage_1" / "samples_40x32_start_0"
    stage.mkdir(parents=True)
    Image.fromarray(stripes(32, 40)).save(stage / "a<b>&'.png")
    (run.environment).write_text(json.dumps({"device": "<i>", "command": ["<u>x</u>"], "<s>": 1}))
    read = assert_self_contained(report.report_page(run))  # refuses every on... attribute
    assert not {"b<", "u", "s"} & set(read.tags)
    assert read.tags.count("script") == 1
    text = "".join(read.texts)
    for shown in (NASTY, "<script>alert(1)</script>", "a<b>&'", "<u>x</u>"):
        assert shown in text


def test_settings_that_differ_are_marked(tmp_path):
    rows = {row.name: row for row in page.setting_rows(reading.read(folder(tmp_path, [], batch_norm=True)))}
    assert {name for name, row in rows.items() if row.differs} == {"train_stages", "niter", "batch_norm"}
    assert (rows["batch_norm"].value, rows["batch_norm"].otherwise) == ("on", "off")
    text = report.report_page(folder(tmp_path, [], batch_norm=True))
    assert '<tr class="differs"><td>batch_norm</td><td class="other">on</td><td>off</td>' in text


def test_every_figure_of_the_log_is_drawn(tmp_path):
    values = {"reconstruction": 0.1, "balance": 0.2, "convergence": 0.3, "swd": 0.04, "brand_new": 5}
    log = [*WHOLE, *({"event": "figures", "stage": 1, "iteration": k, "time_s": 1, **values} for k in (10, 20))]
    read = reading.read(folder(tmp_path, log))
    assert [curve.name for curve in read.figures] == list(values)
    drawn = page.plots(read.figures, read.starts)
    assert [plot.title for plot in drawn] == ["Reconstruction", "Balance", "Convergence", "Patch distance", "Brand new"]


@pytest.mark.parametrize(
    ("called", "sampling", "reporting"),
    [
        ("/usr/bin/consingan", "consingan sample", "consingan report"),
        ("main_train.py", "python evaluate_model.py", "python -m consingan report"),
        ("/x/consingan/__main__.py", "python -m consingan sample", "python -m consingan report"),
        ("my_program.py", "consingan sample", "consingan report"),
    ],
)
def test_commands_start_as_this_one_was_started(monkeypatch, called, sampling, reporting):
    monkeypatch.setattr("sys.argv", [called])
    assert commands.program("sample") == sampling
    assert commands.program("report") == reporting


@pytest.mark.parametrize(
    ("called", "words"),
    [("/usr/bin/consingan", ["consingan"]), ("/x/main_train.py", ["python", "main_train.py"]),
     ("/x/consingan/__main__.py", ["python", "-m", "consingan"])],
)  # fmt: skip
def test_the_page_tells_the_command_that_was_typed(monkeypatch, called, words):
    monkeypatch.setattr("sys.argv", [called, "train", "/home/me/a b.png", "--niter", "3"])
    assert environment()["command"] == [*words, "train", "a b.png", "--niter", "3"]


def test_the_commands_of_the_page_work(picture_file, tmp_path, monkeypatch):
    run = Run(trained(picture_file, tmp_path / 'it\'s a "folder" $HOME'))
    monkeypatch.chdir(tmp_path)
    lines = [line for line in Reader(run.report.read_text()).texts if line.startswith("consingan ")]
    sampling, again = (shlex.split(line) for line in lines)
    assert sampling[:2] == ["consingan", "sample"]
    made = CliRunner().invoke(
        cli.sample, [*sampling[2:], "--num_samples", "1", "--quiet", "--reconstruction"], catch_exceptions=False
    )
    assert made.exit_code == 0
    assert (run.evaluation / "reconstruction.png").is_file()
    run.report.unlink()
    result = CliRunner().invoke(cli.main, again[1:], catch_exceptions=False)
    assert (result.exit_code, Path(result.stdout.strip()).absolute()) == (0, run.report)
    assert "evaluation" in Reader(run.report.read_text()).ids


def test_a_stopped_run_can_be_gone_on_with_as_the_page_says(picture_file, tmp_path, monkeypatch):
    from consingan.training import signals

    asked = iter([False, False, False, True])  # in the second stage
    monkeypatch.setattr(signals.StopRequest, "__call__", lambda self: next(asked, False))
    command = [str(picture_file), *TINY, "--outdir", str(tmp_path), "--not_cuda", "--quiet"]
    stopped = CliRunner().invoke(cli.train, command)
    run = Run(Path(stopped.stdout.strip()))
    text = "".join(Reader(run.report.read_text()).texts)  # made anew when it was stopped
    assert "stage 2/2, iteration 2/2" in text
    line = next(line for line in Reader(run.report.read_text()).texts if "--resume" in line)
    monkeypatch.chdir(tmp_path.parent)
    assert CliRunner().invoke(cli.train, [*shlex.split(line)[2:], "--quiet"]).exit_code == 0
    assert ">finished</span>" in run.report.read_text()


def test_a_report_that_fails_does_not_end_the_training(picture_file, tmp_path, monkeypatch):
    def full(run):
        raise UserError("Cannot write it.")

    monkeypatch.setattr(report, "write", full)
    run = Run(trained(picture_file, tmp_path))
    assert run.finished.is_file()
    assert not run.report.exists()
    said = [r["text"] for r in reading.read_log(run.log) if r["event"] == "message"]
    assert said.count("There is no new report: Cannot write it.") == 3


@pytest.mark.parametrize("command", [["report", "nowhere"], ["report", "."]])
def test_report_refuses_what_is_no_run(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli.main, command)
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: RUN ")
    assert result.stderr.count("\n") == 1


# ---------------------------------------------------------------------------------------------------------
# pictures


def decoded(uri: str) -> Image.Image:
    return Image.open(BytesIO(base64.b64decode(uri.split(",")[1])))


def test_small_pictures_are_exact_and_large_ones_shrunk(tmp_path):
    Image.fromarray(stripes(40, 60)).save(tmp_path / "a.png")
    small = embedded(tmp_path / "a.png", 100)
    assert np.array_equal(np.asarray(decoded(small.uri)), stripes(40, 60))
    Image.fromarray(stripes(300, 600)).save(tmp_path / "b.png")
    large = embedded(tmp_path / "b.png", 200)
    assert (large.width, large.height) == decoded(large.uri).size == (200, 100)


def test_a_changed_file_is_read_again(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(stripes(20, 20)).save(path)
    first = embedded(path, 100)
    Image.fromarray(255 - stripes(20, 20)).save(path)
    assert embedded(path, 100) != first
    path.write_bytes(b"torn")
    assert embedded(path, 100) is None
    path.unlink()
    assert embedded(path, 100) is None


def test_animations_move_on_the_page(animation_run):
    stage = reading.read(Run(animation_run)).newest
    shown = decoded(embedded(stage.samples[0].path, 100).uri)
    with Image.open(stage.samples[0].path) as stored:
        assert shown.n_frames == min(stored.n_frames, 40) > 1
    assert len(judged.frames(stage.samples[0].path)) == 5


# ---------------------------------------------------------------------------------------------------------
# what is copied from where


def noise(height: int, width: int) -> torch.Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0))


def test_a_copy_comes_from_its_own_place():
    found = origins.trace(noise(24, 30), noise(24, 30))
    assert torch.equal(found.rows, torch.arange(24)[:, None].expand(24, 30))
    assert torch.equal(found.columns, torch.arange(30).expand(24, 30))
    assert (found.in_place, found.together, found.distance.max().item()) == (1.0, 1.0, 0.0)


def test_a_shifted_part_comes_from_where_it_was():
    real = noise(30, 40)
    sample = real.roll((4, -9), (2, 3))
    found = origins.trace(real, sample)
    inner = (slice(8, 25), slice(4, 26))  # whose patches are not cut by the seam
    rows, columns = torch.meshgrid(torch.arange(30), torch.arange(40), indexing="ij")
    assert torch.equal(found.rows[inner], rows[inner] - 4)
    assert torch.equal(found.columns[inner], columns[inner] + 9)
    assert found.in_place < 0.02
    assert 0.5 < found.together < 1


def test_large_pictures_are_traced_at_the_size_of_the_map():
    found = origins.trace(noise(90, 240), noise(90, 240), side=60)
    assert found.rows.shape == (22, 60)
    assert found.in_place == 1.0


def test_colours_name_places():
    rows, columns = torch.meshgrid(torch.arange(9), torch.arange(13), indexing="ij")
    field = origins.colours(rows, columns, (9, 13))
    for r, c, corner in ((0, 0, (0, 0)), (0, 12, (0, 1)), (8, 0, (1, 0)), (8, 12, (1, 1))):
        assert field[0, :, r, c].tolist() == pytest.approx(origins.CORNERS[corner[0]][corner[1]], abs=1e-6)
    flat = field[0].flatten(1).T
    assert len(torch.unique((flat * 255).round(), dim=0)) == len(flat)  # no two places look the same


def test_figures_on_the_page_are_those_of_the_metrics(trained_run):
    read = reading.read(Run(trained_run))
    found = judged.find(read)
    stage = read.stages[-1]
    samples = torch.cat([images.load(each.path).pixels for each in stage.samples[:5]])
    wanted = evaluate((images.load(read.picture).pixels + 1) / 2, (samples + 1) / 2)
    assert found.figures == pytest.approx(wanted)
    assert found.judged == 3
    codes = base64.b64decode(found.traced.codes)
    assert len(codes) == 2 * found.traced.width * found.traced.height
    assert judged.find(read) is found  # not computed twice


# ---------------------------------------------------------------------------------------------------------
# plots


def test_points_are_drawn_where_they_belong():
    svg = plots.plot("t", [Curve("a", (((0.0, 0.0), (50.0, 5.0), (100.0, 10.0)),))], (0, 100))
    (points,) = re.findall(r'points="([^"]*)"', svg)
    pixels = [tuple(map(float, pair.split(","))) for pair in points.split()]
    assert [x for x, _ in pixels] == [
        plots.LEFT,
        (plots.LEFT + plots.WIDTH - plots.RIGHT) / 2,
        plots.WIDTH - plots.RIGHT,
    ]
    assert pixels[0][1] > pixels[1][1] > pixels[2][1]  # up is more
    assert pixels[0][1] - pixels[1][1] == pytest.approx(pixels[1][1] - pixels[2][1], abs=0.11)
    data = json.loads(re.search(r'data-plot="([^"]*)"', svg)[1].replace("&#34;", '"'))
    assert data["curves"] == [{"name": "a", "x": [0.0, 50.0, 100.0], "y": [0.0, 5.0, 10.0]}]


def test_a_wide_span_gets_an_axis_of_decades():
    axis = plots.value_axis([0.001, 0.01, 1.0])
    assert axis.log
    assert plots.ticks(axis) == [0.001, 0.01, 0.1, 1.0]
    assert axis(0.1) - axis(0.01) == pytest.approx(axis(1.0) - axis(0.1))
    assert not plots.value_axis([-1.0, 100.0]).log


def test_one_wild_value_does_not_flatten_the_rest():
    assert plots.value_axis([*([1.0, 2.0] * 100), 1e9]).high < 3


@pytest.mark.parametrize("values", [[0.0], [5.0, 5.0], [-3.0], [1e-9, 1e-9], [1e30, -1e30]])
def test_odd_values_are_drawn(values):
    curve = Curve("a", (tuple((float(k), v) for k, v in enumerate(values)),))
    assert "nan" not in plots.plot("t", [curve], (0, 1)).lower()


def test_the_running_mean_keeps_a_constant_and_follows_a_line():
    constant = plots.smooth([(float(k), 3.0) for k in range(50)])
    assert [y for _, y in constant] == pytest.approx([3.0] * 50)
    few = [(0.0, 1.0), (1.0, 9.0)]
    assert plots.smooth(few) is few
    assert len(plots.thin([(float(k), 0.0) for k in range(5000)])) <= plots.POINTS + 1
    assert plots.thin([(float(k), 0.0) for k in range(5000)])[-1][0] == 4999


@pytest.mark.parametrize(
    ("low", "high", "wanted"),
    [(0, 4950, [0, 1000, 2000, 3000, 4000]), (-0.3, 0.3, [-0.2, 0, 0.2]), (0, 1, [0, 0.5, 1])],
)
def test_round_values(low, high, wanted):
    assert plots.round_values(low, high, 4 if high < 100 else 5) == pytest.approx(wanted)
