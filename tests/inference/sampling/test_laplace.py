import jax
import numpy as np
import pytest
from _marginals import linear_marginal_posterior
from numpyro.diagnostics import effective_sample_size
from scipy.stats import norm
from threadpoolctl import threadpool_limits

from bayes_intgen.inference.density.marginal_posterior import MarginalPosterior
from bayes_intgen.inference.density.modes import Mode
from bayes_intgen.inference.sampling import laplace
from bayes_intgen.inference.sampling.nuts import nuts
from bayes_intgen.inference.sampling.starting_points import dispersed_points
from bayes_intgen.inference.settings import SamplerSettings

SETTINGS = SamplerSettings(progress=False, method="laplace")


@pytest.fixture(scope="module")
def marginal() -> MarginalPosterior:
    return linear_marginal_posterior()


def test_a_higher_mode_that_a_draw_reaches_is_searched(marginal, monkeypatch) -> None:
    mode = marginal.mode(marginal.start, progress=False)
    beside = mode + 0.7 * np.sqrt(np.diag(marginal.covariance(mode)))
    starts = []

    def only_beside(posterior, start, *_):
        starts.append(start)
        return [Mode.at(posterior, beside if len(starts) == 1 else mode)]

    monkeypatch.setattr(laplace, "find_modes", only_beside)
    draws, _ = laplace._importance_draws(marginal, marginal.start, SETTINGS)
    assert len(starts) == 2
    assert marginal.value(starts[1]) < marginal.value(beside) - 1
    assert draws.diagnostics.is_reliable


@pytest.mark.slow
def test_the_posterior_is_that_of_nuts_unlike_the_approximation_at_the_mode(marginal) -> None:
    mode = marginal.mode(marginal.start, progress=False)
    covariance = marginal.covariance(mode)
    with jax.enable_x64(True), threadpool_limits(1, "blas"):
        starts = dispersed_points(mode, covariance, 4, 0, "starts")
        settings = SamplerSettings(draws=1500, warmup=400, progress=False)
        chains = nuts(marginal.density, starts, covariance, settings).flat
    draws, _ = laplace._importance_draws(marginal, marginal.start, SETTINGS)
    limit = -norm.ppf(0.0005 / (2 * len(mode)))
    centre = chains.mean((0, 1))
    for power in (1, 2):
        one, other = ((each - centre) ** power for each in (draws.points, chains))
        mean = draws.weights @ one
        squared_error = draws.weights**2 @ (one - mean) ** 2
        squared_error += other.var((0, 1)) / effective_sample_size(other)
        gap = np.abs(mean - other.mean((0, 1)))
        assert (gap < limit * np.sqrt(squared_error)).all()
        if power == 1:
            # Negative control: the mode, about which the approximation draws.
            assert (np.abs(mode - centre) > limit * np.sqrt(squared_error)).any()
