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

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement, product
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from bayes_intgen._typing import Array
from bayes_intgen.basis.basis import Basis, PiecewiseLinear
from bayes_intgen.basis.combined import TensorProductBasis
from bayes_intgen.basis.control import CONTROL, ControlBasis, ControlVariable
from bayes_intgen.basis.coordinate import Coordinate
from bayes_intgen.basis.evaluation import Evaluation
from bayes_intgen.data.rows import Observations, Rows
from bayes_intgen.identification.regimes import Mask
from bayes_intgen.inference.gaussian.factor import GaussianFactor
from bayes_intgen.inference.gaussian.sufficient_statistics import SufficientStatistics
from bayes_intgen.models.terms import Decomposition, Term

# Number of nodes of a grid at equal distances in the coordinate of an action.
NODES = 256
# Maximum number of rows by which the values at the nodes are determined.
GRID_ROWS = 20_000
# Root mean square error of a function between its nodes, in its standard deviations, beyond which
# it is evaluated at every row.
MAX_ERROR = 0.02
# Minimum number of products of piecewise linear functions, below which columns take less time than
# nodes.
MIN_PRODUCTS = 25
# Minimum distance of nodes, as a share of their range.
MIN_STEP = 1e-9
# Number of rows whose entries of a table are added at once: more do not fit in a processor's cache.
ROWS_AT_ONCE = 4096


class Axis(NamedTuple):
    """Coordinate of rows: an input, or a control variable of several.

    Attributes
    ----------
    inputs : tuple of int
    control : ControlVariable, optional
    """

    inputs: tuple[int, ...]
    control: ControlVariable | None = None

    def of(self, inputs: Array, evaluation: Evaluation) -> Array:
        """Coordinates of rows, shape (n,), from all their inputs."""
        if self.control is None:
            return inputs[:, self.inputs[0]]
        return evaluation(self.control, self.inputs)[0]


class _Function(NamedTuple):
    """Term with its basis, the arguments of this, and its columns in the design matrix."""

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
    def labels(self) -> list[object]:
        """Labels of its functions, by which the same functions of several terms are found."""
        if not isinstance(self.basis, TensorProductBasis):
            return [(self.basis, self.axes, i) for i in range(self.basis.size)]
        factors = list(zip(self.basis.factors, self.axes, strict=True))
        return [
            frozenset((*factor, i) for factor, i in zip(factors, indices, strict=True))
            for indices in self.basis.indices.T.tolist()
        ]


class _Knots(NamedTuple):
    """Axes of functions, and the knots of each factor of a product; none for functions of one."""

    axes: tuple[Axis, ...]
    knots: tuple[tuple[float, ...], ...]

    @classmethod
    def of(cls, function: _Function, inputs: int) -> Self | None:
        """Whose functions may share nodes; None for those that are evaluated at every row."""
        basis, axes = function.basis, function.axes
        if any(i >= inputs for i in function.term.inputs):
            # Levels of groups have no order.
            return None
        if len(axes) == 1:
            return cls(axes, ())
        if not isinstance(basis, TensorProductBasis) or basis.size < MIN_PRODUCTS:
            return None
        knots = tuple(f.knots for f in basis.factors if isinstance(f, PiecewiseLinear))
        return cls(axes, knots) if len(knots) == len(axes) else None


@dataclass(frozen=True, eq=False)
class Nodes:
    """Terms that are functions of the same coordinates, by their values at nodes.

    Attributes
    ----------
    axes : tuple of Axis, one or two
    points : tuple of ndarray
        Rising nodes along each axis.
    columns : ndarray of int, shape (c,)
        Columns of the terms in the design matrix.
    values : ndarray, shape (number of nodes, c)
    gates : ndarray, shape (categories, c)
    category : list of int
        Category of each regime: which regimes have the same gates.
    """

    axes: tuple[Axis, ...]
    points: tuple[Array, ...]
    columns: NDArray[np.int_]
    values: Array
    gates: Array
    category: list[int]

    @classmethod
    def of(
        cls, knots: _Knots, functions: Sequence[_Function], rows: Array, masks: Sequence[Mask]
    ) -> tuple[list[Self], list[_Function]]:
        """Nodes of functions by a sample of rows, if there are any; those that need all rows."""
        values: list[Array | None]
        if knots.knots:
            points = tuple(np.array(own) for own in knots.knots)
            at = np.array(list(product(*knots.knots)))
            values = [f.basis.matrix(at) for f in functions]
        else:
            along = knots.axes[0].of(rows, Evaluation(rows))
            points = (_points(along, functions),)
            values = _at_nodes(along, points[0], functions)
        both = list(zip(functions, values, strict=True))
        near = [f for f, own in both if own is not None]
        rest = [f for f, own in both if own is None]
        if not near:
            return [], rest
        sizes = [len(f.columns) for f in near]
        gates = np.repeat([f.term.gate(np.array(masks)) for f in near], sizes, axis=0).T
        distinct, category = np.unique(gates, axis=0, return_inverse=True)
        columns = np.concatenate([f.columns for f in near])
        at_nodes = np.hstack([own for own in values if own is not None])
        return [cls(knots.axes, points, columns, at_nodes, distinct, category.tolist())], rest

    @property
    def size(self) -> int:
        """Number of nodes."""
        return len(self.values)

    def gates_in(self, regime: int) -> Array:
        """Gates of the columns in a regime, shape (c,)."""
        return self.gates[self.category[regime]]

    def hats(self, coordinates: Mapping[Axis, Array]) -> tuple[NDArray[np.int_], Array]:
        """Nodes between which rows are split, and their shares, shape (2 or 4, n) each."""
        at, shares = np.zeros((1, 1), dtype=int), np.ones((1, 1))
        for axis, points in zip(self.axes, self.points, strict=True):
            left, share = split(coordinates[axis], points)
            at = ((at * len(points) + left)[:, None] + np.array([[0], [1]])).reshape(-1, len(left))
            own = np.stack([1 - share, share])
            shares = (shares[:, None] * own).reshape(-1, len(left))
        return at, shares


def split(values: Array, points: Array) -> tuple[NDArray[np.int_], Array]:
    """Split values linearly between points: the one on the left, and the share of the other.

    Examples
    --------
    >>> split(np.array([0.25, 3.0]), np.array([0.0, 1.0, 2.0]))
    (array([0, 1]), array([0.25, 1.  ]))
    """
    left = np.clip(np.searchsorted(points, values, "right") - 1, 0, len(points) - 2)
    return left, np.clip((values - points[left]) / np.diff(points)[left], 0, 1)


class _Exact(NamedTuple):
    """Functions that are evaluated at every row of a regime.

    Attributes
    ----------
    terms : Decomposition
        Terms with different functions.
    columns : ndarray of int, shape (c,)
        Columns of the design matrix that are such functions times a gate.
    gates : ndarray, shape (c,)
    at : ndarray of int, shape (c,)
        Which of the functions.
    """

    terms: Decomposition
    columns: NDArray[np.int_]
    gates: Array
    at: NDArray[np.int_]

    @classmethod
    def of(cls, terms: Decomposition, functions: Sequence[_Function], mask: Mask) -> Self:
        places, distinct = dict[object, int](), list[Term]()
        columns, gates, at = list[int](), list[float](), list[int]()
        for function in functions:
            gate = float(function.term.gate(np.array([mask]))[0])
            if not gate:
                continue
            labels = function.labels
            if any(label not in places for label in labels):
                start = sum(term.component.basis.size for term in distinct)
                places |= {label: start + i for i, label in enumerate(labels)}
                distinct.append(function.term)
            columns += function.columns.tolist()
            gates += [gate] * len(labels)
            at += [places[label] for label in labels]
        own = replace(terms, terms=tuple(distinct))
        return cls(own, np.array(columns, dtype=int), np.array(gates), np.array(at, dtype=int))


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
        Nodes of rows, their shares, and these times weights, for each of the grids.
    """

    regime: int
    exact: SufficientStatistics
    mixed: Array
    hats: list[tuple[NDArray[np.int_], Array, Array]]


class _Pair(NamedTuple):
    """Positions of two sets of nodes, and their categories."""

    first: int
    second: int
    first_category: int
    second_category: int


class Bins:
    """Columns of a design matrix: by their values at nodes, or evaluated at every row.

    Parameters
    ----------
    data : Rows
        A sample of them determines the nodes.
    terms : Decomposition
    """

    def __init__(self, data: Rows, terms: Decomposition) -> None:
        sample, every = data.sample(GRID_ROWS), np.arange(terms.size)
        masks = list(data.regimes)
        sharing: dict[_Knots | None, list[_Function]] = {None: []}
        for term in terms.terms:
            function = _Function.of(term, every[terms.columns[term.name]])
            knots = _Knots.of(function, sample.smooth_columns.shape[1])
            sharing.setdefault(knots, []).append(function)
        others, nodes = sharing.pop(None), list[Nodes]()
        for knots, functions in sharing.items():
            assert knots is not None
            gates = [f.term.gate(sample.intervened) for f in functions]
            own, rest = Nodes.of(knots, functions, sample.inputs[np.any(gates, axis=0)], masks)
            nodes += own
            others += rest
        self.terms, self.nodes = terms, nodes
        self._regimes = {mask: i for i, mask in enumerate(masks)}
        self._exact = [_Exact.of(terms, others, mask) for mask in masks]

    def batch(self, rows: Observations, weights: Array) -> Batch:
        """Sum over rows of one regime, with weights (n,)."""
        regime = self._regimes[tuple(rows.intervened[0].tolist())]
        inputs = rows.inputs
        evaluation = Evaluation(inputs)
        functions = self._exact[regime].terms.functions(inputs, evaluation=evaluation)
        root = np.sqrt(weights)
        columns = np.empty((len(rows), functions.shape[1] + 1))
        np.multiply(functions, root[:, None], out=columns[:, :-1])
        np.multiply(rows.outcome - self.terms.centre, root, out=columns[:, -1])
        coordinates = {axis: axis.of(inputs, evaluation) for own in self.nodes for axis in own.axes}
        hats = [own.hats(coordinates) for own in self.nodes]
        mixed = _matrix(hats, [own.size for own in self.nodes], root).T @ columns
        weighted = [(at, shares, shares * weights) for at, shares in hats]
        return Batch(regime, SufficientStatistics.of_columns(columns, weights), mixed, weighted)

    def sums(self, batches: Iterable[Batch]) -> SufficientStatistics:
        """Combine the sums over batches, in order."""
        exact, mixed = dict[int, SufficientStatistics](), dict[int, Array]()
        tables = dict[_Pair, Array]()
        for batch in batches:
            r = batch.regime
            if r in exact:
                exact[r] = exact[r].merge(batch.exact)
                mixed[r] += batch.mixed
            else:
                exact[r], mixed[r] = batch.exact, batch.mixed
            self._add(tables, batch)
        return self._assembled(exact, mixed, tables)

    def _add(self, tables: dict[_Pair, Array], batch: Batch) -> None:
        """Add the products of nodes of a batch to the tables of its categories."""
        active = [i for i, own in enumerate(self.nodes) if own.gates_in(batch.regime).any()]
        own_tables = list[tuple[int, int, Array]]()
        for i, j in combinations_with_replacement(active, 2):
            one, other = self.nodes[i], self.nodes[j]
            pair = _Pair(i, j, one.category[batch.regime], other.category[batch.regime])
            if pair not in tables:
                tables[pair] = np.zeros(one.size * other.size)
            own_tables.append((i, j, tables[pair]))
        count = batch.hats[0][0].shape[1] if batch.hats else 0
        for start in range(0, count, ROWS_AT_ONCE):
            some = slice(start, start + ROWS_AT_ONCE)
            hats = [tuple(array[:, some] for array in own) for own in batch.hats]
            for i, j, table in own_tables:
                at = hats[i][0][:, None] * self.nodes[j].size + hats[j][0]
                np.add.at(table, at.ravel(), (hats[i][2][:, None] * hats[j][1]).ravel())

    def _assembled(
        self,
        exact: Mapping[int, SufficientStatistics],
        mixed: Mapping[int, Array],
        tables: Mapping[_Pair, Array],
    ) -> SufficientStatistics:
        """Sums of the columns of the design matrix."""
        size, nodes = self.terms.size, self.nodes
        out = np.zeros((size + 1, size + 1))
        for r, sums in exact.items():
            # The outcome, which comes last, is a column of its own.
            _, columns, gates, at = self._exact[r]
            columns, gates, at = np.append(columns, size), np.append(gates, 1.0), np.append(at, -1)
            matrix = np.asarray(sums.factor.matrix)
            out[np.ix_(columns, columns)] += gates[:, None] * matrix[np.ix_(at, at)] * gates
            start = 0
            for own in nodes:
                of_nodes = mixed[r][start : start + own.size]
                values = (own.values * own.gates_in(r)).T @ of_nodes[:, at] * gates
                out[np.ix_(own.columns, columns)] += values
                out[np.ix_(columns, own.columns)] += values.T
                start += own.size
        for (i, j, one, other), table in tables.items():
            left, right = nodes[i].values * nodes[i].gates[one], nodes[j].values * nodes[j].gates[other]
            values = left.T @ (table.reshape(len(left), len(right)) @ right)
            out[np.ix_(nodes[i].columns, nodes[j].columns)] += values
            if i != j:
                out[np.ix_(nodes[j].columns, nodes[i].columns)] += values.T
        rows = sum(float(np.asarray(sums.rows)) for sums in exact.values())
        log_scale = sum(float(sums.factor.log_scale) for sums in exact.values())
        return SufficientStatistics(rows, GaussianFactor(out, log_scale))


def _matrix(
    hats: Sequence[tuple[NDArray[np.int_], Array]], sizes: Sequence[int], weights: Array
) -> csr_array:
    """Shares of rows times weights, shape (n, number of all nodes)."""
    starts = np.cumsum([0, *sizes])
    at = np.concatenate([at + start for (at, _), start in zip(hats, starts, strict=False)])
    shares = np.concatenate([shares for _, shares in hats]) * weights
    pointers = np.arange(len(weights) + 1) * len(at)
    shape = len(weights), int(starts[-1])
    return csr_array((shares.T.ravel(), at.T.ravel(), pointers), shape=shape)


def _points(rows: Array, functions: Sequence[_Function]) -> Array:
    """Nodes of one axis: equal distances in its coordinate, all of a few values, and all knots."""
    distinct, coordinate = np.unique(rows), Coordinate.of(rows)
    even = coordinate.inverse_transform(np.linspace(*coordinate.ends, NODES))
    few = distinct if len(distinct) <= NODES else distinct[[0, -1]]
    knots = [f.basis.knots for f in functions if isinstance(f.basis, PiecewiseLinear)]
    points = np.unique(np.concatenate([even, few, *knots]))
    # Nodes that differ by rounding alone are one.
    apart = np.diff(points, prepend=-np.inf) > MIN_STEP * (points[-1] - points[0])
    return points[apart] if apart.sum() > 1 else points[0] + np.arange(2.0)


def _at_nodes(rows: Array, points: Array, functions: Sequence[_Function]) -> list[Array | None]:
    """Values at nodes of functions of one axis that are nearly linear between them, else None.

    Least squares: errors average zero over the rows near a node, so that answers are unbiased.
    """
    middles = (points[:-1] + points[1:]) / 2
    at = np.concatenate([rows, points, middles])
    # Where rows are few or none, all parts of an interval count.
    weights = np.repeat([1.0, 1.0, 2.0], [len(rows), len(points), len(middles)])
    left, share = split(at, points)
    hats = _matrix([(np.stack([left, left + 1]), np.stack([1 - share, share]))], [len(points)], np.ones(len(at)))
    weighted = hats.multiply(weights[:, None]).T.tocsr()
    gram, out = (weighted @ hats).toarray(), list[Array | None]()
    for function in functions:
        exact = function.basis.matrix(at[:, None])
        values = np.linalg.solve(gram, weighted @ exact)
        error = (exact - hats @ values)[: len(rows)]
        near = (error.std(axis=0) <= MAX_ERROR * exact[: len(rows)].std(axis=0)).all()
        out.append(values if near else None)
    return out
