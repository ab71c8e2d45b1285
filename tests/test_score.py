"""``consingan score``: which sample belongs to which picture, figures against ``evaluate``, mistakes in a sentence."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from statistics import mean, stdev
from time import process_time

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image
from safetensors.torch import save_file
from test_metrics import random_weights

from consingan.command import cli
from consingan.errors import UserError
from consingan.metrics import study
from consingan.metrics.figures import Deviation, diversity
from consingan.metrics.frechet import sifid
from consingan.metrics.inception import load_inception
from consingan.metrics.pictures import match
from consingan.metrics.table import evaluate

ROOT = Path(__file__).parent.parent
KEYS = ["swd", "coherence", "completeness", "copy", "diversity", "sifid64", "sifid192"]


def picture(path: Path, seed: int, height: int = 20, width: int = 24) -> Path:
    """A file of coloured noise on a slope."""
    path.parent.mkdir(parents=True, exist_ok=True)
    grain = np.random.default_rng(seed).integers(0, 100, (height, width, 3))
    Image.fromarray((grain + np.linspace(0, 150, width)[:, None]).astype(np.uint8)).save(path)
    return path


def tensor(path: Path) -> torch.Tensor:
    return torch.from_numpy(np.array(Image.open(path).convert("RGB")) / np.float32(255)).permute(2, 0, 1)[None]


def typed(*words: object) -> Result:
    return CliRunner().invoke(cli.score, [str(word) for word in words], catch_exceptions=False)


def scored(*words: object) -> dict:
    result = typed(*words, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


@pytest.fixture
def desk(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    picture(Path("a.png"), 0)
    for number in range(3):
        picture(Path(f"out/{number}.png"), 1 + number)
    return tmp_path


@pytest.fixture
def folders(desk) -> Path:
    """Two pictures; one method with two samples each, another with one."""
    for seed, name in enumerate(("10", "2")):
        picture(desk / f"real/{name}.png", seed)
        picture(desk / f"many/{name}_0.png", 10 + seed)
        picture(desk / f"many/{name}/x.png", 20 + seed)
        picture(desk / f"one/{name}.jpg", 30 + seed)
    return desk


# ---- which files


def test_samples_belong_to_the_longest_name_that_fits(tmp_path):
    for name in ("1.png", "1_0.jpg", "1_2_0.png", "1_2_10.png", "1_2_2.png", "10_0.png", "grid.png", "1_log.txt"):
        (tmp_path / name).touch()
    for name in ("10/a.png", "10/grid.png", "10/b.JPG", "7/a.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = study.samples_by_name(tmp_path, ["1", "10", "1_2", "3"])
    assert {name: [path.name for path in paths] for name, paths in found.items()} == {
        "1": ["1.png", "1_0.jpg"],
        "1_2": ["1_2_0.png", "1_2_2.png", "1_2_10.png"],
        "10": ["10_0.png", "a.png", "b.JPG"],
    }


def test_samples_are_files_folders_and_patterns(desk):
    picture(Path("out/grid.png"), 0)
    assert [path.name for path in study.samples_at(["out"])] == ["0.png", "1.png", "2.png"]
    assert [str(path) for path in study.samples_at(["out/[12].png", "a.png"])] == ["out/1.png", "out/2.png", "a.png"]
    picture(Path("out/odd[1].png"), 0)
    assert study.samples_at(["out/odd[1].png"]) == [Path("out/odd[1].png")]  # a file before it is a pattern


# ---- figures


def test_figures_are_those_of_evaluate(desk, monkeypatch):
    wanted = evaluate(tensor(Path("a.png")), torch.cat([tensor(Path(f"out/{k}.png")) for k in range(3)]))
    found = scored("a.png", "out")
    assert list(found) == KEYS
    assert (found.pop("sifid64"), found.pop("sifid192")) == (None, None)
    assert found == pytest.approx(wanted, rel=1e-5)
    monkeypatch.setattr(study, "TOGETHER", 2 * 20 * 24)  # two at a time, then one
    again = scored("a.png", "out")
    assert {name: again[name] for name in found} == pytest.approx(found, rel=1e-5)


def test_one_sample_has_no_diversity(desk):
    assert scored("a.png", "out/1.png")["diversity"] is None
    assert "diversity" not in typed("a.png", "out/1.png").stdout


def test_a_copy_scores_so(desk):
    found = scored("a.png", "a.png", "a.png")
    assert (found["swd"], found["coherence"], found["copy"], found["diversity"]) == (0, 0, 1, 0)


def test_the_running_spread_is_the_standard_deviation():
    samples = torch.rand(7, 3, 9, 8, generator=torch.Generator().manual_seed(0))
    real = torch.rand(1, 3, 9, 8, generator=torch.Generator().manual_seed(1))
    running = Deviation(real)
    for batch in samples.split(3):
        running.add(batch)
    wanted = (samples.std(0).mean() / real.std()).item()
    assert running.value() == pytest.approx(wanted, rel=1e-5)
    assert diversity(real, samples) == running.value()


def test_other_sizes_are_resized_with_a_note(desk):
    picture(Path("out/9.png"), 9, 30, 30)
    picture(Path("big.png"), 0, 40, 48)
    result = typed("big.png", "out/0.png", "out/9.png", "--json")
    assert result.stderr.splitlines() == [
        "big.png is 48x40 px and resized to 24x20 px, the size of its samples.",
        "out/9.png is 30x30 px and resized to 24x20 px, the size of the first sample.",
    ]
    samples = torch.cat([tensor(Path("out/0.png")), match(tensor(Path("out/9.png")), (20, 24))])
    wanted = evaluate(tensor(Path("big.png")), samples)
    assert {name: value for name, value in json.loads(result.stdout).items() if name in wanted} == pytest.approx(
        wanted, rel=1e-5
    )


def test_sifid_needs_weights(desk):
    picture(Path("wide.png"), 0, 40, 48)
    picture(Path("wide_0.png"), 1, 40, 48)
    save_file(random_weights(192), "inception.safetensors")
    found = scored("wide.png", "wide_0.png", "--inception_weights", "inception.safetensors")
    for name, channels in (("sifid64", 64), ("sifid192", 192)):
        trunk = load_inception("inception.safetensors", channels)
        wanted = sifid(tensor(Path("wide.png")), tensor(Path("wide_0.png")), trunk)
        assert found[name] == pytest.approx(wanted, rel=1e-3)
        assert found[name] > 0


def test_the_table_holds_the_rounded_values(desk):
    found, shown = scored("a.png", "out"), typed("a.png", "out").stdout
    assert "3 samples" in shown
    for name in KEYS[:5]:
        (line,) = [line for line in shown.splitlines() if f" {name} " in line]
        assert f" {found[name]:.4f} " in line
    assert "sifid" not in shown


# ---- a study


def test_a_study_is_mean_and_spread_over_its_pictures(folders):
    found = scored("real", "many", "one")
    assert list(found) == ["many", "one"]
    assert [(m["pictures"], m["samples"]) for m in found.values()] == [(2, 4), (2, 2)]
    alone = [scored(f"real/{name}.png", f"many/{name}_0.png", f"many/{name}/x.png") for name in ("2", "10")]
    assert list(found["many"]["each"].values()) == alone
    for name in KEYS[:5]:
        values = [values[name] for values in alone]
        assert found["many"]["mean"][name] == pytest.approx(mean(values))
        assert found["many"]["spread"][name] == pytest.approx(stdev(values))
    assert found["one"]["mean"]["diversity"] is None
    assert found["one"]["spread"]["sifid64"] is None
    shown = typed("real", "many", "one").stdout
    assert "over 2 pictures" in shown
    assert f"{found['one']['mean']['swd']:.4f} ± {found['one']['spread']['swd']:.4f}" in shown


def test_what_a_method_lacks_is_left_out_of_all(folders):
    (folders / "one/2.jpg").unlink()
    result = typed("real", "many", "one", "--json")
    assert result.stderr == "one lacks samples of 2: left out of every method.\n"
    found = json.loads(result.stdout)
    assert [list(method["each"]) for method in found.values()] == [["10"], ["10"]]
    assert found["many"]["spread"]["swd"] is None


def test_methods_of_one_name_are_told_apart_by_their_paths(folders):
    picture(folders / "other/one/2.png", 5)
    assert list(scored("real", "one", "other/one")) == ["one", "other/one"]


# ---- mistakes


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["none.png", "out"], "There is nothing at none.png"),
        (["a.png", "none.png"], "none.png does not exist"),
        (["a.png", "out/x*.png"], "out/x*.png does not exist"),
        (["a.png", "empty"], "empty is a folder without pictures"),
        (["a.png", "text.png"], "text.png"),
        (["text.png", "out"], "text.png"),
        (["real", "a.png"], "a.png is no folder, but real is one"),
        (["real", "none"], "none is no folder, but real is one"),
        (["real", "one", "empty"], "empty holds no sample of any picture in real"),
        (["real", "left", "right"], "No picture in real has samples of every method"),
        (["twice", "out"], "twice holds 1.jpg and 1.png"),
        (["a.png", "out", "--inception_weights", "w.pth"], "not from w.pth"),
        (["a.png", "out", "--inception_weights", "w.safetensors"], "w.safetensors does not exist"),
    ],
)
def test_mistakes_are_one_sentence(folders, words, sentence):
    Path("empty").mkdir()
    Path("text.png").write_text("no picture")
    for name in ("twice/1.png", "twice/1.jpg", "left/2.png", "right/10.png"):
        picture(Path(name), 0)
    result = typed(*words)
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].startswith("Error: ")
    assert sentence in result.stderr.splitlines()[-1]
    assert result.stdout == ""


def test_mistakes_are_found_before_torch_is_imported(folders):
    program = f"""
import atexit, sys
sys.path.insert(0, {str(ROOT)!r})
from consingan.command.cli import main
atexit.register(lambda: print("torch" in sys.modules))
main()
"""
    Path("empty").mkdir()
    for words in (["a.png", "none"], ["real", "empty"]):
        result = subprocess.run([sys.executable, "-c", program, "score", *words], capture_output=True, text=True)
        assert (result.returncode, result.stdout) == (2, "False\n"), result.stderr


def test_names_cannot_steer_the_terminal(folders):
    picture(Path("real/\x1b[2J.png"), 0)
    result = typed("real", "many")
    assert "\x1b" not in result.stderr
    assert "lacks samples of \\x1b[2J" in result.stderr


# ---- cost


@pytest.mark.slow
def test_five_samples_of_250_px_take_less_than_five_seconds(tmp_path):
    real, *samples = (picture(tmp_path / f"{seed}.png", seed, 188, 250) for seed in range(6))
    begin = process_time()
    study.figures(real, samples, {}, pytest.fail)
    assert process_time() - begin < 5  # of one core


@pytest.mark.slow
def test_memory_at_2048_px(tmp_path):
    """All patches of such a picture would take 2.4 GB."""
    files = [picture(tmp_path / f"{seed}.png", seed, 2048, 2048) for seed in range(2)]
    program = f"""
import resource, sys
sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from consingan.metrics import study
print(study.figures(Path(sys.argv[1]), [Path(sys.argv[2])], dict(), print)["swd"] > 0)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""
    result = subprocess.run([sys.executable, "-c", program, *map(str, files)], capture_output=True, text=True)
    scores, megabytes = result.stdout.split()
    assert scores == "True"
    assert float(megabytes) < 1200


def test_no_samples_is_a_users_error(desk):
    with pytest.raises(UserError, match="name samples"):
        study.samples_at(["none"])


def test_a_run_knows_its_picture_and_its_samples(trained_run, tmp_path, monkeypatch):
    run = tmp_path / "run"
    shutil.copytree(trained_run, run)
    shutil.rmtree(run / "Evaluation", ignore_errors=True)
    monkeypatch.chdir(tmp_path)
    assert "has no samples yet" in typed(run).stderr
    for size in ("40x30", "30x30"):
        CliRunner().invoke(cli.sample, [str(run), "--num_samples", "3", "--size", size, "--quiet"])
    (wanted,) = run.glob("Evaluation/samples_30x30*")
    own = sorted(path for path in wanted.glob("seed*.png"))
    assert len(own) == 3
    expected = scored(run / "picture.png", *own)
    assert scored(run) == expected  # the newest samples, and neither the reconstruction nor the grid
    assert scored(run / "picture.png", run / "Evaluation") == expected
    shutil.copytree(run, tmp_path / "trained_models" / "stripes" / "2026_11_23_run")
    assert scored("last") == expected
