"""Gaussian approximation of the likelihood of Student-t rows.

It is the normal distribution of the coefficients that is closest to their posterior at fixed scales
(Gaussian variational inference; Opper and Archambeau, "The variational Gaussian approximation
revisited", Neural Computation 2009): slope and curvature of each row are averages over it. The
slope and curvature at the mode alone would be too precise about coefficients that few rows inform.
"""

from typing import NamedTuple, Self

import numpy as np
from scipy.linalg import cho_solve, eigh, solve_triangular
from scipy.optimize import minimize

from bayes_intgen._typing import Array
from bayes_intgen.inference.gaussian.sufficient_statistics import SufficientStatistics
from bayes_intgen.inference.pilot.student_t import (
    StudentTFit,
    inverse_curvature,
    noise_potential,
)
from bayes_intgen.models.hyperpriors import DEGREES_OF_FREEDOM

# Steps towards the approximation, and number of Gauss-Hermite nodes of averages. More steps change
# acceptance rates by less than a hundredth.
N_STEPS, N_NODES = 4, 5
# Least precision in any direction, over that of rows with fixed weights, and share of the prior
# precision in that bound. Far rows have negative curvature, which may exceed that of the others.
MIN_PRECISION, PRIOR_SHARE = 0.05, 1e-3
# Step in the log scale for differences.
LOG_STEP = 0.01


class RowExpansion(NamedTuple):
    """Student-t rows as Gaussian ones, given the scale of the noise.

    Attributes
    ----------
    mean : ndarray, shape (P,)
        Coefficients about which the rows are expanded.
    log_noise : ndarray, shape (2,)
        Log scale and log degrees of freedom at the mode.
    noise_covariance : ndarray, shape (2, 2)
        Their covariance.
    residual : ndarray, shape (N,)
        Residuals at ``mean``, in units of each row's relative noise.
    slope : ndarray, shape (P,)
        Gradient of the log likelihood, with its power, times the squared scale.
    precision : ndarray, shape (P, P)
        Minus its Hessian, likewise.
    rows : float
        Number of Gaussian rows that say as much about the scale.
    """

    mean: Array
    log_noise: Array
    noise_covariance: Array
    residual: Array
    slope: Array
    precision: Array
    rows: float

    @classmethod
    def of(
        cls, matrix: Array, outcome: Array, fit: StudentTFit, prior_mean: Array, prior_sd: Array
    ) -> Self:
        """Expand rows, starting from the mode of the coefficients and of the noise in a fit.

        Parameters
        ----------
        matrix, outcome : ndarray, shapes (N, P) and (N,)
            In units of each row's relative noise.
        fit : StudentTFit
        prior_mean, prior_sd : ndarray, shape (P,)
            Prior of the coefficients.
        """
        log_noise, prior = fit.log_mode, DEGREES_OF_FREEDOM
        mean, step, sd = fit.mean, np.zeros(len(prior_mean)), np.zeros(len(outcome))
        for _ in range(N_STEPS):
            mean = mean + step
            residual = outcome - matrix @ mean
            squares = residual**2
            log_noise = minimize(
                noise_potential, log_noise, (squares, prior, fit.power), method="Nelder-Mead"
            ).x
            scale = np.exp(log_noise[0])
            of_prior = (scale / prior_sd) ** 2
            pull, weights, curvature = fit.power * _averages(residual, sd, log_noise)
            slope = matrix.T @ pull
            precision = _precision(matrix, weights, curvature, of_prior)
            root = np.linalg.cholesky(precision + np.diag(of_prior))
            step = cho_solve((root, True), slope - of_prior * (mean - prior_mean))
            white = solve_triangular(root, matrix.T, lower=True)
            sd = scale * np.sqrt((white**2).sum(axis=0))
        covariance = inverse_curvature(log_noise, squares, prior, fit.power)
        informed = float(np.trace(cho_solve((root, True), precision)))
        order = _order_of_precision(residual, log_noise, covariance)
        # Given the scale s, the marginal likelihood has a factor s to the power of the number of
        # informed coefficients times half the order; the precision of Gaussian rows has order two.
        rows = 0.5 / float(covariance[0, 0]) + informed * (1 - order / 2)
        return cls(mean, log_noise, covariance, residual, slope, precision, rows)

    @property
    def scale(self) -> float:
        """Scale of the noise."""
        return float(np.exp(self.log_noise[0]))

    @property
    def squares(self) -> float:
        """Sum of squares of the Gaussian rows' residuals at ``mean``."""
        return 0.5 * self.scale**2 / float(self.noise_covariance[0, 0])

    @property
    def statistics(self) -> SufficientStatistics:
        """Statistics of the Gaussian rows; their noise has the scale of the Student-t noise."""
        xy = self.precision @ self.mean + self.slope
        squares = self.squares + float(self.mean @ (xy + self.slope))
        return SufficientStatistics(self.rows, self.precision, xy, squares, 0.0)


def _averages(residual: Array, sd: Array, log_noise: Array) -> Array:
    """Average weighted residuals, weights and curvatures of rows with uncertain means, (3, N)."""
    scale, df = np.exp(log_noise)
    nodes, shares = np.polynomial.hermite_e.hermegauss(N_NODES)
    averages = np.zeros((3, len(residual)))
    for node, share in zip(nodes, shares / shares.sum(), strict=True):
        at = residual + sd * node
        weights = (df + 1) / (df + (at / scale) ** 2)
        averages += share * np.stack([weights * at, weights, _curvature(at, log_noise)])
    return averages


def _curvature(residual: Array, log_noise: Array) -> Array:
    """Minus the second derivatives of the rows' log likelihoods, times the squared scale."""
    scale, df = np.exp(log_noise)
    squares = (residual / scale) ** 2
    return np.asarray((df + 1) * (df - squares) / (df + squares) ** 2)


def _precision(matrix: Array, weights: Array, curvature: Array, of_prior: Array) -> Array:
    """Precision of the rows from their curvature, at least ``MIN_PRECISION`` times a bound."""
    bound = (matrix.T * weights) @ matrix + np.diag(PRIOR_SHARE * of_prior)
    values, vectors = eigh((matrix.T * curvature) @ matrix, bound)
    root = bound @ vectors
    return np.asarray((root * np.maximum(values, MIN_PRECISION)) @ root.T)


def _order_of_precision(residual: Array, log_noise: Array, covariance: Array) -> float:
    """Power of the inverse scale with which the precision grows; two of Gaussian rows.

    The degrees of freedom move with the scale as in the posterior.
    """
    step = LOG_STEP * np.array([1.0, covariance[0, 1] / covariance[0, 0]])
    below, above = (
        _curvature(residual, at).sum() * np.exp(-2 * at[0])
        for at in (log_noise - step, log_noise + step)
    )
    return float(np.log(below / above) / (2 * LOG_STEP))
