"""Rows that are means of several units."""

import numpy as np
import pytest

import bayes_intgen as bi
from bayes_intgen.inference.gaussian.passes import sufficient_statistics
from bayes_intgen.models.variance_function import VarianceFunction


def test_means_with_their_sd_have_the_statistics_of_the_units() -> None:
    rng = np.random.default_rng(2)
    settings = rng.integers(0, 5, size=(40, 2)).astype(float)
    intervened = np.eye(3, 2, -1, dtype=bool)[np.arange(40) % 3]
    cell = np.repeat(np.arange(40), rng.integers(1, 12, 40))
    outcome = settings.sum(axis=1)[cell] + rng.normal(size=len(cell))
    units = bi.RegimeData.from_arrays(settings[cell], outcome, intervened[cell])
    counts = np.bincount(cell)
    mean = np.bincount(cell, outcome) / counts
    squares = np.bincount(cell, (outcome - mean[cell]) ** 2)
    with np.errstate(invalid="ignore"):
        sd = np.sqrt(squares / (counts - 1))
    cells = bi.RegimeData.from_arrays(
        settings, mean, intervened, weights=counts, outcome_sd=np.nan_to_num(sd)
    )
    model = bi.models.additive("linear")
    terms = model.decompose(units)
    of_units, of_cells = (
        sufficient_statistics(rows, terms, VarianceFunction(), False) for rows in (units, cells)
    )
    sums = ((each.rows, *each.factor) for each in (of_units, of_cells))
    for one, other in zip(*sums, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-8)
    # Negative control: without the standard deviations, only the means are known.
    means = bi.RegimeData.from_arrays(settings, mean, intervened, weights=counts)
    assert sufficient_statistics(means, terms, VarianceFunction(), False).rows == len(cells)
    own = model.decompose(cells)
    assert own.unit == pytest.approx(terms.unit)
    np.testing.assert_allclose(
        own.matrix(cells.inputs, cells.intervened), terms.matrix(cells.inputs, cells.intervened)
    )
