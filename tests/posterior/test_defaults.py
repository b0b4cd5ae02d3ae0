import numpy as np

import bayes_intgen as bi
from bayes_intgen.posterior.defaults import medians, share_supported
from bayes_intgen.posterior.draws import support_of

from _posteriors import half_supported, made_up, made_up_with_levels


def is_supported(posterior: bi.Posterior, points: np.ndarray) -> np.ndarray:
    return support_of(posterior).verdict(points, np.ones(points.shape[1], dtype=bool)).supported


def test_default_point_is_the_medians_if_supported(posterior) -> None:
    np.testing.assert_array_equal(posterior.default_point, medians(posterior))
    assert is_supported(posterior, posterior.default_point[None]).all()


def test_default_point_is_the_nearest_supported_row_otherwise() -> None:
    posterior = half_supported()
    assert not is_supported(posterior, medians(posterior)[None])
    assert is_supported(posterior, posterior.default_point[None])
    reference = support_of(posterior).reference
    rows = np.concatenate(reference.rows)
    assert (rows == posterior.default_point).all(axis=1).any()
    # No supported row is nearer.
    gaps, own = (
        reference.placed(points) - reference.placed(medians(posterior)[None])
        for points in (rows, posterior.default_point[None])
    )
    distance = (np.minimum(np.abs(gaps), 10) ** 2).sum(axis=1)[is_supported(posterior, rows)]
    assert (np.minimum(np.abs(own), 10) ** 2).sum() <= distance.min() + 1e-9


def test_default_point_is_the_medians_without_any_support() -> None:
    posterior = made_up(["one", "two"], regimes=2)
    np.testing.assert_array_equal(posterior.default_point, medians(posterior))
    assert share_supported(posterior) == 0


def test_supported_share_is_over_points_of_the_experiments() -> None:
    assert share_supported(made_up_with_levels()) > 0.95
    # Points that no experiment sets do not count.
    assert share_supported(half_supported()) > 0.95
