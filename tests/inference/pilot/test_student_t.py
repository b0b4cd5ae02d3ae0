import numpy as np
import pytest
from scipy.stats import t as student_t

import bayes_intgen as bi
from bayes_intgen.inference.density.marginal_posterior import MarginalPosterior
from bayes_intgen.inference.gaussian.passes import sufficient_statistics
from bayes_intgen.inference.pilot.student_t import StudentTFit, robust_fit
from bayes_intgen.models.variance_function import Homoscedastic

from conftest import confounded_rows

RELATIVE = np.repeat([0.5, 2.0], 600)


def fit_line(
    noise: np.ndarray, relative_sd: np.ndarray = RELATIVE
) -> tuple[StudentTFit, np.ndarray, np.ndarray]:
    """Fit a straight line in two actions with this noise; return design matrix and outcome too."""
    rows = confounded_rows(len(noise) // 3, seed=3)
    outcome = rows.actions @ [1.0, -0.5] + noise
    data = bi.RegimeData.from_arrays(rows.actions, outcome, rows.intervened, rows.names)
    model = bi.models.additive("linear", noise="student_t")
    terms = model.decompose(data)
    posterior = MarginalPosterior.of(
        model, terms, sufficient_statistics(data, terms, Homoscedastic(), False)
    )
    sites = posterior.sites(posterior.mode(posterior.start, progress=False))
    matrix = terms.matrix(data.actions, data.intervened)
    outcome = data.outcome - terms.centre
    return robust_fit(posterior, sites, matrix, relative_sd, outcome), matrix, outcome


@pytest.mark.parametrize("df", [2.5, 5.0])
def test_scale_and_degrees_of_freedom_are_recovered(df: float) -> None:
    noise = 0.3 * np.random.default_rng(1).standard_t(df, 1200)
    fit, *_ = fit_line(noise * RELATIVE)
    error = fit.log_mode - np.log([0.3, df])
    # 14 is the 0.999 quantile of a chi-squared distribution with two degrees of freedom.
    assert error @ np.linalg.solve(fit.covariance, error) < 14
    assert 0.02 < np.sqrt(fit.covariance[0, 0]) < 0.06
    assert np.sqrt(fit.covariance[1, 1]) < 0.35
    # Negative control: a fit that ignores the relative noise of rows is far off.
    wrong, *_ = fit_line(noise * RELATIVE, np.ones(1200))
    error = wrong.log_mode - np.log([0.3, df])
    assert error @ np.linalg.solve(wrong.covariance, error) > 25


def test_normal_noise_has_many_degrees_of_freedom() -> None:
    noise = 0.3 * np.random.default_rng(2).standard_normal(1200)
    fit, matrix, _ = fit_line(noise, np.ones(1200))
    assert np.exp(fit.log_mode[1]) > 15
    # All rows have similar weights.
    np.testing.assert_allclose(fit.sums.xx, matrix.T @ matrix, rtol=0.1, atol=20)


def test_weights_follow_the_residuals() -> None:
    rng = np.random.default_rng(3)
    noise = 0.3 * rng.standard_t(4.0, 1200)
    noise[::40] += 100
    fit, matrix, outcome = fit_line(noise, np.ones(1200))
    scale, df = np.exp(fit.log_mode)
    # Outliers hardly count: the true noise of the rows implies nearly the same statistics.
    weights = (df + 1) / (df + (noise / scale) ** 2)
    assert weights[::40].max() < 1e-3
    np.testing.assert_allclose(fit.sums.xx, (matrix.T * weights) @ matrix, atol=24)
    np.testing.assert_allclose(fit.sums.xy, matrix.T @ (weights * outcome), atol=24)
    # Negative control: weights of one.
    assert np.abs(fit.sums.xy - matrix.T @ outcome).max() > 1000
    # Expected information about the mean (Lange, Little and Taylor 1989).
    ratio = np.asarray(fit.told.xx)[0, 0] / np.asarray(fit.sums.xx)[0, 0]
    draws = student_t(df).rvs(200_000, random_state=0)
    curvature = (df + 1) * (df - draws**2) / (df + draws**2) ** 2
    weight = (df + 1) / (df + draws**2)
    assert ratio == pytest.approx(curvature.mean() / weight.mean(), rel=0.02)
