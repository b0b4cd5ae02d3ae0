"""The spread of the noise: how the residual variance depends on regime and actions.

Given a and R the hidden causes are independent, so the variance decomposes as the mean
does,

    Var(Y | a, R) = s_U^2 + sum_k [R_k v_k(a_k) + (1 - R_k) w_k(a_k)],

with all parts positive. Rows are weighted by its inverse. The function is estimated from
the residuals of a pilot fit; as weights it is then held fixed up to one common factor, which
is sampled: that keeps the sums over rows, and hence the collapsed posterior, exact. Draws of
the whole function carry its uncertainty into what is predicted of outcomes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import BSpline
from scipy.optimize import minimize
from scipy.sparse import csr_array, diags_array

from bayes_intgen._typing import Array
from bayes_intgen.basis.coordinate import Coordinate

# Knots of the piecewise linear parts: close enough to the ends to follow a tail, never so
# close that a handful of rows decides a knot.
KNOTS = (0.003, 0.03, 0.2, 0.5, 0.8, 0.97, 0.997)
# Prior of the logarithm of each height, and of its change from knot to knot. Weak: a
# hundred rows at a knot outweigh it.
HEIGHT_SD, CHANGE_SD = 2.0, 1.0
# Number of quantiles that describe the shape of the noise.
SHAPE_SIZE = 1000


@dataclass(frozen=True, eq=False)
class VarianceFunction:
    """Relative variance of the noise as a function of actions and mask.

    Attributes
    ----------
    coordinates : tuple of Coordinate, length K
    knots : ndarray, shape (K, 7)
        In the squashed coordinates.
    heights : ndarray, shape (H,) with H = 1 + 14 K
        s_U^2, then the values of every v_k at the knots, then those of every w_k; relative.
    """

    coordinates: tuple[Coordinate, ...]
    knots: Array
    knot_values: Array

    def features(self, actions: Array, intervened: NDArray[np.bool_]) -> csr_array:
        """The constant, and every hat function times its gate: sparse, shape (n, H)."""
        rows, count = actions.shape
        # A row has the constant, and two hats of every action.
        values = np.ones((rows, 1 + 2 * count))
        columns = np.zeros((rows, 1 + 2 * count), dtype=int)
        for k, (z, rising, first) in enumerate(self._along(actions)):
            ends = np.clip(z, rising[0], rising[-1])
            hats = BSpline.design_matrix(ends, np.r_[rising[0], rising, rising[-1]], 1, True)
            own = slice(1 + 2 * k, 3 + 2 * k)
            part = np.where(intervened[:, k], k, count + k)
            values[:, own] = hats.data.reshape(-1, 2)
            columns[:, own] = first[hats.indices].reshape(-1, 2) + 1 + len(KNOTS) * part[:, None]
        pointers = np.arange(rows + 1) * (1 + 2 * count)
        return csr_array(
            (values.ravel(), columns.ravel(), pointers), shape=(rows, len(self.knot_values))
        )

    def _along(self, actions: Array) -> Iterator[tuple[Array, Array, NDArray[np.int_]]]:
        """Per action, its coordinates (n,), the distinct knots, and the first position of each."""
        for k, (coordinate, knots) in enumerate(zip(self.coordinates, self.knots, strict=True)):
            # Equal knots, where many values are equal, share a knot value.
            rising, first = np.unique(knots, return_index=True)
            if len(rising) == 1:
                # A hat function needs an interval.
                rising, first = np.append(rising, rising + 1), first.repeat(2)
            yield coordinate(actions[:, k]), rising, first

    def columns_where_set(self, action: int) -> slice:
        """Which features, and heights, are those of v_k: the part of an action that was set."""
        start = 1 + action * len(KNOTS)
        return slice(start, start + len(KNOTS))

    def __call__(self, actions: Array, intervened: NDArray[np.bool_]) -> Array:
        """Relative variance, shape (n,)."""
        # The product of features and heights takes twice as long.
        common, knot_values = self.knot_values[0], self.knot_values[1:].reshape(2, -1, len(KNOTS))
        variance = np.full(len(actions), common)
        for k, (z, rising, first) in enumerate(self._along(actions)):
            where_set, elsewhere = (np.interp(z, rising, of[k, first]) for of in knot_values)
            variance += np.where(intervened[:, k], where_set, elsewhere)
        return variance

    def drawn(self, actions: Array, intervened: NDArray[np.bool_], deviations: Array) -> Array:
        """Relative variance for draws of the heights' deviations, shape (..., H), (..., n).

        A sum of heights is well determined where its parts are not: its logarithm is taken to
        be normal, not theirs.
        """
        features = self.features(actions, intervened).toarray()
        estimate = features @ self.knot_values
        return np.asarray(estimate * np.exp(deviations @ (features / estimate[:, None]).T))


@dataclass(frozen=True)
class Homoscedastic:
    """One variance everywhere."""

    def __call__(self, actions: Array, intervened: NDArray[np.bool_]) -> Array:
        """Relative variance: ones, shape (n,)."""
        return np.ones(len(actions))


class VarianceFunctionEstimate(NamedTuple):
    """A spread with its uncertainty.

    Attributes
    ----------
    spread : VarianceFunction
    covariance : ndarray, shape (H, H)
        Of the heights, to first order.
    """

    spread: VarianceFunction
    covariance: Array

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        """Draws of deviations of the heights from their estimates, shape (*shape, H)."""
        values, vectors = np.linalg.eigh(self.covariance)
        root = vectors * np.sqrt(np.clip(values, 0, None))
        return np.asarray(rng.standard_normal((*shape, len(root))) @ root.T)


def estimate_variance_function(
    actions: Array,
    intervened: NDArray[np.bool_],
    residuals: Array,
    coordinates: tuple[Coordinate, ...],
) -> VarianceFunctionEstimate:
    """Penalised maximum likelihood from residuals, shape (N,).

    Normalised so that the relative variance averages one over the rows. The covariance is the
    sandwich of the penalised score: squared residuals of skewed or heavy-tailed noise say less
    of a variance than Gaussian ones would.
    """
    knots = np.stack(
        [np.quantile(coordinate(actions[:, k]), KNOTS) for k, coordinate in enumerate(coordinates)]
    )
    count = len(coordinates)
    size = 1 + 2 * count * len(KNOTS)
    features = VarianceFunction(coordinates, knots, np.ones(size)).features(actions, intervened)
    squares = residuals**2 / np.mean(residuals**2)
    expected = -np.log(1 + count)
    precision = _prior_precision(count)
    transposed = csr_array(features.T)

    def loss(log_heights: Array) -> tuple[float, Array]:
        """Minus the penalised log likelihood, and its gradient."""
        variance, gap = features @ np.exp(log_heights), log_heights - expected
        value = 0.5 * np.sum(np.log(variance) + squares / variance) + 0.5 * gap @ precision @ gap
        slope = transposed @ (0.5 * (1 - squares / variance) / variance)
        return float(value), np.asarray(slope * np.exp(log_heights) + precision @ gap)

    start, options = np.full(size, expected), {"maxiter": 100}
    knot_values = np.exp(minimize(loss, start, jac=True, method="L-BFGS-B", options=options).x)
    variance = features @ knot_values
    shares = diags_array(1 / variance) @ features @ diags_array(knot_values)
    score = diags_array((squares / variance - 1) / 2) @ shares
    bread = np.linalg.inv((shares.T @ shares).toarray() / 2 + precision)
    of_logs = bread @ ((score.T @ score).toarray() + precision) @ bread
    weights = features.mean(axis=0)
    knot_values = knot_values / (weights @ knot_values)
    # The common factor is the noise's own: what is left of a deviation averages zero over rows.
    root = np.diag(knot_values) - np.outer(knot_values, weights * knot_values)
    return VarianceFunctionEstimate(
        VarianceFunction(coordinates, knots, knot_values), root @ of_logs @ root.T
    )


def _prior_precision(count: int) -> Array:
    """Of the log heights, about their expected value: each, and each change along a part."""
    difference = np.diff(np.eye(len(KNOTS)), axis=0) / CHANGE_SD
    out = np.eye(1 + 2 * count * len(KNOTS)) / HEIGHT_SD**2
    out[1:, 1:] += np.kron(np.eye(2 * count), difference.T @ difference)
    return np.asarray(out)


def residual_quantiles(residuals: Array, relative_variance: Array) -> Array:
    """Quantiles of standardised residuals at evenly spaced probabilities, mean 0, variance 1.

    The model holds the noise to be Gaussian, which its mean and variance need not be true for;
    what is predicted of single outcomes takes the shape that their noise has.
    """
    standardised = residuals / np.sqrt(relative_variance)
    probabilities = (np.arange(SHAPE_SIZE) + 0.5) / SHAPE_SIZE
    quantiles = np.quantile(standardised, probabilities)
    return np.asarray((quantiles - quantiles.mean()) / quantiles.std())


def draw_noise(quantiles: Array, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Draws of standardised noise from the quantiles that :func:`residual_quantiles` gives.

    None lies beyond the outermost of them: there is no tail past one row in two thousand.
    """
    probabilities = (np.arange(len(quantiles)) + 0.5) / len(quantiles)
    return np.asarray(np.interp(rng.random(shape), probabilities, quantiles))
