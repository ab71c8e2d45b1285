"""The repository keeps its word: requirements agree, shipped pictures load, the README names what exists."""

import ast
import importlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from consingan.gan.objectives import OBJECTIVES
from consingan.pictures import images
from consingan.tasks import TASKS

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]


def test_the_tested_versions_are_stated_of_everything_that_is_installed():
    wanted = [
        *PROJECT["dependencies"],
        *(each for group in ("tensorboard", "cluster", "onnx", "service", "dev") for each in EXTRAS[group]),
    ]
    stated = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert [re.split("[<>=]", each)[0] for each in wanted if each] == [line.split("==")[0] for line in stated]
    assert (ROOT / "Makefile").read_text().count("-c constraints.txt") == 2


def test_requirements_are_those_of_the_package():
    assert (ROOT / "requirements.txt").read_text().split() == PROJECT["dependencies"]


def test_the_package_is_built_with_all_of_its_files(tmp_path):
    """As a wheel takes it: built from a copy, and asked for a page of the documentation from there."""
    pytest.importorskip("setuptools", reason="needs setuptools")
    source, built = tmp_path / "source", tmp_path / "built"
    shutil.copytree(ROOT / "consingan", source / "consingan", symlinks=True, ignore=shutil.ignore_patterns("*.pyc"))
    (source / "docs").mkdir()
    for file in ("pyproject.toml", "README.md", "LICENSE", *(f"docs/{page.name}" for page in ROOT.glob("docs/*.md"))):
        shutil.copy(ROOT / file, source / file)
    setup = [sys.executable, "-c", "import setuptools; setuptools.setup()", "-q", "build_py", "--build-lib", built]
    subprocess.run(setup, cwd=source, check=True, capture_output=True)

    def files(top: Path) -> set[str]:
        every = {Path(folder, name) for folder, _, names in os.walk(top, followlinks=True) for name in names}
        return {each.relative_to(top).as_posix() for each in every if each.suffix != ".pyc"}

    wanted = {name for name in files(ROOT / "consingan") if not name.startswith("pages/docs/pictures/")}
    assert {"pages/docs/batch.md", "batch/templates/index.html", "pages/README.md", "py.typed"} <= wanted
    assert files(built / "consingan") == wanted
    env = {**os.environ, "PYTHONPATH": str(built)}
    asked = [sys.executable, "-m", "consingan", "help", "cluster", "By hand"]
    page = subprocess.run(asked, cwd=built, env=env, check=True, capture_output=True, text=True).stdout
    assert "dask worker tcp://10.0.0.1:8786 --nworkers 4 --nthreads 1" in page


@pytest.mark.parametrize("path", sorted((ROOT / "images").rglob("*.png")), ids=lambda path: path.stem)
def test_shipped_pictures_load_and_are_in_the_notice(path):
    assert min(images.load(path).pixels.shape[2:]) >= 100
    assert path.name in (ROOT / "images/NOTICE.md").read_text() or path.stem.endswith("_mask")


def test_the_readme_names_every_task_objective_and_command():
    readme = (ROOT / "README.md").read_text()
    for name in (*TASKS, *OBJECTIVES, "make demo", "make test"):
        assert name in readme


@pytest.mark.parametrize("document", ["README.md", *(str(p.relative_to(ROOT)) for p in sorted(ROOT.glob("docs/*.md")))])
def test_links_and_pictures_of_the_documents_exist(document):
    path = ROOT / document
    for target in re.findall(r"\]\(([^)#\s]+)", path.read_text()):
        if not target.startswith(("http", "mailto")):
            assert (path.parent / target).exists(), target


@pytest.mark.parametrize("file", sorted((ROOT / "benchmarks").glob("*.py")), ids=lambda file: file.stem)
def test_a_benchmark_takes_nothing_from_the_package_that_is_not_there(file):
    wanted = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.ImportFrom)]
    for node in (node for node in wanted if (node.module or "").startswith("consingan")):
        module = importlib.import_module(node.module)
        for alias in node.names:
            if not hasattr(module, alias.name):
                importlib.import_module(f"{node.module}.{alias.name}")
