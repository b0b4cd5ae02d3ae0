import numpy as np
import pytest

import bayes_intgen as bi
from bayes_intgen.questions import checked_mask, checked_points


def test_a_question_is_read_by_the_names_of_actions() -> None:
    assert checked_mask(["b"], ["a", "b"]).tolist() == [False, True]
    np.testing.assert_array_equal(checked_points([[1, 2]], ["a", "b"]), [[1.0, 2.0]])
    with pytest.raises(bi.PointsError, match="'c', which is no action"):
        checked_mask(["c"], ["a", "b"])
    with pytest.raises(bi.PointsError, match=r"shape \(points, 1\)"):
        checked_points([[1, 2]], ["a"])
