"""Graphs over the actions: given, partly known, or unknown."""

import numpy as np
import pytest

from bayes_intgen.errors import ModelError
from bayes_intgen.identification.graph import checked_graph, known_edges, parents_of

NAMES = ("a1", "a2", "a3", "a4")


def test_unknown_parents_exclude_the_action_and_its_known_descendants() -> None:
    # a1 moves a2, and a2 moves a3; nothing is known of what moves a1.
    edges = known_edges(NAMES, checked_graph({"a2": ["a1"], "a3": ["a2"], "a1": None, "a4": []}))
    assert edges[0].tolist()[:3] == [0, 0, 0]
    assert np.isnan(edges[0, 3])
    assert edges[3].tolist() == [0, 0, 0, 0]
    assert parents_of(NAMES, {"a2": ("a1",), "a3": ("a2",), "a1": None}) == [[3], [0], [1], []]


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        ("all", "graph must be a mapping"),
        (["a1"], "graph must map"),
        ({"a9": ["a1"]}, "'a9'"),
        ({"a9": None}, "'a9'"),
        ({"a2": ["a1"], "a1": ["a3"], "a3": ["a2"], "a4": ["a1"]}, "among 'a1', 'a2', 'a3';"),
    ],
)
def test_wrong_graphs_are_refused(graph, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        parents_of(NAMES, checked_graph(graph))
