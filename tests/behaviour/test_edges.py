"""The graph over the actions: what experiments show, and what they do not."""

import matplotlib.pyplot as plt
import numpy as np

import bayes_intgen as bi

NOT_SHOWN = "hese experiments do not show which action moves which"
NAMES = ("tv", "radio", "print")


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
    return bi.fit(data, method="laplace", draws=50, progress=False, seed=0)


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


def test_pairs_with_and_without_evidence_are_told_apart() -> None:
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
