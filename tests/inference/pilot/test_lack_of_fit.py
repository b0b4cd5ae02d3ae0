import warnings

import jax
import numpy as np
import pandas as pd
import pytest
from scipy import stats

import bayes_intgen as bi
from bayes_intgen.assess.advice import fit_problems
from bayes_intgen.inference.density.marginal_posterior import MarginalPosterior
from bayes_intgen.inference.gaussian.passes import TermSums, sufficient_statistics
from bayes_intgen.inference.pilot.lack_of_fit import score_tests
from bayes_intgen.models.variance_function import VarianceFunction


def world(curve, rows: int = 700, seed: int = 0) -> bi.RegimeData:
    """Two actions with hidden causes; ``curve`` is the effect of the first."""
    rng = np.random.default_rng(seed)
    masks = np.repeat([[False, False], [True, False], [False, True]], rows, axis=0)
    causes = rng.normal(size=masks.shape)
    actions = np.where(masks, rng.normal(size=masks.shape), causes + rng.normal(size=masks.shape))
    outcome = curve(actions[:, 0]) + 0.5 * actions[:, 1] + 0.7 * causes.sum(axis=1)
    return bi.RegimeData.from_arrays(actions, outcome + 0.5 * rng.normal(size=len(masks)), masks)


def test_score_tests_agree_with_the_dense_covariance_of_all_rows() -> None:
    """The covariance of the rows contains the noise and every coefficient of the model."""
    data, model = world(np.sin, rows=120), bi.models.additive("polynomial")
    with jax.enable_x64(True):
        terms, tests = model.decompose(data), model.fit_tests(data)
        wider = terms.and_terms(tests)
        every = TermSums(wider, sufficient_statistics(data, wider, VarianceFunction(), False))
        sums = every.of_candidates(terms, tests)
        posterior = MarginalPosterior.of(model, terms, sums.sums)
        sites = posterior.sites(posterior.start)
        results = score_tests(posterior, sites, sums, tests)
        log_sd = posterior.priors.log_sd(sites)
    design = terms.matrix(data.actions, data.intervened)
    covariance = (design * np.exp(2 * log_sd)) @ design.T
    covariance += float(sites["noise_sd"]) ** 2 * np.eye(len(data))
    residual = data.outcome - terms.centre - design @ posterior.priors.mean
    for test, term in zip(results, tests, strict=True):
        columns = term.component.basis.matrix(data.actions[:, list(term.inputs)])
        columns = columns * term.gate(data.intervened)[:, None]
        weighted_design = np.linalg.solve(covariance, columns)
        score, precision = weighted_design.T @ residual, columns.T @ weighted_design
        # A pair has more functions than rows inform.
        values, vectors = np.linalg.eigh(precision)
        informed = values > 1e-4 * values[-1]
        statistic = np.sum((vectors[:, informed].T @ score) ** 2 / values[informed])
        expected = stats.chi2.sf(statistic, informed.sum())
        assert test.p == pytest.approx(expected, rel=0.05, abs=1e-6)


def test_lack_of_fit_warns_and_is_saved_with_the_fit(tmp_path) -> None:
    data = world(lambda a: np.sin(2 * a), rows=200)
    with pytest.warns(bi.LackOfFitWarning, match="does not follow the contribution .*'a1'"):
        posterior = bi.fit(data, bi.models.additive("linear"), method="laplace", progress=False)
    posterior.save(tmp_path / "fit.nc")
    again = bi.load(tmp_path / "fit.nc")
    (sentence,) = fit_problems(again.tree["constant_data"].dataset)
    assert "'a1'" in sentence
    with warnings.catch_warnings(action="error", category=bi.LackOfFitWarning):
        bi.fit(data, method="laplace", progress=False)


def test_rounding_is_no_lack_of_fit_where_next_to_nothing_is_noise() -> None:
    rng = np.random.default_rng(1)
    masks = np.repeat([[False, False], [True, False], [False, True]], [700, 500, 500], axis=0)
    actions = np.column_stack([rng.uniform(-2, 2, len(masks)), rng.normal(size=len(masks))])
    outcome = np.sin(9 * actions[:, 0]) - actions[:, 1] + 1e-3 * rng.normal(size=len(masks))
    data = bi.RegimeData.from_arrays(actions, outcome, masks)
    with warnings.catch_warnings(action="error", category=bi.LackOfFitWarning):
        bi.fit(data, method="laplace", progress=False)


def test_named_levels_have_no_finer_products() -> None:
    """Those of all levels are in the products themselves; numbers have finer ones."""
    rng = np.random.default_rng(0)
    masks = np.repeat([[False, False], [True, False], [False, True]], 400, axis=0)
    codes = rng.integers(0, 8, masks.shape)
    names = {"a": codes[:, 0], "b": codes[:, 1]}
    columns = {name: pd.Categorical([f"level {i}" for i in own]) for name, own in names.items()}
    regime = np.array(["", "a", "b"])[np.arange(len(codes)) // 400]
    levels = pd.DataFrame(columns).assign(y=rng.normal(size=len(codes)), regime=regime)
    numbers = levels.assign(a=rng.normal(size=len(codes)), b=rng.normal(size=len(codes)))
    model = bi.models.additive()
    pairs = [
        [t for t in model.fit_tests(bi.read(own, ["a", "b"], "y")) if len(t.inputs) > 1]
        for own in (levels, numbers)
    ]
    assert not pairs[0]
    assert pairs[1]
