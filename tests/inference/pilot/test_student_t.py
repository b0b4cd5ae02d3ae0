import numpy as np
import pytest
from scipy.stats import t as student_t

import bayes_intgen as bi
from bayes_intgen.inference.density.marginal_posterior import MarginalPosterior
from bayes_intgen.inference.gaussian.passes import sufficient_statistics
from bayes_intgen.inference.pilot.student_t import Robust, robust_fit
from bayes_intgen.models.variance_function import Homoscedastic

from conftest import confounded_rows

RELATIVE = np.repeat([0.5, 2.0], 600)


def fitted(
    noise: np.ndarray, relative_sd: np.ndarray = RELATIVE
) -> tuple[Robust, np.ndarray, np.ndarray]:
    """Of a straight line in two actions with this noise; the matrix of its terms, and outcomes."""
    rows = len(noise)
    held = confounded_rows(rows // 3, seed=3)
    outcome = held.actions @ [1.0, -0.5] + noise
    data = bi.RegimeData.from_arrays(held.actions, outcome, held.intervened, held.names)
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
def test_scale_and_degrees_of_freedom_are_found(df: float) -> None:
    noise = 0.3 * np.random.default_rng(1).standard_t(df, 1200)
    found, *_ = fitted(noise * RELATIVE)
    away = found.log_mode - np.log([0.3, df])
    # As far from the truth as the covariance says, and the latter is that of a maximum.
    assert away @ np.linalg.solve(found.covariance, away) < 14  # exceeded once in a thousand
    assert 0.02 < np.sqrt(found.covariance[0, 0]) < 0.06
    assert np.sqrt(found.covariance[1, 1]) < 0.35
    # Negative control: as if all rows had the same noise, it is far from it.
    alike, *_ = fitted(noise * RELATIVE, np.ones(1200))
    off = alike.log_mode - np.log([0.3, df])
    assert off @ np.linalg.solve(alike.covariance, off) > 25


def test_normal_noise_has_many_degrees_of_freedom() -> None:
    noise = 0.3 * np.random.default_rng(2).standard_normal(1200)
    found, matrix, _ = fitted(noise, np.ones(1200))
    assert np.exp(found.log_mode[1]) > 15
    # All rows weigh about the same.
    np.testing.assert_allclose(found.sums.xx, matrix.T @ matrix, rtol=0.1, atol=20)


def test_rows_weigh_what_their_residuals_say() -> None:
    rng = np.random.default_rng(3)
    noise = 0.3 * rng.standard_t(4.0, 1200)
    noise[::40] += 100
    found, matrix, outcome = fitted(noise, np.ones(1200))
    scale, df = np.exp(found.log_mode)
    # Outliers hardly count: the sums are those of rows that weigh what their noise says.
    weights = (df + 1) / (df + (noise / scale) ** 2)
    assert weights[::40].max() < 1e-3
    np.testing.assert_allclose(found.sums.xx, (matrix.T * weights) @ matrix, atol=24)
    np.testing.assert_allclose(found.sums.xy, matrix.T @ (weights * outcome), atol=24)
    # Negative control: as if each counted for one.
    assert np.abs(found.sums.xy - matrix.T @ outcome).max() > 1000
    # What they tell of the mean is the expected information (Lange, Little and Taylor 1989).
    ratio = np.asarray(found.told.xx)[0, 0] / np.asarray(found.sums.xx)[0, 0]
    draws = student_t(df).rvs(200_000, random_state=0)
    curvature = (df + 1) * (df - draws**2) / (df + draws**2) ** 2
    weight = (df + 1) / (df + draws**2)
    assert ratio == pytest.approx(curvature.mean() / weight.mean(), rel=0.02)
