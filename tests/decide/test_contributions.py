"""What actions bring at a plan, against effects at both ends."""

import numpy as np
import pytest

import bayes_intgen as bi

from _posteriors import half_supported


def test_contributions_are_changes_of_the_joint_effect(posterior) -> None:
    start = {"red": 0.6, "green": 0.3}
    table = posterior.contributions(bi.Decision({"green": 0.5}, baseline=start, value=4.0))
    # Zero is supported here.
    assert table["reference"].to_numpy().tolist() == [0.0, 0.0]
    assert table["baseline"].to_numpy().tolist() == [0.6, 0.3]
    effects = posterior.joint_effect([[0.6, 0.3], [0.0, 0.3], [0.6, 0.0]])
    changes = (effects.isel(point=0) - effects.isel(point=[1, 2])).mean(("chain", "draw"))
    np.testing.assert_allclose(table["contribution"], changes)
    for name, at in (("red", 0), ("green", 1)):
        slope, own = posterior.slope(name, [[0.6, 0.3]]).summary(), table.isel(action=at)
        assert float(own["next_unit"]) == pytest.approx(float(slope["mean"][0]))
        assert float(own["next_unit_low"]) == pytest.approx(float(slope["low"][0]))
    assert np.isnan(table["next_cost"].sel(action="red"))
    np.testing.assert_allclose(
        table["next_cost_high"].sel(action="green"), 8 * table["next_unit_high"].sel(action="green")
    )
    assert bool(table["supported"].all() & table["next_supported"].all())
    # A negative value turns the interval round.
    turned = posterior.contributions(bi.Decision({"green": 0.5}, baseline=start, value=-4.0))
    assert float(turned["next_cost_low"][1]) == pytest.approx(-float(table["next_cost_high"][1]))


def test_levels_and_what_no_rows_support() -> None:
    fit = half_supported()
    decision = bi.Decision(baseline={"promo": "on", "channel": "b", "spend": 14.0})
    table = fit.contributions(decision)
    *levels, spend = table["reference"].to_numpy().tolist()
    assert levels == ["off", "a"]
    # Zero is far from where spend was set.
    assert 2.0 < spend < 3.0
    assert table["next_unit"].isnull().to_numpy().tolist() == [True, True, False]
    assert bool(table["supported"].all())
    with pytest.warns(bi.SupportWarning):
        between = fit.contributions(bi.Decision(baseline={"spend": 8.0}))
    assert not between["supported"].any()
    assert not between["next_supported"].any()


def test_the_picture_has_intervals_of_the_table(posterior) -> None:
    decision = bi.Decision({"red": 1.0}, baseline={"red": 0.6, "green": 0.3}, value=2.0)
    table, figure = posterior.contributions(decision), posterior.plot_contributions(decision)
    left, right = figure.axes
    labels = [text.get_text() for text in left.get_yticklabels()]
    assert labels == ["red\n0.6 against 0", "green\n0.3 against 0"]
    ends = left.collections[0].get_segments()
    shown = table[["contribution_low", "contribution_high"]].isel(action=0).to_array()
    np.testing.assert_allclose(ends[0][:, 0], shown)
    assert right.get_xlabel() == "value of intensity per unit of cost"
