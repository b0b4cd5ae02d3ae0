import numpy as np
import pytest

import bayes_intgen as bi
from bayes_intgen.posterior.defaults import levels_of, share_supported
from bayes_intgen.posterior.draws import support_of
from bayes_intgen.report.explorer import sliders_of

from _posteriors import half_supported, made_up, made_up_with_levels


def is_supported(posterior: bi.Posterior, points: np.ndarray) -> np.ndarray:
    return support_of(posterior).verdict(points, np.ones(points.shape[1], dtype=bool)).supported


def observed_rows(posterior: bi.Posterior) -> np.ndarray:
    reference = support_of(posterior).reference
    return reference.rows[reference.masks.index((False,) * len(posterior.actions))]


def usual(posterior: bi.Posterior) -> np.ndarray:
    """Medians of the observational rows, and modes of levels."""
    columns = []
    for levels, own in zip(levels_of(posterior), observed_rows(posterior).T, strict=True):
        values, counts = np.unique(own, return_counts=True)
        columns.append(np.median(own) if levels is None else values[counts.argmax()])
    return np.array(columns)


@pytest.mark.parametrize("kind", ["fitted", "half", "levels"])
def test_default_point_is_the_nearest_supported_observational_row(posterior, kind) -> None:
    fit = {"fitted": lambda: posterior, "half": half_supported, "levels": made_up_with_levels}[
        kind
    ]()
    rows, reference = observed_rows(fit), support_of(fit).reference
    assert is_supported(fit, fit.default_point[None]).all()
    # It is a row, rounded to about a hundredth of an action's spread.
    spread = np.array([own.spread for own in fit.terms.coordinates])
    assert (abs(rows - fit.default_point) <= 0.05 * spread).all(axis=1).any()
    # No supported row is nearer.
    gaps, own = (
        reference.placed(points) - reference.placed(usual(fit)[None])
        for points in (rows, fit.default_point[None])
    )
    distance = (np.minimum(np.abs(gaps), 10) ** 2).sum(axis=1)[is_supported(fit, rows)]
    assert (np.minimum(np.abs(own), 10) ** 2).sum() <= distance.min() + 0.05
    if kind == "half":
        # Negative control: the medians are not supported.
        assert not is_supported(fit, usual(fit)[None])


def test_default_point_is_the_nearest_row_without_any_support() -> None:
    fit = made_up(["one", "two"], regimes=2)
    assert (observed_rows(fit) == fit.default_point).all(axis=1).any()
    assert share_supported(fit) == 0
    with pytest.raises(ValueError, match="read-only"):
        fit.default_point[0] = 0.0


def test_one_default_point_is_the_baseline_of_decisions_and_the_start_of_sliders() -> None:
    fit = half_supported()
    start, values = fit.best(bi.Decision()).baseline, fit.default_point
    assert start["spend"] == values[2]
    assert [s.values[s.start] for s in sliders_of(fit)] == values.tolist()


def test_supported_share_is_over_points_of_the_experiments() -> None:
    assert share_supported(made_up_with_levels()) > 0.95
    # Points that no experiment sets do not count.
    assert share_supported(half_supported()) > 0.95
