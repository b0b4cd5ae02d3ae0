from datetime import date

import numpy as np
import pytest

import bayes_intgen as bi
from bayes_intgen.basis.categories import Categories
from bayes_intgen.data.queries import (
    checked_actions,
    checked_mask,
    checked_points,
    checked_value,
    named_points,
)


def test_masks_and_points_follow_the_names_of_actions() -> None:
    assert checked_mask(["b"], ["a", "b"]).tolist() == [False, True]
    np.testing.assert_array_equal(checked_points([[1, 2]], ["a", "b"]), [[1.0, 2.0]])
    with pytest.raises(bi.PointsError, match="intervened: unknown action 'c'"):
        checked_mask(["c"], ["a", "b"])
    with pytest.raises(bi.PointsError, match=r"shape \(points, 1\)"):
        checked_points([[1, 2]], ["a"])


def test_named_points_survive_a_round_trip() -> None:
    drug = Categories.of_labels(["off", "low", "high"], ordered=True)
    coin = Categories.of_numbers([0, 1])
    codes = np.array([[2.0, 0.0, 1.5], [0.0, 0.5, 2.5]])
    known = (["drug", "coin", "dose"], [drug, coin, None])
    named = named_points(codes, *known)
    assert named["drug"].tolist() == ["high", "off"]
    np.testing.assert_array_equal(checked_points(named, *known), codes)
    with pytest.raises(bi.PointsError, match="no level 2"):
        checked_points(codes, *known)


def test_single_values_may_be_text() -> None:
    assert checked_value("1e3", "dose", None) == 1000.0
    assert checked_value("on", "drug", Categories.of_labels(["off", "on"], True)) == 1.0
    for value in ("much", "nan", None, [1]):
        with pytest.raises(bi.PointsError, match="'dose'"):
            checked_value(value, "dose", None)


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([[1 + 2j, 0.0]], "complex"),
        (np.array([["2020-01-01", "2020-01-02"]], "M8[D]"), "datetime64"),
        ([["1", "2"]], "they are <U1"),
        ([{"a": "1", "b": 2.0}], "set 'a' to '1'"),
        ({"a": [1.0], "b": [np.datetime64("2020-01-01")]}, "set 'b'"),
        ([[date(2020, 1, 1), 1.0]], "set 'a'"),
        (np.ma.masked_array([[1.0, 2.0]], mask=[[0, 1]]), "NaN or infinity for 'b'"),
    ],
)
def test_points_that_are_not_numbers_raise(points, message) -> None:
    with pytest.raises(bi.PointsError, match=message):
        checked_points(points, ["a", "b"])


def test_actions_that_are_set_are_read_once() -> None:
    names = ["a", "b"]
    assert checked_actions((name for name in ["b"]), names) == ("b",)
    assert checked_mask((name for name in ["b"]), names).tolist() == [False, True]
