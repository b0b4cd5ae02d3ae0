"""Terms that the data show no sign of: found by their evidence, and integrated out once.

With an unknown graph most of what other actions might add to a bias is not there. Sampling
a scale for each such term costs the cube of the number of coefficients at every step and
changes nothing. How large such terms typically are is learned first, from all of them. A
term whose evidence, with its scale integrated over the prior, is below that of leaving the
term out then keeps a scale fixed in units of the noise, chosen so that its coefficients'
posterior stays what it was; they are integrated out of the sums over rows once and for all.
What remains are sums over the other coefficients, exact given that scale.
"""

from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.special import logsumexp

from bayes_intgen._typing import Array
from bayes_intgen.inference.gaussian.sufficient_statistics import SufficientStatistics

# Logarithms of scales at which a term's evidence is evaluated, in prior sds from the median.
GRID = np.linspace(-4, 4, 81)
# Prior standard deviation of the logarithm of a typical scale.
TYPICAL_SD = 0.75


class TermLikelihood(NamedTuple):
    """What the data say of one term's coefficients, all else integrated out or held.

    The likelihood is Gaussian, with a precision and an information vector; these are the
    eigenvalues of the one, and the squares of the other along its eigenvectors.
    """

    values: Array
    squares: Array

    @classmethod
    def of(cls, mean: Array, covariance: Array, scale: float) -> Self:
        """From the posterior of the term's coefficients at one scale.

        Parameters
        ----------
        mean, covariance : ndarray, shapes (p,) and (p, p)
            Of the coefficients, given the hyperparameters.
        scale : float
            The scale at which they hold: the coefficients' prior standard deviation.
        """
        # Taking the prior out of the posterior leaves the likelihood.
        inverse = np.linalg.inv(covariance)
        return cls.of_information(inverse - np.eye(len(mean)) / scale**2, inverse @ mean)

    @classmethod
    def of_information(cls, precision: Array, information: Array) -> Self:
        """From the likelihood's precision (p, p) and its information vector (p,)."""
        values, vectors = np.linalg.eigh((precision + precision.T) / 2)
        return cls(np.clip(values, 0.0, None), (vectors.T @ information) ** 2)

    def log_ratio(self, log_scales: Array) -> Array:
        """Log likelihood of scales against the term's absence, of any shape."""
        shrunk = np.exp(2 * log_scales)[..., None]
        growth = 1 + shrunk * self.values
        return np.asarray(0.5 * (shrunk * self.squares / growth - np.log(growth)).sum(axis=-1))


class TermEvidence(NamedTuple):
    """What the data say of one term's scale, all other hyperparameters held.

    Attributes
    ----------
    log_bayes_factor : float
        For the term, scale integrated over its prior, against its absence.
    scale : float
        The fixed scale under which the data move the coefficients as much, summed over
        them, as they do on average over the scale's posterior: posterior means and
        variances of the coefficients then stay what they were.
    """

    log_bayes_factor: float
    scale: float

    @classmethod
    def of(cls, likelihood: TermLikelihood, log_median: float, sigma: float) -> Self:
        """Under a log-normal prior of the scale, given by its log median and its sigma."""
        log_scales = log_median + sigma * GRID
        log_prior = -0.5 * GRID**2
        log_weight = likelihood.log_ratio(log_scales) + log_prior
        # s^2 l / (1 + s^2 l) is the share of its estimate that a coefficient keeps, and that
        # share of 1 / l its posterior variance.
        shrunk = np.exp(2 * log_scales)[:, None] * likelihood.values
        share = (shrunk / (1 + shrunk)).sum(axis=1)
        expected = np.exp(log_weight - logsumexp(log_weight)) @ share
        return cls(
            float(logsumexp(log_weight) - logsumexp(log_prior)),
            float(np.exp(np.interp(expected, share, log_scales))),
        )


def empirical_bayes_log_scale(
    likelihoods: Sequence[TermLikelihood], log_median: float, sigma: float
) -> float:
    """The log median that the scales of similar terms have, learned from all of them.

    Sparse worlds and worlds in which everything depends on everything differ in how large
    such terms typically are; one term says little of it, all of them say more. The mean of
    the posterior of the log median, about which the scales are log-normal with ``sigma``; its
    prior is normal about ``log_median`` with standard deviation ``TYPICAL_SD``.
    """
    medians = log_median + TYPICAL_SD * np.linspace(-3, 3, 61)
    log_posterior = -0.5 * ((medians - log_median) / TYPICAL_SD) ** 2
    grid = medians[:, None] + sigma * GRID
    for likelihood in likelihoods:
        log_posterior += logsumexp(likelihood.log_ratio(grid) - 0.5 * GRID**2, axis=1)
    return float(np.exp(log_posterior - logsumexp(log_posterior)) @ medians)


class ReducedStatistics(NamedTuple):
    """Sums without some coefficients, and how to draw those given the others.

    Attributes
    ----------
    sums : SufficientStatistics
        Over the kept coefficients: `log_marginal` of them is that of
        all, up to rounding.
    kept, dropped : ndarray of int
        Columns of the full design.
    ratio : ndarray, shape (len(dropped),)
        Prior standard deviations of the dropped coefficients, in units of the noise's.
    factor : ndarray
        Lower Cholesky factor of the posterior precision of the dropped coefficients, both in units
        of their priors: a ratio may be as small as it likes.
    cross, information : ndarray
        Rows of X'WX and X'Wy for the dropped columns, in the same units.
    """

    sums: SufficientStatistics
    kept: NDArray[np.int_]
    dropped: NDArray[np.int_]
    ratio: Array
    factor: Array
    cross: Array
    information: Array

    @classmethod
    def of(cls, sums: SufficientStatistics, dropped: NDArray[np.int_], ratio: Array) -> Self:
        """Integrate coefficients out of sums.

        Parameters
        ----------
        sums : SufficientStatistics
        dropped : ndarray of int
            Columns with a normal prior of mean zero.
        ratio : ndarray, shape (len(dropped),)
            Their prior standard deviations, in units of the noise's standard deviation.

        Raises
        ------
        ValueError
            Where known rows depend on a dropped column: what they say of it does not scale with
            the noise, and no sums stand for it.
        """
        xx, xy = np.asarray(sums.xx), np.asarray(sums.xy)
        kept = np.setdiff1d(np.arange(len(xy)), dropped)
        block = np.eye(len(dropped)) + xx[np.ix_(dropped, dropped)] * np.outer(ratio, ratio)
        factor, _ = cho_factor(block, lower=True)
        factor = np.tril(factor)
        cross, information = ratio[:, None] * xx[np.ix_(dropped, kept)], ratio * xy[dropped]
        if sums.known is not None and np.any(np.asarray(sums.known.matrix)[:, dropped]):
            raise ValueError("known rows depend on a column that is to be dropped")
        solved = cho_solve((factor, True), cross)
        log_det = 2 * float(np.sum(np.log(np.diag(factor))))
        condensed = SufficientStatistics(
            sums.rows,
            xx[np.ix_(kept, kept)] - cross.T @ solved,
            xy[kept] - solved.T @ information,
            float(np.asarray(sums.yy))
            - float(information @ cho_solve((factor, True), information)),
            float(np.asarray(sums.log_weight)) - log_det,
            sums.select(kept).known,
        )
        return cls(condensed, kept, dropped, np.asarray(ratio), factor, cross, information)

    def complete(self, drawn: Array, noise_sd: Array, rng: np.random.Generator) -> Array:
        """Draws of all coefficients from draws of the kept ones.

        Parameters
        ----------
        drawn : ndarray, shape (chain, draw, kept)
        noise_sd : ndarray, shape (chain, draw)
        rng : Generator

        Returns
        -------
        ndarray, shape (chain, draw, P)
        """
        lead = drawn.shape[:-1]
        flat = drawn.reshape(-1, len(self.kept))
        residual = self.information[:, None] - self.cross @ flat.T
        mean = cho_solve((self.factor, True), residual)
        normal = rng.standard_normal(mean.shape) * noise_sd.reshape(-1)
        rest = mean + solve_triangular(self.factor, normal, lower=True, trans="T")
        out = np.empty((len(flat), len(self.kept) + len(self.dropped)))
        out[:, self.kept], out[:, self.dropped] = flat, (self.ratio[:, None] * rest).T
        return out.reshape(*lead, -1)
