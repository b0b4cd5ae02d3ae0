import warnings

import jax
import numpy as np
import pytest

import bayes_intgen as bi
from bayes_intgen import coarse as module
from bayes_intgen.coarse import Coarse, coarse, expected_acceptance, rounded, without
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
    monkeypatch.setattr(module, "LEAST_SAVED", 50**3)


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
    found = coarse(posterior, draws[:100])
    assert found is not None
    assert found.in_single
    smaller = found.posterior
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
    assert coarse(posterior, draws) == Coarse(posterior, in_single=True)


def test_what_is_walked_is_close_to_the_exact_density_where_it_says_so(found) -> None:
    posterior, draws = found
    with jax.enable_x64(True):
        exact, single = (
            np.array([target.energy(draw) for draw in draws[:20]], dtype=object)
            for target in (posterior.target, Coarse(posterior, in_single=True).target)
        )
    difference = (exact[:, 0] - single[:, 0]).astype(float)
    # Not the same, and near enough that nearly every draw is accepted.
    assert 0 < np.abs(difference).max() < 0.05
    for one, other in zip(exact[:, 1], single[:, 1], strict=True):
        np.testing.assert_allclose(other, one, atol=0.05)
    given = [posterior.given(posterior.sites(draw), np.float32) for draw in draws[:20]]
    rounded = np.array([g.log_evidence for g in given])
    evidence = np.array([posterior.given(posterior.sites(d)).log_evidence for d in draws[:20]])
    assert 0 < np.abs(rounded - evidence).max() < 0.05


def test_the_same_posterior_is_walked_in_single_precision_before_there_are_draws(
    found, monkeypatch
) -> None:
    posterior, draws = found
    assert rounded(posterior, draws[:24]) == Coarse(posterior, in_single=True)
    monkeypatch.setattr(module, "LEAST_SIZE", posterior.size + 1)
    assert rounded(posterior, draws[:24]) is None


def test_single_precision_is_not_taken_where_it_fails(data, found) -> None:
    # As of rows by the billion: what the data know exceeds what seven digits can hold.
    posterior, draws = found
    sums = posterior.sums
    many = sums._replace(rows=1e9 * sums.rows, xx=1e9 * sums.xx, xy=1e9 * sums.xy, yy=1e9 * sums.yy)
    precise = Collapsed(posterior.priors, many, posterior.terms)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        chosen = coarse(precise, draws)
    assert chosen is None or not chosen.in_single
    assert rounded(precise, draws) is None


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
    smaller = coarse(lifted, draws).posterior
    assert np.any(smaller.sums.known.matrix != 0, axis=0).sum() == known.sum() > 0
    # Without the test some of these coefficients are left out.
    assert coarse(posterior, draws).posterior.size < smaller.size < lifted.size


def test_another_size_is_compiled_where_it_saves_enough(found, monkeypatch) -> None:
    posterior, draws = found
    smaller = coarse(posterior, draws)
    assert smaller.work < 2 / 3 * posterior.size**3 - module.LEAST_SAVED
    monkeypatch.setattr(module, "LEAST_SAVED", 2 / 3 * posterior.size**3 - smaller.work + 1)
    assert coarse(posterior, draws) == Coarse(posterior, in_single=True)


def test_a_small_posterior_is_left_alone(found, monkeypatch) -> None:
    posterior, draws = found
    monkeypatch.setattr(module, "LEAST_SIZE", posterior.size + 1)
    assert coarse(posterior, draws) is None
