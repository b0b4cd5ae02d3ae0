"""Pilot fit: estimate the variance function, select terms, and find the mode, before sampling."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple, Self

import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.data.replicates import refuse_exact_replicates
from bayes_intgen.data.reservoir import SAMPLE_ROWS
from bayes_intgen.data.rows import Observations, Rows
from bayes_intgen.inference.density.marginal_posterior import QUICK_TOLERANCE, MarginalPosterior
from bayes_intgen.inference.gaussian.passes import (
    candidate_statistics,
    products,
    pseudo_observations,
    row_weights,
    sufficient_statistics,
    unit_precision,
    weighted_design,
)
from bayes_intgen.inference.gaussian.sufficient_statistics import (
    SufficientStatistics,
)
from bayes_intgen.inference.pilot.checkpoint import SavedSums
from bayes_intgen.inference.pilot.far_outcomes import FarOutcomes
from bayes_intgen.inference.pilot.first_stage import control_errors
from bayes_intgen.inference.pilot.forward_selection import select_terms
from bayes_intgen.inference.pilot.group_slope_tests import slope_tests
from bayes_intgen.inference.pilot.lack_of_fit import FitTest, score_tests, suspicious_tests
from bayes_intgen.inference.pilot.no_noise import refuse_no_noise, refuse_straight_line
from bayes_intgen.inference.pilot.pair_tests import with_pairs, with_roughness
from bayes_intgen.inference.pilot.residuals import residuals
from bayes_intgen.inference.pilot.selection import Selection
from bayes_intgen.inference.pilot.student_t import StudentTFit, clipped, fit_student_t
from bayes_intgen.inference.pilot.variance_ratio import (
    estimate_intraclass_correlation,
    estimate_ratio,
)
from bayes_intgen.inference.settings import ALL_TECHNIQUES, Techniques
from bayes_intgen.models import Model
from bayes_intgen.models.terms import Decomposition, Term
from bayes_intgen.models.variance_function import (
    VarianceFunction,
    VarianceFunctionEstimate,
    effective_units,
    estimate_variance_function,
    residual_quantiles,
)

# Maximum number of rows for the selection of terms.
PILOT_ROWS = SAMPLE_ROWS
# Maximum number of rows for the variance function: weights need few digits.
SPREAD_ROWS = 20_000
# Maximum number of rows for score tests of a fit with added terms.
TEST_ROWS = 8_000
# Fits to pseudo-values before the selection of terms, if the noise is Student-t: after clipping,
# the second changes the scale of the noise by less than a percent or two.
STUDENT_T_FITS = 2
# Maximum number of fits with an estimated intraclass correlation: the second moves it by a tenth,
# a third by less than a hundredth.
INTRACLASS_FITS = 2


class Pilot(NamedTuple):
    """Result of the pilot fit.

    Attributes
    ----------
    spread : VarianceFunction
        Variance function of the noise.
    sums : SufficientStatistics
        Statistics of all rows, weighted by the inverse of the variance function.
    posterior : MarginalPosterior
        Posterior of the hyperparameters, given these statistics.
    mode : ndarray, shape (D,)
    sites : dict
        Hyperparameters at the mode.
    quantiles : ndarray
        Those of the standardised noise.
    estimate : VarianceFunctionEstimate, optional
        Variance function with its uncertainty, unless it is constant.
    fit_tests : tuple of FitTest
        Score tests for lack of fit, per contribution and bias.
    student_t : StudentTFit, optional
        Student-t noise and pseudo-values of rows, from which all else is estimated then.
    far : FarOutcomes, optional
        Outcomes that lie far from a fit with Gaussian noise.
    """

    spread: VarianceFunction
    sums: SufficientStatistics
    posterior: MarginalPosterior
    mode: Array
    sites: dict[str, Array]
    quantiles: Array
    estimate: VarianceFunctionEstimate | None = None
    fit_tests: tuple[FitTest, ...] = ()
    student_t: StudentTFit | None = None
    far: FarOutcomes | None = None

    @property
    def noise_sd(self) -> float:
        """Standard deviation of the noise at the mode."""
        return float(self.sites["noise_sd"])

    def with_pseudo_values(self, data: Rows) -> Rows:
        """Rows whose noise is Gaussian, as the fit takes it to be."""
        return data if self.student_t is None else self.student_t.with_pseudo_values(data)

    @classmethod
    def of(
        cls,
        posterior: MarginalPosterior,
        sums: SufficientStatistics,
        spread: VarianceFunction,
        progress: bool,
        start: Array | None = None,
    ) -> Self:
        """Find the mode of a posterior."""
        start = posterior.start if start is None else start
        mode = posterior.mode(start, progress, tolerance=QUICK_TOLERANCE)
        return cls(spread, sums, posterior, mode, posterior.sites(mode), np.zeros(0))


def pilot_fit(
    data: Rows,
    model: Model,
    terms: Decomposition,
    candidates: Sequence[Term],
    progress: bool,
    sample: Observations | None = None,
    remainder: Observations | None = None,
    saved: SavedSums | None = None,
    techniques: Techniques = ALL_TECHNIQUES,
) -> Pilot:
    """Fit with constant variance, estimate the variance function, select terms, and fit again.

    Parameters
    ----------
    data : Rows
        All rows, for the last fit.
    model : Model
    terms : Decomposition
    candidates : sequence of Term
        Terms that forward selection may add.
    progress : bool
    sample : Observations, optional
        Sample of the rows for the selection of terms; by default those in memory. The first fit
        and the variance function use at most ``SPREAD_ROWS`` of them.
    remainder : Observations, optional
        Rows outside the sample, if they are in memory too.
    saved : SavedSums, optional
        Sums over all rows, from a checkpoint.
    techniques : Techniques
        All of them, except in studies of what they buy.

    Raises
    ------
    DataError
        If the actions determine the outcome almost exactly.
    """
    sample = data.in_memory if sample is None else sample
    # Of the same object as the terms, whose functions the model keeps.
    tests = model.fit_tests(sample) if techniques.fit_tests else ()
    sample = sample.by_unit()
    refuse_straight_line(sample)
    some, student_t = sample.sample(SPREAD_ROWS), None
    rows = clipped(some) if model.noise == "student_t" else some
    first = _first_fit(data, rows, model, terms, progress, techniques)
    noise = _noise_fit(first, rows, model, progress)
    for _ in range(STUDENT_T_FITS if model.noise == "student_t" else 0):
        student_t = fit_student_t(first.posterior, first.sites, some, noise.spread)
        rows = student_t.pseudo_values(some)
        first = _first_fit(data, rows, model, terms, progress, techniques)
        noise = _noise_fit(first, rows, model, progress)
    compared = sample if student_t is None else student_t.pseudo_values(sample)
    selection = _select_terms(
        compared, rows, model, first, noise, candidates, tests, progress, techniques
    )
    if student_t is not None:
        if selection.additions:
            # Rows that lie far from the fit without these terms are no outliers.
            wider = _first_fit(data, rows, model, selection.terms, progress, techniques)
            student_t = fit_student_t(wider.posterior, wider.sites, some, noise.spread)
            rows = student_t.pseudo_values(some)
        data = student_t.with_pseudo_values(data)
        sample = student_t.pseudo_values(sample)
        remainder = None if remainder is None else student_t.pseudo_values(remainder)
    if saved is not None and saved.selected == tuple(term.name for term in selection.terms.terms):
        sums = saved.sums._replace(known=pseudo_observations(data, selection.terms))
    else:
        sums = _final_statistics(data, sample, remainder, selection, noise.spread, progress)
    posterior = MarginalPosterior.of(model, selection.terms, sums)
    start = posterior.point(first.sites, terms)
    final = Pilot.of(posterior, sums, noise.spread, progress, start)
    refuse_no_noise(data, final.noise_sd, terms.unit)
    fit_tests = _test_fit(final, selection, rows, model, progress)
    if rows.columns.groups:
        left = residuals(rows, posterior, final.sites, noise.spread, progress)
        fit_tests += tuple(slope_tests(rows, left, posterior.terms, noise.spread))
    return final._replace(
        quantiles=noise.quantiles,
        estimate=noise.estimate,
        fit_tests=fit_tests,
        student_t=student_t,
        far=FarOutcomes.of(data, rows, noise.noise) if student_t is None else None,
    )


class _NoiseFit(NamedTuple):
    """Noise of the first fit: variance function, noise quantiles, and residuals.

    ``residuals`` are over their standard deviations, ``noise`` over that of the noise where the
    relative variance is one.
    """

    spread: VarianceFunction
    estimate: VarianceFunctionEstimate | None
    quantiles: Array
    residuals: Array
    noise: Array


def _first_fit(
    data: Rows,
    rows: Observations,
    model: Model,
    terms: Decomposition,
    progress: bool,
    techniques: Techniques,
) -> Pilot:
    """Fit the model with constant variance to some of the rows."""

    def mode(terms: Decomposition, spread: VarianceFunction, start: Array | None) -> Pilot:
        sums = sufficient_statistics(rows, terms, spread, progress)
        return Pilot.of(MarginalPosterior.of(model, terms, sums), sums, spread, progress, start)

    def fit(intraclass_correlation: float, start: Array | None = None) -> Pilot:
        """Find the mode, and estimate the variances of random effects at an initial guess."""
        spread = VarianceFunction(intraclass_correlation=intraclass_correlation)
        found, effects = mode(terms, spread, start), terms.random_effects
        if effects is None or not techniques.group_variances:
            return found
        matrix, outcome, _ = weighted_design(terms, spread, rows)
        residual = outcome - matrix @ found.posterior.conditional(found.sites).mean
        estimated = replace(terms, random_effects=estimate_ratio(rows, effects, residual, spread))
        return mode(estimated, spread, found.mode)

    first = fit(0.0)
    refuse_no_noise(data, first.noise_sd, terms.unit)
    correlated = rows.weights is not None and techniques.intraclass_correlation
    for _ in range(INTRACLASS_FITS if correlated else 0):
        residual = residuals(rows, first.posterior, first.sites, first.spread, progress)
        correlation = estimate_intraclass_correlation(rows, residual)
        if correlation == first.spread.intraclass_correlation:
            break
        first = fit(correlation, first.mode)
    degrees_of_freedom = float(np.sum(first.posterior.conditional(first.sites).share))
    refuse_exact_replicates(rows, degrees_of_freedom, first.noise_sd / terms.unit)
    return first


def _noise_fit(first: Pilot, rows: Observations, model: Model, progress: bool) -> _NoiseFit:
    """Estimate the variance function and the distribution of the noise from residuals."""
    residual = residuals(rows, first.posterior, first.sites, first.spread, progress)
    spread, estimate = first.spread, None
    if model.spread == "fitted":
        squares, units = row_weights(spread, rows) * residual**2, None
        if rows.weights is not None and rows.within is not None:
            # Mean squares of the residuals of each row's units.
            units = rows.weights
            squares = (squares + rows.within * unit_precision(spread, rows)) / units
        estimate = estimate_variance_function(
            rows.actions,
            rows.intervened,
            squares,
            first.posterior.terms.coordinates,
            units,
            spread.intraclass_correlation,
        )
        spread = estimate.spread
    return _standardised(
        residual * np.sqrt(row_weights(first.spread, rows)), rows, spread, estimate
    )


def _standardised(
    residual: Array,
    rows: Observations,
    spread: VarianceFunction,
    estimate: VarianceFunctionEstimate | None,
) -> _NoiseFit:
    """Standardise residuals, in units of those of single units, by a variance function."""
    variance = spread(rows.actions, rows.intervened)
    standardised = residual / np.sqrt(np.mean(residual**2) * variance)
    noise = residual / np.sqrt(np.mean(residual**2 / variance))
    quantiles = residual_quantiles(residual, variance)
    return _NoiseFit(spread, estimate, quantiles, standardised, noise)


def _select_terms(
    sample: Observations,
    rows: Observations,
    model: Model,
    first: Pilot,
    noise: _NoiseFit,
    candidates: Sequence[Term],
    tests: Sequence[Term],
    progress: bool,
    techniques: Techniques,
) -> Selection:
    """Add the candidates with enough evidence to the terms of the first fit."""
    terms = first.posterior.terms
    # The first fit may have such terms already; then the tests use the next finer functions.
    tests = _next_finer(model, sample, tests, terms)
    suspicious = suspicious_tests(tests, rows.actions, rows.intervened, noise.residuals)

    def compare(suspicious: tuple[Term, ...], before: Selection | None = None) -> Selection:
        """Compare the candidates that are not harmless tests, and the suspicious tests.

        Statistics of those that were compared ``before`` are reused.
        """
        names = {term.name for term in suspicious}
        harmless = tuple(term for term in tests if term.name not in names)
        excluded = {term.name for term in harmless}
        eligible = [term for term in candidates if term.name not in excluded]
        names = {term.name for term in eligible}
        every = (*eligible, *(term for term in suspicious if term.name not in names))
        if before is None:
            statistics = candidate_statistics(sample, terms, every, noise.spread, progress)
        else:
            position = {term.name: i for i, term in enumerate(before.candidates)}
            new = [term for term in every if term.name not in position]
            position |= {term.name: len(position) + i for i, term in enumerate(new)}
            others = candidate_statistics(sample, terms, new, noise.spread, progress, whole=False)
            statistics = before.statistics.and_candidates(others)
            statistics = statistics.of_candidates([position[term.name] for term in every])
        additions = select_terms(
            MarginalPosterior.of(model, terms, statistics.sums),
            first.sites,
            statistics.of_candidates(range(len(eligible))),
            eligible,
            partial(products, sample, terms, eligible, noise.spread, progress),
            techniques.informed_directions,
        )
        additions = (*additions, *control_errors(first.posterior, first.sites))
        return Selection(
            terms.and_terms(additions),
            terms,
            first.sites,
            additions,
            statistics,
            every,
            len(eligible),
            suspicious,
            harmless,
        )

    suspicious = with_pairs(suspicious, tests, terms.terms)
    selection = compare(suspicious)
    # Products of smooth functions may be what an interaction with jumps looks like.
    more = with_pairs(suspicious, tests, selection.additions)
    return compare(more, selection) if len(more) > len(suspicious) else selection


def _final_statistics(
    data: Rows,
    sample: Observations,
    remainder: Observations | None,
    selection: Selection,
    spread: VarianceFunction,
    progress: bool,
) -> SufficientStatistics:
    """Statistics of all rows for the selected terms, reusing those of the sample if possible."""
    whole = len(sample) == len(data)
    incomplete = not whole and (remainder is None or selection.terms.random_effects is not None)
    if selection.additions or incomplete:
        return sufficient_statistics(sample if whole else data, selection.terms, spread, progress)
    sums = selection.statistics.sums
    if whole or remainder is None:
        return sums
    others = sufficient_statistics(remainder, selection.terms, spread, progress)
    return sums.merge(others)._replace(known=sums.known)


def _test_fit(
    final: Pilot, selection: Selection, rows: Observations, model: Model, progress: bool
) -> tuple[FitTest, ...]:
    """Test the final fit against finer functions of each action, and of pairs."""
    if selection.additions:
        # The statistics lack the added terms. A sample suffices to test them.
        results = _score_tests(final, selection.suspicious, rows, model, progress)
    else:
        names = {term.name for term in selection.suspicious}
        indices = [i for i, term in enumerate(selection.candidates) if term.name in names]
        tests = [selection.candidates[i] for i in indices]
        statistics = selection.statistics.of_candidates(indices)
        results = score_tests(final.posterior, final.sites, statistics, tests)
    passed = map(FitTest.passed, selection.harmless)
    return (*with_roughness(results, selection, model), *passed)


def _score_tests(
    final: Pilot, finer: Sequence[Term], rows: Observations, model: Model, progress: bool
) -> tuple[FitTest, ...]:
    """Test a fit against finer functions, or the next finer ones, with some of the rows."""
    few, terms = rows.sample(TEST_ROWS), final.posterior.terms
    tests = _next_finer(model, few, finer, terms)
    statistics = candidate_statistics(few, terms, tests, final.spread, progress, whole=False)
    return score_tests(final.posterior, final.sites, statistics, tests)


def with_noise_and_tests(fit: Pilot, data: Observations, model: Model, progress: bool) -> Pilot:
    """Complete a fit at its mode, with Gaussian noise: test its terms, and describe its noise."""
    terms, spread = fit.posterior.terms, fit.spread
    tests = _next_finer(model, data, model.fit_tests(data), terms)
    rows = data.by_unit().sample(SPREAD_ROWS)
    residual = residuals(rows, fit.posterior, fit.sites, spread, progress)
    of_unit = residual * np.sqrt(effective_units(rows.weights, spread.intraclass_correlation))
    noise = _standardised(of_unit, rows, spread, fit.estimate)
    found = suspicious_tests(tests, rows.actions, rows.intervened, noise.residuals)
    suspicious = with_pairs(found, tests, terms.terms)
    names = {term.name for term in suspicious}
    passed = (FitTest.passed(term) for term in tests if term.name not in names)
    return fit._replace(
        quantiles=noise.quantiles,
        fit_tests=(*_score_tests(fit, suspicious, rows, model, progress), *passed),
        far=FarOutcomes.of(data, rows, noise.noise),
    )


def _next_finer(
    model: Model, rows: Observations, finer: Sequence[Term], terms: Decomposition
) -> list[Term]:
    """Replace functions of an action that are in the model by the next finer ones."""
    present = {term.name for term in terms.terms}
    if present.isdisjoint(term.name for term in finer):
        return list(finer)
    next_finer = {(term.role, term.inputs): term for term in model.fit_tests(rows, 2)}
    return [next_finer[term.role, term.inputs] if term.name in present else term for term in finer]
