import numpy as np

import bayes_intgen as bi
from bayes_intgen.inference.sampling.convergence import (
    N_POINTS,
    additional_draws,
    monitored_points,
    shortfalls,
)


def chains(slow: tuple[int, ...], count: int) -> np.ndarray:
    """Draws of three quantities, some of which are autocorrelated, shape (4, count, 3)."""
    noise = np.random.default_rng(0).normal(size=(4, count, 3))
    draws = noise.copy()
    for i in range(1, count):
        draws[:, i, slow] = 0.95 * draws[:, i - 1, slow] + 0.3 * noise[:, i, slow]
    return draws


def test_stopping_rule_follows_the_slowest_quantity() -> None:
    slow, fast = chains((1,), 300), chains((), 450)
    assert (shortfalls(slow) > 1).tolist() == [False, True, False]
    assert additional_draws(float(shortfalls(slow).max()), 300, 25) > 0
    assert additional_draws(float(shortfalls(fast).max()), 450, 25) == 0


def monitored_in(data: bi.RegimeData, model: bi.models.AdditiveModel):
    reference = data.reference_rows(model.decompose(data).coordinates)
    return monitored_points(model, tuple(data.regimes), reference)


def test_monitored_points_are_rows_of_the_data_with_all_actions_set(data) -> None:
    model = bi.models.additive()
    points, masks = monitored_in(data, model)
    assert points.shape == masks.shape == (N_POINTS, len(data.names))
    rows = {tuple(row) for row in data.actions}
    assert all(tuple(point) in rows for point in points)
    assert masks.all()


def test_without_an_identified_joint_effect_the_mask_is_that_of_an_observed_regime(data) -> None:
    model, history = bi.models.additive(), data.only([])
    _, masks = monitored_in(history, model)
    assert not masks.any()
