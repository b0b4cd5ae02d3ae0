"""Coefficients and log evidence given the hyperparameters, in NumPy.

With an unknown graph most cross-action terms are absent. Sampling their scales would cost the cube
of the number of coefficients per step without changing the result. Terms with evidence against them
therefore get a fixed scale in units of the noise, and their coefficients are marginalised once.
Given that scale this is exact; see docs/explanation/method.md ("Selection of terms").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.inference.gaussian.factor import (
    ConditionalGaussian,
    FactorisedGaussian,
    GaussianFactor,
)
from bayes_intgen.inference.gaussian.sufficient_statistics import SufficientStatistics
from bayes_intgen.models.mechanisms.mechanism import LogNormal
from bayes_intgen.models.terms import Decomposition

# Grid of log scales for integrating over a term's scale, in prior sds from the log median.
GRID = np.linspace(-4, 4, 81)


@dataclass(frozen=True, eq=False)
class Conditional:
    """Posterior of the coefficients at one point of the hyperparameters, or at n points.

    Only the log evidence and draws are for several points.

    Attributes
    ----------
    prior_mean : ndarray, shape (P,)
    sd : ndarray, shape (P,) or (n, P)
        Prior standard deviations.
    noise_sd : float, or ndarray, shape (n,)
    posterior : FactorisedGaussian
        Of the coefficients minus their prior mean, in units of ``sd``. Its integral is the
        density of all outcomes with the coefficients marginalised.
    """

    prior_mean: Array
    sd: Array
    noise_sd: Any
    posterior: FactorisedGaussian

    @classmethod
    def of(
        cls, statistics: SufficientStatistics, prior_mean: Array, log_sd: Array, noise_sd: Any
    ) -> Self:
        """Condition on statistics that are centred at the prior mean."""
        sd = np.exp(log_sd)
        posterior = statistics.posterior(sd, noise_sd).factorise()
        return cls(prior_mean, sd, noise_sd, posterior)

    @property
    def mean(self) -> Array:
        """Posterior mean, shape (P,)."""
        return np.asarray(self.prior_mean + self.sd * self.posterior.mean)

    @property
    def root(self) -> Array:
        """Upper triangular root R of the posterior covariance R R', shape (P, P)."""
        return np.asarray(self.sd[:, None] * self.posterior.inverse.T)

    @property
    def covariance(self) -> Array:
        """Posterior covariance, shape (P, P)."""
        root = self.root
        return np.asarray(root @ root.T)

    @property
    def share(self) -> Array:
        """Fraction of each coefficient's prior variance removed by the data, shape (P,)."""
        return np.asarray(1 - self.posterior.variance)

    def draw(self, normal: Array) -> Array:
        """Draw coefficients from standard normal numbers, shape (draw, P) or (n, draw, P)."""
        steps = self.posterior.draw(normal)
        return np.asarray(self.prior_mean + self.sd[..., None, :] * steps)

    def curvature(self) -> Array:
        """Hessian of the log evidence with respect to log ``sd``, shape (P, P)."""
        covariance, step = self.posterior.inverse.T @ self.posterior.inverse, self.posterior.mean
        curvature = 2 * covariance * (covariance + 2 * np.outer(step, step))
        np.einsum("pp->p", curvature)[...] -= 2 * (np.diag(covariance) + step**2)
        return np.asarray(curvature)


class TermEvidence(NamedTuple):
    """Bayes factor and representative scale of one term, other hyperparameters fixed.

    Attributes
    ----------
    log_bayes_factor : float
        Log Bayes factor of the term, its scale integrated over the prior, against its absence.
    scale : float
        Fixed scale whose total shrinkage factor equals the posterior mean of the total shrinkage
        factor. It leaves posterior means and variances of the coefficients nearly unchanged.
    """

    log_bayes_factor: float
    scale: float

    @classmethod
    def of(cls, values: Array, squares: Array, prior: LogNormal, unit: float = 1.0) -> Self:
        """Integrate over the scale of a term, all other coefficients marginalised.

        Parameters
        ----------
        values : ndarray, shape (p,)
            Eigenvalues of the precision of the likelihood of the term's coefficients.
        squares : ndarray, shape (p,)
            Squared components of the information vector along the eigenvectors.
        prior : LogNormal
            Prior of the scale, in terms of ``unit``.
        unit : float
        """
        log_scales = np.log(prior.median * unit) + prior.sigma * GRID
        log_prior = -0.5 * GRID**2
        # With v = s^2 l, v / (1 + v) is the ratio of a coefficient's posterior mean to its
        # likelihood estimate, and of its posterior variance to 1 / l.
        variance = np.exp(2 * log_scales)[:, None]
        ratio = variance * values
        log_ratio = 0.5 * (variance * squares / (1 + ratio) - np.log(1 + ratio)).sum(axis=1)
        log_weight = log_ratio + log_prior
        shrinkage = (ratio / (1 + ratio)).sum(axis=1)
        log_total = np.logaddexp.reduce(log_weight)
        expected = np.exp(log_weight - log_total) @ shrinkage
        return cls(
            float(log_total - np.logaddexp.reduce(log_prior)),
            float(np.exp(np.interp(expected, shrinkage, log_scales))),
        )

    @classmethod
    def of_likelihood(
        cls, precision: Array, information: Array, prior: LogNormal, unit: float = 1.0
    ) -> Self:
        """Integrate, given precision (p, p) and information vector (p,) of the likelihood."""
        values, vectors = np.linalg.eigh((precision + precision.T) / 2)
        squares = (vectors.T @ information) ** 2
        return cls.of(np.clip(values, 0.0, None), squares, prior, unit)

    @classmethod
    def of_posterior(
        cls, mean: Array, covariance: Array, scale: float, prior: LogNormal, unit: float = 1.0
    ) -> Self:
        """Integrate, given posterior moments (p,) and (p, p) with this scale of the prior."""
        inverse = np.linalg.inv(covariance)
        precision = inverse - np.eye(len(mean)) / scale**2
        return cls.of_likelihood(precision, inverse @ mean, prior, unit)


class ReducedStatistics(NamedTuple):
    """Sufficient statistics after elimination of some coefficients (a Schur complement).

    Attributes
    ----------
    sums : SufficientStatistics
        Statistics of the remaining coefficients, with the same marginal likelihood up to rounding.
    remaining, eliminated : ndarray of int
        Columns of the full design.
    ratio : ndarray, shape (len(eliminated),)
        Prior standard deviations of the eliminated coefficients, in units of the noise.
    regression : ConditionalGaussian
        Of the eliminated coefficients on the remaining ones, in units of their priors, so that
        ratios may be arbitrarily small, and for noise of standard deviation one.
    """

    sums: SufficientStatistics
    remaining: NDArray[np.int_]
    eliminated: NDArray[np.int_]
    ratio: Array
    regression: ConditionalGaussian

    @classmethod
    def of(cls, sums: SufficientStatistics, eliminated: NDArray[np.int_], ratio: Array) -> Self:
        """Marginalise some of the coefficients.

        Parameters
        ----------
        sums : SufficientStatistics
        eliminated : ndarray of int
            Columns with a normal prior of mean zero.
        ratio : ndarray, shape (len(eliminated),)
            Their prior standard deviations, in units of the noise standard deviation.

        Raises
        ------
        ValueError
            If pseudo-observations depend on an eliminated column. Their precision does not scale
            with the noise, so that no sufficient statistics would represent them.
        """
        if sums.known is not None and np.any(np.asarray(sums.known.matrix)[:, eliminated]):
            raise ValueError("pseudo-observations depend on an eliminated column")
        units, prior = np.ones(len(sums.xy) + 1), np.zeros(len(sums.xy) + 1)
        units[eliminated], prior[eliminated] = ratio, 1
        posterior = sums.factor.rescale(units).times(GaussianFactor(np.diag(prior), 0.0))
        factor, regression = posterior.eliminate(eliminated)
        remaining = np.setdiff1d(np.arange(len(sums.xy)), eliminated)
        reduced = sums.select(remaining)._replace(factor=factor)
        return cls(reduced, remaining, eliminated, np.asarray(ratio), regression)

    @classmethod
    def without(
        cls,
        scales: Mapping[str, float],
        terms: Decomposition,
        sums: SufficientStatistics,
        noise_sd: float,
    ) -> Self:
        """Marginalise the terms with these prior scales, which become proportional to the noise."""
        columns = [np.arange(terms.size)[terms.columns[name]] for name in scales]
        sd = [np.full(len(c), scale) for c, scale in zip(columns, scales.values(), strict=True)]
        eliminated = np.concatenate([np.zeros(0, dtype=int), *columns])
        return cls.of(sums, eliminated, np.concatenate([np.zeros(0), *sd]) / noise_sd)

    def complete(self, draws: Array, noise_sd: Array, rng: np.random.Generator) -> Array:
        """Draw the eliminated coefficients given draws of the remaining ones.

        Parameters
        ----------
        draws : ndarray, shape (chain, draw, len(remaining))
        noise_sd : ndarray, shape (chain, draw)
        rng : Generator

        Returns
        -------
        ndarray, shape (chain, draw, P)
            All coefficients.
        """
        flat = draws.reshape(-1, len(self.remaining))
        normal = rng.standard_normal((len(self.eliminated), len(flat))) * noise_sd.reshape(-1)
        out = np.empty((len(flat), len(self.remaining) + len(self.eliminated)))
        out[:, self.remaining] = flat
        out[:, self.eliminated] = (self.ratio[:, None] * self.regression.draw(flat.T, normal)).T
        return out.reshape(*draws.shape[:-1], -1)
