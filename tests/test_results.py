"""What lies in a folder: the index beside the files, and the names of runs that have none."""

import json
from pathlib import Path

import pytest

from consingan.errors import UserError
from consingan.storage import results
from consingan.storage.files import StorageError
from consingan.storage.results import Kept, Role

OLD = Path(__file__).parent / "runs_0_1_0"


def file(folder: Path, name: str) -> Path:
    """An empty file, with the folders above it."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    return path


def roles(folder: Path) -> dict[str, str]:
    return {each.path.relative_to(folder).as_posix(): str(each.role) for each in results.kept(folder)}


def test_what_is_written_is_read_and_further_results_are_added(tmp_path):
    one, two = file(tmp_path, "a.png"), file(tmp_path, "inner/b.gif")
    first = Kept(one, Role.VIEW, facts={"seed": "1"})
    results.add(tmp_path, [first, Kept(two, Role.SAMPLE)])
    assert results.kept(tmp_path) == [first, Kept(two, Role.SAMPLE)]
    third = Kept(file(tmp_path, "c.png"), Role.MASK)
    results.add(tmp_path, [third, Kept(two, Role.NAIVE, moving=True)])
    assert results.kept(tmp_path) == [first, third, Kept(two, Role.NAIVE, moving=True)]
    assert json.loads((tmp_path / "results.json").read_text())["results"][0] == {
        "file": "a.png",
        "role": "view",
        "moving": False,
        "facts": {"seed": "1"},
    }


def test_roles_come_from_the_index_and_not_from_the_name(tmp_path):
    names = ("grid.png", "reconstruction.png", "x_mask.png", "snapshots/iteration_000003.png")
    results.add(tmp_path, [Kept(file(tmp_path, name), Role.SAMPLE) for name in names])
    assert set(roles(tmp_path).values()) == {"sample"}
    other = file(tmp_path, "meant.png")
    results.add(tmp_path, [Kept(other, Role.RECONSTRUCTION)])
    assert results.of(other, tmp_path).role is Role.RECONSTRUCTION


def test_the_nearest_index_speaks_for_a_file(tmp_path):
    path = file(tmp_path, "inner/a.png")
    results.add(tmp_path, [Kept(path, Role.VIEW)])
    assert results.of(path, tmp_path).role is Role.VIEW
    results.add(tmp_path / "inner", [Kept(path, Role.MASK)])
    assert results.of(path, tmp_path).role is Role.MASK
    assert roles(tmp_path) == {"inner/a.png": "mask"}
    assert results.of(file(tmp_path, "inner/b_view.png"), tmp_path).role is Role.VIEW  # by its name


@pytest.mark.parametrize(
    "text",
    [
        "",
        '{"schema": 1, "res',
        '{"schema": 1, "results": [3, {}, {"file": 1}]}',
        '{"schema": 1, "results": [{"file": "a_view.png", "role": "new", "facts": {}}]}',
        '{"schema": 1, "results": [{"file": "a_view.png", "role": ["mask"], "facts": {}}]}',
        '{"schema": 1, "results": [{"file": "a_view.png", "role": "mask", "facts": []}]}',
        '{"schema": 1, "results": [{"file": "a\\u0000.png", "role": "mask", "facts": {}}]}',
    ],
)
def test_an_index_that_makes_no_sense_is_none(tmp_path, text):
    file(tmp_path, "a_view.png")
    (tmp_path / "results.json").write_text(text)
    assert roles(tmp_path) == {"a_view.png": "view"}
    results.add(tmp_path, [Kept(tmp_path / "a_view.png", Role.NATIVE)])
    assert roles(tmp_path) == {"a_view.png": "native"}


@pytest.mark.parametrize("text", ["[]", '{"schema": 2, "results": []}', '{"schema": 1}', '{"accuracy": 0.9}'])
def test_a_file_of_that_name_which_is_another_s_is_left_alone(tmp_path, text):
    file(tmp_path, "a_view.png")
    (tmp_path / "results.json").write_text(text)
    assert roles(tmp_path) == {"a_view.png": "view"}
    with pytest.raises(UserError, match=r"results\.json is no list of results of this version; move it away, or"):
        results.add(tmp_path, [Kept(tmp_path / "a_view.png", Role.NATIVE)])
    with pytest.raises(UserError, match="move it away"), results.indexed(tmp_path):
        pytest.fail("the work has begun")
    assert (tmp_path / "results.json").read_text() == text


def test_entries_lead_nowhere_but_to_files_of_the_folder(tmp_path):
    secret = file(tmp_path, "secret.png")
    inner = file(tmp_path, "run/a.png").parent
    entry = {"file": "../secret.png", "role": "sample", "facts": {}}
    (inner / "results.json").write_text(json.dumps({"schema": 1, "results": [entry, {**entry, "file": "gone.png"}]}))
    assert [each.path for each in results.kept(inner)] == [inner / "a.png"]
    assert secret.exists()


def test_hidden_files_and_other_kinds_are_no_results(tmp_path):
    for name in (".a.png", "notes.txt", "b.png"):
        file(tmp_path, name)
    assert roles(tmp_path) == {"b.png": "sample"}
    assert results.kept(tmp_path / "nowhere") == []


def test_work_that_breaks_off_leaves_what_was_made_in_the_index(tmp_path):
    path = file(tmp_path, "a.png")

    def stopped():
        with results.indexed(tmp_path) as kept:
            kept.append(Kept(path, Role.NATIVE))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert roles(tmp_path) == {"a.png": "native"}


def test_nothing_made_leaves_no_index(tmp_path):
    with results.indexed(tmp_path / "nowhere"):
        pass
    with pytest.raises(KeyError), results.indexed(tmp_path / "nowhere"):
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_an_index_that_cannot_be_written_is_one_sentence(tmp_path):
    with pytest.raises(StorageError, match=r"Cannot write .*results\.json"), results.indexed(tmp_path / "gone") as kept:
        kept.append(Kept(tmp_path / "gone" / "a.png", Role.SAMPLE))


def test_the_single_pictures_of_a_grid_are_left_out_of_an_overview(tmp_path):
    made = [("a/1.png", Role.SAMPLE), ("a/g.png", Role.GRID), ("b/2.png", Role.SAMPLE), ("3.png", Role.VIEW)]
    found = results.overview([Kept(tmp_path / name, role) for name, role in made])
    assert [each.path.relative_to(tmp_path).as_posix() for each in found] == ["a/g.png", "b/2.png", "3.png"]


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        ("generation", {"reconstruction": 1, "sample": 9, "grid": 1, "snapshot": 5, "strip": 1}),
        ("animation", {"reconstruction": 1, "sample": 1, "snapshot": 5, "strip": 1}),
        ("fine_tuned", {"naive": 1, "masked": 1, "mask": 1, "view": 1, "snapshot": 2, "strip": 1}),
    ],
)
def test_runs_of_0_1_0_have_roles_by_their_names(run, expected):
    made = results.kept(OLD / run / "samples")
    found = [str(each.role) for each in made]
    assert {role: found.count(role) for role in found} == expected
    assert [each.moving for each in made if each.path.suffix == ".gif"] == [True] * (run == "animation")
    steps = [number for number, _ in results.snapshots(made)]
    assert steps == sorted(steps)
    assert len(steps) == expected["snapshot"]


@pytest.mark.parametrize(
    ("name", "role", "moving"),
    [
        ("naive_native.png", Role.NATIVE, False),
        ("naive_seed_3_harmonized.jpg", Role.NAIVE, False),
        ("naive_derived_mask.png", Role.MASK, False),
        ("examples/seed_0_sample_000.png", Role.EXAMPLE, False),
        ("samples_40x30_start_0/seed_0_sample_000.png", Role.SAMPLE, False),
        ("animation_start_0_alpha_0.1_beta_0.9_seed_0.webp", Role.SAMPLE, True),
        ("snapshots/iteration_x.png", Role.SNAPSHOT, False),
    ],
)
def test_names(name, role, moving):
    found = results.by_name(Path("folder") / name)
    assert (found.role, found.moving) == (role, moving)
    assert results.snapshots([found]) == []
