"""Examples, settings and file names in the documentation, page by page."""

import re
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import bayes_intgen as bi

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted(page for page in DOCS.rglob("*.md") if "```python" in page.read_text())


def code_of(page: Path) -> str:
    blocks = re.findall(r"^( *)```python\n(.*?)^ *```", page.read_text(), re.DOTALL | re.MULTILINE)
    return "\n".join(
        re.sub(f"^{indent}", "", block, flags=re.MULTILINE) for indent, block in blocks
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_examples_run(page, request, tmp_path, monkeypatch) -> None:
    """The tutorial makes its own data; the other pages use the fixtures `data` and `posterior`."""
    monkeypatch.chdir(tmp_path)
    space: dict[str, object] = {"bi": bi, "np": np, "pd": pd}
    if page.stem == "tutorial":
        whole = bi.fit

        def quick(data: bi.RegimeData, **settings: int) -> bi.Posterior:
            return whole(data, draws=100, warmup=100, progress=False, **settings)

        monkeypatch.setattr(bi, "fit", quick)
    else:
        space |= {name: request.getfixturevalue(name) for name in ("data", "posterior")}
    exec(code_of(page), space)
    plt.close("all")
    if page.stem == "tutorial":
        change = space["change"]
        error = abs(float(change.mean()) - 2 * np.tanh(1))
        assert error < 4 * float(change.std()) < 1
        assert space["again"].actions == ("tv", "radio")
        assert str(space["data"].identify(["tv", "radio"])) in (DOCS / "tutorial.md").read_text()


def test_documented_defaults_are_those_of_the_code() -> None:
    """The default priors in the table of the page on priors."""
    page = (DOCS / "priors.md").read_text()
    gp = bi.GP()
    assert gp.scale == bi.LogNormal(0.3, 1.25)
    assert "| standard deviations of the outcome | 0.3, sigma 1.25 |" in page
    assert gp.slope == bi.LogNormal(0.2, 1.25)
    assert "| the same | 0.2, sigma 1.25 |" in page
    assert (gp.cross_action, gp.interaction) == (bi.LogNormal(0.2, 2.0),) * 2
    assert "| the same | 0.2, sigma 2 |" in page
    assert gp.lengthscale == bi.LogNormal(1.5, 0.5)
    assert "| robust standard deviations of the action | 1.5, sigma 0.5 |" in page
    assert bi.models.additive().noise_scale == bi.LogNormal(0.5, 1.0)
    assert "| standard deviations of the outcome | 0.5, sigma 1 |" in page


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda page: page.stem)
def test_files_named_in_pages_exist(page) -> None:
    root = DOCS.parent
    text = page.read_text()
    for name in re.findall(r"`(?:python )?(analyses/[\w./]+)", text):
        assert (root / name).exists(), name
    for name in re.findall(r"\(results/([\w.]+)\)", text):
        assert (root / "analyses" / "results" / name).exists(), name
