"""For whom an answer is: values, lists of values, groups, dates and what depends on them."""

import datetime
import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
from _kinds import DAY0, labelled
from _pages import write_page
from _rows import fitted, moments
from _worlds import Cause, World, numbers

import bayes_intgen as bi

POINTS = [[0.5, 0.2], [-0.5, 0.4]]
CAUSES = {
    "age": Cause(lambda rng, n: rng.uniform(20, 70, n), lambda a: a - 45, moves=0.02, adds=0.05),
    "season": labelled({"summer": 0.0, "winter": 1.0}, adds=1.0),
    "day": Cause(
        lambda rng, n: (DAY0 + rng.integers(0, 200, n)).astype("datetime64[ns]"),
        lambda days: (days.astype("datetime64[D]") - DAY0).astype(float),
        adds=0.01,
    ),
    "region": labelled({"Region A": 0.0, "Region B": 1.0, "Region C": 2.0}, adds=1.0),
}
# The effect of tv depends on age, and that of promo on nothing.
WORLD = World(
    {"tv": numbers(lambda a: a), "promo": numbers(lambda a: a / 2)}, CAUSES,
    weight=0.0, base=0.0, noise=0.3, moderated=("tv", "age", 0.03),
)  # fmt: skip


def frame() -> pd.DataFrame:
    table = WORLD.table(100, ["", "tv", "promo"], seed=1).rename(columns={"y": "sales"})
    patient = np.random.default_rng(1).integers(0, 90, len(table))
    return table.assign(revenue=np.exp(table["sales"] / 10), patient=[f"p{i}" for i in patient])


TABLE = frame()
MASKS = np.stack([TABLE["regime"] == name for name in ("tv", "promo")], axis=1)
ARRAYS = (TABLE[["tv", "promo"]], TABLE["sales"], MASKS)


def read(table: pd.DataFrame = TABLE, outcome: str = "sales", **roles: Any) -> bi.RegimeData:
    roles = {"covariates": ["age", "season", "day"], "groups": ["region"]} | roles
    return bi.RegimeData.from_frame(table, ["tv", "promo"], outcome, "regime", **roles)


FEW, MODERATED = {"draws": 100, "chains": 2}, {"moderators": {"tv": ["age"]}}


@pytest.fixture(scope="module")
def fit() -> bi.Posterior:
    return fitted(read(), bi.models.additive("linear", **MODERATED), **FEW)


@pytest.fixture(scope="module")
def revenue() -> bi.Posterior:
    return fitted(read(outcome="revenue"), bi.models.multiplicative("linear", **MODERATED), **FEW)


def effect(posterior: bi.Posterior, **over: Any) -> np.ndarray:
    return posterior.joint_effect(POINTS, **over).to_numpy()


def population(answer: Any) -> str:
    return str(answer.attrs["population"])


@pytest.mark.parametrize("label", ["Region Z", "region a", "elsewhere", 3])
def test_unknown_group_is_refused_with_the_nearest_label(fit: bi.Posterior, label: object) -> None:
    near = "did you mean 'Region [ABC]'. .*" if str(label).lower().startswith("region") else ""
    message = f"'region' has no group '{label}'.*{near}'Region C'.*'new group'"
    for over in ({"given": {"region": label}}, {"population": TABLE[:2].assign(region=label)}):
        with pytest.raises(bi.PointsError, match=message):
            effect(fit, **over)


def test_new_group_is_asked_for_by_its_label(fit: bi.Posterior) -> None:
    assert bi.NEW_GROUP == "new group"
    answer = fit.joint_effect(POINTS, given={"region": bi.NEW_GROUP})
    known = fit.joint_effect(POINTS, given={"region": "Region B"})
    assert population(answer).startswith("at region = new group; otherwise average over ")
    assert (answer.std(("chain", "draw")) > 1.2 * known.std(("chain", "draw"))).all()
    row = TABLE.iloc[[0]]
    given = row[["age", "season", "day"]].iloc[0].to_dict()
    np.testing.assert_allclose(
        effect(fit, population=row.assign(region="new group")),
        effect(fit, given={**given, "region": "new group"}),
    )


def test_group_of_the_data_called_new_group_is_refused() -> None:
    table = TABLE.replace({"region": {"Region B": "new group"}})
    with pytest.raises(bi.DataError, match="'region' has a group 'new group'.*another name"):
        read(table)
    with pytest.raises(bi.DataError, match="another name"):
        bi.RegimeData.from_arrays(*ARRAYS, groups={"region": table["region"].to_numpy()})


def test_levels_that_are_integrated_out() -> None:
    data = read(covariates=["age"], groups=["patient"])
    fine = fitted(data, bi.models.additive("linear", **MODERATED), **FEW)
    answer = fine.joint_effect(POINTS, given={"patient": bi.NEW_GROUP})
    assert "at patient = new group" in population(answer)
    for label in ("p3", "somebody", ["p3", bi.NEW_GROUP]):
        named = TABLE[:2].assign(patient=label)
        asks = (fine.given, {"patient": label}), (fine.over, named), (fine.predictions, named)
        for ask, about in asks:
            with pytest.raises(bi.PointsError, match="integrated out.*'new group'"):
                ask(about)
    without = fitted(data, bi.models.additive("linear", groups={"patient": []}, **MODERATED), **FEW)
    assert without.joint_effect(POINTS).shape == answer.shape


LISTS: list[tuple[Mapping[str, Any], str]] = [
    ({"region": ["Region B", "Region C"]},
     "at region = average of Region B and Region C; otherwise average over 100 obs"),
    ({"age": np.array([30, 40, 60]), "season": ["winter"]},
     "at age = average of 30, 40 and 60, season = winter; otherwise"),
    ({"day": ["2024-02-01", datetime.date(2024, 3, 1)], "season": ("summer", "winter")},
     "at day = average of 2024-02-01 and 2024-03-01, season = average of summer and winter;"),
    ({"region": ["Region A", bi.NEW_GROUP]}, "at region = average of Region A and new group;"),
    ({"age": [30]}, "at age = 30; otherwise"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "words"), LISTS)
@pytest.mark.parametrize("kind", ["fit", "revenue"])
def test_lists_are_averages_with_equal_weights(
    kind: str, given: Any, words: str, request: pytest.FixtureRequest
) -> None:
    posterior = request.getfixturevalue(kind)
    answer = posterior.joint_effect(POINTS, given=given)
    assert population(answer).startswith(words)
    each = [dict(zip(given, values, strict=True)) for values in itertools.product(*given.values())]
    average = np.mean([effect(posterior, given=own) for own in each], axis=0)
    np.testing.assert_allclose(answer, average, rtol=1e-6, atol=1e-9)
    one = posterior.contrast([[1.0, 0.0]], [[0.0, 0.0]], given=given)
    changes = [posterior.contrast([[1.0, 0.0]], [[0.0, 0.0]], given=own) for own in each]
    np.testing.assert_allclose(one, np.mean(changes, axis=0), rtol=1e-6, atol=1e-9)


def test_outcomes_under_a_list_are_those_of_units_of_each_value(fit: bi.Posterior) -> None:
    """Mean and variance of single outcomes are those of a mixture of the values."""
    wide = fit.outcome(POINTS, given={"age": [21, 69]})
    parts = [moments(fit.outcome(POINTS, given={"age": age})) for age in (21, 69)]
    means, sds = np.swapaxes(parts, 0, 1)
    error = wide.std().item() / np.sqrt(200)
    assert abs(wide.mean().item() - means.mean()) < 4 * error
    variance = np.square(sds).mean(axis=0) + means.var(axis=0)
    np.testing.assert_allclose(moments(wide)[1] ** 2, variance, rtol=0.5)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"region": []}, "'region' is an empty list"),
        ({"region": ["Region A", "Region Z"]}, "no group 'Region Z'"),
        ({"age": [30, float("nan")]}, "must be a finite number, not nan"),
        ({"season": ["winter", "wintre"]}, "did you mean 'winter'"),
        ({"aeg": [30]}, "unknown covariate or grouping 'aeg'; did you mean 'age'. The fit has "),
        ({"xyz": 1}, "unknown covariate or grouping 'xyz'; the fit has 'age', 'season'"),
        (3, "given must map covariates and groups to values"),
    ],
)
def test_values_that_cannot_be_given(fit: bi.Posterior, given: Any, message: str) -> None:
    with pytest.raises(bi.PointsError, match=message):
        effect(fit, given=given)


@pytest.mark.parametrize(
    "day", ["20240501", "2024", "2024-05", "2024-13-45", "May 2024", 2024, 20240501, 19844.0]
)
def test_what_is_not_a_date_is_refused_everywhere(fit: bi.Posterior, day: object) -> None:
    for over in ({"given": {"day": day}}, {"population": TABLE[:2].assign(day=day)}):
        with pytest.raises(bi.PointsError, match="'day' has .*not a date; write it as 2024-05-01"):
            effect(fit, **over)


SAME_DAY = [
    "2024-05-01", "2024-05-01 00:00", "2024-05-01T00:00:00", datetime.date(2024, 5, 1),
    datetime.datetime(2024, 5, 1), np.datetime64("2024-05-01"), pd.Timestamp("2024-05-01"),
    pd.Timestamp("2024-05-01", tz="Europe/Berlin"),
]  # fmt: skip


@pytest.mark.parametrize("day", SAME_DAY)
def test_dates_are_read_alike_by_columns_and_questions(fit: bi.Posterior, day: Any) -> None:
    expected = effect(fit, given={"day": "2024-05-01"})
    np.testing.assert_array_equal(effect(fit, given={"day": day}), expected)
    one = pd.DataFrame({"age": [40.0], "season": "winter", "region": "Region A"})
    given = {**one.iloc[0].to_dict(), "day": "2024-05-01"}
    one["day"] = [day]
    np.testing.assert_allclose(effect(fit, population=one), effect(fit, given=given))
    earlier = "2024-04-28" if isinstance(day, str) else day - pd.Timedelta(days=3)
    days = pd.Series([day, earlier] * 150, dtype=object)
    rows = read(TABLE.assign(day=days), covariates=["day"])
    np.testing.assert_array_equal(rows.covariates[:2, 0], [19844, 19841])


def test_dates_in_arrays_are_those_of_frames() -> None:
    day, expected = TABLE["day"], read(covariates=["day"], groups=())
    for days in (
        day.to_numpy(), day.to_numpy().astype("datetime64[D]"), day.dt.date.to_numpy(),
        day.tolist(), day.dt.strftime("%Y-%m-%d").to_numpy(),
    ):  # fmt: skip
        data = bi.RegimeData.from_arrays(*ARRAYS, ["tv", "promo"], covariates={"day": days})
        np.testing.assert_array_equal(data.covariates, expected.covariates)
        assert data.columns.dates == expected.columns.dates == ("day",)


@pytest.mark.parametrize("kind", ["datetime64[ns]", object])
def test_missing_dates_in_arrays(kind: Any) -> None:
    days = TABLE["day"].where(TABLE.index != 3).to_numpy()
    cells = np.array(list(days), dtype=object) if kind is object else days
    with pytest.raises(bi.DataError, match="'day' has 1 missing cell"):
        bi.RegimeData.from_arrays(*ARRAYS, covariates={"day": cells})
    with pytest.warns(bi.DataWarning, match="1 of 300 rows"):
        data = bi.RegimeData.from_arrays(*ARRAYS, covariates={"day": cells}, missing="drop")
    assert data.columns.dates == ("day",)


def test_column_with_a_date_that_does_not_exist() -> None:
    text = TABLE["day"].dt.strftime("%Y-%m-%d").where(TABLE.index != 5, "2024-13-45")
    with pytest.raises(bi.DataError, match="'day' has '2024-13-45', which is not a date"):
        read(TABLE.assign(day=text))


def test_warning_of_extrapolation_shows_dates(fit: bi.Posterior) -> None:
    with pytest.warns(bi.SupportWarning, match="range, 2024-01-02 to 2024-07-18"):
        effect(fit, given={"day": "2026-01-01"})


def test_none_means_no_covariates_and_groups() -> None:
    none = {"covariates": None, "groups": None}
    streams = bi.read([TABLE], ["tv", "promo"], "sales", "regime", **none, progress=False)
    for rows in (read(**none), streams, bi.RegimeData.from_arrays(*ARRAYS, **none)):
        assert rows.columns.every == ()


def test_an_effect_follows_a_season() -> None:
    rng, days = np.random.default_rng(0), np.arange(900)
    season = 1 + np.sin(2 * np.pi * days / 365.25)
    table = pd.DataFrame(rng.normal(size=(900, 2)), columns=["tv", "promo"])
    table = table.assign(regime=["", "tv", "promo"] * 300, day=DAY0 + days)
    table["sales"] = season * (1 + table["tv"]) + 0.5 * rng.normal(size=900)
    rows, model = read(table, covariates=["day"], groups=()), {"moderators": {"tv": ["day"]}}
    seasonal = fitted(rows, bi.models.additive(**model))
    each = [seasonal.contrast(TV, FROM, given={"day": d}) for d in table["day"][[91, 274]]]
    np.testing.assert_allclose([moments(change)[0].item() for change in each], [2, 0], atol=0.3)


FROM, TV, PROMO, BOTH = [[0.0, 0.0]], [[1.0, 0.0]], [[0.0, 1.0]], [[1.0, 1.0]]
AT = {"age": 60}


def test_changes_say_on_which_values_given_they_do_not_depend(fit: bi.Posterior) -> None:
    """Negative controls: levels depend on all covariates, and the effect of tv on age."""
    plain = population(fit.joint_effect(TV, given=AT))
    assert "depend" not in plain
    for change in (fit.contrast(TV, FROM, given=AT), fit.given(AT).slope("tv", FROM)):
        assert population(change) == plain
    words = f"{plain}; the effect of promo does not depend on age in this model"
    for change in (
        fit.contrast(PROMO, FROM, given=AT),
        fit.contrast(BOTH, FROM, given=AT),
        fit.given(AT).slope("promo", FROM),
    ):
        assert population(change) == words
        assert change.attrs["unmoderated"] == "promo:age"
    several = fit.contrast(BOTH, FROM, given={"age": [30, 60], "region": "Region A"})
    assert population(several).endswith(
        "the effect of promo does not depend on age in this model; "
        "the effects of tv and promo do not depend on region in this model"
    )
    # Without values given, and without a change, there is nothing to say.
    without = fit.contrast(PROMO, FROM), fit.contrast(FROM, FROM, given=AT)
    for change in (*without, fit.given(AT).ratio(PROMO, FROM)):
        assert "depend" not in population(change)


def test_the_sentence_is_true(fit: bi.Posterior, revenue: bi.Posterior) -> None:
    """The changes of which it is said are equal, and others are not."""
    regions, seasons = ("Region A", "Region C"), ("summer", "winter")
    values = {"age": (25, 65), "region": regions, "season": seasons}
    # Changes of products depend on everything, and their ratios do not.
    kinds = ((fit, "contrast"), (revenue, "contrast"), (revenue, "ratio"))
    for (posterior, answer), end, (name, pair) in itertools.product(
        kinds, (TV, PROMO), values.items()
    ):
        one, other = (getattr(posterior.given({name: value}), answer)(end, FROM) for value in pair)
        said = "depend on" in population(one)
        assert said == bool(np.allclose(one, other, rtol=1e-9)), (answer, name, end)
        assert not (said and posterior is revenue and answer == "contrast")


def test_biases_that_depend_on_covariates_matter_where_actions_are_observed() -> None:
    """Where the bias of tv depends on age, so does the change of an observed tv."""
    table = frame()
    of_bias = (table["regime"] != "tv") / 12 - 0.03
    table["sales"] += of_bias * (table["age"] - 45) * table["tv"]
    biased = fitted(read(table, covariates=["age"], groups=()), **FEW)
    ages = [{"age": age} for age in (25, 65)]
    observed = [biased.contrast(TV, FROM, intervened=["promo"], given=age) for age in ages]
    assert abs(observed[0].mean() - observed[1].mean()) > 1
    assert "depend on" not in population(observed[0])
    both_set = [biased.contrast(TV, FROM, given=age) for age in ages]
    np.testing.assert_allclose(*both_set)
    assert "the effect of tv does not depend on age" in population(both_set[0])


def test_slopes_of_groups_are_dependence() -> None:
    model = bi.models.additive("linear", groups={"region": ["level", "tv"]}, **MODERATED)
    sloped, given = fitted(read(covariates=["age"]), model, **FEW), {"region": "Region A"}
    assert "depend" not in population(sloped.contrast(TV, FROM, given=given))
    promo = sloped.contrast(PROMO, FROM, given=given)
    assert population(promo).endswith("the effect of promo does not depend on region in this model")
    assert "unmoderated" not in promo.attrs


def test_report_says_on_which_values_changes_do_not_depend(fit: bi.Posterior, tmp_path) -> None:
    page = write_page(tmp_path / "page.html", fit.given(AT)).source
    assert "the effect of promo does not depend on age in this model" in page
    assert "the effect of tv" not in page.split("</head>")[1].split("<section")[0]
