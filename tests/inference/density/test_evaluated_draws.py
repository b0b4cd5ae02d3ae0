import numpy as np
import pytest
from _marginals import linear_marginal_posterior
from scipy.stats import norm

from bayes_intgen.inference.density.importance import PER_POINT, EvaluatedDraws
from bayes_intgen.inference.density.marginal_posterior import MarginalPosterior


@pytest.fixture(scope="module")
def marginal() -> MarginalPosterior:
    return linear_marginal_posterior()


def test_coefficients_have_the_conditional_moments_of_their_points(marginal) -> None:
    mode = marginal.mode(marginal.start, progress=False)
    # Two kinds of points in two batches: one with all of its draws from the evaluation, and one
    # with more draws than these.
    points = np.stack([mode] * 1000 + [mode - 2.0])
    evaluated = EvaluatedDraws(marginal, seed=0)
    values = np.concatenate([evaluated.values(points[:600]), evaluated.values(points[600:])])
    np.testing.assert_allclose(values[[0, 1000]], list(map(marginal.value, points[[0, 1000]])))
    index = np.concatenate([np.repeat(np.arange(1000), PER_POINT), np.full(4000, 1000)])
    index = np.random.default_rng(1).permutation(index)
    draws = evaluated.coefficients(points, index)
    assert len(np.unique(draws, axis=0)) == len(index)
    limit = -norm.ppf(0.0005 / draws.shape[1])
    for first, at in ((True, mode), (False, mode - 2.0)):
        of_point = (index < 1000) == first
        mean, covariance = marginal.moments(marginal.sites(at))
        error = np.sqrt(np.diag(covariance) / 4000)
        assert (np.abs(draws[of_point].mean(axis=0) - mean) < limit * error).all()
        # Negative control: the other point.
        for same in (True, False):
            ratio = np.var(draws[of_point == same], axis=0) / np.diag(covariance)
            assert (np.abs(ratio - 1) < limit * np.sqrt(2 / 4000)).all() == same
