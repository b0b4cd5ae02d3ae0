"""Edges of a graph over the actions in words."""

from typing import NamedTuple

import numpy as np
import xarray as xr

from bayes_intgen.text.formats import format_probability
from bayes_intgen.text.messages import some_of

# Probability from which an edge is likely.
LIKELY = 0.5
# Maximum number of pairs without evidence that are named.
MAX_NAMED = 3


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
    """Edges that are given or learned, with at least this probability, the most probable first.

    Parameters
    ----------
    graph : DataArray, dims (action, parent)
        From :attr:`bayes_intgen.Posterior.graph`.
    minimum : float

    Examples
    --------
    >>> edges_from(posterior.graph, 0.1)[0].parent
    'red'
    """
    values = np.where(graph["source"] == "prior", -1.0, graph)
    names = graph["action"].to_numpy().tolist()
    edges = [
        Edge(names[j], names[k], float(values[k, j]))
        for k, j in zip(*np.nonzero(values >= minimum), strict=True)
    ]
    return sorted(edges, key=lambda edge: -edge.probability)


def is_learned(graph: xr.DataArray) -> bool:
    """Whether any edge was to be learned instead of given.

    Examples
    --------
    >>> is_learned(posterior.graph)
    True
    """
    return bool((graph["source"] != "given").any())


def shows_edges(graph: xr.DataArray) -> bool:
    """Whether rows are evidence of any edge or of its absence.

    Examples
    --------
    >>> shows_edges(posterior.graph)
    True
    """
    return bool((graph["source"] == "rows").any())


def pairs_without_evidence(graph: xr.DataArray) -> list[tuple[str, str]]:
    """Pairs of actions of which no rows show whether one moves the other.

    Examples
    --------
    >>> pairs_without_evidence(posterior.graph)
    []
    """
    prior = graph["source"].to_numpy() == "prior"
    names = graph["action"].to_numpy().tolist()
    return [
        (names[j], names[k]) for j, k in zip(*np.nonzero(np.triu(prior | prior.T)), strict=True)
    ]


def edges_in_words(graph: xr.DataArray) -> str:
    """Likely edges with their probabilities, pairs without evidence, and the largest of the rest.

    Examples
    --------
    >>> edges_in_words(posterior.graph)
    'red → green >0.99; every other edge at most <0.01'
    """
    edges, unknown = edges_from(graph, LIKELY), missing_evidence_in_words(graph)
    has_evidence = (graph["source"].to_numpy() != "prior") & ~np.eye(len(graph), dtype=bool)
    values = graph.to_numpy()[has_evidence]
    rest = values[values < LIKELY]
    shown = [f"{edge.parent} → {edge.action} {edge.in_words}" for edge in edges]
    shown += [unknown] if unknown else []
    if rest.size:
        other, most = "other " * bool(shown), format_edge_probability(float(rest.max()))
        shown.append(f"every {other}edge at most {most}" if rest.any() else f"no {other}edge")
    return "; ".join(shown) or "one action, no edge"


def missing_evidence_in_words(graph: xr.DataArray) -> str:
    """Name pairs of which no rows show whether one moves the other; empty if there are none."""
    pairs, count = pairs_without_evidence(graph), graph.sizes["action"]
    if not pairs:
        return ""
    if len(pairs) == count * (count - 1) // 2:
        return "these experiments do not show which action moves which"
    named = some_of([" and ".join(pair) for pair in pairs], MAX_NAMED, "{} more pairs")
    return f"these experiments do not show whether {', or '.join(named)} move each other"


def format_edge_probability(probability: float) -> str:
    """Format a probability; 0 and 1 are certain, since they were given.

    Examples
    --------
    >>> [format_edge_probability(p) for p in (0.0, 0.001, 0.314, 0.9999, 1.0)]
    ['0', '<0.01', '0.31', '>0.99', '1']
    """
    if probability in (0.0, 1.0):
        return f"{probability:.0f}"
    return format_probability(probability).replace(" ", "")
