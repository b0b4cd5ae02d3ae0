"""Predictions for every draw: means, noise, quantiles and densities, on plain arrays."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_intgen._random import generator
from bayes_intgen._typing import Array
from bayes_intgen.basis.basis import Basis
from bayes_intgen.basis.tensor_product import TensorProductBasis
from bayes_intgen.data.covariates import UNSEEN
from bayes_intgen.data.outcome_kind import OutcomeKind
from bayes_intgen.data.outcome_scale import Link
from bayes_intgen.data.rows import Observations
from bayes_intgen.models.gates import Always
from bayes_intgen.models.mixture import (
    DistributionFunction,
    mixture_quantiles,
    sinh_arcsinh_cdf,
    student_t_cdf,
    tabulated_cdf,
)
from bayes_intgen.models.noise_shape import NoiseShape
from bayes_intgen.models.outcome_kinds import (
    count_quantiles,
    draw_binary,
    draw_counts,
)
from bayes_intgen.models.population import Population
from bayes_intgen.models.sinh_arcsinh import SinhArcsinh
from bayes_intgen.models.terms import Decomposition, Term
from bayes_intgen.models.unit_part import UnitPart
from bayes_intgen.models.unseen_groups import UnseenGroup, unseen_group
from bayes_intgen.models.variance_function import Homoscedastic, VarianceFunction, draw_noise


@dataclass(frozen=True, eq=False)
class Prediction:
    """Posterior draws of the mean and the noise, evaluation at actions and masks.

    The mean is the predictor, to which the terms add up, unless there is a log link.

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
        Quantiles of the standardised noise, pooled over all rows; used where ``shape`` is None.
    df : ndarray, shape (chain, draw), or None
        Degrees of freedom of Student-t noise.
    units : ndarray, shape (U, C + G), or None
        Covariates and groups of some rows of the population: single outcomes are those of a unit
        drawn from them.
    population : Population or None
        Rows over which effects are averaged; by default the observational rows of the data.
    unseen : tuple of UnseenGroup
        Effects of a group that is not in the data.
    shape : NoiseShape or None
        Shape of the noise as a function of actions and mask, with its uncertainty. None for
        Student-t noise, and in fits of versions without it.
    kind : {"continuous", "binary", "count"}
        What a single outcome can be.
    """

    link: ClassVar[Link] = "identity"

    terms: Decomposition
    spread: VarianceFunction | Homoscedastic
    coefficients: Array
    sd: Array
    deviations: Array | None
    quantiles: Array
    df: Array | None
    units: Array | None = None
    population: Population | None = None
    unseen: tuple[UnseenGroup, ...] = ()
    shape: NoiseShape | None = None
    kind: OutcomeKind = "continuous"

    @classmethod
    def of(
        cls, tree: xr.DataTree, terms: Decomposition, spread: VarianceFunction | Homoscedastic
    ) -> Self:
        """Extract from the DataTree of a fit."""
        hyperparameters, noise = tree["posterior"].dataset, tree["noise"].dataset
        shape = None
        if "shape" in noise:
            shape = NoiseShape(noise["shape"].values, noise["shape_deviation"].values)
        units = None
        if "population" in tree.children:
            units = tree["population"].dataset["unit"].values
        return cls(
            terms,
            spread,
            tree["coefficients"].dataset["coefficients"].values,
            hyperparameters["noise_sd"].values,
            noise["deviation"].values if "deviation" in noise else None,
            noise["quantile"].values,
            hyperparameters["df"].values if "df" in hyperparameters else None,
            units,
            shape=shape,
            kind=tree.attrs.get("outcome_kind", "continuous"),
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
        design = self.terms.matrix(inputs, intervened, self.population)
        mean = self.coefficients @ design.T + self.terms.centre
        for group in self.unseen:
            mean = mean + group.share * group.effect(inputs)
        return np.asarray(mean)

    def change(self, start: Array, end: Array, intervened: NDArray[np.bool_]) -> Array:
        """Change of the mean between actions under the same masks, shape (chain, draw, n).

        ``start`` has one row, or as many as ``end``.
        """
        return self.change_of_predictor(start, end, intervened)

    def change_of_predictor(self, start: Array, end: Array, intervened: NDArray[np.bool_]) -> Array:
        """Change of the predictor, with arguments as of :meth:`change`."""
        # Differences of design matrices are exactly zero where nothing changes.
        before = self.terms.matrix(start, intervened[: len(start)], self.population)
        step = self.terms.matrix(end, intervened, self.population) - before
        out = self.coefficients @ step.T
        for group in self.unseen:
            out = out + group.share * (group.effect(end) - group.effect(start))
        return np.asarray(out)

    def map_draws(self, function: Callable[[Array], Array]) -> Self:
        """Apply a function to every array of draws, shape (chain, draw, ...)."""
        shape = self.shape
        return replace(
            self,
            coefficients=function(self.coefficients),
            sd=function(self.sd),
            deviations=None if self.deviations is None else function(self.deviations),
            df=None if self.df is None else function(self.df),
            shape=None if shape is None else shape._replace(deviations=function(shape.deviations)),
            unseen=tuple(group._replace(draws=function(group.draws)) for group in self.unseen),
        )

    def in_population(
        self, population: Population | None, unseen: tuple[UnseenGroup, ...] = ()
    ) -> Self:
        """Predict averages over another population."""
        return replace(self, population=population, unseen=unseen)

    def of_unit(self, actions: Array, intervened: NDArray[np.bool_], seed: int = 0) -> Array:
        """Predictor of a unit of the population per draw, shape (chain, draw, n)."""
        out = self.predictor(actions, intervened)
        for part in self.unit_parts(actions, seed):
            out = out + part.coefficients @ (part.functions * part.gate(intervened)[:, None]).T
        return np.asarray(out)

    def unit_parts(self, actions: Array, seed: int = 0) -> list[UnitPart]:
        """Differences from the average of a unit of the population per draw, by term.

        The same seed and numbers of draws give the same units.
        """
        rng, out = generator(seed, "unit"), []
        count, effects = len(self.terms.names), self.terms.random_effects
        units = np.full((1, len(self.terms.covariates)), np.nan)
        if self.units is not None and self._varies_between_units:
            units = self._units_given
        which = rng.integers(0, len(units), self.sd.shape)
        for term in self.terms.terms:
            if term.depends_on_covariates(count) and len(units) > 1:
                functions, positions, deviations = self._separated(term, actions, units)
                of_draws = self.coefficients[..., self.terms.columns[term.name]]
                sums = (of_draws * deviations[which]) @ np.eye(functions.shape[1])[positions]
                out.append(UnitPart(term.action, term.gate, functions, sums))
        unseen = self.unseen
        if effects is not None and all(g.column != effects.grouping - count for g in unseen):
            fresh = unseen_group(self.terms, effects, self.sd, rng)
            unseen = (*unseen, *(group._replace(share=0.0) for group in fresh))
        for group in unseen:
            fine = effects is not None and group.column == effects.grouping - count
            is_in = np.ones(len(units)) if fine else units[:, group.column] == UNSEEN
            draws = group.draws * (is_in[which] - group.share)[..., None]
            out.append(UnitPart(group.input, Always(), group.functions(actions), draws))
        return out

    def _separated(
        self, term: Term, actions: Array, units: Array
    ) -> tuple[Array, NDArray[np.int_], Array]:
        """Factors of the functions of a term of a covariate, and of an action or none.

        Functions of the action, shape (n, m); their positions in the functions of the term, (P,);
        and functions of the covariate of units minus those of the population, (U, P).
        """
        basis, count = term.component.basis, len(self.terms.names)
        factors: tuple[Basis, ...] = (basis,)
        indices = np.arange(basis.size)[None]
        if isinstance(basis, TensorProductBasis):
            factors, indices = basis.factors, basis.indices
        functions, positions = np.ones((len(actions), 1)), np.zeros(basis.size, dtype=int)
        deviations = np.empty(0)
        for factor, own, i in zip(factors, indices, term.inputs, strict=True):
            if i < count:
                functions, positions = factor.matrix(actions[:, [i]]), own
                continue
            column, average = i - count, np.zeros(factor.size)
            if self.population is not None and self.population.covers(column):
                values = self.population.values[:, [column]]
                average = self.population.shares @ factor.matrix(values)
            deviations = (factor.matrix(units[:, [column]]) - average)[:, own]
        return functions, positions, deviations

    @property
    def _varies_between_units(self) -> bool:
        count = len(self.terms.names)
        return any(term.depends_on_covariates(count) for term in self.terms.terms)

    @property
    def _units_given(self) -> Array:
        """Units of the population, with the values that a query fixes."""
        assert self.units is not None
        if self.population is None or len(self.population.values) > 1:
            return self.units if self.population is None else self.population.values
        fixed = self.population.values[0]
        return np.where(np.isnan(fixed), self.units, fixed)

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
        """Draws of outcomes about means, (chain, draw, n), of rows of several units each."""
        if self.kind == "binary":
            return draw_binary(mean, rng)
        if self.kind == "continuous":
            noise = self.draw_noise(actions, intervened, rng, len(actions))
            return self.on_outcome_scale(mean + noise / np.sqrt(units))

        def draws_of_noise(at: NDArray[np.bool_]) -> Array:
            return self.draw_noise(actions[at], intervened[at], rng, int(at.sum()))

        variance = self._variance(actions, intervened)
        return draw_counts(mean, variance, rng, draws_of_noise if self.shape is not None else None)

    def draw_noise(
        self, actions: Array, intervened: NDArray[np.bool_], rng: np.random.Generator, size: int
    ) -> Array:
        """Draws of continuous noise given a and R, shape (chain, draw, n).

        ``size`` is n for independent noise, or 1 for the same quantile of it at all points.
        """
        sizes = (*self.sd.shape, size)
        if self.shape is not None:
            laws = self._laws(actions, intervened)
            return np.asarray(self.sd[..., None] * laws.quantile(rng.standard_normal(sizes)))
        if self.df is None:
            noise = draw_noise(self.quantiles, sizes, rng)
        else:
            noise = np.asarray(rng.standard_t(self.df[..., None], size=sizes))
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

        def quantiles(at: NDArray[np.bool_], factor: Array) -> Array:
            sd, cdf = self._scaled_noise(actions[at], intervened[at])
            sd = sd.reshape(-1, int(at.sum())) * factor
            return mixture_quantiles(mean[:, at], sd, cdf, probabilities)

        if self.kind == "count":
            variance = self._variance(actions, intervened).reshape(flat)
            shaped = None if self.shape is None else quantiles
            return count_quantiles(mean, variance, probabilities, shaped)
        return self.on_outcome_scale(quantiles(np.ones(len(actions), bool), np.ones(1)))

    def probability(self, actions: Array, intervened: NDArray[np.bool_]) -> Array:
        """Posterior predictive probability that a binary outcome is one, shape (n,)."""
        mean = self.of_unit(actions, intervened)
        return np.asarray(np.clip(mean, 0, 1).mean(axis=(0, 1)))

    def _scaled_noise(
        self, actions: Array, intervened: NDArray[np.bool_]
    ) -> tuple[Array, DistributionFunction]:
        """Scale of the noise, (chain, draw, n), and distribution function in units of it."""
        if self.shape is not None:
            laws = self._laws(actions, intervened)
            scale = np.exp(laws.log_scale)
            flat = SinhArcsinh(*(x.reshape(-1, len(actions)) for x in laws))
            return self.sd[..., None] * scale, sinh_arcsinh_cdf(flat)
        cdf = tabulated_cdf(self.quantiles) if self.df is None else student_t_cdf(self.df.ravel())
        return self.noise_sd(actions, intervened), cdf

    def _laws(self, actions: Array, intervened: NDArray[np.bool_]) -> SinhArcsinh:
        assert self.shape is not None
        features = self.spread.dense_features(actions, intervened)
        return self.shape.laws(features, self.spread(actions, intervened))

    def _variance(self, actions: Array, intervened: NDArray[np.bool_]) -> Array:
        """Variance of Y given a and R, shape (chain, draw, n)."""
        variance = self.noise_sd(actions, intervened) ** 2
        if self.df is not None:
            # Infinite below two degrees of freedom.
            variance = variance * (self.df / np.maximum(self.df - 2, 0.1))[..., None]
        return np.asarray(variance)

    def log_density(self, rows: Observations) -> Array:
        """Log density of the rows' outcomes under the model's noise, (chain, draw, n).

        Random effects are marginalised in each row.
        """
        # The import takes half a second, and fits do not need it.
        from scipy import stats

        mean, sd = self.predictor(rows.inputs, rows.intervened), self.row_sd(rows)
        if self.df is None:
            return np.asarray(stats.norm.logpdf(rows.outcome, mean, sd))
        return np.asarray(stats.t.logpdf(rows.outcome, self.df[..., None], mean, sd))

    def draw_rows(self, rows: Observations, rng: np.random.Generator) -> Array:
        """Draws of the rows' outcomes, shape (chain, draw, n), given their covariates."""
        mean = self.predictor(rows.inputs, rows.intervened)
        between = self._between_sd(rows)
        if between is not None:
            mean = mean + between * rng.standard_normal(mean.shape)
        units = 1.0 if rows.weights is None else rows.weights
        return self._draw_about(mean, rows.actions, rows.intervened, rng, units)

    def row_sd(self, rows: Observations) -> Array:
        """Standard deviation of each row's outcome, random effects included, (chain, draw, n)."""
        sd = self.noise_sd(rows.actions, rows.intervened)
        if rows.weights is not None:
            sd = sd / np.sqrt(rows.weights)
        between = self._between_sd(rows)
        return np.asarray(sd if between is None else np.hypot(sd, between))

    def _between_sd(self, rows: Observations) -> Array | None:
        """Standard deviation of each row's random effects, (chain, draw, n)."""
        effects = self.terms.random_effects
        if effects is None:
            return None
        between = effects.functions(rows.inputs) ** 2 @ np.array(effects.ratio)
        return np.asarray(self.sd[..., None] * np.sqrt(between))
