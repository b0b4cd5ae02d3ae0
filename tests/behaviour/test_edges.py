"""The graph over the actions: what experiments show, and what they do not."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

import bayes_intgen as bi

from conftest import confounded_rows

NOT_SHOWN = "hese experiments do not show which action moves which"
NAMES = ("tv", "radio", "print")
FAST = {"method": "laplace", "draws": 60, "progress": False}


def fitted(settings: dict[str, float]) -> bi.Posterior:
    """Fit of a chain tv -> radio -> print; some experiments set their action to one value."""
    rng = np.random.default_rng(0)
    masks = np.repeat(np.vstack([np.zeros(3), np.eye(3)]).astype(bool), 150, axis=0)
    actions = rng.normal(size=(600, 3))
    for k, name in enumerate(NAMES):
        moved = actions[:, k] + (0.8 * actions[:, k - 1] if k else 0)
        set_to = settings.get(name, actions[:, k])
        actions[:, k] = np.where(masks[:, k], set_to, moved)
    outcome = actions.sum(axis=1) + rng.normal(size=600)
    data = bi.RegimeData.from_arrays(actions, outcome, masks, NAMES)
    return bi.fit(data, **FAST)


def drawn(posterior: bi.Posterior) -> tuple[int, int, str]:
    """Number of arrows and of dotted lines in the picture, and its title."""
    ax = posterior.plot_graph()
    arrows = sum(getattr(text, "arrow_patch", None) is not None for text in ax.texts)
    found = arrows, len(ax.lines), ax.get_title()
    plt.close(ax.figure)
    return found


def test_experiments_at_one_value_show_no_edge(tmp_path) -> None:
    posterior = fitted(dict.fromkeys(NAMES, 1.0))
    off_diagonal = ~np.eye(3, dtype=bool)
    assert (posterior.graph.source.to_numpy()[off_diagonal] == "prior").all()
    assert NOT_SHOWN in str(posterior)
    assert "Learned from the actions" not in str(posterior)
    arrows, lines, title = drawn(posterior)
    assert (arrows, lines) == (0, 0)
    assert NOT_SHOWN in title.replace("\n", " ")
    posterior.report(tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert f"T{NOT_SHOWN}" in page
    assert '<table class="edges' not in page
    assert "learned from the actions" not in page


def test_pairs_with_and_without_evidence_are_told_apart(tmp_path) -> None:
    posterior = fitted({"radio": 1.0, "print": 1.0})
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
    posterior.report(tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "tv → radio" in page[page.index("graph over the actions") :]


@pytest.fixture(scope="module")
def rows() -> bi.RegimeData:
    """Red moves green."""
    return confounded_rows(400, seed=5)


@pytest.fixture(scope="module")
def learned(rows) -> bi.Posterior:
    return bi.fit(rows, **FAST)


def test_the_graph_is_learned_by_default(learned) -> None:
    graph = learned.graph
    assert graph.dims == ("action", "parent")
    assert graph.sel(action="green", parent="red") > 0.95
    assert graph.sel(action="red", parent="green") < 0.1
    names = {term.name for term in learned.terms.terms}
    assert "delta(green) control error" in names
    assert "delta(red) control error" not in names


def test_a_partly_known_graph_is_learned_where_unknown(rows, learned, tmp_path) -> None:
    posterior = bi.fit(rows, bi.models.additive(graph={"green": None}), **FAST)
    assert posterior.graph.sel(action="red").to_numpy().tolist() == [0, 0]
    edge = {"action": "green", "parent": "red"}
    assert posterior.graph.sel(edge) >= learned.graph.sel(edge)
    assert "delta(green) control error" in {term.name for term in posterior.terms.terms}
    posterior.save(tmp_path / "fit.nc")
    assert bi.load(tmp_path / "fit.nc").model.graph == {"green": None}


def test_any_graph_learns_nothing(rows) -> None:
    posterior = bi.fit(rows, bi.models.additive(graph="any"), **FAST)
    assert "delta(green) control error" not in {term.name for term in posterior.terms.terms}
    with pytest.raises(bi.ModelError, match="graph=None"):
        _ = posterior.graph
