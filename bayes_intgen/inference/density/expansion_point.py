"""The coefficients at one point of the hyperparameters, in the units of their priors there."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from bayes_intgen._typing import Array
from bayes_intgen.inference.density.marginal_posterior import MarginalPosterior
from bayes_intgen.inference.gaussian.sufficient_statistics import SufficientStatistics

# Prior variances have a floor: this share of the variance that the data alone leave a coefficient.
# A prior below it hides the coefficient from the data, and ratios of such priors would overflow.
FLOOR = 1e-4
# Least precision, in units of the noise's, from which the floor is taken: what one row says of a
# coefficient whose function is one there. Functions are of about that size; where a column is zero
# but for rounding, the inverse of the precision overflows.
LEAST_KNOWN = 1.0


@dataclass(frozen=True, eq=False)
class ExpansionPoint:
    """The coefficients at one point of the hyperparameters.

    In units of their prior standard deviations there, themselves in units of the noise's.

    Attributes
    ----------
    posterior : MarginalPosterior
    sd, floor : ndarray, shape (P,)
        Those units, and least prior variances in units of the noise's.
    precision, covariance : ndarray, shape (P, P)
        Of the coefficients.
    mean : ndarray, shape (P,)
        How far the posterior mean is from the prior's.
    log_det : float
        Of the precision.
    squares : float
        What the coefficients leave of the sum of squares, their prior's part in it included.
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
        """At hyperparameters ``flat``, shape (D,).

        Raises LinAlgError where rounding leaves the coefficients no joint distribution, or numbers
        overflow.
        """
        prior_sd, noise_sd = _prior_sd(posterior, flat)
        about = posterior.sums.centred_at(posterior.priors.mean)
        xx, information, squares = _whole(about, noise_sd)
        floor = FLOOR / np.maximum(np.diag(xx), LEAST_KNOWN)
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
        """Log density that is neglected where two coefficients are in different groups, (P, P).

        Of second order in their covariance, on average over points of the hyperparameters, shape
        (point, D): the size of what the determinant and the quadratic form have of it, each
        coefficient taken alone (:mod:`bayes_intgen.inference.density.partition`).
        """
        priors = [_prior_sd(self.posterior, at) for at in points]
        prior_sd, noise_sd = np.stack([sd for sd, _ in priors]), np.array([sd for _, sd in priors])
        grown = self.sd**2 / (prior_sd**2 + self.floor) - 1
        pull = grown / (1 + grown * np.diag(self.covariance))
        size, square = np.abs(pull), (pull * self.mean / noise_sd[:, None]) ** 2
        with_mean = size.T @ square
        found = size.T @ size + with_mean + with_mean.T
        return np.asarray(self.covariance**2 * found / (2 * len(points)))


def _prior_sd(posterior: MarginalPosterior, flat: Array) -> tuple[Array, float]:
    """Prior sds of the coefficients, shape (P,), in units of the noise's, and that."""
    sites = posterior.sites(flat)
    noise_sd = float(sites["noise_sd"])
    return np.asarray(np.exp(posterior.priors.log_sd(sites)) / noise_sd), noise_sd


def _whole(sums: SufficientStatistics, noise_sd: float) -> tuple[Array, Array, float]:
    """X'X, X'y and y'y with known rows, that count as if the noise had this standard deviation."""
    xx, xy, yy = np.asarray(sums.xx), np.asarray(sums.xy), float(np.asarray(sums.yy))
    if sums.known is not None:
        known, outcome = np.asarray(sums.known.matrix), np.asarray(sums.known.outcome)
        xx = xx + noise_sd**2 * known.T @ known
        xy = xy + noise_sd**2 * known.T @ outcome
        yy += noise_sd**2 * float(outcome @ outcome)
    return xx, xy, yy
