"""Predictions under a log link: positive outcomes whose logarithm is what the terms add up to."""

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import ClassVar, Self

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_intgen._typing import Array
from bayes_intgen.data.covariates import UNSEEN
from bayes_intgen.data.outcome_scale import Link, with_log_outcome
from bayes_intgen.data.rows import Observations
from bayes_intgen.models.log_mean import LogMean
from bayes_intgen.models.prediction import Prediction
from bayes_intgen.models.terms import Decomposition
from bayes_intgen.models.variance_function import Homoscedastic, VarianceFunction


@dataclass(frozen=True, eq=False)
class LogPrediction(Prediction):
    """Posterior draws of the mean and the noise of the logarithm of an outcome.

    Attributes
    ----------
    log_mean : LogMean
        Difference of log E[Y | a, R] from that of a normal law of the logarithm.
    """

    link: ClassVar[Link] = "log"

    log_mean: LogMean = field(kw_only=True)

    @classmethod
    def of(
        cls, tree: xr.DataTree, terms: Decomposition, spread: VarianceFunction | Homoscedastic
    ) -> Self:
        """Extract from the DataTree of a fit."""
        of_log, noise = Prediction.of(tree, terms, spread), tree["noise"].dataset
        difference = LogMean(noise["log_mean"].values, noise["log_mean_deviation"].values)
        own = {each.name: getattr(of_log, each.name) for each in fields(of_log)}
        return cls(**own, log_mean=difference)

    def mean(self, inputs: Array, intervened: NDArray[np.bool_]) -> Array:
        """E[Y | a, R], shape (chain, draw, n); for actions, an average over the population.

        Effects of the groups of a fine grouping are averaged over their distribution.
        """
        predictor = self.predictor(inputs, intervened)
        return np.asarray(np.exp(predictor + self.log_factor(inputs, intervened)))

    def change(self, start: Array, end: Array, intervened: NDArray[np.bool_]) -> Array:
        """Change of the mean between actions under the same masks, shape (chain, draw, n)."""
        at_start = intervened[: len(start)]
        step = self.change_of_predictor(start, end, intervened)
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

    def map_draws(self, function: Callable[[Array], Array]) -> Self:
        """Apply a function to every array of draws."""
        deviations = function(self.log_mean.deviations)
        mapped = super().map_draws(function)
        return replace(mapped, log_mean=self.log_mean._replace(deviations=deviations))

    def log_factor(self, inputs: Array, intervened: NDArray[np.bool_]) -> Array:
        """Logarithm of the mean minus the predictor, shape (chain, draw, n)."""
        count = len(self.terms.names)
        actions = inputs[:, :count]
        features = self.spread.dense_features(actions, intervened)
        out = self._variance(actions, intervened) / 2 + self.log_mean(features)
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
        count = len(self.terms.names)
        if len(self._units_and_shares[0]) == 1:
            return False
        of_units = (t for t in self.terms.terms if t.depends_on_covariates(count))
        set_too = any(min(term.inputs) < count and term.role != "bias" for term in of_units)
        effects = self.terms.random_effects
        fine = effects is not None and min(effects.inputs) < count
        return set_too or fine or any(group.input is not None for group in self.unseen)

    def log_average_over_units(self, actions: Array, intervened: NDArray[np.bool_]) -> Array:
        """Logarithm of the population's mean of exp(difference of a unit from the predictor).

        Shape (chain, draw, n). The units are a sample if the population is that of the data. Their
        differences from its predictor, whose average is zero, are centred.
        """
        out = np.zeros((*self.sd.shape, len(actions)))
        units, shares = self._units_and_shares
        if len(units) == 1:
            return out
        count = len(self.terms.names)
        own = [t for t in self.terms.terms if t.depends_on_covariates(count)]
        columns = [np.arange(self.terms.size)[self.terms.columns[term.name]] for term in own]
        terms = replace(self.terms, terms=tuple(own))
        coefficients = self.coefficients[..., np.concatenate([np.empty(0, int), *columns])]
        before: tuple[Array, Array] | None = None
        for i in range(len(actions)):
            point = actions[[i]]
            rows = np.concatenate([np.repeat(point, len(units), axis=0), units], axis=1)
            mask = np.repeat(intervened[[i]], len(units), axis=0)
            design = terms.matrix(rows, mask) if own else np.zeros((len(units), 0))
            of_groups = [(g.column, g.effect(point)) for g in self.unseen]
            parts = [coefficients, *(effect for _, effect in of_groups)]
            shifts = [design, *((units[:, [c]] == UNSEEN).astype(float) for c, _ in of_groups)]
            both = np.concatenate(shifts, axis=1), np.concatenate(parts, axis=-1)
            if before is not None and all(map(np.array_equal, both, before)):
                out[..., i] = out[..., i - 1]
                continue
            centred = both[0] - shares @ both[0]
            out[..., i] = np.log(np.exp(both[1] @ centred.T) @ shares)
            before = both
        return out

    @property
    def _units_and_shares(self) -> tuple[Array, Array]:
        """Units of the population, shape (U, C + G), and their shares."""
        if self.units is None:
            return np.empty((1, 0)), np.ones(1)
        units = self._units_given
        if (units == units[0]).all():
            return units[:1], np.ones(1)
        shares = np.ones(1) if self.population is None else self.population.shares
        each = len(units) // len(shares)
        return units, np.repeat(shares, each) / each


def _padded(inputs: Array, size: int) -> Array:
    """Inputs with columns of zeros for covariates and groups that they lack."""
    blank = np.zeros((len(inputs), max(size - inputs.shape[1], 0)))
    return np.concatenate([inputs, blank], axis=1)
