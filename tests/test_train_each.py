"""consingan.train_each: a batch from Python, with what became of each picture."""

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import stripes
from PIL import Image

import consingan
from consingan.batch.book import Entry
from consingan.batch.display import Told

TINY = {"train_stages": 2, "max_size": 32, "niter": 2, "nfc": 4, "finish": "none", "device": "cpu"}


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("pictures")
    Image.fromarray(stripes()).save(folder / "a.png")
    Image.fromarray(np.roll(stripes(), 9, 1)).save(folder / "b.png")
    (folder / "broken.png").write_text("no picture")
    return [folder / "a.png", folder / "b.png", folder / "broken.png"]


def test_each_picture_gets_a_model_of_its_own_and_a_fault_is_told(files, tmp_path):
    records = []

    def breaks(record) -> None:
        raise RuntimeError("of mine")

    wanted = [{"picture": files[1], "name": "second", "seed": 5, "mode": "retarget"}, files[0], files[2]]
    how = {"outdir": tmp_path / "out", "workers": 1, "then": "sample --num_samples 3 --size 32x28", **TINY}
    with pytest.warns(RuntimeWarning, match=r"breaks failed and is told nothing more: RuntimeError: of mine"):
        done = consingan.train_each(wanted, observers=[records.append, breaks], **how)
    assert [(each.name, each.state) for each in done] == [
        ("second", "finished"),
        ("a", "finished"),
        ("broken", "failed"),
    ]
    assert "broken.png" in done[2].error
    assert done[2].run is None
    for each, single in zip(done, ({"mode": "retarget", "seed": 5}, {}), strict=False):
        alone = consingan.train(files[1] if single else files[0], **TINY, **single)
        model = consingan.SingleImageModel.load(each.run)
        assert model.settings.mode == single.get("mode", "generation")
        assert np.array_equal(model.sample(1, seed=1).numpy(), alone.sample(1, seed=1).numpy())
        assert len(each.samples) == 3
        assert all(sample.is_file() and (each.run / "Evaluation") in sample.parents for sample in each.samples)
        assert each.figures["swd"] > 0
        assert each.seconds > 0
    assert {record["job"] for record in records if record["event"] == "progress"} == {"second", "a"}
    assert [record["job"] for record in records if record["event"] == "failed"] == ["broken"]
    assert (tmp_path / "out" / "index.html").is_file()
    models = [each.run / "model.safetensors" for each in done[:2]]
    times = [model.stat().st_mtime_ns for model in models]
    assert consingan.train_each(wanted[:2], **how) == done[:2]  # finished: nothing is done again
    assert [model.stat().st_mtime_ns for model in models] == times


@pytest.mark.slow
def test_a_stop_saves_and_the_same_call_goes_on(files, tmp_path):
    begun = []
    how = {"outdir": tmp_path, "workers": 1, **TINY, "niter": 150}

    def observe(record) -> None:
        begun.extend([record["job"]] if record["event"] == "started" else [])

    stopped = consingan.train_each(files[:2], stop=lambda: bool(begun), observers=[observe], **how)
    assert [each.state for each in stopped] == ["stopped", "waiting"]
    assert list((stopped[0].run / "checkpoints").glob("*.safetensors"))
    (done,) = consingan.train_each(files[:1], **how)
    assert (done.state, done.run) == ("finished", stopped[0].run)


def test_a_list_is_that_of_the_command_line(files, tmp_path):
    (tmp_path / "list.csv").write_text("picture,seed,max-size\na.png,x,40\nb.png,1,\n")
    with pytest.raises(consingan.UserError) as caught:
        consingan.train_each(tmp_path / "list.csv", outdir=tmp_path / "out")
    assert "line 2: --seed: 'x' is not a valid integer" in str(caught.value)
    assert "line 3: There is no picture at" in str(caught.value)
    assert not (tmp_path / "out").exists()


def refusal(outdir: Path, pictures, **how) -> str:
    with pytest.raises(consingan.UserError) as caught:
        consingan.train_each(pictures, outdir=outdir / "out", **how)
    assert not (outdir / "out").exists()
    return str(caught.value)


def test_all_faults_are_said_and_nothing_is_started(files, tmp_path):
    wrong = [
        files[0],
        {"picture": files[0], "name": "b", "nonsense": 1},
        {"seed": 1},
        {"picture": files[1], "niter": 0},
    ]
    said = refusal(tmp_path, [*wrong, files[0], 7, {"picture": files[1], "name": "c", "mode": "odd"}], then="train")
    for words in (
        "The list of pictures has 8 faults, and nothing was started:",
        "picture 4: the name 'b' is that of picture 2 too",
        "picture 2: nonsense is no setting of a training run",
        "picture 3: no picture is given",
        "picture 4: --niter is '0'",
        "picture 5: the name 'a' is that of picture 1 too",
        "picture 6: it is no file and no mapping, but int",
        "picture 7: ",
        "--then 'train' cannot be done",
    ):
        assert words in said, words


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"workers": 0}, "--workers is 0; give a whole number of at least 1."),
        ({"threads": 1.5}, "--threads is 1.5"),
        ({"shared": True}, "--shared goes with --scheduler"),
        ({"scheduler": "tcp://h:1", "workers": 2}, "--workers is of this machine"),
        ({"display": "loud"}, "display is 'loud'; choose one of quiet, json, plain, rich."),
        ({"nonsense": 1}, "nonsense is no setting"),
        ({"preset": "slow"}, "slow"),
        ({"checkpoint_every": 0}, "checkpoint_every is 0"),
    ],
    ids=str,
)
def test_what_cannot_be_done_is_refused(files, tmp_path, how, words):
    assert words in refusal(tmp_path, files[:1], **how)


def test_nothing_to_do_is_refused(tmp_path):
    assert "There are none; give at least one." in refusal(tmp_path, [])
    (tmp_path / "empty").mkdir()
    assert "The folder is empty" in refusal(tmp_path, tmp_path / "empty")


def test_an_observer_that_raises_is_told_nothing_more():
    heard = []

    def breaks(record) -> None:
        heard.append(record["event"])
        raise ValueError("no")

    told = Told([breaks, lambda record: heard.append(json.dumps(record))])
    told.began("x")
    told.ended(Entry("x", "x.png", {}, state="failed", error="Why."))
    assert heard == [
        "began",
        '{"job": "x", "event": "began"}',
        '{"job": "x", "event": "failed", "error": "Why.", "run": null}',
    ]
    assert told.faults == [
        "The observer test_an_observer_that_raises_is_told_nothing_more.<locals>.breaks failed and is told nothing "
        "more: ValueError: no"
    ]
