import numpy as np
import pytest
from scipy import stats

from bayes_intgen.models.sinh_arcsinh import SinhArcsinh, match

FREQUENCIES = (0.8, 2.0)


def law(log_scale: float, skewness: float, log_tail: float) -> SinhArcsinh:
    return SinhArcsinh(*(np.array([x]) for x in (log_scale, skewness, log_tail)))


@pytest.mark.parametrize("parameters", [(0.0, 0.0, 0.0), (1.0, 0.7, -0.4), (-2.0, -1.0, 0.3)])
def test_laws_have_mean_zero_and_probabilities_invert_quantiles(parameters) -> None:
    z = np.random.default_rng(0).normal(size=200_000)
    draws = law(*parameters).quantile(z)
    assert abs(draws.mean()) < 4 * draws.std() / np.sqrt(len(z))
    np.testing.assert_allclose(law(*parameters).cdf(draws), stats.norm.cdf(z), atol=1e-10)
    assert (np.diff(law(*parameters).quantile(np.linspace(-5, 5, 101))) > 0).all()


def test_matched_laws_have_the_characteristic_function() -> None:
    z = np.random.default_rng(1).normal(size=400_000)
    expected = np.array([[0.1, 0.4, -0.2], [-0.3, -0.5, -0.4], [0.2, 0.0, 0.2]])
    laws, targets = [], []
    for parameters in expected:
        draws = law(*parameters).quantile(z)
        laws.append(np.quantile(draws, [0.02, 0.25, 0.5, 0.75, 0.98]))
        low, high = (np.log(np.exp(1j * t * draws).mean()) for t in FREQUENCIES)
        targets.append([-low.real, low.imag, -high.real])
    parameters, _ = match(np.array(targets), FREQUENCIES)
    # Different parameters may have nearly the same characteristic function, and quantiles.
    for own, quantiles in zip(parameters, laws, strict=True):
        below = law(*own).cdf(quantiles)
        np.testing.assert_allclose(below, [0.02, 0.25, 0.5, 0.75, 0.98], atol=0.015)
    # Negative control: the normal law of the same scale.
    assert abs(law(parameters[1, 0], 0.0, 0.0).cdf(laws[1][:1]).item() - 0.02) > 0.015
