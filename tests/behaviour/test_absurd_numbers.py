"""Numbers that no one means give errors that name them, and no warnings of NumPy."""

import re
import warnings

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from _kinds import AGE, fitted, read
from _worlds import World, numbers

import bayes_intgen as bi
from bayes_intgen.text.formats import format_number

POINT = [[1.0, 0.5]]
RANGES = {"tv": (0, 60), "radio": (0, 20)}
DECISION = bi.Decision(cost={"red": 1.0})
LINES = {"red": numbers(lambda a: a), "green": numbers(lambda a: a / 2)}
LINEAR = bi.models.additive("linear")
WORLD = World(LINES, {"age": AGE}, base=0.0)


def table() -> pd.DataFrame:
    return WORLD.table(110, ["", "red", "green"])


def fit_of(frame: pd.DataFrame, model: bi.models.Model = LINEAR, **columns) -> bi.Posterior:
    return fitted(read(frame, WORLD, **columns), model, draws=60, chains=1)


@pytest.fixture(scope="module")
def fit() -> bi.Posterior:
    return fit_of(table(), covariates=["age"])


@pytest.fixture(autouse=True)
def warnings_of_numpy_are_errors():
    with warnings.catch_warnings(action="error", category=RuntimeWarning):
        warnings.simplefilter("ignore", bi.BayesIntgenWarning)
        yield


@pytest.mark.parametrize("weight", [1e100, 1e-100])
@pytest.mark.parametrize("rows", [1, 330])
def test_weights_have_limits(weight, rows) -> None:
    weights = np.where(np.arange(330) < rows, weight, 1.0)
    message = f"weights must lie between.*row 0 has {format_number(weight)}"
    with pytest.raises(bi.DataError, match=message):
        read(table().assign(w=weights), WORLD, weights="w")


def test_standard_deviations_have_a_limit() -> None:
    with pytest.raises(bi.DataError, match="outcome_sd must be.*at most .*10¹⁰⁰.*row 0"):
        read(table().assign(w=4, sd=1e200), WORLD, weights="w", outcome_sd="sd")


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda fit: fit.joint_effect([[1e300, 0]]), "'red' to .*10³⁰⁰ in row 0"),
        (lambda fit: fit.slope("red", [[1e300, 0]]), "'red' to .*10³⁰⁰ in row 0"),
        (lambda fit: bi.Experiment("red", 10**400), "rows must be at most"),
        (lambda fit: bi.Experiment("red", 10**18), "rows must be at most.*not 10000"),
        (lambda fit: fit.split(10**18, POINT), "rows must be at most"),
        (lambda fit: fit.split(9, POINT, costs={"do(red)": 1e-300}), r"do\(red\).* least.*10⁻³⁰⁰"),
        (lambda fit: fit.split(9, POINT, costs={"do(red)": 1e-90}), "9 rows at a cost of .*10⁻⁹⁰"),
        (lambda fit: fit.rows_for(1e-3, POINT, costs={"do(red)": 1e-90}), "at a cost of .*10⁻⁹⁰"),
        (lambda fit: bi.design(RANGES, 10**18), "rows must be at most"),
        (lambda fit: bi.design(RANGES, 500, noise=1e-300), "noise must be at least.*10⁻³⁰⁰"),
        (lambda fit: bi.design(RANGES, 500, noise=1e-20), "larger cost or noise"),
        (lambda fit: bi.design(RANGES, 500, noise=1e300), "noise must be at most.*10³⁰⁰"),
        (lambda fit: fit.experiments(DECISION, horizon=1e-300), "horizon must be at least"),
    ],
)
def test_questions_have_limits(fit, ask, message) -> None:
    with pytest.raises((bi.PointsError, bi.ModelError), match=message) as error:
        ask(fit)
    assert len(str(error.value)) < 220


def test_most_rows_that_can_be_planned(fit) -> None:
    for cost in (1e-6, 1.0, 1e6):
        shares = fit.split(10**6, POINT, costs={"do(red)": cost}).share
        assert abs(float(shares.sum()) - 1) < 1e-9
    assert int(bi.design(RANGES, 10**9).rows.sum()) == 10**9


@pytest.mark.parametrize("unit", [1e99, 1e-60])
def test_outcomes_in_extreme_units_give_the_same_answer(unit) -> None:
    frame = table()
    expected = float(fit_of(frame).joint_effect(POINT).mean())
    scaled = float(fit_of(frame.assign(y=frame["y"] * unit)).joint_effect(POINT).mean())
    assert scaled / unit == pytest.approx(expected, rel=1e-6)


def test_slopes_far_outside_the_range_are_numbers(fit) -> None:
    assert np.isfinite(fit.slope("red", [[1e50, 0.0], [-1e99, 0.0]])).all()


def test_outcomes_whose_logarithm_is_absurd_are_refused() -> None:
    frame = table().assign(y=np.exp(table()["y"] / 4))
    fit = fit_of(frame, bi.models.multiplicative("linear"))
    more = frame.assign(y=np.where(np.arange(330) == 5, 1e-300, frame["y"]))
    with pytest.raises(bi.DataError, match="outcomes, of at least .*10⁻¹⁰⁰: 'y' is .*10⁻³⁰⁰"):
        fit.update(read(more, WORLD), progress=False)


def test_a_whole_number_is_a_median() -> None:
    prior = bi.Linear(scale=bi.LogNormal(10**20, 1))
    assert np.isfinite(fit_of(table(), bi.models.additive(prior)).joint_effect(POINT)).all()


def with_huge_number(tree: xr.DataTree, attribute: str, name: str) -> None:
    attributes, huge = tree["fit"].attrs, f'"{name}": {10**30}'
    attributes[attribute] = re.sub(f'"{name}": [^,}}]*', huge, attributes[attribute], count=1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tree: tree["fit"].attrs.update(settings="null"), "it could not be loaded"),
        (lambda tree: tree["fit"].attrs.update(settings="[1]"), "it could not be loaded"),
        (lambda tree: tree["fit"].attrs.update(settings="{"), "it could not be loaded"),
        (lambda tree: with_huge_number(tree, "model", "median"), "invalid median"),
        (lambda tree: with_huge_number(tree, "terms", "centre"), "invalid centre"),
        (lambda tree: tree["support"]["intervened"].values.fill(7), "regimes"),
        (lambda tree: tree["support"]["regime_of"].values.fill(7), "regimes"),
        (lambda tree: tree["support"]["visited_regime"].values.fill(7), "regimes"),
        (lambda tree: tree["coefficients"]["coefficients"].values.fill(np.nan), "not finite"),
        (lambda tree: tree["fit"].attrs.pop("outcome"), "'outcome' is missing"),
        (lambda tree: tree["fit"].attrs.update(outcome_kind="colour"), "outcomes that are unknown"),
        # Without Pareto k it is a fit by NUTS.
        (lambda tree: tree["sample_stats"].attrs.clear(), "divergences"),
    ],
)
def test_a_fit_with_absurd_parts_is_not_saved(fit, tmp_path, change, message) -> None:
    (tmp_path / "fit.nc").write_bytes(b"another fit")
    tree = fit.tree.copy(deep=True)
    other = bi.Posterior(tree)
    change(tree)
    with pytest.raises(bi.SavedFitError, match=f"fit.nc was not written, .*{message}"):
        other.save(tmp_path / "fit.nc")
    assert (tmp_path / "fit.nc").read_bytes() == b"another fit"
