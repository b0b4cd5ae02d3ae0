"""Sums over many rows from bins, and from the design matrix."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from _rows import fitted, one_at_a_time

import bayes_intgen as bi
from bayes_intgen.basis.control import ControlBasis, ControlError
from bayes_intgen.data.rows import Observations
from bayes_intgen.inference.density.marginal_posterior import MarginalPosterior
from bayes_intgen.inference.gaussian.passes import MIN_BINNED_ROWS, sufficient_statistics
from bayes_intgen.inference.gaussian.sufficient_statistics import SufficientStatistics
from bayes_intgen.inference.pilot.first_stage import with_observed_causes
from bayes_intgen.models.terms import ALWAYS, Decomposition, Term
from bayes_intgen.models.variance_function import VarianceFunction

MODEL = bi.models.additive(covariates={"age": bi.GP()}, groups={"region": ["level"]})


@pytest.fixture(scope="module")
def rows() -> bi.RegimeData:
    """A long tail, an action that another moves and that is often zero, levels, and units."""
    rng, rows = np.random.default_rng(0), 60_000
    regime = rng.choice(["", "tv", "search", "promo"], size=rows)
    cause = rng.normal(size=(rows, 3))
    tv = np.exp(np.where(regime == "tv", rng.normal(size=rows), cause[:, 0]))
    search = 0.5 * np.log(tv) + cause[:, 1] + 0.5 * rng.normal(size=rows)
    search = np.where(regime == "search", rng.normal(size=rows), search).clip(-1)
    usual = (cause[:, 2] > 0).astype(int) + (cause[:, 2] > 1)
    promo = np.where(regime == "promo", rng.integers(0, 3, size=rows), usual)
    age, region = rng.normal(50, 15, size=rows), rng.choice(["north", "south"], size=rows)
    mean = np.sin(search) + np.log1p(tv) * (1 + 0.1 * promo) + cause.sum(axis=1) + 0.01 * age
    frame = pd.DataFrame(
        {
            **{"tv": tv, "search": search, "promo": np.array(["no", "some", "much"])[promo]},
            **{"age": age, "region": region, "units": rng.integers(1, 9, size=rows)},
            **{"regime": regime, "sales": mean + 0.5 * rng.normal(size=rows)},
        }
    )
    roles = {"covariates": ["age"], "groups": ["region"], "weights": "units"}
    return bi.RegimeData.from_frame(frame, ["tv", "search", "promo"], "sales", "regime", **roles)


@pytest.fixture(scope="module")
def terms(rows: bi.RegimeData) -> tuple[Decomposition, tuple[Term, ...]]:
    """Terms with a control variable, and a candidate of every kind."""
    candidates = (*MODEL.candidates(rows), *MODEL.fit_tests(rows))
    base, every = with_observed_causes(rows, MODEL, MODEL.decompose(rows), candidates)
    kinds: dict[tuple[object, ...], Term] = {}
    for term in every:
        many = term.component.basis.size > 50
        kinds.setdefault((type(term.component.basis), many, term.gate, len(term.inputs)), term)
    own = next(t for t in base.terms if isinstance(t.component.basis, ControlBasis))
    function = own.component.basis
    slopes = (0.5,) * len(function.control.bases)
    basis = ControlError((function,), (np.ones(function.size),), slopes)
    error = replace(own, name="error", gate=ALWAYS, component=replace(own.component, basis=basis))
    return base, (*kinds.values(), error)


def _exact(rows: Observations, terms: Decomposition) -> SufficientStatistics:
    weights = np.ones(len(rows)) if rows.weights is None else rows.weights
    return SufficientStatistics.over(terms.design(rows), rows.outcome - terms.centre, weights)


def _error(sums: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Errors of products of columns, relative to their lengths."""
    size = np.sqrt(np.diag(exact))
    return np.abs(sums - exact) / np.outer(size, size)


def _answers(sums: SufficientStatistics, terms: Decomposition, at: Observations) -> np.ndarray:
    """Posterior means and standard deviations of the mean at rows, at the prior's median."""
    posterior = MarginalPosterior.of(MODEL, terms, sums)
    conditional = posterior.conditional(posterior.sites(posterior.start))
    design = terms.design(at)
    variance = np.sum(design @ conditional.covariance * design, axis=1)
    return np.array([design @ conditional.mean, np.sqrt(variance)])


def test_posteriors_are_those_of_exact_sums(rows, terms) -> None:
    assert len(rows) >= MIN_BINNED_ROWS
    every = terms[0].and_terms(terms[1])
    sums = sufficient_statistics(rows, every, VarianceFunction(), progress=False)
    exact, at = _exact(rows, every), rows.sample(300)
    assert (sums.rows, sums.factor.log_scale) == pytest.approx((exact.rows, exact.factor.log_scale))
    mean, sd = _answers(exact, every, at)
    from_bins = _answers(sums, every, at)
    assert np.abs((from_bins[0] - mean) / sd).max() < 0.02
    np.testing.assert_allclose(from_bins[1], sd, rtol=0.01)
    # Negative control: actions rounded to a tenth of their spread.
    rounded = rows.actions.copy()
    rounded[:, 1] = rounded[:, 1].round(1)
    others = _exact(replace(rows, actions=rounded), every)
    assert np.abs((_answers(others, every, at)[0] - mean) / sd).max() > 0.1


def test_functions_with_jumps_and_piecewise_linear_ones_are_exact(rows, terms) -> None:
    """Such as a spend of zero, levels, and finer functions of one action and of two."""
    every = terms[0].and_terms(terms[1])
    sums = sufficient_statistics(rows, every, VarianceFunction(), progress=False)
    exact = _exact(rows, every)
    finer = {term.name for term in MODEL.fit_tests(rows)} & set(every.columns)
    assert any("," in name for name in finer)
    names = [*finer, "error", "phi(promo)", "delta(promo)", "phi(search) atom"]
    columns = np.concatenate([np.arange(every.size)[every.columns[name]] for name in names])
    error = _error(sums.xx, exact.xx)
    # Products are summed in single precision within a batch.
    assert error[np.ix_(columns, columns)].max() < 1e-5
    # Negative control: the others are interpolated.
    assert 2e-5 < error.max() < 1e-3


@pytest.mark.parametrize("largest", [0.0, 1e3, 1e6])
def test_piecewise_linear_functions_are_right_beside_a_cell_far_away(largest) -> None:
    rng, was_set = np.random.default_rng(5), one_at_a_time(2, 20_000)
    actions = np.exp(rng.normal(size=was_set.shape) * [2.0, 0.1])
    actions[0, 0] = max(actions[0, 0], 1e3 * largest)
    data = bi.RegimeData.from_arrays(actions, rng.normal(size=len(actions)), was_set)
    model = bi.models.additive()
    every = model.decompose(data).and_terms(model.fit_tests(data))
    sums = sufficient_statistics(data, every, VarianceFunction(), progress=False)
    assert _error(sums.xx, _exact(data, every).xx).max() < 1e-3


@pytest.mark.parametrize("noise", [1.0, 1e-2, 1e-4])
def test_noise_is_right_also_where_it_is_next_to_nothing_of_the_outcome(noise) -> None:
    rng, was_set = np.random.default_rng(4), one_at_a_time(2, 20_000)
    actions = rng.normal(size=was_set.shape)
    outcome = actions @ [1.0, 2.0] + noise * rng.normal(size=len(actions))
    data = bi.RegimeData.from_arrays(actions, outcome, was_set)
    posterior = fitted(data, bi.models.additive("linear"))
    sd = posterior.tree["posterior"]["noise_sd"].mean().item()
    # Four standard errors.
    assert sd == pytest.approx(noise, rel=4 / np.sqrt(2 * len(actions)))


@pytest.mark.filterwarnings("ignore:.*:bayes_intgen.errors.DataWarning")
def test_a_tail_far_beyond_all_other_values_is_fitted() -> None:
    """Rounding in single precision exceeds what the other rows say of a column."""
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(60_000, 3))
    normal = 0.7 * hidden + 0.7 * rng.normal(size=hidden.shape)
    which = rng.integers(0, 4, size=len(hidden))[:, None] == np.arange(1, 4)
    normal[which] = rng.normal(size=which.sum())
    actions = np.exp(4 * normal)
    outcome = (actions / actions.std(axis=0) + 0.5 * hidden).sum(axis=1)
    outcome += 0.5 * rng.normal(size=len(hidden))
    model = bi.models.additive(graph={})
    posterior = fitted(bi.RegimeData.from_arrays(actions, outcome, which), model)
    assert 0.5 < posterior.tree["posterior"]["noise_sd"].mean() < outcome.std()


@pytest.mark.parametrize("rows_in_all", [3_000, 60_000])
def test_equal_rows_have_the_sums_of_all(rows_in_all) -> None:
    rng = np.random.default_rng(6)
    was_set = np.arange(rows_in_all)[:, None] % 4 == [1, 2]
    hidden = rng.normal(size=was_set.shape)
    actions = np.where(was_set, rng.integers(0, 3, was_set.shape), np.clip(np.rint(hidden), 0, 2))
    outcome = 100 + actions[:, 0] * (1 + actions[:, 1]) + hidden.sum(axis=1)
    data = bi.RegimeData.from_arrays(actions, outcome, was_set)
    assert len(data.joined) <= 9 * 3 < len(data)
    model = bi.models.additive(bi.Levels())
    every = model.decompose(data).and_terms(model.candidates(data))
    knots = np.full((2, 5), 1.0)
    spread = VarianceFunction(every.coordinates, knots, rng.uniform(0.2, 1.0, 1 + 2 * knots.size))
    sums = sufficient_statistics(data, every, spread, progress=False)
    weights = 1 / spread(data.actions, data.intervened)
    exact = SufficientStatistics.over(every.design(data), outcome - every.centre, weights)
    assert (sums.rows, sums.factor.log_scale) == pytest.approx((exact.rows, exact.factor.log_scale))
    assert _error(sums.factor.matrix, exact.factor.matrix).max() < 1e-12
    # Negative control: one number of many digits per row.
    moved = replace(data, actions=actions + 1e-9 * hidden)
    assert moved.joined is moved
