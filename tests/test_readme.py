"""The README's commands, figures and links."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import readme_table

README = Path(__file__).parents[1] / "README.md"
ANALYSES = README.parent / "analyses"


def test_the_quick_start_prints_the_output_below_it(tmp_path, monkeypatch, capsys) -> None:
    text = README.read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    (shown,) = re.findall(r"```text\n(.*?)```", text, flags=re.DOTALL)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(code.replace("seed=0", "seed=0, progress=False"), names)
    printed = capsys.readouterr().out
    number = r"\b\d+,\d{3}\b"
    mean, low, high, history = map(as_number, re.findall(number, printed))
    joint = names["known"].joint.set_index(["red", "green"]).loc[(25, 8)]
    # A 90% interval is 3.3 standard deviations wide.
    sd = (high - low) / 3.3
    assert low < mean < high
    assert abs(mean - joint["effect"]) < 4 * np.hypot(sd, joint["standard_error"])
    assert high - low < joint["effect"] / 4
    assert abs(history - joint["effect"]) > 4 * sd
    # The same words; estimates up to the Monte Carlo error of 400 effective draws.
    assert re.sub(number, "", printed) == re.sub(number, "", shown)
    stated = list(map(as_number, re.findall(number, shown)))
    assert stated == pytest.approx([mean, low, high, history], abs=sd / 3)
    # The first screen says the same.
    first = [f"{value:,.0f}" for value in [*stated[:3], joint["effect"], stated[3]]]
    assert re.findall(number, text[text.index("**What comes out**") :])[:5] == first
    assert f"{len(names['known'].frame):,} readings" in text
    assert (tmp_path / "fit.nc").stat().st_size > 0
    plt.close("all")


def as_number(text: str) -> float:
    """Read a number with commas between thousands."""
    return float(text.replace(",", ""))


def tables(text: str) -> list[list[list[str]]]:
    """Markdown tables as rows of cells, the line under the head left out."""

    def cells(line: str) -> list[str]:
        return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]

    blocks = re.findall(r"(?:^\|.*\|$\n?)+", text, flags=re.MULTILINE)
    lines = [table.splitlines() for table in blocks]
    return [[cells(line) for line in (own[0], *own[2:])] for own in lines]


def stale_cells(text: str) -> Iterator[str]:
    """Cells of a page's tables of measurements that differ from the committed results."""
    for shown, computed in zip(tables(text), tables(readme_table.updated(text)), strict=True):
        if len(shown) != len(computed):
            yield f"{shown[0]}: {len(shown) - 1} rows, the results have {len(computed) - 1}"
        for ours, results in zip(shown, computed, strict=False):
            for column, cell, result in zip(computed[0], ours, results, strict=True):
                if cell != result:
                    yield f"{ours[0]}, {column}: {cell!r}, the results say {result!r}"


@pytest.mark.parametrize("page", readme_table.PAGES, ids=lambda page: page.stem)
def test_measurements_are_those_of_the_committed_results(page) -> None:
    text = page.read_text()
    stale = list(stale_cells(text))
    remedy = "run `python analyses/readme_table.py --write`"
    assert not stale, "\n".join([f"{page.name}: {remedy}", *stale])
    # The commits below the tables, too.
    assert text == readme_table.updated(text), f"{page.name}: {remedy}"


def test_a_changed_measurement_is_noticed() -> None:
    text = README.read_text()
    (number,) = re.findall(r"\| ([\d.]+) \| all functional forms known", text)[:1]
    (stale,) = stale_cells(text.replace(f"| {number} |", "| 0.01 |", 1))
    assert "'0.01'" in stale
    assert number in stale


def test_every_table_of_measurements_is_on_one_page() -> None:
    pages = "".join(page.read_text() for page in readme_table.PAGES)
    assert sorted(re.findall("<!-- table: (.*) -->", pages)) == sorted(readme_table.TABLES)
    assert pages.count("<!-- end of table -->") == len(readme_table.TABLES)


@pytest.mark.parametrize("page", readme_table.PAGES, ids=lambda page: page.stem)
def test_every_table_of_numbers_has_a_source(page) -> None:
    elsewhere = readme_table.BLOCK.sub("", page.read_text())
    for table in tables(elsewhere):
        for row in table:
            # Code may have digits.
            assert not re.search(r"\d", re.sub("`.*?`", "", " ".join(row))), row


def test_the_table_shows_cells_of_the_results() -> None:
    """The same figures, read without the code that makes the table."""
    (summary,) = (table for table in tables(README.read_text()) if table[0][0] == "measure")
    cells = {row[0]: row[1:] for row in summary}
    coverage = (ANALYSES / "results" / "calibration_coverage.csv").read_text()
    (pair,) = re.findall(r"^effect,all,\d+,0.9,([\d.]+),([\d.]+)", coverage, re.M)
    (shown,) = (row for name, row in cells.items() if "credible intervals" in name)
    assert list(map(float, shown[0].split(" ± "))) == pytest.approx([*map(float, pair)], abs=0.0006)
    accuracy = (ANALYSES / "results" / "accuracy_K5_N2000.csv").read_text()
    ratios = [float(line.split(",")[6]) for line in accuracy.splitlines() if line[0].isdigit()]
    (shown,) = (row for name, row in cells.items() if "graph unknown" in name)
    assert float(shown[0]) == pytest.approx(np.sqrt(np.mean(np.square(ratios))), abs=0.006)


@pytest.mark.parametrize("page", [README, ANALYSES / "README.md"], ids=["top", "analyses"])
def test_links_lead_somewhere(page) -> None:
    targets = re.findall(r"\]\(((?!http)[^)]+)\)", page.read_text())
    assert targets
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_every_analysis_is_in_the_table() -> None:
    listed = (ANALYSES / "README.md").read_text()
    for path in ANALYSES.glob("[!_]*.py"):
        assert f"`{path.name}" in listed
