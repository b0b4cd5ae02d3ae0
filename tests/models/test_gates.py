import numpy as np
import pytest

import bayes_intgen as bi
from bayes_intgen.models.gates import Always, InRegime, WhereNotSet

MASKS = np.array([[0, 0], [1, 0], [0, 1], [1, 1]], dtype=bool)
REGIMES = ((False, False), (True, False), (False, True))


def test_gates_of_the_additive_model() -> None:
    np.testing.assert_array_equal(Always()(MASKS), [1, 1, 1, 1])
    np.testing.assert_array_equal(WhereNotSet(0)(MASKS), [1, 0, 1, 0])
    np.testing.assert_array_equal(WhereNotSet(1)(MASKS), [1, 1, 0, 0])


def test_regime_without_data_is_a_combination_of_the_others() -> None:
    weights = np.stack([InRegime(REGIMES, i)(MASKS) for i in range(3)], axis=1)
    np.testing.assert_array_equal(weights[:3], np.eye(3))
    np.testing.assert_array_equal(weights[3], [-1, 1, 1])


def test_regime_with_data_has_weight_one_even_if_others_combine_to_it() -> None:
    every = tuple(map(tuple, MASKS.tolist()))
    weights = np.stack([InRegime(every, i)(MASKS) for i in range(4)], axis=1)
    np.testing.assert_array_equal(weights, np.eye(4))


def test_regime_that_is_no_combination_raises() -> None:
    with pytest.raises(bi.ModelError, match="no combination"):
        InRegime(REGIMES[:2], 0)(MASKS)
