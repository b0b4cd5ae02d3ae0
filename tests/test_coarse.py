import numpy as np
import pytest

import bayes_intgen as bi
from bayes_intgen import coarse as module
from bayes_intgen.coarse import coarse, expected_acceptance, without
from bayes_intgen.collapsed import Collapsed
from bayes_intgen.noise import ConstantSpread
from bayes_intgen.passes import sums_over
from bayes_intgen.simulators import Polynomial

WORLD = Polynomial.random(4, seed=5)


def collapsed(data: bi.RegimeData) -> Collapsed:
    model = bi.models.additive(graph=WORLD.graph)
    terms = model.decompose(data)
    return Collapsed.of(model, terms, sums_over(data, terms, ConstantSpread(), progress=False))


@pytest.fixture(scope="module")
def data() -> bi.RegimeData:
    return WORLD.dataset(800, seed=0)


@pytest.fixture(autouse=True)
def _any_size(monkeypatch) -> None:
    monkeypatch.setattr(module, "LEAST_SIZE", 50)


@pytest.fixture(scope="module")
def found(data) -> tuple[Collapsed, np.ndarray]:
    """A posterior and what stands for draws of it."""
    posterior = collapsed(data)
    mode = posterior.mode(posterior.start, progress=False)
    rng = np.random.default_rng(0)
    return posterior, rng.multivariate_normal(mode, posterior.covariance(mode), size=200)


def acceptance(exact: Collapsed, other: Collapsed, draws: np.ndarray) -> float:
    return expected_acceptance(
        np.array([other.value(draw) - exact.value(draw) for draw in draws]),
    )


def test_the_exact_density_accepts_what_the_smaller_one_gives(found) -> None:
    posterior, draws = found
    smaller = coarse(posterior, draws[:100])
    assert smaller is not None
    assert smaller.size < 0.9 * posterior.size
    assert smaller.layout == posterior.layout
    assert acceptance(posterior, smaller, draws[100:]) > 0.85
    value, gradient = smaller.energy(draws[0])
    assert value == pytest.approx(smaller.value(draws[0]), rel=1e-12)
    assert gradient.shape == draws[0].shape
    # Negative control: leaving out as many coefficients by chance.
    count = posterior.size - smaller.size
    rng = np.random.default_rng(1)
    dropped = np.sort(rng.choice(np.arange(1, posterior.size), count, replace=False))
    given = posterior.given(posterior.sites(draws[0]))
    random = without(posterior, dropped, given.sd[dropped] / given.noise_sd)
    assert acceptance(posterior, random, draws[100:]) < 0.8


def test_where_the_exact_density_would_not_accept_nothing_is_left_out(found, monkeypatch) -> None:
    posterior, draws = found
    monkeypatch.setattr(module, "SHARES", (0.9,))
    assert coarse(posterior, draws) is None


def test_integrating_out_loses_nothing_where_the_scales_are_those(found) -> None:
    posterior, draws = found
    given = posterior.given(posterior.sites(draws[0]))
    dropped = np.arange(5, 25)
    smaller = without(posterior, dropped, given.sd[dropped] / given.noise_sd)
    assert smaller.value(draws[0]) == pytest.approx(posterior.value(draws[0]), rel=1e-10)
    assert smaller.value(draws[1]) != pytest.approx(posterior.value(draws[1]), rel=1e-10)


def test_the_expected_acceptance_is_that_of_a_metropolis_step() -> None:
    assert expected_acceptance(np.full(10, 3.0)) == 1
    assert expected_acceptance(np.array([0.0, -np.log(4)])) == pytest.approx((1 + 0.25) / 2)
    assert expected_acceptance(np.array([0.0, 1000.0])) == pytest.approx(0.5)


def test_what_lift_tests_depend_on_stays(data, found) -> None:
    posterior, draws = found
    lifted = collapsed(data.add_lift_test("a1", -0.5, 0.4, effect=0.9, se=0.05))
    known = np.any(lifted.sums.known.matrix != 0, axis=0)
    smaller = coarse(lifted, draws)
    assert np.any(smaller.sums.known.matrix != 0, axis=0).sum() == known.sum() > 0
    # Without the test some of these coefficients are left out.
    assert coarse(posterior, draws).size < smaller.size < lifted.size


def test_a_small_posterior_is_left_alone(found, monkeypatch) -> None:
    posterior, draws = found
    monkeypatch.setattr(module, "LEAST_SIZE", posterior.size + 1)
    assert coarse(posterior, draws) is None
