"""Tidy predictions, comparisons and slopes against effects at single points."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import xarray as xr

import bayes_intgen as bi

from _posteriors import (
    frame_with_groups,
    made_up,
    made_up_with_groups,
    made_up_with_levels,
    with_log_link,
)

STATISTICS = ["estimate", "sd", "low", "high", "supported"]
ROWS = pd.DataFrame({"red": [-0.5, 0.0, 0.4], "green": [0.1, 0.2, 0.3], "shop": ["a", "b", "b"]})
ACTIONS = ROWS[["red", "green"]]


@pytest.fixture(scope="module")
def grouped() -> bi.Posterior:
    return made_up_with_groups()


def test_averages_are_of_draws(posterior) -> None:
    each = posterior.joint_effect(ACTIONS).to_numpy()
    shops = posterior.predictions(ROWS, by="shop")
    expected = np.stack([each[..., 0], each[..., 1:].mean(axis=-1)], axis=-1)
    np.testing.assert_allclose(shops.draws, expected)
    table = shops.to_dataframe(level=0.5)
    assert [*table] == ["shop", *STATISTICS]
    np.testing.assert_allclose(table["low"], np.quantile(expected, 0.25, axis=(0, 1)))
    whole = posterior.predictions(ROWS, by=True)
    assert [*whole.to_dataframe()] == STATISTICS
    np.testing.assert_allclose(whole.draws[..., 0], each.mean(axis=-1))
    # An average of intervals would be wider: draws at different rows are no copies of each other.
    widths = posterior.predictions(ROWS).to_dataframe().eval("high - low")
    assert whole.to_dataframe().eval("high - low").item() < 0.98 * widths.mean()


@pytest.mark.filterwarnings("ignore::bayes_intgen.SupportWarning")
def test_a_ratio_of_averages_is_no_average_of_ratios(posterior) -> None:
    far = {"red": [2.0, 1.6, 1.2], "green": [1.5, 2.0, 2.5]}
    own = posterior.comparisons({"red": [1.0, 2.0]}, far, comparison="ratio", by=True)
    one, two = (posterior.joint_effect(far | {"red": red}).mean("point") for red in (1.0, 2.0))
    ratios = posterior.ratio(far | {"red": 2.0}, far | {"red": 1.0})
    np.testing.assert_allclose(own.draws[..., 0], two / one)
    assert own.labels["contrast"].tolist() == ["2 / 1"]
    assert np.abs(own.draws[..., 0] - ratios.mean("point")).mean() > 1e-3
    assert "above_one" in ratios.summary()
    with pytest.raises(bi.PointsError, match="too near to zero"):
        posterior.comparisons("red", {"red": 0.0, "green": 0.0}, comparison="ratio")


def test_a_grid_is_not_averaged(posterior) -> None:
    grid = posterior.predictions(ROWS, variables={"red": [0.0, 0.4]}, by=True)
    assert grid.labels["red"].tolist() == [0.0, 0.4]
    for i, red in enumerate([0.0, 0.4]):
        own = posterior.joint_effect(ACTIONS.assign(red=red)).mean("point")
        np.testing.assert_allclose(grid.draws[..., i], own)


def test_actions_that_are_called_like_columns_of_answers_are_marked() -> None:
    fit, names = made_up(["high", "term"]), ["high (action)", "term (action)"]
    table = fit.comparisons({"high": [0.1, 0.4]}, by="high").to_dataframe()
    assert [*table] == [names[0], "term", "contrast", *STATISTICS]
    assert table["term"].item() == "high"
    grid = fit.predictions(variables={"high": [0.1, 0.4]}).to_dataframe()
    assert ([*grid], grid[names[0]].tolist()) == ([*names, *STATISTICS], [0.1, 0.4])


def test_many_rows_are_answered_in_parts(posterior) -> None:
    many = pd.concat([ROWS] * 3_000)
    np.testing.assert_allclose(
        posterior.predictions(many, by=True).draws, posterior.predictions(ROWS, by=True).draws
    )


def test_changes_from_each_row(posterior) -> None:
    table = posterior.comparisons({"red": 0.1, "green": "sd"}, ACTIONS).to_dataframe()
    assert table["term"].tolist() == ["red"] * 3 + ["green"] * 3
    assert table["contrast"].iloc[0] == "+0.1"
    assert table["contrast"].iloc[3].endswith("(1 sd)")
    change = posterior.contrast(ACTIONS.assign(red=ROWS["red"] + 0.1), ACTIONS)
    np.testing.assert_allclose(table["estimate"][:3], change.mean(("chain", "draw")))
    every = posterior.comparisons(newdata=ACTIONS).to_dataframe()
    assert every["contrast"].tolist() == ["+1"] * 6


def test_levels_are_compared_with_the_first() -> None:
    fit = made_up_with_levels()
    own, base = fit.comparisons("drug"), fit.predictions().to_dataframe()
    assert own.labels["contrast"].tolist() == ["b - a", "placebo - a"]
    start, end = (
        {name: base[name][0] for name in fit.actions} | {"drug": drug} for drug in ("a", "b")
    )
    np.testing.assert_allclose(own.draws[..., 0], fit.contrast(end, start)[..., 0])
    turned = fit.comparisons({"drug": ["b", "a"]})
    np.testing.assert_allclose(turned.draws[..., 0], -own.draws[..., 0], atol=1e-12)
    assert fit.predictions(variables="drug").labels["drug"].tolist() == ["a", "b", "placebo"]


@pytest.mark.parametrize("link", ["identity", "log"])
@pytest.mark.parametrize("names", [["age"], ["age", "region"], ["age", "season", "region"]])
def test_rows_have_their_own_covariates(grouped, names, link) -> None:
    fit = with_log_link(grouped) if link == "log" else grouped
    rows = frame_with_groups().iloc[[3, 130, 250]].reset_index(drop=True)
    rows = rows.assign(tv=[0.1, 0.3, -0.2], promo=[0.0, 0.2, 0.1])
    actions, own = rows[["tv", "promo"]], fit.predictions(rows[["tv", "promo", *names]])
    change = fit.comparisons({"tv": [0.0, 0.5]}, rows[["tv", "promo", *names]])
    slope = fit.slopes("tv", rows[["tv", "promo", *names]])
    for i, given in enumerate(rows[names].to_dict("records")):
        view = fit.given(given)
        expected = view.slope("tv", actions.iloc[[i]])[..., 0]
        np.testing.assert_allclose(slope.draws[..., i], expected, rtol=1e-6)
        expected = view.joint_effect(actions.iloc[[i]])[..., 0]
        np.testing.assert_allclose(own.draws[..., i], expected, rtol=1e-8)
        ends = (actions.iloc[[i]].assign(tv=tv) for tv in (0.5, 0.0))
        expected = view.contrast(*ends)[..., 0]
        np.testing.assert_allclose(change.draws[..., i], expected, rtol=1e-8, atol=1e-10)
    # Negative control: they differ from averages.
    averages = fit.joint_effect(actions)
    assert np.abs(own.draws.to_numpy() - averages.to_numpy()).mean() > 1e-3


def test_views_hold_for_what_rows_leave_open(grouped) -> None:
    view = grouped.given(season="winter")
    own = view.predictions({"tv": 0.5, "promo": 0.1, "age": 40.0})
    expected = view.given(age=40.0).joint_effect({"tv": 0.5, "promo": 0.1})
    np.testing.assert_allclose(own.draws, expected)
    assert own.draws.attrs["population"].startswith("at the age of each row; otherwise at season")
    units = frame_with_groups()[["age", "season", "region"]].head(20)
    over = grouped.over(units).slopes("tv", {"tv": 0.5, "promo": 0.1, "season": "winter"})
    expected = grouped.over(units.assign(season="winter")).slope("tv", [[0.5, 0.1]])
    np.testing.assert_allclose(over.draws, expected)
    drawn = grouped.over("bootstrap").predictions({"tv": 0.5, "promo": 0.1})
    expected = grouped.over("bootstrap").joint_effect([[0.5, 0.1]])
    np.testing.assert_allclose(drawn.draws, expected)


def test_tables_are_of_the_library_that_asks(posterior) -> None:
    rows = ROWS.assign(shop=["a", None, "b"])
    expected = posterior.slopes("red", rows, by="shop").to_dataframe()
    polars = posterior.slopes("red", pl.from_pandas(rows), by="shop").to_dataframe()
    assert isinstance(polars, pl.DataFrame)
    arrow = posterior.slopes("red", pa.Table.from_pandas(rows), by="shop").to_dataframe()
    assert isinstance(arrow, pa.Table)
    for other in (polars.to_pandas(), arrow.to_pandas()):
        pd.testing.assert_frame_equal(other, expected, check_dtype=False)
    # Columns that are dicts of Series go together by position, whatever their indices.
    series = rows.to_dict("series") | {"red": rows["red"].set_axis([2, 1, 0])}
    kinds = rows.to_dict("list"), rows.to_dict("records"), series, xr.Dataset.from_dataframe(rows)
    for kind in kinds:
        own = posterior.slopes("red", kind, by="shop").to_dataframe()
        pd.testing.assert_frame_equal(own, expected)
    points = posterior.predictions(ACTIONS.to_numpy())
    np.testing.assert_array_equal(points.draws, posterior.predictions(rows).draws)
    text = str(posterior.predictions(rows.rename(columns={"shop": 0})))
    assert text.splitlines()[2].split()[2] == "0"


def test_typical_rows(posterior, data) -> None:
    observed = data.actions[~data.intervened.any(axis=1)]
    for kind, of in (("mean", np.mean), ("median", np.median)):
        row = posterior.predictions(kind).to_dataframe()
        np.testing.assert_allclose(row[["red", "green"]].to_numpy()[0], of(observed, axis=0))
    row = posterior.predictions().to_dataframe()
    np.testing.assert_array_equal(row[["red", "green"]].to_numpy()[0], posterior.default_point)
    row = posterior.predictions({"red": [0.1, 0.2]}).to_dataframe()
    assert (row["green"] == posterior.default_point[1]).all()


def test_support_is_of_all_points_of_an_estimate(posterior) -> None:
    with pytest.warns(bi.SupportWarning) as caught:
        own = posterior.comparisons({"red": 0.1}, {"red": [0.0, 50.0], "green": 0.1})
    assert len(caught) == 1
    assert own.to_dataframe()["supported"].tolist() == [True, False]
    assert str(own).splitlines()[2].split()[-1] == "supported"
    with pytest.warns(bi.SupportWarning):
        whole = posterior.predictions({"red": [0.0, 50.0], "green": 0.1}, by=True)
    assert whole.to_dataframe()["supported"].tolist() == [False]
    assert whole.draws["share_supported"].values.tolist() == [0.5]
    assert str(whole).splitlines()[3].split()[-1] == "50%"
    assert "supported" not in str(posterior.predictions(ROWS))
    # A point counts once, and a slope as the row itself.
    with pytest.warns(bi.SupportWarning, match="^1 of 2 points"):
        posterior.slopes(["red", "green"], {"red": [0.0, 50.0], "green": 0.1})


def test_long_tables_are_shortened_in_print(posterior) -> None:
    many = posterior.predictions({"red": np.linspace(-0.5, 0.5, 50), "green": 0.1})
    assert "and 30 more; see to_dataframe()" in str(many)
    assert len(many.to_dataframe()) == 50


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda fit: fit.slopes("drug"), "'drug' has levels.*posterior.comparisons"),
        (lambda fit: fit.slopes("spnd"), "variables: unknown action 'spnd'; did you mean 'spend'"),
        (lambda fit: fit.predictions({"drgu": ["a"]}), "unknown column 'drgu'; did you mean"),
        (lambda fit: fit.predictions([{"drgu": "a"}]), "unknown column 'drgu'; did you mean"),
        (lambda fit: fit.predictions({"drug": ["d"]}), "'drug'.*'d'"),
        (lambda fit: fit.comparisons({"drug": "b"}), "'drug' has 'b'; give a list of values"),
        (lambda fit: fit.comparisons({"spend": "iqr"}), 'a number to add, or "sd"'),
        (lambda fit: fit.comparisons([]), "name at least one action"),
        (lambda fit: fit.comparisons(5), "variables"),
        (lambda fit: fit.predictions(variables={"spend": []}), "'spend' has no values"),
        (lambda fit: fit.comparisons({"spend": np.array([])}), "'spend' has no values"),
        (lambda fit: fit.predictions({"spend": 1, "coin": 0, "sd": 1}, by="sd"), "rename|unknown"),
        (lambda fit: fit.predictions([{"Spend ": 1.0}]), "rename column 'Spend ' to 'spend'"),
        (
            lambda fit: fit.predictions(pd.DataFrame({"why": [[1]]}), by="why"),
            "by: 'why' must hold single",
        ),
        (lambda fit: fit.comparisons("spend", comparison="odds"), "unknown comparison 'odds'"),
        (lambda fit: fit.predictions("mode"), "a table, points, 'mean' or 'median', not 'mode'"),
        (lambda fit: fit.predictions({"spend": [1.0]}, by="shop"), "no column 'shop'"),
        (lambda fit: fit.predictions({"spend": [1.0, 2.0], "coin": [0, 1, 0]}), "lengths"),
        (lambda fit: fit.predictions({"spend": []}), "newdata has no rows"),
        (lambda fit: fit.predictions().to_dataframe(level=90), "level must lie between 0 and 1"),
    ],
)
def test_mistakes_are_answered_with_a_remedy(ask, message) -> None:
    with pytest.raises(bi.PointsError, match=message):
        ask(made_up_with_levels())


def test_every_answer_has_a_table(posterior, data) -> None:
    table = posterior.contrast(ROWS.set_index("shop"), [[0.0, 0.0]]).to_dataframe(level=0.8)
    assert table.index.tolist() == ["a", "b", "b"]
    assert {"from red", *STATISTICS} <= {*table}
    summary = posterior.contrast(ACTIONS, [[0.0, 0.0]]).summary(0.8)
    np.testing.assert_allclose(table["low"], summary["low"])
    plan = posterior.best(bi.Decision())
    gain = plan.to_dataframe().set_index("quantity").loc["gain"]
    assert gain["estimate"] == pytest.approx(float(plan.gain.mean()))
    certificate = data.identify(["red", "green"]).to_dataframe()
    assert certificate["weights"].sum() == 1
    assert certificate["rows"].sum() == len(data)
