"""The graph of a fit: learned, given or unknown; in files, pictures, texts and the report."""

import matplotlib.pyplot as plt
import pytest

import bayes_intgen as bi

from conftest import confounded_rows

SETTINGS = {"method": "laplace", "draws": 60, "progress": False}


@pytest.fixture(scope="module")
def rows() -> bi.RegimeData:
    """Red moves green."""
    return confounded_rows(400, seed=5)


@pytest.fixture(scope="module")
def learned(rows) -> bi.Posterior:
    return bi.fit(rows, **SETTINGS)


def test_the_graph_is_learned_by_default(learned) -> None:
    graph = learned.graph
    assert graph.dims == ("action", "parent")
    assert graph.sel(action="green", parent="red") > 0.95
    assert graph.sel(action="red", parent="green") < 0.1
    names = {term.name for term in learned.terms.terms}
    assert "delta(green) control error" in names
    assert "delta(red) control error" not in names


def test_a_partly_known_graph_is_learned_where_unknown(rows, learned, tmp_path) -> None:
    posterior = bi.fit(rows, bi.models.additive(graph={"green": None}), **SETTINGS)
    assert posterior.graph.sel(action="red").to_numpy().tolist() == [0, 0]
    edge = {"action": "green", "parent": "red"}
    assert posterior.graph.sel(edge) >= learned.graph.sel(edge)
    assert "delta(green) control error" in {term.name for term in posterior.terms.terms}
    posterior.save(tmp_path / "fit.nc")
    assert bi.load(tmp_path / "fit.nc").model.graph == {"green": None}


def test_any_graph_learns_nothing(rows) -> None:
    posterior = bi.fit(rows, bi.models.additive(graph="any"), **SETTINGS)
    assert "delta(green) control error" not in {term.name for term in posterior.terms.terms}
    with pytest.raises(bi.ModelError, match="graph=None"):
        _ = posterior.graph


def test_words_and_pictures(learned, tmp_path) -> None:
    assert "Learned from the actions: red → green" in str(learned)
    ax = learned.plot_graph()
    shown = {text.get_text() for text in ax.texts}
    assert {"red", "green"} < shown
    plt.close(ax.figure)
    with pytest.raises(bi.ModelError, match="threshold"):
        learned.plot_graph(threshold=2)
    learned.report(tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "Actions that move others" in page
    assert "learned from the actions: red → green" in page
