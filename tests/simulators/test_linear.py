import numpy as np
import pytest
from scipy import stats

from bayes_intgen.simulators import Linear


def test_density_is_that_of_a_shifted_lognormal() -> None:
    model = Linear.random(3, seed=2)
    rng = np.random.default_rng(0)
    actions, _ = model.sample((), 100, rng)
    causes = model.draw_causes(100, rng) / 4
    shift = model.gamma[2] * causes[:, 2] + actions @ model.between[2]
    expected = stats.lognorm.pdf(actions[:, 2], model.action_sd[2], loc=shift)
    estimate = model.action_density(2, actions[:, 2], causes, actions)
    np.testing.assert_allclose(estimate, expected)
    assert (estimate == 0).any()
    assert (estimate > 0).any()


def test_bias_of_a_root_by_quadrature() -> None:
    """E[C | A] by a sum over a fine grid of log c, for an action without parents."""
    model = Linear.random(2, seed=0)
    values = np.array([1.0, 2.0, 4.0])
    z = (np.arange(200_000) + 0.5) / 200_000 * 16 - 8
    cause = np.exp(model.cause_sd[0] * z)
    for value in values:
        own = stats.lognorm.pdf(value - model.gamma[0] * cause, model.action_sd[0])
        weight = stats.norm.pdf(z) * own
        mean = (weight * cause).sum() / weight.sum()
        expected = model.beta[0] * (mean - model.cause_moments[0][0])
        estimate = model.confounding_bias(0, [[value, 0.0]], draws=50_000)
        assert estimate.value[0] == pytest.approx(expected, abs=4 * estimate.error[0])
        assert estimate.error[0] < 0.02 * abs(expected) + 0.02
