from dataclasses import replace

import numpy as np
import pytest

from bayes_intgen.data.rows import Observations
from bayes_intgen.posterior.draws import prediction_of

from _posteriors import made_up, made_up_with_groups, with_log_link

ALL_SET = np.ones((3, 2), dtype=bool)
POINTS = np.array([[0.3, -0.2], [0.5, 0.1], [0.3, -0.2]])


@pytest.fixture(scope="module")
def of_groups():
    return prediction_of(with_log_link(made_up_with_groups(groups=("region",))))


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
