"""Posterior of the coefficients at the expansion point of an approximation."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from bayes_intgen._typing import Array
from bayes_intgen.inference.density.marginal_posterior import MarginalPosterior
from bayes_intgen.inference.gaussian.sufficient_statistics import SufficientStatistics

# Minimum prior variance, as a share of a coefficient's variance given the data alone. The data do
# not inform coefficients with narrower priors, and ratios of such priors would overflow.
MIN_VARIANCE_SHARE = 1e-4
# Minimum data precision of a coefficient, in units of the noise's, from which that variance is
# computed: the information of one row in which the basis function is one, its typical size. For a
# column that is zero up to rounding the inverse of the precision would overflow.
MIN_PRECISION = 1.0


@dataclass(frozen=True, eq=False)
class ExpansionPoint:
    """Posterior of the coefficients at one point of the hyperparameters.

    Coefficients are in units of their prior standard deviations at that point.

    Attributes
    ----------
    posterior : MarginalPosterior
    sd, floor : ndarray, shape (P,)
        Prior standard deviations and minimum prior variances, in units of the noise's.
    precision, covariance : ndarray, shape (P, P)
        Of the coefficients.
    mean : ndarray, shape (P,)
        Difference between posterior and prior mean.
    log_det : float
        Log determinant of the precision.
    squares : float
        Penalised residual sum of squares.
    """

    posterior: MarginalPosterior
    sd: Array
    floor: Array
    precision: Array
    covariance: Array
    mean: Array
    log_det: float
    squares: float

    @classmethod
    def of(cls, posterior: MarginalPosterior, flat: Array) -> Self:
        """Evaluate at hyperparameters ``flat``, shape (D,).

        Raises
        ------
        LinAlgError
            If rounding leaves a precision that is not positive definite, or numbers overflow.
        """
        prior_sd, noise = _prior_sd(posterior, flat)
        noise_sd = float(noise)
        centred = posterior.sums.centred_at(posterior.priors.mean)
        xx, information, squares = _with_pseudo_observations(centred, noise_sd)
        floor = MIN_VARIANCE_SHARE / np.maximum(np.diag(xx), MIN_PRECISION)
        sd = np.sqrt(prior_sd**2 + floor)
        precision = np.eye(len(sd)) + xx * np.outer(sd, sd)
        if not np.isfinite(precision).all():
            raise np.linalg.LinAlgError("the precision of the coefficients overflows")
        factor = cho_factor(precision, lower=True)
        mean = cho_solve(factor, sd * information)
        return cls(
            posterior,
            sd,
            floor,
            precision,
            cho_solve(factor, np.eye(len(sd))),
            mean,
            2 * float(np.sum(np.log(np.diag(factor[0])))),
            float(squares - information @ (sd * mean)),
        )

    def second_order_remainder(self, points: Array) -> Array:
        """Mean log density neglected if two coefficients are in different blocks, shape (P, P).

        Parameters
        ----------
        points : ndarray, shape (point, D)
            Hyperparameters over which the mean is taken.

        Notes
        -----
        The second-order terms, in the covariance of two coefficients, of the log determinant and
        the quadratic form, with every other covariance set to zero; see docs/method.md.
        """
        prior_sd, noise_sd = _prior_sd(self.posterior, points)
        precision_change = self.sd**2 / (prior_sd**2 + self.floor) - 1
        t = precision_change / (1 + precision_change * np.diag(self.covariance))
        size, square = np.abs(t), (t * self.mean / noise_sd[:, None]) ** 2
        quadratic = size.T @ square
        both = size.T @ size + quadratic + quadratic.T
        return np.asarray(self.covariance**2 * both / (2 * len(points)))


def _prior_sd(posterior: MarginalPosterior, flat: Array) -> tuple[Array, Array]:
    """Prior sds of the coefficients, shape (..., P), in units of the noise's, and those, (...)."""
    sites = posterior.sites(flat)
    noise_sd = sites["noise_sd"]
    return np.exp(posterior.priors.log_sd(sites)) / noise_sd[..., None], noise_sd


def _with_pseudo_observations(
    sums: SufficientStatistics, noise_sd: float
) -> tuple[Array, Array, float]:
    """X'X, X'y and y'y, with pseudo-observations weighted as rows of this noise would be."""
    xx, xy, yy = np.asarray(sums.xx), np.asarray(sums.xy), float(np.asarray(sums.yy))
    if sums.known is not None:
        matrix, outcome = np.asarray(sums.known.matrix), np.asarray(sums.known.outcome)
        xx = xx + noise_sd**2 * matrix.T @ matrix
        xy = xy + noise_sd**2 * matrix.T @ outcome
        yy += noise_sd**2 * float(outcome @ outcome)
    return xx, xy, yy
