"""What the README says is run, in the order in which it is written."""

import re
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

README = Path(__file__).parents[1] / "README.md"


def test_the_quick_start_runs(tmp_path, monkeypatch, capsys) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    assert len(blocks) == 1
    monkeypatch.chdir(tmp_path)
    space: dict[str, object] = {}
    exec(blocks[0].replace("fit(data, seed=0)", "fit(data, seed=0, progress=False)"), space)
    mean, low, high = map(float, re.findall(r"[-\d.]+", capsys.readouterr().out))
    truth = 0.4621 + 0.25  # tanh(0.5) + 0.5 * 0.5; the stray light averages zero
    assert low < mean < high
    # A 90% band is 3.3 standard deviations wide.
    assert abs(mean - truth) < 4 * (high - low) / 3.3
    assert high - low < 0.5
    assert (tmp_path / "fit.nc").stat().st_size > 0
    plt.close("all")


@pytest.mark.parametrize("target", re.findall(r"\]\(((?!http)[^)]+)\)", README.read_text()))
def test_links_lead_somewhere(target: str) -> None:
    assert (README.parent / target).exists()


ANALYSES = README.parent / "analyses"


@pytest.mark.parametrize(
    "target", re.findall(r"\]\(((?!http)[^)]+)\)", (ANALYSES / "README.md").read_text())
)
def test_links_of_the_analyses_lead_somewhere(target: str) -> None:
    assert (ANALYSES / target).exists()


def test_every_analysis_is_in_the_table() -> None:
    listed = (ANALYSES / "README.md").read_text()
    for path in ANALYSES.glob("[!_]*.py"):
        assert f"`{path.name}" in listed
