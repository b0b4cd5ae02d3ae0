"""Predictions for every draw: means, noise, quantiles and densities, on plain arrays."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_intgen._random import generator
from bayes_intgen._typing import Array
from bayes_intgen.data.outcome_kind import OutcomeKind
from bayes_intgen.data.outcome_scale import Link
from bayes_intgen.data.rows import Observations
from bayes_intgen.models.mixture import (
    StudentTLaw,
    mixture_quantiles,
    tabulated_cdf,
)
from bayes_intgen.models.outcome_kinds import (
    count_quantiles,
    draw_binary,
    draw_counts,
)
from bayes_intgen.models.population import Population, ResampledUnits, Units
from bayes_intgen.models.terms import Decomposition, Term
from bayes_intgen.models.unit_effects import UnitEffects
from bayes_intgen.models.unseen_groups import UnseenGroup, unseen_group
from bayes_intgen.models.variance_function import VarianceFunction, draw_noise, effective_units


@dataclass(frozen=True, eq=False)
class Prediction:
    """Posterior draws of the mean and the noise, evaluation at actions and masks.

    The mean is the predictor, to which the terms add up, unless there is a log link.

    Attributes
    ----------
    terms : Decomposition
    spread : VarianceFunction
    coefficients : ndarray, shape (chain, draw, P)
    sd : ndarray, shape (chain, draw)
        Noise standard deviation where the relative variance is one.
    deviations : ndarray, shape (chain, draw, H), or None
        Draws of the deviations of the variance function's knot values from their estimates.
    quantiles : ndarray
        Quantiles of the standardised noise, pooled over all rows.
    student_t : StudentTLaw or None
        Law of Student-t noise in units of ``sd``.
    units : Units or None
        Units of the population of the data. A single outcome is that of one of them.
    population : Population or None
        Rows over which effects are averaged; by default the observational rows of the data.
    unseen : tuple of UnseenGroup
        Effects of a group that is not in the data.
    resampled : ResampledUnits or None
        The population of each draw; None if it is the same for all draws.
    kind : {"continuous", "binary", "count"}
        What a single outcome can be.
    """

    link: ClassVar[Link] = "identity"

    terms: Decomposition
    spread: VarianceFunction
    coefficients: Array
    sd: Array
    deviations: Array | None
    quantiles: Array
    student_t: StudentTLaw | None = None
    units: Units | None = None
    population: Population | None = None
    unseen: tuple[UnseenGroup, ...] = ()
    resampled: ResampledUnits | None = None
    kind: OutcomeKind = "continuous"

    @classmethod
    def of(cls, tree: xr.DataTree, terms: Decomposition, spread: VarianceFunction) -> Self:
        """Extract from the DataTree of a fit."""
        hyperparameters, noise = tree["posterior"].dataset, tree["noise"].dataset
        student_t = None
        if "df" in noise:
            student_t = StudentTLaw(*(float(noise[name]) for name in StudentTLaw._fields))
        units = None
        if "population" in tree.children:
            units = Units.of(tree["population"].dataset)
        return cls(
            terms,
            spread,
            tree["coefficients"].dataset["coefficients"].values,
            hyperparameters["noise_sd"].values,
            noise["deviation"].values if "deviation" in noise else None,
            noise["quantile"].values,
            student_t,
            units,
            kind=tree.attrs["outcome_kind"],
        )

    def mean(self, inputs: Array, intervened: NDArray[np.bool_]) -> Array:
        """E[Y | a, R], shape (chain, draw, n), for masks of shape (n, K).

        For actions, shape (n, K), it is an average over the population; for inputs of rows, shape
        (n, K + C + G), it is conditional on their covariates and groups.
        """
        return self.predictor(inputs, intervened)

    def on_outcome_scale(self, values: Array) -> Array:
        """Outcomes of values on the scale of the link."""
        return values

    def plus(self, mean: Array, shift: Array) -> Array:
        """Mean outcome where the predictor is larger by a shift."""
        return mean + shift

    def predictor(self, inputs: Array, intervened: NDArray[np.bool_]) -> Array:
        """Sum of all terms, shape (chain, draw, n), with arguments as of :meth:`mean`."""
        design = self.design(inputs, intervened)
        mean = self.coefficients @ design.T + self.terms.centre
        for group in self.unseen:
            mean = mean + group.share * group.effect(inputs)
        if inputs.shape[1] == len(self.terms.names):
            mean = mean + self.shift_of_population(inputs, intervened)
        return np.asarray(mean)

    @property
    def averaged_units(self) -> Population | None:
        """Units over which functions of actions and covariates together are averaged."""
        units = self.resampled or self.units_within
        if units is None:
            return None
        if isinstance(units, Units):
            units = units.sampled(generator(0, "unit"))
        return Population(units.values, units.shares)

    def design(self, inputs: Array, intervened: NDArray[np.bool_]) -> Array:
        """Design matrix, shape (n, P), averaged over the population if ``inputs`` are actions."""
        units = self.averaged_units
        return self.terms.matrix(inputs, intervened, self.population, units=units)

    def change(self, start: Array, end: Array, intervened: NDArray[np.bool_]) -> Array:
        """Change of the mean between actions under the same masks, shape (chain, draw, n).

        ``start`` has one row, or as many as ``end``.
        """
        # Differences of design matrices are exactly zero where nothing changes.
        step = self.design(end, intervened) - self.design(start, intervened[: len(start)])
        out = self.coefficients @ step.T
        for group in self.unseen:
            out = out + group.share * (group.effect(end) - group.effect(start))
        shift = self.shift_of_population(end, intervened)
        return np.asarray(out + shift - self.shift_of_population(start, intervened[: len(start)]))

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
        units, shares, weights = self.resampled
        effects = self.unit_effects(intervened, among)

        def shift(design: Array) -> Array:
            of_units = effects.coefficients @ (design - shares @ design).T
            return np.asarray((weights * of_units).sum(axis=-1))

        return effects.at_each(actions, intervened, units, shift)

    def map_draws(self, function: Callable[[Array], Array]) -> Self:
        """Apply a function to every array of draws, shape (chain, draw, ...)."""
        resampled = self.resampled
        return replace(
            self,
            coefficients=function(self.coefficients),
            sd=function(self.sd),
            deviations=None if self.deviations is None else function(self.deviations),
            unseen=tuple(group._replace(draws=function(group.draws)) for group in self.unseen),
            resampled=resampled and resampled._replace(weights=function(resampled.weights)),
        )

    def in_population(
        self,
        population: Population | None,
        unseen: tuple[UnseenGroup, ...] = (),
        bootstrap: np.random.Generator | None = None,
    ) -> Self:
        """Predict averages over another population, or over one that each draw resamples.

        ``bootstrap`` draws the weights of the units that a query does not fix.
        """
        own = replace(self, population=population, unseen=unseen)
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
        return UnitEffects.of(self.terms, self.coefficients, intervened, self.unseen, among)

    def of_unit(self, actions: Array, intervened: NDArray[np.bool_], seed: int = 0) -> Array:
        """Predictor of a unit of the population per draw, shape (chain, draw, n)."""
        mean = self.predictor(actions, intervened)
        return np.asarray(mean + self.unit_deviations(actions, intervened, seed))

    def unit_deviations(
        self, actions: Array, intervened: NDArray[np.bool_], seed: int = 0
    ) -> Array:
        """Difference of a unit of the population per draw from its average, (chain, draw, n).

        The same seed and numbers of draws give the same units. They are those of the data where the
        population is resampled: a unit of a resampled population is one of the population.
        """
        rng, units, shape = generator(seed, "unit"), self.units_within, self.sd.shape
        out = np.zeros((*shape, len(actions)))
        if units is not None and len(units.values) > 1:
            units, own = units.sampled(rng), self.unit_effects(intervened)
            which = rng.choice(len(units.shares), shape, p=units.shares)

            def deviation(design: Array) -> Array:
                centred = design - units.shares @ design
                return np.asarray((own.coefficients * centred[which]).sum(axis=-1))

            out += own.at_each(actions, intervened, units.values, deviation)
            out -= self.shift_of_population(actions, intervened)
        effects = self.terms.random_effects
        if effects is not None:
            column = effects.grouping - len(self.terms.names)
            if all(group.column != column for group in self.unseen):
                for group in unseen_group(self.terms, effects, self.sd, rng):
                    out += group.effect(actions)
        return out

    def noise_sd(self, actions: Array, intervened: NDArray[np.bool_]) -> Array:
        """Noise scale of Y given a and R, shape (chain, draw, n).

        The standard deviation of Gaussian noise, or of Gaussian noise that says as much about the
        mean as Student-t noise does.
        """
        if self.deviations is None:
            return np.asarray(self.sd[..., None] * np.ones(len(actions)))
        variance = self.spread.drawn(actions, intervened, self.deviations)
        return np.asarray(self.sd[..., None] * np.sqrt(variance))

    def draw(
        self, actions: Array, intervened: NDArray[np.bool_], rng: np.random.Generator
    ) -> Array:
        """Draws of Y given a and R, shape (chain, draw, n), of a single unit of the population."""
        return self._draw_about(self.of_unit(actions, intervened), actions, intervened, rng)

    def _draw_about(
        self,
        mean: Array,
        actions: Array,
        intervened: NDArray[np.bool_],
        rng: np.random.Generator,
        units: Array | float = 1.0,
    ) -> Array:
        """Draws of outcomes about means, (chain, draw, n), of rows of several independent units."""
        if self.kind == "binary":
            return draw_binary(mean, rng)
        if self.kind == "continuous":
            noise = self.draw_noise(actions, intervened, rng, len(actions))
            return self.on_outcome_scale(mean + noise / np.sqrt(units))
        return draw_counts(mean, self._variance(actions, intervened), rng)

    def draw_noise(
        self, actions: Array, intervened: NDArray[np.bool_], rng: np.random.Generator, size: int
    ) -> Array:
        """Draws of continuous noise given a and R, shape (chain, draw, n).

        ``size`` is n for independent noise, or 1 for the same quantile of it at all points.
        """
        sizes = (*self.sd.shape, size)
        if self.student_t is None:
            noise = draw_noise(self.quantiles, sizes, rng)
        else:
            noise = self.student_t.relative_scale * rng.standard_t(self.student_t.df, sizes)
        return np.asarray(self.noise_sd(actions, intervened) * noise)

    def outcome_quantiles(
        self, actions: Array, intervened: NDArray[np.bool_], probabilities: Sequence[float]
    ) -> Array:
        """Posterior predictive quantiles of Y given a and R, shape (len(probabilities), n).

        Exact, from the mixture's distribution function instead of simulated noise.
        """
        flat = (-1, len(actions))
        mean = self.of_unit(actions, intervened).reshape(flat)
        if self.kind == "binary":
            ones = np.clip(mean, 0, 1).mean(axis=0)
            return np.array([np.where(p > 1 - ones, 1.0, 0.0) for p in probabilities])
        if self.kind == "count":
            variance = self._variance(actions, intervened).reshape(flat)
            return count_quantiles(mean, variance, probabilities)
        sd, law = self.noise_sd(actions, intervened).reshape(flat), self.student_t
        cdf = tabulated_cdf(self.quantiles) if law is None else law.cdf
        return self.on_outcome_scale(mixture_quantiles(mean, sd, cdf, probabilities))

    def probability(self, actions: Array, intervened: NDArray[np.bool_]) -> Array:
        """Posterior predictive probability that a binary outcome is one, shape (n,)."""
        mean = self.of_unit(actions, intervened)
        return np.asarray(np.clip(mean, 0, 1).mean(axis=(0, 1)))

    def _variance(self, actions: Array, intervened: NDArray[np.bool_]) -> Array:
        """Variance of Y given a and R, shape (chain, draw, n)."""
        factor = 1.0 if self.student_t is None else self.student_t.variance
        return np.asarray(factor * self.noise_sd(actions, intervened) ** 2)

    def log_density(self, rows: Observations) -> Array:
        """Log density of the rows' outcomes under the model's noise, (chain, draw, n).

        Random effects are marginalised in each row.
        """
        # The import takes half a second, and fits do not need it.
        from scipy import stats

        mean = self.predictor(rows.inputs, rows.intervened)
        sd = self.noise_sd(rows.actions, rows.intervened) / np.sqrt(self._units(rows))
        between = self._between_sd(rows)
        sd = sd if between is None else np.hypot(sd, between)
        if self.student_t is None:
            return np.asarray(stats.norm.logpdf(rows.outcome, mean, sd))
        df, relative_scale = self.student_t
        return np.asarray(stats.t.logpdf(rows.outcome, df, mean, relative_scale * sd))

    def draw_rows(self, rows: Observations, rng: np.random.Generator) -> Array:
        """Draws of the rows' outcomes, shape (chain, draw, n), given their covariates."""
        mean = self.predictor(rows.inputs, rows.intervened)
        between = self._between_sd(rows)
        if between is not None:
            mean = mean + between * rng.standard_normal(mean.shape)
        return self._draw_about(mean, rows.actions, rows.intervened, rng, self._units(rows))

    def _units(self, rows: Observations) -> Array | float:
        return effective_units(rows.weights, self.spread.intraclass_correlation)

    def _between_sd(self, rows: Observations) -> Array | None:
        """Standard deviation of each row's random effects, (chain, draw, n)."""
        effects = self.terms.random_effects
        if effects is None:
            return None
        between = effects.functions(rows.inputs) ** 2 @ np.array(effects.ratio)
        return np.asarray(self.sd[..., None] * np.sqrt(between))
