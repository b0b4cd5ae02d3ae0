import numpy as np
import pytest

import bayes_intgen as bi
from bayes_intgen.coarse import _far_out, coarse, without
from bayes_intgen.collapsed import Collapsed
from bayes_intgen.noise import ConstantSpread
from bayes_intgen.passes import sums_over
from bayes_intgen.simulators import Polynomial


def collapsed(data: bi.RegimeData) -> Collapsed:
    model = bi.models.additive(graph=Polynomial.random(4, seed=5).graph)
    terms = model.decompose(data)
    return Collapsed.of(model, terms, sums_over(data, terms, ConstantSpread(), progress=False))


@pytest.fixture(scope="module")
def data() -> bi.RegimeData:
    return Polynomial.random(4, seed=5).dataset(800, seed=0)


@pytest.fixture(scope="module")
def found(data) -> tuple[Collapsed, np.ndarray, np.ndarray]:
    posterior = collapsed(data)
    mode = posterior.mode(posterior.start, progress=False)
    return posterior, mode, posterior.covariance(mode)


def difference(exact: Collapsed, other: Collapsed, points: np.ndarray) -> float:
    """Standard deviation over points of the difference between log densities."""
    return float(np.std([exact.value(point) - other.value(point) for point in points]))


def test_the_smaller_posterior_is_close_where_draws_are(found) -> None:
    posterior, mode, covariance = found
    smaller = coarse(posterior, mode, covariance)
    assert smaller is not None
    assert smaller.size < 0.9 * posterior.size
    assert smaller.layout == posterior.layout
    rng = np.random.default_rng(0)
    points = rng.multivariate_normal(mode, covariance, size=60)
    # A difference of 0.2 costs about one draw in ten.
    assert difference(posterior, smaller, points) < 0.2
    # Negative control: leaving out as many coefficients by chance.
    count = posterior.size - smaller.size
    dropped = np.sort(rng.choice(np.arange(1, posterior.size), count, replace=False))
    given = posterior.given(posterior.sites(mode))
    random = without(posterior, dropped, given.sd[dropped] / given.noise_sd)
    assert difference(posterior, random, points) > 1


def test_at_the_mode_nothing_is_lost(found) -> None:
    posterior, mode, covariance = found
    smaller = coarse(posterior, mode, covariance)
    # What is left out has its scale at the mode there: both densities are the same.
    assert smaller.value(mode) == pytest.approx(posterior.value(mode), rel=1e-10)
    assert smaller.value(mode + 0.3) != pytest.approx(posterior.value(mode + 0.3), rel=1e-10)
    value, gradient = smaller.energy(mode)
    assert value == pytest.approx(smaller.value(mode), rel=1e-12)
    assert gradient.shape == mode.shape


def test_far_out_is_where_the_energy_has_risen(found) -> None:
    posterior, mode, covariance = found
    lowest = posterior.value(mode)
    for i in range(len(mode)):
        along = covariance[i] / covariance[i, i]
        away = _far_out(posterior, mode, lowest, along, np.sqrt(covariance[i, i]))
        assert 2 < posterior.value(mode + away) - lowest <= 6
        np.testing.assert_allclose(away / away[i], along)


def test_what_lift_tests_depend_on_stays(data, found) -> None:
    posterior, mode, covariance = found
    lifted = collapsed(data.add_lift_test("a1", -0.5, 0.4, effect=0.9, se=0.05))
    known = np.any(lifted.sums.known.matrix != 0, axis=0)
    smaller = coarse(lifted, mode, covariance)
    assert np.any(smaller.sums.known.matrix != 0, axis=0).sum() == known.sum() > 0
    # Without the test some of these coefficients are left out.
    assert coarse(posterior, mode, covariance).size < smaller.size < lifted.size


def test_a_small_posterior_is_left_alone(data) -> None:
    model = bi.models.additive("linear")
    terms = model.decompose(data)
    sums = sums_over(data, terms, ConstantSpread(), progress=False)
    posterior = Collapsed.of(model, terms, sums)
    mode = posterior.start
    assert coarse(posterior, mode, posterior.covariance(mode)) is None
