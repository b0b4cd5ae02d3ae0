import numpy as np
import pytest

from bayes_intgen.identification.regimes import masks_of


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
