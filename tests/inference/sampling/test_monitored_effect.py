import numpy as np

import bayes_intgen as bi
from bayes_intgen.inference.sampling.monitored_effect import COUNT, MonitoredEffect


def test_probes_are_rows_of_the_data_with_every_action_set(data) -> None:
    probes = MonitoredEffect.of(data, bi.models.additive())
    assert probes.points.shape == probes.masks.shape == (COUNT, len(data.names))
    rows = {tuple(row) for row in data.actions}
    assert all(tuple(point) in rows for point in probes.points)
    np.testing.assert_array_equal(probes.points[[0, -1]], data.actions[[0, -1]])
    assert probes.masks.all()


def test_where_no_rows_answer_for_all_actions_those_are_set_that_some_rows_answer(data) -> None:
    alone = data.actions[~data.intervened.any(axis=1)]
    outcome = data.outcome[~data.intervened.any(axis=1)]
    watched = bi.RegimeData.from_arrays(alone, outcome, np.zeros(alone.shape, dtype=bool))
    assert not MonitoredEffect.of(watched, bi.models.additive()).masks.any()
