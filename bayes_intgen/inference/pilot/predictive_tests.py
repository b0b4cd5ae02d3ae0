"""Tests of whether a fit predicts rows that it has not seen.

Under the fit, sums of residuals over some of the rows are about normal, with the variance of the
noise and that of the coefficients, so that their squares over their covariance are chi-squared
distributed.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc

from bayes_intgen._typing import Array
from bayes_intgen.data.rows import Observations

# Probability that any of the tests of sums rejects rows like those of the fit.
LEVEL = 0.01
# Limit of the mean square of standardised residuals, in standard errors from one.
MAX_DISPERSION = 4.0
# Limit of residuals, over the farthest of two thousand quantiles of the noise. An exponential tail
# reaches it in one of a million rows.
MAX_DISTANCE = 2.0
# Standard deviation of the errors of a model's functions, over that of the noise, and error of its
# variance, which are no reason to reject many rows.
TOLERANCE = 0.02
# Number of parts of equal size into which values of an action are split.
PARTS = 5


class Predicted(NamedTuple):
    """Outcomes of new rows beside their prediction by a fit.

    Attributes
    ----------
    residual : ndarray, shape (n,)
        Outcome minus its posterior mean.
    noise_variance : ndarray, shape (n,)
    deviations : ndarray, shape (n, draw)
        Draws of the mean outcome minus their mean.
    quantiles : ndarray
        Quantiles of the noise, with mean 0 and variance 1.
    """

    residual: Array
    noise_variance: Array
    deviations: Array
    quantiles: Array


def is_predicted(rows: Observations, predicted: Predicted) -> bool:
    """Whether rows are like those of the fit: sums of residuals, their dispersion and extremes.

    Examples
    --------
    >>> nothing, one = np.zeros((len(data), 2)), np.ones(len(data))
    >>> quantiles = np.linspace(-1.7, 1.7, 1000)
    >>> is_predicted(data, Predicted(0.7 * np.cos(np.arange(len(data))), one, nothing, quantiles))
    False
    """
    variance = predicted.noise_variance + predicted.deviations.var(axis=1)
    squares = predicted.residual**2 / variance
    farthest = MAX_DISTANCE * np.abs(predicted.quantiles).max()
    if not (squares < farthest**2).all():
        return False
    excess_variance = max(float(np.mean(predicted.quantiles**4)) - 1, 0.1)
    error = np.sqrt(excess_variance / len(squares))
    if abs(float(squares.mean()) - 1) > MAX_DISPERSION * error + TOLERANCE:
        return False
    p_values = [_p_value(predicted, part) for part in _partitions(rows)]
    return min(p_values) * len(p_values) > LEVEL


def _p_value(predicted: Predicted, part: NDArray[np.int_]) -> float:
    """P value of the sums of residuals over the parts of a partition."""
    member = (part[:, None] == np.unique(part)).astype(float)
    sums, deviations = member.T @ predicted.residual, member.T @ predicted.deviations
    noise = member.T @ predicted.noise_variance
    covariance = np.diag(noise + TOLERANCE**2 * noise * member.sum(axis=0))
    covariance += deviations @ deviations.T / deviations.shape[1]
    return float(chdtrc(len(sums), sums @ np.linalg.solve(covariance, sums)))


def _partitions(rows: Observations) -> Iterator[NDArray[np.int_]]:
    """Part of each row, by regime, and by value of each action and whether it was set."""
    yield np.unique(rows.intervened, axis=0, return_inverse=True)[1].ravel()
    for values, was_set in zip(rows.actions.T, rows.intervened.T, strict=True):
        ends = np.unique(np.quantile(values, np.arange(1, PARTS) / PARTS))
        yield 2 * np.searchsorted(ends, values) + was_set
