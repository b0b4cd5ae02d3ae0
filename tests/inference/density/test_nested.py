import jax.numpy as jnp
import numpy as np
import pytest

from bayes_intgen.inference.density.nested import flatten, rebuild
from bayes_intgen.inference.gaussian.sufficient_statistics import SufficientStatistics
from bayes_intgen.models.hyperpriors import Hyperpriors, LogNormals


def hyperpriors(kernel: str) -> Hyperpriors:
    one, index = np.ones(1), np.zeros(1, dtype=int)
    priors = (LogNormals(i * one, one) for i in range(3))
    return Hyperpriors(*priors, one, 2 * one, index, index, one, index, (kernel,))


def test_values_are_rebuilt_from_their_arrays() -> None:
    statistics = SufficientStatistics(3.0, np.eye(2), np.ones(2), 4.0, 5.0)
    value = (statistics, (hyperpriors("matern32"), None), jnp.ones(2))
    arrays, structure = flatten(value)
    assert all(hasattr(array, "dtype") for array in arrays)
    sums, (priors, nothing), last = rebuild(structure, arrays)
    assert (nothing, sums.known) == (None, None)
    assert last is value[2]
    assert sums.xx is statistics.xx
    assert (sums.rows, sums.yy, sums.log_weight) == (3.0, 4.0, 5.0)
    assert isinstance(priors, Hyperpriors)
    assert priors.kernels == ("matern32",)
    np.testing.assert_array_equal(priors.fixed, [2.0])
    np.testing.assert_array_equal(priors.noise_sd.log_median, [2.0])


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ((1.0, None), (2.0, None), True),
        ((1.0, None), (None, 1.0), False),
        ((1.0, (2.0, 3.0)), ((1.0, 2.0), 3.0), False),
        (hyperpriors("rbf"), hyperpriors("rbf"), True),
        (hyperpriors("rbf"), hyperpriors("matern32"), False),
        (LogNormals(1.0, 2.0), (1.0, 2.0), False),
    ],
)
def test_structures_tell_values_apart(one, other, equal) -> None:
    first, second = flatten(one)[1], flatten(other)[1]
    assert (first == second) == (str(first) == str(second)) == equal
    if equal:
        assert hash(first) == hash(second)
