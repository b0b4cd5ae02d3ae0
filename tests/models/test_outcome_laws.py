"""Laws of outcomes: noise, zeros and ones, counts, and logarithms."""

from dataclasses import replace

import arviz as az
import numpy as np
import pandas as pd
import pytest
from _rows import fitted, frame_of, one_at_a_time

import bayes_intgen as bi
from bayes_intgen.assess.held_out import log_densities, split
from bayes_intgen.data.rows import decisive_values, kind_of_outcome
from bayes_intgen.models.laws import CountLaw, OutcomeLaw, ResidualNoise, StudentTNoise, count_cdf

from conftest import confounded_rows

COLUMNS = (["red", "green"], "sales", "regime")
PROBABILITIES = [0.01, 0.25, 0.9]
SKEWED = ResidualNoise.of(np.random.default_rng(0).gamma(2.0, size=50_000) - 2, np.ones(50_000))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(1)


def test_noise_has_the_quantiles_of_standardised_residuals(rng) -> None:
    variance = rng.uniform(0.5, 3, size=50_000)
    skewed = (rng.gamma(2.0, size=50_000) - 2) / np.sqrt(2)
    noise = ResidualNoise.of(5.0 * skewed * np.sqrt(variance), variance)
    assert noise.quantiles.mean() == pytest.approx(0, abs=1e-12)
    assert noise.quantiles.std() == pytest.approx(1)
    draws = noise.draw((200, 500), rng)
    at = [0.05, 0.5, 0.95]
    # A sample quantile's error is about 1 / (density * sqrt(n)): under 0.02 here.
    np.testing.assert_allclose(np.quantile(draws, at), np.quantile(skewed, at), atol=0.04)
    # Negative control: a normal distribution has other quantiles.
    assert abs(np.quantile(draws, 0.05) + 1.645) > 0.4


@pytest.mark.parametrize("noise", [SKEWED, StudentTNoise(5.0, 0.8)])
def test_quantiles_of_numbers_are_those_of_draws(noise, rng) -> None:
    """Three routes: quantiles, the distribution function, and simulation."""
    mean, sd = rng.normal(size=(30, 4)) * [1, 10, 0.1, 1e-9], rng.gamma(2.0, size=(30, 4))
    law = OutcomeLaw(noise)
    draws = law.draw(np.tile(mean, (2000, 1, 1)), sd, rng)
    for p, quantiles in zip(PROBABILITIES, law.quantiles(mean, sd, PROBABILITIES), strict=True):
        np.testing.assert_allclose(noise.cdf((quantiles - mean) / sd).mean(axis=0), p, atol=1e-9)
        error = np.sqrt(p * (1 - p) / 60_000)
        np.testing.assert_allclose((draws < quantiles).mean(axis=(0, 1)), p, atol=5 * error)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([0, 1, 1], "binary"), ([0, 1, 2], "count"), ([1, 2, 1], "continuous"),
        ([0, 1, -1], "continuous"), ([0, 1, 0.5], "continuous"), ([0, 1, 2, 50_000], "continuous"),
    ],
)  # fmt: skip
def test_kind_follows_from_the_values(values, kind) -> None:
    assert kind_of_outcome(decisive_values(np.array(values, dtype=float), None)) == kind


CASES = [(4.0, 4.0), (4.0, 9.0), (4.0, 2.0), (0.3, 0.28), (0.05, 0.4), (60.0, 20.0)]


@pytest.mark.parametrize(("mean", "variance"), CASES)
def test_counts_have_mean_variance_and_distribution_function(mean, variance, rng) -> None:
    draws = CountLaw(SKEWED).draw(np.full(200_000, mean), np.sqrt(variance), rng)
    assert draws.min() >= 0
    assert draws.mean() == pytest.approx(mean, abs=5 * np.sqrt(variance / len(draws)))
    assert draws.var() == pytest.approx(variance, rel=0.06)
    at = np.arange(-1, 12.0)
    expected = (draws[:, None] <= at).mean(axis=0)
    below = count_cdf(np.full(len(at), mean), np.full(len(at), variance), at)
    # Trials that are no whole number are interpolated in two ways.
    np.testing.assert_allclose(below, expected, atol=0.02)
    # Negative control: another variance.
    if mean == 4:
        other = count_cdf(np.full(len(at), mean), np.full(len(at), 4 * variance), at)
        assert np.abs(other - expected).max() > 0.05


@pytest.fixture(scope="module")
def rows() -> bi.RegimeData:
    data = confounded_rows(200, seed=0)
    return replace(data, outcome=np.exp(data.outcome), outcome_name="sales")


LOG = bi.models.multiplicative("linear").law


@pytest.mark.parametrize(
    ("value", "dropped", "place"),
    [(0.0, {}, "row 250"), (-2.5, {}, "row 250"), (0.0, {(True, False): 1}, "a row")],
)
def test_outcomes_that_are_not_positive_are_named(rows, value, dropped, place) -> None:
    outcome = np.where(np.arange(600) == 250, value, rows.outcome)
    spoilt = replace(rows, outcome=outcome, dropped=dropped)
    message = rf"{abs(value):g} in {place} \(do\(red\)\).*1 of 600 rows"
    with pytest.raises(bi.DataError, match=message):
        bi.fit(spoilt, bi.models.multiplicative("linear"), progress=False)
    with pytest.raises(bi.DataError, match="drop these rows.*0/1 outcome.*additive"):
        bi.check(spoilt, bi.models.multiplicative("linear"), progress=False)
    stream = bi.StreamedData.from_batches([frame_of(spoilt)], *COLUMNS, progress=False)
    with pytest.raises(bi.DataError, match=rf"is .?{abs(value):g} in a row \(do\(red\)\)"):
        LOG.working_rows(stream)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::bayes_intgen.BayesIntgenWarning")
def test_comparison_with_the_additive_model_is_on_the_scale_of_the_outcome() -> None:
    """Log densities, and held-out scores, prefer the model that is right."""
    data = confounded_rows(400, seed=2)
    logs = data.outcome - np.sin(data.actions[:, 0]) + data.actions[:, 0]
    rows = replace(data, outcome=np.exp(logs))
    kinds, settings = (bi.models.multiplicative, bi.models.additive), {"graph": {"green": ["red"]}}
    product, added = (kind("linear", interactions=None, **settings) for kind in kinds)
    parts = split(rows, 0.25, seed=0)
    scores = [log_densities(model, *parts, False).sum() for model in (product, added)]
    assert scores[0] > scores[1] + 20
    # Negative control: logarithms themselves are additive.
    logs = [replace(part, outcome=np.log(part.outcome) + 10) for part in parts]
    scores = [log_densities(model, *logs, False).sum() for model in (product, added)]
    assert scores[0] < scores[1] + 5
    # The scale of the outcome does not matter.
    tree = fitted(rows, product, draws=250).to_arviz(rows, rows=200)
    density = tree["log_likelihood"]["outcome"].mean(("chain", "draw")).to_numpy()
    outcome = np.log(tree["observed_data"]["outcome"].to_numpy())
    assert np.abs(outcome).max() > 1
    assert np.corrcoef(density, outcome)[0, 1] < -0.5
    assert np.isfinite(az.loo(tree).elpd)


def test_means_of_units_and_lift_tests_have_no_logarithms(rows) -> None:
    weighted = replace(rows, weights=np.full(len(rows), 2.0))
    with pytest.raises(bi.ModelError, match="one row per unit"):
        LOG.working_rows(weighted)
    assert LOG.working_rows(replace(rows, weights=np.ones(len(rows)))).in_memory.weights is None
    tested = rows.add_lift_test("red", 0.0, 1.0, effect=0.8, se=0.1)
    with pytest.raises(bi.ModelError, match="omit the lift tests"):
        LOG.working_rows(tested)
    assert OutcomeLaw.working_rows(tested) is tested


def test_no_points_have_no_effects(rows) -> None:
    by_age = frame_of(rows).assign(age=np.arange(len(rows)) % 7)
    data = bi.RegimeData.from_frame(by_age, *COLUMNS, covariates=["age"])
    fit = fitted(data, bi.models.multiplicative(), draws=50)
    assert fit.joint_effect(np.zeros((0, 2))).shape == (4, 50, 0)


@pytest.mark.parametrize("n_groups", [6, 40])
def test_means_are_those_of_groups_with_noise_of_their_own(n_groups) -> None:
    rng, group = np.random.default_rng(0), np.arange(3_600) % n_groups
    actions, masks = rng.normal(size=(3_600, 2)), one_at_a_time(2, 1_200)
    noise = rng.normal(size=3_600) * np.where(group % 2, 1.0, 0.1)
    sales = np.exp(0.5 * actions.sum(axis=1) + 0.5 * rng.normal(size=n_groups)[group] + noise)
    own = {"names": ["red", "green"], "groups": {"region": np.char.mod("r%d", group)}}
    data = bi.RegimeData.from_arrays(actions, sales, masks, **own)
    fit = fitted(data, bi.models.multiplicative("linear"))
    points, names = [[1.0, 1.0], [-1.0, 0.0]], [f"r{k}" for k in range(n_groups)]
    each = [fit.joint_effect(points, given={"region": name}) for name in names]
    average, over_chains = np.mean(each, axis=0).mean(axis=(0, 1)), ("chain", "draw")
    for population in ({}, {"population": "bootstrap"}):
        mean = fit.joint_effect(points, **population).mean(over_chains)
        np.testing.assert_allclose(mean, average, rtol=0.005)
    rows = pd.DataFrame({"red": 1.0, "green": 1.0, "region": names})
    alone = [own.isel(point=0).mean() for own in each]
    np.testing.assert_allclose(fit.predictions(rows).draws.mean(over_chains), alone)


def test_means_of_products_have_the_noise_of_the_residuals(rng) -> None:
    """Gamma noise with mean one, whose logarithm is skewed."""
    actions, noise = rng.normal(size=(9_600, 2)), rng.gamma(0.7, 1 / 0.7, size=9_600)
    sales = np.exp(0.3 * actions.sum(axis=1)) * noise
    data = bi.RegimeData.from_arrays(actions, sales, one_at_a_time(2, 3_200), ["red", "green"])
    fit = fitted(data, bi.models.multiplicative("linear"))
    effect, truth = fit.joint_effect([[0.0, 0.0], [1.0, 1.0]]), np.exp([0.0, 0.6])
    np.testing.assert_array_less(abs(effect.mean(("chain", "draw")) - truth), 4 * effect.std())
    np.testing.assert_allclose(effect.mean(), fit.outcome([[0, 0], [1, 1]]).mean(), rtol=0.03)
    # Negative control: a lognormal outcome with these logarithms has another mean.
    lognormal = np.exp(np.log(noise).mean() + np.log(noise).var() / 2)
    assert lognormal > 1 + 4 * effect.isel(point=0).std()
    normal = ResidualNoise.of(rng.normal(size=200_000), np.ones(200_000))
    np.testing.assert_allclose(normal.log_mean_exp(np.array([0.1, 1.0])), [0.005, 0.5], rtol=0.02)
