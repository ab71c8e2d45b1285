"""The index page of a batch in a real browser: sorted, searched, nothing wider than the screen."""

from pathlib import Path

import pytest
from browser import MISSING, Browser
from conftest import stripes
from PIL import Image
from test_browser import LOADED, SCREENS, WIDTHS

from consingan.batch import page
from consingan.batch.book import Book, Job
from consingan.batch.errand import Outcome
from consingan.training.order import Order

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)
NAMES = (
    "return [...document.querySelectorAll('tbody tr:not([hidden]) .name')].map(each => each.innerText.split('\\n')[0])"
)
ENDED = {
    "b": Outcome("finished", None, "b/run", 70.0, {"swd": 0.02, "copy": 0.5}, ("b/run/s.png",)),
    "a <img src=x>": Outcome("failed", "There is no picture at a.png."),
    "c": Outcome("finished", None, "c/run", 9.0, {"swd": 0.1}, ("c/run/s.png", "c/run/gone.png")),
    "d": Outcome("stopped", None, None, 3.0),
}


@pytest.fixture(scope="module")
def browser():
    with Browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def address(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("batch")
    book = Book.open(folder, [Job(name, Order(picture=f"{name}.png")) for name in ENDED], (), None, 1)
    for name, outcome in ENDED.items():
        book.put(book.entries[name].after(outcome))
        if outcome.run:
            (folder / outcome.run).mkdir(parents=True)
            (folder / outcome.run / "report.html").write_text("a report")
            for file in ("picture.png", "s.png"):
                Image.fromarray(stripes()).save(folder / outcome.run / file)
    return Path(page.write(book)).as_uri()


@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_page_is_drawn_and_fits(browser, address, screen, dark):
    browser.open(address, SCREENS[screen], dark=dark)
    assert browser.console() == []
    wide, inner = browser.run(WIDTHS)
    assert wide <= inner == SCREENS[screen]
    assert browser.run(LOADED) == []
    assert browser.run("return document.querySelectorAll('tbody img').length") == 4
    assert browser.run("return document.querySelectorAll('img[src=x]').length") == 0


def test_the_page_sorts_searches_and_leads_to_reports(browser, address):
    browser.open(address)
    assert browser.run(NAMES) == list(ENDED)

    def click(heading: str) -> list[str]:
        script = "[...document.querySelectorAll('th button')].find(b => b.textContent === '%s').click()"
        browser.run(script % heading)
        return browser.run(NAMES)

    assert click("name") == ["a <img src=x>", "b", "c", "d"]
    assert click("name") == ["d", "c", "b", "a <img src=x>"]
    assert click("time")[1:] == ["d", "c", "b"]
    assert click("Patch distance")[:2] == ["b", "c"]
    assert click("Patch distance")[:2] == ["c", "b"]  # what has none stays at the end
    browser.run("document.querySelector('.bar button[data-state=failed]').click()")
    assert browser.run(NAMES) == ["a <img src=x>"]
    browser.run("document.querySelector('.bar button[data-state=\"\"]').click()")
    search = "const i = document.querySelector('input'); i.value = 'C.pn'; i.dispatchEvent(new Event('input'))"
    browser.run(search)
    assert browser.run(NAMES) == ["c"]
    assert browser.run("return document.querySelector('output').textContent") == "1 of 4"
    browser.run("document.querySelector('tbody tr:not([hidden]) .name a').click()")
    assert browser.run("return document.body.innerText") == "a report"
    assert browser.console() == []
