import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest

import bayes_intgen as bi

POINTS = np.array([[0.0, 0.0], [0.5, -0.5], [-0.5, 0.25]])


def test_every_draw_has_the_same_dims_and_labels(posterior) -> None:
    sizes = (4, 250, 3)
    for effect in (posterior.joint_effect(POINTS), posterior.effect(POINTS, ["red"])):
        assert effect.dims == ("chain", "draw", "point")
        assert effect.shape == sizes
        np.testing.assert_array_equal(effect["red"], POINTS[:, 0])
    mechanisms = posterior.mechanisms(POINTS)
    for name in ("unconfounded", "confounded"):
        assert mechanisms[name].dims == ("chain", "draw", "action", "point")
    assert mechanisms["action"].to_numpy().tolist() == ["red", "green"]
    np.testing.assert_array_equal(mechanisms["value"], POINTS.T)


def test_mechanisms_add_up_to_every_effect(posterior) -> None:
    # E[Y | a, R] = c + sum_k phi_k + sum_k (1 - R_k) delta_k
    mechanisms = posterior.mechanisms(POINTS)
    intercept = posterior.tree["posterior"]["intercept"]
    for chosen in ([], ["red"], ["green"], ["red", "green"]):
        total = intercept.copy()
        for name in posterior.actions:
            kind = "unconfounded" if name in chosen else "confounded"
            total = total + mechanisms[kind].sel(action=name, drop=True)
        effect = posterior.effect(POINTS, intervened=chosen)
        np.testing.assert_allclose(total.to_numpy(), effect.to_numpy(), atol=1e-10)
    joint = posterior.joint_effect(POINTS)
    np.testing.assert_array_equal(joint, posterior.effect(POINTS, ["green", "red"]))


def test_frames_and_arrays_ask_the_same(posterior) -> None:
    frame = pd.DataFrame(POINTS, columns=["red", "green"]).assign(extra="x")
    expected = posterior.joint_effect(POINTS)
    for points in (frame, frame[["green", "red"]], pl.from_pandas(frame), POINTS.tolist()):
        np.testing.assert_array_equal(posterior.joint_effect(points), expected)


def test_the_tree_is_what_arviz_expects(posterior) -> None:
    import arviz as az
    import matplotlib.pyplot as plt

    summary = az.summary(posterior.tree, round_to="none")
    assert "scale[phi(red)]" in summary.index
    assert summary.notna().all(axis=None)
    az.plot_trace_dist(posterior.tree)
    az.plot_energy(posterior.tree)
    plt.close("all")
    found = az.diagnose(posterior.tree, return_diagnostics=True, show_diagnostics=False)
    assert found is not None
    assert posterior.tree.attrs["inference_library"] == "numpyro"


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (np.zeros(2), r"shape \(points, 2\)"),
        (np.zeros((3, 3)), r"'red', 'green', not \(3, 3\)"),
        ([[0.0, np.nan]], "NaN or infinity for 'green' in row 0"),
        ([["a", "b"]], "must be numbers"),
        (pd.DataFrame({"red": [0.0]}), "no column 'green'"),
        (pd.DataFrame({"red": [0.0], "green": ["x"]}), "'green' .*not numbers"),
    ],
)
def test_bad_points_are_refused(posterior, points, message) -> None:
    for ask in (posterior.joint_effect, posterior.mechanisms):
        with pytest.raises(bi.PointsError, match=message):
            ask(points)


def test_sets_that_name_no_action_are_refused(posterior) -> None:
    with pytest.raises(bi.PointsError, match="'blue', which is no action"):
        posterior.effect(POINTS, ["blue"])
    with pytest.raises(bi.PointsError, match=r"intervened=\['red'\]"):
        posterior.effect(POINTS, "red")


def test_points_outside_the_data_warn_by_name_and_range(data, posterior) -> None:
    beyond = data.actions[:, 0].max() + 1
    low, high = data.actions[:, 0].min(), data.actions[:, 0].max()
    for ask in (posterior.joint_effect, lambda p: posterior.effect(p, []), posterior.mechanisms):
        with pytest.warns(bi.SupportWarning, match="1 of 2 points set 'red' outside") as caught:
            ask([[0.0, 0.0], [beyond, 0.0]])
        assert len(caught) == 1
        assert f"{low:g} to {high:g}" in str(caught[0].message)
        assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        posterior.joint_effect(data.actions)


def test_it_prints_what_it_is(posterior) -> None:
    assert repr(posterior).splitlines() == [
        "Posterior of 'intensity' given 'red', 'green': 4 chains of 250 draws",
        "  observational  300 rows",
        "  do(red)        300 rows",
        "  do(green)      300 rows",
    ]


def test_the_fit_that_everything_here_uses_has_no_divergences(posterior) -> None:
    assert not posterior.tree["sample_stats"]["diverging"].any()
    assert (posterior.tree["sample_stats"]["tree_depth"] < 10).all()


def test_effects_that_the_regimes_do_not_identify_say_so(data) -> None:
    rows = ~data.intervened[:, 1]
    fewer = bi.RegimeData.from_arrays(
        data.actions[rows], data.outcome[rows], data.intervened[rows], data.names
    )
    fitted = bi.fit(fewer, bi.models.additive("linear"), draws=50, warmup=50, progress=False)
    with pytest.warns(bi.SupportWarning, match="do not identify the effect of setting red, green"):
        joint = fitted.joint_effect(POINTS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        alone = fitted.effect(POINTS, ["red"])
    # The answer falls back on the prior: it is far wider than what was seen.
    assert (joint.std(("chain", "draw")) > 3 * alone.std(("chain", "draw"))).all()
