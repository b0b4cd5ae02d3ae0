from dataclasses import replace

import numpy as np
import pytest

from bayes_intgen.data.rows import Observations
from bayes_intgen.models.population import Population
from bayes_intgen.posterior.draws import prediction_of

from _posteriors import data_with_groups, made_up, made_up_with_groups, with_log_link

ALL_SET = np.ones((3, 2), dtype=bool)
POINTS = np.array([[0.3, -0.2], [0.5, 0.1], [0.3, -0.2]])


@pytest.fixture(scope="module")
def of_groups():
    return prediction_of(with_log_link(made_up_with_groups(groups=("region",))))


def test_mean_of_normal_noise_is_that_of_outcomes() -> None:
    """Two routes: the formula, and exponentials of noise."""
    prediction = prediction_of(with_log_link(made_up(["a", "b"], draws=50)))
    prediction = replace(prediction, sd=0.5 * prediction.sd)
    points = np.array([[5.0, 5.0]])
    mask = np.ones((1, 2), dtype=bool)
    predictor, sd = prediction.predictor(points, mask), prediction.noise_sd(points, mask)
    noise = np.random.default_rng(0).standard_normal((1000, *sd.shape))
    outcomes = np.exp(predictor - predictor.mean() + sd * noise)
    expected = prediction.mean(points, mask) * np.exp(-predictor.mean())
    ratio = outcomes.mean(axis=0) / expected
    assert ratio.mean() == pytest.approx(1, abs=0.01)
    # Negative control: the exponential of the mean logarithm.
    assert (np.exp(predictor) / prediction.mean(points, mask)).mean() < 0.95


def test_population_averages_are_means_of_means(of_groups) -> None:
    """Two routes: the average over the population, and each row with its own covariates."""
    rng = np.random.default_rng(0)
    values = data_with_groups(groups=("region",)).covariates[rng.integers(0, 300, 25)]
    population = Population(values, np.full(25, 1 / 25))
    average = of_groups.in_population(population).mean(POINTS, ALL_SET)
    rows = np.concatenate([np.repeat(POINTS, 25, axis=0), np.tile(values, (3, 1))], axis=1)
    each = of_groups.mean(rows, np.ones((75, 2), dtype=bool))
    own = each.reshape(*each.shape[:2], 3, 25).mean(axis=-1)
    np.testing.assert_allclose(average, own, rtol=1e-10)
    # Negative control: the exponential of the average predictor.
    geometric = np.exp(of_groups.in_population(population).predictor(POINTS, ALL_SET))
    factor = of_groups.noise_sd(POINTS, ALL_SET) ** 2 / 2
    assert np.abs(geometric * np.exp(factor) / own - 1).max() > 1e-3
    # The size of an effect depends on age.
    assert of_groups.factor_varies


def test_changes_are_differences_of_means_and_zero_where_nothing_changes(of_groups) -> None:
    change = of_groups.change(POINTS[:1], POINTS, ALL_SET)
    means = of_groups.mean(POINTS, ALL_SET)
    np.testing.assert_allclose(change, means - means[..., :1], atol=1e-9 * means.max())
    assert (change[..., 1] != 0).all()
    # Rounding differs between arrays of different sizes.
    three = prediction_of(with_log_link(made_up(["a", "b", "c"], draws=200)))
    point = np.array([[3.1, 12.7, 0.3]])
    for count in (2, 3, 7):
        same, mask = np.repeat(point, count, axis=0), np.ones((count, 3), dtype=bool)
        assert (three.change(point, same, mask) == 0).all()


def test_log_densities_are_of_the_outcome_itself() -> None:
    """Densities integrate to one over the outcome."""
    prediction = prediction_of(with_log_link(made_up(["a", "b"], draws=4)))
    terms = replace(prediction.terms, centre=0.3)
    prediction = replace(prediction, terms=terms, coefficients=0 * prediction.coefficients)
    grid, shape = np.exp(np.linspace(-9, 9, 4001)), (4001, 2)
    rows = Observations(("a", "b"), "sales", np.full(shape, 3.0), grid, np.zeros(shape, bool))
    density = np.exp(prediction.log_density(rows))
    np.testing.assert_allclose(np.trapezoid(density, grid), 1, rtol=1e-3)
    # Negative control: the density of the logarithm.
    assert np.trapezoid(density * grid, grid).max() > 1.1
