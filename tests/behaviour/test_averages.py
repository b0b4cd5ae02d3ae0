"""Averages over the population, outcomes of its units, and slopes beside a value of many rows."""

import numpy as np
import pandas as pd
import pytest
from _kinds import read
from _rows import fitted, moments
from _worlds import Cause, World, numbers

import bayes_intgen as bi

POINTS = [[0.5, 0.5], [-0.5, 0.2]]


SEASON = Cause(lambda rng, n: rng.integers(-2, 3, n) / 1.4, lambda cells: cells, 0.8, 1.0)
# A season moves both actions and the outcome, and changes a bias.
SEASONAL = World(
    {"a": numbers(), "b": numbers(lambda a: a)}, {"season": SEASON}, scaled=("season", 0.5)
)


def fit_of(world: World, table: pd.DataFrame, model: bi.models.AdditiveModel) -> bi.Posterior:
    return fitted(read(table, world, covariates=[*world.causes]), model)


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return SEASONAL.table(300, ["", "a", "b"])


@pytest.fixture(scope="module")
def seasonal(table) -> bi.Posterior:
    return fit_of(SEASONAL, table, bi.models.additive(moderators={"a": ["season"]}))


@pytest.mark.parametrize("intervened", [["a", "b"], ["a"], []])
def test_outcomes_have_the_mean_and_the_variance_of_units_and_noise(
    seasonal, table, intervened
) -> None:
    """By the law of total variance, over answers for single rows of the population."""
    outcome = seasonal.outcome(POINTS, intervened)
    seasons, counts = np.unique(table["season"][table["regime"] == ""], return_counts=True)
    shape, shares = (len(seasons), -1, 2), counts / counts.sum()
    given = [{"season": x} for x in seasons.tolist()]
    effects = np.stack([seasonal.effect(POINTS, intervened, given=x) for x in given])
    alone = np.stack([seasonal.outcome(POINTS, intervened, given=x) for x in given])
    noise = (alone - effects).reshape(shape).var(axis=1)[0]
    draws = outcome.to_numpy().reshape(-1, 2)
    se = draws.std(axis=0) / np.sqrt(len(draws))
    mean = seasonal.effect(POINTS, intervened).to_numpy().reshape(-1, 2).mean(axis=0)
    np.testing.assert_array_less(np.abs(draws.mean(axis=0) - mean), 4 * se)
    second = shares @ np.square(effects).reshape(shape).mean(axis=1)
    expected = second - mean**2 + noise
    # The variance of a thousand draws has a standard error of 4.5%.
    np.testing.assert_allclose(draws.var(axis=0), expected, rtol=0.18)
    # Negative control: without units the variance is smaller.
    assert (draws.var(axis=0) > 1.3 * noise).all()


def world_of(slopes: tuple[float, float], moderation: float, **more) -> World:
    """Straight lines without hidden causes; a covariate moves the outcome and an effect."""
    a, b = (numbers(lambda a, own=own: own * a) for own in slopes)
    x = Cause(lambda rng, n: rng.normal(size=n), lambda cells: cells, adds=1.5)
    common = {"weight": 0.0, "base": 0.0, "noise": 0.3, "moderated": ("a", "x", moderation)}
    return World({"a": a, "b": b}, {"x": x}, **common | more)


PRODUCTS = world_of((0.4, -0.3), 0.3, law="log")
SUMS = world_of((1.0, -0.5), 1.0)
OPTIONS = {"graph": {}, "covariates": {"x": "linear"}, "interactions": None}
MODERATED = OPTIONS | {"moderators": {"a": ["x"]}}


def test_products_are_averaged_over_all_units() -> None:
    """Thirds of the rows have few enough units for an average without strata."""
    table = PRODUCTS.table(2400, ["", "a", "b"])
    posterior = fit_of(PRODUCTS, table, bi.models.multiplicative("linear", **MODERATED))
    rows = table[table["regime"] == ""]
    thirds = [posterior.joint_effect(POINTS, population=rows[i::3]).to_numpy() for i in range(3)]
    whole = posterior.joint_effect(POINTS)
    np.testing.assert_allclose(whole, np.mean(thirds, axis=0), rtol=2e-3)
    # Negative control: a sample of the units has another mean.
    assert (np.abs(thirds[0] / thirds[1] - 1) > 0.01).all()


@pytest.fixture(scope="module")
def sampled() -> tuple[bi.Posterior, pd.DataFrame]:
    rows = SUMS.table(40, [""])
    table = pd.concat([rows, SUMS.table(300, ["a", "b"], seed=1)])
    return fit_of(SUMS, table, bi.models.additive("linear", **MODERATED)), rows


def effects_of_units(posterior: bi.Posterior, rows: pd.DataFrame) -> np.ndarray:
    each = (posterior.joint_effect(POINTS, given={"x": x}) for x in rows["x"])
    return np.array([moments(effect)[0] for effect in each])


def test_a_bootstrapped_population_has_the_variance_of_the_average(sampled) -> None:
    """That of Dirichlet weights: Var of the units' effects over n + 1."""
    posterior, rows = sampled
    fixed, drawn = (posterior.joint_effect(POINTS, population=x) for x in (None, "bootstrap"))
    units, more = effects_of_units(posterior, rows), (drawn - fixed).to_numpy().reshape(-1, 2)
    size = np.sqrt(units.var(axis=0) / (len(rows) + 1))
    np.testing.assert_allclose(more.std(axis=0), size, rtol=0.15)
    np.testing.assert_array_less(np.abs(more.mean(axis=0)), 4 * size / np.sqrt(len(more)))
    assert "Bayesian bootstrap" in drawn.attrs["population"]


def test_answers_share_the_population_of_a_draw(sampled) -> None:
    posterior, _ = sampled
    over = {"population": "bootstrap"}
    one, other = (posterior.joint_effect([point], **over).to_numpy() for point in POINTS)
    together = posterior.joint_effect(POINTS, **over)
    change = posterior.contrast([POINTS[0]], [POINTS[1]], **over)
    np.testing.assert_allclose(np.concatenate([one, other], axis=-1), together)
    np.testing.assert_allclose(change, one - other, atol=1e-12)
    # The effect of b is the same for all units.
    of_b = [[0.5, 1.0]], [[0.5, 0.0]]
    same = posterior.contrast(*of_b)
    np.testing.assert_allclose(posterior.contrast(*of_b, **over), same, atol=1e-12)
    assert float(change.std()) > 1.5 * float(posterior.contrast([POINTS[0]], [POINTS[1]]).std())
    # Contributions add up to the same change.
    curves = posterior.over("bootstrap").mechanisms(POINTS)["unconfounded"].sum("action")
    np.testing.assert_allclose(curves[..., 0] - curves[..., 1], change[..., 0], atol=1e-9)


def test_questions_about_a_bootstrapped_population_are_less_certain(sampled) -> None:
    posterior = sampled[0].over("bootstrap")
    decision = bi.Decision({"a": 1.0, "b": 1.0}, budget=1.0)
    fixed, drawn = (own.frontier(decision, [1.0]) for own in (sampled[0], posterior))
    assert drawn.gain_high - drawn.gain_low > fixed.gain_high - fixed.gain_low
    wide, narrow = (own.contraction(POINTS) for own in (posterior, sampled[0]))
    assert (wide.effect_posterior > narrow.effect_posterior).all()
    assert "Bayesian bootstrap" in posterior.plot_joint_effect("a").get_title()
    # No covariate is left to resample.
    known, same = (own.joint_effect(POINTS, given={"x": 1.0}) for own in (posterior, sampled[0]))
    np.testing.assert_array_equal(known, same)


def test_bootstrapped_products_vary_with_their_units() -> None:
    """The standard deviation of the logarithm of a mean of exponentials."""
    table = PRODUCTS.table(200, ["", "a", "b"])
    with pytest.warns(bi.LackOfFitWarning, match="effects depend on covariates: that of a on x"):
        posterior = fit_of(PRODUCTS, table, bi.models.multiplicative("linear", **OPTIONS))
    rows = table[table["regime"] == ""]
    drawn, fixed = (posterior.joint_effect(POINTS, population=x) for x in ("bootstrap", None))
    units, ratio = effects_of_units(posterior, rows), (drawn / fixed).to_numpy().reshape(-1, 2)
    expected = units.std(axis=0) / units.mean(axis=0) / np.sqrt(len(rows) + 1)
    np.testing.assert_allclose(ratio.std(axis=0), expected, rtol=0.2)
    np.testing.assert_array_less(np.abs(ratio.mean(axis=0) - 1), 4 * expected / np.sqrt(len(ratio)))


def test_populations_that_make_no_sense_are_refused(sampled) -> None:
    with pytest.raises(bi.PointsError, match="a table or 'bootstrap', not 'bootstrp'"):
        sampled[0].joint_effect(POINTS, population="bootstrp")
    plain = fitted(read(sampled[1], SUMS), bi.models.pooled("linear"))
    with pytest.raises(bi.PointsError, match="no covariates or groups"):
        plain.joint_effect(POINTS, population="bootstrap")


def test_slope_beside_a_value_of_many_rows_is_that_of_the_smooth_function() -> None:
    """A start-up effect of two at any spend: the slope is one everywhere."""
    rng, parts = np.random.default_rng(0), []
    for regime in ("", "a", "b"):
        x = rng.uniform(0, 4, size=(300, 2)) * (rng.random((300, 2)) > 0.25)
        y = x.sum(axis=1) + 2 * (x[:, 0] > 0) + 0.2 * rng.normal(size=300)
        parts.append(pd.DataFrame(x, columns=["a", "b"]).assign(y=y, regime=regime))
    table = pd.concat(parts)
    posterior, rows = fitted(read(table, SUMS)), table[table["regime"] == ""][["a", "b"]]
    summary = posterior.slope("a", rows).mean("point")
    assert abs(float(summary.mean()) - 1) < 4 * float(summary.std())
    assert float(summary.std()) < 1
    at_zero = posterior.slope("a", {"a": 0.0, "b": 1.0})
    beside = posterior.slope("a", {"a": 0.01, "b": 1.0})
    assert abs(float(at_zero.mean() - beside.mean())) < 2 * float(beside.std())
    # Negative control: the step itself.
    step = posterior.contrast({"a": 0.01, "b": 1.0}, {"a": 0.0, "b": 1.0})
    assert float(step.mean()) > 1
