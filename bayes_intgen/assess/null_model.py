"""The additive model at its mode, as the null hypothesis about the rows to which it was fitted."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.assess.alternatives import Alternative
from bayes_intgen.data.rows import Observations
from bayes_intgen.inference.gaussian.passes import relative_noise_sd
from bayes_intgen.inference.pilot.pilot import Pilot
from bayes_intgen.inference.pilot.variance_ratio import conditional_residuals
from bayes_intgen.models.terms import Term

# Maximum leverage for which residuals are corrected; larger ones are clipped to it.
MAX_LEVERAGE = 0.95
# Minimum share of a direction of an alternative's columns that the model's columns, free of their
# prior, leave unexplained. Rows do not test a direction below it.
MIN_UNEXPLAINED_SHARE = 1e-4


@dataclass(frozen=True, eq=False)
class NullModel:
    """The additive model at its mode, with the rows to which it was fitted.

    Attributes
    ----------
    data : Observations
    fit : Pilot
    design : ndarray, shape (n, P)
    weights : ndarray, shape (n,)
        Inverse noise variances.
    mean, covariance : ndarray, shapes (P,) and (P, P)
        Posterior moments of the coefficients.
    residual : ndarray, shape (n,)
        Residuals with the variance of the noise.
    """

    data: Observations
    fit: Pilot
    design: Array
    weights: Array
    mean: Array
    covariance: Array
    residual: Array

    @classmethod
    def of(cls, data: Observations, fit: Pilot) -> Self:
        """Compute moments and residuals at the mode."""
        terms = fit.posterior.terms
        mean, covariance = fit.posterior.moments(fit.sites)
        design = terms.matrix(data.inputs, data.intervened)
        precision = relative_noise_sd(fit.spread, data) ** -2.0
        weights = precision / float(fit.sites["noise_sd"]) ** 2
        leverage = weights * ((design @ covariance) * design).sum(axis=1)
        residual = data.outcome - terms.centre - design @ mean
        if terms.random_effects is not None:
            residual = conditional_residuals(data, terms.random_effects, residual, precision)
        residual = residual / np.sqrt(np.clip(1 - leverage, 1 - MAX_LEVERAGE, 1))
        return cls(data, fit, design, weights, mean, covariance, residual)

    def remainder(self, values: Array) -> Array:
        """What the fit leaves of values that are added to the outcome, shape (n,)."""
        return values - self.design @ (self.covariance @ (self.design.T @ (self.weights * values)))

    def testable_columns(self, blocks: Sequence[Array]) -> list[Array]:
        """Directions of alternatives' coefficients that rows test, each of shape (Q, q).

        The others are combinations of the model's columns, for example where an action has few
        values. Only the prior distinguishes them, and rounding.
        """
        weighted = self.design * self.weights[:, None]
        gram = self.design.T @ weighted
        scale = 1 / np.sqrt(np.maximum(np.diag(gram), 1e-300))
        values, vectors = np.linalg.eigh(gram * scale * scale[:, None])
        present = values > 1e-10 * values[-1]
        root = scale[:, None] * vectors[:, present] / np.sqrt(values[present])
        return [
            _unexplained(block, self.weights, root.T @ (weighted.T @ block)) for block in blocks
        ]

    def related(self, alternative: Alternative) -> list[Term]:
        """Terms of the model that are functions of the same two inputs together."""
        if alternative.kind == "regime":
            return []
        pair = {i for _, inputs in alternative.pieces for i in inputs}
        terms = self.fit.posterior.terms.terms
        return [term for term in terms if term.cross_action and set(term.inputs) == pair]


def _unexplained(block: Array, weights: Array, projection: Array) -> Array:
    """Coefficients whose columns are not combinations of the model's, as orthonormal columns."""
    gram = block.T @ (block * weights[:, None])
    values, vectors = np.linalg.eigh(gram)
    present = values > 1e-10 * max(float(values[-1]), 1e-300)
    root = vectors[:, present] / np.sqrt(values[present])
    own = root.T @ (gram - projection.T @ projection) @ root
    share, directions = np.linalg.eigh((own + own.T) / 2)
    if present.all() and (share > MIN_UNEXPLAINED_SHARE).all():
        return np.eye(len(gram))
    absent = root @ directions[:, share <= MIN_UNEXPLAINED_SHARE]
    explained = np.hstack([absent, vectors[:, ~present]])
    basis, _ = np.linalg.qr(explained, mode="complete")
    return np.asarray(basis[:, explained.shape[1] :])
