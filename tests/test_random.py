"""Seeds and generators of public functions."""

import numpy as np
import pytest
from _rows import fitted

import bayes_intgen as bi

POINTS = [[0.1, 0.2]]


def draws_of(posterior: bi.Posterior, **seed: object) -> np.ndarray:
    return posterior.outcome(POINTS, **seed).to_numpy()


def test_a_generator_draws_the_seed(posterior) -> None:
    rng, same = np.random.default_rng(5), np.random.default_rng(5)
    first = draws_of(posterior, seed=rng)
    np.testing.assert_array_equal(first, draws_of(posterior, rng=same))
    # It moves on, unlike a number.
    assert not np.array_equal(first, draws_of(posterior, rng=rng))
    np.testing.assert_array_equal(draws_of(posterior, rng=3), draws_of(posterior, seed=3))
    np.testing.assert_array_equal(draws_of(posterior), draws_of(posterior, seed=0))


@pytest.mark.filterwarnings("ignore::bayes_intgen.BayesIntgenWarning")
def test_generators_wherever_a_seed_is_taken(data, posterior) -> None:
    rng = np.random.default_rng(0)
    world = bi.simulators.Linear.random(2, rng)
    assert len(world.dataset(60, rng)) == 180
    model = bi.models.additive("linear")
    one, other = (fitted(data, model, rng=np.random.default_rng(1), draws=20) for _ in "ab")
    np.testing.assert_array_equal(one.joint_effect(POINTS), other.joint_effect(POINTS))
    assert bi.check(data, model, held_out=0, rng=rng, progress=False).p <= 1
    assert bi.prior_predictive(data, model, draws=3, rows=5, rng=rng)["prior"].sizes["draw"] == 3
    assert posterior.to_arviz(data, rows=5, rng=rng)["observed_data"].sizes["row"] == 5
    assert int(posterior.split(100, POINTS, rng=rng).rows.sum()) == 100


@pytest.mark.parametrize(
    ("seed", "error", "message"),
    [
        ({"seed": 0, "rng": 0}, TypeError, r"outcome\(\) takes seed or rng, not both"),
        ({"rng": -1}, bi.ModelError, "whole number of at least 0, or a NumPy Generator, not -1"),
        ({"seed": np.random.RandomState(0)}, bi.ModelError, "not RandomState"),
        ({"rng": None}, bi.ModelError, "not None"),
    ],
)
def test_other_seeds_are_refused(posterior, seed, error, message) -> None:
    with pytest.raises(error, match=message):
        draws_of(posterior, **seed)
