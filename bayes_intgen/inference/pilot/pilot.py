"""Pilot fit: estimate the variance function, select terms, and find the mode, before sampling."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.data.covariates import MAX_GROUP_COLUMNS
from bayes_intgen.data.first_pass import SAMPLE_ROWS
from bayes_intgen.data.rows import Observations, Rows
from bayes_intgen.data.validation import (
    refuse_exact_replicates,
    refuse_no_noise,
    refuse_straight_line,
)
from bayes_intgen.inference.density.marginal_posterior import MarginalPosterior
from bayes_intgen.inference.density.mode import Mode
from bayes_intgen.inference.gaussian.passes import (
    TermSums,
    are_binned,
    binned_sums,
    candidate_statistics,
    candidate_sums,
    pseudo_observations,
    relative_variance,
    row_weights,
    sufficient_statistics,
    unit_precision,
)
from bayes_intgen.inference.gaussian.sufficient_statistics import CandidateStatistics
from bayes_intgen.inference.pilot.changes_in_time import changes_in_time, likely_changes
from bayes_intgen.inference.pilot.checkpoint import SavedSums
from bayes_intgen.inference.pilot.dependence import dependence_of_scores
from bayes_intgen.inference.pilot.first_stage import control_errors, rate_errors
from bayes_intgen.inference.pilot.lack_of_fit import (
    LEVEL,
    SCREENING_LEVEL,
    FitTest,
    at_thresholds,
    score_p_values,
    score_tests,
    slope_tests,
    suspicious_tests,
    with_pairs,
)
from bayes_intgen.inference.pilot.residuals import (
    FarOutcomes,
    estimate_intraclass_correlation,
    estimate_ratio,
    residuals,
)
from bayes_intgen.inference.pilot.selection import (
    Comparison,
    Selection,
    interactions,
    promising,
)
from bayes_intgen.inference.pilot.student_t import (
    StudentTFit,
    clipped,
    fit_student_t,
    refuse_shared_value,
)
from bayes_intgen.inference.settings import ALL_TECHNIQUES, Techniques
from bayes_intgen.models import Model
from bayes_intgen.models.laws import ResidualNoise
from bayes_intgen.models.terms import Decomposition, Term
from bayes_intgen.models.variance_function import (
    VarianceFunction,
    estimate_variance_function,
    variances_of_groups,
)

# Maximum number of rows that decide which terms are compared, if sums over rows are exact. With
# bins those of the first fit decide.
PILOT_ROWS = SAMPLE_ROWS
# Number of score tests, those of some five actions, up to which the level of the screening is the
# same for each.
FEW_TESTS = 40
# Maximum number of likely interactions that are compared with finer functions.
MAX_PAIRS = 8
# Number of candidate columns of pairs of actions beyond which only those are compared whose mean
# residuals show structure: interactions of about 35 actions.
MAX_PAIR_COLUMNS = 6_000
# Maximum number of rows for the variance function: weights need few digits.
SPREAD_ROWS = 20_000
# Share of the noise variance that selected terms explain above which the noise is learned again.
MAX_EXPLAINED = 0.1
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
    mode : Mode
        Fit to all rows.
    quantiles : ndarray
        Those of the standardised noise.
    compared : TermSums, optional
        Statistics of all terms among which these were selected.
    covariance : ndarray, optional
        Of the knot values of the variance function, unless that is constant.
    fit_tests : tuple of FitTest
        Score tests for lack of fit, per contribution and bias.
    student_t : StudentTFit, optional
        Student-t noise and pseudo-values of rows, from which all else is estimated then.
    far : FarOutcomes, optional
        Outcomes that lie far from a fit with Gaussian noise.
    """

    mode: Mode
    quantiles: Array
    compared: TermSums | None = None
    covariance: Array | None = None
    fit_tests: tuple[FitTest, ...] = ()
    student_t: StudentTFit | None = None
    far: FarOutcomes | None = None


def pilot_fit(
    data: Rows,
    model: Model,
    terms: Decomposition,
    candidates: Sequence[Term],
    progress: bool,
    sample: Observations | None = None,
    saved: SavedSums | None = None,
    techniques: Techniques = ALL_TECHNIQUES,
) -> Pilot:
    """Fit with constant variance, estimate the variance function, select terms, and fit again.

    Parameters
    ----------
    data : Rows
        All rows, for the selection of terms and the last fit.
    model : Model
    terms : Decomposition
    candidates : sequence of Term
        Terms that forward selection may add.
    progress : bool
    sample : Observations, optional
        Sample of the rows; by default those in memory. It rules out terms that all rows cannot
        show. The first fit and the variance function use at most ``SPREAD_ROWS`` of them, and so
        does that choice of terms where sums over all rows are from bins.
    saved : SavedSums, optional
        Sums over all rows, from a checkpoint.
    techniques : Techniques
        All of them, except in studies of what they buy.

    Raises
    ------
    DataError
        If the actions determine the outcome almost exactly.
    """
    steps = _Steps(data, model, progress, techniques)
    sample = data.in_memory if sample is None else sample
    tests = model.fit_tests(sample) if techniques.fit_tests else ()
    sample = sample.by_fine_group()
    refuse_straight_line(sample)
    rows, student_t = sample.sample(SPREAD_ROWS), None
    if model.noise == "student_t":
        student_t, first, noise, comparison, wider_fit = steps.student_t(
            sample, rows, terms, candidates, tests
        )
        steps = replace(steps, data=student_t.with_pseudo_values(data))
        sample, rows = student_t.pseudo_values(sample), student_t.pseudo_values(rows)
    else:
        first, noise = steps.first_fit(rows, terms)
        comparison, wider_fit = steps.comparison(sample, rows, first, noise, candidates, tests)
    explained = 1 - (wider_fit.mode.noise_sd / first.noise_sd) ** 2
    # Of means of units, the noise may be that of each, and what terms explain their correlation.
    is_wider = wider_fit.mode.terms.size > first.terms.size and sample.weights is not None
    learns = techniques.noise_of_selection and (is_wider or explained > MAX_EXPLAINED)
    if learns:
        # What selected terms explain has been counted as noise.
        first, noise = steps.first_fit(rows, wider_fit.mode.terms)
        comparison = comparison.with_effects(first.terms.random_effects)
    if learns or len(data) > len(rows):
        if saved is not None:
            comparison = comparison.only(saved.compared)
            sums = steps.saved_sums(comparison.terms, noise.spread, saved)
        elif comparison.optional and len(data) > len(sample):
            comparison, sums = steps.narrowed(comparison, noise.spread)
        else:
            sums = steps.sums(comparison.terms, noise.spread)
        wider_fit = steps.select_and_fit(comparison, steps.data, sums, noise.spread)
    sums, selection, final = wider_fit
    refuse_no_noise(data, final.noise_sd, terms.unit)
    fit_tests = steps.fit_tests(final, selection, sums, sample, rows)
    if techniques.changes_in_time and sample.columns.times:
        final = steps.changing(final, sample)
    own = noise.noise / np.sqrt(noise.spread.factor(rows.inputs))
    far = FarOutcomes.of(steps.data, rows, own) if student_t is None else None
    return Pilot(final, noise.quantiles, sums, noise.covariance, fit_tests, student_t, far)


class _SelectedFit(NamedTuple):
    """Fit with the terms that some rows select, and the sums over these rows."""

    sums: TermSums
    selection: Selection
    mode: Mode


class _NoiseFit(NamedTuple):
    """Noise of the first fit: variance function, noise quantiles, and residuals.

    ``residuals`` are over their standard deviations, ``noise`` over that of the noise where the
    relative variance is one.
    """

    spread: VarianceFunction
    covariance: Array | None
    quantiles: Array
    residuals: Array
    noise: Array


@dataclass(frozen=True)
class _Steps:
    """Steps of a pilot fit.

    Attributes
    ----------
    data : Rows
        All rows.
    model : Model
    progress : bool
    techniques : Techniques
    """

    data: Rows
    model: Model
    progress: bool
    techniques: Techniques

    def first_fit(self, rows: Observations, terms: Decomposition) -> tuple[Mode, _NoiseFit]:
        """Fit with constant variance to some of the rows, and describe the noise by residuals.

        Residuals determine the variance function and the distribution of the noise.
        """
        first = self.mode(rows, terms)
        residual = residuals(rows, first, self.progress)
        spread, covariance = first.spread, None
        if self.model.spread == "fitted":
            squares, units = row_weights(spread, rows) * residual**2, None
            if rows.weights is not None and rows.within is not None:
                # Mean squares of the residuals of each row's units.
                units = rows.weights
                squares = (squares + rows.within * unit_precision(spread, rows)) / units
            spread, covariance = estimate_variance_function(
                rows.actions,
                rows.intervened,
                squares,
                first.terms.coordinates,
                units,
                spread.intraclass_correlation,
                of_several=self.techniques.interactions_of_causes,
            )
            if self.techniques.noise_of_groups:
                spread = with_groups(spread, rows, squares)
        of_unit = residual * np.sqrt(row_weights(first.spread, rows))
        return first, standardised_noise(of_unit, rows, spread, covariance)

    def student_t(
        self,
        sample: Observations,
        some: Observations,
        terms: Decomposition,
        candidates: Sequence[Term],
        tests: Sequence[Term],
    ) -> tuple[StudentTFit, Mode, _NoiseFit, Comparison, _SelectedFit]:
        """Student-t noise, and first fit and comparison with the pseudo-values of rows.

        ``some`` rows of the ``sample`` are those of the first fit.
        """
        refuse_shared_value(sample)
        first, noise = self.first_fit(clipped(some), terms)
        for _ in range(STUDENT_T_FITS):
            student_t = fit_student_t(first, some, noise.spread)
            rows = student_t.pseudo_values(some)
            first, noise = self.first_fit(rows, terms)
        compared = student_t.pseudo_values(sample)
        comparison, wider_fit = self.comparison(compared, rows, first, noise, candidates, tests)
        wider = wider_fit.mode.terms
        if wider.size > terms.size:
            # Rows that lie far from the fit without these terms are no outliers.
            fit, noise = self.first_fit(rows, wider)
            student_t = fit_student_t(fit, some, noise.spread)
        return student_t, first, noise, comparison, wider_fit

    def mode(self, rows: Observations, terms: Decomposition) -> Mode:
        """Find the mode with constant variance, given some of the rows."""
        first = self._mode(rows, terms, 0.0)
        refuse_no_noise(self.data, first.noise_sd, terms.unit)
        correlated = rows.weights is not None and self.techniques.intraclass_correlation
        for _ in range(INTRACLASS_FITS if correlated else 0):
            residual = residuals(rows, first, self.progress)
            correlation = estimate_intraclass_correlation(rows, residual)
            if correlation == first.spread.intraclass_correlation:
                break
            first = self._mode(rows, terms, correlation, first.point)
        degrees_of_freedom = float(np.sum(first.conditional.share))
        refuse_exact_replicates(rows, degrees_of_freedom, first.noise_sd / terms.unit)
        return first

    def _mode(
        self,
        rows: Observations,
        terms: Decomposition,
        correlation: float,
        start: Array | None = None,
    ) -> Mode:
        """Find the mode given an intraclass correlation, and the variances of random effects."""
        spread, effects = VarianceFunction(intraclass_correlation=correlation), terms.random_effects
        sums = sufficient_statistics(rows, terms, spread, self.progress)
        posterior = MarginalPosterior.of(self.model, terms, sums)
        found = Mode.of(posterior, spread, self.progress, start)
        if effects is None or not self.techniques.group_variances:
            return found
        # Variances of random effects were an initial guess.
        residual = rows.outcome - terms.centre - terms.design(rows) @ found.conditional.mean
        terms = replace(terms, random_effects=estimate_ratio(rows, effects, residual, spread))
        sums = sufficient_statistics(rows, terms, spread, self.progress)
        posterior = MarginalPosterior.of(self.model, terms, sums)
        return Mode.of(posterior, spread, self.progress, found.point)

    def comparison(
        self,
        sample: Observations,
        rows: Observations,
        first: Mode,
        noise: _NoiseFit,
        candidates: Sequence[Term],
        tests: Sequence[Term],
    ) -> tuple[Comparison, _SelectedFit]:
        """Choose what sums over all rows compare, by a sample of them.

        ``first`` and ``noise`` are a first fit, to ``rows``.
        """
        terms, count = first.terms, len(self.data)
        # The first fit may have such terms already; then the tests use the next finer functions.
        tests = next_finer(self.model, sample, tests, terms)
        names = {term.name for term in tests}
        compared = [term for term in candidates if term.name not in names]
        every = terms.and_terms(compared)
        many = self.techniques.binned_sums and are_binned(self.data, every)
        if many:
            # Bins of the rows of the first fit serve both the screening and what it leaves.
            # What smooth functions explain needs no finer ones, whose products take most of the
            # time of a pass over many rows.
            binned = TermSums(every, binned_sums(rows, every, noise.spread, self.progress))
            smooth = Comparison(first, (), tuple(compared), (), (), every)
            wider_fit = self.select_and_fit(smooth, rows, binned, noise.spread)
            residual, present = residuals(rows, wider_fit.mode, self.progress), wider_fit.mode.terms
            residual *= np.sqrt(row_weights(noise.spread, rows))
            residual /= np.sqrt(np.mean(residual**2))
        else:
            residual, present = noise.residuals, terms
        suspicious = suspicious_tests(tests, rows, residual, present, count)
        others = _screened(compared, tests, suspicious)
        if many:
            statistics, scale = binned.of_candidates(terms, others), count / len(rows)
        else:
            statistics = candidate_statistics(sample, terms, others, noise.spread, self.progress)
            scale = count / len(sample)
        given = first.given(statistics.sums, noise.spread)
        likely = promising(given, statistics, others, max(1.0, scale))
        # Of ever more rows, all interactions are likely until all rows are compared.
        pairs = [] if many else interactions(likely)[:MAX_PAIRS]
        more = with_pairs(suspicious, tests, pairs)
        errors: tuple[Term, ...] = ()
        if self.techniques.control_errors:
            errors = control_errors(first)
        if terms.carryover:
            errors += rate_errors(first)
        # Candidates are centred over all rows.
        same = {term.name: term for term in candidates}
        tested = [same.get(term.name, term) for term in more]
        if self.techniques.moved_knots:
            tested = [own for term in tested for own in at_thresholds(term, rows, residual)]
        same |= {term.name: term for term in tested if term.name in same}
        candidates = tuple(same.values())
        every = terms.and_terms((*errors, *(candidate.term for candidate in likely), *tested))
        comparison = Comparison(first, errors, candidates, tuple(tests), suspicious, every)
        if not many:
            own = sufficient_statistics(rows, every, noise.spread, self.progress)
            wider_fit = self.select_and_fit(comparison, rows, TermSums(every, own), noise.spread)
        return comparison, wider_fit

    def select_and_fit(
        self, comparison: Comparison, rows: Rows, sums: TermSums, spread: VarianceFunction
    ) -> _SelectedFit:
        """Select terms, by as many of the rows of sums as are independent, and fit with them."""
        fit = comparison.fit.given(sums.of(comparison.fit.terms), spread)
        dependence = self.dependence(rows, fit, sums)
        selection = comparison.select(sums, fit, dependence, self.techniques.informed_directions)
        return _SelectedFit(sums, selection, self.refit(fit, spread, sums, selection.terms))

    def narrowed(
        self, comparison: Comparison, spread: VarianceFunction
    ) -> tuple[Comparison, TermSums]:
        """Leave out what no selection or test needs, by all rows."""
        terms, optional = comparison.fit.terms, comparison.optional
        binned = self.techniques.binned_sums
        statistics, sums_of = candidate_sums(
            self.data, terms, comparison.terms, optional, spread, self.progress, binned
        )
        given = comparison.fit.given(statistics.sums, spread)
        likely = promising(given, statistics, optional)
        p_values = score_p_values(given, statistics)
        # Of many tests, one fails only with a smaller p value.
        level = SCREENING_LEVEL * min(1.0, FEW_TESTS / max(1, len(comparison.tests)))
        rejected = [t for t, p in zip(optional, p_values, strict=True) if p < level]
        more = with_pairs(rejected, comparison.tests, [*terms.terms, *interactions(likely)])
        comparison = comparison.only([t.name for t in (*(c.term for c in likely), *more)])
        return comparison, sums_of(comparison.terms)

    def sums(self, terms: Decomposition, spread: VarianceFunction) -> TermSums:
        """Sum over all rows."""
        binned = self.techniques.binned_sums
        sums = sufficient_statistics(self.data, terms, spread, self.progress, binned)
        return TermSums(terms, sums)

    def dependence(self, rows: Rows, fit: Mode, sums: TermSums) -> Array:
        """See :func:`dependence_of_scores`."""
        if not self.techniques.dependent_scores:
            return np.zeros((sums.terms.size, 0))
        return dependence_of_scores(rows, fit, sums.terms, np.diag(sums.sums.xx))

    def saved_sums(
        self, terms: Decomposition, spread: VarianceFunction, saved: SavedSums
    ) -> TermSums:
        """Sums of a checkpoint, unless it has those of other terms."""
        if saved.compared != tuple(term.name for term in terms.terms):
            return self.sums(terms, spread)
        known = pseudo_observations(self.data, terms)
        return TermSums(terms, saved.sums._replace(known=known))

    def refit(
        self, fit: Mode, spread: VarianceFunction, sums: TermSums, terms: Decomposition
    ) -> Mode:
        """Find the mode with more terms, or by other rows, from that of a fit."""
        posterior = MarginalPosterior.of(self.model, terms, sums.of(terms))
        start = posterior.point(fit.sites, fit.terms)
        return Mode.of(posterior, spread, self.progress, start)

    def changing(self, final: Mode, sample: Observations) -> Mode:
        """Let effects or biases change along times where all rows say so."""
        changes = changes_in_time(final, sample)
        if not changes:
            return final
        terms = final.terms
        every = terms.and_terms([term for own in changes for term in own])
        sums = self.sums(every, final.spread)
        dependence = self.dependence(self.data, final, sums)
        likely = likely_changes(final, sums, changes, dependence)
        if not likely:
            return final
        return self.refit(final, final.spread, sums, terms.and_terms(likely))

    def fit_tests(
        self,
        final: Mode,
        selection: Selection,
        sums: TermSums,
        sample: Observations,
        rows: Observations,
    ) -> tuple[FitTest, ...]:
        """Test the final fit against finer functions, moderators, and slopes of groups.

        ``rows`` are those among ``sample`` from which the noise was learned.
        """
        terms = final.terms
        finer = next_finer(self.model, sample, selection.suspicious, terms)
        summed = {term.name: term for term in sums.terms.terms}
        tests = [summed[term.name] for term in finer if term.name in summed]
        statistics = sums.of_candidates(terms, tests)
        results = dependent_tests(self.data, final, statistics, tests)
        # A sample suffices for functions that are finer than those that all rows have added.
        others = [term for term in finer if term.name not in summed]
        if sample.columns.names and not sample.columns.times:
            # Rows that depend on each other are no test of what may change with a covariate.
            others += self.model.moderator_tests(sample)
        if others:
            results += fit_tests_of(final, others, sample, self.progress)
        results += selection.jumps
        passed = tuple(map(FitTest.of, selection.harmless))
        if not rows.columns.groups:
            return results + passed
        left = residuals(rows, final, self.progress)
        return results + passed + tuple(slope_tests(rows, left, terms, final.spread))


def with_groups(spread: VarianceFunction, rows: Observations, squares: Array) -> VarianceFunction:
    """Let the variance differ between groups, where squared residuals of rows do."""
    columns, found = rows.columns, dict[int, Array]()
    for at, labels in enumerate(columns.labels, len(rows.names) + len(columns.names)):
        if 1 < len(labels) <= MAX_GROUP_COLUMNS:
            codes = rows.inputs[:, at].astype(int)
            relative = squares / spread(rows.actions, rows.intervened)
            own = variances_of_groups(codes, relative, len(labels))
            found |= {} if own is None else {at: own}
    return replace(spread, groupings=tuple(found), of_groups=tuple(found.values()))


def standardised_noise(
    residual: Array,
    rows: Observations,
    spread: VarianceFunction,
    covariance: Array | None,
) -> _NoiseFit:
    """Standardise residuals, in units of those of single units, by a variance function."""
    variance = relative_variance(spread, rows)
    standardised = residual / np.sqrt(np.mean(residual**2) * variance)
    noise = residual / np.sqrt(np.mean(residual**2 / variance))
    quantiles = ResidualNoise.of(residual, variance).quantiles
    return _NoiseFit(spread, covariance, quantiles, standardised, noise)


def _screened(
    candidates: Sequence[Term], tests: Sequence[Term], suspicious: Sequence[Term]
) -> Sequence[Term]:
    """Candidates without pairs whose mean residuals show no structure, if pairs are many."""
    pairs = [term for term in candidates if len(term.inputs) > 1]
    if sum(term.component.basis.size for term in pairs) <= MAX_PAIR_COLUMNS:
        return candidates
    harmless = {_functions_of(t) for t in tests} - {_functions_of(t) for t in suspicious}
    return [t for t in candidates if len(t.inputs) == 1 or _functions_of(t) not in harmless]


def _functions_of(term: Term) -> tuple[int | None, tuple[int, ...]]:
    """What a term is a function of, whatever its resolution and regimes."""
    return term.action, term.inputs


def fit_tests_of(
    fit: Mode, tests: Sequence[Term], data: Rows, progress: bool
) -> tuple[FitTest, ...]:
    """Test a fit against finer functions, in a pass of their own."""
    statistics = candidate_statistics(data, fit.terms, tests, fit.spread, progress)
    return dependent_tests(data, fit, statistics, tests)


def dependent_tests(
    data: Rows, fit: Mode, statistics: CandidateStatistics, tests: Sequence[Term]
) -> tuple[FitTest, ...]:
    """Test a fit against finer functions, by as many of some rows as are independent.

    The others make p values larger, which changes nothing where none is small.
    """
    results = score_tests(fit, statistics, tests)
    if all(test.p >= LEVEL for test in results):
        return results
    squares = map(np.diag, (statistics.sums.xx, *statistics.own))
    terms = fit.terms.and_terms(tests)
    dependence = dependence_of_scores(data, fit, terms, np.concatenate([*squares]))
    return score_tests(fit, statistics, tests, dependence)


def next_finer(
    model: Model, rows: Observations, finer: Sequence[Term], terms: Decomposition
) -> list[Term]:
    """Replace functions of an action that are in the model by the next finer ones."""
    present = {term.name for term in terms.terms}
    if present.isdisjoint(term.name for term in finer):
        return list(finer)
    next_finer = {(term.role, term.inputs): term for term in model.fit_tests(rows, 2)}
    return [next_finer[term.role, term.inputs] if term.name in present else term for term in finer]
