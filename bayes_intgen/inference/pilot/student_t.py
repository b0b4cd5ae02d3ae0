"""Student-t noise as Gaussian noise of which every row has a weight of its own."""

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

# Largest change of the noise's logarithms between rounds that ends them: a few digits will do.
CLOSE, MOST_ROUNDS = 0.01, 50


class Robust(NamedTuple):
    """A fit of Student-t noise to rows.

    Attributes
    ----------
    log_mode : ndarray, shape (2,)
        Logarithms of the noise's scale and degrees of freedom.
    covariance : ndarray, shape (2, 2)
        Of those.
    sums : SufficientStatistics
        Over the rows as weighted: Gaussian noise of the same scale has the same mode with them.
    """

    log_mode: Array
    covariance: Array
    sums: SufficientStatistics

    @property
    def told(self) -> SufficientStatistics:
        """The same with what the rows tell of the mean: less than their weights say.

        The share of it is (df + 1) / (df + 3) (Lange, Little and Taylor 1989).
        """
        df = float(np.exp(self.log_mode[1]))
        share = (df + 1) / (df + 3)
        xx, xy = np.asarray(self.sums.xx), np.asarray(self.sums.xy)
        return self.sums._replace(xx=share * xx, xy=share * xy)


def robust_fit(
    posterior: MarginalPosterior,
    sites: dict[str, Array],
    matrix: Array,
    relative_sd: Array,
    outcome: Array,
) -> Robust:
    """Fit Student-t noise by reweighting rows, scales and lengthscales as they are.

    By expectation-maximisation (Lange, Little and Taylor, "Robust statistical modeling using the t
    distribution", JASA 1989): row i weighs (df + 1) / (df + r_i^2), r_i its residual in units of
    the noise.

    Parameters
    ----------
    posterior : MarginalPosterior
        Whose hyperparameters ``sites`` are.
    matrix : ndarray, shape (N, P)
    relative_sd, outcome : ndarray, shape (N,)
        The standard deviation of each row's noise, relative to ``noise_sd``, and the outcomes.
    """
    log_sd, known = posterior.priors.log_sd(sites), posterior.sums.known
    log_noise = np.array([np.log(float(sites["noise_sd"])), np.log(10.0)])
    weights, prior = np.ones(len(outcome)), degrees_of_freedom()
    for _ in range(MOST_ROUNDS):
        rows = _batches(matrix, outcome, weights / relative_sd**2)
        sums = SufficientStatistics.over(rows)._replace(known=known)
        given = Conditional.of(sums, posterior.priors.mean, log_sd, float(np.exp(log_noise[0])))
        residual = (outcome - matrix @ given.mean) / relative_sd
        before = log_noise
        log_noise = minimize(_energy, before, (residual, prior), method="Nelder-Mead").x
        scale, df = np.exp(log_noise)
        weights = (df + 1) / (df + (residual / scale) ** 2)
        if np.abs(log_noise - before).max() < CLOSE:
            break
    return Robust(log_noise, _inverse_curvature(log_noise, residual, prior), sums)


def _batches(matrix: Array, outcome: Array, weights: Array) -> Iterator[tuple[Array, Array, Array]]:
    """Not many rows at a time, so that no copy of the matrix is made."""
    for begin in range(0, len(outcome), ROWS_PER_BATCH):
        rows = slice(begin, begin + ROWS_PER_BATCH)
        yield matrix[rows], outcome[rows], weights[rows]


def _energy(log_noise: Array, residual: Array, prior: Gamma) -> float:
    """Minus the log density of residuals, and of the model's prior of ``log df``."""
    scale, df = np.exp(log_noise)
    constant = gammaln((df + 1) / 2) - gammaln(df / 2) - 0.5 * np.log(df) - log_noise[0]
    of_rows = 0.5 * (df + 1) * np.log1p((residual / scale) ** 2 / df) - constant
    return float(of_rows.sum() + prior.rate * df - prior.concentration * log_noise[1])


def _inverse_curvature(log_noise: Array, residual: Array, prior: Gamma) -> Array:
    """Inverse curvature of :func:`_energy`, by differences."""
    step = 0.02
    shifts = step * np.array([[1, 0], [0, 1], [1, 1]])
    here = _energy(log_noise, residual, prior)
    one, other, both = (
        _energy(log_noise + shift, residual, prior)
        + _energy(log_noise - shift, residual, prior)
        - 2 * here
        for shift in shifts
    )
    mixed = (both - one - other) / 2
    values, vectors = np.linalg.eigh(np.array([[one, mixed], [mixed, other]]) / step**2)
    # Of the degrees of freedom rows may say little.
    return np.asarray(vectors / np.clip(values, 1.0, None) @ vectors.T)
