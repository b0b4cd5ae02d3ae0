"""Student-t noise: tables with outliers, wherever their rows are, and however they are fitted."""

import numpy as np
import pandas as pd
import pytest
from _kinds import AGE, TWO, cells_of, cluster, fitted, read, regions
from _questions import assert_near, moments
from _worlds import World, counts, numbers, switch

import bayes_intgen as bi

GAUSSIAN, STUDENT_T = (
    bi.models.additive("linear", noise=noise) for noise in ("gaussian", "student_t")
)
WORLD = World(
    {"tv": numbers(lambda a: 0.7 * a), "radio": numbers(lambda a: -0.4 * a)},
    {"age": AGE},
    weight=0.0,
)


def with_outliers(frame: pd.DataFrame) -> pd.DataFrame:
    """Displace 5% of the outcomes by 5 to 50, up or down."""
    rng = np.random.default_rng(0)
    far = rng.random(len(frame)) < 0.05
    return frame.assign(
        y=frame["y"] + far * rng.choice([-1, 1], len(far)) * rng.uniform(5, 50, len(far))
    )


def difference(fit: bi.Posterior, other: bi.Posterior, points: pd.DataFrame) -> tuple[float, float]:
    """Largest difference of means, in posterior standard deviations, and mean ratio of these."""
    (mean, sd), (expected, without) = (moments(own.joint_effect(points)) for own in (fit, other))
    return float((np.abs(mean - expected) / without).max()), float((sd / without).mean())


@pytest.fixture(scope="module")
def rows() -> tuple[pd.DataFrame, bi.Posterior]:
    """A table with outliers, and its fit from memory."""
    frame = with_outliers(WORLD.table(200))
    return frame, fitted(read(frame, WORLD, covariates=["age"]), STUDENT_T)


def test_outliers_change_effects_and_intervals_little(rows) -> None:
    frame, robust = rows
    clean = fitted(read(WORLD.table(200), WORLD, covariates=["age"]), GAUSSIAN)
    shift, ratio = difference(robust, clean, WORLD.points)
    assert shift < 1
    assert 0.95 < ratio < 1.35
    # Negative control.
    with pytest.warns(bi.DataWarning, match="far|fit"):
        wide = fitted(read(frame, WORLD, covariates=["age"]), GAUSSIAN)
    assert difference(wide, clean, WORLD.points)[1] > 3


def test_without_outliers_the_fit_is_that_with_gaussian_noise() -> None:
    data = read(WORLD.table(200), WORLD, covariates=["age"])
    shift, ratio = difference(fitted(data, STUDENT_T), fitted(data, GAUSSIAN), WORLD.points)
    assert shift < 0.1
    assert ratio == pytest.approx(1, abs=0.05)


def test_where_most_outcomes_are_one_value_others_are_no_outliers(rows) -> None:
    frame = rows[0].assign(y=lambda own: own["y"].mask(np.arange(600) % 5 < 3, 2.5))
    with pytest.raises(bi.ModelError, match="'y' is 2.5 in 60% of rows.* use noise='gaussian'"):
        fitted(read(frame, WORLD, covariates=["age"]), STUDENT_T)


def test_nuts_and_laplace_approximation_agree(rows) -> None:
    frame, fit = rows
    data = read(frame, WORLD, covariates=["age"])
    sampled = fitted(data, STUDENT_T, method="nuts", chains=2, draws=300)
    shift, ratio = difference(sampled, fit, WORLD.points)
    assert shift < 0.25
    assert ratio == pytest.approx(1, abs=0.12)


def test_a_cluster_equals_memory(tmp_path) -> None:
    case = cluster(tmp_path)
    model = bi.models.additive(noise="student_t")
    own = fitted(read(case.frame, case.world), model)
    shift, ratio = difference(fitted(case.data, model), own, case.points)
    assert shift < 0.02
    assert ratio == pytest.approx(1, abs=0.02)


def test_an_update_equals_a_fit_of_all_rows() -> None:
    world = World(WORLD.actions)
    frame = with_outliers(world.table(200)).sample(frac=1, random_state=0)
    earlier, later = (read(part, world) for part in (frame[:-40], frame[-40:]))
    updated = fitted(earlier, STUDENT_T).update(later, progress=False)
    shift, ratio = difference(updated, fitted(read(frame, world), STUDENT_T), world.points)
    assert shift < 0.3
    assert ratio == pytest.approx(1, abs=0.1)


def test_cells_with_the_spread_of_their_units() -> None:
    """Typing errors in a few units of a table that is then aggregated."""
    world = World({"visits": counts(), "promo": switch()}, weight=0.0)
    units = world.table(800)

    def cells(frame: pd.DataFrame) -> bi.RegimeData:
        grouped = cells_of(frame, ["visits", "promo", "regime"])
        return read(grouped.fillna({"sd": 0.0}), world, weights="n", outcome_sd="sd")

    wrong = cells(units.assign(y=units["y"] + 300 * np.isin(np.arange(len(units)), [5, 900, 2000])))
    robust = fitted(wrong, STUDENT_T)
    assert_near(
        robust.joint_effect(world.points), world.effect(world.points, [*world.actions], units)
    )
    clean = fitted(cells(units), GAUSSIAN)
    assert 0.8 < difference(robust, clean, world.points)[1] < 1.5
    # Negative control.
    with pytest.warns(bi.DataWarning, match="far|fit"):
        wide = fitted(wrong, GAUSSIAN)
    assert difference(wide, clean, world.points)[1] > 3


@pytest.mark.parametrize("spread", [0.5, 5.0])
def test_levels_of_many_groups_are_integrated_out(spread) -> None:
    world = World(TWO, {"patient": regions(150, 0.0, spread)})
    clean = world.table(300)
    fits = (
        fitted(read(frame, world, groups=["patient"]), bi.models.additive(noise=noise))
        for frame, noise in ((with_outliers(clean), "student_t"), (clean, "gaussian"))
    )
    shift, ratio = difference(*fits, world.points)
    assert shift < 1
    assert 0.95 < ratio < 1.5


def test_a_jump_is_not_taken_for_outliers() -> None:
    """Rows beyond a jump lie far from the first fit, whose functions are smooth."""
    world = World({"dose": numbers(lambda a: 4.0 * (a > 1.2))}, weight=0.0, noise=0.3)
    frame = with_outliers(world.table(600))
    fit = fitted(read(frame, world), bi.models.additive(noise="student_t"))
    before, after = moments(fit.joint_effect([[0.7], [1.8]]))[0]
    assert after - before == pytest.approx(4, abs=0.4)


def test_as_many_rows_again_halve_the_variance() -> None:
    world = World({"dose": numbers(lambda a: a)}, weight=0.0, noise=1.0)
    fit = fitted(read(with_outliers(world.table(400)), world), STUDENT_T, draws=500)
    points = [[-1.0], [0.0], [1.0]]
    low, high = (fit.joint_effect(points).quantile(p, ("chain", "draw")) for p in (0.05, 0.95))
    half = float((high - low).mean()) / np.sqrt(2)
    # All 400 rows of the experiment; without outliers it says 450.
    assert 340 < fit.rows_for(half, points) < 560


def test_predicted_outcomes_have_the_tails_of_the_rows(rows) -> None:
    frame, fit = rows
    tree = fit.to_arviz(read(frame, WORLD, covariates=["age"]), rows=None)
    drawn = tree["posterior_predictive"].dataset["outcome"]
    low, high = (drawn.quantile(p, ("chain", "draw")).to_numpy() for p in (0.25, 0.75))
    inside = (low < frame["y"]) & (frame["y"] < high)
    # The standard error is 0.02.
    assert float(inside.mean()) == pytest.approx(0.5, abs=0.08)
    # One row in a hundred and more lies ten interquartile ranges away.
    width = high - low
    far = np.abs(drawn - drawn.median(("chain", "draw"))) > 10 * width
    assert 0.003 < float(far.mean()) < 0.05
