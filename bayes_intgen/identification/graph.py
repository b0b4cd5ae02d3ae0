"""Graphs over the actions: parents of each action."""

from collections.abc import Mapping
from typing import Any

from bayes_intgen._arguments import items, mapping
from bayes_intgen.errors import ModelError
from bayes_intgen.text.messages import unknown_action

Graph = Mapping[str, tuple[str, ...]]


def checked_graph(graph: Any) -> Graph | None:
    """Validate a graph: a mapping from actions to lists of their parents, or None.

    Examples
    --------
    >>> checked_graph({"green": ["red"]})
    {'green': ('red',)}
    """
    if graph is None:
        return None
    edges = mapping(graph, "graph", "each action to a list of its parents")
    return {
        child: items(parents, f"graph[{child!r}]", "actions") for child, parents in edges.items()
    }


def parents_of(names: tuple[str, ...], graph: Graph | None) -> list[list[int]]:
    """Positions of the parents of each action, on which its bias may depend.

    Without a graph every other action counts as a parent.

    Raises
    ------
    ModelError
        If the graph names an unknown action or has a cycle.
    """
    if graph is None:
        return [[j for j in range(len(names)) if j != k] for k in range(len(names))]
    position = {name: k for k, name in enumerate(names)}
    for child, its_parents in graph.items():
        for name in (child, *its_parents):
            if name not in position:
                raise ModelError(f"graph: {unknown_action(name, names)}")
    parents = [sorted({position[p] for p in graph.get(name, ())}) for name in names]
    ordered: set[int] = set()
    while rest := set(range(len(names))) - ordered:
        ready = {k for k in rest if ordered.issuperset(parents[k])}
        if not ready:
            cycle = ", ".join(repr(names[k]) for k in sorted(rest))
            raise ModelError(f"the graph has a cycle among {cycle}; it must be acyclic")
        ordered |= ready
    return parents
