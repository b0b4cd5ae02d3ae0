"""Predictions for every draw: means, noise, quantiles and densities, on plain arrays."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.basis.evaluation import Evaluation
from bayes_intgen.models.mixture import mixture_quantiles, student_t_cdf, tabulated_cdf
from bayes_intgen.models.terms import Decomposition
from bayes_intgen.models.variance_function import Homoscedastic, VarianceFunction, draw_noise


@dataclass(frozen=True, eq=False)
class Prediction:
    """Posterior draws of the mean and the noise, evaluation at actions and masks.

    Attributes
    ----------
    terms : Decomposition
    spread : VarianceFunction or Homoscedastic
    coefficients : ndarray, shape (chain, draw, P)
    sd : ndarray, shape (chain, draw)
        Noise standard deviation where the relative variance is one.
    deviations : ndarray, shape (chain, draw, H), or None
        Draws of the deviations of the variance function's knot values from their estimates.
    quantiles : ndarray
        Quantiles of the standardised noise.
    df : ndarray, shape (chain, draw), or None
        Degrees of freedom of Student-t noise.
    """

    terms: Decomposition
    spread: VarianceFunction | Homoscedastic
    coefficients: Array
    sd: Array
    deviations: Array | None
    quantiles: Array
    df: Array | None

    @classmethod
    def of(
        cls, tree: xr.DataTree, terms: Decomposition, spread: VarianceFunction | Homoscedastic
    ) -> Self:
        """Extract from the DataTree of a fit."""
        hyperparameters, noise = tree["posterior"], tree["noise"]
        return cls(
            terms,
            spread,
            tree["coefficients"]["coefficients"].to_numpy(),
            hyperparameters["noise_sd"].to_numpy(),
            noise["deviation"].to_numpy() if "deviation" in noise else None,
            noise["quantile"].to_numpy(),
            hyperparameters["df"].to_numpy() if "df" in hyperparameters else None,
        )

    def mean(self, actions: Array, intervened: NDArray[np.bool_]) -> Array:
        """E[Y | a, R], shape (chain, draw, n), for actions and masks of shape (n, K)."""
        design = self.terms.matrix(actions, intervened)
        return np.asarray(self.coefficients @ design.T + self.terms.centre)

    def contributions(self, actions: Array) -> tuple[Array, Array]:
        """Unconfounded contributions and biases of all actions, (chain, draw, K, n) each."""
        shape = (*self.coefficients.shape[:2], len(self.terms.names), len(actions))
        unconfounded, bias = np.zeros(shape), np.zeros(shape)
        evaluation = Evaluation(actions)
        for term in self.terms.terms:
            if term.action is None:
                continue
            functions = evaluation(term.component.basis, term.inputs)
            total = unconfounded if term.role == "unconfounded" else bias
            total[:, :, term.action] += (
                self.coefficients[..., self.terms.columns[term.name]] @ functions
            )
        return unconfounded, bias

    def noise_sd(self, actions: Array, intervened: NDArray[np.bool_]) -> Array:
        """Noise scale of Y given a and R, shape (chain, draw, n).

        The standard deviation of Gaussian noise; of Student-t noise the scale, which is smaller.
        """
        if self.deviations is None or isinstance(self.spread, Homoscedastic):
            return np.asarray(self.sd[..., None] * np.ones(len(actions)))
        variance = self.spread.drawn(actions, intervened, self.deviations)
        return np.asarray(self.sd[..., None] * np.sqrt(variance))

    def draw(
        self, actions: Array, intervened: NDArray[np.bool_], rng: np.random.Generator
    ) -> Array:
        """Draws of Y given a and R, shape (chain, draw, n)."""
        mean = self.mean(actions, intervened)
        noise = self.standard_noise(mean.shape, rng)
        return np.asarray(mean + self.noise_sd(actions, intervened) * noise)

    def outcome_quantiles(
        self, actions: Array, intervened: NDArray[np.bool_], probabilities: Sequence[float]
    ) -> Array:
        """Posterior predictive quantiles of Y given a and R, shape (len(probabilities), n).

        Exact, from the mixture's distribution function instead of simulated noise.
        """
        mean, sd = self.mean(actions, intervened), self.noise_sd(actions, intervened)
        cdf = tabulated_cdf(self.quantiles) if self.df is None else student_t_cdf(self.df.ravel())
        flat = (-1, len(actions))
        return mixture_quantiles(mean.reshape(flat), sd.reshape(flat), cdf, probabilities)

    def standard_noise(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        """Draws of noise in units of :meth:`noise_sd`, shape (chain, draw, ...)."""
        if self.df is None:
            return draw_noise(self.quantiles, shape, rng)
        return np.asarray(rng.standard_t(self.df[..., None], size=shape))

    def log_density(self, actions: Array, intervened: NDArray[np.bool_], outcome: Array) -> Array:
        """Log density of outcomes, shape (n,), under the model's noise, (chain, draw, n)."""
        # The import takes half a second, and fits do not need it.
        from scipy import stats

        mean, sd = self.mean(actions, intervened), self.noise_sd(actions, intervened)
        if self.df is None:
            return np.asarray(stats.norm.logpdf(outcome, mean, sd))
        return np.asarray(stats.t.logpdf(outcome, self.df[..., None], mean, sd))
