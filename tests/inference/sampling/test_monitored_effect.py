import numpy as np

import bayes_intgen as bi
from bayes_intgen.inference.sampling.convergence import N_POINTS, MonitoredEffect


def test_monitored_points_are_rows_of_the_data_with_all_actions_set(data) -> None:
    monitored = MonitoredEffect.of(data, bi.models.additive())
    assert monitored.points.shape == monitored.masks.shape == (N_POINTS, len(data.names))
    rows = {tuple(row) for row in data.actions}
    assert all(tuple(point) in rows for point in monitored.points)
    np.testing.assert_array_equal(monitored.points[[0, -1]], data.actions[[0, -1]])
    assert monitored.masks.all()


def test_without_an_identified_joint_effect_the_mask_is_that_of_an_observed_regime(data) -> None:
    assert not MonitoredEffect.of(data.only([]), bi.models.additive()).masks.any()
