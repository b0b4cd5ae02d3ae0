"""Rows from which the distribution of the noise is estimated after the pilot fit."""

from typing import NamedTuple

import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.data.rows import Observations
from bayes_intgen.models.log_mean import LogMeanEstimate, estimate_log_mean, projected_on
from bayes_intgen.models.noise_shape import NoiseShapeEstimate, estimate_noise_shape
from bayes_intgen.models.terms import Decomposition
from bayes_intgen.models.variance_function import Homoscedastic, VarianceFunction


class NoiseRows(NamedTuple):
    """Residuals of the first fit, in units of the noise where the relative variance is one.

    Attributes
    ----------
    rows : Observations
    standardised : ndarray, shape (N,)
    """

    rows: Observations
    standardised: Array

    def shape(self, spread: VarianceFunction | Homoscedastic) -> NoiseShapeEstimate:
        """Estimate the shape of the noise on the features of its variance function."""
        features = spread.features(self.rows.actions, self.rows.intervened)
        return estimate_noise_shape(features, self.standardised, spread)

    def log_mean(
        self, spread: VarianceFunction | Homoscedastic, noise_sd: float
    ) -> LogMeanEstimate:
        """Estimate the mean of the exponential of the noise, on the same features."""
        at = self.rows.actions, self.rows.intervened
        knots = spread.knot_values if isinstance(spread, VarianceFunction) else np.ones(1)
        residuals, variance = noise_sd * self.standardised, noise_sd**2 * spread(*at)
        return estimate_log_mean(spread.features(*at), residuals, variance, noise_sd**2 * knots)

    def projected(self, spread: VarianceFunction | Homoscedastic, terms: Decomposition) -> Array:
        """Coefficients of the same features that approximate each term's functions, (H, P)."""
        rows = self.rows
        features = spread.features(rows.actions, rows.intervened)
        return projected_on(features, terms.matrix(rows.inputs, rows.intervened))
