"""Sums over many rows from bins, whose time hardly depends on the number of functions.

Most columns of a design matrix are functions of one coordinate of a row (an action, a covariate or
a control variable) times a gate. A row is split linearly between the two nodes of a grid around its
coordinate, so that the column is H b, with a matrix H of two nonzeros per row and the values b of
the function at the nodes. The products of all functions of two coordinates then need one table H'WH
between their nodes, with four entries per row (Wood, Li, Shaddick and Augustin, JASA 2017; Li and
Wood, Statistics and Computing 2019). Products of piecewise linear functions of two coordinates are
split between four nodes, without any error. Other columns are evaluated at every row, the same
functions once. Rows are summed by regime, in which gates are constant.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement, product
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solveh_banded
from scipy.sparse import csr_array

from bayes_intgen._typing import Array
from bayes_intgen._work import in_threads
from bayes_intgen.basis.basis import Basis, PiecewiseLinear
from bayes_intgen.basis.combined import TensorProductBasis
from bayes_intgen.basis.control import CONTROL, ControlBasis, ControlVariable
from bayes_intgen.basis.coordinate import Coordinate, interval_and_share
from bayes_intgen.basis.evaluation import Evaluation
from bayes_intgen.data.rows import Observations, Rows
from bayes_intgen.identification.regimes import Mask
from bayes_intgen.inference.gaussian.factor import GaussianFactor
from bayes_intgen.inference.gaussian.sufficient_statistics import Precision, SufficientStatistics
from bayes_intgen.models.terms import Decomposition, Term

# Number of nodes at equal distances in the coordinate of an action. Given the hyperparameters,
# means of a fit to 300,000 rows are within 0.005 posterior standard deviations of those of exact
# sums (0.013 and 0.019 with 128 and 64 nodes), and standard deviations within 0.02%.
NODES = 256
# Maximum number of rows by which the values at the nodes are determined: of 100,000, errors are the
# same.
GRID_ROWS = 20_000
# Standard deviation of the error of a function between its nodes, in its own, beyond which it is
# evaluated at every row.
MAX_ERROR = 0.02
# Minimum number of products of piecewise linear functions that are split between nodes: fewer take
# less time as columns.
MIN_PRODUCTS = 25
# Share of their range by which nodes exceed it on either side: a control variable may.
MARGIN = 0.1
# Minimum distance of nodes, as a share of their range.
MIN_STEP = 1e-9
# Number of rows whose entries of a table are added at once: more do not fit in a processor's cache.
ROWS_AT_ONCE = 4096

# Nodes between which rows are split, and shares of the nodes, shape (2 or 4, n) each.
Hats = tuple[NDArray[np.int_], Array]


class Axis(NamedTuple):
    """Coordinate of rows: an input, or a control variable of several."""

    inputs: tuple[int, ...]
    control: ControlVariable | None = None

    def of(self, inputs: Array, evaluation: Evaluation) -> Array:
        """Coordinates of rows, shape (n,), from all their inputs."""
        if self.control is None:
            return np.asarray(inputs[:, self.inputs[0]])
        return np.asarray(evaluation(self.control, self.inputs)[0])


@dataclass(frozen=True, eq=False)
class _Function:
    """Functions of a term, their arguments, and their columns in the design matrix."""

    term: Term
    basis: Basis
    axes: tuple[Axis, ...]
    columns: NDArray[np.int_]

    @classmethod
    def of(cls, term: Term, columns: NDArray[np.int_]) -> Self:
        basis, inputs = term.component.basis, term.inputs
        if not isinstance(basis, ControlBasis):
            return cls(term, basis, tuple(Axis((i,)) for i in inputs), columns)
        control = Axis(inputs, basis.control)
        at = (control if i == CONTROL else Axis((inputs[i],)) for i in basis.arguments)
        return cls(term, basis.basis, tuple(at), columns)

    @property
    def knots(self) -> dict[Axis, tuple[float, ...]]:
        """Knots of each factor of many products of piecewise linear functions, otherwise none."""
        basis = self.basis
        if not isinstance(basis, TensorProductBasis) or basis.size < MIN_PRODUCTS:
            return {}
        factors = zip(self.axes, basis.factors, strict=True)
        knots = {axis: f.knots for axis, f in factors if isinstance(f, PiecewiseLinear)}
        # The same for both orders of two actions.
        ordered = sorted(knots, key=lambda axis: axis.inputs)
        return {axis: knots[axis] for axis in ordered} if len(knots) == len(self.axes) else {}

    @property
    def labels(self) -> list[object]:
        """Labels of its functions, by which the same functions of several terms are found."""
        if not isinstance(self.basis, TensorProductBasis):
            return [(self.basis, self.axes, i) for i in range(self.basis.size)]
        factors = list(zip(self.basis.factors, self.axes, strict=True))
        return [
            frozenset((*factor, i) for factor, i in zip(factors, indices, strict=True))
            for indices in self.basis.indices.T.tolist()
        ]


# Values of functions at nodes, shape (number of nodes, size) each.
_Values = Mapping[_Function, Array]


@dataclass(frozen=True, eq=False)
class Nodes:
    """Columns that are functions of the same coordinates times gates, by their values at nodes.

    Attributes
    ----------
    points : dict from Axis to ndarray
        Rising nodes along each of one or two axes.
    columns : ndarray of int, shape (c,)
        Columns of the design matrix.
    values : ndarray, shape (number of nodes, d)
        Of the different functions.
    at : ndarray of int, shape (c,)
        Which of them each column is, times its gate.
    gates : ndarray, shape (categories, c)
    category : ndarray of int, shape (number of regimes,)
        Which regimes have the same gates.
    """

    points: dict[Axis, Array]
    columns: NDArray[np.int_]
    values: Array
    at: NDArray[np.int_]
    gates: Array
    category: NDArray[np.int_]

    @classmethod
    def of(
        cls,
        points: dict[Axis, Array],
        functions: _Values,
        masks: Sequence[Mask],
    ) -> Self:
        """Join functions with their values at the nodes, for the masks of all regimes."""
        gates = [f.term.gate(np.array(masks)) for f in functions]
        sizes = [len(f.columns) for f in functions]
        categories, category = np.unique(np.array(gates).T, axis=0, return_inverse=True)
        columns, (distinct, at) = np.concatenate([f.columns for f in functions]), _places(functions)
        values = np.hstack([functions[f] for f in distinct])
        return cls(points, columns, values, at, categories.repeat(sizes, axis=1), category)

    @property
    def size(self) -> int:
        """Number of nodes."""
        return len(self.values)

    def hats(self, coordinates: Mapping[Axis, Array]) -> Hats:
        """Split rows between nodes."""
        at, shares = np.zeros((1, 1), dtype=int), np.ones((1, 1))
        for axis, points in self.points.items():
            ends, own = split(coordinates[axis], points)
            at = (at[:, None] * len(points) + ends).reshape(-1, ends.shape[1])
            shares = (shares[:, None] * own).reshape(at.shape)
        return at, shares


def split(values: Array, points: Array) -> Hats:
    """Split values linearly between rising points.

    Examples
    --------
    >>> split(np.array([0.25, 3.0]), np.array([0.0, 1.0, 2.0]))
    (array([[0, 1],
           [1, 2]]), array([[0.75, 0.  ],
           [0.25, 1.  ]]))
    """
    left, share = interval_and_share(values, points)
    return np.stack([left, left + 1]), np.stack([1 - share, share])


class _ExactColumns(NamedTuple):
    """Columns of the design matrix that are evaluated at every row of a regime.

    Attributes
    ----------
    terms : Decomposition
        Terms with different functions.
    columns : ndarray of int, shape (c,)
    gates : ndarray, shape (c,)
    at : ndarray of int, shape (c,)
        Which of the functions each column is, times its gate.
    """

    terms: Decomposition
    columns: NDArray[np.int_]
    gates: Array
    at: NDArray[np.int_]

    @classmethod
    def of(cls, terms: Decomposition, functions: Sequence[_Function], mask: Mask) -> Self:
        gate_of = {f: float(f.term.gate(np.array([mask]))[0]) for f in functions}
        active = [f for f in functions if gate_of[f]]
        distinct, at = _places(active)
        columns = np.concatenate([np.zeros(0, dtype=int), *(f.columns for f in active)])
        gates = np.repeat([gate_of[f] for f in active], [len(f.columns) for f in active])
        return cls(replace(terms, terms=tuple(f.term for f in distinct)), columns, gates, at)


def _places(functions: Iterable[_Function]) -> tuple[list[_Function], NDArray[np.int_]]:
    """Those with all different functions, and which of these every column is."""
    places, distinct, at = dict[object, int](), list[_Function](), list[int]()
    for function in functions:
        labels = function.labels
        if any(label not in places for label in labels):
            start = sum(len(own.columns) for own in distinct)
            places |= {label: start + i for i, label in enumerate(labels)}
            distinct.append(function)
        at += [places[label] for label in labels]
    return distinct, np.array(at, dtype=int)


class Batch(NamedTuple):
    """Sums over rows of one regime, but for the products of nodes.

    Attributes
    ----------
    regime : int
    exact : SufficientStatistics
        Of the functions that are evaluated at every row.
    mixed : ndarray, shape (number of all nodes, number of these functions + 1)
        Products of nodes with these functions, and with the outcome.
    hats : list of tuples of ndarray
        Rows between nodes, for each of the grids.
    weights : ndarray, shape (n,)
    """

    regime: int
    exact: SufficientStatistics
    mixed: Array
    hats: list[Hats]
    weights: Array


# Weighted products of the nodes of two grids, by their positions, and by their categories.
Tables = defaultdict[tuple[int, int], dict[tuple[int, int], Array]]


class Bins:
    """Columns of a design matrix: by their values at nodes, or evaluated at every row.

    Parameters
    ----------
    data : Rows
        A sample of them determines the nodes.
    terms : Decomposition
    """

    def __init__(self, data: Rows, terms: Decomposition) -> None:
        sample, every, masks = data.sample(GRID_ROWS), np.arange(terms.size), list(data.regimes)
        others, nodes = list[_Function](), list[Nodes]()
        along: dict[Axis, list[_Function]] = {}
        between: dict[tuple[tuple[Axis, tuple[float, ...]], ...], list[_Function]] = {}
        for term in terms.terms:
            function = _Function.of(term, every[terms.columns[term.name]])
            # Levels of groups have no order.
            of_groups = any(i >= sample.smooth_columns.shape[1] for i in term.inputs)
            if len(function.axes) == 1 and not of_groups:
                along.setdefault(function.axes[0], []).append(function)
            elif (knots := function.knots) and not of_groups:
                between.setdefault(tuple(knots.items()), []).append(function)
            else:
                others.append(function)

        def split_functions(item: tuple[Axis, list[_Function]]) -> tuple[Array, _Values]:
            axis, functions = item
            rows = np.any([f.term.gate(sample.intervened) for f in functions], axis=0)
            some = sample.inputs[rows if rows.any() else ~rows]
            values = axis.of(some, Evaluation(some))
            points = _points(values, functions)
            return points, _at_nodes(values, points, functions)

        each = in_threads(split_functions, along.items())
        for (axis, functions), (points, near) in zip(along.items(), each, strict=True):
            others += [f for f in functions if f not in near]
            if near:
                nodes.append(Nodes.of({axis: points}, near, masks))
        for of_axes, functions in between.items():
            axes, points_of_axes = zip(*of_axes, strict=True)
            grid = np.array(list(product(*points_of_axes)))
            at = {f: f.basis.matrix(grid[:, [*map(axes.index, f.axes)]]) for f in functions}
            own = dict(zip(axes, map(np.array, points_of_axes), strict=True))
            nodes.append(Nodes.of(own, at, masks))
        self.terms, self.nodes = terms, nodes
        self._regimes = {mask: i for i, mask in enumerate(masks)}
        self._exact = [_ExactColumns.of(terms, others, mask) for mask in masks]

    def batch(self, rows: Observations, weights: Array, dtype: Precision = np.float64) -> Batch:
        """Sum over rows of one regime, with weights (n,), in double or single precision."""
        regime, inputs = self._regimes[tuple(rows.intervened[0].tolist())], rows.inputs
        evaluation, root = Evaluation(inputs, dtype=dtype), np.sqrt(weights)
        own = self._exact[regime].terms
        functions = own.matrix(inputs, rows.intervened, evaluation=evaluation)
        outcome = (rows.outcome - self.terms.centre) / self.terms.unit * root
        units = np.append(np.ones(functions.shape[1]), self.terms.unit)
        columns = np.empty((len(rows), functions.shape[1] + 1), dtype=dtype)
        np.multiply(functions, root.astype(dtype)[:, None], out=columns[:, :-1])
        columns[:, -1] = outcome
        coordinates = {
            axis: axis.of(inputs, evaluation) for own in self.nodes for axis in own.points
        }
        hats = [own.hats(coordinates) for own in self.nodes]
        shares = _matrix(hats, [own.size for own in self.nodes], root).astype(dtype)
        exact = SufficientStatistics.of_columns(columns, weights, float(outcome @ outcome))
        exact = exact._replace(factor=exact.factor.rescale(units))
        return Batch(regime, exact, np.asarray(shares.T @ columns) * units, hats, weights)

    def sums(self, batches: Iterable[Batch]) -> SufficientStatistics:
        """Combine the sums over batches, in order."""
        exact, mixed, tables = dict[int, SufficientStatistics](), dict[int, Array](), Tables(dict)
        for batch in batches:
            r = batch.regime
            if r in exact:
                exact[r] = exact[r].merge(batch.exact)
                mixed[r] += batch.mixed
            else:
                exact[r], mixed[r] = batch.exact, batch.mixed
            self._add(tables, batch)
        return self._assembled(exact, mixed, tables)

    def _add(self, tables: Tables, batch: Batch) -> None:
        """Add the products of nodes of a batch."""
        category = [int(own.category[batch.regime]) for own in self.nodes]
        active = [i for i, own in enumerate(self.nodes) if own.gates[category[i]].any()]
        own_tables = list[tuple[int, int, Array]]()
        for i, j in combinations_with_replacement(active, 2):
            nothing = np.zeros(self.nodes[i].size * self.nodes[j].size)
            table = tables[i, j].setdefault((category[i], category[j]), nothing)
            own_tables.append((i, j, table))
        for start in range(0, len(batch.weights), ROWS_AT_ONCE):
            some = slice(start, start + ROWS_AT_ONCE)
            at = [own[:, some] for own, _ in batch.hats]
            shares = [own[:, some] for _, own in batch.hats]
            weighted = [own * batch.weights[some] for own in shares]
            for i, j, table in own_tables:
                entries = at[i][:, None] * self.nodes[j].size + at[j]
                np.add.at(table, entries.ravel(), (weighted[i][:, None] * shares[j]).ravel())

    def _assembled(
        self,
        exact: Mapping[int, SufficientStatistics],
        mixed: Mapping[int, Array],
        tables: Tables,
    ) -> SufficientStatistics:
        """Sums of the columns of the design matrix."""
        size, nodes = self.terms.size, self.nodes
        out = np.zeros((size + 1, size + 1))
        starts = np.cumsum([0, *(own.size for own in nodes)])
        for r, sums in exact.items():
            _, columns, gates, at = self._exact[r]
            # The outcome comes last.
            columns, gates, at = np.append(columns, size), np.append(gates, 1.0), np.append(at, -1)
            matrix = np.asarray(sums.factor.matrix)[np.ix_(at, at)]
            out[np.ix_(columns, columns)] += gates[:, None] * matrix * gates
            for own, start in zip(nodes, starts, strict=False):
                gates_of_nodes = own.gates[own.category[r]]
                values = own.values.T @ mixed[r][start : start + own.size]
                values = gates_of_nodes[:, None] * values[np.ix_(own.at, at)] * gates
                out[np.ix_(own.columns, columns)] += values
                out[np.ix_(columns, own.columns)] += values.T

        def products(pair: tuple[int, int]) -> Array:
            first, second = (nodes[i] for i in pair)
            total = np.zeros((len(first.at), len(second.at)))
            for (one, other), table in tables[pair].items():
                of_nodes = table.reshape(first.size, second.size) @ second.values
                values = (first.values.T @ of_nodes)[np.ix_(first.at, second.at)]
                total += first.gates[one][:, None] * values * second.gates[other]
            return total

        for (i, j), values in zip(tables, in_threads(products, tables), strict=True):
            out[np.ix_(nodes[i].columns, nodes[j].columns)] += values
            if i != j:
                out[np.ix_(nodes[j].columns, nodes[i].columns)] += values.T
        rows = sum(sums.rows for sums in exact.values())
        log_scale = sum(float(sums.factor.log_scale) for sums in exact.values())
        return SufficientStatistics(rows, GaussianFactor(out, log_scale))


def _matrix(hats: Sequence[Hats], sizes: Sequence[int], weights: Array) -> csr_array:
    """Shares of the nodes of several grids times weights of rows, shape (n, number of nodes)."""
    starts = np.cumsum([0, *sizes])
    none = np.zeros((0, len(weights)))
    moved = [at + start for (at, _), start in zip(hats, starts, strict=False)]
    at = np.concatenate([none.astype(int), *moved])
    shares = np.concatenate([none, *(shares for _, shares in hats)]) * weights
    pointers = np.arange(len(weights) + 1) * len(at)
    shape = len(weights), int(starts[-1])
    return csr_array((shares.T.ravel(), at.T.ravel(), pointers), shape=shape)


def _points(values: Array, functions: Sequence[_Function]) -> Array:
    """Nodes of an axis: at equal distances in its coordinate, at a few values, and at all knots."""
    distinct, coordinate = np.unique(values), Coordinate.of(values)
    low, high = coordinate.ends
    beyond = MARGIN * (high - low)
    even = coordinate.inverse_transform(np.linspace(low - beyond, high + beyond, NODES))
    few = distinct if len(distinct) <= NODES else distinct[[0, -1]]
    knots = [f.basis.knots for f in functions if isinstance(f.basis, PiecewiseLinear)]
    points = np.unique(np.concatenate([even, few, *knots]))
    # Nodes that differ by rounding alone are one.
    apart = np.diff(points, prepend=-np.inf) > MIN_STEP * (points[-1] - points[0])
    return np.asarray(points[apart] if apart.sum() > 1 else points[0] + np.arange(2.0))


def _at_nodes(values: Array, points: Array, functions: Sequence[_Function]) -> _Values:
    """Values at the nodes of those functions of an axis that are nearly linear between them.

    Least squares: errors average zero over the rows near a node, so that answers are unbiased.
    """
    middles = (points[:-1] + points[1:]) / 2
    at = np.concatenate([values, points, middles])
    # Where rows are few or none, all parts of an interval count.
    weights = np.repeat([1.0, 1.0, 2.0], [len(values), len(points), len(middles)])
    hats = _matrix([split(at, points)], [len(points)], np.ones(len(at)))
    weighted, near = hats.multiply(weights[:, None]).T.tocsr(), dict[Basis, Array]()
    gram = weighted @ hats
    # Of neighbours.
    bands = np.stack([gram.diagonal(), np.append(gram.diagonal(1), 0)])
    for basis in dict.fromkeys(function.basis for function in functions):
        if isinstance(basis, PiecewiseLinear) and np.isin(basis.knots, points).all():
            near[basis] = basis.matrix(points[:, None])
            continue
        # In the order of sparse products, with few new arrays.
        exact = np.ascontiguousarray(basis.matrix(at[:, None]))
        own = solveh_banded(bands, weighted @ exact, lower=True)
        limit, error = MAX_ERROR**2 * exact[: len(values)].var(axis=0), hats @ own
        error -= exact
        if (error[: len(values)].var(axis=0) <= limit).all():
            near[basis] = own
    return {f: near[f.basis] for f in functions if f.basis in near}
