"""EM estimation of Student-t noise, as Gaussian noise with a weight per row."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpyro.distributions import Gamma
from scipy.optimize import minimize
from scipy.special import gammaln

from bayes_intgen._typing import Array
from bayes_intgen.data.batches import ROWS_PER_BATCH
from bayes_intgen.inference.density.marginal_posterior import MarginalPosterior
from bayes_intgen.inference.gaussian.conditional import Conditional
from bayes_intgen.inference.gaussian.sufficient_statistics import SufficientStatistics
from bayes_intgen.models.base import degrees_of_freedom

# Convergence threshold for changes of log scale and log degrees of freedom, and maximum number of
# EM iterations.
LOG_TOLERANCE, MAX_ITERATIONS = 0.01, 50


class StudentTFit(NamedTuple):
    """Student-t noise fitted to rows.

    Attributes
    ----------
    log_mode : ndarray, shape (2,)
        Log scale and log degrees of freedom of the noise.
    covariance : ndarray, shape (2, 2)
        Covariance of ``log_mode``.
    sums : SufficientStatistics
        Statistics of the weighted rows. With them, Gaussian noise of the same scale has the same
        mode.
    """

    log_mode: Array
    covariance: Array
    sums: SufficientStatistics

    @property
    def told(self) -> SufficientStatistics:
        """Statistics with the expected information of t noise about the mean.

        It is (df + 1) / (df + 3) of what the weights imply (Lange, Little and Taylor 1989).
        """
        df = float(np.exp(self.log_mode[1]))
        ratio = (df + 1) / (df + 3)
        xx, xy = np.asarray(self.sums.xx), np.asarray(self.sums.xy)
        return self.sums._replace(xx=ratio * xx, xy=ratio * xy)


def robust_fit(
    posterior: MarginalPosterior,
    sites: dict[str, Array],
    matrix: Array,
    relative_sd: Array,
    outcome: Array,
) -> StudentTFit:
    """Fit Student-t noise by expectation-maximisation, at fixed scales and lengthscales.

    Parameters
    ----------
    posterior : MarginalPosterior
    sites : dict
        Hyperparameters of ``posterior``; ``noise_sd`` is the initial scale.
    matrix : ndarray, shape (N, P)
    relative_sd, outcome : ndarray, shape (N,)
        Noise standard deviation of each row relative to ``noise_sd``, and outcomes.

    Notes
    -----
    The weight of row i is (df + 1) / (df + r_i^2), with its residual r_i in units of the noise
    (Lange, Little and Taylor, "Robust statistical modeling using the t distribution", JASA 1989).
    """
    log_sd, known = posterior.priors.log_sd(sites), posterior.sums.known
    log_noise = np.array([np.log(float(sites["noise_sd"])), np.log(10.0)])
    weights, prior = np.ones(len(outcome)), degrees_of_freedom()
    for _ in range(MAX_ITERATIONS):
        rows = _batches(matrix, outcome, weights / relative_sd**2)
        sums = SufficientStatistics.over(rows)._replace(known=known)
        noise_sd = float(np.exp(log_noise[0]))
        conditional = Conditional.of(sums, posterior.priors.mean, log_sd, noise_sd)
        residual = (outcome - matrix @ conditional.mean) / relative_sd
        previous = log_noise
        log_noise = minimize(_potential, previous, (residual, prior), method="Nelder-Mead").x
        scale, df = np.exp(log_noise)
        weights = (df + 1) / (df + (residual / scale) ** 2)
        if np.abs(log_noise - previous).max() < LOG_TOLERANCE:
            break
    return StudentTFit(log_noise, _inverse_curvature(log_noise, residual, prior), sums)


def _batches(matrix: Array, outcome: Array, weights: Array) -> Iterator[tuple[Array, Array, Array]]:
    """Yield batches of rows, which avoids a weighted copy of the whole matrix."""
    for begin in range(0, len(outcome), ROWS_PER_BATCH):
        rows = slice(begin, begin + ROWS_PER_BATCH)
        yield matrix[rows], outcome[rows], weights[rows]


def _potential(log_noise: Array, residual: Array, prior: Gamma) -> float:
    """Minus the log density of the residuals and of log df under its prior."""
    scale, df = np.exp(log_noise)
    constant = gammaln((df + 1) / 2) - gammaln(df / 2) - 0.5 * np.log(df) - log_noise[0]
    per_row = 0.5 * (df + 1) * np.log1p((residual / scale) ** 2 / df) - constant
    return float(per_row.sum() + prior.rate * df - prior.concentration * log_noise[1])


def _inverse_curvature(log_noise: Array, residual: Array, prior: Gamma) -> Array:
    """Inverse Hessian of :func:`_potential`, by central differences."""
    step = 0.02
    shifts = step * np.array([[1, 0], [0, 1], [1, 1]])
    centre = _potential(log_noise, residual, prior)
    one, other, both = (
        _potential(log_noise + shift, residual, prior)
        + _potential(log_noise - shift, residual, prior)
        - 2 * centre
        for shift in shifts
    )
    mixed = (both - one - other) / 2
    values, vectors = np.linalg.eigh(np.array([[one, mixed], [mixed, other]]) / step**2)
    # The rows may barely inform the degrees of freedom.
    return np.asarray(vectors / np.clip(values, 1.0, None) @ vectors.T)
