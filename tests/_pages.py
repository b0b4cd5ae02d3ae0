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


# Moves a slider as a user does: sets the position, then sends the event.
MOVE = """const move = (steps) => steps.forEach((step, k) => {
  const slider = document.getElementById(`action-${k}`);
  if (Number(slider.value) === step) return;
  slider.value = step;
  slider.dispatchEvent(new Event('input', {bubbles: true}));
});
const plan = () => [...document.querySelectorAll('.slider')].map((own) =>
  [own.querySelector('label').textContent, own.querySelector('output').dataset.value]);
const note = () => [document.getElementById('beyond')].map((own) =>
  own.checkVisibility() ? own.innerText : '')[0];
"""


def move_sliders(browser, steps) -> None:
    browser.execute_script(f"{MOVE}move(arguments[0])", [int(step) for step in steps])


def plans_and_notes(browser, positions) -> tuple[list[dict[str, float | str]], list[str]]:
    """Plans at positions of the sliders, and what the page says of their support, if it does."""
    steps = [[int(step) for step in own] for own in positions]
    script = f"{MOVE}return arguments[0].map((own) => {{ move(own); return [plan(), note()]; }})"
    # In parts, each of which ends in time on a busy machine.
    parts = (steps[i : i + 20] for i in range(0, len(steps), 20))
    shown = [own for part in parts for own in browser.execute_script(script, part)]
    return [_plan(texts) for texts, _ in shown], [note for _, note in shown]


def positions(browser) -> list[int]:
    sliders = browser.find_elements("css selector", ".sliders input")
    return [int(slider.get_property("value")) for slider in sliders]


def plan_of(browser) -> dict[str, float | str]:
    """Values of all actions at the sliders, levels by their names."""
    return _plan(browser.execute_script(f"{MOVE}return plan()"))


def readout(browser) -> dict[str, list[float]]:
    """Numbers of the explorer with all digits."""
    texts = browser.execute_script(
        "return [...document.querySelectorAll('.readout [data-of], #above, #gainful')].map((c) => "
        "[(c.closest('tr')?.id ?? '') + ' ' + (c.dataset.of ?? c.id), c.dataset.value])"
    )
    return {name.strip(): [float(number) for number in text.split()] for name, text in texts}


def _plan(texts: list[list[str]]) -> dict[str, float | str]:
    return {name: _number(text) for name, text in texts}


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
