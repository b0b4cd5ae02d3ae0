"""Mode of a marginal posterior, with the Laplace approximation about it."""

from typing import NamedTuple, Self

import numpy as np

from bayes_intgen._progress import stage
from bayes_intgen._typing import Array
from bayes_intgen.inference.density.marginal_posterior import MarginalPosterior


class Mode(NamedTuple):
    """Mode of the posterior over the logarithms of the hyperparameters.

    Attributes
    ----------
    point : ndarray, shape (D,)
    potential : float
        Minus the log density.
    covariance : ndarray, shape (D, D)
        Inverse Hessian of the potential.
    """

    point: Array
    potential: float
    covariance: Array

    @classmethod
    def nearest(cls, posterior: MarginalPosterior, start: Array, progress: bool) -> Self:
        """Search for the mode from ``start``, shape (D,)."""
        with stage("Search for the mode", progress):
            point = posterior.mode(start, progress=False)
        return cls(point, posterior.value(point), posterior.covariance(point))

    def points(self, count: int, rng: np.random.Generator) -> Array:
        """Draw points from the Laplace approximation, shape (count, D)."""
        normal = rng.standard_normal((count, len(self.point)))
        return np.asarray(self.point + normal @ np.linalg.cholesky(self.covariance).T)
