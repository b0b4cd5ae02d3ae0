"""The built site in a browser, from disk: widths on a phone, searches, paper, and notebooks."""

import json
import re
import time
from pathlib import Path
from urllib.parse import quote_plus

import pytest

SITE = Path(__file__).parents[1] / "build" / "site"
WIDTH = "return document.documentElement.scrollWidth"
FINISHED = "return document.querySelector('.search-summary')?.textContent.includes('finished')"
SCROLLS = """return [...document.querySelectorAll('main *')].filter((own) => own.checkVisibility()
  && /auto|scroll/.test(getComputedStyle(own).overflow)).map((own) => own.className)"""
FIRST = "return document.querySelector('ul.search a').href"
SEARCHES = {
    "TV and radio together": "tutorials/marketing",
    "endogenous spend": "explanation/fit-or-not",
    "factorial effects": "explanation/fit-or-not",
    "interference: do not use": "explanation/fit-or-not",
}

pytestmark = pytest.mark.skipif(not SITE.exists(), reason="the site is not built: CONTRIBUTING.md")


@pytest.fixture(autouse=True)
def _own_messages(browser):
    """Leave no messages to other tests: a search from disk has results, but no excerpts."""
    yield
    browser.get_log("browser")


@pytest.fixture
def phone(browser):
    size = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    yield browser
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_no_page_is_wider_than_a_phone(phone) -> None:
    pages = [page for page in SITE.rglob("*.html") if "_static" not in page.parts]
    assert SITE / "index.html" in pages
    widths = {}
    for page in pages:
        phone.get(page.as_uri())
        widths[page.name] = phone.execute_script(WIDTH)
    assert {name: width for name, width in widths.items() if width > 390} == {}
    assert [own for own in phone.get_log("browser") if own["level"] == "SEVERE"] == []
    phone.execute_script("document.querySelector('main').innerHTML = 'x'.repeat(300)")
    assert phone.execute_script(WIDTH) > 390


@pytest.mark.parametrize("words", SEARCHES)
def test_a_search_finds_the_right_page_first(browser, words) -> None:
    browser.get(f"{(SITE / 'search.html').as_uri()}?q={quote_plus(words)}")
    end = time.monotonic() + 20
    while not browser.execute_script(FINISHED) and time.monotonic() < end:
        time.sleep(0.2)
    # Sphinx forgets the entries of pages that it does not write anew.
    assert SEARCHES[words] in browser.execute_script(FIRST), "was it built by sphinx-build -E?"


@pytest.mark.parametrize("notebook", sorted(SITE.rglob("*.ipynb")), ids=lambda path: path.stem)
def test_a_notebook_needs_no_other_file_of_the_site(notebook) -> None:
    cells = json.loads(notebook.read_text())["cells"]
    text = "\n".join("".join(own["source"]) for own in cells if own["cell_type"] == "markdown")
    assert "```{" not in text
    targets = re.findall(r"\]\(([^)]+)\)", text)
    assert targets
    assert [own for own in targets if not own.startswith(("https://", "#"))] == []


@pytest.mark.parametrize("page", ["index", "tutorials/marketing", "reference/decisions"])
def test_nothing_is_cut_off_on_paper(browser, page) -> None:
    browser.get((SITE / f"{page}.html").as_uri())
    assert browser.execute_script(SCROLLS)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        assert browser.execute_script(SCROLLS) == []
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
