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


def test_a_regime_that_was_not_seen_is_combined_from_those_that_were() -> None:
    found = np.stack([InRegime(REGIMES, i)(MASKS) for i in range(3)], axis=1)
    np.testing.assert_array_equal(found[:3], np.eye(3))
    np.testing.assert_array_equal(found[3], [-1, 1, 1])


def test_a_regime_that_was_seen_is_itself_even_where_others_combine_to_it() -> None:
    every = tuple(map(tuple, MASKS.tolist()))
    found = np.stack([InRegime(every, i)(MASKS) for i in range(4)], axis=1)
    np.testing.assert_array_equal(found, np.eye(4))


def test_what_no_combination_gives_is_refused() -> None:
    with pytest.raises(bi.ModelError, match="no combination"):
        InRegime(REGIMES[:2], 0)(MASKS)
