"""Graphs over the actions: given, partly known, or unknown."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bayes_intgen._arguments import items, mapping
from bayes_intgen.errors import ModelError
from bayes_intgen.text.messages import refuse_unknown_actions

# Parents of each action, None where they are unknown. A graph that is None is unknown, and learned
# from the actions; with "any" the bias of each action may depend on every other.
Graph = Mapping[str, tuple[str, ...] | None] | Literal["any"] | None

# Prior probability of each edge: two actions are adjacent with probability one half, in either
# direction.
PRIOR_OF_EDGE = 0.25
# Probability above which an edge counts as present, just above a third: that of an edge of which
# rows only say that it does not have the other direction. A missing edge leaves a bias out of the
# fit, and a needless one widens intervals little.
LIKELY_EDGE = 0.35


def checked_graph(graph: Any) -> Graph:
    """Validate a graph: a mapping from actions to lists of their parents, ``"any"``, or None.

    Examples
    --------
    >>> checked_graph({"green": ["red"], "blue": None})
    {'green': ('red',), 'blue': None}
    """
    if graph is None:
        return None
    if isinstance(graph, str):
        if graph == "any":
            return "any"
        raise ModelError(
            f'graph must be a mapping from actions to lists of their parents, "any" or None, not '
            f"{graph!r}"
        )
    edges = mapping(graph, "graph", "each action to a list of its parents")
    return {
        child: None if parents is None else items(parents, f"graph[{child!r}]", "actions")
        for child, parents in edges.items()
    }


def known_edges(names: tuple[str, ...], graph: Graph) -> NDArray[np.float64]:
    """Matrix of known edges: entry ``[k, j]`` is 1 if action j is a parent of action k, else 0.

    NaN where that is unknown. Actions that a mapping omits have no parents. Unknown parents exclude
    known descendants, since the graph is acyclic.

    Raises
    ------
    ModelError
        If the graph names an unknown action or has a cycle.

    Examples
    --------
    >>> known_edges(("red", "green"), {"green": ("red",), "red": None})
    array([[0., 0.],
           [1., 0.]])
    """
    count = len(names)
    if not isinstance(graph, Mapping):
        return np.where(np.eye(count, dtype=bool), 0.0, np.nan)
    position = {name: k for k, name in enumerate(names)}
    edges = np.zeros((count, count))
    for child, parents in graph.items():
        refuse_unknown_actions((child, *(parents or ())), names, ModelError, "graph: ")
        edges[position[child], [position[name] for name in parents or ()]] = 1.0
    ancestors = ancestors_of(edges == 1)
    if cycle := [repr(names[k]) for k in np.flatnonzero(ancestors.diagonal())]:
        raise ModelError(f"the graph has a cycle among {', '.join(cycle)}; it must be acyclic")
    for child, parents in graph.items():
        k = position[child]
        if parents is None:
            edges[k, ~ancestors[:, k] & (np.arange(count) != k)] = np.nan
    return edges


def edge_probabilities(
    edges: NDArray[np.float64], log_bayes_factors: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Probabilities of the edges that :func:`known_edges` leaves open, a pair at a time.

    Parameters
    ----------
    edges : ndarray, shape (K, K)
        From :func:`known_edges`.
    log_bayes_factors : ndarray, shape (K, K)
        Of each edge against its absence; zero without evidence.

    Examples
    --------
    >>> edge_probabilities(known_edges(("red", "green"), None), np.zeros((2, 2)))
    array([[0.  , 0.25],
           [0.25, 0.  ]])
    """
    # Weights of k <- j, of k -> j, and of neither.
    forward = np.where(edges == 0, -np.inf, log_bayes_factors)
    neither = np.log((1 - 2 * PRIOR_OF_EDGE) / PRIOR_OF_EDGE)
    total = np.logaddexp(np.logaddexp(forward, forward.T), neither)
    return np.asarray(np.exp(forward - total))


def ancestors_of(edges: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether action j is an ancestor of action k, entry ``[k, j]``."""
    ancestors = edges
    for _ in range(len(edges)):
        ancestors = ancestors | (ancestors.astype(int) @ edges > 0)
    return ancestors


def parents_of(names: tuple[str, ...], graph: Graph) -> list[list[int]]:
    """Positions of the actions on which the bias of each action may depend.

    These are its parents, and all actions that may be its parents where that is unknown.

    Raises
    ------
    ModelError
        As :func:`known_edges`.

    Examples
    --------
    >>> parents_of(("red", "green"), None), parents_of(("red", "green"), {"green": ("red",)})
    ([[1], [0]], [[], [0]])
    """
    return [np.flatnonzero(row != 0).tolist() for row in known_edges(names, graph)]
