"""The graph over the actions: what experiments show, and what they do not."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from _pages import write_page
from _rows import fitted, sampled

import bayes_intgen as bi

from conftest import confounded_rows

NOT_SHOWN = "hese experiments do not show which action moves which"
NAMES = ("tv", "radio", "print")


def fit_of_chain(*at_one_value: str) -> bi.Posterior:
    """Fit of tv -> radio -> print; some experiments set their action to one value."""
    chain = [lambda a, c, v, k=k: v + (0.8 * a[:, k - 1] if k else 0) for k in range(3)]
    at_one, anywhere = lambda masks, rng: 1.0, lambda masks, rng: rng.normal(size=len(masks))
    settings = [at_one if name in at_one_value else anywhere for name in NAMES]
    common = {"noise": 1.0, "settings": settings, "names": NAMES}
    data = sampled(chain, 150, outcome=lambda a, c: a.sum(axis=1), **common)
    return fitted(data, draws=60)


def drawn(posterior: bi.Posterior) -> tuple[int, int, str]:
    """Number of arrows and of dotted lines in the picture, and its title."""
    ax = posterior.plot_graph()
    arrows = sum(getattr(text, "arrow_patch", None) is not None for text in ax.texts)
    found = arrows, len(ax.lines), ax.get_title()
    plt.close(ax.figure)
    return found


def test_experiments_at_one_value_show_no_edge(tmp_path) -> None:
    posterior, off_diagonal = fit_of_chain(*NAMES), ~np.eye(3, dtype=bool)
    assert (posterior.graph.source.to_numpy()[off_diagonal] == "prior").all()
    assert NOT_SHOWN in str(posterior)
    assert "Learned from the actions" not in str(posterior)
    arrows, lines, title = drawn(posterior)
    assert (arrows, lines) == (0, 0)
    assert NOT_SHOWN in title.replace("\n", " ")
    page = write_page(tmp_path / "report.html", posterior).source
    assert f"T{NOT_SHOWN}" in page
    assert '<table class="edges' not in page
    assert "learned from the actions" not in page


def test_pairs_with_and_without_evidence_are_told_apart(tmp_path) -> None:
    posterior = fit_of_chain("radio", "print")
    source = posterior.graph.source
    assert source.sel(action="radio", parent="tv") == "rows"
    assert source.sel(action="print", parent="radio") == "prior"
    text = " ".join(str(posterior).split())
    assert "tv → radio" in text
    assert "these experiments do not show whether radio and print move each other" in text
    arrows, lines, _ = drawn(posterior)
    assert arrows >= 1
    assert lines == 1
    with pytest.raises(bi.ModelError, match="threshold"):
        posterior.plot_graph(threshold=2)
    page = write_page(tmp_path / "report.html", posterior).source
    assert "tv → radio" in page[page.index("graph over the actions") :]


@pytest.fixture(scope="module")
def rows() -> bi.RegimeData:
    """Red moves green."""
    return confounded_rows(400, seed=5)


@pytest.fixture(scope="module")
def learned(rows) -> bi.Posterior:
    return fitted(rows, draws=60)


def test_the_graph_is_learned_by_default(learned) -> None:
    graph = learned.graph
    assert graph.dims == ("action", "parent")
    assert graph.sel(action="green", parent="red") > 0.95
    assert graph.sel(action="red", parent="green") < 0.1
    names = {term.name for term in learned.terms.terms}
    assert "delta(green) control error" in names
    assert "delta(red) control error" not in names


def test_a_partly_known_graph_is_learned_where_unknown(rows, learned, tmp_path) -> None:
    posterior = fitted(rows, bi.models.additive(graph={"green": None}), draws=60)
    assert posterior.graph.sel(action="red").to_numpy().tolist() == [0, 0]
    edge = {"action": "green", "parent": "red"}
    assert posterior.graph.sel(edge) >= learned.graph.sel(edge)
    assert "delta(green) control error" in {term.name for term in posterior.terms.terms}
    posterior.save(tmp_path / "fit.nc")
    assert bi.load(tmp_path / "fit.nc").model.graph == {"green": None}


def test_any_graph_learns_nothing(rows) -> None:
    posterior = fitted(rows, bi.models.additive(graph="any"), draws=60)
    assert "delta(green) control error" not in {term.name for term in posterior.terms.terms}
    with pytest.raises(bi.ModelError, match="graph=None"):
        _ = posterior.graph
