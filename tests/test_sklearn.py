import duckdb
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import bayes_intgen as bi
from bayes_intgen.data.validation import checked_data

# Linear mechanisms and few draws, which are quick, do not follow the sine in these rows.
pytestmark = [
    pytest.mark.filterwarnings(f"ignore::bayes_intgen.{name}")
    for name in ("LackOfFitWarning", "SamplingWarning")
]

sklearn = pytest.importorskip("sklearn")

from sklearn.model_selection import cross_validate  # noqa: E402
from sklearn.utils.estimator_checks import check_estimator  # noqa: E402

from bayes_intgen.sklearn import JointEffectRegressor  # noqa: E402

from _posteriors import frame_with_groups, model_with_groups  # noqa: E402

QUICK = {"prior": "linear", "method": "laplace", "draws": 50}
POINTS = np.array([[0.3, -0.2], [-0.5, 0.8], [0.1, 0.1]])
FEW = "the check has fewer rows than a fit takes, two for each unknown of a straight line"
EXPECTED_TO_FAIL = dict.fromkeys([
    "check_n_features_in_after_fitting", "check_estimators_dtypes", "check_estimators_nan_inf",
    "check_regressors_no_decision_function",
], FEW)  # fmt: skip


class StraightLine:
    """Least-squares stand-in for a posterior, for scikit-learn's dozens of interface checks."""

    def __init__(self, data: bi.RegimeData, *_: object, **__: object) -> None:
        checked_data(data)
        self.actions, self.regimes = data.names, data.regimes
        design = np.column_stack([np.ones(len(data)), data.actions])
        self.coefficients = np.linalg.lstsq(design, data.outcome)[0]

    def effect(self, values: np.ndarray, intervened: list[str]) -> xr.DataArray:
        mean = self.coefficients[0] + values @ self.coefficients[1:]
        return xr.DataArray(mean[None, None], dims=("chain", "draw", "point"))


@pytest.fixture
def straight_lines(monkeypatch) -> None:
    """Fits of the regressor are straight lines."""
    monkeypatch.setattr("bayes_intgen.sklearn.fit", StraightLine)


@pytest.mark.usefixtures("straight_lines")
def test_scikit_learn_estimator_checks() -> None:
    regressor, settings = JointEffectRegressor("linear"), {"on_skip": None, "on_fail": "raise"}
    checks = check_estimator(regressor, expected_failed_checks=EXPECTED_TO_FAIL, **settings)
    by_status = {
        status: {check["check_name"] for check in checks if check["status"] == status}
        for status in ("passed", "xfail", "failed")
    }
    assert len(by_status["passed"]) > 40
    assert not by_status["failed"]
    # A check that begins to pass must leave the list.
    assert by_status["xfail"] == set(EXPECTED_TO_FAIL)
    few = [check["exception"] for check in checks if check["status"] == "xfail"]
    assert all("rows are fewer than a fit can use" in str(error) for error in few)


@pytest.fixture(scope="module")
def fitted(data) -> JointEffectRegressor:
    # Numbers may be objects, as those of databases are.
    frame = pd.DataFrame(data.actions, columns=list(data.names), dtype=object)
    return JointEffectRegressor(**QUICK).fit(frame, data.outcome, intervened=data.intervened)


def frame_of(points: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(points, columns=["red", "green"])


def test_predictions_use_each_rows_mask(fitted) -> None:
    masks = np.array([[True, False], [False, False], [True, False]])
    predictions = fitted.predict(frame_of(POINTS), intervened=masks)
    for point, mask, value in zip(POINTS, masks, predictions, strict=True):
        expected = float(fitted.posterior_.effect([point], ["red"] if mask[0] else []).mean())
        assert value == pytest.approx(expected, rel=1e-12)
    # Sums over other numbers of points round differently.
    one_mask = fitted.predict(frame_of(POINTS), intervened=[True, False])
    np.testing.assert_allclose(one_mask[[0, 2]], predictions[[0, 2]], rtol=1e-12)
    for mask, message in (([True] * 3, "must have shape"), ([[2, 0]], "must hold booleans")):
        with pytest.raises(bi.DataError, match=message):
            fitted.predict(frame_of(POINTS), intervened=mask)


def test_a_score_without_masks_is_doubted(data, fitted) -> None:
    rows = pd.DataFrame(data.actions, columns=list(data.names)), data.outcome
    with pytest.warns(bi.DataWarning, match="enable_metadata_routing"):
        without = fitted.score(*rows)
    # Warnings are errors here.
    assert fitted.score(*rows, data.intervened) > without
    all_set = JointEffectRegressor(**QUICK).fit(*rows, intervened=np.ones_like(data.intervened))
    all_set.score(*rows)


@pytest.mark.usefixtures("straight_lines")
def test_masks_are_routed_through_cross_validation(data) -> None:
    rows = np.random.default_rng(0).permutation(len(data))
    with sklearn.config_context(enable_metadata_routing=True):
        regressor = JointEffectRegressor(**QUICK)
        regressor = regressor.set_fit_request(intervened=True).set_score_request(intervened=True)
        scores = cross_validate(
            regressor, data.actions[rows], data.outcome[rows], cv=3, error_score="raise",
            params={"intervened": data.intervened[rows]}, return_estimator=True,
        )  # fmt: skip
    assert (scores["test_score"] > 0.3).all()
    regimes = [one.posterior_.regimes for one in scores["estimator"]]
    assert {mask: sum(each[mask] for each in regimes) for mask in regimes[0]} == {
        mask: 2 * n for mask, n in data.regimes.items()
    }


FRAME = frame_with_groups()
SEASONS = pd.CategoricalDtype(sorted(FRAME["season"].unique())[::-1], ordered=True)
MASKS = np.stack([FRAME["regime"] == name for name in ("tv", "promo")], axis=1)


@pytest.fixture(scope="module")
def adjusted() -> JointEffectRegressor:
    """A regressor with covariates and groups, fitted to a table."""
    regressor = JointEffectRegressor(
        covariates=["age", "season"], groups=["region"],
        model=model_with_groups(), method="laplace", draws=50,
    )  # fmt: skip
    columns = ["age", "tv", "region", "promo", "season"]
    return regressor.fit(FRAME[columns].astype({"season": SEASONS}), FRAME["sales"], MASKS)


def test_rows_are_predicted_with_their_own_covariates_and_groups(adjusted) -> None:
    posterior = adjusted.posterior_
    assert posterior.actions == ("tv", "promo")
    assert posterior.terms.covariates.every == ("age", "season", "region")
    assert posterior.terms.covariates.categories[1].labels == tuple(SEASONS.categories)
    rows = FRAME.iloc[[2, 150, 300]]
    rows = rows.assign(region=[*rows["region"][:2], "elsewhere"])
    mean, std = adjusted.predict(rows[adjusted.feature_names_in_], return_std=True)
    for i, row in enumerate(rows.to_dict("records")):
        given = {name: row[name] for name in ("age", "season", "region")}
        given["region"] = given["region"].replace("elsewhere", bi.NEW_GROUP)
        effect = posterior.joint_effect([[row["tv"], row["promo"]]], given=given)
        assert mean[i] == pytest.approx(effect.mean().item())
        assert std[i] == pytest.approx(effect.std().item())
    assert std[2] > 3 * std[:2].max()
    # Masks have a column per action.
    observed = adjusted.predict(rows[adjusted.feature_names_in_], intervened=[False, True])
    given = dict(rows.iloc[0][["age", "season", "region"]])
    expected = posterior.effect([rows.iloc[0][["tv", "promo"]].tolist()], ["promo"], given=given)
    assert observed[0] == pytest.approx(expected.mean().item())
    with pytest.raises(bi.PointsError, match="NaN or infinity for 'tv' in row 0"):
        adjusted.predict(rows.assign(tv=np.nan)[adjusted.feature_names_in_])


def test_of_many_groups_a_new_one_has_the_spread_between_them() -> None:
    names = ["tv", "promo", "patient"]
    regressor = JointEffectRegressor(groups=names[2:], draws=50)
    regressor.fit(FRAME[names], FRAME["sales"], MASKS)
    rows = FRAME.loc[[2, 2, 2], names].assign(patient=["p1", "elsewhere", "p2"])
    mean, std = regressor.predict(rows, return_std=True)
    for i, given in ((0, {}), (1, {"patient": bi.NEW_GROUP}), (2, {})):
        effect = regressor.posterior_.joint_effect(rows[["tv", "promo"]][:1], given=given)
        assert (mean[i], std[i]) == pytest.approx((effect.mean().item(), effect.std().item()))


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
def test_columns_of_tables_are_found_by_name(adjusted) -> None:
    rows = FRAME.loc[[2, 150], adjusted.feature_names_in_]
    expected = adjusted.predict(rows)
    # Of relations scikit-learn does not check the names.
    np.testing.assert_array_equal(adjusted.predict(duckdb.from_df(rows)), expected)
    other = duckdb.from_df(rows[["region", "season", "promo", "age", "tv"]])
    np.testing.assert_array_equal(adjusted.predict(other), expected)
    with pytest.raises(ValueError, match="in the same order"):
        adjusted.predict(other.df())
    masks = pd.DataFrame({"promo": [True, False], "tv": [False, False]})
    expected = adjusted.predict(rows, masks[["tv", "promo"]].to_numpy())
    np.testing.assert_array_equal(adjusted.predict(rows, masks), expected)


def test_columns_of_arrays_are_named_by_position() -> None:
    codes = FRAME["region"].str[-1].astype(int)
    X = np.column_stack([FRAME["tv"], codes, FRAME["promo"], FRAME["age"]])  # noqa: N806
    regressor = JointEffectRegressor("linear", covariates=[3], groups=[1], method="laplace")
    regressor.fit(X, FRAME["sales"], MASKS, weights=FRAME["n"])
    assert regressor.posterior_.terms.covariates.every == ("x3", "x1")
    assert regressor.posterior_.actions == ("a1", "a2")
    typical = np.array([[0.0, 3, 0.0, 45.0], [0.2, 1, 0.1, 30.0]])
    assert np.diff(regressor.predict(typical)).item() < 0


@pytest.mark.parametrize(
    ("settings", "changes", "message"),
    [
        ({"covariates": ["aeg"]}, {}, "no column 'aeg'; its columns are 'tv'"),
        ({"groups": [9]}, {}, "no column 9"),
        ({"covariates": [False, True]}, {}, "no column False; its columns are 'tv', 'age'"),
        ({"covariates": ["tv", "age"]}, {}, "no column left for the actions"),
        ({"random_state": np.random.default_rng(0)}, {}, "random_state must be a whole number"),
        ({"covariates": ["age"]}, {"tv": "1.5"}, "column 'tv' of X holds no numbers; encode"),
        ({"covariates": ["age"]}, {"tv": [pd.NA, *FRAME["tv"][1:]]}, "'tv' has 1 missing cell"),
        ({"covariates": ["age"]}, {"age": ["old", np.nan] * 180}, "'age' has 180 missing cells"),
        ({"groups": ["age"]}, {"age": pd.Categorical(["old", None] * 180)}, "'age' has 180 miss"),
    ],
)
def test_unusable_columns_and_seeds_are_refused(settings, changes, message) -> None:
    with pytest.raises(bi.DataError, match=message):
        JointEffectRegressor(**settings).fit(FRAME[["tv", "age"]].assign(**changes), FRAME["sales"])
