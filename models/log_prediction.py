"""Predictions under a log link: positive outcomes whose logarithm is what the terms add up to."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.data.outcome_scale import Link, with_log_outcome
from bayes_intgen.data.rows import Observations
from bayes_intgen.models.prediction import Prediction


@dataclass(frozen=True, eq=False)
class LogPrediction(Prediction):
    """Posterior draws of the mean and the noise of the logarithm of an outcome.

    The mean of the outcome itself is that of a lognormal law.
    """

    link: ClassVar[Link] = "log"

    def mean(self, inputs: Array, intervened: NDArray[np.bool_]) -> Array:
        """E[Y | a, R], shape (chain, draw, n); for actions, an average over the population.

        Effects of the groups of a fine grouping are averaged over their distribution.
        """
        predictor = self.predictor(inputs, intervened)
        return np.asarray(np.exp(predictor + self.log_factor(inputs, intervened)))

    def change(self, start: Array, end: Array, intervened: NDArray[np.bool_]) -> Array:
        """Change of the mean between actions under the same masks, shape (chain, draw, n)."""
        at_start = intervened[: len(start)]
        step = super().change(start, end, intervened)
        step = step + self.log_factor(end, intervened) - self.log_factor(start, at_start)
        # Rounding would give a change without one of the actions.
        step[..., (start == end).all(axis=1)] = 0.0
        return np.asarray(self.mean(start, at_start) * np.expm1(step))

    def on_outcome_scale(self, values: Array) -> Array:
        """Exponentials."""
        return np.exp(values)

    def plus(self, mean: Array, shift: Array) -> Array:
        """Mean outcome where the predictor is larger by a shift."""
        return np.asarray(mean * np.exp(shift))

    def log_density(self, rows: Observations) -> Array:
        """Log density of the rows' outcomes, (chain, draw, n), on their own scale."""
        of_log = with_log_outcome(rows)
        return super().log_density(of_log) - of_log.outcome

    def log_factor(self, inputs: Array, intervened: NDArray[np.bool_]) -> Array:
        """Logarithm of the mean minus the predictor, shape (chain, draw, n)."""
        count = len(self.terms.names)
        actions = inputs[:, :count]
        out = self._variance(actions, intervened) / 2
        effects, unseen = self.terms.random_effects, {group.column for group in self.unseen}
        if effects is not None and effects.grouping - count not in unseen:
            functions = effects.functions(_padded(inputs, count + len(self.terms.covariates)))
            between = functions**2 @ np.array(effects.ratio)
            out = out + self.sd[..., None] ** 2 * between / 2
        if inputs.shape[1] == count and len(self.terms.covariates):
            out = out + self.log_average_over_units(actions, intervened)
        return np.asarray(out)

    @property
    def factor_varies(self) -> bool:
        """Whether the factor by which units of the population differ depends on the actions."""
        count, units = len(self.terms.names), self.units_within
        if units is None or len(units.values) == 1:
            return False
        of_units = (t for t in self.terms.terms if t.depends_on_covariates(count))
        set_too = any(min(term.inputs) < count and term.role != "bias" for term in of_units)
        effects = self.terms.random_effects
        fine = effects is not None and min(effects.inputs) < count
        return set_too or fine or any(group.input is not None for group in self.unseen)

    def log_average_over_units(self, actions: Array, intervened: NDArray[np.bool_]) -> Array:
        """Logarithm of the population's mean of exp(difference of a unit from the predictor).

        Shape (chain, draw, n). The units are a sample if the population has very many. Their
        differences from its predictor, whose average is zero, are centred.
        """
        units, effects = self.units_within, self.unit_effects(intervened)
        if units is None or len(units.values) == 1:
            return np.zeros((*self.sd.shape, len(actions)))
        out = effects.at_each(
            actions, intervened, units.values, lambda x: effects.log_mean_exp(x, units.shares)
        )
        if self.resampled is None:
            return out
        few, shares, weights = self.resampled

        def change(design: Array) -> Array:
            ratios = np.exp(effects.coefficients @ (design - shares @ design).T)
            return np.asarray(np.log((weights * ratios).sum(axis=-1) / (ratios @ shares)))

        # The predictor has the change of the differences' mean already.
        shift = self.shift_of_population(actions, intervened)
        return np.asarray(out + effects.at_each(actions, intervened, few, change) - shift)


def _padded(inputs: Array, size: int) -> Array:
    """Inputs with columns of zeros for covariates and groups that they lack."""
    blank = np.zeros((len(inputs), max(size - inputs.shape[1], 0)))
    return np.concatenate([inputs, blank], axis=1)
