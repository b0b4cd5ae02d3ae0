"""Random acyclic graphs of actions, with coefficients on their edges."""

from collections.abc import Mapping, Sequence

import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.errors import ModelError


def random_graph(
    count: int,
    probability: float,
    rng: np.random.Generator,
    names: Sequence[str] | None = None,
) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]]]:
    """Draw each edge A_j -> A_k, j < k, with this probability; names default to a1, a2, ..."""
    if count < 1:
        raise ModelError(f"a model needs at least one action, not {count}")
    labels = tuple(names or (f"a{k + 1}" for k in range(count)))
    edges = np.tril(rng.random((count, count)) < probability, -1)
    parents = {labels[k]: tuple(labels[j] for j in np.flatnonzero(edges[k])) for k in range(count)}
    return labels, parents


def random_weights(
    names: Sequence[str],
    graph: Mapping[str, tuple[str, ...]],
    low: float,
    high: float,
    rng: np.random.Generator,
) -> Array:
    """Draw b_kj uniformly on (low, high) where A_j is a parent of A_k, else zero; shape (K, K)."""
    between = np.zeros((len(names), len(names)))
    for k, name in enumerate(names):
        for parent in graph[name]:
            between[k, names.index(parent)] = rng.uniform(low, high)
    return between
