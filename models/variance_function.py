"""Variance function of the noise: dependence of the residual variance on regime and actions.

Hidden causes are independent given a and R, so that the variance decomposes as the mean does:

    Var(Y | a, R) = s_U^2 + sum_k [R_k v_k(a_k) + (1 - R_k) w_k(a_k)]

with all summands positive, and a further constant in rows where several actions were set if there
are any, since there the actions and their hidden causes may interact. Groups whose noise differs,
such as large and small regions, multiply it by a variance each. The function is estimated
from residuals of a pilot fit, and rows are weighted by its inverse. During sampling it is fixed up
to a common factor, so that the sufficient statistics stay exact. Draws of the function propagate
its uncertainty to predicted outcomes.
"""

from dataclasses import dataclass, field
from functools import reduce

import numpy as np
import scipy
from numpy.typing import NDArray
from scipy.special import chdtrc

from bayes_intgen._typing import Array
from bayes_intgen.basis.coordinate import Coordinate, interval_and_share

# Knots of the piecewise linear functions, as quantiles of the action: close enough to the ends to
# follow a tail, but with enough rows beyond each to determine its value.
KNOTS = (0.003, 0.03, 0.2, 0.5, 0.8, 0.97, 0.997)
# Prior standard deviations of each log knot value, and of its change from knot to knot. Weak: a
# hundred rows at a knot outweigh them.
KNOT_VALUE_SD, CHANGE_SD = 2.0, 1.0
# Largest change of a log knot value in an iteration, least curvature, log likelihood that the last
# iteration may gain, and maximum numbers of iterations and of halvings of a step.
LARGEST_CHANGE, LEAST_CURVATURE, TOLERANCE, MAX_ITERATIONS, MAX_HALVINGS = 2.0, 1e-3, 1e-3, 100, 20
# P value below which the noise of groups differs.
GROUPS_LEVEL = 1e-4
# Smallest square, relative to their mean, of which the logarithm is taken.
SMALLEST_SQUARE = 1e-6
# A sparse matrix (n, H): the name is not evaluated, since its import takes long.
type Features = scipy.sparse.csr_array


@dataclass(frozen=True, eq=False)
class VarianceFunction:
    """Relative variance of the noise as a function of actions and mask; by default constant.

    Attributes
    ----------
    coordinates : tuple of Coordinate, length K
        Empty if the variance is constant, as if there were no actions.
    knots : ndarray, shape (K, 7)
        Knots in each action's coordinate.
    knot_values : ndarray, shape (H,) with H = 1 + 14 K or 2 + 14 K
        s_U^2, then the values of every v_k at the knots, then those of every w_k; relative. Then
        the constant of rows with several actions set, if the data have such rows.
    intraclass_correlation : float
        Share of a unit's variance that the units of a row have in common.
    groupings : tuple of int
        Groupings whose groups differ, counted through actions, covariates and groups.
    of_groups : tuple of ndarray, each of shape (groups + 1,)
        Relative variances of their groups, and last that of a group without rows.
    """

    coordinates: tuple[Coordinate, ...] = ()
    knots: Array = field(default_factory=lambda: np.zeros((0, len(KNOTS))))
    knot_values: Array = field(default_factory=lambda: np.ones(1))
    intraclass_correlation: float = 0.0
    groupings: tuple[int, ...] = ()
    of_groups: tuple[Array, ...] = ()

    @property
    def with_several(self) -> bool:
        """Whether rows with several actions set have a variance of their own."""
        return len(self.knot_values) > 1 + 2 * self.knots.size

    def features(self, actions: Array, intervened: NDArray[np.bool_]) -> Features:
        """Constant, and every hat function times its gate, as a sparse matrix (n, H)."""
        values, columns = self._entries(actions, intervened)
        pointers = np.arange(len(values) + 1) * values.shape[1]
        shape = len(values), len(self.knot_values)
        return scipy.sparse.csr_array((values.ravel(), columns.ravel(), pointers), shape=shape)

    def _entries(
        self, actions: Array, intervened: NDArray[np.bool_]
    ) -> tuple[Array, NDArray[np.int_]]:
        """Nonzero features of each row, and their columns: a constant, and two hats per action."""
        rows, count = len(actions), len(self.coordinates)
        values = np.ones((rows, 1 + 2 * count))
        columns = np.zeros((rows, 1 + 2 * count), dtype=int)
        for k, (coordinate, knots) in enumerate(zip(self.coordinates, self.knots, strict=True)):
            # Knots coincide if many values of the action do; they then share a knot value.
            rising, first = np.unique(knots, return_index=True)
            if len(rising) == 1:
                # A hat function needs an interval.
                rising, first = np.append(rising, rising + 1), first.repeat(2)
            left, share = interval_and_share(coordinate(actions[:, k]), rising)
            own = slice(1 + 2 * k, 3 + 2 * k)
            values[:, own] = np.column_stack([1 - share, share])
            function = np.where(intervened[:, k], k, count + k)
            columns[:, own] = np.column_stack([first[left], first[left + 1]])
            columns[:, own] += 1 + self.knots.shape[1] * function[:, None]
        if self.with_several:
            values = np.column_stack([values, intervened.sum(axis=1) > 1])
            columns = np.column_stack([columns, np.full(rows, len(self.knot_values) - 1)])
        return values, columns

    def __call__(self, actions: Array, intervened: NDArray[np.bool_]) -> Array:
        """Relative variance, shape (n,)."""
        values, columns = self._entries(actions, intervened)
        return np.asarray((values * self.knot_values[columns]).sum(axis=1))

    def factor(self, inputs: Array) -> Array:
        """Variance of groups in it, shape (n,), by actions, covariates and groups of rows."""
        # Groups without rows are the last, and so is a new one, whose code is -1.
        each = (
            own[np.minimum(inputs[:, i].astype(int), len(own) - 1)]
            for i, own in zip(self.groupings, self.of_groups, strict=True)
        )
        return reduce(np.multiply, each, np.ones(len(inputs)))

    def drawn(self, actions: Array, intervened: NDArray[np.bool_], deviations: Array) -> Array:
        """Relative variance, shape (..., n), for draws of knot deviations, shape (..., H).

        The logarithm of the variance is linearised in the deviations. Linearising the logarithms of
        the knot values instead would be worse: their sum is well determined even if they are not.
        """
        # An array, for few rows: sparse matrices take long to import.
        values, columns = self._entries(actions, intervened)
        features = np.zeros((len(actions), len(self.knot_values)))
        np.add.at(features, (np.arange(len(actions))[:, None], columns), values)
        estimate = features @ self.knot_values
        return np.asarray(estimate * np.exp(deviations @ (features / estimate[:, None]).T))


def effective_units(units: Array | None, intraclass_correlation: float) -> Array | float:
    """Number of independent units that the mean of n units is worth, n / (1 + (n - 1) rho).

    One for rows of single units, ``units=None``. A part rho of the variance of a unit, such as a
    hidden cause of the whole row, does not average out (Kish, *Survey Sampling*, 1965, chapter 5).

    Examples
    --------
    >>> effective_units(np.array([1.0, 10.0, 1000.0]), 0.1).round(1)
    array([1. , 5.3, 9.9])
    """
    return 1.0 if units is None else units / (1 + (units - 1) * intraclass_correlation)


def drawn_deviations(covariance: Array, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Draw deviations of the knot values from their estimates, shape (*shape, H)."""
    # The covariance may be singular.
    values, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.clip(values, 0, None))
    return np.asarray(rng.standard_normal((*shape, len(root))) @ root.T)


def estimate_variance_function(
    actions: Array,
    intervened: NDArray[np.bool_],
    squares: Array,
    coordinates: tuple[Coordinate, ...],
    units: Array | None = None,
    intraclass_correlation: float = 0.0,
    *,
    of_several: bool = True,
) -> tuple[VarianceFunction, Array]:
    """Estimate the variance function by penalised maximum likelihood.

    Parameters
    ----------
    actions, intervened : ndarray, shape (N, K)
    squares : ndarray, shape (N,)
        Squared residual of each row, or the mean of those of its units.
    coordinates : tuple of Coordinate, length K
    units : ndarray, shape (N,), optional
        Number of units of each row; one by default.
    intraclass_correlation : float
        That of the variance function, with which the squares were computed.
    of_several : bool
        Whether rows with several actions set may have a variance of their own.

    Returns
    -------
    VarianceFunction
    ndarray, shape (H, H)
        Covariance of its knot values, to first order.

    Notes
    -----
    The relative variance is normalised to average one over the rows. The covariance is the sandwich
    estimator for the penalised score, which remains valid for skewed or heavy-tailed noise.
    """
    knots = np.stack(
        [_quantiles(coordinate(actions[:, k]), units) for k, coordinate in enumerate(coordinates)]
    )
    count = len(coordinates)
    end = 1 + 2 * knots.size
    size = end + (of_several and bool((intervened.sum(axis=1) > 1).any()))
    features = VarianceFunction(coordinates, knots, np.ones(size)).features(actions, intervened)
    units = np.ones(len(squares)) if units is None else units
    squares = squares / np.average(squares, weights=units)
    # Of each log knot value, and of its changes from knot to knot.
    difference = np.diff(np.eye(len(KNOTS)), axis=0) / CHANGE_SD
    precision = np.eye(size) / KNOT_VALUE_SD**2
    precision[1:end, 1:end] += np.kron(np.eye(2 * count), difference.T @ difference)
    start = np.full(size, -np.log(1 + count))
    knot_values, log_covariance = _m_estimate(features, squares, units, start, precision)
    weights = features.T @ units / units.sum()
    knot_values = knot_values / (weights @ knot_values)
    # The common factor belongs to `noise_sd`, so deviations have to average zero over the rows.
    root = np.diag(knot_values) - np.outer(knot_values, weights * knot_values)
    spread = VarianceFunction(coordinates, knots, knot_values, intraclass_correlation)
    return spread, root @ log_covariance @ root.T


def variances_of_groups(codes: NDArray[np.int_], squares: Array, count: int) -> Array | None:
    """Relative variances of groups by empirical Bayes, or None if they do not seem to differ.

    Parameters
    ----------
    codes : ndarray of int, shape (N,)
    squares : ndarray, shape (N,)
        Squared residuals over their variance without groups.
    count : int
        Number of groups.

    Returns
    -------
    ndarray, shape (count + 1,), or None
        They average one over the rows. The last is that of a group without rows.

    Notes
    -----
    Means of the squares' logarithms show whether groups differ: their variance is known well also
    for heavy tails and few rows. Logarithms of the mean squares are then shrunken to their mean,
    with the variance between groups of DerSimonian and Laird (Controlled Clinical Trials 1986).

    Examples
    --------
    >>> squares = np.tile([0.5, 1.5], 100) * np.repeat([1.0, 9.0], 100)
    >>> variances_of_groups(np.repeat([0, 1], 100), squares, 2).round(1)
    array([0.2, 1.8, 1. ])
    """
    rows = np.bincount(codes, minlength=count)
    means = np.bincount(codes, squares, count) / np.maximum(rows, 1)
    present = means > 0
    logs = np.log(np.maximum(squares, SMALLEST_SQUARE * squares.mean()))
    own = np.bincount(codes, logs, count) / np.maximum(rows, 1)
    within, free = np.square(logs - own[codes]).sum(), int(present.sum()) - 1
    precision = rows[present] * max(len(logs) - free - 1, 1) / max(within, SMALLEST_SQUARE)
    excess = own[present] - np.average(own[present], weights=precision)
    spread = float(precision @ excess**2)
    if not (free and chdtrc(free, spread) < GROUPS_LEVEL):
        return None
    between = (spread - free) / (precision.sum() - precision @ precision / precision.sum())
    out, logs = np.ones(count + 1), np.log(means[present])
    shrunk = between * precision / (between * precision + 1)
    out[:-1][present] = np.exp(shrunk * (logs - np.average(logs, weights=precision)))
    out[:-1] /= np.average(out[:-1], weights=rows)
    return out


def _quantiles(values: Array, units: Array | None) -> Array:
    """Knots of an action, as quantiles over units."""
    if units is None:
        return np.asarray(np.quantile(values, KNOTS))
    return np.asarray(np.quantile(values, KNOTS, weights=units, method="inverted_cdf"))


def _m_estimate(
    features: Features, squares: Array, units: Array, prior_mean: Array, precision: Array
) -> tuple[Array, Array]:
    """Knot values that maximise the penalised likelihood of squared residuals.

    Newton's method over their logarithms, with backtracking. Directions of negative curvature are
    descended as if it were positive.

    Returns
    -------
    knot_values : ndarray, shape (H,)
    covariance : ndarray, shape (H, H)
        Sandwich estimate of the covariance of their logarithms.
    """

    def loss(log_values: Array) -> tuple[float, Array]:
        """Minus the penalised log likelihood, and the variance of each row."""
        variance, gap = features @ np.exp(log_values), log_values - prior_mean
        value = 0.5 * units @ (np.log(variance) + squares / variance) + 0.5 * gap @ precision @ gap
        return float(value), variance

    log_values, (value, variance) = prior_mean, loss(prior_mean)
    for _ in range(MAX_ITERATIONS):
        knot_values, excess = np.exp(log_values), squares / variance
        slope = features.T @ (units * (1 - excess) / (2 * variance)) * knot_values
        curvature = _gram(features, units * (excess - 0.5) / variance**2)
        hessian = curvature * np.outer(knot_values, knot_values) + np.diag(slope) + precision
        values, vectors = np.linalg.eigh(hessian)
        gradient = vectors.T @ (slope + precision @ (log_values - prior_mean))
        step = -vectors @ (gradient / np.maximum(np.abs(values), LEAST_CURVATURE))
        step = step * min(1.0, LARGEST_CHANGE / float(np.abs(step).max()))
        # Halved while it goes too far; NaN, from overflow, is not lower.
        for halvings in range(MAX_HALVINGS):
            lower, at_end = loss(log_values + step / 2**halvings)
            if lower <= value:
                log_values, variance = log_values + step / 2**halvings, at_end
                break
        gain, value = value - lower, min(value, lower)
        if not gain >= TOLERANCE:
            break
    knot_values = np.exp(log_values)
    variance, squared = features @ knot_values, np.outer(knot_values, knot_values)
    information = _gram(features, units / (2 * variance**2)) * squared
    bread = np.linalg.inv(information + precision)
    of_score = (units * (squares / variance - 1) / (2 * variance)) ** 2
    middle = _gram(features, of_score) * squared
    return knot_values, bread @ (middle + precision) @ bread


def _gram(features: Features, weights: Array) -> Array:
    """Weighted cross products of all features, shape (H, H), with weights of shape (n,)."""
    return np.asarray((features.T @ features.multiply(weights[:, None])).toarray())
