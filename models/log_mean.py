"""Mean of a positive outcome from the distribution of its logarithm.

Given a and R the logarithm of the outcome is a sum of independent parts, so that the cumulant
generating function of its noise is affine in the mask, and so is

    log E[Y | a, R] = E[log Y | a, R] + kappa(a, R),
    kappa = 1/2 Var(log Y | a, R) + d(a, R),

where the difference d from a normal law is affine in the mask too. It is estimated from residuals
r with variance v, as the mean of exp(r - v/2 - d) - 1 - r - (r^2 - v) / 2, which has mean zero.
Terms of first and second order are those of the fitted mean and variance; without them the
estimate is of the third order in the noise. This is smearing by regime and actions (Duan 1983),
shrunk towards the normal law.
"""

from typing import NamedTuple

import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.models.sparse_features import SparseFeatures
from bayes_intgen.models.variance_function import draw_normal, knot_precision

# Prior standard deviation of the skewness of each part of the noise, and of its changes from knot
# to knot relative to that.
SKEWNESS_SD, CHANGE_SD = 1.0, 0.2
# Largest change of a log mean in an iteration, tolerance, and maximum number of iterations.
LARGEST_CHANGE, TOLERANCE, MAX_ITERATIONS = 0.5, 1e-4, 60
# Least variance of the logarithm for which differences from a normal law matter.
LEAST_VARIANCE = 1e-4
# Ridge of the projection of deviations of the mean, per row and feature.
RIDGE = 1e-3


class LogMean(NamedTuple):
    """Difference d of the log mean from that of a normal law, as coefficients of features.

    Attributes
    ----------
    values : ndarray, shape (H,)
    deviations : ndarray, shape (..., H)
        Draws of their deviations.
    """

    values: Array
    deviations: Array

    def __call__(self, features: Array) -> Array:
        """Draws of d, shape (..., n), at features (n, H)."""
        return np.asarray((self.values + self.deviations) @ features.T)


class LogMeanEstimate(NamedTuple):
    """Estimate of :class:`LogMean` with its uncertainty.

    Attributes
    ----------
    values : ndarray, shape (H,)
    covariance : ndarray, shape (H, H)
        Where the mean of the logarithm is known.
    slope : float
        Change of the estimate of kappa by an error of the mean of the logarithm: skewed noise
        moves both.
    """

    values: Array
    covariance: Array
    slope: float

    def draw(
        self, shape: tuple[int, ...], of_mean: Array | None, rng: np.random.Generator
    ) -> Array:
        """Draw deviations of the values, shape (*shape, H).

        ``of_mean`` has deviations of the mean of the logarithm in the same draws, (*shape, H).
        """
        draws = draw_normal(self.covariance, shape, rng)
        return np.asarray(draws if of_mean is None else draws + self.slope * of_mean)


def estimate_log_mean(
    features: SparseFeatures, residuals: Array, variance: Array, knot_values: Array
) -> LogMeanEstimate:
    """Estimate the difference of the log mean from that of a normal law.

    Parameters
    ----------
    features : sparse array, shape (N, H)
        Features of the variance function.
    residuals, variance : ndarray, shape (N,)
        Residuals of the logarithm, and their variance.
    knot_values : ndarray, shape (H,)
        Coefficients of the variance.

    Notes
    -----
    Gauss-Newton iterations of a penalised quasi-likelihood, with the variance that the terms have
    under a normal law. A dispersion above one, from heavy tails, weakens the rows against the
    prior. The covariance is the sandwich estimator.
    """
    variance = np.maximum(variance, LEAST_VARIANCE)
    sd = SKEWNESS_SD * np.maximum(knot_values, LEAST_VARIANCE**2) ** 1.5 / 6
    precision = knot_precision(sd, CHANGE_SD)
    expected = np.expm1(variance) - variance - variance**2 / 2
    values, dispersion = np.zeros(features.shape[1]), 1.0
    for _ in range(MAX_ITERATIONS):
        factor = np.exp(residuals - variance / 2 - features @ values)
        gap = factor - 1 - residuals - (residuals**2 - variance) / 2
        weights = 1 / (dispersion * expected)
        bread = np.linalg.inv(features.gram(weights) + precision)
        step = bread @ (features.transposed_times(weights * gap) - precision @ values)
        change = float(np.abs(features @ step).max())
        dispersion = max(1.0, float(np.mean(gap**2 / expected)))
        values = values + step * min(1.0, LARGEST_CHANGE / max(change, TOLERANCE))
        if change < TOLERANCE:
            break
    middle = features.gram((weights * gap) ** 2) + precision
    slope = float(np.mean((factor - 1 - residuals) * residuals / variance))
    return LogMeanEstimate(values, np.asarray(bread @ middle @ bread.T), slope)


def projected_on(features: SparseFeatures, design: Array) -> Array:
    """Coefficients of features that approximate the columns of a design matrix, (H, P)."""
    rows, size = features.shape
    gram = features.gram(np.ones(rows)) + RIDGE * rows / size * np.eye(size)
    return np.asarray(np.linalg.solve(gram, features.transposed_times(design)))
