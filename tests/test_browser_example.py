"""The example of a page: a browser makes our pictures of our noise, and pictures of its own, all of local files."""

import importlib.util
import io
import json
import shutil
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from browser import MISSING, Browser
from PIL import Image
from test_browser import waited
from test_export import in_onnx_runtime, made

from consingan import SingleImageModel
from consingan.gan import export

FOLDER = Path(__file__).parent.parent / "examples" / "browser"
RUNTIME = FOLDER / "node_modules" / "onnxruntime-web" / "dist"
FILES = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")  # as its README says
NEEDED = MISSING or ("" if RUNTIME.is_dir() else "needs onnxruntime-web: npm install in examples/browser")
pytestmark = pytest.mark.skipif(bool(NEEDED), reason=NEEDED)
pytest.importorskip("onnxscript", reason="needs pip install 'consingan[onnx]'")
SIZE, SEED, NUMBER = (36, 45), 5, 2
CANVAS = """const c = document.getElementById('canvas'), {width, height} = c;
  const copy = new OffscreenCanvas(width, height).getContext('2d', {willReadFrequently: true});
  copy.drawImage(c, 0, 0);
  return [height, width, [...copy.getImageData(0, 0, width, height).data]]"""
CHOSEN = """const input = document.getElementById('%s'), moved = new DataTransfer();
  moved.items.add(new File([await (await fetch('%s')).arrayBuffer()], '%s'));
  input.files = moved.files;
  input.dispatchEvent(new Event('change'))"""
OPENED = """const {Generator} = await import('./generator.js'), {arrays} = await import('./noise.js');
  const bytes = async name => (await fetch(name)).arrayBuffer();
  const generator = await Generator.open(await bytes('%s'));
"""
IDLE = "return !document.getElementById('controls').disabled && document.body.dataset.ready === 'yes'"
# what goes in, as plain lists
PLAIN = "Object.entries(given).map(([name, {data, dims}]) => [name, dims, [...data]])"


def run(browser: Browser, script: str):
    """What an async function's body returns in the page."""
    return browser.run(f"return (async () => {{ {script} }})()")


def do(browser: Browser, script: str) -> str:
    """Do something on the page, wait for it, and give what it says."""
    run(browser, script)
    assert waited(browser, IDLE)
    return browser.run("return document.getElementById('told').textContent")


def canvas(browser: Browser) -> np.ndarray:
    height, width, values = browser.run(CANVAS)
    rgba = np.array(values, dtype=np.uint8).reshape(height, width, 4)
    assert (rgba[..., 3] == 255).all()
    return rgba[..., :3]


@pytest.fixture(scope="module")
def model(trained_run) -> SingleImageModel:
    return SingleImageModel.load(trained_run)


@pytest.fixture(scope="module")
def place(model, tmp_path_factory) -> Path:
    """The example's folder, with what its README says to put there."""
    folder = tmp_path_factory.mktemp("page") / "browser"
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("node_modules", "*.onnx", "*.npz"))
    runtime = folder / RUNTIME.relative_to(FOLDER)
    runtime.mkdir(parents=True)
    for name in FILES:
        shutil.copy(RUNTIME / name, runtime)
    (folder / "model.onnx").write_bytes(export.onnx_file(model, "1").data)
    noise = export.inputs(model, export.place(model, SEED, NUMBER), SIZE)
    (folder / "noise.npz").write_bytes(export.as_npz(noise))
    (folder / "other.npz").write_bytes(export.as_npz({"codes": np.zeros((1, 2), np.float32)}))
    return folder


@pytest.fixture(scope="module")
def address(place):
    specification = importlib.util.spec_from_file_location("serve", place / "serve.py")
    serve = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(serve)
    with serve.server(place, 0) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{serving.server_port}/"
        serving.shutdown()


@pytest.fixture(scope="module")
def browser():
    with Browser() as opened:
        yield opened


@pytest.fixture
def page(browser, address):
    browser.open(address)
    assert waited(browser, IDLE)
    yield browser
    assert browser.console() == []


def test_our_picture_of_our_noise(page, model):
    ours = model.sample(NUMBER + 1, size=SIZE, seed=SEED, finish="none")[NUMBER].numpy()
    assert ours.std() > 0.05
    script = "const {data, dims} = await generator.picture(arrays(await bytes('noise.npz'))); return [dims, [...data]]"
    dims, values = run(page, OPENED % "model.onnx" + script)
    assert dims == [1, 3, *SIZE]
    assert np.abs(np.array(values).reshape(ours.shape) - ours).max() < 1e-4
    # and on the screen, as a person chooses the file
    said = do(page, CHOSEN % ("noise", "noise.npz", "noise.npz"))
    assert said.startswith("45x36 px in ")
    eight_bits = ((ours.transpose(1, 2, 0) + 1) * 127.5).round()
    assert np.abs(canvas(page).astype(int) - eight_bits).max() <= 1


def test_a_person_makes_and_saves_pictures(page, place):
    first = canvas(page)
    assert first.shape == (30, 40, 3)  # of seed 0, of the trained size
    fields = "for (const [id, value] of Object.entries(%s)) document.getElementById(id).value = value;"
    press = "document.getElementById('%s').click()"
    do(page, fields % {"seed": 7, "width": 64, "height": 50} + press % "make")
    seventh = canvas(page)
    assert seventh.shape == (50, 64, 3)
    do(page, press % "new")
    assert (canvas(page) != seventh).mean() > 0.5
    do(page, fields % {"seed": 7} + press % "make")
    assert np.array_equal(canvas(page), seventh)
    page.devtools("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(place)})
    page.run(press % "save")
    file, until = place / "seed_7_64x50.png", time.monotonic() + 20
    while not file.exists() and time.monotonic() < until:
        time.sleep(0.1)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(file.read_bytes())).convert("RGB")), seventh)
    do(page, fields % {"seed": 0, "width": 40, "height": 30} + press % "make")
    assert np.array_equal(canvas(page), first)


def test_mistakes_are_sentences(page, place):
    make = "document.getElementById('%s').value = '%s'; document.querySelector('form').noValidate = true; "
    make += "document.getElementById('make').click()"
    assert "The size is 4x30; give whole sides of 8 px or more." in do(page, make % ("width", 4))
    assert "The size is 9999x30; give at most" in do(page, make % ("width", 9999))
    do(page, make % ("width", 40))
    assert "The seed is -1; give a whole number" in do(page, make % ("seed", -1))
    assert "This is no .npz file" in do(page, CHOSEN % ("noise", "index.html", "index.html"))
    assert "noise_0, noise_1, amplitudes, variation is not there" in do(
        page, CHOSEN % ("noise", "other.npz", "other.npz")
    )
    assert "This is no model of consingan export" in do(page, CHOSEN % ("file", "index.html", "index.html"))
    assert page.run("return document.getElementById('make').disabled") is True
    assert "Ready." in do(page, CHOSEN % ("file", "model.onnx", "<b>m.onnx"))
    assert page.run("return document.getElementById('model').textContent").startswith("<b>m.onnx: 2 stages, learned ")


def test_nothing_comes_from_elsewhere_and_threads_are_allowed(page, address):
    names = page.run("return performance.getEntriesByType('resource').map(each => each.name)")
    assert any(name.endswith(".wasm") for name in names)
    assert [name for name in names if not name.startswith((address, f"blob:{address}", "data:"))] == []
    assert page.run("return crossOriginIsolated") is True


def test_its_noise_is_normal(page):
    script = """const {normal} = await import('./noise.js');
      return [[0, 0], [0, 0], [0, 1], [1, 0]].map(([seed, stream]) => [...normal(seed, stream, 20001)])"""
    same, again, other, third = np.array(run(page, script))
    assert np.array_equal(same, again)
    for numbers in (same, other, third):
        assert abs(numbers.mean()) < 0.03
        assert abs(numbers.std() - 1) < 0.03
        assert abs((np.abs(numbers) < 1).mean() - 0.6827) < 0.015
        assert abs(np.corrcoef(numbers[:-1], numbers[1:])[0, 1]) < 0.03
    assert abs(np.corrcoef(same, other)[0, 1]) < 0.03
    assert abs(np.corrcoef(same, third)[0, 1]) < 0.03


@pytest.mark.slow
@pytest.mark.parametrize(
    ("border", "more", "size"),
    [("extend", {"codes": 3}, None), ("zero", {"batch_norm": True}, None), ("zero", {}, (30, 22))],
    ids=str,
)
def test_what_the_page_draws_fits_any_model(page, place, border, more, size):
    """The browser's own inputs, in ONNX Runtime and by our generator."""
    model = made(border, **more)
    made_file = export.onnx_file(model, "1", size)
    (place / "other.onnx").write_bytes(made_file.data)
    wanted = list(made_file.size or (40, 16))  # stage 0 of 26.7 x 10.5 px
    script = (
        f"const given = generator.inputs({json.dumps(wanted)}, 3); const {{data}} = await generator.picture(given);"
    )
    values, given = run(page, OPENED % "other.onnx" + script + f"return [[...data], {PLAIN}]")
    arrays = {name: np.array(data, dtype=np.float32).reshape(dims) for name, dims, data in given}
    ours = export.inputs(model, export.place(model, 0, 0), tuple(wanted))
    assert {name: array.shape for name, array in arrays.items()} == {name: array.shape for name, array in ours.items()}
    theirs = in_onnx_runtime(made_file.data, arrays)
    assert np.abs(np.array(values).reshape(theirs.shape) - theirs).max() < 1e-4
    assert theirs.shape[2:] == tuple(wanted)
    if "codes" in more:
        assert (np.abs(arrays["codes"]) <= 1).all()
