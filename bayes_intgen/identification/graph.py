"""Graphs over the actions: which action may move which."""

from collections.abc import Mapping

from bayes_intgen.errors import ModelError

Graph = Mapping[str, tuple[str, ...]]


def parents_of(names: tuple[str, ...], graph: Graph | None) -> list[list[int]]:
    """Actions that the bias of each action may depend on besides its own."""
    if graph is None:
        return [[j for j in range(len(names)) if j != k] for k in range(len(names))]
    position = {name: k for k, name in enumerate(names)}
    for child, its_parents in graph.items():
        for name in (child, *its_parents):
            if name not in position:
                raise ModelError(
                    f"the graph names {name!r}, which is no action; the actions are "
                    f"{', '.join(map(repr, names))}"
                )
    parents = [sorted({position[p] for p in graph.get(name, ())}) for name in names]
    placed: set[int] = set()
    while len(placed) < len(names):
        ready = {k for k in range(len(names)) if k not in placed and placed.issuperset(parents[k])}
        if not ready:
            cycle = ", ".join(repr(names[k]) for k in range(len(names)) if k not in placed)
            raise ModelError(f"the graph has a cycle among {cycle}; it must be acyclic")
        placed |= ready
    return parents
