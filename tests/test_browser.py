"""The pages in a real browser: no word in its console, plots drawn, nothing wider than the screen."""

from pathlib import Path

import pytest
from browser import MISSING, Browser
from conftest import TINY, serving, trained
from test_report import NASTY, WHOLE, folder

from consingan.storage.run import Run
from consingan.watch import compare, report

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)
SCREENS = {"phone": 390, "desktop": 1280}
WIDTHS = "return [document.documentElement.scrollWidth, window.innerWidth]"
DRAWN = """return [...document.querySelectorAll('svg.plot')].map(svg => {
  const box = svg.getBoundingClientRect();
  const lines = [...svg.querySelectorAll('polyline, circle')].map(line => line.getBoundingClientRect());
  const from = Math.min(...lines.map(line => line.left)), to = Math.max(...lines.map(line => line.right));
  return [box.width, box.height, to - from];
})"""
LOADED = """return [...document.querySelectorAll('img')].filter(
  image => image.src && !(image.complete && image.naturalWidth > 0)).map(image => image.alt)"""


@pytest.fixture(scope="module")
def browser():
    with Browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def pages(trained_run, animation_run, picture_file, tmp_path_factory) -> dict[str, str]:
    """Addresses of pages of every kind."""
    outdir = tmp_path_factory.mktemp("pages")
    editing = trained(picture_file, outdir, "--train_mode", "editing")
    nasty = folder(outdir, WHOLE, image=f"/a/{NASTY}")
    report.write(nasty)
    compare.write([Run(trained_run), Run(editing), Run(animation_run)], outdir / "compare.html")
    files = {name: Path(run) / "report.html" for name, run in (("generation", trained_run), ("editing", editing))}
    files |= {"animation": animation_run / "report.html", "nasty": nasty.report, "compare": outdir / "compare.html"}
    return {name: file.resolve().as_uri() for name, file in files.items()}


@pytest.mark.parametrize("page", ["generation", "animation", "editing", "nasty", "compare"])
@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_page_is_drawn_and_fits(browser, pages, page, screen, dark):
    browser.open(pages[page], SCREENS[screen], dark=dark)
    assert browser.console() == []
    wide, inner = browser.run(WIDTHS)
    assert inner == SCREENS[screen]
    assert wide <= inner
    drawn = browser.run(DRAWN)
    assert drawn
    assert all(width > 200 and height > 90 and line > 20 for width, height, line in drawn)
    assert browser.run(LOADED) == []
    luma = browser.run("return getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert (sum(luma) < 150) if dark else (sum(luma) > 600)


def test_the_page_answers(browser, pages):
    browser.open(pages["generation"])
    # a picture is enlarged and closed again
    browser.run("document.querySelector('.hero img').click()")
    assert browser.run("return document.getElementById('large').open") is True
    browser.run("document.getElementById('large').click()")
    assert browser.run("return document.getElementById('large').open") is False
    # the film goes back to its first moment
    browser.run("const s = document.querySelector('.film input'); s.value = 0; s.dispatchEvent(new Event('input'))")
    assert browser.run("return document.querySelector('.screen figcaption').textContent") == "stage 1 · iteration 1"
    # a plot reads its values out
    over = """const at = document.querySelector(arguments.length ? '' : '%s'), box = at.getBoundingClientRect();
      at.dispatchEvent(new PointerEvent('pointermove', {clientX: box.left + box.width / 2,
        clientY: box.top + box.height / 2, bubbles: true}))"""
    browser.run(over % "svg.plot")
    assert " at " in browser.run("return document.querySelector('.plotted output').textContent")
    # a pixel of the sample shows its place in the picture
    browser.run(over % ".spot.from div")
    assert browser.run("return document.querySelector('.spot.to i').style.display") == "block"
    assert browser.console() == []


def test_a_name_runs_no_script(browser, pages):
    browser.open(pages["nasty"])
    assert browser.run("return document.querySelectorAll('img[src=x]').length") == 0
    assert browser.run("return document.querySelector('h1').textContent").startswith(NASTY)
    assert browser.console() == []


def test_the_live_page_renews_itself(browser, picture_file, tmp_path):
    run = Run(trained(picture_file, tmp_path, *TINY))
    with serving(run) as address:
        browser.open(address)
        browser.run("document.querySelector('#stage-0').open = true")
        with open(run.log, "a") as log:
            log.write('{"event": "message", "text": "brand new", "time_s": 9}\n')
        found = waited(browser, "return document.body.innerText.includes('brand new')")
        assert found
        assert browser.run("return document.querySelector('#stage-0').open") is True
        assert browser.run("return document.querySelectorAll('.film .now').length") == 1
        assert browser.console() == []
    assert waited(browser, "return document.querySelector('.badge.live').textContent.includes('ended')")


def waited(browser, script: str, seconds: float = 30) -> bool:
    """Whether a condition comes true in time."""
    import time

    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if browser.run(script):
            return True
        time.sleep(0.25)
    return False
