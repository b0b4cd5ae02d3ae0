"""Pages of reports in a browser: what a user does there, and the numbers that are shown."""

import base64

import numpy as np


def unpacked(text: str) -> np.ndarray:
    """Numbers of an array in the data of a page."""
    return np.frombuffer(base64.b64decode(text), dtype="<f8").copy()


def open_page(browser, posterior, path, width=1200, **over):
    posterior.report(path, **over)
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(path.as_uri())
    return browser


def move_sliders(browser, steps) -> None:
    """Move the sliders as a user does: set the position, then send the event."""
    for k, step in enumerate(steps):
        browser.execute_script(
            "const s = document.getElementById(arguments[0]); s.value = arguments[1];"
            "s.dispatchEvent(new Event('input', {bubbles: true}));",
            f"action-{k}",
            int(step),
        )


def enter(browser, **values) -> None:
    """Enter texts in fields by their accessible names, and leave each field."""
    for name, value in values.items():
        browser.execute_script(
            "const f = [...document.querySelectorAll('input')].find("
            "(f) => f.getAttribute('aria-label') === arguments[0]); f.value = arguments[1];"
            "f.dispatchEvent(new Event('change'));",
            name,
            value if isinstance(value, str) else repr(float(value)),
        )


def table_of_plans(browser) -> list[tuple[str, list[list[str]]]]:
    """Rows of the planner's table: a name, and the values of each plan with all digits."""
    rows = browser.execute_script(
        "return [...document.querySelectorAll('#plans tr')].map((r) => [r.firstChild.textContent,"
        "[...r.querySelectorAll('td')].map((c) => c.dataset.value ?? '')])"
    )
    return [(name, [text.split() for text in texts]) for name, texts in rows]
