"""Evidence about the graph over the actions, from the actions alone.

Where action j was set, only the actions that it moves depend on it, since the hidden causes are
independent of each other. The rows in which j was set and k was not therefore show whether j is an
ancestor of k. It is a parent if k depends on j given the other ancestors of k (causal Markov
condition; Pearl 2009, section 1.4). Rows in which neither was set do not count: dependence has no
direction there.

Each pair is judged by itself: that the graph is acyclic is not imposed.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations, permutations

import numpy as np
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.basis.basis import Basis
from bayes_intgen.basis.tensor_product import TensorProductBasis
from bayes_intgen.data.rows import Observations
from bayes_intgen.identification.graph import edge_probabilities
from bayes_intgen.identification.masks import masks_of
from bayes_intgen.inference.pilot.cells import numbers_of_rows
from bayes_intgen.inference.pilot.dependence import (
    ROWS_PER_REGRESSOR,
    functions_of_action,
    log_bayes_factor,
    span_of,
)
from bayes_intgen.models import Model
from bayes_intgen.models.terms import Decomposition

# Total order of products of functions of two actions.
PRODUCT_ORDER = 3
# Maximum number of rows in which an action was set, which show any dependence that matters.
MAX_ROWS = 20_000
# Smallest probability of an edge, and of its absence.
CERTAIN = 1e-12


def parent_probabilities(data: Observations, terms: Decomposition, edges: Array) -> Array:
    """Probabilities that one action is a parent of another, from rows in which it was set.

    Parameters
    ----------
    data : Observations
    terms : Decomposition
        Its coordinates, levels, and terms of covariates and groups are used.
    edges : ndarray, shape (K, K)
        Entry ``[k, j]`` is 1 if j is known to be a parent of k, 0 if it is known not to be, and NaN
        if this is to be learned; from :func:`~bayes_intgen.identification.graph.known_edges`.

    Returns
    -------
    ndarray, shape (K, K)
    """
    unknown = np.isnan(edges)
    if not unknown.any():
        return edges
    # Rows are never certain, unlike a graph that is given.
    learned = edge_probabilities(edges, _log_bayes_factors(data, terms))
    learned = np.clip(learned, CERTAIN, 1 - CERTAIN)
    return np.where(unknown, learned, edges)


def with_parents(data: Observations, model: Model, terms: Decomposition) -> Decomposition:
    """Add the probabilities of edges to a decomposition, if its model has a graph."""
    edges = model.edges(terms.names)
    if edges is None:
        return terms
    return replace(terms, parents=parent_probabilities(data, terms, edges))


def _log_bayes_factors(data: Observations, terms: Decomposition) -> Array:
    """Log Bayes factors of j as a parent of k, entries ``[k, j]``; zero where no rows decide."""
    count = len(data.names)
    bases = [functions_of_action(data.actions[:, [k]], terms, k) for k in range(count)]
    numbers = numbers_of_rows(data)
    experiments = [_Experiment(data, terms, bases, numbers, j) for j in range(count)]
    factors = np.zeros((count, count))
    pairs = list(permutations(range(count), 2))
    for j, k in pairs:
        factors[k, j] = experiments[j].log_bayes_factor(k, [])
    ancestor = factors > 0
    for j, k in pairs:
        others = [i for i in np.flatnonzero(ancestor[k]).tolist() if i != j]
        if ancestor[k, j] and ancestor[others, j].any():
            factors[k, j] = min(factors[k, j], experiments[j].log_bayes_factor(k, others))
    return factors


class _Experiment:
    """Rows in which one action was set, with functions of all actions."""

    def __init__(
        self,
        data: Observations,
        terms: Decomposition,
        bases: Sequence[tuple[Basis, Basis]],
        numbers: Array,
        j: int,
    ) -> None:
        rows = np.flatnonzero(data.intervened[:, j])
        rows = rows[:: max(1, -(-len(rows) // MAX_ROWS))]
        self.j, self.intervened = j, data.intervened[rows]
        self.observed_causes = terms.observed_causes(data.inputs[rows])
        self.unit = None if data.unit is None else data.unit[rows]
        self.numbers = numbers[rows]
        self.bases = [basis for basis, _ in bases]
        self.spans: dict[tuple[bytes, tuple[int, ...]], Array] = {}
        own = [data.actions[np.ix_(rows, [k])] for k in range(len(bases))]
        self.functions = [basis.matrix(a) for (basis, _), a in zip(bases, own, strict=True)]
        self.features = [basis.matrix(a) for (_, basis), a in zip(bases, own, strict=True)]

    def log_bayes_factor(self, k: int, others: list[int]) -> float:
        """Log Bayes factor of dependence of action k on the action that was set, given others."""
        rows = np.flatnonzero(~self.intervened[:, k])
        if not len(rows):
            return 0.0
        span = self._span_of_causes(rows, others)
        unit = None if self.unit is None else self.unit[rows]
        regressors, features = self.functions[self.j][rows], self.features[k][rows]
        return log_bayes_factor(regressors, features, span, self.numbers[rows], unit)

    def _span_of_causes(self, rows: NDArray[np.intp], others: list[int]) -> Array:
        """Orthonormal basis of :meth:`_causes`, computed once if it is needed for several pairs."""
        key = (rows.tobytes(), tuple(others))
        if key not in self.spans:
            self.spans[key] = span_of(self._causes(rows, others), self.numbers[rows])
        return self.spans[key]

    def _causes(self, rows: NDArray[np.intp], others: list[int]) -> Array:
        """Functions of observed causes and of other actions, and indicators of the regimes.

        Products of two other actions only where rows are enough for them: many actions have many.
        """
        masks, regime = masks_of(self.intervened[rows])
        functions = {i: self.functions[i][rows] for i in others}
        alone = [np.eye(len(masks))[regime], self.observed_causes[rows], *functions.values()]
        products = []
        for pair in combinations(others, 2):
            product = TensorProductBasis(tuple(self.bases[i] for i in pair), PRODUCT_ORDER)
            products.append(product.multiplied([functions[i].T for i in pair]).T)
        columns = np.column_stack([*alone, *products])
        enough = self.numbers[rows].sum() >= 2 * ROWS_PER_REGRESSOR * columns.shape[1]
        return columns if enough else np.column_stack(alone)
