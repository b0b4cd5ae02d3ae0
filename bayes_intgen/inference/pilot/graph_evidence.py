"""Evidence about the graph over the actions, from the actions alone.

Where action j was set, only the actions that it moves depend on it, since the hidden causes are
independent of each other. The rows in which j was set and k was not therefore show whether j is an
ancestor of k. It is a parent if k depends on j given the other ancestors of k (causal Markov
condition; Pearl 2009, section 1.4). Rows in which neither was set do not count: dependence has no
direction there.

Each pair is judged by itself: that the graph is acyclic is not imposed.

Let x be these functions and t functions of the action, all without the part that its other observed
causes explain. Without dependence the score S = sum_i x_i t_i is normal with mean zero and
covariance V = sum_i x_i x_i' t_i t_i'. With it the covariance is V + s^2 J J', with the information
J = sum_i x_i x_i' and a scale s of the coefficients that is integrated out. V allows for a spread
of the action that depends on x, and bounds the influence of single rows. If these have a time, it
grows as their products resemble those of the next rows. The t are a few smooth functions, which
show the mean and the spread of the action. For edges, the leading components of x and t are a
second alternative: a line, which few rows show.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from bayes_intgen._random import generator
from bayes_intgen._typing import Array
from bayes_intgen._work import in_threads
from bayes_intgen.basis.basis import Basis
from bayes_intgen.basis.combined import KarhunenLoeveBasis, TensorProductBasis
from bayes_intgen.data.rows import Observations
from bayes_intgen.identification.graph import edge_probabilities
from bayes_intgen.identification.regimes import masks_of
from bayes_intgen.inference.gaussian.conditional import TermEvidence
from bayes_intgen.inference.gaussian.factor import orthonormal_basis
from bayes_intgen.inference.pilot.residuals import independent_share
from bayes_intgen.models import Model
from bayes_intgen.models.mechanisms.mechanism import Column, LogNormal, Mechanism
from bayes_intgen.models.mechanisms.parametric import Levels
from bayes_intgen.models.mechanisms.smooth import GP
from bayes_intgen.models.terms import Decomposition

# Total order of products of functions of two actions or parents.
PRODUCT_ORDER = 3
# Maximum number of rows in which an action was set, which show any dependence that matters.
MAX_ROWS = 20_000
# Smallest probability of an edge, and of its absence.
CERTAIN = 1e-12
# Number of functions of a smooth action or ordered levels, and of unordered levels.
N_FEATURES, N_LEVEL_FEATURES = 2, 4
# Functions of an action as a regressor, and rows per regressor beyond those for other causes.
N_REGRESSORS, ROWS_PER_REGRESSOR = 6, 10
# Maximum number of rows that determine the functions of an action.
BASIS_ROWS = 5_000
# Scale of the coefficients, in standard deviations of the response.
SCALE = LogNormal(median=0.5, sigma=1.0)
# Singular values, relative to columns of unit length, below which columns are combinations of
# others: of regressors, and of responses beside the regressors.
MIN_REGRESSOR, MIN_RESPONSE = 1e-6, 1e-3
# Maximum number of distinct values of an action, as a share of the rows, in a table of cells.
MAX_VALUES_SHARE = 0.5


def with_parents(data: Observations, model: Model, terms: Decomposition) -> Decomposition:
    """Add the probabilities of edges to a decomposition, if its model has a graph.

    They are learned from rows in which an action was set, where the graph is unknown; coordinates,
    levels, and terms of covariates and groups are those of the decomposition.
    """
    edges = model.edges(terms.names)
    if edges is None:
        return terms
    unknown = np.isnan(edges)
    if unknown.any():
        learned = edge_probabilities(edges, _log_bayes_factors(data, terms))
        # Rows are never certain, unlike a graph that is given.
        edges = np.where(unknown, np.clip(learned, CERTAIN, 1 - CERTAIN), edges)
    return replace(terms, parents=edges)


def _log_bayes_factors(data: Observations, terms: Decomposition) -> Array:
    """Log Bayes factors of j as a parent of k, entries ``[k, j]``; zero where no rows decide."""
    count = len(data.names)
    numbers, causes = numbers_of_rows(data), range(count)
    bases = [functions_of_action(data.actions[:, [k]], numbers, terms, k) for k in causes]
    experiments = [*in_threads(lambda j: _Experiment(data, terms, bases, numbers, j), causes)]

    def alone(j: int) -> list[float]:
        return [experiments[j].log_bayes_factor(k, []) if k != j else 0.0 for k in causes]

    factors = np.array([*in_threads(alone, causes)]).T
    ancestor = factors > 0

    def given_others(j: int) -> Array:
        own = factors[:, j].copy()
        for k in causes:
            others = [i for i in np.flatnonzero(ancestor[k]).tolist() if i != j]
            # Where others lie between, their paths may explain the dependence, or hide an edge.
            # Rows that are too few to tell show no edge, but may speak against dependence.
            if k != j and ancestor[others, j].any():
                own[k] = experiments[j].log_bayes_factor(k, others) or min(own[k], 0.0)
        return own

    return np.array([*in_threads(given_others, causes)]).T


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
        rows = some_rows(rows, MAX_ROWS)
        self.j, self.intervened = j, data.intervened[rows]
        self.observed_causes = terms.observed_causes(data.inputs[rows])
        self.unit = None if data.fine_group is None else data.fine_group[rows]
        self.numbers, self.data, self.rows = numbers[rows], data, rows
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
        series = None if self.data.time is None else self.data.take(self.rows[rows])
        numbers = self.numbers[rows]
        return log_bayes_factor(regressors, features, span, numbers, unit, series, with_line=True)

    def _span_of_causes(self, rows: NDArray[np.intp], others: list[int]) -> Array:
        """Span of functions of observed causes and other actions, and indicators of the regimes.

        Products of two other actions only where rows are enough for them: many actions have many.
        It is computed once if it is needed for several pairs.
        """
        key = (rows.tobytes(), tuple(others))
        if key in self.spans:
            return self.spans[key]
        masks, regime = masks_of(self.intervened[rows])
        functions = {i: self.functions[i][rows] for i in others}
        alone = [np.eye(len(masks))[regime], self.observed_causes[rows], *functions.values()]
        products = []
        for pair in combinations(others, 2):
            product = TensorProductBasis(tuple(self.bases[i] for i in pair), PRODUCT_ORDER)
            products.append(product.multiplied([functions[i].T for i in pair]).T)
        columns = np.column_stack([*alone, *products])
        enough = self.numbers[rows].sum() >= 2 * ROWS_PER_REGRESSOR * columns.shape[1]
        causes = columns if enough else np.column_stack(alone)
        self.spans[key] = span_of(causes, self.numbers[rows])
        return self.spans[key]


def some_rows(rows: NDArray[np.intp], count: int) -> NDArray[np.intp]:
    """Random ``count`` of some rows, the same in every call and in order; all if there are fewer.

    Every so many rows might be the same region in each.
    """
    if len(rows) <= count:
        return rows
    return np.sort(generator(0, "sample").choice(rows, count, replace=False))


def feature_basis(mechanism: Mechanism, basis: Basis, actions: Array) -> Basis:
    """Leading functions of a marginal basis, which show the mean and the spread of an action.

    Parameters
    ----------
    mechanism : Mechanism
        The mechanism of the action.
    basis : Basis
        Its marginal basis.
    actions : ndarray, shape (n, 1)
        Values over which the leading functions vary most.
    """
    unordered = isinstance(mechanism, Levels) and not mechanism.ordered
    count = N_LEVEL_FEATURES if unordered else N_FEATURES
    if isinstance(basis, KarhunenLoeveBasis):
        return basis.leading(count)
    return KarhunenLoeveBasis.of(actions, basis, np.ones(basis.size), count)


def functions_of_action(
    actions: Array, numbers: Array, terms: Decomposition, k: int
) -> tuple[Basis, Basis]:
    """Functions of an action as a regressor and as a response, whatever its prior in the model.

    Parameters
    ----------
    actions : ndarray, shape (n, 1)
    numbers : ndarray, shape (n,)
        Number of equal rows that each row stands for.
    terms : Decomposition
        Its coordinates and levels are used.
    k : int
        Position of the action.
    """
    each = np.ceil(numbers * min(1.0, BASIS_ROWS / numbers.sum())).astype(int)
    rows = actions[some_rows(np.arange(len(actions)).repeat(each), BASIS_ROWS)]
    levels = terms.categories[k]
    mechanism = GP() if levels is None else Levels(levels.ordered)
    if levels is not None:
        rows = np.concatenate([rows, np.unique(actions)[:, None]])
    basis = mechanism.marginal_basis(Column(rows, terms.coordinates[k], len(rows)), N_REGRESSORS)
    return basis, feature_basis(mechanism, basis, rows)


def span_of(causes: Array, numbers: Array) -> Array:
    """Orthonormal basis of functions of observed causes, shape (n, M) or fewer columns.

    Parameters
    ----------
    causes : ndarray, shape (n, M)
    numbers : ndarray, shape (n,)
        Number of equal rows that each row stands for.
    """
    return orthonormal_basis(causes * np.sqrt(numbers)[:, None], MIN_REGRESSOR)


def log_bayes_factor(
    regressors: Array,
    features: Array,
    span: Array,
    numbers: Array,
    unit: NDArray[np.int_] | None,
    series: Observations | None = None,
    *,
    with_line: bool = False,
) -> float:
    """Log Bayes factor of the dependence of an action on regressors; zero with too few rows.

    Rows that are too few for all regressors may show a line, unless they follow each other.

    Parameters
    ----------
    regressors : ndarray, shape (n, M)
    features : ndarray, shape (n, q)
        Functions of the action.
    span : ndarray, shape (n, number of functions)
        Result of :func:`span_of` for the other causes of the action, with a constant among them.
    numbers : ndarray, shape (n,)
        Number of equal rows that each row stands for.
    unit : ndarray of int, shape (n,), optional
        Unit of each row; rows of a unit may be dependent.
    series : Observations, optional
        These rows if they follow each other, and are no units.
    with_line : bool
        Whether a line is an alternative, with the same weight, where rows are enough, too.
    """
    free = numbers.sum() - span.shape[1]
    is_enough = free >= ROWS_PER_REGRESSOR * regressors.shape[1]
    # Few independent rows in time would often show a line.
    if free < ROWS_PER_REGRESSOR or not (is_enough or series is None):
        return 0.0
    root = np.sqrt(numbers)[:, None]
    features = (features - np.average(features, axis=0, weights=numbers)) * root
    remainder = features - span @ (span.T @ features)
    left = (remainder**2).sum(axis=0) > MIN_RESPONSE**2 * (features**2).sum(axis=0)
    if not left.any():
        return 0.0
    regressors = regressors * root
    every = regressors - span @ (span.T @ regressors), remainder[:, left]
    # All functions dilute what few rows show, and a line misses much of a curve.
    kinds = [every] if is_enough else []
    if series is None and (with_line or not is_enough):
        kinds.append((_leading(every[0]), _leading(every[1])))
    evidence = [
        _evidence(x, orthonormal_basis(t, MIN_RESPONSE) * np.sqrt(free), numbers, unit, series)
        for x, t in kinds
    ]
    return float(np.logaddexp.reduce(evidence) - np.log(len(kinds)))


def _leading(functions: Array) -> Array:
    """Leading principal component of functions over rows, shape (n, 1)."""
    return np.asarray(functions @ np.linalg.eigh(functions.T @ functions)[1][:, -1:])


def _evidence(
    regressors: Array,
    response: Array,
    numbers: Array,
    unit: NDArray[np.int_] | None,
    series: Observations | None,
) -> float:
    """Log Bayes factor of the dependence of residuals, as in :func:`log_bayes_factor`.

    ``regressors`` and ``response`` lack the span of other causes. The columns of ``response`` are
    orthogonal, and their squared lengths the degrees of freedom.
    """
    total, free = numbers.sum(), float(response[:, 0] @ response[:, 0])
    score = (regressors.T @ response).ravel()
    # Rows come last: products of long rows are faster than those of many short ones.
    each = np.ascontiguousarray(regressors.T)[:, None] * np.ascontiguousarray(response.T)
    each = each.reshape(len(score), -1)
    if unit is not None:
        each = sums_by_unit(each.T, unit)[1].T
    else:
        # The sum of squares over equal rows, and of products of those that are dependent.
        share = 1.0 if series is None else independent_share(series, each.T - each.mean(axis=1))
        each /= np.sqrt(numbers * share)
    # Squared residuals are smaller than noise (HC1: MacKinnon and White 1985).
    values, vectors = np.linalg.eigh(each @ each.T * (total / free))
    present = values > MIN_REGRESSOR**2 * values[-1]
    whitening = vectors[:, present] / np.sqrt(values[present])
    information = np.kron(regressors.T @ regressors, np.eye(response.shape[1]))
    # Given coefficients b, the whitened score is normal with mean `root @ b` and unit covariance.
    root = whitening.T @ information
    information = root.T @ (whitening.T @ score)
    return TermEvidence.of_likelihood(root.T @ root, information, SCALE).log_bayes_factor


def sums_by_unit(columns: Array, unit: NDArray[np.int_]) -> tuple[NDArray[np.int_], Array]:
    """Distinct units, and the sums of columns over the rows of each.

    Examples
    --------
    >>> sums_by_unit(np.array([[1.0], [2.0], [4.0]]), np.array([7, 3, 7]))
    (array([3, 7]), array([[2.],
           [5.]]))
    """
    units, index = np.unique(unit, return_inverse=True)
    sums = np.zeros((len(units), columns.shape[1]))
    np.add.at(sums, index, columns)
    return units, sums


def numbers_of_rows(data: Observations) -> Array:
    """Number of independent rows with equal values that each row stands for, shape (N,).

    It is the number of units in a table of cells, and otherwise one, since units of a row may have
    been set or moved together, as customers of a region are. A table of cells has the outcome's
    standard deviations within rows, has each combination of values once, and repeats the values of
    single actions.
    """
    once = np.ones(len(data))
    if data.weights is None or data.within is None:
        return once
    combinations = np.unique(np.column_stack([data.intervened, data.inputs]), axis=0)
    most = max(len(np.unique(values)) for values in data.actions.T)
    if len(combinations) < len(data) or most > MAX_VALUES_SHARE * len(data):
        return once
    return data.weights
