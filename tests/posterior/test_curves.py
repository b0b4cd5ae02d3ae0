import numpy as np
import pytest

import bayes_intgen as bi
from bayes_intgen.assess.contraction import mechanism_curves, widths
from bayes_intgen.posterior.curves import effect_along

from _posteriors import half_supported, made_up, made_up_with_levels


@pytest.mark.filterwarnings("ignore::bayes_intgen.SupportWarning")
def test_curve_equals_the_joint_effect_at_its_points(posterior) -> None:
    curve = effect_along(posterior, "red", posterior.default_point, {"green": 0.2}, size=7)
    points = curve["value"].to_numpy().T
    assert (points[:, 1] == 0.2).all()
    np.testing.assert_array_equal(points[:, 0], curve["along"])
    effect = posterior.joint_effect(points)
    np.testing.assert_array_equal(curve["effect"], effect)
    np.testing.assert_array_equal(curve["supported"], effect["supported"])
    assert "outcome" not in curve
    assert "label" not in curve.coords


def test_curve_over_levels_has_one_point_per_level() -> None:
    posterior = made_up_with_levels()
    curve = effect_along(posterior, "size", posterior.default_point, {"drug": "b"})
    assert curve["label"].to_numpy().tolist() == ["small", "medium", "large"]
    assert curve["value"].sel(action="size").to_numpy().tolist() == ["small", "medium", "large"]
    assert set(curve["value"].sel(action="drug").to_numpy()) == {"b"}
    # Levels that no experiment sets are not supported.
    half = half_supported()
    channel = effect_along(half, "channel", half.default_point)
    assert channel["supported"].to_numpy().tolist() == [True, True, False]


@pytest.mark.parametrize("predictive", [0.0, 1.0, 90])
def test_predictive_band_needs_a_probability(posterior, predictive) -> None:
    with pytest.raises(bi.PointsError, match="predictive must lie between"):
        effect_along(posterior, "red", posterior.default_point, predictive=predictive)


@pytest.mark.filterwarnings("ignore::bayes_intgen.SupportWarning")
def test_mechanism_curves_agree_with_contraction(posterior) -> None:
    red, green = mechanism_curves(posterior, posterior.default_point, {"green": 0.2})
    assert (red.attrs["along"], green.attrs["along"]) == ("red", "green")
    expected = posterior.contraction(red["value"].to_numpy().T).sel(action="red")
    low, high = red["prior_low"], red["prior_high"]
    np.testing.assert_allclose((high - low) / 2, expected["prior"])
    for kind in ("unconfounded", "confounded"):
        own = red.sel(mechanism=kind)
        np.testing.assert_allclose(
            widths(own["posterior"].to_numpy()), expected["posterior"].sel(mechanism=kind)
        )
        ratios = expected["contraction"].sel(mechanism=kind)
        assert float(own["share"]) == pytest.approx(float(ratios.median()))


def test_regression_has_no_mechanism_curves() -> None:
    pooled = made_up(["a", "b"], model=bi.models.pooled("linear"), draws=4)
    with pytest.raises(bi.ModelError, match="no mechanisms to draw"):
        mechanism_curves(pooled, pooled.default_point)
