from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import gamma, kstest, norm

import bayes_intgen as bi


@pytest.mark.parametrize("prior", ["gp", "spline", "polynomial", "linear"])
def test_hyperparameters_follow_their_priors(data, prior) -> None:
    model = bi.models.additive(prior=prior)
    tree = bi.prior_predictive(data, model, draws=400, rows=20, seed=1)
    priors = model.decompose(data).hyperpriors(model.noise_scale)
    for kind in ("scale", "lengthscale"):
        if kind not in priors.sites:
            assert kind not in tree["prior"]
            continue
        medians, sigmas = priors.sites[kind]
        standard = (np.log(tree["prior"][kind].to_numpy()[0]) - medians) / sigmas
        assert kstest(standard.ravel(), norm.cdf).pvalue > 1e-3
        # Negative control: a prior twice as wide would be detected.
        assert kstest(2 * standard.ravel(), norm.cdf).pvalue < 1e-3


def test_outcomes_have_units_and_magnitude_of_the_data(data) -> None:
    scaled = replace(data, outcome=data.outcome * 1e4 + 1e6)
    tree = bi.prior_predictive(scaled, draws=300, rows=25)
    outcome = tree["prior_predictive"]["outcome"]
    assert (outcome.dims, outcome.shape) == (("chain", "draw", "row"), (1, 300, 25))
    unit = scaled.outcome.std()
    # The intercept alone spreads over five standard deviations of the outcome.
    assert abs(float(outcome.median()) - scaled.outcome.mean()) < 2 * unit
    assert 4 * unit < float(outcome.std()) < 30 * unit


def test_data_sets_drawn_from_the_prior_vary_at_most_three_times_as_much_as_the_data() -> None:
    world = bi.simulators.Polynomial.random(3, seed=3)
    data = world.dataset(300, seed=1)
    model = bi.models.additive(graph={name: [] for name in world.names})
    outcome = bi.prior_predictive(data, model, draws=200, rows=200)["prior_predictive"]["outcome"]
    assert 1 < float(outcome.std("row").median()) / data.outcome.std() < 3


def test_student_t_model_draws_degrees_of_freedom(data) -> None:
    tree = bi.prior_predictive(data, bi.models.additive(noise="student_t"), draws=400, rows=5)
    df = tree["prior"]["df"].to_numpy().ravel()
    assert kstest(df, gamma(2, scale=10).cdf).pvalue > 1e-3
    # Negative control: a prior twice as wide would be detected.
    assert kstest(2 * df, gamma(2, scale=10).cdf).pvalue < 1e-3
