"""What must not change an answer: units, order, names, storage, and where rows are read."""

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from _kinds import AGE, SITES, aggregated, cells_of, fitted, labelled, read
from _questions import moments
from _worlds import World, counts, named, numbers, switch
from hypothesis import given, settings
from hypothesis import strategies as st

import bayes_intgen as bi

# Largest differences, in posterior standard deviations, with the same terms and with others.
SAME, OTHER = 0.02, 0.3
# With columns in another order, coefficients are drawn from other random numbers: four Monte Carlo
# errors of the difference of two fits, of 16,000 draws each. 5% of the variance at most is between
# hyperparameters, of which 200 draws are effective.
MANY_DRAWS, SAME_LAW = 4000, 0.1
MIXED = World(
    {"dose": numbers(), "drug": named({"a": 0.0, "b": 0.7, "c": -0.4})},
    {"age": AGE, "site": labelled(SITES, moves=0.3, adds=0.5)},
)
POINTS = pd.DataFrame({"dose": [-0.5, 0.0, 0.8], "drug": ["a", "b", "c"]})
OPTIONS = {"covariates": ["age"], "groups": ["site"]}


def table_of(world: World = MIXED, rows: int = 120) -> pd.DataFrame:
    return world.table(rows)


def answers(fit: bi.Posterior, points: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    return moments(fit.joint_effect(points))


def assert_alike(
    first: bi.Posterior,
    second: bi.Posterior,
    points: pd.DataFrame,
    others: pd.DataFrame | None = None,
    scale: float = 1.0,
    origin: float = 0.0,
    same: float = SAME,
) -> None:
    """Means and standard deviations agree, after a change of the outcome's unit and origin."""
    mean, sd = answers(first, points)
    other_mean, other_sd = answers(second, points if others is None else others)
    terms = [sorted(len(t.inputs) for t in fit.terms.terms) for fit in (first, second)]
    limit = same if terms[0] == terms[1] else OTHER
    np.testing.assert_allclose((other_mean - origin) / scale, mean, atol=limit * sd.min(), rtol=0)
    np.testing.assert_allclose(other_sd / scale, sd, atol=limit * sd.min(), rtol=0)


@pytest.fixture(scope="module")
def mixed():
    frame = table_of()
    return frame, POINTS, fitted(read(frame, MIXED, **OPTIONS))


@settings(max_examples=6, deadline=None, derandomize=True)
@given(
    scale=st.sampled_from([1e-6, 0.01, 7.0, 1e5]),
    origin=st.sampled_from([0.0, -300.0, 40.0]),
    outcome=st.sampled_from([1e-9, 30.0, 1e6]),
    level=st.sampled_from([0.0, -1000.0, 77.0]),
)
def test_units_and_origins(mixed, scale, origin, outcome, level) -> None:
    frame, points, fit = mixed
    other = frame.assign(
        dose=frame["dose"] * scale + origin * scale,
        age=frame["age"] * 12 - 5,
        y=(frame["y"] + level) * outcome,
    )
    changed = points.assign(dose=points["dose"] * scale + origin * scale)
    again = fitted(read(other, MIXED, **OPTIONS))
    assert_alike(fit, again, points, changed, outcome, level * outcome)


@settings(max_examples=4, deadline=None, derandomize=True)
@given(seed=st.integers(0, 1000))
def test_order_of_rows(mixed, seed) -> None:
    frame, points, fit = mixed
    turned = frame.sample(frac=1, random_state=seed)
    assert_alike(fit, fitted(read(turned, MIXED, **OPTIONS)), points)


def test_names(mixed) -> None:
    frame, points, fit = mixed
    names = {"dose": "amount of it", "drug": "A", "age": "years", "site": "place"}
    # In the same order.
    labels = {"a": "an ant", "b": "bee", "c": "cow"}
    renamed = frame.replace({"regime": names, "drug": labels}).rename(columns=names)
    data = bi.RegimeData.from_frame(
        renamed, ["amount of it", "A"], "y", "regime", covariates=["years"], groups=["place"]
    )
    assert_alike(fit, fitted(data), points, points.replace({"drug": labels}).rename(columns=names))


def test_order_of_columns_and_levels() -> None:
    frame, points = table_of(), POINTS
    fit = fitted(read(frame, MIXED, **OPTIONS), draws=MANY_DRAWS)
    turned = frame[frame.columns[::-1]]
    other = bi.RegimeData.from_frame(turned, ["drug", "dose"], "y", "regime", **OPTIONS)
    assert_alike(fit, fitted(other, draws=MANY_DRAWS), points, same=SAME_LAW)
    labels = {"a": "zebra", "b": "yak", "c": "an ant"}
    other = read(frame.replace({"drug": labels}), MIXED, **OPTIONS)
    again = fitted(other, draws=MANY_DRAWS)
    assert_alike(fit, again, points, points.replace({"drug": labels}), same=SAME_LAW)


def test_counts_do_not_depend_on_the_order_of_actions_and_rows() -> None:
    world = World({"visits": counts(), "promo": switch()}, law="count")
    frame, points = table_of(world), pd.DataFrame({"visits": [3, 8], "promo": [0, 1]})
    fit = fitted(read(frame, world), draws=MANY_DRAWS)
    other = bi.RegimeData.from_frame(frame[::-1], ["promo", "visits"], "y", "regime")
    assert_alike(fit, fitted(other, draws=MANY_DRAWS), points, same=SAME_LAW)


@pytest.mark.parametrize("size", [50, 1000])
def test_batches_equal_memory(mixed, size) -> None:
    frame, points, fit = mixed
    batches = [frame[i : i + size] for i in range(0, len(frame), size)]
    stream = bi.read(batches, ["dose", "drug"], "y", progress=False, **OPTIONS)
    assert_alike(fit, fitted(stream), points)


def test_cells_equal_their_rows() -> None:
    case = aggregated()
    rows = case.world.table(800)
    mean, sd = answers(fitted(read(rows, case.world)), case.points)
    cell_mean, cell_sd = answers(fitted(case.data, case.model), case.points)
    np.testing.assert_allclose(cell_mean, mean, atol=0.1 * sd.min(), rtol=0)
    np.testing.assert_allclose(cell_sd, sd, rtol=0.1)


def test_cells_are_less_certain_than_their_rows_where_the_mean_does_not_fit() -> None:
    """Their misfit is what the units of a cell share, which intervals of rows leave out."""
    world = World({"visits": replace(counts(), effect=np.sqrt), "promo": switch()}, noise=0.2)
    units = world.table(800)
    cells = cells_of(units, ["visits", "promo", "regime"])
    model = bi.models.additive("linear", interactions=None)
    with warnings.catch_warnings(action="ignore", category=bi.BayesIntgenWarning):
        of_rows = fitted(read(units, world), model)
        of_cells = fitted(read(cells, world, weights="n", outcome_sd="sd"), model)
    sd, cell_sd = (answers(fit, world.points)[1] for fit in (of_rows, of_cells))
    assert (cell_sd > 1.1 * sd).all()


def test_other_rows_do_change_answers(mixed) -> None:
    """Negative control: these comparisons tell other rows from the same ones."""
    frame, points, fit = mixed
    other = fitted(read(frame.iloc[: len(frame) - 100], MIXED, **OPTIONS))
    with pytest.raises(AssertionError):
        assert_alike(fit, other, points)
