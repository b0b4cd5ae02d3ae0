"""Populations of every answer of a fit: labels, and agreement of independent computations."""

import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import bayes_intgen as bi
from bayes_intgen.posterior.adjustments import between_groups, change_along, values_along
from bayes_intgen.posterior.effects import effect_table

from _posteriors import asked, data_with_groups, frame_with_groups, made_up, made_up_with_groups

POINTS, WINTER = [[0.5, 0.2], [-0.5, 0.4]], pd.DataFrame({"season": ["winter"]})
EVERYONE = "average over 120 observational rows"
DEFAULT = f"{EVERYONE}, for an average patient"


@pytest.fixture(scope="module")
def fit() -> bi.Posterior:
    return made_up_with_groups()


@pytest.fixture(scope="module")
def frame():
    return frame_with_groups()


def of(draws) -> np.ndarray:
    return draws.to_numpy()


@pytest.mark.parametrize(
    ("over", "words"),
    [
        ({}, DEFAULT),
        ({"given": {"age": 40}}, f"at age = 40; otherwise {DEFAULT}"),
        ({"given": {"patient": bi.NEW_GROUP}}, f"at patient = new group; otherwise {EVERYONE}"),
    ],
)
def test_every_answer_says_over_whom_it_is_averaged(fit, over, words) -> None:
    view = asked(fit, **over)
    answers = [
        fit.joint_effect(POINTS, **over), fit.effect(POINTS, ["tv"], **over),
        fit.outcome(POINTS, **over), view.mechanisms(POINTS), view.contraction(POINTS),
        view.sensitivity(POINTS, 0.2), effect_table(view, POINTS),
    ]  # fmt: skip
    assert [answer.attrs["population"] for answer in answers] == [words] * len(answers)
    assert words in view.plot_joint_effect("tv").get_title().replace("\n", " ")
    assert words in view.plot_contraction().get_suptitle().replace("\n", " ")
    assert words in view.plot_sensitivity(POINTS).get_suptitle().replace("\n", " ")
    plt.close("all")


def test_a_new_patient_stays_new_at_the_covariates_of_rows() -> None:
    """Of many groups, which the rows of a question do not name."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"dose": rng.normal(size=300), "age": rng.uniform(20, 80, 300)})
    frame["patient"] = np.arange(300) % 100
    frame["regime"] = np.where(np.arange(300) < 150, "", "dose")
    frame["score"] = frame["dose"] + rng.normal(0, 2, 100)[frame["patient"]] + rng.normal(size=300)
    data = bi.RegimeData.from_frame(
        frame, ["dose"], "score", "regime", covariates=["age"], groups=["patient"]
    )
    fit = bi.fit(data, bi.models.additive("linear"), method="laplace", progress=False)
    rows = pd.DataFrame({"dose": [0.0, 0.5], "age": [40.0, 40.0]})
    named, points = rows.assign(patient=bi.NEW_GROUP), rows[["dose"]]
    own = fit.given(patient=bi.NEW_GROUP).predictions(rows)
    expected = fit.joint_effect(points, given={"age": 40.0, "patient": bi.NEW_GROUP})
    for draws in (own.draws, fit.predictions(named).draws, fit.over(named).joint_effect(points)):
        np.testing.assert_allclose(draws, expected)
    # Negative control: an average patient.
    average = fit.predictions(rows).draws.std(("chain", "draw"))
    assert (own.draws.std(("chain", "draw")) > 2 * average).all()


def test_effects_of_new_groups_are_the_same_whichever_others_are_new(fit) -> None:
    region, patient = {"region": bi.NEW_GROUP}, {"patient": bi.NEW_GROUP}
    views = (region | patient, region, patient, {})
    both, first, second, none = (of(fit.given(own).joint_effect(POINTS)) for own in views)
    np.testing.assert_allclose(both - first, second - none)


def test_mechanisms_at_a_value_add_up_to_the_effect(fit) -> None:
    """Also in a group that is not in the data, whose slope has the spread between groups."""
    for given in ({"age": 65, "region": "region 1"}, {"region": bi.NEW_GROUP}):
        effect = of(fit.joint_effect(POINTS, given=given))
        own = fit.given(given).mechanisms(POINTS)
        contributions = of(own["unconfounded"]).sum(axis=2)
        np.testing.assert_allclose(np.diff(effect), np.diff(contributions))
        bias = of(own["confounded"] - own["unconfounded"]).sum(axis=2)
        np.testing.assert_allclose(of(fit.effect(POINTS, [], given=given)) - effect, bias)
    known = fit.given(region="region 1").mechanisms(POINTS)["unconfounded"].std("draw")
    unseen = fit.given(region=bi.NEW_GROUP).mechanisms(POINTS)["unconfounded"].std("draw")
    assert (unseen.sel(action="tv") > 1.05 * known.sel(action="tv")).all()


def test_given_values_beyond_the_data_warn(fit, frame) -> None:
    with pytest.warns(bi.SupportWarning, match="'age' at 90, outside its range, 20"):
        fit.joint_effect(POINTS, given={"age": 90})
    with pytest.warns(bi.SupportWarning, match="'age' at 99"):
        fit.joint_effect(
            POINTS, population=frame[:2].assign(age=[30.0, 99.0], patient=bi.NEW_GROUP)
        )
    with warnings.catch_warnings(action="error", category=bi.SupportWarning):
        fit.joint_effect(POINTS, given={"age": 50})


def test_between_group_standard_deviations(fit) -> None:
    between = between_groups(fit)
    columns = [between[name].to_numpy().tolist() for name in ("grouping", "kind", "action")]
    every = {("region", "levels", ""), ("region", "slopes", "tv"), ("patient", "levels", "")}
    assert set(zip(*columns, strict=True)) == every
    region, patient = (
        between.isel(effect=(between["grouping"] == name) & (between["kind"] == "levels")).squeeze()
        for name in ("region", "patient")
    )
    scale = fit.tree["posterior"]["scale"].sel(scale_of="level(region)")
    np.testing.assert_array_equal(region["sd"], scale)
    ratio, noise_sd = fit.terms.random_effects.ratio[0], fit.tree["posterior"]["noise_sd"]
    np.testing.assert_allclose(patient["sd"], np.sqrt(ratio) * noise_sd)
    assert int(region["groups"]) == 5
    assert (region["estimate"].item(), patient["estimate"].item()) == ("posterior", "integrated")


def test_levels_that_follow_what_is_usual_differ() -> None:
    rng, row = np.random.default_rng(0), np.arange(600)
    level, was_set = rng.normal(size=12)[row % 12], row % 5 == 0
    tv = np.where(was_set, 0, 2 * level) + rng.normal(size=600)
    frame = pd.DataFrame({"tv": tv, "region": row % 12, "y": tv + 3 * level + rng.normal(size=600)})
    frame = frame.assign(regime=np.where(was_set, "tv", ""))
    rows = bi.read(frame, ["tv"], "y", groups=["region"])
    fit = bi.fit(rows, bi.models.additive("linear"), method="laplace", progress=False)
    lines = bi.report_identification(fit).sections["Covariates and groups"]
    assert any("region, 12 groups: sd of their levels 2" in line for line in lines)


def test_populations_have_missing_cells_like_the_rows_of_the_fit(frame) -> None:
    gaps = frame.assign(season=frame["season"].where(frame.index % 3 > 0))
    data = data_with_groups(gaps, groups=[], missing="level")
    model = bi.models.additive("linear", moderators={"tv": ["age"]})
    own = bi.fit(data, model, method="laplace", progress=False)
    filled = own.over(gaps.fillna("missing")).joint_effect(POINTS)
    np.testing.assert_array_equal(own.over(gaps).joint_effect(POINTS), filled)
    # Negative control: another season.
    assert np.abs(own.over(gaps.fillna("summer")).joint_effect(POINTS) - filled).max() > 0.01


def test_summary_lists_population_covariates_and_groups(fit) -> None:
    lines = "\n".join(bi.report_identification(fit).sections["Covariates and groups"])
    for words in (
        f"Answers are an {DEFAULT}, unless given or population says otherwise.",
        "Adjusted for age, season.",
        "The effect of tv depends on age.",
        "region, 5 groups: sd of their levels ",
        "region, 5 groups: sd of their slopes of tv, per robust sd of tv, ",
        "integrated out.",
    ):
        assert words in lines
    assert "sd of their levels" in fit._repr_html_()


def test_levels_that_rest_on_exchangeable_groups_are_said_to(frame) -> None:
    """Negative control: regions that occur in every regime."""
    apart = frame.assign(region=frame["region"] + frame["regime"])
    data = data_with_groups(apart, groups=["region"])
    certificate = data.identify(["tv", "promo"])
    assert [*certificate.level_rests_on] == ["region"]
    words = "No group of 'region' has both history and any experiment"
    assert words in str(certificate)
    assert data_with_groups(frame, groups=["region"]).identify(["tv"]).level_rests_on == {}
    fit = made_up(data.names, outcome="sales", data=data)
    assert str(fit).replace("\n    ", " ").count(words) == 1
    assert "for an average region" in fit.joint_effect(POINTS).attrs["population"]
    assert words in str(bi.report_identification(data)).replace("\n    ", " ")


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({"age": lambda f: f["age"] + 1}, {}, "other covariates, groups, w"),
        ({"region": lambda f: f["region"].to_numpy()[::-1]}, {}, "other covariates, groups, w"),
        ({}, {"weights": "n"}, "other covariates, groups, w"),
        ({}, {"groups": ["region"]}, "'season', 'region', the fit had"),
    ],
)
def test_rows_with_other_covariates_are_other_rows(fit, frame, change, options, message) -> None:
    with pytest.raises(bi.DataError, match=message):
        fit.to_arviz(data_with_groups(frame.assign(**change), **options))
    assert "log_likelihood" in fit.to_arviz(data_with_groups(frame), rows=20).children


@pytest.mark.parametrize(
    ("over", "message"),
    [
        *(
            ({"given": {"region": n}}, "'region' is missing; name a group")
            for n in (None, np.nan, pd.NA)
        ),
        ({"given": {"age": 40}, "population": WINTER}, "no .*'region'"),
        ({"population": 3}, "population must be"),
    ],
)
def test_bad_populations_are_refused(fit, over, message) -> None:
    for question in (lambda: asked(fit, **over), lambda: fit.joint_effect(POINTS, **over)):
        with pytest.raises(bi.PointsError, match=message):
            question()


def test_views_combine(fit, frame) -> None:
    """Values given replace those of a population; every answer is that of the shortcuts."""
    rows = frame.iloc[:6].drop(columns="patient")
    view = fit.given(age=40).over(rows).given({"region": "region 1"})
    fixed = fit.over(rows.assign(age=40.0, region="region 1"))
    np.testing.assert_allclose(view.outcome(POINTS), fixed.outcome(POINTS))
    words = "at age = 40, region = region 1; otherwise average over 6 rows of the given population"
    assert view.joint_effect(POINTS).attrs["population"] == f"{words}, for an average patient"
    np.testing.assert_array_equal(
        fit.over("bootstrap").given(age=40).joint_effect(POINTS),
        fit.joint_effect(POINTS, given={"age": 40}, population="bootstrap"),
    )
    # The view changes nothing in the posterior itself.
    assert fit.joint_effect(POINTS).attrs["population"] == DEFAULT
    assert "at age = 40" in str(fit.given(age=40))
    assert fit.given() is fit


def test_changes_along_a_covariate_are_of_the_population_asked_about(fit) -> None:
    view, start, end = fit.given(region="region 4"), np.zeros(2), np.array([1.0, 0.0])
    right = view.given(age=values_along(view, "age")[0][7]).contrast([end], [start])
    np.testing.assert_allclose(change_along(view, "age", start, end)[..., [7]], right)
