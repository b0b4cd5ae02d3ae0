from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from bayes_intgen.identification.regimes import is_identified, masks_of, regime_weights


def single(count: int) -> list[tuple[bool, ...]]:
    return [tuple(j == k for j in range(count)) for k in range(-1, count)]


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_weights_of_the_joint_effect_from_single_experiments(count: int) -> None:
    # method: sum_k do(k) - (K - 1) obs
    assert regime_weights(single(count), (True,) * count) == (1 - count, *[1] * count)


def test_weights_from_a_pair_and_a_single_experiment() -> None:
    masks = [(False, False, False), (True, True, False), (False, False, True)]
    assert regime_weights(masks, (True, True, True)) == (-1, 1, 1)
    assert regime_weights(masks, (True, False, False)) is None


def test_rank_test_agrees_with_floating_point_ranks() -> None:
    rng = np.random.default_rng(0)
    outcomes = set()
    for _ in range(200):
        count = int(rng.integers(1, 5))
        masks = [tuple(map(bool, rng.integers(0, 2, count))) for _ in range(rng.integers(1, 6))]
        rows = np.array([[1, *mask] for mask in masks], dtype=float)
        for target in product((False, True), repeat=count):
            wanted = np.array([1, *target], dtype=float)
            rank = np.linalg.matrix_rank
            expected = rank(rows) == rank(np.vstack([rows, wanted]))
            weights = regime_weights(masks, target)
            assert is_identified(masks, target) == expected == (weights is not None)
            if weights is not None:
                assert all(isinstance(w, Fraction) for w in weights)
                np.testing.assert_array_equal(np.array(weights, dtype=float) @ rows, wanted)
            outcomes.add(bool(expected))
    assert outcomes == {True, False}


@pytest.mark.parametrize("count", [1, 5, 8, 9, 17])
@pytest.mark.parametrize("rows", [0, 1, 300])
def test_masks_equal_the_unique_rows_of_numpy(count: int, rows: int) -> None:
    rng = np.random.default_rng(count)
    intervened = rng.random((rows, count)) < 0.1
    masks, which = masks_of(intervened)
    expected, inverse = np.unique(intervened, axis=0, return_inverse=True)
    assert masks == [tuple(mask) for mask in expected.tolist()]
    np.testing.assert_array_equal(which, inverse.reshape(-1))
    assert len(masks) == len(set(masks)) <= rows
    # Independently of the memory layout: that of a data frame is column by column.
    again, where = masks_of(np.asfortranarray(intervened))
    assert again == masks
    np.testing.assert_array_equal(where, which)
