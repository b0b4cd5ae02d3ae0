"""Contrasts and slopes of effects against differences of effects."""

import numpy as np
import pandas as pd
import pytest

import bayes_intgen as bi

TO, START = [[0.5, 0.2], [-0.4, 0.3]], [[0.0, 0.1]]


def test_one_end_compares_with_several_starts(posterior) -> None:
    change = posterior.contrast(START, TO)
    np.testing.assert_allclose(change, -posterior.contrast(TO, START), atol=1e-10)
    assert change["from red"].to_numpy().tolist() == [0.5, -0.4]
    assert change["red"].to_numpy().tolist() == [0.0, 0.0]
    # No points have no answers.
    none = np.empty((0, 2))
    for own in (posterior.contrast(none, START), posterior.mechanisms(none)):
        assert own.sizes["point"] == 0


def test_the_index_of_a_frame_labels_the_points(posterior) -> None:
    frame = pd.DataFrame(TO, index=["spring", "autumn"], columns=["red", "green"])
    for draws in (
        posterior.contrast(frame, START),
        posterior.joint_effect(frame),
        posterior.slope("red", frame),
    ):
        assert draws["point"].to_numpy().tolist() == ["spring", "autumn"]
    assert posterior.joint_effect(TO)["point"].to_numpy().tolist() == [0, 1]


def test_summary(posterior) -> None:
    change = posterior.contrast(TO, START)
    table = change.summary(level=0.8, equivalent=(-0.1, 0.1))
    draws = change.to_numpy().reshape(-1, 2)
    np.testing.assert_allclose(table["mean"], draws.mean(axis=0))
    np.testing.assert_allclose(table["low"], np.quantile(draws, 0.1, axis=0))
    np.testing.assert_allclose(table["above_zero"], (draws > 0).mean(axis=0))
    np.testing.assert_allclose(table["below"] + table["within"] + table["above"], 1)
    np.testing.assert_allclose(table["within"], (abs(draws) <= 0.1).mean(axis=0))
    assert table["red"].to_numpy().tolist() == [0.5, -0.4]
    # The true changes are sin(0.5) + 0.05 and sin(-0.4) + 0.1.
    truth, wide = np.sin([0.5, -0.4]) + np.array([0.05, 0.1]), change.summary(level=0.999)
    assert (wide["low"] < truth).all()
    assert (truth < wide["high"]).all()


def test_a_slope_at_the_end_of_the_range_is_one_sided(posterior) -> None:
    high = posterior.terms.coordinates[0].high
    with pytest.warns(bi.SupportWarning):
        slopes = posterior.slope("red", [[high, 0.0], [high - 0.01, 0.0]])
    at_end, before = slopes.transpose("point", ...)
    np.testing.assert_allclose(at_end.mean(), before.mean(), rtol=0.2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p: p.contrast(TO, [[0, 0]] * 3), "a contrast to 2 points from 3"),
        (lambda p: p.slope("rod", TO), "did you mean 'red'"),
        (lambda p: p.contrast(TO, START).summary(level=2), "level must lie between 0 and 1"),
        (lambda p: p.contrast(TO, START).summary(equivalent=(1, 0)), "an interval"),
    ],
)
def test_bad_arguments_are_named(posterior, call, message: str) -> None:
    with pytest.raises(bi.PointsError, match=message):
        call(posterior)


def test_what_is_left_of_draws_is_converted_as_xarray_does(posterior) -> None:
    change = posterior.contrast(TO, START)
    mean = change.mean(("chain", "draw")).to_dataframe("mean")
    np.testing.assert_allclose(mean["mean"], change.to_dataframe()["estimate"])
    one = change.isel(point=0)
    assert len(one.to_dataframe("one")) == one.size
