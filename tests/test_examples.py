"""What README and notebook tell people to type into Python does what they say, with trainings made tiny."""

import ast
import io
import json
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image

from consingan import api

ROOT = Path(__file__).parent.parent
TINY = {"train_stages": 2, "max_size": 32, "min_size": 25, "niter": 2, "nfc": 4, "finish": "none", "hand": 0.0}


@pytest.fixture
def tiny(monkeypatch):
    """Trainings of two iterations; gives the modes that were trained."""
    modes, train = [], api.train

    def short(image=None, **given):
        modes.append("fine-tuning" if given.get("fine_tune") else given.get("mode", "generation"))
        own = {"niter": 2} if given.get("fine_tune") else TINY
        return train(image, **{**given, "preset": None, "device": "cpu", **own})

    monkeypatch.setattr(api, "train", short)
    return modes


def is_png(data: bytes, least: int) -> bool:
    with Image.open(io.BytesIO(data)) as image:
        return image.format == "PNG" and min(image.size) >= least


def test_the_examples_of_the_readme(tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stripes = Image.radial_gradient("L").resize((96, 72))
    Image.merge("RGB", [stripes, stripes.rotate(90), stripes.rotate(180)]).save("photo.jpg")
    Image.open("photo.jpg").resize((270, 90)).save("painting.png")
    Image.new("RGBA", (20, 40), (200, 0, 0, 255)).save("lighthouse.png")
    names: dict = {}
    for block in re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL):
        exec(block, names)
    assert tiny == ["generation", "animation", "harmonization", "fine-tuning", "editing"]
    assert (names["pictures"].shape, len(names["frames"])) == ((4, 3, 200, 400), 20)
    assert Image.open("new.png").size == (400, 200)
    assert Image.open("result.png").size == Image.open("painting.png").size
    assert Image.open("edited.png").size == (96, 72)
    assert len(list(Path("new pictures").rglob("seed_0_sample_*.png"))) == 4
    assert Image.open(next(Path("animations").glob("animation_*.webp"))).size == (32, 24)
    assert list(Path("fine-tuned").glob("naive_masked.png"))


def test_the_notebook(tiny, tmp_path, monkeypatch):
    shutil.copytree(ROOT / "images", tmp_path / "images")
    (tmp_path / "examples").mkdir()
    monkeypatch.chdir(tmp_path / "examples")
    notebook = json.loads((ROOT / "examples/consingan.ipynb").read_text())
    assert (notebook["nbformat"], {cell["cell_type"] for cell in notebook["cells"]}) == (4, {"code", "markdown"})
    names: dict = {}
    shown = []
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            tree = ast.parse("".join(cell["source"]))
            last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
            exec(compile(tree, "cell", "exec"), names)
            if last is not None:
                shown.append(eval(compile(ast.Expression(last.value), "cell", "eval"), names))
    drawn = [value for value in shown if hasattr(value, "_repr_png_")]
    assert len(drawn) == 8
    assert all(is_png(value._repr_png_(), 20) for value in drawn)
    assert tiny == ["generation", "harmonization"]
