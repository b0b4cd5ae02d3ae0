"""Pilot fit: the variance function, the terms, and the mode, before sampling."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple, Self

import numpy as np

from bayes_intgen._typing import Array
from bayes_intgen.data.replicates import refuse_exact_replicates
from bayes_intgen.data.reservoir import SAMPLE_ROWS
from bayes_intgen.data.rows import Observations, Rows
from bayes_intgen.errors import DataError
from bayes_intgen.inference.density.marginal_posterior import NEAR, MarginalPosterior
from bayes_intgen.inference.gaussian.passes import (
    candidate_statistics,
    products,
    sufficient_statistics,
)
from bayes_intgen.inference.gaussian.sufficient_statistics import (
    CandidateStatistics,
    SufficientStatistics,
)
from bayes_intgen.inference.pilot.forward_selection import select_terms
from bayes_intgen.inference.pilot.lack_of_fit import FitTest, score_tests, suspects
from bayes_intgen.inference.pilot.residuals import residuals
from bayes_intgen.models import Model
from bayes_intgen.models.terms import Decomposition, Term
from bayes_intgen.models.variance_function import (
    Homoscedastic,
    VarianceFunction,
    VarianceFunctionEstimate,
    estimate_variance_function,
    residual_quantiles,
)

# Rows from which terms are selected.
PILOT_ROWS = SAMPLE_ROWS
# Rows from which the variance function is estimated: weights need few digits.
SPREAD_ROWS = 20_000
# Rows of the score tests, if terms have joined.
TEST_ROWS = 8_000
# Share of the outcome's standard deviation below which noise is rounding.
MIN_NOISE = 1e-5


class Pilot(NamedTuple):
    """Results of the fits before sampling.

    Attributes
    ----------
    spread : VarianceFunction or Homoscedastic
        Variance function of the noise.
    sums : SufficientStatistics
        Over all rows, weighted by the inverse of the variance function.
    posterior : MarginalPosterior
        Of the hyperparameters, given these sums.
    mode : ndarray, shape (D,)
    sites : dict
        Hyperparameters at the mode.
    shape : ndarray
        Quantiles of the standardised noise.
    estimate : VarianceFunctionEstimate, optional
        The variance function with its uncertainty, unless it is constant.
    fit_tests : tuple of FitTest
        Score tests of whether each action's functions follow the rows.
    """

    spread: VarianceFunction | Homoscedastic
    sums: SufficientStatistics
    posterior: MarginalPosterior
    mode: Array
    sites: dict[str, Array]
    shape: Array
    estimate: VarianceFunctionEstimate | None = None
    fit_tests: tuple[FitTest, ...] = ()

    @classmethod
    def of(
        cls,
        posterior: MarginalPosterior,
        sums: SufficientStatistics,
        spread: VarianceFunction | Homoscedastic,
        progress: bool,
        start: Array | None = None,
    ) -> Self:
        """Search for the mode of a posterior."""
        start = posterior.start if start is None else start
        mode = posterior.mode(start, progress, tolerance=NEAR)
        return cls(spread, sums, posterior, mode, posterior.sites(mode), np.zeros(0))


def pilot_fit(
    data: Rows,
    model: Model,
    terms: Decomposition,
    candidates: Sequence[Term],
    progress: bool,
    held: Observations | None = None,
    others: Observations | None = None,
) -> Pilot:
    """Fit with constant variance, estimate the variance function, select terms, and fit again.

    Parameters
    ----------
    data : Rows
        Rows of the last fit.
    model : Model
    terms : Decomposition
    candidates : sequence of Term
        Terms that join if they have enough evidence.
    progress : bool
    held : Observations, optional
        Sample of the rows, from which terms are selected; by default those in memory. The first
        fit and the variance function use at most ``SPREAD_ROWS`` of it.
    others : Observations, optional
        Rows outside the sample, if they are in memory too.

    Raises
    ------
    DataError
        If the actions determine the outcome all but exactly.
    """
    held = data.in_memory if held is None else held
    _refuse_straight_line(held)
    rows = held.sample(SPREAD_ROWS)
    first = _first_fit(data, rows, model, terms, progress)
    noise = _noise_fit(first, rows, model, progress)
    selection = _select_terms(held, rows, model, first, noise, candidates, progress)
    sums = _final_sums(data, held, others, selection, noise.spread, progress)
    posterior = MarginalPosterior.of(model, selection.terms, sums)
    start = posterior.point(first.sites, terms)
    final = Pilot.of(posterior, sums, noise.spread, progress, start)
    _refuse_no_noise(data, float(final.sites["noise_sd"]), terms.unit)
    fit_tests = _test_fit(final, selection, rows, model, progress)
    return final._replace(shape=noise.shape, estimate=noise.estimate, fit_tests=fit_tests)


class _NoiseFit(NamedTuple):
    """Noise of the first fit: its variance function, its shape, and the standardised residuals."""

    spread: VarianceFunction | Homoscedastic
    estimate: VarianceFunctionEstimate | None
    shape: Array
    standardised: Array


class _Selection(NamedTuple):
    """Terms of the final model, and the score tests that it is worth making.

    Attributes
    ----------
    terms : Decomposition
    joined : tuple of Term
    statistics : CandidateStatistics
        Of the sample, beside the terms of the first fit those in ``beside``.
    beside : tuple of Term
    suspects, harmless : tuple of Term
        Score tests that residuals give a reason to make, and those that they do not.
    """

    terms: Decomposition
    joined: tuple[Term, ...]
    statistics: CandidateStatistics
    beside: tuple[Term, ...]
    suspects: tuple[Term, ...]
    harmless: tuple[Term, ...]


def _first_fit(
    data: Rows, rows: Observations, model: Model, terms: Decomposition, progress: bool
) -> Pilot:
    """Fit some of the rows with constant variance."""
    constant = Homoscedastic()
    sums = sufficient_statistics(rows, terms, constant, progress)
    first = Pilot.of(MarginalPosterior.of(model, terms, sums), sums, constant, progress)
    noise_sd = float(first.sites["noise_sd"])
    _refuse_no_noise(data, noise_sd, terms.unit)
    degrees_of_freedom = float(np.sum(first.posterior.given(first.sites).share))
    refuse_exact_replicates(rows, degrees_of_freedom, noise_sd / terms.unit)
    return first


def _noise_fit(first: Pilot, rows: Observations, model: Model, progress: bool) -> _NoiseFit:
    """Estimate the variance function and the shape of the noise from residuals."""
    of_rows = residuals(rows, first.posterior, first.sites, progress)
    spread: VarianceFunction | Homoscedastic = Homoscedastic()
    estimate = None
    if model.spread == "fitted":
        coordinates = first.posterior.terms.coordinates
        estimate = estimate_variance_function(rows.actions, rows.intervened, of_rows, coordinates)
        spread = estimate.spread
    variance = spread(rows.actions, rows.intervened)
    standardised = of_rows / np.sqrt(np.mean(of_rows**2) * variance)
    return _NoiseFit(spread, estimate, residual_quantiles(of_rows, variance), standardised)


def _select_terms(
    held: Observations,
    rows: Observations,
    model: Model,
    first: Pilot,
    noise: _NoiseFit,
    candidates: Sequence[Term],
    progress: bool,
) -> _Selection:
    """Add the candidates with enough evidence to the terms of the first fit."""
    terms = first.posterior.terms
    every_test = model.fit_tests(held)
    suspected = suspects(every_test, rows.actions, rows.intervened, noise.standardised)
    names = {term.name for term in suspected}
    harmless = tuple(term for term in every_test if term.name not in names)
    without = {term.name for term in harmless}
    candidates = [term for term in candidates if term.name not in without]
    joining = {term.name for term in candidates}
    beside = (*candidates, *(term for term in suspected if term.name not in joining))
    statistics = candidate_statistics(held, terms, beside, noise.spread, progress)
    joined = select_terms(
        MarginalPosterior.of(model, terms, statistics.sums),
        first.sites,
        statistics.of_candidates(range(len(candidates))),
        candidates,
        partial(products, held, terms, candidates, noise.spread, progress),
    )
    return _Selection(terms.and_terms(joined), joined, statistics, beside, suspected, harmless)


def _final_sums(
    data: Rows,
    held: Observations,
    others: Observations | None,
    selection: _Selection,
    spread: VarianceFunction | Homoscedastic,
    progress: bool,
) -> SufficientStatistics:
    """Sums over all rows for the selected terms, reusing those of the sample if possible."""
    if selection.joined or (held is not data and others is None):
        return sufficient_statistics(data, selection.terms, spread, progress)
    sums = selection.statistics.sums
    if others is None:
        return sums
    rest = sufficient_statistics(others, selection.terms, spread, progress)
    return sums.merge(rest)._replace(known=sums.known)


def _test_fit(
    final: Pilot, selection: _Selection, rows: Observations, model: Model, progress: bool
) -> tuple[FitTest, ...]:
    """Test the final fit against finer functions of each action."""
    if selection.joined:
        # A sample shows whether the terms that joined suffice.
        few = rows.sample(TEST_ROWS)
        tests = _beyond(selection.suspects, model.fit_tests(few, 2), selection.terms)
        statistics = candidate_statistics(
            few, selection.terms, tests, final.spread, progress, whole=False
        )
    else:
        names = {term.name for term in selection.suspects}
        chosen = [i for i, term in enumerate(selection.beside) if term.name in names]
        tests = [selection.beside[i] for i in chosen]
        statistics = selection.statistics.of_candidates(chosen)
    passed = map(FitTest.passed, selection.harmless)
    return (*score_tests(final.posterior, final.sites, statistics, tests), *passed)


def _beyond(finer: Sequence[Term], finest: Sequence[Term], terms: Decomposition) -> list[Term]:
    """Replace functions of an action that have joined the model by the next finer ones."""
    present = {term.name for term in terms.terms}
    next_finer = {(term.role, term.action): term for term in finest}
    return [next_finer[term.role, term.action] if term.name in present else term for term in finer]


def _refuse_no_noise(data: Rows, noise_sd: float, unit: float) -> None:
    """Raise DataError if the actions explain the outcome completely."""
    if not noise_sd > MIN_NOISE * unit:
        raise DataError(
            f"the actions determine outcome {data.outcome_name!r} all but exactly (noise of "
            f"{noise_sd:.1g} where its standard deviation is {unit:.3g}), so there is "
            "nothing to infer; check that it was not computed from them"
        )


def _refuse_straight_line(data: Observations) -> None:
    """Raise DataError if a straight line in the actions explains the outcome of nearly all rows.

    Residuals are compared with the interquartile range: one outlier can dominate a standard
    deviation, and so hide from a fit in squashed coordinates that every row is explained.
    """
    centred = data.actions - data.actions.mean(axis=0)
    centred /= centred.std(axis=0)
    outcome = data.outcome - data.outcome.mean()
    slopes, *_ = np.linalg.lstsq(centred, outcome)
    spread = np.subtract(*np.quantile(outcome, [0.75, 0.25]))
    left = np.quantile(np.abs(outcome - centred @ slopes), 0.9)
    if spread > 0:
        _refuse_no_noise(data, float(left), float(spread))
