"""Rows that are means of several units."""

import numpy as np
import pytest

import bayes_intgen as bi
from bayes_intgen.inference.gaussian.passes import sufficient_statistics
from bayes_intgen.models.variance_function import VarianceFunction


def _units(cells: int = 40, n: int = 12) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(2)
    settings = rng.integers(0, 5, size=(cells, 2)).astype(float)
    intervened = np.eye(3, 2, -1, dtype=bool)[np.arange(cells) % 3]
    sizes = rng.integers(1, n, cells)
    cell = np.repeat(np.arange(cells), sizes)
    outcome = settings.sum(axis=1)[cell] + rng.normal(size=len(cell))
    return settings, intervened, cell, outcome


def test_means_with_their_sd_have_the_statistics_of_the_units() -> None:
    settings, intervened, cell, outcome = _units()
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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weights": -np.ones(40)}, "weights must be positive.*row 0 has -1"),
        ({"weights": np.zeros(40)}, "weights must be positive"),
        ({"weights": np.ones(39)}, r"weights must have shape \(40,\)"),
        (
            {"outcome_sd": np.ones(40)},
            "outcome_sd is the standard deviation among the units of a row",
        ),
        (
            {"weights": np.full(40, 3), "outcome_sd": -np.ones(40)},
            "outcome_sd must be finite and not negative",
        ),
    ],
)
def test_impossible_weights_raise(arguments: dict[str, np.ndarray], message: str) -> None:
    settings, intervened, _, _ = _units()
    outcome = settings.sum(axis=1) + np.arange(40)
    with pytest.raises(bi.DataError, match=message):
        bi.RegimeData.from_arrays(settings, outcome, intervened, **arguments)
