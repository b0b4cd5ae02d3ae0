"""Coefficients and log evidence given the hyperparameters, in NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.inference.gaussian.factor import FactorisedGaussian
from bayes_intgen.inference.gaussian.sufficient_statistics import SufficientStatistics

if TYPE_CHECKING:
    from jax.typing import ArrayLike


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
        Of the coefficients minus their prior mean, in units of ``sd``.
    """

    prior_mean: Array
    sd: Array
    noise_sd: Any
    posterior: FactorisedGaussian

    @classmethod
    def of(
        cls,
        statistics: SufficientStatistics,
        prior_mean: ArrayLike,
        log_sd: ArrayLike,
        noise_sd: Any,
    ) -> Self:
        """Condition on statistics that are centred at the prior mean."""
        sd = np.exp(np.asarray(log_sd))
        posterior = statistics.posterior(sd, noise_sd).factorise()
        return cls(np.asarray(prior_mean), sd, noise_sd, posterior)

    @property
    def log_evidence(self) -> Any:
        """Log density of all outcomes with the coefficients marginalised, shape () or (n,)."""
        return self.posterior.log_integral

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
