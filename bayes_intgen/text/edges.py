"""Edges of a graph over the actions in words."""

from typing import NamedTuple

import numpy as np
import xarray as xr

# Probability from which an edge is likely.
LIKELY = 0.5


class Edge(NamedTuple):
    """Edge of a graph, with its probability."""

    parent: str
    action: str
    probability: float

    @property
    def in_words(self) -> str:
        """Probability as text."""
        return format_edge_probability(self.probability)


def edges_from(graph: xr.DataArray, minimum: float) -> list[Edge]:
    """Edges with at least this probability, the most probable first.

    Parameters
    ----------
    graph : DataArray, dims (action, parent)
        From :attr:`bayes_intgen.Posterior.graph`.
    minimum : float

    Examples
    --------
    >>> names = ["red", "green"]
    >>> graph = xr.DataArray([[0, 0.02], [0.97, 0]], {"action": names, "parent": names})
    >>> edges_from(graph, 0.1)
    [Edge(parent='red', action='green', probability=0.97)]
    """
    values = graph.to_numpy()
    names = graph["action"].to_numpy().tolist()
    edges = [
        Edge(names[j], names[k], float(values[k, j]))
        for k, j in zip(*np.nonzero(values >= minimum), strict=True)
    ]
    return sorted(edges, key=lambda edge: -edge.probability)


def is_learned(graph: xr.DataArray) -> bool:
    """Whether any edge was learned instead of given.

    Examples
    --------
    >>> names = ["red", "green"]
    >>> is_learned(xr.DataArray([[0, 0], [1, 0]], {"action": names, "parent": names}))
    False
    """
    return not np.isin(graph, (0.0, 1.0)).all()


def edges_in_words(graph: xr.DataArray) -> str:
    """Likely edges with their probabilities, and the largest probability of the others.

    Examples
    --------
    >>> names = ["red", "green"]
    >>> graph = xr.DataArray([[0, 0.02], [0.97, 0]], {"action": names, "parent": names})
    >>> edges_in_words(graph)
    'red → green 0.97; every other edge at most 0.02'
    """
    edges = edges_from(graph, LIKELY)
    values = graph.to_numpy()[~np.eye(graph.sizes["action"], dtype=bool)]
    rest = values[values < LIKELY]
    shown = [f"{edge.parent} → {edge.action} {edge.in_words}" for edge in edges]
    if rest.size:
        most = format_edge_probability(float(rest.max()))
        shown.append(f"every {'other ' if edges else ''}edge at most {most}")
    return "; ".join(shown) or "one action, no edge"


def format_edge_probability(probability: float) -> str:
    """Format a probability; 0 and 1 are certain, since they were given.

    Examples
    --------
    >>> [format_edge_probability(p) for p in (0.0, 0.001, 0.314, 0.9999, 1.0)]
    ['0', '<0.01', '0.31', '>0.99', '1']
    """
    if probability in (0.0, 1.0):
        return f"{probability:.0f}"
    if probability < 0.005:
        return "<0.01"
    return ">0.99" if probability > 0.995 else f"{probability:.2f}"
