"""What is known before sampling: the mode, and how the noise's variance depends on rows."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple, Self

import numpy as np

from bayes_intgen.bases import Array
from bayes_intgen.collapsed import NEAR, Collapsed
from bayes_intgen.decomposition import Decomposition, Term
from bayes_intgen.errors import DataError
from bayes_intgen.goodness import FitTest, score_tests, suspects
from bayes_intgen.gram import Sums
from bayes_intgen.models import Model
from bayes_intgen.noise import ConstantSpread, Spread, SpreadEstimate, estimate_spread, shape_of
from bayes_intgen.passes import candidate_sums, products, residuals, sums_over
from bayes_intgen.replicates import refuse_exact_replicates
from bayes_intgen.reservoir import SAMPLE_ROWS
from bayes_intgen.rows import Observations, Rows
from bayes_intgen.screening import asked_for

# Rows from which the structure of the mean is learned.
PILOT_ROWS = SAMPLE_ROWS
# Rows from which the variance function is learned: as weights, a few digits of it will do.
SPREAD_ROWS = 20_000
# Rows by which a fit is tested that terms have joined.
TEST_ROWS = 8_000
# Noise below this share of the outcome's standard deviation is rounding, not noise.
LEAST_NOISE = 1e-5


class Pilot(NamedTuple):
    """What is known before sampling: the noise's spread, the posterior it gives, its mode.

    ``shape`` holds quantiles of the standardised noise, ``estimate`` the spread with its
    uncertainty where it is not constant, and ``fit_tests`` whether each action's functions follow
    the rows.
    """

    spread: Spread | ConstantSpread
    sums: Sums
    posterior: Collapsed
    mode: Array
    sites: dict[str, Array]
    shape: Array
    estimate: SpreadEstimate | None = None
    fit_tests: tuple[FitTest, ...] = ()

    @classmethod
    def of(
        cls,
        posterior: Collapsed,
        sums: Sums,
        spread: Spread | ConstantSpread,
        progress: bool,
        start: Array | None = None,
    ) -> Self:
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
    """Fit with one variance, estimate the variance function, and fit again with it.

    Candidates that the data ask for join the terms. Raises DataError where the actions determine
    the outcome all but exactly.

    Parameters
    ----------
    data : Rows
        That the last fit sees.
    model : Model
    terms : Decomposition
    candidates : sequence of Term
    progress : bool
    held : Observations, optional
        A sample of them that says which candidates join; all of them if not given. The first fit,
        and with it the variance function, is of at most ``SPREAD_ROWS`` of it.
    others : Observations, optional
        The rows that are not in it, where they need not be read again.
    """
    held = data.held if held is None else held
    _refuse_straight_line(held)
    constant, few = ConstantSpread(), held.sample(SPREAD_ROWS)
    sums = sums_over(few, terms, constant, progress)
    first = Pilot.of(Collapsed.of(model, terms, sums), sums, constant, progress)
    noise_sd = float(first.sites["noise_sd"])
    _refuse_no_noise(data, noise_sd, terms.unit)
    freedom = float(np.sum(first.posterior.given(first.sites).share))
    refuse_exact_replicates(few, freedom, noise_sd / terms.unit)
    found = residuals(few, first.posterior, first.sites, progress)
    spread: Spread | ConstantSpread = constant
    estimate = None
    if model.spread == "fitted":
        estimate = estimate_spread(few.actions, few.intervened, found, terms.coordinates)
        spread = estimate.spread
    shape = shape_of(found, spread(few.actions, few.intervened))

    # Functions of which mean residuals show nothing need no further look.
    standardised = found / np.sqrt(np.mean(found**2) * spread(few.actions, few.intervened))
    every_test = model.fit_tests(held)
    finer = suspects(every_test, few.actions, few.intervened, standardised)
    named = {term.name for term in finer}
    harmless = {term.name for term in every_test} - named
    candidates = [term for term in candidates if term.name not in harmless]
    joining = {term.name for term in candidates}
    beside = (*candidates, *(term for term in finer if term.name not in joining))
    seen = candidate_sums(held, terms, beside, spread, progress)
    of_pairs = partial(products, held, terms, candidates, spread, progress)
    without = Collapsed.of(model, terms, seen.sums)
    of_candidates = seen.of_candidates(range(len(candidates)))
    asked = asked_for(without, first.sites, of_candidates, candidates, of_pairs)
    joined = terms.and_terms(asked)
    if not asked and (held is data or others is not None):
        # The rows that are held are summed already.
        sums = seen.sums
        if others is not None:
            more = sums_over(others, joined, spread, progress)
            sums = sums.joined(more)._replace(known=sums.known)
    else:
        sums = sums_over(data, joined, spread, progress)
    posterior = Collapsed.of(model, joined, sums)
    start = posterior.point(first.sites, terms)
    found_again = Pilot.of(posterior, sums, spread, progress, start)
    _refuse_no_noise(data, float(found_again.sites["noise_sd"]), terms.unit)
    if asked:
        # A sample shows whether what has joined suffices.
        rows = few.sample(TEST_ROWS)
        tests = _beyond(finer, model.fit_tests(rows, 2), joined)
        beside_fit = candidate_sums(rows, joined, tests, spread, progress, whole=False)
    else:
        chosen = [i for i, term in enumerate(beside) if term.name in named]
        tests, beside_fit = [beside[i] for i in chosen], seen.of_candidates(chosen)
    passed = tuple(FitTest.passed(term) for term in every_test if term.name in harmless)
    fit_tests = (*score_tests(posterior, found_again.sites, beside_fit, tests), *passed)
    return found_again._replace(shape=shape, estimate=estimate, fit_tests=fit_tests)


def _beyond(finer: Sequence[Term], finest: Sequence[Term], terms: Decomposition) -> list[Term]:
    """Functions of each action that are finer than its own, some of which may have joined."""
    present = {term.name for term in terms.terms}
    rougher = {(term.role, term.action): term for term in finest}
    return [rougher[term.role, term.action] if term.name in present else term for term in finer]


def _refuse_no_noise(data: Rows, noise_sd: float, unit: float) -> None:
    """Raise DataError where nothing is left of the outcome that the actions do not explain."""
    if not noise_sd > LEAST_NOISE * unit:
        raise DataError(
            f"the actions determine outcome {data.outcome_name!r} all but exactly (noise of "
            f"{noise_sd:.1g} where its standard deviation is {unit:.3g}), so there is "
            "nothing to infer; check that it was not computed from them"
        )


def _refuse_straight_line(data: Observations) -> None:
    """As :func:`_refuse_no_noise`, for a straight line in the actions.

    Against the spread of most rows: one outlier can be all of a standard deviation, and hide
    from a fit in squashed coordinates that every row is explained.
    """
    centred = data.actions - data.actions.mean(axis=0)
    centred /= centred.std(axis=0)
    outcome = data.outcome - data.outcome.mean()
    slopes, *_ = np.linalg.lstsq(centred, outcome)
    spread = np.subtract(*np.quantile(outcome, [0.75, 0.25]))
    left = np.quantile(np.abs(outcome - centred @ slopes), 0.9)
    if spread > 0:
        _refuse_no_noise(data, float(left), float(spread))
