"""Predictions for every draw: means, outcomes, densities and contributions, on plain arrays."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from bayes_intgen._random import generator
from bayes_intgen._typing import Array
from bayes_intgen.data.rows import Observations
from bayes_intgen.models.carryover import Periods
from bayes_intgen.models.laws import OutcomeLaw
from bayes_intgen.models.population import Population, ResampledUnits, Units
from bayes_intgen.models.terms import Decomposition, RandomEffects, Term
from bayes_intgen.models.unit_effects import UnitEffects
from bayes_intgen.models.variance_function import VarianceFunction, effective_units


@dataclass(frozen=True, eq=False)
class Prediction:
    """Posterior draws of the mean and the noise, evaluation at actions and masks.

    The mean is the predictor, to which the terms add up, or under a log link that of the
    exponential of predictor and noise.

    Attributes
    ----------
    terms : Decomposition
        Those of the fit, and effects of groups that are not in the data.
    spread : VarianceFunction
    coefficients : ndarray, shape (chain, draw, P)
    sd : ndarray, shape (chain, draw)
        Noise standard deviation where the relative variance is one.
    deviations : ndarray, shape (chain, draw, H), or None
        Draws of the deviations of the variance function's knot values from their estimates.
    law : OutcomeLaw
        Law of the outcome given the predictor and the standard deviation of the noise.
    units : Units or None
        Units of the population of the data. A single outcome is that of one of them.
    population : Population or None
        Rows over which effects are averaged; by default the observational rows of the data.
    resampled : ResampledUnits or None
        The population of each draw; None if it is the same for all draws.
    """

    terms: Decomposition
    spread: VarianceFunction
    coefficients: Array
    sd: Array
    deviations: Array | None
    law: OutcomeLaw
    units: Units | None = None
    population: Population | None = None
    resampled: ResampledUnits | None = None

    @property
    def is_linear(self) -> bool:
        """Whether the mean outcome is the predictor, and so linear in the coefficients."""
        return self.law.link == "identity"

    def mean(self, inputs: Array, intervened: NDArray[np.bool_]) -> Array:
        """E[Y | a, R], shape (chain, draw, n), for masks of shape (n, K).

        For actions, shape (n, K), it is an average over the population; for inputs of rows, shape
        (n, K + C + G), it is conditional on their covariates and groups. Effects of the groups of a
        fine grouping are averaged over their distribution.
        """
        predictor = self.predictor(inputs, intervened)
        if self.is_linear:
            return predictor
        return np.asarray(np.exp(predictor + self.log_factor(inputs, intervened)))

    def predictor(
        self, inputs: Array, intervened: NDArray[np.bool_], periods: Periods | None = None
    ) -> Array:
        """Sum of all terms, shape (chain, draw, n), with arguments as of :meth:`mean`.

        ``periods`` are those of rows whose actions are carried over.
        """
        design = self.design(inputs, intervened, periods)
        mean = self.coefficients @ design.T + self.terms.centre
        if inputs.shape[1] == len(self.terms.names):
            mean = mean + self.shift_of_population(inputs, intervened)
        return np.asarray(mean)

    @property
    def averaged_units(self) -> Population | None:
        """Units over which functions of actions and covariates together are averaged."""
        units = self.resampled or self.units_within
        return units.sampled(generator(0, "unit")) if isinstance(units, Units) else units

    def design(
        self, inputs: Array, intervened: NDArray[np.bool_], periods: Periods | None = None
    ) -> Array:
        """Design matrix, shape (n, P), averaged over the population if ``inputs`` are actions."""
        units = self.averaged_units
        return self.terms.matrix(inputs, intervened, self.population, units=units, periods=periods)

    def change(self, start: Array, end: Array, intervened: NDArray[np.bool_]) -> Array:
        """Change of the mean between actions under the same masks, shape (chain, draw, n).

        ``start`` has one row, or as many as ``end``.
        """
        at_start = intervened[: len(start)]
        # Differences of design matrices are exactly zero where nothing changes.
        design = self.design(end, intervened) - self.design(start, at_start)
        step = self.coefficients @ design.T
        step = step + self.shift_of_population(end, intervened)
        step = np.asarray(step - self.shift_of_population(start, at_start))
        if self.is_linear:
            return step
        step = step + self.log_factor(end, intervened) - self.log_factor(start, at_start)
        # Rounding would give a change without one of the actions.
        step[..., (start == end).all(axis=1)] = 0.0
        return np.asarray(self.mean(start, at_start) * np.expm1(step))

    def log_factor(self, inputs: Array, intervened: NDArray[np.bool_]) -> Array:
        """Logarithm of the mean minus the predictor under a log link, shape (chain, draw, n)."""
        count = len(self.terms.names)
        actions = inputs[:, :count]
        out = self.law.noise.log_mean_exp(self.noise_sd(inputs, intervened))
        effects = self.open_effects
        if effects is not None:
            out = out + self.sd[..., None] ** 2 * effects.variance(inputs) / 2
        if inputs.shape[1] == count and len(self.terms.covariates):
            out = out + self.log_average_over_units(actions, intervened)
        return np.asarray(out)

    @property
    def factor_varies(self) -> bool:
        """Whether units of the population differ by a factor that depends on the actions."""
        count, units = len(self.terms.names), self.units_within
        if self.is_linear or units is None or len(units.values) == 1:
            return False
        of_units = (t for t in self.terms.terms if t.depends_on_covariates(count))
        set_too = any(min(term.inputs) < count and term.role != "bias" for term in of_units)
        effects = self.terms.random_effects
        return set_too or (effects is not None and min(effects.inputs) < count)

    @property
    def open_effects(self) -> RandomEffects | None:
        """Random effects over which means are averaged: unless the terms are those of one group."""
        effects = self.terms.random_effects
        groups = [term.inputs[-1] for term in self.terms.terms if term.role == "group"]
        return None if effects is None or effects.grouping in groups else effects

    def log_average_over_units(self, actions: Array, intervened: NDArray[np.bool_]) -> Array:
        """Logarithm of the population's mean of exp(difference of a unit from the predictor).

        Shape (chain, draw, n). The units are a sample if the population has very many. Their
        differences from its predictor, whose average is zero, are centred.
        """
        units, effects = self.units_within, self.unit_effects(intervened)
        if units is None or len(units.values) == 1:
            return np.zeros((*self.sd.shape, len(actions)))
        kinds = self._kinds_of_noise(units.values, units.shares)

        def of_kinds(design: Array) -> Array:
            centred = design - units.shares @ design
            return np.stack(
                [effects.log_sum_exp(centred[own], units.shares[own]) for own, _ in kinds]
            )

        sd = self.sd[..., None] * np.sqrt(self._relative_variance(actions, intervened))

        def summed(logarithms: Array, kinds: Sequence[tuple[NDArray[np.bool_], float]]) -> Array:
            noise = [self.law.noise.log_mean_exp(sd * np.sqrt(factor)) for _, factor in kinds]
            return np.asarray(logsumexp(logarithms + noise, axis=0))

        average = sd * np.sqrt(units.shares @ self._factor_of(units.values))
        out = summed(effects.at_each(actions, intervened, units.values, of_kinds), kinds)
        out = out - self.law.noise.log_mean_exp(average)
        if self.resampled is None:
            return out
        shares, weights = self.resampled.shares, self.resampled.weights
        again = self._kinds_of_noise(self.resampled.values, shares)

        def both(design: Array) -> Array:
            ratios = np.exp(effects.coefficients @ (design - shares @ design).T)
            drawn = [(weights * ratios)[..., own].sum(axis=-1) for own, _ in again]
            return np.log([drawn, [ratios[..., own] @ shares[own] for own, _ in again]])

        drawn, usual = effects.at_each(actions, intervened, self.resampled.values, both)
        # The predictor has the change of the differences' mean already.
        shift = self.shift_of_population(actions, intervened)
        return out + summed(drawn, again) - summed(usual, again) - shift

    def _kinds_of_noise(self, units: Array, shares: Array) -> list[tuple[NDArray[np.bool_], float]]:
        """Units of about the same noise, and the average variance of each such kind.

        A variance within an eighth of the others of its kind counts as their average, which changes
        the mean of exp(noise) to second order only.
        """
        factor = self._factor_of(units)
        kind = np.round(4 * np.log(factor))
        each = [kind == own for own in np.unique(kind)]
        return [(own, shares[own] @ factor[own] / shares[own].sum()) for own in each]

    def shift_of_population(
        self,
        actions: Array,
        intervened: NDArray[np.bool_],
        among: Sequence[Term] | None = None,
    ) -> Array | float:
        """Change of terms, of all or some, in the population of each draw, shape (chain, draw, n).

        Relative to the population from which it is resampled; zero without resampling.
        """
        if self.resampled is None:
            return 0.0
        shares, weights = self.resampled.shares, self.resampled.weights
        effects = self.unit_effects(intervened, among)

        def shift(design: Array) -> Array:
            of_units = effects.coefficients @ (design - shares @ design).T
            return np.asarray((weights * of_units).sum(axis=-1))

        return effects.at_each(actions, intervened, self.resampled.values, shift)

    def map_draws(self, function: Callable[[Array], Array]) -> Self:
        """Apply a function to every array of draws, shape (chain, draw, ...)."""
        resampled = self.resampled
        return replace(
            self,
            coefficients=function(self.coefficients),
            sd=function(self.sd),
            deviations=None if self.deviations is None else function(self.deviations),
            resampled=resampled and replace(resampled, weights=function(resampled.weights)),
        )

    def in_population(
        self,
        population: Population | None,
        bootstrap: np.random.Generator | None = None,
    ) -> Self:
        """Predict averages over another population, or over one that each draw resamples.

        ``bootstrap`` draws the weights of the units that a query does not fix.
        """
        own = replace(self, population=population)
        if bootstrap is None or self.units is None:
            return own
        fine = self.terms.covariates.fine_grouping
        drawn = self.units.resampled(self.sd.shape, bootstrap, population, fine)
        return replace(own, resampled=drawn)

    @property
    def units_within(self) -> Units | None:
        """Units of the population of the query; None for a fit without covariates and groups."""
        if self.units is None:
            return None
        return self.units.within(self.population, self.terms.covariates.fine_grouping)

    def unit_effects(
        self, intervened: NDArray[np.bool_], among: Sequence[Term] | None = None
    ) -> UnitEffects:
        """Terms, of all or some, that differ between units under any of the masks, (n, K)."""
        return UnitEffects.of(self.terms, self.coefficients, intervened, among)

    def of_unit(self, actions: Array, intervened: NDArray[np.bool_]) -> Array:
        """Predictor of a unit of the population per draw, shape (chain, draw, n).

        The same numbers of draws give the same units. They are those of the data where the
        population is resampled: a unit of a resampled population is one of the population.
        """
        units, which, rng = self._drawn_units()
        # Difference from the average of the population.
        out = np.zeros((*self.sd.shape, len(actions)))
        if units is not None and len(units.values) > 1:
            own = self.unit_effects(intervened)

            def deviation(design: Array) -> Array:
                centred = design - units.shares @ design
                return np.asarray((own.coefficients * centred[which]).sum(axis=-1))

            out += own.at_each(actions, intervened, units.values, deviation)
            out -= self.shift_of_population(actions, intervened)
        effects = self.open_effects
        if effects is not None:
            out += effects.drawn(self.sd, rng) @ effects.functions(actions).T
        return np.asarray(self.predictor(actions, intervened) + out)

    def _drawn_units(self) -> tuple[Units | None, NDArray[np.int_], np.random.Generator]:
        """Units of the population, the one of each draw, and the stream that drew them."""
        rng, units, shape = generator(0, "unit"), self.units_within, self.sd.shape
        if units is None or len(units.values) == 1:
            return units, np.zeros(shape, dtype=int), rng
        units = units.sampled(rng)
        return units, rng.choice(len(units.shares), shape, p=units.shares), rng

    def noise_sd(
        self, inputs: Array, intervened: NDArray[np.bool_], of_unit: bool = False
    ) -> Array:
        """Noise scale of Y given a and R, shape (chain, draw, n).

        The standard deviation of Gaussian noise, or of Gaussian noise that says as much about the
        mean as Student-t noise does. It is that of the groups of rows if ``inputs`` are theirs,
        otherwise that of the population, or with ``of_unit`` of one of its units per draw.
        """
        count = len(self.terms.names)
        variance = self._relative_variance(inputs[:, :count], intervened)
        units, which, _ = self._drawn_units() if of_unit else (self.units_within, None, None)
        if inputs.shape[1] > count:
            variance = variance * self.spread.factor(inputs)
        elif units is not None:
            factor = self._factor_of(units.values)
            own = units.shares @ factor if which is None else factor[which][..., None]
            variance = variance * own
        return np.asarray(self.sd[..., None] * np.sqrt(variance))

    def _relative_variance(self, actions: Array, intervened: NDArray[np.bool_]) -> Array:
        """Variance relative to that of ``sd``, without groups, shape (chain, draw, n)."""
        if self.deviations is None:
            return np.ones((1, 1, len(actions)))
        return self.spread.drawn(actions, intervened, self.deviations)

    def _factor_of(self, units: Array) -> Array:
        """Variance of the noise of units in their groups, shape (U,)."""
        return self.spread.factor(np.pad(units, ((0, 0), (len(self.terms.names), 0))))

    def draw(
        self, actions: Array, intervened: NDArray[np.bool_], rng: np.random.Generator
    ) -> Array:
        """Draws of Y given a and R, shape (chain, draw, n), of a single unit of the population."""
        predictor = self.of_unit(actions, intervened)
        return self.law.draw(predictor, self.noise_sd(actions, intervened, of_unit=True), rng)

    def outcome_summary(
        self, actions: Array, intervened: NDArray[np.bool_], tails: Sequence[float]
    ) -> dict[str, Array]:
        """Summary of single outcomes given a and R, from their posterior predictive distribution.

        See :meth:`OutcomeLaw.summary`. Exact, instead of from simulated noise.
        """
        flat = (-1, len(actions))
        predictor = self.of_unit(actions, intervened).reshape(flat)
        sd = self.noise_sd(actions, intervened, of_unit=True).reshape(flat)
        return self.law.summary(predictor, sd, tails)

    def log_density(self, rows: Observations) -> Array:
        """Log density of the rows' outcomes under the model's noise, (chain, draw, n).

        Random effects are marginalised in each row.
        """
        working = self.law.working_rows(rows).in_memory
        predictor = self.predictor(working.inputs, working.intervened, Periods.of(working))
        sd = self.noise_sd(working.inputs, working.intervened) / np.sqrt(self._units(working))
        between = self._between_sd(working)
        sd = sd if between is None else np.hypot(sd, between)
        return self.law.log_density(working.outcome, predictor, sd)

    def draw_rows(self, rows: Observations, rng: np.random.Generator) -> Array:
        """Draws of the rows' outcomes, shape (chain, draw, n), given their covariates."""
        predictor = self.predictor(rows.inputs, rows.intervened, Periods.of(rows))
        between = self._between_sd(rows)
        if between is not None:
            predictor = predictor + between * rng.standard_normal(predictor.shape)
        sd = self.noise_sd(rows.inputs, rows.intervened)
        return self.law.draw(predictor, sd, rng, self._units(rows))

    def contributions(self, actions: Array) -> tuple[Array, Array]:
        """Unconfounded contributions and biases of all actions, (chain, draw, K, n) each."""
        terms = self.terms
        shape = (*self.coefficients.shape[:2], len(terms.names), len(actions))
        unconfounded, bias = np.zeros(shape), np.zeros(shape)
        none_set, units = np.zeros(actions.shape, dtype=bool), self.averaged_units
        for k in range(len(terms.names)):
            for out, is_bias in ((unconfounded, False), (bias, True)):
                every = (t for t in terms.summands if t.action == k)
                # Other parts, the errors of the usual action, act in every regime.
                own = [t.parts[0] for t in every if (t.role == "bias") == is_bias]
                reduced = replace(terms, terms=tuple(own))
                functions = reduced.matrix(actions, population=self.population, units=units)
                out[:, :, k] = self.coefficients[..., terms.columns_of(own)] @ functions.T
                out[:, :, k] += self.shift_of_population(actions, none_set, own)
        return unconfounded, bias

    def interactions(self, actions: Array) -> Array:
        """Interactions of the pairs in ``terms.interactions``, shape (chain, draw, pairs, n)."""
        pairs = self.terms.interactions
        out = np.empty((*self.coefficients.shape[:2], len(pairs), len(actions)))
        for i, (pair, (basis, columns)) in enumerate(pairs.items()):
            functions = basis.matrix(actions[:, list(pair)])
            out[:, :, i] = self.coefficients[..., columns] @ functions.T
        return out

    def _units(self, rows: Observations) -> Array | float:
        return effective_units(rows.weights, self.spread.intraclass_correlation)

    def _between_sd(self, rows: Observations) -> Array | None:
        """Standard deviation of each row's random effects, (chain, draw, n)."""
        effects = self.terms.random_effects
        if effects is None:
            return None
        return np.asarray(self.sd[..., None] * np.sqrt(effects.variance(rows.inputs)))
