import jax
import numpy as np
import pandas as pd
import pytest
from _rows import fitted, one_at_a_time, sampled
from scipy import stats

import bayes_intgen as bi
from bayes_intgen.assess.advice import fit_problems
from bayes_intgen.inference.density.marginal_posterior import MarginalPosterior
from bayes_intgen.inference.density.mode import Mode
from bayes_intgen.inference.gaussian.passes import TermSums, sufficient_statistics
from bayes_intgen.inference.pilot.lack_of_fit import score_tests
from bayes_intgen.models.variance_function import VarianceFunction


def waves(rows: int, frequency: float) -> bi.RegimeData:
    common = {"noise": 0.5, "settings": 1.0, "outcome": lambda a, c: (
        np.sin(frequency * a[:, 0]) + 0.5 * a[:, 1] + 0.7 * c.sum(axis=1)
    )}  # fmt: skip
    return sampled([lambda a, c, v: c + v] * 2, rows, **common)


def test_score_tests_agree_with_the_dense_covariance_of_all_rows() -> None:
    """The covariance of the rows contains the noise and every coefficient of the model."""
    data, model = waves(120, 1.0), bi.models.additive("polynomial")
    with jax.enable_x64(True):
        terms, tests = model.decompose(data), model.fit_tests(data)
        wider = terms.and_terms(tests)
        every = TermSums(wider, sufficient_statistics(data, wider, VarianceFunction(), False))
        sums = every.of_candidates(terms, tests)
        posterior = MarginalPosterior.of(model, terms, sums.sums)
        sites = posterior.sites(posterior.start)
        results = score_tests(Mode(posterior, VarianceFunction(), sites), sums, tests)
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
    data = waves(200, 2.0)
    with pytest.warns(bi.LackOfFitWarning, match="does not follow the contribution .*'a1'"):
        fitted(data, bi.models.additive("linear")).save(tmp_path / "fit.nc")
    (sentence,) = fit_problems(bi.load(tmp_path / "fit.nc").tree["constant_data"].dataset)
    assert "'a1'" in sentence
    # Negative control: smooth functions follow it. A warning would be an error.
    fitted(data)


def test_rounding_is_no_lack_of_fit_where_next_to_nothing_is_noise() -> None:
    rng, masks = np.random.default_rng(1), one_at_a_time(2, [700, 500, 500])
    actions = np.column_stack([rng.uniform(-2, 2, len(masks)), rng.normal(size=len(masks))])
    outcome = np.sin(9 * actions[:, 0]) - actions[:, 1] + 1e-3 * rng.normal(size=len(masks))
    # A warning would be an error.
    fitted(bi.RegimeData.from_arrays(actions, outcome, masks))


def test_named_levels_have_no_finer_products() -> None:
    """Those of all levels are in the products themselves; numbers have finer ones."""
    rng = np.random.default_rng(0)
    numbers = pd.DataFrame(rng.normal(size=(1200, 3)), columns=["a", "b", "y"])
    numbers["regime"] = np.repeat(["", "a", "b"], 400)
    a, b = (np.char.add("level ", codes.astype(str)) for codes in rng.integers(0, 8, (2, 1200)))
    levels = numbers.assign(a=a, b=b)
    model = bi.models.additive()
    pairs = [
        [t for t in model.fit_tests(bi.read(own, ["a", "b"], "y")) if len(t.inputs) > 1]
        for own in (levels, numbers)
    ]
    assert not pairs[0]
    assert pairs[1]
