"""Pages of reports, read by a parser, and in a browser: what a user does and sees there."""

import base64
import json
from html.parser import HTMLParser

import numpy as np


class Page(HTMLParser):
    """Tags, attributes, text and rows of tables of a report, also of the table of plans."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.source, self.text, self.in_cell, self.section = text, "", False, None
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.rows: list[list[str]] = []
        # The first of several rows with a name.
        self.plans: dict[str, list[str]] = {}
        self.feed(text)

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag == "section":
            self.section = dict(attrs).get("id")
        elif tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
            self.in_cell = True

    def handle_endtag(self, tag) -> None:
        self.in_cell = self.in_cell and tag not in ("td", "th")
        if tag == "tr" and self.section == "planner":
            self.plans.setdefault(self.rows[-1][0], self.rows[-1][1:])

    def handle_data(self, data) -> None:
        if self.tags[-1:] == ["script"]:
            return
        self.text += data
        if self.in_cell:
            self.rows[-1][-1] += data.replace("\N{MINUS SIGN}", "-").strip()


def write_page(path, posterior, **settings) -> Page:
    """Write the report of a posterior, and read it."""
    posterior.report(path, **settings)
    return Page(path.read_text())


def open_page(browser, posterior, path, width=1200, **settings):
    posterior.report(path, **settings)
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(path.as_uri())
    return browser


def stops(browser) -> list[np.ndarray]:
    """Values at the stops of each slider, codes of levels."""
    data = json.loads(browser.find_element("id", "explorer-data").get_attribute("textContent"))
    texts = [action["values"]["float64"] for action in data["actions"]]
    return [np.frombuffer(base64.b64decode(text), dtype="<f8") for text in texts]


def move_sliders(browser, steps) -> None:
    """Move the sliders as a user does: set the position, then send the event."""
    browser.execute_script(
        "arguments[0].forEach((step, k) => {"
        "const s = document.getElementById(`action-${k}`); s.value = step;"
        "s.dispatchEvent(new Event('input', {bubbles: true})); });",
        [int(step) for step in steps],
    )


def positions(browser) -> list[int]:
    sliders = browser.find_elements("css selector", ".sliders input")
    return [int(slider.get_property("value")) for slider in sliders]


def plan_of(browser) -> dict[str, float | str]:
    """Values of all actions at the sliders, levels by their names."""
    texts = browser.execute_script(
        "return [...document.querySelectorAll('.slider')].map((s) => "
        "[s.querySelector('label').textContent, s.querySelector('output').dataset.value])"
    )
    return {name: _number(text) for name, text in texts}


def readout(browser) -> dict[str, list[float]]:
    """Numbers of the explorer with all digits."""
    texts = browser.execute_script(
        "return [...document.querySelectorAll('.readout [data-of], #above, #gainful')].map((c) => "
        "[(c.closest('tr')?.id ?? '') + ' ' + (c.dataset.of ?? c.id),"
        "c.dataset.value])"
    )
    return {name.strip(): [float(number) for number in text.split()] for name, text in texts}


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
