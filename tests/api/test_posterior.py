from dataclasses import replace
from datetime import datetime, timedelta

import arviz as az
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import xarray as xr
from _rows import fitted
from scipy.stats import lognorm, norm

import bayes_intgen as bi

from _posteriors import joined, made_up_with_levels

POINTS = np.array([[0.0, 0.0], [0.5, -0.5], [-0.5, 0.25]])


def test_mechanisms_add_up_to_every_effect(posterior) -> None:
    # E[Y | a, R] = c + sum_k phi_k + sum_k (1 - R_k) delta_k
    mechanisms = posterior.mechanisms(POINTS)
    intercept = posterior.tree["posterior"]["intercept"]
    for intervened in ([], ["red"], ["green"], ["red", "green"]):
        total = intercept.copy()
        for name in posterior.actions:
            kind = "unconfounded" if name in intervened else "confounded"
            total = total + mechanisms[kind].sel(action=name, drop=True)
        effect = posterior.effect(POINTS, intervened=intervened)
        np.testing.assert_allclose(total.to_numpy(), effect.to_numpy(), atol=1e-10)
    joint = posterior.joint_effect(POINTS)
    np.testing.assert_array_equal(joint, posterior.effect(POINTS, ["green", "red"]))


def test_tree_follows_the_schema_of_arviz(posterior) -> None:
    summary = az.summary(posterior.tree, round_to="none")
    assert "scale[phi(red)]" in summary.index
    assert summary.notna().all(axis=None)
    az.plot_trace_dist(posterior.tree)
    az.plot_energy(posterior.tree)
    plt.close("all")
    assert posterior.tree.attrs["inference_library"] == "numpyro"
    # ArviZ takes the posterior for its tree.
    assert az.diagnose(posterior, return_diagnostics=True, show_diagnostics=False) is not None
    assert az.summary(posterior, round_to="none").equals(summary)
    assert [*az.convert_to_datatree(posterior).children] == [*posterior.tree.children]
    xr.testing.assert_equal(az.ess(posterior), az.ess(posterior.to_arviz()))
    az.plot_forest(posterior, var_names=["noise_sd"])
    plt.close("all")


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (np.zeros(2), r"shape \(points, 2\)"),
        (np.zeros((3, 3)), r"'red', 'green', not \(3, 3\)"),
        ([[0.0, np.nan]], "NaN or infinity for 'green' in row 0"),
        ([["a", "b"]], "'red' holds text such as 'a' in row 0, not numbers"),
        (pd.DataFrame({"red": [0.0]}), "no column 'green'"),
        (pd.DataFrame({"red": [0.0], "green": ["x"]}), "'green' .*not numbers"),
        ([[1 + 2j, 0.0]], "complex"),
        (np.array([["2020-01-01", "2020-01-02"]], "M8[D]"), "'red' holds dates"),
        (np.ma.masked_array([[1.0, 2.0]], mask=[[0, 1]]), "NaN or infinity for 'green'"),
    ],
)
def test_invalid_points_raise(posterior, points, message) -> None:
    for method in (posterior.joint_effect, posterior.mechanisms):
        with pytest.raises(bi.PointsError, match=message):
            method(points)


def test_actions_in_intervened_are_a_list_or_a_generator_of_known_ones(posterior) -> None:
    effect = posterior.effect(POINTS, (name for name in ["red"]))
    xr.testing.assert_identical(effect, posterior.effect(POINTS, ["red"]))
    assert effect.attrs["intervened"] == "red"
    with pytest.raises(bi.PointsError, match="intervened: unknown action 'blue'"):
        posterior.effect(POINTS, ["blue"])
    with pytest.raises(bi.PointsError, match=r"write \['red'\]"):
        posterior.effect(POINTS, "red")


SIZE = "Posterior of 'intensity' given 'red', 'green': 4 chains of 250 draws"


def test_repr_computes_nothing(posterior) -> None:
    assert repr(posterior) == SIZE
    # Without draws of coefficients it could compute no effect.
    bare = bi.Posterior(posterior.tree.copy())
    del bare.tree["coefficients"]
    assert repr(bare) == SIZE
    with pytest.raises(KeyError, match="coefficients"):
        str(bare)


def test_log_likelihood_and_log_prior(data, posterior) -> None:
    tree = posterior.to_arviz(data, rows=40, seed=3)
    rows = tree["log_likelihood"]["row"].to_numpy()
    assert len(set(rows)) == 40
    row = int(rows[7])
    was_set = [name for k, name in enumerate(data.names) if data.intervened[row, k]]
    mean = posterior.effect(data.actions[[row]], was_set).to_numpy()[..., 0]
    deviations = posterior.tree["noise"]["deviation"].to_numpy()
    variance = posterior.spread.drawn(data.actions[[row]], data.intervened[[row]], deviations)
    sd = tree["posterior"]["noise_sd"].to_numpy() * np.sqrt(variance[..., 0])
    expected = norm.logpdf(data.outcome[row], mean, sd)
    np.testing.assert_allclose(tree["log_likelihood"]["outcome"][..., 7], expected, rtol=1e-9)
    assert float(tree["observed_data"]["outcome"][7]) == data.outcome[row]
    free = posterior.terms.without(tree["constant_data"]["fixed_scale_of"].to_numpy())
    priors = free.hyperpriors(posterior.model.noise_scale)
    scale = tree["posterior"]["scale"].to_numpy()
    sigma, median = priors.sites["scale"].sigma, np.exp(priors.sites["scale"].log_median)
    expected_prior = lognorm.logpdf(scale, sigma, scale=median)
    np.testing.assert_allclose(tree["log_prior"]["scale"], expected_prior, rtol=1e-9)
    assert set(tree["log_prior"].data_vars) == {"scale", "lengthscale", "noise_sd"}
    # All rows, in several batches.
    whole = posterior.to_arviz(data, rows=None)["log_likelihood"]["outcome"]
    assert whole.sizes["row"] == len(data)
    with pytest.raises(bi.DataError, match="rows must be a whole number of at least 1, not 0"):
        posterior.to_arviz(data, rows=0)
    np.testing.assert_allclose(whole[..., row], expected, rtol=1e-9)


def test_arviz_compares_models(data, posterior) -> None:
    fits = {"additive": posterior, "pooled": fitted(data, bi.models.pooled())}
    trees = {name: fit.to_arviz(data, rows=300) for name, fit in fits.items()}
    table = az.compare(trees)
    assert table.index[0] == "additive"
    assert abs(table.loc["pooled", "elpd_diff"]) > 2 * table.loc["pooled", "dse"]
    az.plot_loo_pit(trees["additive"])
    plt.close("all")
    sensitivity = az.psense_summary(posterior.to_arviz(data, rows=None), var_names=["noise_sd"])
    # The data decide the noise, not its prior.
    likelihood, prior = sensitivity.loc["noise_sd", ["likelihood", "prior"]].astype(float)
    assert likelihood > max(0.05, prior)


def test_one_call_gives_what_arviz_draws(posterior, data) -> None:
    tree = posterior.to_arviz(data, POINTS, rows=150, seed=1)
    # The posterior knows more of the outcome than the prior, which is as wide as it says.
    after, before = (tree[f"{of}_predictive"]["outcome"].std() for of in ("posterior", "prior"))
    assert after < 0.5 * before
    scale = posterior.terms.hyperpriors(posterior.model.noise_scale).sites["noise_sd"]
    drawn = np.log(tree["prior"]["noise_sd"])
    assert abs(float(drawn.mean()) - scale.log_median) < 4 * scale.sigma / np.sqrt(drawn.size)
    az.plot_ppc_dist(tree, num_samples=10)
    az.plot_prior_posterior(tree, var_names=["noise_sd"])
    az.plot_forest(tree, group="effects")
    plt.close("all")
    assert az.loo_pit(tree)["outcome"].sizes == {"row": 150}
    assert len(az.summary(tree, group="effects")) == len(POINTS)


def test_groups_for_arviz_say_where_they_are_from(posterior, data) -> None:
    tree = posterior.to_arviz(data, rows=5)
    names = ("created_at", "inference_library", "inference_library_version")
    for node in (posterior.tree, posterior.tree["posterior"], *tree.subtree):
        assert set(names) <= set(node.attrs), node.path
    made = datetime.fromisoformat(tree.attrs["created_at"])
    assert made.utcoffset() == timedelta(0)
    assert len(str(tree.attrs)) < 500
    assert len(str(posterior.tree.attrs)) < 500
    assert sorted(posterior.to_arviz().children) == ["constant_data", "posterior", "sample_stats"]


def test_the_likelihood_of_other_rows_raises(posterior, data) -> None:
    with pytest.raises(bi.DataError, match=r"0 rows of regime do\(green\), the fit had 300"):
        posterior.to_arviz(data.only([], ["red"]))
    more = joined(data, replace(data.take(slice(5)), intervened=np.ones((5, 2), bool)))
    with pytest.raises(bi.DataError, match=r"5 rows of regime do\(red, green\), the fit had 0"):
        posterior.to_arviz(more)
    with pytest.raises(bi.DataError, match="other values of the actions"):
        posterior.to_arviz(replace(data, actions=data.actions + 0.1))
    # Negative control: a copy of the same rows.
    posterior.to_arviz(replace(data), rows=5)


LEVELS = {"drug": "a", "size": "medium", "promo": True, "coin": 1, "spend": 2.5}


@pytest.fixture(scope="module")
def levelled() -> bi.Posterior:
    return made_up_with_levels()


def test_points_of_all_kinds_may_name_levels(levelled) -> None:
    row = list(LEVELS.values())
    expected, frame = levelled.joint_effect([row, row]), pd.DataFrame([LEVELS, LEVELS])
    for points in (
        [LEVELS, LEVELS],
        {**LEVELS, "spend": [2.5, 2.5]},
        np.array([row, row], dtype=object),
        frame,
        frame.astype({"drug": "category", "size": "category", "coin": bool}),
        frame.assign(promo=1, coin=1.0)[["spend", "coin", "promo", "size", "drug"]],
        pl.from_pandas(frame),
        pl.from_pandas(frame).with_columns(pl.col("size").cast(pl.Enum(["medium", "large"]))),
        pa.Table.from_pandas(frame),
        xr.Dataset.from_dataframe(frame),
    ):
        np.testing.assert_array_equal(levelled.joint_effect(points), expected)
    other = levelled.joint_effect({**LEVELS, "drug": "b"})
    assert not np.allclose(other, expected[..., :1])
    for name, label in LEVELS.items():
        assert expected[name].to_numpy().tolist() == [label] * 2
    assert levelled.mechanisms(LEVELS)["value"].to_numpy()[:, 0].tolist() == row
    assert levelled.contraction(LEVELS)["value"].to_numpy()[:, 0].tolist() == row


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"drug": "placbo"}, r"'drug' has no level 'placbo' \(row 0\); did you mean 'placebo'"),
        ({"drug": 1}, "'drug' has no level 1 .*the levels are 'a', 'b', 'placebo'"),
        ({"size": "none"}, "'size' has no level 'none' .*'small', 'medium', 'large'"),
        ({"promo": 0.5}, "'promo' has no level 0.5 .*False, True"),
        ({"coin": "heads"}, "'coin' has no level 'heads' .*0, 1"),
        ({"coin": np.nan}, "'coin' has no level nan"),
        ({"spend": "much"}, "'spend' holds text such as 'much' in row 0, not numbers"),
        ({"spend": None}, "'spend' holds no cells, only missing ones"),
        ({"spend": [1.0, 2.0], "coin": [0, 1, 1]}, "different numbers of values: 1 of 'drug'"),
        ({"speed": 1}, "unknown action 'speed'; did you mean 'spend'.*'coin'"),
    ],
)
def test_points_at_unknown_levels_raise(levelled, changed, message) -> None:
    point = {**LEVELS, **changed}
    with pytest.raises(bi.PointsError, match=message):
        levelled.joint_effect(point)
    if not any(isinstance(value, list) for value in point.values()):
        with pytest.raises(bi.PointsError, match=message):
            levelled.joint_effect([point])


def test_a_point_without_a_value_of_an_action_raises(levelled) -> None:
    with pytest.raises(bi.PointsError, match=r"no value of 'coin', 'spend' \(row 1\)"):
        levelled.joint_effect([LEVELS, {n: LEVELS[n] for n in ("drug", "size", "promo")}])


def test_numbers_between_two_levels_are_not_supported(levelled) -> None:
    points = {**LEVELS, "coin": [0, 0.5, 1]}
    message = "1 of 3 points are not supported .*between levels: 'coin' = 0.5"
    with pytest.warns(bi.SupportWarning, match=message):
        effect = levelled.joint_effect(points)
    assert effect["supported"].to_numpy().tolist() == [True, False, True]
    assert effect["coin"].to_numpy().tolist() == [0, 0.5, 1]
    requirements = levelled.support(points)["needs_met"]
    assert requirements.sel(action="coin").to_numpy().tolist() == [True, False, True]
    assert requirements.sel(action="spend").all()
